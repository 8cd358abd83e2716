"""What the API server takes for a WorkflowSchedule. What it cannot know, a condition says: tests/e2e/test_schedules.py."""

import pytest
from admission_bench import NOT_ALL_CHECKED, Admission, Manifest, fresh, refusal, schedule, unknown_fields

PATCH_TUESDAY = {"week": 2, "day": "Tuesday", "offsetDays": 3, "at": "03:00"}

ACCEPTS = {
    "the least": schedule(),
    "everything": schedule(
        schedule="*/15 8-18 1,15 JAN-mar MON-FRI",
        timeZone="America/Argentina/Buenos_Aires",
        concurrencyPolicy="Replace",
        startingDeadline="2h",
        suspend=True,
        successfulRunsHistoryLimit=0,
        failedRunsHistoryLimit=100,
        runTemplate={
            "labels": {"team": "web"},
            "annotations": {"note": "x"},
            "parameters": {"kb": "KB5046616", "deep": {"list": [1, None]}},
            "reason": "Change 4711",
            "onDelete": "Orphan",
        },
    ),
    "by the month": schedule(monthly=PATCH_TUESDAY, timeZone="Europe/Berlin"),
    "the last one of the month": schedule(monthly={"week": -1, "day": "Sunday", "offsetDays": -28, "at": "23:59"}),
    "a nickname": schedule(schedule="@weekly"),
    "the last day": schedule(schedule="0 3 L * ?"),
    "the longest name": schedule("x" * 63),
}


@pytest.mark.parametrize("case", ACCEPTS)
def test_accepts(api: Admission, case: str) -> None:
    assert api.refusal(ACCEPTS[case]) is None


def rule(message: str, name: str = "nightly", where: str = "spec") -> str:
    """Refused by a rule."""
    return refusal("WorkflowSchedule", name, f"{where}: Invalid value: {message}")


def no_cron(text: str) -> tuple[Manifest, str]:
    """A text that is no cron schedule: the pattern stands in the message, too long to repeat here."""
    return schedule(schedule=text), f'spec.schedule: Invalid value: "{text}": spec.schedule in body should match \'^(@(hourly|'


ZONE = "timeZone must be the name of a time zone, as in Europe/Berlin or UTC"
REJECTS = {
    "unknown field": (schedule(runTemplate={"params": {}}), unknown_fields("WorkflowSchedule", "spec.runTemplate.params")),
    "no time at all": (
        schedule(schedule=None),
        rule("a schedule needs exactly one of: schedule, monthly; found: none"),
    ),
    "two times": (
        schedule(schedule="0 3 * * *", monthly=PATCH_TUESDAY),
        rule("a schedule needs exactly one of: schedule, monthly; found: schedule monthly"),
    ),
    "a zone that is spelt wrong": (schedule(timeZone="Europe/Berln"), rule(f'"object": unknown time zone Europe/Berln evaluating rule: {ZONE}')),
    "the API server's own zone": (schedule(timeZone="Local"), "spec.timeZone: Invalid value: \"Local\": spec.timeZone in body should match '^(UTC|"),
    "an offset for a zone": (schedule(timeZone="+02:00"), "spec.timeZone: Invalid value: \"+02:00\": spec.timeZone in body should match '^(UTC|"),
    "no week": (schedule(monthly=PATCH_TUESDAY | {"week": 0}), rule("week must be 1 to 5, or -1 for the last one of the month", where="spec.monthly")),
    "a sixth week": (
        schedule(monthly=PATCH_TUESDAY | {"week": 6}),
        refusal("WorkflowSchedule", "nightly", "spec.monthly.week: Invalid value: 6: spec.monthly.week in body should be less than or equal to 5"),
    ),
    "no time of day": (
        schedule(monthly=PATCH_TUESDAY | {"at": "24:00"}),
        refusal(
            "WorkflowSchedule",
            "nightly",
            "spec.monthly.at: Invalid value: \"24:00\": spec.monthly.at in body should match '^([01][0-9]|2[0-3]):[0-5][0-9]$'",
        ),
    ),
    "no day": (
        schedule(monthly=PATCH_TUESDAY | {"day": "Tue"}),
        refusal(
            "WorkflowSchedule",
            "nightly",
            'spec.monthly.day: Unsupported value: "Tue": supported values: '
            '"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"',
            NOT_ALL_CHECKED,
        ),
    ),
    "a name that is too long": (
        schedule("x" * 64),
        rule(
            "the name of a WorkflowSchedule has 63 characters at most: its runs carry it in their names and in a label",
            "x" * 64,
            "<nil>",
        ),
    ),
    "seconds": no_cron("0 0 3 * * *"),
    "a minute that is none": no_cron("60 3 * * *"),
    "an hour that is none": no_cron("0 24 * * *"),
    "a day that is none": no_cron("0 3 32 * *"),
    "a month that is none": no_cron("0 3 * 13 *"),
    "a weekday that is none": no_cron("0 3 * * 8"),
    "at boot": no_cron("@reboot"),
    "words": no_cron("every night"),
}


@pytest.mark.parametrize("case", REJECTS)
def test_rejects(api: Admission, case: str) -> None:
    asked, message = REJECTS[case]
    said = api.refusal(asked)
    assert said is not None and (said == message or message in said), said


def test_what_a_schedule_is_when_it_says_nothing(api: Admission) -> None:
    spec = api.create(schedule(fresh("plain")))["spec"]
    assert spec == {
        "workflowRef": {"name": "report"},
        "schedule": "0 3 * * *",
        "timeZone": "UTC",
        "concurrencyPolicy": "Forbid",
        "startingDeadline": "1h",
        "suspend": False,
        "successfulRunsHistoryLimit": 3,
        "failedRunsHistoryLimit": 3,
        "runTemplate": {"onDelete": "Cancel"},
    }
