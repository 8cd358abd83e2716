"""Change calendars: documents of type ChangeCalendar and GetCalendarState.

Sources: API reference, GetCalendarState (errors ``InvalidDocument``, ``InvalidDocumentType``, ``UnsupportedCalendarException``; several
calendars); user guide, "AWS Systems Manager Change Calendar"; CloudFormation's reference of AWS::SSM::Document (a calendar's text).
"""

from datetime import UTC, datetime

import pytest
from ssm_bench import Bench, refused

from testbed.aws import ACCOUNT_ID, REGION


def event(start: str, end: str, *more: str) -> str:
    """A VEVENT; ``start`` and ``end`` begin with their parameters or a colon."""
    lines = ("BEGIN:VEVENT", "UID:one@example.com", "DTSTAMP:20260101T000000Z", f"DTSTART{start}", f"DTEND{end}", *more, "END:VEVENT")
    return "\r\n".join(lines)


def calendar(*events: str, kind: str = "DEFAULT_OPEN", more: str = "") -> str:
    """The text of a calendar."""
    head = f"BEGIN:VCALENDAR\r\nPRODID:-//AWS//Change Calendar 1.0//EN\r\nVERSION:2.0\r\nX-CALENDAR-TYPE:{kind}\r\nX-WR-CALDESC:test\r\n{more}"
    return head + "\r\n".join([*events, "END:VCALENDAR", ""])


def make(bench: Bench, text: str, name: str = "change") -> str:
    bench.ssm.create_document(Name=name, Content=text, DocumentType="ChangeCalendar", DocumentFormat="TEXT")
    return name


def state(bench: Bench, *names: str, at: str | None = None) -> tuple[str, str | None]:
    """(State, NextTransitionTime)."""
    answer = bench.ssm.get_calendar_state(CalendarNames=list(names), **({"AtTime": at} if at else {}))
    return answer["State"], answer.get("NextTransitionTime")


NIGHT = event(":20260710T220000Z", ":20260711T040000Z")


@pytest.mark.parametrize(
    ("kind", "at", "expected"),
    [
        ("DEFAULT_OPEN", "2026-07-10T21:59:59Z", ("OPEN", "2026-07-10T22:00:00Z")),
        ("DEFAULT_OPEN", "2026-07-10T22:00:00Z", ("CLOSED", "2026-07-11T04:00:00Z")),
        ("DEFAULT_OPEN", "2026-07-11T03:59:59Z", ("CLOSED", "2026-07-11T04:00:00Z")),
        ("DEFAULT_OPEN", "2026-07-11T04:00:00Z", ("OPEN", None)),
        ("DEFAULT_CLOSED", "2026-07-10T21:59:59Z", ("CLOSED", "2026-07-10T22:00:00Z")),
        ("DEFAULT_CLOSED", "2026-07-10T22:00:00Z", ("OPEN", "2026-07-11T04:00:00Z")),
        ("DEFAULT_CLOSED", "2026-07-11T04:00:00Z", ("CLOSED", None)),
    ],
)
def test_the_type_says_what_an_event_does(bench: Bench, kind: str, at: str, expected: tuple):
    assert state(bench, make(bench, calendar(NIGHT, kind=kind)), at=at) == expected


def test_the_answer_names_the_instant_that_it_is_about(bench: Bench):
    name = make(bench, calendar(NIGHT))
    answer = bench.ssm.get_calendar_state(CalendarNames=[name], AtTime="2026-07-10T15:30:00-0700")
    assert (answer["State"], answer["AtTime"]) == ("CLOSED", "2026-07-10T22:30:00Z")


def test_without_an_instant_it_is_now_on_the_beds_clock(bench: Bench):
    start, end = (datetime.fromtimestamp(bench.control.now() + more, UTC) for more in (600, 1_200))
    name = make(bench, calendar(event(f":{start:%Y%m%dT%H%M%SZ}", f":{end:%Y%m%dT%H%M%SZ}")))
    seen = []

    def ended() -> bool:
        found, _ = state(bench, name)
        if not seen or seen[-1] != found:
            seen.append(found)
        return len(seen) == 3

    bench.until(ended, "the event to come and go")
    assert seen == ["OPEN", "CLOSED", "OPEN"]


def test_an_empty_calendar_never_changes(bench: Bench):
    todo = "BEGIN:VTODO\r\nDTSTAMP:20200320T004207Z\r\nUID:3b5af39a\r\nSUMMARY:Add events to this calendar.\r\nEND:VTODO"
    assert state(bench, make(bench, calendar(todo), "open")) == ("OPEN", None)
    assert state(bench, make(bench, calendar(kind="DEFAULT_CLOSED"), "closed")) == ("CLOSED", None)


def test_events_that_touch_or_overlap_are_one_to_the_outside(bench: Bench):
    touching = event(":20260711T040000Z", ":20260711T060000Z"), event(":20260711T050000Z", ":20260711T070000Z")
    name = make(bench, calendar(NIGHT, *(e.replace("UID:one", f"UID:{n}") for n, e in enumerate(touching))))
    assert state(bench, name, at="2026-07-10T23:00:00Z") == ("CLOSED", "2026-07-11T07:00:00Z")


def test_several_calendars_are_open_when_all_are(bench: Bench):
    first = make(bench, calendar(NIGHT), "first")
    second = make(bench, calendar(event(":20260710T230000Z", ":20260711T080000Z")), "second")
    third = make(bench, calendar(kind="DEFAULT_CLOSED"), "third")
    assert state(bench, first, second, at="2026-07-10T21:00:00Z") == ("OPEN", "2026-07-10T22:00:00Z")
    assert state(bench, first, second, at="2026-07-10T22:30:00Z") == ("CLOSED", "2026-07-11T08:00:00Z")
    assert state(bench, first, second, third, at="2026-07-10T21:00:00Z") == ("CLOSED", None)


def test_a_recurring_event_follows_its_time_zone_through_the_change_to_summer_time(bench: Bench):
    """02:00 in Berlin is 01:00Z in winter and 00:00Z in summer (the clocks go forward on 2026-03-29)."""
    daily = event(";TZID=Europe/Berlin:20260301T060000", ";TZID=Europe/Berlin:20260301T070000", "RRULE:FREQ=DAILY;UNTIL=20261231T000000Z")
    name = make(bench, calendar(daily))
    assert state(bench, name, at="2026-03-28T04:00:00Z") == ("OPEN", "2026-03-28T05:00:00Z")
    assert state(bench, name, at="2026-03-29T03:00:00Z") == ("OPEN", "2026-03-29T04:00:00Z")
    assert state(bench, name, at="2027-01-05T00:00:00Z") == ("OPEN", None)


def test_exceptions_of_a_recurring_event_and_moved_occurrences_count(bench: Bench):
    weekly = event(":20260703T200000Z", ":20260703T220000Z", "RRULE:FREQ=WEEKLY;COUNT=4", "EXDATE:20260710T200000Z")
    moved = event(":20260718T090000Z", ":20260718T100000Z", "RECURRENCE-ID:20260717T200000Z")
    name = make(bench, calendar(weekly, moved))
    assert state(bench, name, at="2026-07-03T22:00:00Z") == ("OPEN", "2026-07-18T09:00:00Z")
    assert state(bench, name, at="2026-07-18T10:00:00Z") == ("OPEN", "2026-07-24T20:00:00Z")


def test_a_yearly_freeze_is_found_months_ahead(bench: Bench):
    freeze = event(";VALUE=DATE:20251220", ";VALUE=DATE:20260102", "RRULE:FREQ=YEARLY")
    name = make(bench, calendar(freeze))
    assert state(bench, name, at="2026-02-01T00:00:00Z") == ("OPEN", "2026-12-20T00:00:00Z")
    assert state(bench, name, at="2026-12-31T00:00:00Z") == ("CLOSED", "2027-01-02T00:00:00Z")


def test_days_and_times_without_a_zone_are_in_the_calendars_own(bench: Bench):
    holiday = event(";VALUE=DATE:20260704", ";VALUE=DATE:20260705")
    name = make(bench, calendar(holiday, more="X-WR-TIMEZONE:America/New_York\r\n"))
    assert state(bench, name, at="2026-07-04T03:59:59Z") == ("OPEN", "2026-07-04T04:00:00Z")
    assert state(bench, name, at="2026-07-04T04:00:00Z") == ("CLOSED", "2026-07-05T04:00:00Z")


def test_calendars_are_named_by_arn_too_and_the_default_version_counts(bench: Bench):
    name = make(bench, calendar(NIGHT))
    bench.ssm.update_document(Name=name, Content=calendar(), DocumentVersion="$LATEST", DocumentFormat="TEXT")
    arn = f"arn:aws:ssm:{REGION}:{ACCOUNT_ID}:document/{name}"
    assert state(bench, arn, at="2026-07-10T23:00:00Z")[0] == "CLOSED"
    bench.ssm.update_document_default_version(Name=name, DocumentVersion="2")
    assert state(bench, arn, at="2026-07-10T23:00:00Z")[0] == "OPEN"


def test_a_calendar_is_described_as_one(bench: Bench):
    text = calendar(NIGHT)
    name = make(bench, text)
    described = bench.ssm.describe_document(Name=name)["Document"]
    assert (described["DocumentType"], described["DocumentFormat"]) == ("ChangeCalendar", "TEXT")
    assert bench.ssm.get_document(Name=name)["Content"] == text
    listed = bench.ssm.list_documents(Filters=[{"Key": "DocumentType", "Values": ["ChangeCalendar"]}])["DocumentIdentifiers"]
    assert [d["Name"] for d in listed] == [name]
    with refused("InvalidDocument", "ChangeCalendar"):
        bench.send(name, bench.nodes({}))


def test_what_is_no_calendar_has_no_state(bench: Bench):
    """API reference, GetCalendarState, Errors: InvalidDocument, InvalidDocumentType; a malformed instant breaks the model's ISO 8601."""
    name = make(bench, calendar())
    with refused("InvalidDocument", "nobody"):
        state(bench, name, "nobody")
    with refused("InvalidDocumentType", "ChangeCalendar"):
        state(bench, name, bench.document())
    with refused("ValidationException", "AtTime"):
        state(bench, name, at="tomorrow")
    with refused("ValidationException", "calendarNames"):
        bench.ssm.get_calendar_state()


def test_an_event_in_a_zone_that_does_not_exist_is_unsupported(bench: Bench):
    """API reference, GetCalendarState: UnsupportedCalendarException, "the calendar entry … isn't supported"."""
    odd = event(";TZID=Mars/Olympus:20260710T220000", ";TZID=Mars/Olympus:20260711T040000")
    with refused("UnsupportedCalendarException", "Mars/Olympus"):
        state(bench, make(bench, calendar(odd)))


@pytest.mark.parametrize(
    ("text", "document_format"),
    [
        ("{}", "TEXT"),
        ("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n", "TEXT"),
        (calendar(kind="SOMETIMES"), "TEXT"),
        (calendar().replace("X-CALENDAR-TYPE:DEFAULT_OPEN\r\n", ""), "TEXT"),
        (calendar().replace("VERSION:2.0", "VERSION:1.0"), "TEXT"),
        (calendar(), "JSON"),
    ],
)
def test_content_that_is_no_calendar_is_refused(bench: Bench, text: str, document_format: str):
    """API reference, CreateDocument: InvalidDocumentContent."""
    with refused("InvalidDocumentContent"):
        bench.ssm.create_document(Name="refused", Content=text, DocumentType="ChangeCalendar", DocumentFormat=document_format)


def test_a_command_document_is_no_text(bench: Bench):
    """API reference, CreateDocument: TEXT is a format of change calendars; the content is not valid otherwise."""
    with refused("InvalidDocumentContent", "TEXT"):
        bench.ssm.create_document(Name="refused", Content="{}", DocumentType="Command", DocumentFormat="TEXT")
