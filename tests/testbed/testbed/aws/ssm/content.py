"""The content of a Command document: parsed, and refused where AWS refuses it.

Schema 2.2 (``mainSteps``) is what customers write; 1.2 (``runtimeConfig``) is read for Amazon's own old
documents. Errors: ``InvalidDocumentContent``, ``InvalidDocumentSchemaVersion``, ``MaxDocumentSizeExceeded``.
Source: user guide, "SSM document syntax" and "SSM document schemas and features".
"""

import re
from dataclasses import dataclass, field

from . import plugins
from .errors import ServiceError
from .text import Text, check_size, load
from .text import invalid as _invalid

SCHEMAS = ("1.2", "2.0", "2.2")
PARAMETER_TYPES = ("String", "StringList", "Boolean", "Integer", "MapList", "StringMap")
#: The agent drops a parameter whose name is anything else (``parameters.go``, paramNameRegex).
PARAMETER_NAME = re.compile(r"^[a-zA-Z0-9]+$")
REFERENCE = re.compile(r"\{\{\s*([a-zA-Z0-9]+)\s*\}\}")
_TOP_LEVEL = {"schemaVersion", "description", "parameters", "mainSteps", "runtimeConfig"}


@dataclass(frozen=True)
class Parameter:
    """A declared parameter; ``default`` is None when the caller must give a value."""

    name: str
    type: str = "String"
    description: str = ""
    default: object = None
    allowed_values: tuple = ()
    allowed_pattern: str | None = None
    limits: dict = field(default_factory=dict)

    @property
    def required(self) -> bool:
        return self.default is None


@dataclass(frozen=True)
class Step:
    """One plugin of the document: ``name`` is what the API reports, ``plugin`` what runs."""

    name: str
    plugin: str
    inputs: dict
    precondition: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Content(Text):
    """A valid document."""

    steps: tuple[Step, ...] = ()

    @property
    def platforms(self) -> list[str]:
        """Platforms on which at least one step can run: what AWS shows as PlatformTypes."""
        return [p for p in ("Windows", "Linux") if any(_reaches(step, p) for step in self.steps)]


def parse(text: str, document_format: str = "JSON") -> Content:
    """Reads and checks a document's content."""
    check_size(text)
    raw = load(text, document_format)
    schema = str(raw.get("schemaVersion", ""))
    if not schema:
        raise _invalid("The document has no schemaVersion.")
    if schema not in SCHEMAS:
        raise ServiceError(
            "InvalidDocumentSchemaVersion",
            f"The schema version {schema} is not supported for documents of type Command.",
        )
    if unknown := sorted(set(raw) - _TOP_LEVEL):
        raise _invalid(f"The document has unknown elements: {', '.join(unknown)}.")
    parameters = _parameters(raw.get("parameters") or {})
    steps = _runtime_config(raw) if schema == "1.2" else _main_steps(raw)
    _check_references(raw, parameters)
    _check_script_types(steps, parameters)
    return Content(text, schema, str(raw.get("description") or ""), parameters, steps)


def _parameters(raw) -> dict[str, Parameter]:
    if not isinstance(raw, dict):
        raise _invalid("parameters must be an object.")
    return {name: _parameter(name, declared) for name, declared in raw.items()}


def _parameter(name: str, raw) -> Parameter:
    if not PARAMETER_NAME.match(str(name)):
        raise _invalid(f"The parameter name {name} is not valid: letters and digits only.")
    if not isinstance(raw, dict) or raw.get("type") not in PARAMETER_TYPES:
        raise _invalid(f"The parameter {name} needs a type, one of {', '.join(PARAMETER_TYPES)}.")
    pattern = raw.get("allowedPattern")
    if pattern is not None:
        try:
            re.compile(pattern)
        except re.error as error:
            raise _invalid(f"The allowedPattern of parameter {name} is not valid: {error}.") from error
    allowed = tuple(raw.get("allowedValues") or ())
    default = raw.get("default")
    for value in default if isinstance(default, list) else [default]:
        if default is not None and allowed and value not in allowed:
            raise _invalid(f"The default of parameter {name} is not one of its allowedValues.")
    limits = {key: raw[key] for key in ("minItems", "maxItems", "minChars", "maxChars") if key in raw}
    return Parameter(name, raw["type"], str(raw.get("description") or ""), default, allowed, pattern, limits)


def _main_steps(raw: dict) -> tuple[Step, ...]:
    steps = raw.get("mainSteps")
    if "runtimeConfig" in raw or not isinstance(steps, list) or not steps:
        raise _invalid("A document of schema version 2.x needs mainSteps, with at least one step.")
    made = tuple(_step(step) for step in steps)
    names = [step.name for step in made]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise _invalid(f"Step names must be unique: {', '.join(twice)}.")
    return made


def _step(raw) -> Step:
    if not isinstance(raw, dict) or not raw.get("action") or not raw.get("name"):
        raise _invalid("Each step of mainSteps needs an action and a name.")
    name, inputs = str(raw["name"]), raw.get("inputs") or {}
    _check_plugin(raw["action"], name, inputs)
    return Step(name, raw["action"], inputs, _precondition(raw.get("precondition"), name))


def _precondition(raw, step: str) -> dict:
    if raw is None:
        return {}
    well_formed = isinstance(raw, dict) and all(
        isinstance(arguments, list) and all(isinstance(a, str) for a in arguments) for arguments in raw.values()
    )
    if not well_formed:
        raise _invalid(f"The precondition of step {step} must map an operator to a list of strings.")
    return raw


def _runtime_config(raw: dict) -> tuple[Step, ...]:
    config = raw.get("runtimeConfig")
    if not isinstance(config, dict) or not config:
        raise _invalid("A document of schema version 1.2 needs runtimeConfig.")
    steps = []
    for plugin, settings in config.items():
        properties = (settings or {}).get("properties") or {}
        for inputs in properties if isinstance(properties, list) else [properties]:
            _check_plugin(plugin, plugin, inputs)
            steps.append(Step(plugin, plugin, inputs))
    return tuple(steps)


def _check_plugin(plugin: str, step: str, inputs) -> None:
    if not plugins.known(plugin):
        raise _invalid(f"The action {plugin} of step {step} is not a plugin of Command documents.")
    if not isinstance(inputs, dict):
        raise _invalid(f"The inputs of step {step} must be an object.")
    if plugin in plugins.SCRIPTS and not isinstance(inputs.get("runCommand"), (str, list)):
        raise _invalid(f"Step {step} needs the input runCommand, a string or a list of strings.")


def _check_references(raw: dict, parameters: dict[str, Parameter]) -> None:
    """AWS refuses a document that uses a parameter which it does not declare."""
    used = {name for part in ("mainSteps", "runtimeConfig") for name in _references(raw.get(part))}
    if undeclared := sorted(used - set(parameters)):
        raise _invalid(f"The document uses parameters that it does not declare: {', '.join(undeclared)}.")


def _check_script_types(steps: tuple[Step, ...], parameters: dict[str, Parameter]) -> None:
    """A script line takes strings: user guide, "SSM document parameter type examples"."""
    for step in (s for s in steps if s.plugin in plugins.SCRIPTS):
        commands = step.inputs["runCommand"]
        for line in commands if isinstance(commands, list) else [commands]:
            alone = re.fullmatch(REFERENCE, line) if isinstance(line, str) else None
            if alone and parameters[alone[1]].type not in ("String", "StringList"):
                raise _invalid(
                    f"runCommand of step {step.name} takes strings; the parameter {alone[1]} is of type "
                    f"{parameters[alone[1]].type}."
                )


def _references(value):
    if isinstance(value, str):
        yield from REFERENCE.findall(value)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _references(item)


def _reaches(step: Step, platform: str) -> bool:
    """Whether the step's plugin exists there and its precondition does not name another platform."""
    arguments = step.precondition.get("StringEquals") or []
    if "platformType" in arguments:
        named = [a for a in arguments if a != "platformType"]
        if named and named[0].lower() != platform.lower():
            return False
    return plugins.supported(step.plugin, platform)
