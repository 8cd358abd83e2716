"""What LocalStack's JSONPath side gets wrong: an ItemsPath that leads to no array is States.Runtime, and so is a Choice that compares what is
not there, which IsPresent is for (docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html, …/dg/state-choice.html); `null` is an argument of an intrinsic function
(states-language.net/spec.html#intrinsic-functions), which LocalStack's grammar skips over.
"""

import re

BARE_NULL = re.compile(r"('(?:\\.|[^'\\])*')|\bnull\b")
"""A quoted string, or the word null outside of one."""


def apply() -> None:
    """Mends all three."""
    _items()
    _choices()
    _nulls()


def _runtime(env, cause: str) -> Exception:
    from localstack.aws.api.stepfunctions import ExecutionFailedEventDetails, HistoryEventType
    from localstack.services.stepfunctions.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
    from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name import StatesErrorName
    from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
    from localstack.services.stepfunctions.asl.eval.event.event_detail import EventDetails

    name = StatesErrorName(typ=StatesErrorNameType.StatesRuntime)
    details = ExecutionFailedEventDetails(error=name.error_name, cause=cause)
    failure = FailureEvent(
        env=env,
        error_name=name,
        event_type=HistoryEventType.ExecutionFailed,
        event_details=EventDetails(executionFailedEventDetails=details),
    )
    return FailureEventException(failure)


def _items() -> None:
    from localstack.services.stepfunctions.asl.component.common.path.items_path import ItemsPath

    original = ItemsPath._eval_body

    def _eval_body(self, env) -> None:
        original(self, env)
        if not isinstance(env.stack[-1], list):
            raise _runtime(env, f'Reference path "{self.string_sampler.literal_value}" must point to array.')

    ItemsPath._eval_body = _eval_body


def _choices() -> None:
    from localstack.services.stepfunctions.asl.component.state.state_choice.comparison.comparison_operator_type import ComparisonOperatorType
    from localstack.services.stepfunctions.asl.component.state.state_choice.comparison.comparison_variable import ComparisonVariable
    from localstack.services.stepfunctions.asl.component.state.state_choice.comparison.variable import NoSuchVariable

    def _eval_body(self, env) -> None:
        self.variable.eval(env)
        present = self.comparison_function.operator_type == ComparisonOperatorType.IsPresent
        if isinstance(env.stack[-1], NoSuchVariable) and not present:
            path = self.variable.string_sampler.literal_value
            raise _runtime(env, f"Invalid path '{path}': The choice state's condition path references an invalid value.")
        self.comparison_function.eval(env)

    ComparisonVariable._eval_body = _eval_body


def _nulls() -> None:
    from localstack.services.stepfunctions.asl.parse.intrinsic.intrinsic_parser import IntrinsicParser

    parse = IntrinsicParser.parse

    def with_nulls(source: str):
        return parse(BARE_NULL.sub(lambda found: found.group(1) or "States.StringToJson('null')", source))

    IntrinsicParser.parse = staticmethod(with_nulls)
