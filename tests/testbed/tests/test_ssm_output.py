"""Whole output of commands, in S3 and CloudWatch Logs.

Sources: API reference, SendCommand (InvalidOutputFolder: "The S3 bucket doesn't exist."), CommandPlugin, GetCommandInvocation; user guide,
"Configuring Amazon CloudWatch Logs for Run Command"; amazon-ssm-agent, ``iohandler`` (names of objects and streams).
"""

import boto3
import pytest
from ssm_bench import Bench, command_document, powershell, refused

from testbed.aws import ACCOUNT_ID, REGION

BUCKET = "command-output"
LONG = "0123456789" * 5_000


def client(bench: Bench, service: str):
    return boto3.client(service, endpoint_url=bench.ssm.meta.endpoint_url, region_name=REGION, aws_access_key_id=ACCOUNT_ID,
                        aws_secret_access_key="admin")  # fmt: skip


@pytest.fixture
def s3(bench: Bench):
    """S3 with an empty bucket."""
    made = client(bench, "s3")
    try:
        made.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    except made.exceptions.BucketAlreadyOwnedByYou:
        for key in keys(made):
            made.delete_object(Bucket=BUCKET, Key=key)
    return made


def keys(s3) -> list[str]:
    return [found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def text(s3, key: str) -> str:
    return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()


def test_the_whole_output_of_each_step_is_in_the_bucket(bench: Bench, s3):
    rules = [{"match": "first", "stdout": LONG}, {"match": "second", "stdout": "ü", "stderr": "trouble"}, {"stdout": ""}]
    (node,) = bench.nodes({"rules": rules})
    document = bench.document(command_document(powershell("stepOne", "first"), powershell("stepTwo", "second"), powershell("stepThree", "quiet")))
    command = bench.send(document, [node], OutputS3BucketName=BUCKET, OutputS3KeyPrefix="windlass/runs")
    bench.finished(command)
    base = f"windlass/runs/{command}/{node}/awsrunPowerShellScript"
    assert keys(s3) == [f"{base}/stepOne/stdout", f"{base}/stepTwo/stderr", f"{base}/stepTwo/stdout"]
    assert (text(s3, f"{base}/stepOne/stdout"), text(s3, f"{base}/stepTwo/stdout"), text(s3, f"{base}/stepTwo/stderr")) == (LONG, "ü", "trouble")
    result = bench.result(command, node, "stepOne")
    assert result["StandardOutputUrl"] == f"https://s3.{REGION}.amazonaws.com/{BUCKET}/{base}/stepOne/stdout"
    assert result["StandardErrorUrl"].endswith("/stepOne/stderr")
    assert len(result["StandardOutputContent"]) == 24_000
    invocation = bench.invocations(command, Details=True)[node]
    assert invocation["StandardOutputUrl"].endswith(f"/{BUCKET}/windlass/runs/{command}/{node}")
    (plugin, *_) = invocation["CommandPlugins"]
    assert (plugin["OutputS3BucketName"], plugin["OutputS3KeyPrefix"], plugin["OutputS3Region"]) == (BUCKET, base, REGION)
    shown = bench.command(command)
    assert (shown["OutputS3BucketName"], shown["OutputS3KeyPrefix"]) == (BUCKET, "windlass/runs")


def test_documents_of_the_old_schema_number_their_plugins(bench: Bench, s3):
    (node,) = bench.nodes({})
    command = bench.send("AWS-RunPowerShellScript", [node], Parameters={"commands": ["x"]}, OutputS3BucketName=BUCKET)
    bench.finished(command)
    assert keys(s3) == [f"{command}/{node}/awsrunPowerShellScript/0.awsrunPowerShellScript/stdout"]


def test_a_bucket_that_is_not_there_is_refused(bench: Bench, s3):
    """API reference, SendCommand: InvalidOutputFolder."""
    with refused("InvalidOutputFolder", "nobody-has-this"):
        bench.send(bench.document(), bench.nodes({}), OutputS3BucketName="nobody-has-this")
    assert bench.ssm.list_commands()["Commands"] == []


def test_a_bucket_that_goes_away_fails_no_script(bench: Bench, s3):
    (node,) = bench.nodes({"rules": [{"duration": 200}]})
    command = bench.send(bench.document(command_document(powershell("main", timeout=600))), [node], OutputS3BucketName=BUCKET)
    s3.delete_bucket(Bucket=BUCKET)
    assert bench.finished(command)["Status"] == "Success"


def test_output_that_is_too_long_for_a_name_is_refused_by_the_model(bench: Bench, s3):
    """Service model: S3BucketName has at most 63 characters, S3KeyPrefix 500."""
    document, nodes = bench.document(), bench.nodes({})
    for more in ({"OutputS3BucketName": "b" * 64}, {"OutputS3BucketName": BUCKET, "OutputS3KeyPrefix": "p" * 501}):
        with refused("ValidationException", "length"):
            bench.send(document, nodes, **more)


@pytest.mark.parametrize("group", [None, "/windlass/output"])
def test_the_whole_output_is_in_cloudwatch_logs(bench: Bench, group: str | None):
    (node,) = bench.nodes({"rules": [{"stdout": LONG, "stderr": "trouble"}]})
    config = {"CloudWatchOutputEnabled": True} | ({"CloudWatchLogGroupName": group} if group else {})
    command = bench.send(bench.document(), [node], CloudWatchOutputConfig=config)
    bench.finished(command)
    logs, name = client(bench, "logs"), group or "/aws/ssm/windlass-test"
    streams = logs.describe_log_streams(logGroupName=name, logStreamNamePrefix=command)["logStreams"]
    assert [s["logStreamName"] for s in streams] == [f"{command}/{node}/main/stderr", f"{command}/{node}/main/stdout"]
    events = logs.get_log_events(logGroupName=name, logStreamName=f"{command}/{node}/main/stdout", startFromHead=True)["events"]
    assert "".join(event["message"] for event in events) == LONG
    assert abs(events[0]["timestamp"] / 1_000 - bench.control.now()) < 3_600
    shown = bench.result(command, node)["CloudWatchOutputConfig"]
    assert shown == {"CloudWatchLogGroupName": name, "CloudWatchOutputEnabled": True}


def test_without_it_nothing_is_logged(bench: Bench):
    (node,) = bench.nodes({})
    command = bench.send(bench.document(name="quiet"), [node])
    bench.finished(command)
    assert client(bench, "logs").describe_log_groups(logGroupNamePrefix="/aws/ssm/quiet")["logGroups"] == []
    assert bench.result(command, node)["StandardOutputUrl"] == ""
