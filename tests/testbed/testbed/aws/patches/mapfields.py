"""ItemBatcher and ResultWriter of Distributed Maps, which LocalStack's grammar does not know or does not fill
(docs.aws.amazon.com/step-functions/latest/dg/input-output-itembatcher.html, …/input-output-resultwriter.html).

Both are taken out of a definition before LocalStack parses it and given to the map state when it is built. What stands in them is read by
LocalStack's own components, as the Parameters or the Output of a Pass state.
"""

import copy
import json
import re
import threading

from testbed.aws.patches import resultfiles
from testbed.aws.patches.batches import Batcher

FIELDS = ("ItemBatcher", "ResultWriter")

WHOLE_PERCENTAGE = re.compile(r'("ToleratedFailurePercentage"\s*:\s*\d+)(?![\d.])')
"""LocalStack's grammar wants a decimal point in a percentage, which no one writes."""

_PARSING = threading.local()


class Template:
    """A JSON value with expressions or paths in it."""

    def __init__(self, value: dict, language: str, parse):
        if language == "JSONPath":
            value = {f"{name[:-4]}.$" if name.endswith("Path") else name: item for name, item in value.items()}
        field = "Output" if language == "JSONata" else "Parameters"
        state = {"Type": "Pass", field: value, "End": True}
        program = parse(json.dumps({"QueryLanguage": language, "StartAt": "Template", "States": {"Template": state}}))[0]
        found = program.states.states["Template"]
        self._component = found.output.jsonata_template_value if language == "JSONata" else found.parameters

    def value(self, env) -> dict:
        """What the template gives in this environment. Raises the interpreter's own failures."""
        # A JSONPath template reads its input from the stack.
        env.stack.append(env.states.get_input())
        self._component.eval(env=env)
        value = env.stack.pop()
        env.stack.pop()
        return value


def _take(definition: object, language: str, found: dict[str, tuple[str, dict]]) -> None:
    """Removes the fields from every map state of a definition, and notes them by the state's name."""
    if not isinstance(definition, dict):
        return
    language = definition.get("QueryLanguage", language)
    states = definition.get("States")
    for name, state in states.items() if isinstance(states, dict) else ():
        if not isinstance(state, dict):
            continue
        own = state.get("QueryLanguage", language)
        if state.get("Type") == "Map":
            taken = {field: state.pop(field) for field in FIELDS if field in state}
            if taken:
                found[name] = (own, taken)
        for branch in state.get("Branches") or []:
            _take(branch, own, found)
        for field in ("ItemProcessor", "Iterator"):
            _take(state.get(field), own, found)


def _counts() -> None:
    """LocalStack takes a ToleratedFailureCount that is an expression for a percentage."""
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_map.tolerated_failure import (
        ToleratedFailureCountStringJSONata,
    )
    from localstack.services.stepfunctions.asl.parse.preprocessor import Preprocessor

    def visit(self, ctx):
        return ToleratedFailureCountStringJSONata(string_jsonata=self.visitString_jsonata(ctx=ctx.string_jsonata()))

    Preprocessor.visitTolerated_failure_count_string_jsonata = visit


def apply() -> None:
    """Reads the fields, and does what they say."""
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_map.state_map import StateMap
    from localstack.services.stepfunctions.asl.parse.asl_parser import AmazonStateLanguageParser

    _counts()
    parse_as_localstack = AmazonStateLanguageParser.parse
    from_state_props = StateMap.from_state_props

    def parse(definition: str):
        found: dict[str, tuple[str, dict]] = {}
        if any(f'"{field}"' in definition for field in FIELDS):
            document = json.loads(definition)
            _take(document, document.get("QueryLanguage", "JSONPath"), found)
            definition = json.dumps(document)
        outer, _PARSING.found = getattr(_PARSING, "found", {}), found
        try:
            return parse_as_localstack(WHOLE_PERCENTAGE.sub(r"\1.0", definition))
        finally:
            _PARSING.found = outer

    def with_fields(self, state_props) -> None:
        from_state_props(self, state_props)
        language, fields = getattr(_PARSING, "found", {}).get(self.name, (None, {}))
        iteration = self.iteration_component
        iteration.batcher = iteration.writer = None
        if "ItemBatcher" in fields:
            iteration.batcher = Batcher(Template(copy.deepcopy(fields["ItemBatcher"]), language, parse))
        if "ResultWriter" in fields:
            iteration.writer = self.result_writer = resultfiles.Writer(Template(copy.deepcopy(fields["ResultWriter"]), language, parse))

    AmazonStateLanguageParser.parse = staticmethod(parse)
    StateMap.from_state_props = with_fields
