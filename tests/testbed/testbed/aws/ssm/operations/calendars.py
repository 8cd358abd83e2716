"""GetCalendarState."""

from datetime import UTC, datetime

from .. import calendars
from ..errors import ServiceError, validation
from ..model import Account


def get_calendar_state(account: Account, request: dict) -> dict:
    """Of one or several calendars, by name or ARN, now or ``AtTime``. CLOSED as soon as one is closed.

    ``InvalidDocument`` for a calendar that is not there, ``InvalidDocumentType`` for another document,
    ``UnsupportedCalendarException`` for one whose events cannot be evaluated.
    """
    names = request["CalendarNames"]
    if not names:
        raise validation("At least one calendar name or ARN is required.")
    instant = _at(request["AtTime"]) if request.get("AtTime") else int(account.system.scheduler.now())
    opened, changes = calendars.state([_calendar(account, name) for name in names], instant)
    answer = {"State": "OPEN" if opened else "CLOSED", "AtTime": _text(instant)}
    return answer | ({"NextTransitionTime": _text(changes)} if changes is not None else {})


def _calendar(account: Account, name: str) -> calendars.CalendarContent:
    document = account.documents.get(name)
    if document.type != "ChangeCalendar":
        raise ServiceError("InvalidDocumentType", f"The document {name} is not of type ChangeCalendar.")
    return document.version().content


def _at(text: str) -> float:
    """An ISO 8601 instant; one without a zone is in UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise validation(f"AtTime {text} is not in ISO 8601 format.") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _text(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


OPERATIONS = {"GetCalendarState": get_calendar_state}
