"""Scheduled rules of EventBridge on virtual time (docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html): `rate(…)`
counts from when the rule was made, `cron(…)` has six fields in UTC, with days of the week from 1 (Sunday).

LocalStack looks once a real minute, and takes a rate for a cron.
"""

import re
import threading
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from testbed.aws.settings import CLOCK

UNITS = {"minute": 60, "hour": 3600, "day": 86400}
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
LOOK_SECONDS = 0.5
"""Real seconds after which a waiting rule looks whether it is still there."""


def following(expression: str, after: float) -> float | None:
    """The next virtual instant of a schedule; None when there is none. Raises ValueError for what is no schedule."""
    rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression.strip())
    if rate:
        return after + int(rate[1]) * UNITS[rate[2]]
    cron = re.fullmatch(r"cron\(([^)]+)\)", expression.strip())
    fields = cron[1].upper().split() if cron else []
    if len(fields) != 6:
        raise ValueError(expression)
    minutes, hours, day, month, weekday, year = fields
    spelt = " ".join((minutes, hours, day.replace("?", "*"), month, _weekdays(weekday.replace("?", "*"))))
    try:
        for moment in CronSim(spelt, datetime.fromtimestamp(after, UTC)):
            if year == "*" or _in(year, moment.year):
                return moment.timestamp()
            if moment.year > 2199:
                return None
    except CronSimError as error:
        raise ValueError(expression) from error
    return None


def _in(field: str, year: int) -> bool:
    for part in field.split(","):
        low, _, high = part.partition("-")
        if int(low) <= year <= int(high or low):
            return True
    return False


def _weekdays(field: str) -> str:
    for number, name in enumerate(DAYS, start=1):
        field = field.replace(name, str(number))
    return re.sub(r"(?<![#/\d])\d", lambda match: str((int(match[0]) - 1) % 7), field)


def apply() -> None:
    """Runs each scheduled rule in a thread of its own."""
    from localstack.services.events.models import events_stores
    from localstack.services.events.rule import RuleService, ValidationException

    def there(rule) -> bool:
        buses = events_stores[rule.account_id][rule.region].event_buses
        return any(found is rule for bus in list(buses.values()) for found in list(bus.rules.values()))

    def create_schedule_job(self, send) -> None:
        rule, expression = self.rule, self.rule.schedule_expression
        if getattr(rule, "runs_by", None) == expression:
            return  # each further target comes here, too
        rule.runs_by = expression

        def run() -> None:
            due = following(expression, CLOCK.now())
            while due is not None:
                while (left := CLOCK.until(due)) > 0:
                    threading.Event().wait(min(left, LOOK_SECONDS))
                    if left > LOOK_SECONDS and not there(rule):
                        return
                if not there(rule) or rule.schedule_expression != expression:
                    return
                if rule.state != "DISABLED":
                    send()
                due = following(expression, due)

        self.job_id = f"schedule-{rule.name}"
        threading.Thread(target=run, name=self.job_id, daemon=True).start()

    def _get_schedule_cron(self, expression: str) -> str:
        try:
            following(expression, CLOCK.now())
        except ValueError as error:
            raise ValidationException("Parameter ScheduleExpression is not valid.") from error
        return expression

    RuleService.create_schedule_job = create_schedule_job
    RuleService._get_schedule_cron = _get_schedule_cron
