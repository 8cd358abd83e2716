"""The fields that each type of state may have, in each query language, and what may stand in them
(states-language.net/spec.html#state-type-table and #toplevelfields; docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html,
…/dg/state-map-distributed.html, …/dg/workflow-variables.html, …/dg/supported-services-awssdk.html)."""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

Problem = tuple[str, str]
"""What is wrong, and the place below the state."""

FLOW = {"Next", "End"}
ERRORS = {"Retry", "Catch"}
BOTH = {
    "Task": {"Resource", "TimeoutSeconds", "HeartbeatSeconds", "Credentials", "Assign"} | FLOW | ERRORS,
    "Pass": {"Assign"} | FLOW,
    "Wait": {"Seconds", "Timestamp", "Assign"} | FLOW,
    "Choice": {"Choices", "Default", "Assign"},
    "Parallel": {"Branches", "Assign"} | FLOW | ERRORS,
    "Map": {
        "ItemProcessor", "Iterator", "ItemReader", "ItemSelector", "ItemBatcher", "ResultWriter", "MaxConcurrency", "Label",
        "ToleratedFailureCount", "ToleratedFailurePercentage", "Assign",
    } | FLOW | ERRORS,
    "Succeed": set(),
    "Fail": {"Error", "Cause"},
}  # fmt: skip
JSONPATH = {
    "Task": {"InputPath", "OutputPath", "Parameters", "ResultSelector", "ResultPath", "TimeoutSecondsPath", "HeartbeatSecondsPath"},
    "Pass": {"InputPath", "OutputPath", "Parameters", "Result", "ResultPath"},
    "Wait": {"InputPath", "OutputPath", "SecondsPath", "TimestampPath"},
    "Choice": {"InputPath", "OutputPath"},
    "Parallel": {"InputPath", "OutputPath", "Parameters", "ResultSelector", "ResultPath"},
    "Map": {
        "InputPath", "OutputPath", "Parameters", "ResultSelector", "ResultPath", "ItemsPath", "MaxConcurrencyPath",
        "ToleratedFailureCountPath", "ToleratedFailurePercentagePath",
    },
    "Succeed": {"InputPath", "OutputPath"},
    "Fail": {"ErrorPath", "CausePath"},
}  # fmt: skip
JSONATA = {
    "Task": {"Arguments", "Output"}, "Pass": {"Output"}, "Wait": {"Output"}, "Choice": {"Output"}, "Parallel": {"Arguments", "Output"},
    "Map": {"Items", "Output"}, "Succeed": {"Output"}, "Fail": set(),
}  # fmt: skip
REQUIRED = {"Task": ["Resource"], "Choice": ["Choices"], "Parallel": ["Branches"]}
CATCHER = {"ErrorEquals", "Next", "Assign", "Comment"}
RETRIER = {"ErrorEquals", "IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds", "JitterStrategy", "Comment"}

VARIABLE = re.compile(r"^[^\W\d]\w*$")
LONGEST_VARIABLE = 80
SDK = re.compile(r"^arn:[a-z-]+:states:[a-z0-9-]*:[0-9]*:aws-sdk:([a-z0-9]+):([A-Za-z0-9]+)(\.[A-Za-z0-9:]+)?$")


def problems(state: dict, language: str) -> Iterator[Problem]:
    """What is wrong with the fields of one state."""
    kind = state.get("Type")
    if kind not in BOTH:
        return  # the parser says so
    allowed = {"Type", "Comment", "QueryLanguage"} | BOTH[kind] | (JSONATA if language == "JSONata" else JSONPATH)[kind]
    for field in state:
        if field not in allowed:
            yield "Field is not supported", f"/{field}"
    for field in REQUIRED.get(kind, []):
        if field not in state:
            yield f"The field '{field}' is required but was missing", ""
    for field in ("TimeoutSeconds", "HeartbeatSeconds"):
        if isinstance(state.get(field), int) and state[field] < 1:
            yield "Value is less than the minimum of 1", f"/{field}"
    yield from _error_handling(state, language)
    yield from _variables(state.get("Assign"), "/Assign")
    for index, rule in enumerate(state.get("Choices") or []):
        yield from _variables(rule.get("Assign") if isinstance(rule, dict) else None, f"/Choices[{index}]/Assign")
    for check in (_resource, _processor):
        yield from check(state)


def _error_handling(state: dict, language: str) -> Iterator[Problem]:
    catcher = CATCHER | ({"Output"} if language == "JSONata" else {"ResultPath"})
    for name, allowed in (("Retry", RETRIER), ("Catch", catcher)):
        items = [item for item in state.get(name) or [] if isinstance(item, dict)]
        for index, item in enumerate(items):
            for field in item:
                if field not in allowed:
                    yield "Field is not supported", f"/{name}[{index}]/{field}"
            if "States.ALL" in (item.get("ErrorEquals") or []) and index < len(items) - 1:
                yield "States.ALL is only allowed in the last entry", f"/{name}[{index}]/ErrorEquals"
            yield from _variables(item.get("Assign"), f"/{name}[{index}]/Assign")


def _variables(assign: object, place: str) -> Iterator[Problem]:
    for name in assign if isinstance(assign, dict) else ():
        bare = name.removesuffix(".$")
        if bare == "states" or not VARIABLE.match(bare) or len(bare) > LONGEST_VARIABLE:
            yield f"Invalid variable name '{bare}'", f"{place}/{name}"


def _processor(state: dict) -> Iterator[Problem]:
    config = (state.get("ItemProcessor") or {}).get("ProcessorConfig") if isinstance(state.get("ItemProcessor"), dict) else None
    if isinstance(config, dict) and config.get("Mode") == "DISTRIBUTED" and "ExecutionType" not in config:
        yield "The field 'ExecutionType' is required but was missing", "/ItemProcessor/ProcessorConfig"


def _resource(state: dict) -> Iterator[Problem]:
    resource = state.get("Resource")
    match = SDK.match(resource) if isinstance(resource, str) else None
    if match is None:
        return
    service, action, pattern = match.groups()
    operations = _operations()(service)
    if (operations is not None and action not in operations) or pattern not in (None, ".waitForTaskToken"):
        yield (
            f"The resource provided {resource} is not recognized. The value is not a valid resource ARN, or the resource is not "
            "available in this region.",
            "/Resource",
        )


@lru_cache(maxsize=1)
def _operations() -> Callable[[str], set[str] | None]:
    """The actions of an SDK service, spelt as in an integration's ARN; None for services whose name there is not botocore's."""
    import botocore.session

    session = botocore.session.get_session()
    known = set(session.get_available_services())

    @lru_cache(maxsize=64)
    def of(service: str) -> set[str] | None:
        name = {"sfn": "stepfunctions", "eventbridge": "events"}.get(service, service)
        if name not in known:
            return None
        return {operation[0].lower() + operation[1:] for operation in session.get_service_model(name).operation_names}

    return of
