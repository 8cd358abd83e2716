"""The results of `aws-sdk:` and optimised tasks as JSON: instants are ISO 8601 text in UTC (`2026-11-24T16:05:00.123Z`), as the SDK for
Java prints them. LocalStack leaves Python's datetimes in them, which expressions cannot read."""

import datetime


def text(instant: datetime.datetime) -> str:
    """ISO 8601 in UTC, with milliseconds where there are any."""
    utc = instant.astimezone(datetime.UTC)
    fraction = f".{utc.microsecond // 1000:03}" if utc.microsecond >= 1000 else ""
    return f"{utc.strftime('%Y-%m-%dT%H:%M:%S')}{fraction}Z"


def apply() -> None:
    """Converts every task's result."""
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service.state_task_service import StateTaskService

    pending = [StateTaskService]
    while pending:
        cls = pending.pop()
        pending.extend(cls.__subclasses__())
        if "_normalise_response" in vars(cls):
            cls._normalise_response = _converting(vars(cls)["_normalise_response"])


def _converting(original):
    def _normalise_response(self, response, *arguments, **named) -> None:
        original(self, response, *arguments, **named)
        _convert(response)

    return _normalise_response


def _convert(value: object) -> object:
    """The value with its instants as text; mappings and lists are changed in place."""
    if isinstance(value, datetime.datetime):
        return text(value)
    if isinstance(value, dict):
        for name, item in value.items():
            value[name] = _convert(item)
    elif isinstance(value, list):
        value[:] = [_convert(item) for item in value]
    return value
