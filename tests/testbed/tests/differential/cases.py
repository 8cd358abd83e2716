"""Definitions that two interpreters run, with their inputs. `${QUEUE}` is the URL of a queue that exists, `${CHILD}` the ARN of a state
machine that answers `{"answer": input.n * 2}` and fails with Child.Failed when there is no n."""

PASS = {"Type": "Pass", "End": True}
ODD = {"Error": "Odd", "Cause": "an odd number"}


def path(*states: dict, **more: object) -> dict:
    """A JSONPath machine of states A, B, C …, one after the other."""
    return _chain(states) | more


def jsonata(*states: dict, **more: object) -> dict:
    """A JSONata machine of states A, B, C …, one after the other."""
    return {"QueryLanguage": "JSONata", **_chain(states), **more}


def _chain(states: tuple[dict, ...]) -> dict:
    named = {chr(ord("A") + place): dict(state) for place, state in enumerate(states)}
    names = list(named)
    for name, following in zip(names, [*names[1:], None], strict=True):
        if named[name]["Type"] not in ("Choice", "Fail", "Succeed") and "Next" not in named[name] and "End" not in named[name]:
            named[name] |= {"Next": following} if following else {"End": True}
    return {"StartAt": names[0], "States": named}


def p(**fields: object) -> dict:
    """A Pass state."""
    return {"Type": "Pass", **fields}


def choice(*choices: dict, default: str | None = "No") -> dict:
    """A JSONPath machine that ends in Yes or No."""
    state = {"Type": "Choice", "Choices": [{**rule, "Next": "Yes"} for rule in choices], **({"Default": default} if default else {})}
    return {"StartAt": "A", "States": {"A": state, "Yes": p(Result="yes", End=True), **({"No": p(Result="no", End=True)} if default else {})}}


def send(**fields: object) -> dict:
    """A task that sends a message to the queue (JSONPath)."""
    return {
        "Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage",
        "Parameters": {"QueueUrl": "${QUEUE}", "MessageBody": "hello"}, **fields,
    }  # fmt: skip


def lost(**fields: object) -> dict:
    """A task whose queue does not exist (JSONPath)."""
    return send(Parameters={"QueueUrl": "${QUEUE}-missing", "MessageBody": "hello"}, **fields)


def ask(**fields: object) -> dict:
    """A task that nobody answers (JSONPath)."""
    body = {"token.$": "$$.Task.Token"}
    return {
        "Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": "${QUEUE}", "MessageBody": body}, **fields,
    }  # fmt: skip


def nested(**fields: object) -> dict:
    """A task that awaits the child (JSONPath)."""
    return {
        "Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Parameters": {"StateMachineArn": "${CHILD}", "Input": {"n": 21}}, **fields,
    }  # fmt: skip


def each(state: dict, mode: str = "INLINE", **fields: object) -> dict:
    """A map over $.items (JSONPath) whose iterations run one state."""
    config = {"Mode": mode, **({"ExecutionType": "STANDARD"} if mode == "DISTRIBUTED" else {})}
    processor = {"ProcessorConfig": config, "StartAt": "E", "States": {"E": state}}
    return {"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": processor, **fields}


def odd_fails() -> dict:
    """The states of an iteration that fails for odd numbers (JSONPath)."""
    return {
        "StartAt": "E",
        "States": {
            "E": {"Type": "Choice", "Choices": [{"Variable": "$", "NumericEquals": 1, "Next": "F"}], "Default": "G"},
            "F": {"Type": "Fail", **ODD},
            "G": PASS,
        },
    }


def branch(state: dict, name: str) -> dict:
    """A branch of one state."""
    return {"StartAt": name, "States": {name: {**state, "End": True} if state["Type"] != "Fail" else state}}


def intrinsic(expression: str) -> dict:
    """A JSONPath machine that answers what an intrinsic function gives."""
    return path(p(Parameters={"value.$": expression}))


ITEMS = {"items": [1, 2, 3]}
CATCH = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Z"}]
CATCH_NAME = {"Z": p(Parameters={"caught.$": "$.error.Error"}, End=True)}


def caught(state: dict, catch: list[dict] = CATCH) -> dict:
    """A JSONPath machine whose only state catches, and answers the error's name."""
    return {"StartAt": "A", "States": {"A": {**state, "Catch": catch, "End": True}, **CATCH_NAME}}


CASES: dict[str, tuple[dict, object]] = {
    # Pass, paths, results
    "pass-result": (path(p(Result={"a": 1})), {"x": 1}),
    "pass-result-path": (path(p(Result=[1], ResultPath="$.deep.er")), {"x": 1}),
    "pass-result-path-null": (path(p(Result=[1], ResultPath=None)), {"x": 1}),
    "input-output-path": (path(p(InputPath="$.a", OutputPath="$.b")), {"a": {"b": [1, 2]}}),
    "input-path-null": (path(p(InputPath=None)), {"a": 1}),
    "parameters-paths": (path(p(Parameters={"n.$": "$.a[1]", "s": "x", "c.$": "$$.State.Name"})), {"a": [1, 2]}),
    "path-filter": (path(p(Parameters={"v.$": "$.a[?(@.n > 1)].n"})), {"a": [{"n": 1}, {"n": 2}, {"n": 3}]}),
    "path-wildcard": (path(p(Parameters={"v.$": "$.a[*].n"})), {"a": [{"n": 1}, {"n": 2}]}),
    "path-slice": (path(p(Parameters={"v.$": "$.a[0:2]"})), {"a": [1, 2, 3]}),
    "path-missing": (path(p(Parameters={"v.$": "$.missing"})), {}),
    "variables-jsonpath": (path(p(Assign={"x.$": "$.a"}), p(Parameters={"v.$": "$x"})), {"a": 7}),
    # Choice
    "choice-numeric": (choice({"Variable": "$.n", "NumericGreaterThanEquals": 5}), {"n": 5}),
    "choice-string-matches": (choice({"Variable": "$.s", "StringMatches": "WEB-*.example"}), {"s": "WEB-01.example"}),
    "choice-string-matches-escape": (choice({"Variable": "$.s", "StringMatches": "a\\\\*b"}), {"s": "a*b"}),
    "choice-timestamp": (choice({"Variable": "$.t", "TimestampLessThan": "2026-01-01T00:00:00Z"}), {"t": "2025-12-31T23:59:59Z"}),
    "choice-types": (
        choice({"And": [{"Variable": "$.n", "IsNumeric": True}, {"Variable": "$.x", "IsPresent": False}, {"Variable": "$.z", "IsNull": True}]}),
        {"n": 1, "z": None},
    ),
    "choice-or-not": (choice({"Or": [{"Not": {"Variable": "$.b", "BooleanEquals": True}}, {"Variable": "$.n", "NumericEquals": 0}]}), {"b": False, "n": 1}),
    "choice-path-operand": (choice({"Variable": "$.a", "NumericEqualsPath": "$.b"}), {"a": 1, "b": 1}),
    "choice-wrong-type": (choice({"Variable": "$.n", "NumericEquals": 1}), {"n": "1"}),
    "choice-missing-variable": (choice({"Variable": "$.missing", "NumericEquals": 1}), {}),
    "choice-no-match": (choice({"Variable": "$.n", "NumericEquals": 1}, default=None), {"n": 2}),
    "choice-boolean-is-not-numeric": (choice({"Variable": "$.n", "IsNumeric": True}), {"n": True}),
    # Intrinsic functions
    "intrinsic-format": (intrinsic("States.Format('{} of {}', $.a, $.b)"), {"a": "x", "b": 2}),
    "intrinsic-array": (intrinsic("States.Array($.a, 1, 'x', null)"), {"a": {"b": 1}}),
    "intrinsic-partition": (intrinsic("States.ArrayPartition($.items, 2)"), ITEMS),
    "intrinsic-range": (intrinsic("States.ArrayRange(1, 9, 2)"), {}),
    "intrinsic-unique": (intrinsic("States.ArrayLength(States.ArrayUnique($.a))"), {"a": [1, 1, 2]}),
    "intrinsic-json": (intrinsic("States.StringToJson(States.JsonToString($.a))"), {"a": {"b": [1]}}),
    "intrinsic-merge": (intrinsic("States.JsonMerge($.a, $.b, false)"), {"a": {"x": {"p": 1}, "y": 1}, "b": {"x": {"q": 2}}}),
    "intrinsic-hash-base64": (intrinsic("States.Base64Decode(States.Base64Encode(States.Hash($.a, 'SHA-256')))"), {"a": "x"}),
    "intrinsic-split": (intrinsic("States.StringSplit($.a, '.')"), {"a": "a..b.c"}),
    "intrinsic-math": (intrinsic("States.MathAdd($.a, -3)"), {"a": 2}),
    "intrinsic-contains": (intrinsic("States.ArrayContains($.items, $.n)"), {**ITEMS, "n": 3}),
    # Wait, Succeed, Fail
    "wait-path": (path({"Type": "Wait", "SecondsPath": "$.n"}, {"Type": "Succeed"}), {"n": 1}),
    "wait-timestamp-past": (path({"Type": "Wait", "Timestamp": "2020-01-01T00:00:00Z"}, p()), {"a": 1}),
    "succeed-output-path": (path({"Type": "Succeed", "OutputPath": "$.a"}), {"a": 1}),
    "fail-static": (path({"Type": "Fail", **ODD}), {}),
    "fail-paths": (path({"Type": "Fail", "ErrorPath": "$.e", "CausePath": "States.Format('it was {}', $.c)"}), {"e": "E", "c": "c"}),
    # Parallel
    "parallel": (path({"Type": "Parallel", "Branches": [branch(p(Result=1), "B1"), branch(p(Result=2), "B2")]}), {}),
    "parallel-selector": (
        path({"Type": "Parallel", "Branches": [branch(p(Result={"a": 1}), "B1")], "ResultSelector": {"v.$": "$[0].a"}, "ResultPath": "$.r"}),
        {"x": 1},
    ),
    "parallel-failing": (path({"Type": "Parallel", "Branches": [branch({"Type": "Fail", **ODD}, "B1"), branch(p(), "B2")]}), {}),
    "parallel-caught": (caught({"Type": "Parallel", "Branches": [branch({"Type": "Fail", **ODD}, "B1")]}), {}),
    # Map
    "map-inline": (path(each(PASS)), ITEMS),
    "map-empty": (path(each(PASS)), {"items": []}),
    "map-selector": (path(each(PASS, ItemSelector={"i.$": "$$.Map.Item.Index", "v.$": "$$.Map.Item.Value", "n.$": "$.n"})), {**ITEMS, "n": 9}),
    "map-not-a-list": (path(each(PASS)), {"items": 7}),
    "map-failing": (path({**each(PASS), "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, **odd_fails()}}), ITEMS),
    "map-result-path": (path(each(PASS, ResultPath="$.out", MaxConcurrency=1)), ITEMS),
    "map-distributed": (path(each(PASS, "DISTRIBUTED")), ITEMS),
    "map-distributed-failing": (
        path({**each(PASS, "DISTRIBUTED"), "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, **odd_fails()}}),
        ITEMS,
    ),
    "map-distributed-batches": (path(each(PASS, "DISTRIBUTED", ItemBatcher={"MaxItemsPerBatch": 2})), ITEMS),
    # Tasks, Retry, Catch, timeouts
    "task-selector": (path(send(ResultSelector={"md5.$": "$.MD5OfMessageBody"})), {}),
    "task-result-path-null": (path(send(ResultPath=None)), {"kept": 1}),
    "task-failing": (caught(lost()), {}),
    "task-retried": (path(lost(Retry=[{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 2}])), {}),
    "task-caught-by-task-failed": (caught(lost(), [{**CATCH[0], "ErrorEquals": ["States.TaskFailed"]}]), {}),
    "task-catch-order": (
        caught(lost(), [{"ErrorEquals": ["Other"], "ResultPath": "$.error", "Next": "Z"}, {**CATCH[0], "ErrorEquals": ["States.ALL"]}]), {}
    ),  # fmt: skip
    "callback-timeout": (path(ask(TimeoutSeconds=2)), {}),
    "callback-timeout-caught": (caught(ask(TimeoutSeconds=2), [{**CATCH[0], "ErrorEquals": ["States.Timeout"]}]), {}),
    "callback-timeout-is-no-task-failed": (caught(ask(TimeoutSeconds=2), [{**CATCH[0], "ErrorEquals": ["States.TaskFailed"]}]), {}),
    "callback-heartbeat-caught": (
        caught(ask(TimeoutSeconds=600, HeartbeatSeconds=30), [{**CATCH[0], "ErrorEquals": ["States.HeartbeatTimeout"]}]), {}
    ),  # fmt: skip
    "machine-timeout": (path(ask(), TimeoutSeconds=2), {}),
    "nested": (path(nested(ResultSelector={"answer.$": "$.Output.answer"})), {}),
    "nested-failing": (caught(nested(Parameters={"StateMachineArn": "${CHILD}", "Input": {}})), {}),
    # JSONata
    "jsonata-output": (jsonata(p(Output={"sum": "{% $sum($states.input.items) %}", "text": "a{% b"})), ITEMS),
    "jsonata-context": (jsonata(p(Output="{% $states.context.State.Name %}")), {}),
    "jsonata-singleton": (jsonata(p(Output="{% $states.input.items[$ > 2] %}")), ITEMS),
    "jsonata-undefined": (jsonata(p(Output="{% $states.input.missing %}")), {}),
    "jsonata-type-error": (jsonata(p(Output="{% 1 + 'a' %}")), {}),
    "jsonata-assign-order": (
        jsonata(p(Assign={"x": 1}), p(Assign={"x": 2}, Output="{% $x %}"), p(Output={"before": "{% $states.input %}", "after": "{% $x %}"})), {}
    ),  # fmt: skip
    "jsonata-swap": (jsonata(p(Assign={"x": 1, "y": 2}), p(Assign={"x": "{% $y %}", "y": "{% $x %}"}), p(Output="{% [$x, $y] %}")), {}),
    "jsonata-inner-scope": (
        jsonata(
            p(Assign={"outer": 1}),
            {"Type": "Parallel", "Branches": [branch(p(Output="{% $outer + 1 %}"), "B1")]},
        ),
        {},
    ),
    "jsonata-choice": (
        {
            "QueryLanguage": "JSONata",
            "StartAt": "A",
            "States": {
                "A": {
                    "Type": "Choice",
                    "Choices": [{"Condition": "{% $states.input.n > 1 %}", "Assign": {"big": True}, "Output": "{% $states.input.n %}", "Next": "B"}],
                    "Default": "B",
                },
                "B": p(Output={"big": "{% $big %}", "n": "{% $states.input %}"}, End=True),
            },
        },
        {"n": 2},
    ),
    "jsonata-choice-not-boolean": (
        {
            "QueryLanguage": "JSONata",
            "StartAt": "A",
            "States": {"A": {"Type": "Choice", "Choices": [{"Condition": "{% 'yes' %}", "Next": "B"}], "Default": "B"}, "B": PASS},
        },
        {},
    ),
    "jsonata-functions": (
        jsonata(p(Output="{% {'p': $partition([1,2,3], 2), 'r': $range(0, 4, 2), 'h': $hash('x', 'SHA-1'), 'j': $parse('[1]')} %}")), {}
    ),  # fmt: skip
    "jsonata-map": (
        jsonata(
            {
                "Type": "Map", "Items": "{% $states.input.items %}", "ItemSelector": {"n": "{% $states.context.Map.Item.Value * 2 %}"},
                "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "E", "States": {"E": PASS | {"Output": "{% $states.input.n %}"}}},
            }
        ),
        ITEMS,
    ),
    "jsonata-catch": (
        {
            "QueryLanguage": "JSONata",
            "StartAt": "A",
            "States": {
                "A": {
                    "Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Arguments": {"QueueUrl": "{% $states.input.none %}", "MessageBody": "x"},
                    "Catch": [{"ErrorEquals": ["States.QueryEvaluationError"], "Assign": {"e": "{% $states.errorOutput.Error %}"}, "Next": "B"}],
                    "End": True,
                },
                "B": p(Output="{% $e %}", End=True),
            },
        },
        {},
    ),
    "jsonata-fail": (jsonata({"Type": "Fail", "Error": "{% 'E' & $states.input.n %}", "Cause": "{% $string($states.input) %}"}), {"n": 1}),
    "jsonata-wait": (jsonata({"Type": "Wait", "Seconds": "{% $states.input.n %}", "Output": "{% $states.input.n + 1 %}"}), {"n": 1}),
    "jsonata-in-a-jsonpath-machine": (path(p(QueryLanguage="JSONata", Output="{% $states.input.a + 1 %}"), p()), {"a": 1}),
    # Definitions that are refused
    "refused-no-end": ({"StartAt": "A", "States": {"A": {"Type": "Pass"}}}, {}),
    "refused-unknown-next": ({"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}}, {}),
    "refused-unknown-type": ({"StartAt": "A", "States": {"A": {"Type": "Sleep", "End": True}}}, {}),
    "refused-no-start": ({"StartAt": "B", "States": {"A": PASS}}, {}),
    "refused-bad-jsonata": (jsonata(p(Output="{% 1 + %}")), {}),
}  # fmt: skip


CHILD = {
    "QueryLanguage": "JSONata",
    "StartAt": "C",
    "States": {
        "C": {"Type": "Choice", "Choices": [{"Condition": "{% $exists($states.input.n) %}", "Next": "D"}], "Default": "F"},
        "D": p(Output={"answer": "{% $states.input.n * 2 %}"}, End=True),
        "F": {"Type": "Fail", "Error": "Child.Failed"},
    },
}
