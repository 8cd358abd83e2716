"""Schedules of associations: ``rate(…)``, ``cron(…)`` in UTC, ``at(…)``.

Source: user guide, "Reference: Cron and rate expressions for Systems Manager" (half an hour at the least; no months in cron
expressions of associations; ``?`` for the day field that does not count; days of the week from 1, Sunday) and API reference,
CreateAssociation (ApplyOnlyAtCronInterval not with rate expressions; ScheduleOffset, days after the cron's day).
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

from cronsim import CronSim, CronSimError

from ..errors import ServiceError

#: Seconds between two runs, at the least.
SHORTEST = 1_800
_UNITS = {"minute": 60, "hour": 3_600, "day": 86_400}
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


@dataclass(frozen=True)
class Schedule:
    """A schedule; exactly one of ``seconds`` (rate), ``cron`` and ``once`` (unix seconds) is set."""

    seconds: int | None = None
    cron: str | None = None
    once: float | None = None
    offset_days: int = 0

    def next(self, after: float) -> float | None:
        """The first instant after ``after`` (unix seconds) that the schedule means; None when there is none."""
        if self.seconds is not None:
            return after + self.seconds
        if self.once is not None:
            return self.once if self.once > after else None
        offset = timedelta(days=self.offset_days)
        moments = CronSim(self.cron, datetime.fromtimestamp(after, UTC) - offset)
        return (next(moments) + offset).timestamp()


def parse(expression: str, only_at_interval: bool, offset: int | None) -> Schedule:
    """``InvalidSchedule`` for an expression that AWS does not take."""
    found = re.fullmatch(r"(rate|cron|at)\((.+)\)", expression.strip())
    if found is None:
        raise _invalid(f"The schedule {expression} is none of rate(…), cron(…) and at(…).")
    kind, inner = found.groups()
    if kind != "cron" and offset is not None:
        raise _invalid("ScheduleOffset is for cron expressions.")
    if kind == "rate":
        if only_at_interval:
            raise _invalid("ApplyOnlyAtCronInterval isn't supported for rate expressions.")
        return Schedule(seconds=_rate(inner))
    if kind == "at":
        return Schedule(once=_once(inner))
    return Schedule(cron=_cron(inner), offset_days=offset or 0)


def _rate(text: str) -> int:
    found = re.fullmatch(r"(\d+) (minute|hour|day)(s?)", text.strip())
    if found is None or (int(found[1]) == 1) == bool(found[3]):
        raise _invalid(f"rate({text}) must be a number and minutes, hours or days, in the singular for 1.")
    seconds = int(found[1]) * _UNITS[found[2]]
    if seconds < SHORTEST:
        raise _invalid(f"rate({text}) is more often than every 30 minutes.")
    return seconds


def _once(text: str) -> float:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise _invalid(f"at({text}) must be a time such as 2026-07-07T15:00:00.") from error


def _cron(text: str) -> str:
    """The expression in the five fields of other crons."""
    fields = text.upper().split()
    if len(fields) != 6:
        raise _invalid(f"cron({text}) must have six fields: minutes, hours, day of month, month, day of week, year.")
    minutes, hours, day, month, weekday, year = fields
    if month != "*" or year != "*":
        raise _invalid("Cron expressions of associations can't name months or years.")
    if (day == "?") == (weekday == "?") and not (day == "*" and weekday == "*"):
        raise _invalid(f"cron({text}) must have ? as either the day of month or the day of week.")
    spelt = " ".join((minutes, hours, day.replace("?", "*"), "*", _weekdays(weekday.replace("?", "*"))))
    try:
        moments = list(islice(CronSim(spelt, datetime(2026, 1, 1, tzinfo=UTC)), 50))
    except (CronSimError, StopIteration) as error:
        raise _invalid(f"cron({text}) is not valid: {error}.") from error
    if any((after - before).total_seconds() < SHORTEST for before, after in pairwise(moments)):
        raise _invalid(f"cron({text}) is more often than every 30 minutes.")
    return spelt


def _weekdays(field: str) -> str:
    """AWS's days from 1 to 7 as those from 0 to 6; what follows # and / are no days."""
    for number, name in enumerate(_DAYS, start=1):
        field = field.replace(name, str(number))
    return re.sub(r"(?<![#/\d])\d", lambda match: str((int(match[0]) - 1) % 7), field)


def _invalid(message: str) -> ServiceError:
    return ServiceError("InvalidSchedule", message)
