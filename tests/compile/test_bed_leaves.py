"""The step types that run no script of the manifest's, on the bed: each well, and each way to fail."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import Account, actions

from testbed.waiting import until

# --- notify --------------------------------------------------------------------------------------------------------------------------


def topic(account: Account, *names: str) -> Any:
    """Makes topics, and a queue that gets what they are told; gives what reads it."""
    sns, sqs = account.bed.boto3("sns"), account.bed.boto3("sqs")
    for known in sns.list_topics()["Topics"]:
        sns.delete_topic(TopicArn=known["TopicArn"])
    queue = sqs.create_queue(QueueName="told")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allow = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [allow]})})
    for name in names:
        sns.subscribe(TopicArn=sns.create_topic(Name=name)["TopicArn"], Protocol="sqs", Endpoint=arn)

    def told(count: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []

        def enough() -> bool:
            for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
                found.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            return len(found) >= count

        until(enough, 30, f"{count} messages")
        return sorted(found, key=lambda message: message["Timestamp"])

    return told


def test_topics_are_told(account: Account):
    told = topic(account, "iis-changes", "oncall")
    ended = account.deploy("20-notify").run()
    assert ended.status == "SUCCEEDED", ended.cause
    assert ended.report("sum")["output"] == {"sent": True}
    messages = told(3)
    assert [(message.get("Subject"), message["TopicArn"].rpartition(":")[2]) for message in messages] == [
        (None, "iis-changes"), ("About the farm", "iis-changes"), ("Look", "oncall"),
    ]  # fmt: skip
    assert (messages[0]["Message"], messages[2]["Message"]) == ("It begins.", "Run run")
    assert json.loads(messages[1]["Message"]) == {"who": "the\nfarm", "first": ended.report("fixed")["output"]["messageId"]}


def test_a_topic_that_is_not_there_fails_the_step(account: Account):
    topic(account, "iis-changes")
    ended = account.deploy("20-notify").run()
    assert ended.status == "SUCCEEDED", ended.cause
    assert ended.report("page/oncall")["error"].startswith("SNS.NotFound")
    assert ended.report("page/note")["output"] == ended.report("page")["error"]


def test_a_throttled_message_is_sent_again(account: Account):
    told = topic(account, "iis-changes", "oncall")
    account.control.fault("Throttle", "sns", "Publish", count=2)
    ended = account.deploy("20-notify").run()
    assert ended.status == "SUCCEEDED", ended.cause
    assert ended.states.count("fixed: hold") == 2 and len(told(3)) == 3


def test_a_message_of_unknown_outcome_is_sent_again_only_where_the_manifest_says_so(account: Account):
    topic(account, "iis-changes", "oncall")
    account.control.fault("ErrorAfter", "sns", "Publish", count=1, status=500, code="InternalError")
    ended = account.deploy("20-notify").run()
    assert ended.status == "FAILED" and ended.error.startswith("SNS."), ended.cause
    assert account.control.count("sns", "Publish") == 1


# --- wait until ----------------------------------------------------------------------------------------------------------------------


def now(account: Account) -> datetime:
    """The bed's virtual present."""
    return datetime.fromtimestamp(account.bed.clock.now(), UTC)


def test_moments_are_waited_for(account: Account):
    at = now(account) + timedelta(minutes=20)
    machine = account.deploy("21-wait-until")
    ended = machine.run(at=at.strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert ended.status == "SUCCEEDED", ended.cause
    assert ended.steps() == ["past done", "computed done", "bounded/away failed", "bounded failed", "bounded/late done"]
    assert ended.report("bounded/late")["output"] == "bounded/away: Windlass.TimedOut"
    left = [event["timestamp"] for event in machine.history(machine.last) if event.get("stateExitedEventDetails", {}).get("name") == "computed: wait"]
    assert timedelta(seconds=-2) <= left[0] - at < timedelta(minutes=10), "it waited for the moment, and not for something else"


def test_what_is_no_moment_ends_the_run(account: Account):
    ended = account.deploy("21-wait-until").run(at="tomorrow")
    assert (ended.status, ended.error) == ("FAILED", "States.QueryEvaluationError"), ended.cause


# --- rights --------------------------------------------------------------------------------------------------------------------------


def refused(account: Account, case: str, action: str, **params: Any) -> None:
    """Without the action the case fails, and says which it was."""
    ended = account.deploy(case, without=action).run(**params)
    said = " ".join(str(text) for text in [ended.cause, *(report.get("cause") for report in ended.reports)])
    assert re.search(f"not authorized to perform:? {action}", said, re.IGNORECASE), said


@pytest.mark.parametrize("action", actions("20-notify"))
def test_notify_needs_each_of_its_rights(account: Account, action: str):
    topic(account, "iis-changes", "oncall")
    refused(account, "20-notify", action)
