"""Every AWS call that the slice makes, failing in every way: it converges when the fault has passed, and until then it says who must act.

With the fault in force: no hot loop. Afterwards: nothing was run twice and nothing is left in AWS.
"""

import re
from collections.abc import Iterator

import pytest
from conftest import show
from story import Stage, Story

from testbed.aws.setup import CONTROLLER_ROLE_NAME, OPERATOR_ROLE_NAME
from testbed.product import has_ended

pytestmark = pytest.mark.matrix

TIME_FACTOR = 60.0
WINDOW = 120
"""How long a fault is in force, virtual seconds."""
MOST_CALLS = 15
"""In one window. Waits of 1, 2, 4 … seconds come to 8 calls, and looking every 10 s to 13; a loop without a wait makes hundreds."""

KINDS = ("Throttle", "ErrorBefore", "ErrorAfter", "ResetBefore", "ResetAfter", "Denied")

CONTROLLER = {
    "account": [("sts", "AssumeRole"), ("sts", "GetCallerIdentity")],
    "deploy": [("iam", "CreateRole"), ("iam", "PutRolePolicy"), ("ssm", "CreateDocument"), ("stepfunctions", "CreateStateMachine")],
    "run": [("stepfunctions", "StartExecution"), ("stepfunctions", "GetExecutionHistory")],
    "edit": [
        ("ssm", "UpdateDocument"),
        ("stepfunctions", "UpdateStateMachine"),
        ("stepfunctions", "ListExecutions"),
        ("iam", "DeleteRolePolicy"),
    ],
    "second": [],
    "cancel": [("stepfunctions", "StopExecution"), ("ssm", "ListCommands"), ("ssm", "CancelCommand")],
    "delete": [
        ("stepfunctions", "ListExecutions"),
        ("stepfunctions", "ListTagsForResource"),
        ("stepfunctions", "DeleteStateMachine"),
        ("ssm", "DescribeDocument"),
        ("ssm", "DeleteDocument"),
        ("iam", "GetRole"),
        ("iam", "ListRolePolicies"),
        ("iam", "DeleteRolePolicy"),
        ("iam", "DeleteRole"),
    ],
}
"""The controller's calls, in order, by the chapter in which they fail. `test_no_call_is_forgotten` holds the list to what a story makes."""

EXECUTION = ["SendCommand", "ListCommands", "ListCommandInvocations", "GetCommandInvocation"]
"""The state machine's calls, all to Systems Manager."""

PREFIXES = {"stepfunctions": "states"}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage for all cases: each has an account, a workflow and runs of its own."""
    with Stage.up(tmp_path_factory.mktemp("stage"), TIME_FACTOR, driftInterval="30d") as stage:
        yield stage


@pytest.mark.parametrize("kind", KINDS)
def test_the_controllers_calls(stage, kind):
    """One story, in which every call fails in turn until the fault is taken away."""
    stage.reset()
    control = stage.bed.control
    story = Story(stage, stage.keep_running)
    for chapter, calls in CONTROLLER.items():
        caller = f"{CONTROLLER_ROLE_NAME}|{OPERATOR_ROLE_NAME}"
        faults = [control.fault(kind, service, operation, caller=caller, count=-1) for service, operation in calls]
        story.act(chapter)
        for index, (service, operation) in enumerate(calls):
            suffer(story, chapter, faults[index], kind, f"{PREFIXES.get(service, service)}:{operation}", faults[index + 1 :])
        story.finish(chapter)


def suffer(story: Story, chapter: str, fault: str, kind: str, action: str, later: list[str]) -> None:
    """Waits until a fault hits, looks at what happens for a while, and takes the fault away."""
    control = story.bed.control
    hits = lambda: {found["id"]: found["hit"] for found in control.faults()}  # noqa: E731
    where = f"{kind} of {action} in {chapter}"
    story.until(lambda: hits()[fault], f"{where} to hit")
    since = control.now()
    if kind == "Denied":
        story.until(lambda: action in story.messages(), f"the status to name what is missing: {where}")
    # A fault that hides an effect may be got over while it is in force: then the next call is made, or the chapter ends.
    over = lambda: any(hits()[other] for other in later) or story.is_done(chapter)  # noqa: E731
    story.until(lambda: control.now() >= since + WINDOW or over(), f"{where} to have been in force for a while")
    windows = max(1.0, (control.now() - since) / WINDOW)
    assert hits()[fault] <= MOST_CALLS * windows, f"{where}: {hits()[fault]} calls in {windows:.1f} windows: a hot loop"
    assert kind.endswith("After") or not story.is_done(chapter), f"{where}: {story.describe()}"
    control.clear_faults(fault)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "Denied"])
@pytest.mark.parametrize("operation", EXECUTION)
def test_the_state_machines_calls(stage, operation, kind):
    """Two failures are mended by the state machine itself, and the command is sent once."""
    stage.reset()
    story = Story(stage, stage.keep_running)
    story.tell("account", "deploy")
    stage.bed.control.fault(kind, "ssm", operation, caller=story.name, count=2)
    if operation == "SendCommand" and kind in ("ErrorBefore", "ResetBefore"):
        # It has no client token: it may have been sent, so it is not sent again. It is looked for, and not found.
        failure = fails(story)["failure"]
        assert failure["layer"] == "SSM" and failure["step"] == "work" and failure["hint"], failure
        assert story.invocations(story.nodes[0]) == []
        story.tell("delete")
    else:
        story.tell("run", "delete")


@pytest.mark.parametrize("operation", EXECUTION)
def test_the_state_machines_rights(stage, operation):
    """What its role may not do is named in the run's failure; the command is sent once at most."""
    stage.reset()
    story = Story(stage, stage.keep_running)
    story.tell("account", "deploy")
    stage.bed.control.fault("Denied", "ssm", operation, caller=story.name, count=-1)
    status = fails(story)
    assert status["failure"]["layer"] == "IAM", show(status)
    assert f"ssm:{operation}" in status["failure"]["cause"], show(status)
    assert len(story.invocations(story.nodes[0])) == (0 if operation == "SendCommand" else 1)
    stage.bed.control.clear_faults()
    story.tell("delete")


def fails(story: Story) -> dict:
    """Tells of the first run, which fails; answers its status."""
    story.act("run")
    story.until(lambda: has_ended(story.get("first")), "the run to end")
    status = story.get("first")["status"]
    assert status["phase"] == "Failed", show(status)
    story.sent[0] = [item["Status"] for item in story.invocations(story.nodes[0])]
    return status


@pytest.mark.parametrize("seconds", [15, 90])
def test_a_new_role_cannot_be_assumed_at_once(stage, seconds):
    """IAM is eventually consistent: what fails by it is tried again by itself."""
    stage.reset()
    stage.bed.control.eventual(newRoleSeconds=seconds)
    try:
        story = Story(stage, stage.keep_running)
        story.tell("account", "deploy", "run", "delete")
    finally:
        stage.bed.control.eventual(newRoleSeconds=0)


def test_no_call_is_forgotten(stage):
    """Every call of a story is in the lists above."""
    stage.reset()
    stage.bed.control.clear_calls()
    Story(stage, stage.keep_running).tell_all()
    calls = [row for row in stage.bed.control.calls() if row["outcome"] == "ok"]
    of = lambda caller: {(row["service"], row["operation"]) for row in calls if re.search(caller, row["caller"])}  # noqa: E731
    controller = of(f"{CONTROLLER_ROLE_NAME}|{OPERATOR_ROLE_NAME}")
    assert controller == {call for calls in CONTROLLER.values() for call in calls}
    assert of("role/windlass/") == {("ssm", operation) for operation in EXECUTION}
