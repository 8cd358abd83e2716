"""What the API server takes for a WindowsWorkflow, and what it says of what it does not."""

import pytest
from admission_bench import NOT_ALL_CHECKED, SHELL, Admission, refusal, step, unknown_fields, workflow

TOPIC = "arn:aws:sns:eu-west-1:111122223333:iis-changes"
BLOCK = {"name": "undo", "steps": [step("restore")]}

ACCEPTS = {
    "one step": workflow(),
    "every type of step": workflow(
        step("a", powershell={**SHELL, "parameters": {"Name": "x", "List": [1, {"deep": None}]}, "output": "Json", "errorAction": "Continue"}),
        step("b", wait={"for": "90s"}),
        step("c", **{"pass": {"result": {"any": [1, "two", None]}}}),
        step("d", **{"pass": {}}),
        step("e", call={"block": "undo"}),
        step("f", fail={"error": "Ops.Stop", "cause": "{% $steps.a.output %}"}),
        step("g", notify={"topicArn": TOPIC, "subject": "s", "message": "{% $run.name %}"}),
        step("h", wait={"until": "2026-12-01T22:00:00+01:00"}),
        step("i", wait={"until": "{% $params.at %}"}),
        blocks=[BLOCK],
    ),
    "containers": workflow(
        step("a", parallel={"onBranchFailure": "Continue", "branches": [{"name": "one", "steps": [step()]}, {"name": "two", "block": "undo"}]}),
        step("b", switch={"cases": [{"name": "one", "when": "{% true %}", "steps": [step()]}], "default": {"block": "undo"}}),
        step("c", switch={"cases": [{"name": "one", "when": "{% true %}", "block": "undo"}], "default": {"steps": [step()]}}),
        step(
            "d",
            forEachNode={
                "maxConcurrency": "{% $params.n %}", "maxErrors": "10%", "offline": "Wait", "waves": [1, "10%", "50%"], "pauseBetween": "5m",
                "steps": [step()], "finally": {"steps": [step("back")]},
            },
        ),
        step("e", forEachNode={"maxConcurrency": 1000, "maxErrors": 0, "block": "undo"}),
        step("f", forEach={"items": [1, "{% 2 %}"], "maxErrors": "100%", "steps": [step()]}),
        step("g", forEach={"items": "{% [1] %}", "block": "undo", "finally": {"block": "undo"}}),
        onFailure={"steps": [step("page")]},
        **{"finally": {"block": "undo"}},
        blocks=[
            BLOCK,
            {
                "name": "nested",
                "steps": [
                    step("c", forEachNode={"block": "undo", "finally": {"block": "undo"}}),
                    step("d", forEach={"items": [1], "block": "undo"}),
                    step("a", parallel={"branches": [{"name": "one", "block": "undo"}]}),
                    step("b", switch={"cases": [{"name": "one", "when": "{% true %}", "block": "undo"}], "default": {"block": "undo"}}),
                ],
            },
        ],
    ),
    "the most there may be inside of containers": workflow(
        *(
            step(f"s{number}", parallel={"branches": [{"name": f"b{branch}", "steps": [step(f"s{n}") for n in range(16)]} for branch in range(8)]})
            for number in range(4)
        ),
        onFailure={"steps": [step(f"s{n}") for n in range(16)]},
    ),
    "options of a step": workflow(
        {
            **step(),
            "when": "{% $params.go and\n   true %}",
            "timeout": "2d",
            "retry": [{"errors": ["Windlass.ExitCode", "States.ALL"], "attempts": 20, "interval": "1m"}],
            "onError": [
                {"errors": ["Windlass.TimedOut"], "block": "undo"},
                {"errors": ["States.ALL"], "steps": [step("tell"), {**step("mend"), "onError": [{"errors": ["States.ALL"], "block": "undo"}]}]},
            ],
            "targets": {"nodeIds": ["i-0123456789abcdef0", "mi-0123456789abcdef0", "i-01234567"]},
        },
        blocks=[BLOCK],
    ),
    "parameters of every type": workflow(
        parameters=[
            {"name": "kb", "type": "String", "required": True, "pattern": "^KB[0-9]+$", "minLength": 3, "maxLength": 10, "description": "Which."},
            {"name": "many", "type": "Integer", "default": 1, "minimum": 1, "maximum": 5},
            {"name": "dry", "type": "Boolean", "default": False, "allowed": [True, False]},
        ]
    ),
    "a fleet": workflow({**step(), "targets": {"fleetRef": {"name": "db"}}}, targets={"fleetRef": {"name": "web"}}),
    "a null is as if it were not there": workflow(description=None, timeout=None, blocks=None),
    "the most there may be": workflow(
        *(step(f"s{number}") for number in range(64)),
        blocks=[{"name": f"b{number}", "steps": [step(f"s{inner}") for inner in range(32)]} for number in range(32)],
        parameters=[{"name": f"p{number}", "type": "String"} for number in range(32)],
    ),
    "the longest duration and name": workflow(step("a" + "b" * 39), timeout="365d"),
}


@pytest.mark.parametrize("case", ACCEPTS)
def test_accepts(api: Admission, case: str) -> None:
    assert api.refusal(ACCEPTS[case]) is None


def refused(*causes: str) -> str:
    """The API server's words for some causes."""
    return refusal("WindowsWorkflow", "report", *causes)


def unknown(*fields: str) -> str:
    """The API server's words for fields that it does not know."""
    return unknown_fields("WindowsWorkflow", *fields)


LEAVES = "powershell, notify, wait, pass, fail, call"
TYPES = f"{LEAVES}, parallel, switch, forEachNode, forEach"

TOPICS = r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}$"
MOMENT = (
    r"^(\{%[\s\S]*%\}|[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][0-2][0-9]:[0-5][0-9]))$"
)

REJECTS = {
    "unknown field": (workflow(concurrency="Forbid"), unknown("spec.concurrency")),
    "misspelt nested fields": (
        workflow(step(powershell={**SHELL, "ouput": "Json"}), blocks=[{"name": "b", "steps": [step("x", wait={"for": "1s", "untl": "x"})]}]),
        unknown("spec.blocks[0].steps[0].wait.untl", "spec.steps[0].powershell.ouput"),
    ),
    "a type of step that is not built": (workflow({**step(), "reboot": {}}), unknown("spec.steps[0].reboot")),
    "two types in one step": (
        workflow(step(powershell=SHELL, wait={"for": "1m"})),
        refused(f"spec.steps[0]: Invalid value: step work needs exactly one of: {TYPES}; found: powershell wait"),
    ),
    "no type in a step": (workflow({"name": "work"}), refused(f"spec.steps[0]: Invalid value: step work needs exactly one of: {TYPES}; found: none")),
    "two types inside a handler": (
        workflow({**step(), "onError": [{"errors": ["States.ALL"], "steps": [step("in", wait={"for": "1m"}, call={"block": "b"})]}]}),
        refused(f"spec.steps[0].onError[0].steps[0]: Invalid value: step in needs exactly one of: {LEAVES}; found: wait call"),
    ),
    "two types inside a block": (
        workflow(blocks=[{"name": "b", "steps": [step("in", wait={"for": "1m"}, fail={"error": "E"})]}]),
        refused(f"spec.blocks[0].steps[0]: Invalid value: step in needs exactly one of: {TYPES}; found: wait fail"),
    ),
    "a container inside of a handler": (
        workflow({**step(), "onError": [{"errors": ["States.ALL"], "steps": [{"name": "in", "parallel": {"branches": [{"name": "b", "block": "b"}]}}]}]}),
        unknown("spec.steps[0].onError[0].steps[0].parallel"),
    ),
    "steps in place inside of a block's container": (
        workflow(blocks=[{"name": "b", "steps": [step("in", parallel={"branches": [{"name": "one", "block": "b", "steps": [step()]}]})]}]),
        unknown("spec.blocks[0].steps[0].parallel.branches[0].steps"),
    ),
    "a branch with a block and steps": (
        workflow(step(parallel={"branches": [{"name": "one", "block": "b", "steps": [step()]}]})),
        refused("spec.steps[0].parallel.branches[0]: Invalid value: branch one needs exactly one of: block, steps; found: block steps"),
    ),
    "a case with neither": (
        workflow(step(switch={"cases": [{"name": "one", "when": "{% true %}"}]})),
        refused("spec.steps[0].switch.cases[0]: Invalid value: case one needs exactly one of: block, steps; found: none"),
    ),
    "an end with neither": (
        workflow(**{"finally": {}}),
        refused("spec.finally: Invalid value: this needs exactly one of: block, steps; found: none"),
    ),
    "two branches of one name": (
        workflow(step(parallel={"branches": [{"name": "a", "block": "b"}, {"name": "a", "block": "b"}]})),
        refused('spec.steps[0].parallel.branches[1]: Duplicate value: {"name":"a"}'),
    ),
    "too many branches": (
        workflow(step(parallel={"branches": [{"name": f"b{n}", "block": "b"} for n in range(9)]})),
        refused("spec.steps[0].parallel.branches: Too many: 9: must have at most 8 items", NOT_ALL_CHECKED),
    ),
    "no branches": (
        workflow(step(parallel={"branches": []})),
        refused("spec.steps[0].parallel.branches: Invalid value: 0: spec.steps[0].parallel.branches in body should have at least 1 items"),
    ),
    "a pause without waves": (
        workflow(step(forEachNode={"pauseBetween": "1m", "block": "b"})),
        refused("spec.steps[0].forEachNode: Invalid value: pauseBetween is the pause between waves: give waves, too"),
    ),
    "a share that is none": (
        workflow(step(forEachNode={"maxErrors": "110%", "block": "b"})),
        refused("spec.steps[0].forEachNode.maxErrors: Invalid value: \"110%\": spec.steps[0].forEachNode.maxErrors in body should match '^(100|[1-9]?[0-9])%$'"),
    ),
    "no node at a time": (
        workflow(step(forEachNode={"maxConcurrency": 0, "block": "b"})),
        refused("spec.steps[0].forEachNode.maxConcurrency: Invalid value: 0: spec.steps[0].forEachNode.maxConcurrency in body should be greater than or equal to 1"),
    ),
    "a list that is left out": (
        workflow(step(forEach={"block": "b"})),
        refused("spec.steps[0].forEach.items: Required value", NOT_ALL_CHECKED),
    ),
    "a case without a condition": (
        workflow(step(switch={"cases": [{"name": "one", "block": "b"}]})),
        refused("spec.steps[0].switch.cases[0].when: Required value", NOT_ALL_CHECKED),
    ),
    "a handler with a block and steps": (
        workflow({**step(), "onError": [{"errors": ["E"], "block": "b", "steps": [step()]}]}),
        refused("spec.steps[0].onError[0]: Invalid value: an onError entry needs exactly one of: block, steps; found: block steps"),
    ),
    "a handler with neither": (
        workflow({**step(), "onError": [{"errors": ["E"]}]}),
        refused("spec.steps[0].onError[0]: Invalid value: an onError entry needs exactly one of: block, steps; found: none"),
    ),
    "two steps of one name": (workflow(step("a"), step("a")), refused('spec.steps[1]: Duplicate value: {"name":"a"}')),
    "two blocks of one name": (workflow(blocks=[BLOCK, BLOCK]), refused('spec.blocks[1]: Duplicate value: {"name":"undo"}')),
    "no steps": (workflow(steps=[]), refused("spec.steps: Invalid value: 0: spec.steps in body should have at least 1 items")),
    "steps left out": (workflow(steps=None), refused("spec.steps: Required value", NOT_ALL_CHECKED)),
    "too many steps": (workflow(*(step(f"s{n}") for n in range(65))), refused("spec.steps: Too many: 65: must have at most 64 items", NOT_ALL_CHECKED)),
    "a bad name": (
        workflow(step("Work_1")),
        refused("spec.steps[0].name: Invalid value: \"Work_1\": spec.steps[0].name in body should match '^[a-z]([a-z0-9-]*[a-z0-9])?$'"),
    ),
    "a long name": (workflow(step("a" * 41)), refused("spec.steps[0].name: Too long: may not be more than 40 bytes", NOT_ALL_CHECKED)),
    "a bad duration": (
        workflow(step(wait={"for": "2 min"})),
        refused("spec.steps[0].wait.for: Invalid value: \"2 min\": spec.steps[0].wait.for in body should match '^[1-9][0-9]{0,7}(s|m|h|d)$'"),
    ),
    "a wait both ways": (
        workflow(step(wait={"for": "1m", "until": "2026-12-01T22:00:00Z"})),
        refused("spec.steps[0].wait: Invalid value: wait needs exactly one of: for, until; found: for until"),
    ),
    "a wait neither way": (workflow(step(wait={})), refused("spec.steps[0].wait: Invalid value: wait needs exactly one of: for, until; found: none")),
    "a moment without an offset": (
        workflow(step(wait={"until": "2026-12-01T22:00:00"})),
        refused(f"spec.steps[0].wait.until: Invalid value: \"2026-12-01T22:00:00\": spec.steps[0].wait.until in body should match '{MOMENT}'"),
    ),
    "a topic that is none": (
        workflow(step(notify={"topicArn": f"{TOPIC}.fifo", "message": "x"})),
        refused(f"spec.steps[0].notify.topicArn: Invalid value: \"{TOPIC}.fifo\": spec.steps[0].notify.topicArn in body should match '{TOPICS}'"),
    ),
    "a message without text": (
        workflow(step(notify={"topicArn": TOPIC, "message": ""})),
        refused('spec.steps[0].notify.message: Invalid value: "": spec.steps[0].notify.message in body should be at least 1 chars long'),
    ),
    "a duration of nothing": (
        workflow(timeout="0s"),
        refused("spec.timeout: Invalid value: \"0s\": spec.timeout in body should match '^[1-9][0-9]{0,7}(s|m|h|d)$'"),
    ),
    "an expression that is none": (
        workflow({**step(), "when": "$params.go"}),
        refused("spec.steps[0].when: Invalid value: \"$params.go\": spec.steps[0].when in body should match '^\\{%[\\s\\S]*%\\}$'"),
    ),
    "no script": (workflow(step(powershell={})), refused("spec.steps[0].powershell.script: Required value", NOT_ALL_CHECKED)),
    "an empty script": (
        workflow(step(powershell={"script": ""})),
        refused('spec.steps[0].powershell.script: Invalid value: "": spec.steps[0].powershell.script in body should be at least 1 chars long'),
    ),
    "a word that is none of those asked for": (
        workflow(step(powershell={**SHELL, "output": "json"})),
        refused('spec.steps[0].powershell.output: Unsupported value: "json": supported values: "None", "Text", "Json"', NOT_ALL_CHECKED),
    ),
    "targets both ways": (
        workflow(targets={"tags": {"OS": ["Windows"]}, "nodeIds": ["i-0123456789abcdef0"]}),
        refused("spec.targets: Invalid value: targets needs exactly one of: tags, nodeIds, fleetRef; found: tags nodeIds"),
    ),
    "targets neither way": (workflow(targets={}), refused("spec.targets: Invalid value: targets needs exactly one of: tags, nodeIds, fleetRef; found: none")),
    "too many tag keys": (
        workflow(targets={"tags": {f"k{n}": ["v"] for n in range(6)}}),
        refused("spec.targets.tags: Too many: 6: must have at most 5 items", NOT_ALL_CHECKED),
    ),
    "a tag without values": (
        workflow(targets={"tags": {"Role": []}}),
        refused("spec.targets.tags.Role: Invalid value: 0: spec.targets.tags.Role in body should have at least 1 items"),
    ),
    "a node that is none": (
        workflow(targets={"nodeIds": ["WEB-01"]}),
        refused("spec.targets.nodeIds[0]: Invalid value: \"WEB-01\": spec.targets.nodeIds[0] in body should match '^m?i-[0-9a-f]{8}([0-9a-f]{9})?$'"),
    ),
    "a node twice": (
        workflow(targets={"nodeIds": ["i-01234567", "i-01234567"]}),
        refused('spec.targets.nodeIds[1]: Duplicate value: "i-01234567"'),
    ),
    "too many tries": (
        workflow({**step(), "retry": [{"errors": ["E"], "attempts": 21}]}),
        refused("spec.steps[0].retry[0].attempts: Invalid value: 21: spec.steps[0].retry[0].attempts in body should be less than or equal to 20"),
    ),
    "a bound of another type": (
        workflow(parameters=[{"name": "p", "type": "String", "minimum": 1}]),
        refused("spec.parameters[0]: Invalid value: minimum and maximum are for type Integer"),
    ),
    "a pattern for a number": (
        workflow(parameters=[{"name": "p", "type": "Integer", "pattern": "x"}]),
        refused("spec.parameters[0]: Invalid value: pattern, minLength and maxLength are for type String"),
    ),
    "bounds the wrong way round": (
        workflow(parameters=[{"name": "p", "type": "Integer", "minimum": 2, "maximum": 1}, {"name": "q", "type": "String", "minLength": 2, "maxLength": 1}]),
        refused(
            "spec.parameters[0]: Invalid value: minimum must not be above maximum",
            "spec.parameters[1]: Invalid value: minLength must not be above maxLength",
        ),
    ),
    "a parameter that no expression could name": (
        workflow(parameters=[{"name": "my-kb", "type": "String"}]),
        refused("spec.parameters[0].name: Invalid value: \"my-kb\": spec.parameters[0].name in body should match '^[A-Za-z][A-Za-z0-9_]*$'"),
    ),
}


@pytest.mark.parametrize("case", REJECTS)
def test_rejects(api: Admission, case: str) -> None:
    asked, message = REJECTS[case]
    assert api.refusal(asked) == message


def test_the_account_of_a_workflow_stays(api: Admission) -> None:
    message = refused(
        "spec: Invalid value: accountRef cannot change: delete the workflow and make a new one, "
        "or its objects in the old account would be left behind"
    )
    without, with_one, with_another = workflow(), workflow(accountRef={"name": "prod"}), workflow(accountRef={"name": "test"})
    api.create(without)
    assert api.refusal_of_update(with_one) == message
    assert api.refusal_of_update(workflow(step("other"))) is None
    named = workflow(accountRef={"name": "prod"})
    named["metadata"]["name"] = "named"
    api.create(named)
    for changed in (with_another, without):
        changed["metadata"]["name"] = "named"
        assert api.refusal_of_update(changed) == message.replace("report", "named")
