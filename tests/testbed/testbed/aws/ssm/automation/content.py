"""The content of an Automation runbook, schema 0.3: parsed, and refused where AWS refuses it.

Errors: ``InvalidDocumentContent``, ``InvalidDocumentSchemaVersion``, ``MaxDocumentSizeExceeded``. Source: user guide, "Data elements and
parameters" (of schema 0.3) and "Systems Manager Automation actions reference" (properties shared by all actions).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .. import text as texts
from ..content import Parameter
from ..errors import ServiceError, not_built
from ..text import invalid

SCHEMA = "0.3"
_TOP_LEVEL = {"schemaVersion", "description", "assumeRole", "parameters", "mainSteps", "outputs"}
_NOT_BUILT = {"variables": "variables of runbooks", "files": "files of runbooks"}
_STEP = {
    "name", "action", "inputs", "description", "nextStep", "isEnd", "isCritical", "onFailure", "onCancel", "maxAttempts",
    "timeoutSeconds", "outputs",
}  # fmt: skip
_SIMPLE_TYPES = ("String", "StringList", "Boolean", "Integer", "MapList", "StringMap")
#: A reference: a parameter, a step's output, or a fact of the execution.
REFERENCE = re.compile(r"\{\{\s*([A-Za-z0-9_]+(?:[.:][A-Za-z0-9_]+)?)\s*\}\}")
#: Facts of the execution (user guide, "Automation system variables").
SYSTEM_VARIABLES = ("global:ACCOUNT_ID", "global:DATE", "global:DATE_TIME", "global:REGION", "automation:EXECUTION_ID")
#: Actions of AWS that this bed does not have.
_OTHER_ACTIONS = (
    "aws:changeInstanceState", "aws:copyImage", "aws:createImage", "aws:createStack", "aws:createTags", "aws:deleteImage",
    "aws:deleteStack", "aws:executeAutomation", "aws:executeScript", "aws:executeStateMachine", "aws:invokeLambdaFunction",
    "aws:invokeWebhook", "aws:loop", "aws:runInstances", "aws:updateVariable",
)  # fmt: skip
#: Action -> (inputs that it needs, inputs that it may have; None: the API's own besides).
ACTIONS: dict[str, tuple[set[str], set[str] | None]] = {
    "aws:approve": ({"Approvers"}, {"NotificationArn", "Message", "MinRequiredApprovals"}),
    "aws:assertAwsResourceProperty": ({"Service", "Api", "PropertySelector", "DesiredValues"}, None),
    "aws:branch": ({"Choices"}, {"Default"}),
    "aws:executeAwsApi": ({"Service", "Api"}, None),
    "aws:pause": (set(), set()),
    "aws:runCommand": (
        {"DocumentName"},
        {
            "InstanceIds", "Targets", "Parameters", "Comment", "DocumentHash", "DocumentHashType", "DocumentVersion", "MaxConcurrency",
            "MaxErrors", "OutputS3BucketName", "OutputS3KeyPrefix", "TimeoutSeconds", "CloudWatchOutputConfig",
        },
    ),
    "aws:sleep": (set(), {"Duration", "Timestamp"}),
    "aws:waitForAwsResourceProperty": ({"Service", "Api", "PropertySelector", "DesiredValues"}, None),
}  # fmt: skip
#: Seconds; where the reference gives an action a timeout of its own.
DEFAULT_TIMEOUT = {"aws:waitForAwsResourceProperty": 3_600, "aws:pause": 604_800, "aws:approve": 604_800}


@dataclass(frozen=True)
class Output:
    """A value that a step takes from an API's answer."""

    name: str
    selector: str
    type: str


@dataclass(frozen=True)
class Step:
    """One step of a runbook."""

    name: str
    action: str
    inputs: dict
    outputs: tuple[Output, ...]
    next_step: str | None
    is_end: bool
    is_critical: bool
    on_failure: str
    max_attempts: int
    timeout: float | None


@dataclass(frozen=True)
class Runbook(texts.Text):
    """A valid runbook."""

    steps: tuple[Step, ...] = ()
    assume_role: str = ""
    outputs: tuple[str, ...] = ()

    @property
    def platforms(self) -> list[str]:
        """What AWS shows of a runbook, whatever it does."""
        return ["Windows", "Linux", "MacOS"]

    def index(self, name: str) -> int:
        """The place of a step."""
        return next(i for i, step in enumerate(self.steps) if step.name == name)


def parse(text: str, document_format: str = "JSON") -> Runbook:
    """Reads and checks a runbook."""
    texts.check_size(text)
    raw = texts.load(text, document_format)
    schema = str(raw.get("schemaVersion", ""))
    if schema != SCHEMA:
        raise ServiceError(
            "InvalidDocumentSchemaVersion", f"The schema version {schema} is not supported for documents of type Automation."
        )
    for name, feature in _NOT_BUILT.items():
        if name in raw:
            raise not_built(feature)
    if unknown := sorted(set(raw) - _TOP_LEVEL):
        raise invalid(f"The document has unknown elements: {', '.join(unknown)}.")
    parameters = _parameters(raw.get("parameters") or {})
    steps = _steps(raw.get("mainSteps"))
    outputs = tuple(str(output) for output in raw.get("outputs") or [])
    runbook = Runbook(
        text, schema=SCHEMA, description=str(raw.get("description") or ""), parameters=parameters, steps=steps,
        assume_role=str(raw.get("assumeRole") or ""), outputs=outputs,
    )  # fmt: skip
    _check_references(raw, runbook)
    return runbook


def _parameters(raw) -> dict[str, Parameter]:
    if not isinstance(raw, dict):
        raise invalid("parameters must be an object.")
    return {name: _parameter(name, declared) for name, declared in raw.items()}


def _parameter(name: str, raw) -> Parameter:
    if not re.fullmatch(r"[A-Za-z0-9_]+", str(name)):
        raise invalid(f"The parameter name {name} is not valid.")
    kind = raw.get("type") if isinstance(raw, dict) else None
    if kind not in _SIMPLE_TYPES and not re.fullmatch(r"(List<)?AWS::[A-Za-z0-9:]+>?", str(kind)):
        raise invalid(f"The parameter {name} needs a type, one of {', '.join(_SIMPLE_TYPES)} or an AWS resource type.")
    pattern = raw.get("allowedPattern")
    try:
        re.compile(pattern or "")
    except re.error as error:
        raise invalid(f"The allowedPattern of parameter {name} is not valid: {error}.") from error
    allowed = tuple(raw.get("allowedValues") or ())
    limits = {key: raw[key] for key in ("minItems", "maxItems", "minChars", "maxChars") if key in raw}
    if kind.startswith("List<"):
        kind = "StringList"
    elif kind.startswith("AWS::"):
        kind = "String"
    return Parameter(name, kind, str(raw.get("description") or ""), raw.get("default"), allowed, pattern, limits)


def _steps(raw) -> tuple[Step, ...]:
    if not isinstance(raw, list) or not raw:
        raise invalid("A runbook needs mainSteps, with at least one step.")
    steps = tuple(_step(step) for step in raw)
    names = [step.name for step in steps]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise invalid(f"Step names must be unique: {', '.join(twice)}.")
    for step in steps:
        for named in _followers(step):
            if named not in names:
                raise invalid(f"Step {step.name} names the step {named}, which does not exist.")
    return steps


def _followers(step: Step) -> Iterator[str]:
    """Each step that this one may lead to by name."""
    if step.next_step:
        yield step.next_step
    if step.on_failure.startswith("step:"):
        yield step.on_failure.removeprefix("step:")
    if step.action == "aws:branch":
        yield from (str(choice.get("NextStep")) for choice in step.inputs["Choices"])
        if step.inputs.get("Default"):
            yield str(step.inputs["Default"])


def _step(raw) -> Step:
    if not isinstance(raw, dict) or not raw.get("action") or not raw.get("name"):
        raise invalid("Each step of mainSteps needs an action and a name.")
    name, action, inputs = str(raw["name"]), raw["action"], raw.get("inputs") or {}
    if not re.fullmatch(r"[A-Za-z0-9_]{1,128}", name):
        raise invalid(f"The step name {name} is not valid: letters, digits and underscores only.")
    if action in _OTHER_ACTIONS:
        raise not_built(f"action {action} of Automation")
    if action not in ACTIONS:
        raise invalid(f"The action {action} of step {name} is not an action of Automation documents.")
    if unknown := sorted(set(raw) - _STEP):
        raise invalid(f"Step {name} has unknown elements: {', '.join(unknown)}.")
    if raw.get("onCancel", "Abort") != "Abort":
        raise not_built("steps that run on a cancel (onCancel)")
    _check_inputs(name, action, inputs)
    on_failure = str(raw.get("onFailure", "Abort"))
    if on_failure not in ("Abort", "Continue") and not on_failure.startswith("step:"):
        raise invalid(f"onFailure of step {name} must be Abort, Continue or step:NAME.")
    return Step(
        name=name,
        action=action,
        inputs=inputs,
        outputs=tuple(_output(name, output) for output in raw.get("outputs") or []),
        next_step=raw.get("nextStep"),
        is_end=_flag(raw.get("isEnd", False)),
        is_critical=_flag(raw.get("isCritical", True)),
        on_failure=on_failure,
        max_attempts=_whole(name, "maxAttempts", raw.get("maxAttempts", 1)),
        timeout=_whole(name, "timeoutSeconds", raw["timeoutSeconds"]) if "timeoutSeconds" in raw else DEFAULT_TIMEOUT.get(action),
    )


def _check_inputs(name: str, action: str, inputs) -> None:
    if not isinstance(inputs, dict):
        raise invalid(f"The inputs of step {name} must be an object.")
    needed, allowed = ACTIONS[action]
    if missing := sorted(needed - set(inputs)):
        raise invalid(f"Step {name} needs the inputs {', '.join(missing)}.")
    if allowed is not None and (unknown := sorted(set(inputs) - needed - allowed)):
        raise invalid(f"Step {name} has unknown inputs: {', '.join(unknown)}.")
    if action == "aws:sleep" and len(inputs) != 1:
        raise invalid(f"Step {name} needs either Duration or Timestamp.")
    if action == "aws:branch" and not all(isinstance(choice, dict) and choice.get("NextStep") for choice in inputs["Choices"]):
        raise invalid(f"Each of the Choices of step {name} needs a NextStep.")


def _output(step: str, raw) -> Output:
    if not isinstance(raw, dict) or not raw.get("Name") or not str(raw.get("Selector", "")).startswith("$"):
        raise invalid(f"Each output of step {step} needs a Name and a Selector that begins with $.")
    return Output(str(raw["Name"]), str(raw["Selector"]), str(raw.get("Type", "String")))


def _check_references(raw: dict, runbook: Runbook) -> None:
    steps = {step.name for step in runbook.steps}
    for found in _references([raw.get("mainSteps"), raw.get("assumeRole")]):
        head = re.split("[.:]", found)[0]
        if found in SYSTEM_VARIABLES or found in runbook.parameters or ("." in found and head in steps):
            continue
        raise invalid(f"The document refers to {found}, which is neither a parameter nor a step's output.")
    for output in runbook.outputs:
        if output.split(".")[0] not in steps:
            raise invalid(f"The output {output} is not one of a step.")


def _references(value) -> Iterator[str]:
    if isinstance(value, str):
        yield from REFERENCE.findall(value)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _references(item)


def _flag(value: object) -> bool:
    return str(value).lower() == "true"


def _whole(step: str, what: str, value: object) -> int:
    try:
        return int(str(value))
    except ValueError as error:
        raise invalid(f"{what} of step {step} must be a whole number.") from error
