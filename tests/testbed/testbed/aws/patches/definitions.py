"""Definitions that AWS refuses and LocalStack takes: wrong transitions, names used twice, fields that a state does not have.

The codes and words are those of ValidateStateMachineDefinition
(docs.aws.amazon.com/step-functions/latest/apireference/API_ValidateStateMachineDefinitionDiagnostic.html) as far as they are published.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from testbed.aws.patches import jsonata, statefields

TRANSITIONS = {"Task", "Pass", "Wait", "Parallel", "Map"}
"""States that need exactly one of Next and End."""

LONGEST_NAME = 80
LONGEST_LABEL = 40
LARGEST_DEFINITION_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Finding:
    """One reason to refuse a definition, with the JSON pointer of what is wrong."""

    code: str
    text: str
    pointer: str

    def __str__(self) -> str:
        return f"{self.code}: {self.text} at {self.pointer}"


def findings(definition: dict) -> list[Finding]:
    """What is wrong with a definition, as far as this module looks; the parser looks at the rest."""
    names: set[str] = set()
    language = definition.get("QueryLanguage", "JSONPath") if isinstance(definition, dict) else "JSONPath"
    return [*_machine(definition), *_scope(definition, "", names, language), *_expressions(definition, "", language)]


def _machine(definition: object) -> Iterator[Finding]:
    if isinstance(definition, dict) and isinstance(definition.get("TimeoutSeconds"), int) and definition["TimeoutSeconds"] < 1:
        yield Finding("SCHEMA_VALIDATION_FAILED", "Value is less than the minimum of 1", "/TimeoutSeconds")


def _expressions(value: object, pointer: str, language: str) -> Iterator[Finding]:
    """JSONata that cannot be parsed, wherever it stands in a state that speaks JSONata."""
    if isinstance(value, dict):
        language = value.get("QueryLanguage", language)
        for name, item in value.items():
            if name == "Comment" and isinstance(item, str):
                continue  # words, whatever they look like
            yield from _expressions(item, f"{pointer}/{name}", language)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _expressions(item, f"{pointer}[{index}]", language)
    elif isinstance(value, str) and language == "JSONata" and value.startswith("{%") and value.endswith("%}"):
        error = jsonata.syntax_error(value[2:-2].strip())
        if error:
            yield Finding("SCHEMA_VALIDATION_FAILED", f"Invalid JSONata expression: {error}", pointer)


def _scope(scope: object, pointer: str, names: set[str], language: str) -> Iterator[Finding]:
    states = scope.get("States") if isinstance(scope, dict) else None
    if not isinstance(states, dict) or not all(isinstance(state, dict) for state in states.values()):
        return  # not even the shape of a definition: the parser says so
    start = scope.get("StartAt")
    if start is not None and start not in states:
        yield Finding("MISSING_TRANSITION_TARGET", f"Missing 'StartAt' target: {start}", f"{pointer}/StartAt")
    reached = {start}
    for name, state in states.items():
        here = f"{pointer}/States/{name}"
        if name in names:
            yield Finding("DUPLICATE_STATE_NAME", f"Duplicate State name: {name}", here)
        names.add(name)
        if len(name) > LONGEST_NAME:
            yield Finding("SCHEMA_VALIDATION_FAILED", f"State name must not be longer than {LONGEST_NAME} characters", here)
        for target, place in _targets(state, here):
            reached.add(target)
            if target not in states:
                yield Finding("MISSING_TRANSITION_TARGET", f"Missing 'Next' target: {target}", place)
        own = state.get("QueryLanguage", language)
        yield from _state(state, here)
        for text, place in statefields.problems(state, own):
            yield Finding("SCHEMA_VALIDATION_FAILED", text, f"{here}{place}")
        yield from _inner(state, here, names, own)
    for name in states:
        if name not in reached:
            yield Finding("MISSING_TRANSITION_TARGET", f'State "{name}" is not reachable.', f"{pointer}/States/{name}")


def _targets(state: dict, here: str) -> Iterator[tuple[str, str]]:
    for field in ("Next", "Default"):
        if isinstance(state.get(field), str):
            yield state[field], f"{here}/{field}"
    for field in ("Catch", "Choices"):
        for index, item in enumerate(state.get(field) or []):
            if isinstance(item, dict) and isinstance(item.get("Next"), str):
                yield item["Next"], f"{here}/{field}[{index}]/Next"


def _state(state: dict, here: str) -> Iterator[Finding]:
    kind = state.get("Type")
    if kind in TRANSITIONS:
        given = [field for field in ("Next", "End") if state.get(field)]
        if len(given) != 1:
            yield Finding("SCHEMA_VALIDATION_FAILED", "The state must have exactly one of the fields [Next, End]", here)
    if len(str(state.get("Label", ""))) > LONGEST_LABEL:
        yield Finding("SCHEMA_VALIDATION_FAILED", f"Label must not be longer than {LONGEST_LABEL} characters", f"{here}/Label")


def _inner(state: dict, here: str, names: set[str], language: str) -> Iterator[Finding]:
    for index, branch in enumerate(state.get("Branches") or []):
        yield from _scope(branch, f"{here}/Branches[{index}]", names, language)
    for field in ("ItemProcessor", "Iterator"):
        if isinstance(state.get(field), dict):
            yield from _scope(state[field], f"{here}/{field}", names, language)


def apply() -> None:
    """Adds these checks to every place that takes a definition."""
    from localstack.aws.api.stepfunctions import InvalidDefinition
    from localstack.services.stepfunctions.provider import StepFunctionsProvider

    original = StepFunctionsProvider._validate_definition

    def _validate_definition(definition, static_analysers) -> None:
        if len(definition.encode()) > LARGEST_DEFINITION_BYTES:
            raise InvalidDefinition("Invalid State Machine Definition: 'The state machine definition exceeds 1MB'")
        try:
            found = findings(json.loads(definition))
        except ValueError as error:
            raise InvalidDefinition(f"Invalid State Machine Definition: 'INVALID_JSON_DESCRIPTION: {error}'") from error
        if found:
            raise InvalidDefinition(f"Invalid State Machine Definition: '{', '.join(map(str, found))}'")
        original(definition, static_analysers)

    StepFunctionsProvider._validate_definition = staticmethod(_validate_definition)
