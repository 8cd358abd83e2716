"""kill -9 of the controller at every one of its writes, to the API server and to AWS, over the whole slice: the same end each time.

The end (`story.Story`): the first run Succeeded and the second Cancelled, one execution and one command each, nothing left in AWS.
"""

import itertools
import time
from collections.abc import Callable, Iterator

import pytest
from story import Stage, Story

from testbed.aws.setup import CONTROLLER_ROLE_NAME

pytestmark = pytest.mark.matrix

TIME_FACTOR = 60.0
WRITES = "[ew]*"
"""events.k8s.io and windlass.dev: everything that the controller writes but its lease (see test_two_controllers)."""

AWS_WRITES = [
    ("sqs", "CreateQueue", 0),
    ("events", "PutRule", 0),
    ("events", "PutTargets", 0),
    ("iam", "CreateRole", 0),
    ("iam", "PutRolePolicy", 0),
    ("iam", "PutRolePolicy", 1),
    ("ssm", "CreateDocument", 0),
    ("stepfunctions", "CreateStateMachine", 0),
    ("stepfunctions", "StartExecution", 0),
    ("stepfunctions", "StartExecution", 1),
    ("ssm", "UpdateDocument", 0),
    ("stepfunctions", "UpdateStateMachine", 0),
    ("iam", "DeleteRolePolicy", 0),
    ("iam", "DeleteRolePolicy", 1),
    ("stepfunctions", "StopExecution", 0),
    ("ssm", "CancelCommand", 0),
    ("stepfunctions", "DeleteStateMachine", 0),
    ("ssm", "DeleteDocument", 0),
    ("iam", "DeleteRole", 0),
    ("events", "RemoveTargets", 0),
    ("events", "DeleteRule", 0),
    ("sqs", "DeleteQueue", 0),
    ("sqs", "DeleteMessageBatch", 0),
]
"""Service, operation, and which of its calls in the story. `test_no_aws_write_is_forgotten` holds the list to what a story makes."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage for all cases: each has an account, a workflow and runs of its own."""
    with Stage.up(tmp_path_factory.mktemp("stage"), TIME_FACTOR) as stage:
        yield stage


class Crash:
    """Kills the controller once, when `is_due` says so; afterwards it is kept running."""

    def __init__(self, stage: Stage, is_due: Callable[[], bool], after: Callable[[], None] = lambda: None) -> None:
        self.stage = stage
        self.is_due = is_due
        self.after = after
        self.happened = False

    def __call__(self) -> None:
        if not self.happened and self.is_due():
            self.happened = True
            self.stage.product.kill()
            self.after()
        self.stage.keep_running()


def at_write(stage: Stage, kind: str, number: int) -> Crash:
    """A crash while the nth write to the API server is held: before it has arrived, or after it was done."""
    rule = stage.bed.proxy.rule(kind, resource=WRITES, skip=number)
    held = lambda: [held for held in stage.bed.proxy.held() if held["rule"] == rule]  # noqa: E731

    def drop() -> None:
        for request in held():
            stage.bed.proxy.drop(request["id"])

    return Crash(stage, lambda: bool(held()), drop)


@pytest.mark.parametrize("kind", ["hold", "holdAfter"], ids=["before-it-arrives", "after-it-is-done"])
def test_at_every_write_to_the_api_server(stage, kind):
    """The loop ends with the first story that has not so many writes: each one before has been the last thing of its process."""
    began, failures = time.monotonic(), []
    for number in itertools.count():
        stage.reset()
        crash = at_write(stage, kind, number)
        story = Story(stage, crash)
        try:
            story.tell_all()
        except AssertionError as error:
            failures.append(f"write {number}, in {[*story.CHAPTERS][len(story.told)]}: {error}")
            assert len(failures) < 5, "\n\n".join(failures)
        if not crash.happened:
            break
    print(f"{number} crashes ({kind}) in {time.monotonic() - began:.0f} s")
    assert not failures, "\n\n".join(failures)
    assert number >= 15, "a story has at least so many writes, so the rule did not hold them"


@pytest.mark.parametrize("kind", ["Latency", "LatencyAfter"], ids=["effect-comes-late", "answer-is-lost"])
@pytest.mark.parametrize(("service", "operation", "number"), AWS_WRITES, ids=[f"{o}-{n}" for _, o, n in AWS_WRITES])
def test_at_every_write_to_aws(stage, service, operation, number, kind):
    """The controller dies with the call under way; the call has its effect all the same."""
    stage.reset()
    control = stage.bed.control
    seconds = 0.3 * TIME_FACTOR  # about what the next process takes to start: the effect comes before or after its first look
    fault = control.fault(kind, service, operation, caller=CONTROLLER_ROLE_NAME, skip=number, seconds=seconds)
    hit = lambda: next(found for found in control.faults() if found["id"] == fault)["hit"] > 0  # noqa: E731
    crash = Crash(stage, hit)
    Story(stage, crash).tell_all()
    assert crash.happened, f"the story makes no call {number} of {operation}"


def test_no_aws_write_is_forgotten(stage):
    """Every write that a story's controller makes is in the list above, each as often as there."""
    stage.reset()
    Story(stage, stage.keep_running).tell_all()
    reads = ("Get", "List", "Describe", "Assume", "Receive")
    made = {
        (row["service"], row["operation"])
        for row in stage.bed.control.calls()
        if CONTROLLER_ROLE_NAME in row["caller"] and not row["operation"].startswith(reads)
    }
    assert made == {(service, operation) for service, operation, _ in AWS_WRITES}


def test_at_every_write_in_one_story(stage):
    """Killed after each write that it makes, the controller still gets to the end, one write a life."""
    stage.reset()
    rule = stage.bed.proxy.rule("holdAfter", resource="windlass.dev/*", count=-1)
    lives = itertools.count(1)

    def crash() -> None:
        held = [held for held in stage.bed.proxy.held() if held["rule"] == rule]
        if held:
            next(lives)
            stage.product.kill()
            for request in stage.bed.proxy.held():
                stage.bed.proxy.drop(request["id"])
        stage.keep_running()

    Story(stage, crash).tell_all()
    count = next(lives) - 1
    print(f"{count} lives for one story")
    assert count >= 12
