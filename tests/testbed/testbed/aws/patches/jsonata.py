"""JSONata evaluated by jsonata-python, in place of a JVM that LocalStack would download.

Variables are bound as values: LocalStack writes them into the expression's text, which breaks strings with quotes or line ends in them.
Errors are States.QueryEvaluationError, which states can catch (docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html), and
$now() and $millis() follow the bed's clock.
"""

import copy
import hashlib
import json
import math
import random
import uuid
from collections.abc import Callable
from functools import lru_cache

from jsonata import Jsonata
from jsonata.timebox import Timebox
from jsonata.utils import Utils

from testbed.aws.settings import CLOCK


class EvaluationError(Exception):
    """An expression could not be evaluated; the text is what AWS appends to its own sentence."""


class Undefined(Exception):
    """An expression has no value."""


_HASHES = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
_JSON_TYPES = (str, bool, int, float, dict, list)
_LARGEST_EXACT_INTEGER = 2**53


def _partition(array: list, size: float) -> list:
    size = math.floor(size)
    return [array[start : start + size] for start in range(0, len(array), size)] if size > 0 else []


def _range(first: float, last: float, step: float) -> list:
    if not step or (last - first) / step < 0:
        return []
    return [first + index * step for index in range(math.floor((last - first) / step) + 1)]


def _hash(value: str, algorithm: str) -> str:
    if algorithm not in _HASHES:
        raise EvaluationError(f"$hash knows {', '.join(_HASHES)}, not {algorithm}")
    return hashlib.new(_HASHES[algorithm], value.encode()).hexdigest()


def _random(seed: float | None = None) -> float:
    return random.random() if seed is None else random.Random(seed).random()


def _refused_eval(*_arguments: object) -> None:
    raise EvaluationError("$eval is not supported, use $parse")


AWS_FUNCTIONS: dict[str, Callable] = {
    "partition": _partition,
    "range": _range,
    "hash": _hash,
    "random": _random,
    "uuid": lambda: str(uuid.uuid4()),
    "parse": json.loads,
    "eval": _refused_eval,
}
"""The functions that Step Functions adds to JSONata, and the one that it takes away
(docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html#jsonata-functions)."""


@lru_cache(maxsize=4096)
def _parsed(expression: str) -> Jsonata:
    return Jsonata(expression)


def evaluate(expression: str, variables: dict[str, object]) -> object:
    """The value of an expression as JSON. Raises Undefined when it has none and EvaluationError when it fails."""
    try:
        # The syntax tree is shared; what an evaluation changes is its own.
        query = copy.copy(_parsed(expression))
        query.environment = query.create_frame(Jsonata.static_frame)
        query.set_output_convert_nulls(False)
        Jsonata.CURRENT.jsonata = query
        bindings = {name: Jsonata.JLambda(function) for name, function in AWS_FUNCTIONS.items()}
        bindings |= {name: Utils.NULL_VALUE if value is None else value for name, value in variables.items()}
        result = query.evaluate(None, bindings)
    except (Undefined, EvaluationError):
        raise
    except RecursionError as error:
        raise EvaluationError("the expression recurses too deeply") from error
    except Exception as error:
        code = getattr(error, "error", None)
        text = str(error)
        raise EvaluationError(text if not code or text.startswith(str(code)) else f"{code}: {text}") from error
    if result is None:
        raise Undefined(expression)
    return to_json(result)


def to_json(value: object) -> object:
    """A result as plain JSON values; whole numbers are integers, as in AWS's answers. Raises EvaluationError for what is not JSON."""
    if value is Utils.NULL_VALUE or value is None or isinstance(value, (str, bool, int)):
        return None if value is Utils.NULL_VALUE else value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise EvaluationError("D1001: Number out of range")
        return int(value) if value.is_integer() and abs(value) < _LARGEST_EXACT_INTEGER else value
    if isinstance(value, dict):
        return {str(name): to_json(item) for name, item in value.items() if not callable(item)}
    if isinstance(value, (list, range)) or hasattr(value, "__iter__"):
        return [to_json(item) for item in value]
    raise EvaluationError("returned an unsupported result type.")


def type_name(value: object) -> str:
    """JSON's name for the type of a value."""
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object", type(None): "null"}
    return names[type(value)]


def syntax_error(expression: str) -> str | None:
    """What is wrong with the syntax of an expression; None when nothing is."""
    try:
        _parsed(expression)
    except Exception as error:
        return str(error)
    return None


def apply() -> None:
    """Puts this evaluator behind every JSONata string of a state machine."""
    from localstack.services.stepfunctions.asl.component.common.string import string_expression
    from localstack.services.stepfunctions.asl.component.state.state_choice.comparison import comparison
    from localstack.services.stepfunctions.asl.jsonata import jsonata as localstack_jsonata

    Timebox.current_milli_time = staticmethod(lambda: round(CLOCK.now() * 1000))

    def _eval_string(self, env) -> None:
        env.stack.append(_evaluate_in(env, self.expression))

    def _eval_condition(self, env) -> None:
        self.string_jsonata.eval(env=env)
        value = env.stack[-1]
        if not isinstance(value, bool):
            expression = self.string_jsonata.expression
            raise _failure(
                env,
                f"The JSONata expression '{expression}' specified for the field 'Condition' returned an unexpected result type. "
                f"Expected 'boolean', but was '{type_name(value)}' for value: {json.dumps(value, separators=(',', ':'))}",
            )

    string_expression.StringJSONata._eval_body = _eval_string
    string_expression.StringVariableSample._eval_body = _eval_string
    comparison.ConditionStringJSONata._eval_body = _eval_condition
    # Whatever still evaluates composed text gets this evaluator too.
    localstack_jsonata._eval_jsonata = lambda expression: evaluate(expression, {})


def _evaluate_in(env, expression: str) -> object:
    store = env.variable_store
    variables = {**store._outer_scope, **store._inner_scope, "states": env.states._states_data}
    try:
        return evaluate(expression, variables)
    except Undefined:
        raise _failure(env, f"The JSONata expression '{expression}'{_field(env)} returned nothing (undefined).") from None
    except EvaluationError as error:
        raise _failure(env, f"The JSONata expression '{expression}'{_field(env)} threw an error during evaluation. {error}") from error


def _field(env) -> str:
    name = env.next_field_name
    return f" specified for the field '{name}'" if name in ("Output", "Items", "Condition", "Seconds", "Timestamp") else ""


def _failure(env, cause: str) -> Exception:
    from localstack.aws.api.stepfunctions import EvaluationFailedEventDetails, HistoryEventType
    from localstack.services.stepfunctions.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
    from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name import StatesErrorName
    from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
    from localstack.services.stepfunctions.asl.eval.event.event_detail import EventDetails

    name = StatesErrorName(typ=StatesErrorNameType.StatesQueryEvaluationError)
    failure = FailureEvent(
        env=env,
        error_name=name,
        event_type=HistoryEventType.EvaluationFailed,
        event_details=EventDetails(evaluationFailedEventDetails=EvaluationFailedEventDetails(cause=cause, error=name.error_name)),
    )
    exception = FailureEventException(failure_event=failure)
    env.event_manager.add_event(
        context=env.event_history_context,
        event_type=HistoryEventType.EvaluationFailed,
        event_details=EventDetails(evaluationFailedEventDetails=exception.get_evaluation_failed_event_details()),
    )
    # The history has it already; the state that fails by it must not write it again.
    failure.recorded = True
    return exception
