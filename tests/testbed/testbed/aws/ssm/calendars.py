"""Change calendars: documents of type ChangeCalendar, in iCalendar 2.0 text, that are open or closed at an instant.

The calendar's ``X-CALENDAR-TYPE`` says how it is between its events: DEFAULT_OPEN is closed during them, DEFAULT_CLOSED open. Source:
user guide, "AWS Systems Manager Change Calendar"; CloudFormation's reference of ``AWS::SSM::Document`` (the text of a calendar); API
reference, GetCalendarState (several calendars are open when all of them are).

Advisory events, which do not close a calendar, are not told apart: how the text marks them is not published.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import icalendar
import recurring_ical_events

from . import text as texts
from .errors import ServiceError

TYPES = ("DEFAULT_OPEN", "DEFAULT_CLOSED")
#: Days within which the next transition is looked for, one after the other; beyond the last there is none.
_HORIZONS = (1, 8, 64, 400, 3_660)


@dataclass(frozen=True)
class CalendarContent(texts.Text):
    """A valid calendar."""

    default_open: bool = True

    def spans(self, start: datetime, end: datetime) -> list[tuple[float, float]]:
        """(begin, end) in unix seconds of each event that touches the time from ``start`` to ``end``."""
        parsed, zone = _parsed(self.text)
        try:
            events = recurring_ical_events.of(parsed, components=["VEVENT"]).between(start, end)
            found = [(_instant(event.start, zone), _instant(event.end, zone)) for event in events]
        except (ValueError, icalendar.InvalidCalendar) as error:
            raise unsupported(f"The calendar's events cannot be read: {error}.") from error
        return sorted(found)


def parse(text: str, document_format: str = "TEXT") -> CalendarContent:
    """Reads and checks a calendar; ``InvalidDocumentContent``."""
    texts.check_size(text)
    if document_format != "TEXT":
        raise texts.invalid("The document format of a change calendar must be TEXT.")
    try:
        parsed = icalendar.Calendar.from_ical(text)
    except (ValueError, IndexError) as error:
        raise texts.invalid(f"The content is no iCalendar text: {error}.") from error
    if getattr(parsed, "name", None) != "VCALENDAR" or str(parsed.get("VERSION")) != "2.0":
        raise texts.invalid("The content is no iCalendar text of version 2.0.")
    kind = str(parsed.get("X-CALENDAR-TYPE"))
    if kind not in TYPES:
        raise texts.invalid(f"X-CALENDAR-TYPE must be one of {', '.join(TYPES)}.")
    return CalendarContent(text, default_open=kind == "DEFAULT_OPEN")


def state(calendars: list[CalendarContent], instant: float) -> tuple[bool, float | None]:
    """Whether all are open at the instant, and when next that changes (None: not within ten years)."""
    at = datetime.fromtimestamp(instant, UTC)
    now = None
    for days in _HORIZONS:
        spans = [calendar.spans(at, at + timedelta(days=days)) for calendar in calendars]
        if now is None:
            now = _all_open(calendars, spans, instant)
        end = instant + days * 86_400
        edges = sorted({edge for found in spans for span in found for edge in span if instant < edge <= end})
        for edge in edges:
            if _all_open(calendars, spans, edge) != now:
                return now, edge
    return bool(now), None


def _all_open(calendars: list[CalendarContent], spans: list[list[tuple[float, float]]], instant: float) -> bool:
    return all(
        calendar.default_open != any(begin <= instant < end for begin, end in found)
        for calendar, found in zip(calendars, spans, strict=True)
    )


@lru_cache(maxsize=64)
def _parsed(text: str) -> tuple[icalendar.Calendar, tzinfo]:
    """The calendar and the zone of its times that name none."""
    parsed = icalendar.Calendar.from_ical(text)
    named = {str(zone.get("TZID")) for zone in parsed.walk("VTIMEZONE")}
    for zone in _zones(text):
        if zone not in named and not _exists(zone):
            raise unsupported(f"The calendar uses the time zone {zone}, which does not exist.")
    default = str(parsed.get("X-WR-TIMEZONE") or "UTC")
    if not _exists(default):
        raise unsupported(f"The calendar's time zone {default} does not exist.")
    return parsed, ZoneInfo(default)


def _zones(text: str) -> Iterator[str]:
    """Each TZID that a property uses; long lines are folded."""
    for line in re.sub(r"\r?\n[ \t]", "", text).splitlines():
        if found := re.match(r'^[A-Z-]+[^:]*;TZID="?([^;:"]+)', line):
            yield found[1]


def _exists(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _instant(moment: date | datetime, zone: tzinfo) -> float:
    """Unix seconds of a time, or of the beginning of a day, in the calendar's zone where it has none of its own."""
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()


def unsupported(message: str) -> ServiceError:
    """A calendar that was stored, but cannot be evaluated."""
    return ServiceError("UnsupportedCalendarException", message)
