"""Which resources a call to Systems Manager needs: documents, nodes with their tags, parameters, or `*`."""

import json

import pytest
from aws_bench import Bench, allow, refused
from aws_bench import bench as bench  # noqa: PLC0414 - the fixture of IAM's tests, which has roles
from ssm_bench import command_document, hybrid_id, node_id

from testbed.aws import ACCOUNT_ID, REGION

HERE = f"{REGION}:{ACCOUNT_ID}"
DOCUMENT = f"arn:aws:ssm:{HERE}:document/windlass-test"
OWNED = {"StringEquals": {"ssm:resourceTag/Role": "web"}}
TARGETS = [{"Key": "tag:Tier", "Values": ["gold"]}]


@pytest.fixture
def farm(bench: Bench) -> Bench:
    """Two web servers, one of them hybrid, and a database; all of one tier. A document."""
    bench.control.set_nodes(
        [
            {"id": node_id(1), "tags": {"Role": "web", "Tier": "gold"}},
            {"id": hybrid_id(2), "tags": {"Role": "web", "Tier": "gold"}},
            {"id": node_id(3), "tags": {"Role": "db", "Tier": "gold"}},
        ]
    )
    bench.ssm.create_document(Name="windlass-test", Content=json.dumps(command_document()), DocumentType="Command")
    return bench


def caller(bench: Bench, *statements: dict):
    """A client of a new role that holds these statements."""
    return bench.client("ssm", bench.session("app", *statements))


def on_nodes(pattern: str = "*", **condition: dict) -> dict:
    """A statement on EC2 and hybrid nodes."""
    nodes = [f"arn:aws:ec2:{HERE}:instance/{pattern}", f"arn:aws:ssm:{HERE}:managed-instance/{pattern}"]
    return allow("ssm:SendCommand", nodes, **condition)


def test_targets_need_each_node_that_they_mean(farm: Bench):
    ssm = caller(farm, allow("ssm:SendCommand", DOCUMENT), on_nodes(**OWNED))
    with refused("AccessDeniedException", f"arn:aws:ec2:{HERE}:instance/{node_id(3)}"):
        ssm.send_command(DocumentName="windlass-test", Targets=TARGETS)
    only_web = [*TARGETS, {"Key": "tag:Role", "Values": ["web"]}]
    assert ssm.send_command(DocumentName="windlass-test", Targets=only_web)["Command"]["Status"] == "Pending"


def test_targets_that_mean_nobody_need_the_document_only(farm: Bench):
    ssm = caller(farm, allow("ssm:SendCommand", DOCUMENT))
    nobody = [{"Key": "tag:Role", "Values": ["nobody"]}]
    assert ssm.send_command(DocumentName="windlass-test", Targets=nobody)["Command"]["TargetCount"] == 0
    farm.allow("app", on_nodes())
    with refused("AccessDeniedException", DOCUMENT):
        ssm.send_command(DocumentName="windlass-test", Targets=nobody)


def test_a_hybrid_node_is_a_managed_instance_and_no_ec2_instance(farm: Bench):
    ssm = caller(farm, allow("ssm:SendCommand", [DOCUMENT, f"arn:aws:ec2:{HERE}:instance/*"]))
    ssm.send_command(DocumentName="windlass-test", InstanceIds=[node_id(1)])
    with refused("AccessDeniedException", f"arn:aws:ssm:{HERE}:managed-instance/{hybrid_id(2)}"):
        ssm.send_command(DocumentName="windlass-test", InstanceIds=[node_id(1), hybrid_id(2)])


def test_a_tag_that_changes_changes_who_may(farm: Bench):
    ssm = caller(farm, allow("ssm:SendCommand", DOCUMENT), on_nodes(**OWNED))
    ssm.send_command(DocumentName="windlass-test", InstanceIds=[node_id(1)])
    farm.control.put_node({"id": node_id(1), "tags": {"Role": "db"}})
    with refused("AccessDeniedException", node_id(1)):
        ssm.send_command(DocumentName="windlass-test", InstanceIds=[node_id(1)])


def test_amazons_documents_have_no_account_in_their_arn(farm: Bench):
    ssm = caller(farm, allow("ssm:SendCommand", f"arn:aws:ssm:{HERE}:document/*"), on_nodes())
    run = {"DocumentName": "AWS-RunPowerShellScript", "InstanceIds": [node_id(1)], "Parameters": {"commands": ["Get-Date"]}}
    with refused("AccessDeniedException", f"arn:aws:ssm:{REGION}::document/AWS-RunPowerShellScript"):
        ssm.send_command(**run)
    farm.allow("app", allow("ssm:SendCommand", f"arn:aws:ssm:{REGION}::document/AWS-Run*"), on_nodes())
    ssm.send_command(**run)


def test_output_to_a_bucket_needs_the_bucket(farm: Bench):
    """Service Authorization Reference, SendCommand: bucket; user guide, "Restricting Run Command access"."""
    farm.client("s3").create_bucket(Bucket="the-output", CreateBucketConfiguration={"LocationConstraint": REGION})
    ssm = caller(farm, allow("ssm:SendCommand", DOCUMENT), on_nodes())
    request = {"DocumentName": "windlass-test", "InstanceIds": [node_id(1)], "OutputS3BucketName": "the-output"}
    with refused("AccessDeniedException", "arn:aws:s3:::the-output"):
        ssm.send_command(**request)
    farm.allow("app", allow("ssm:SendCommand", [DOCUMENT, "arn:aws:s3:::the-output"]), on_nodes())
    ssm.send_command(**request)


NODES = [f"arn:aws:ec2:{HERE}:instance/*", f"arn:aws:ssm:{HERE}:managed-instance/*"]


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("DescribeInstancePatchStates", {"InstanceIds": [node_id(1), node_id(3)]}),
        ("DescribeInstancePatches", {"InstanceId": node_id(3)}),
        ("DescribeInstanceAssociationsStatus", {"InstanceId": node_id(3)}),
    ],
)
def test_what_is_said_of_nodes_needs_each_of_them(farm: Bench, operation: str, request_: dict):
    """Service Authorization Reference: instance* and managed-instance*, with their tags."""
    ssm = caller(farm, allow(f"ssm:{operation}", NODES, **OWNED))
    method = next(m for m, o in ssm.meta.method_to_api_mapping.items() if o == operation)
    with refused("AccessDeniedException", f"ssm:{operation}", node_id(3)):
        getattr(ssm, method)(**request_)
    farm.allow("app", allow(f"ssm:{operation}", NODES))
    getattr(ssm, method)(**request_)


def test_patch_baselines_are_named_by_arn(farm: Bench):
    ssm = caller(farm, allow("ssm:GetPatchBaseline", "*"))
    with refused("AccessDeniedException", "patchbaseline/pb-09ca3fb51f0412ec3"):
        ssm.get_default_patch_baseline()
    farm.allow("app", allow(["ssm:GetDefaultPatchBaseline", "ssm:GetPatchBaseline"], f"arn:aws:ssm:{REGION}:*:patchbaseline/pb-*"))
    ssm.get_patch_baseline(BaselineId=ssm.get_default_patch_baseline()["BaselineId"])


def test_calendars_are_documents_and_types_are_a_condition(bench: Bench):
    text = "BEGIN:VCALENDAR\r\nPRODID:-//AWS//Change Calendar 1.0//EN\r\nVERSION:2.0\r\nX-CALENDAR-TYPE:DEFAULT_OPEN\r\nEND:VCALENDAR\r\n"
    calendars = {"StringEquals": {"ssm:DocumentType": "ChangeCalendar"}}
    ssm = caller(bench, allow(["ssm:CreateDocument", "ssm:DeleteDocument"], f"arn:aws:ssm:{HERE}:document/*", **calendars))
    with refused("AccessDeniedException", "document/script"):
        ssm.create_document(Name="script", Content=json.dumps(command_document()))
    ssm.create_document(Name="freeze", Content=text, DocumentType="ChangeCalendar", DocumentFormat="TEXT")
    with refused("AccessDeniedException", "ssm:GetCalendarState", f"arn:aws:ssm:{HERE}:document/freeze"):
        ssm.get_calendar_state(CalendarNames=["freeze"])
    bench.allow("app", allow("ssm:GetCalendarState", f"arn:aws:ssm:{HERE}:document/freeze"))
    assert ssm.get_calendar_state(CalendarNames=["freeze"])["State"] == "OPEN"
    with refused("AccessDeniedException", "document/other"):
        ssm.get_calendar_state(CalendarNames=["freeze", "other"])


def test_overwriting_and_recursion_are_conditions(bench: Bench):
    once, flat = {"StringEquals": {"ssm:Overwrite": "false"}}, {"StringEquals": {"ssm:Recursive": "false"}}
    ssm = caller(bench, allow("ssm:PutParameter", **once), allow("ssm:GetParametersByPath", **flat))
    ssm.put_parameter(Name="/app/a", Value="x", Type="String")
    with refused("AccessDeniedException", "ssm:PutParameter"):
        ssm.put_parameter(Name="/app/a", Value="y", Overwrite=True)
    assert ssm.get_parameters_by_path(Path="/app")["Parameters"]
    with refused("AccessDeniedException", "ssm:GetParametersByPath"):
        ssm.get_parameters_by_path(Path="/app", Recursive=True)


def test_a_denied_command_is_not_sent(farm: Bench):
    ssm = caller(farm, allow("ssm:SendCommand", DOCUMENT), on_nodes(**OWNED))
    with refused("AccessDeniedException"):
        ssm.send_command(DocumentName="windlass-test", InstanceIds=[node_id(1), node_id(3)])
    assert farm.ssm.list_commands()["Commands"] == []


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("ListCommands", {}),
        ("ListCommandInvocations", {}),
        ("CancelCommand", {"CommandId": "0" * 36}),
        ("GetCommandInvocation", {"CommandId": "0" * 36, "InstanceId": node_id(1)}),
        ("DescribeInstanceInformation", {}),
        ("ListDocuments", {}),
        ("DescribeParameters", {}),
    ],
)
def test_what_supports_no_resource_needs_a_star(farm: Bench, operation: str, request_: dict):
    ssm = caller(farm, allow(f"ssm:{operation}", f"arn:aws:ssm:{HERE}:*"))
    method = next(m for m, o in ssm.meta.method_to_api_mapping.items() if o == operation)
    with refused("AccessDeniedException", f"ssm:{operation}"):
        getattr(ssm, method)(**request_)
    farm.allow("app", allow(f"ssm:{operation}"))
    try:
        getattr(ssm, method)(**request_)
    except ssm.exceptions.ClientError as error:  # allowed; there is no such command
        assert error.response["Error"]["Code"] in ("InvalidCommandId", "InvocationDoesNotExist")


def test_documents_are_named_by_arn_and_conditioned_on_tags(bench: Bench):
    ours = {"StringEquals": {"aws:ResourceTag/windlass.dev/cluster": "prod"}}
    marked = {"StringEquals": {"aws:RequestTag/windlass.dev/cluster": "prod"}}
    every = f"arn:aws:ssm:{HERE}:document/windlass-*"
    ssm = caller(
        bench,
        allow(["ssm:CreateDocument", "ssm:AddTagsToResource"], every, **marked),
        allow(["ssm:DeleteDocument", "ssm:DescribeDocument"], every, **ours),
    )
    content, tags = json.dumps(command_document()), [{"Key": "windlass.dev/cluster", "Value": "prod"}]
    with refused("AccessDeniedException", f"arn:aws:ssm:{HERE}:document/windlass-a"):
        ssm.create_document(Name="windlass-a", Content=content)
    with refused("AccessDeniedException", f"arn:aws:ssm:{HERE}:document/other"):
        ssm.create_document(Name="other", Content=content, Tags=tags)
    ssm.create_document(Name="windlass-a", Content=content, Tags=tags)
    bench.ssm.create_document(Name="windlass-b", Content=content)
    with refused("AccessDeniedException", f"arn:aws:ssm:{HERE}:document/windlass-b"):
        ssm.delete_document(Name="windlass-b")
    ssm.delete_document(Name="windlass-a")


def test_to_create_with_tags_needs_the_right_to_tag(bench: Bench):
    ssm = caller(bench, allow(["ssm:CreateDocument", "ssm:PutParameter"]))
    content, tags = json.dumps(command_document()), [{"Key": "a", "Value": "b"}]
    ssm.create_document(Name="windlass-a", Content=content)
    with refused("AccessDeniedException", "ssm:AddTagsToResource", f"arn:aws:ssm:{HERE}:document/windlass-b"):
        ssm.create_document(Name="windlass-b", Content=content, Tags=tags)
    with refused("AccessDeniedException", "ssm:AddTagsToResource", f"arn:aws:ssm:{HERE}:parameter/windlass/b"):
        ssm.put_parameter(Name="/windlass/b", Value="x", Type="String", Tags=tags)


def test_parameters_are_named_by_arn(bench: Bench):
    mine = f"arn:aws:ssm:{HERE}:parameter/windlass/prod/*"
    ssm = caller(bench, allow(["ssm:PutParameter", "ssm:GetParameter", "ssm:GetParameters"], mine))
    ssm.put_parameter(Name="/windlass/prod/holder", Value="x", Type="String")
    assert ssm.get_parameter(Name="/windlass/prod/holder:1")["Parameter"]["Value"] == "x"
    with refused("AccessDeniedException", f"arn:aws:ssm:{HERE}:parameter/windlass/other"):
        ssm.put_parameter(Name="/windlass/other", Value="x", Type="String")
    with refused("AccessDeniedException", "parameter/windlass/other"):
        ssm.get_parameters(Names=["/windlass/prod/holder", "/windlass/other"])
    with refused("AccessDeniedException", "ssm:DeleteParameter"):
        ssm.delete_parameter(Name="/windlass/prod/holder")
