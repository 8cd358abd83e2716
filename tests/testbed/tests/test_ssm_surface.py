"""What of the API there is; the rest is refused as an unknown action, counted, and never swallowed."""

import pytest
from botocore.exceptions import ClientError
from ssm_bench import Bench, client, node_id, refused

BUILT = {
    "AddTagsToResource", "CancelCommand", "CreateAssociation", "CreateDocument", "DeleteAssociation", "DeleteDocument",
    "DeleteParameter", "DeleteParameters", "DescribeAssociation", "DescribeAssociationExecutionTargets",
    "DescribeAssociationExecutions", "DescribeAutomationExecutions", "DescribeAutomationStepExecutions", "DescribeDocument",
    "DescribeDocumentPermission", "DescribeInstanceAssociationsStatus", "DescribeInstanceInformation",
    "DescribeInstancePatchStates", "DescribeInstancePatches", "DescribeParameters", "DescribePatchBaselines",
    "GetAutomationExecution", "GetCalendarState", "GetCommandInvocation", "GetDefaultPatchBaseline", "GetDocument",
    "GetParameter", "GetParameterHistory", "GetParameters", "GetParametersByPath", "GetPatchBaseline", "LabelParameterVersion",
    "ListAssociationVersions", "ListAssociations", "ListCommandInvocations", "ListCommands", "ListComplianceItems",
    "ListComplianceSummaries", "ListDocumentVersions", "ListDocuments", "ListResourceComplianceSummaries",
    "ListTagsForResource", "ModifyDocumentPermission", "PutComplianceItems", "PutParameter", "RemoveTagsFromResource",
    "SendAutomationSignal", "SendCommand", "StartAssociationsOnce", "StartAutomationExecution", "StopAutomationExecution",
    "UnlabelParameterVersion", "UpdateAssociation", "UpdateDocument", "UpdateDocumentDefaultVersion",
}  # fmt: skip


def test_every_other_operation_of_the_service_is_an_unknown_action(bench: Bench):
    model = bench.ssm.meta.service_model
    answered = set()
    for method, operation in bench.ssm.meta.method_to_api_mapping.items():
        try:
            getattr(bench.ssm, method)()
            answered.add(operation)
        except ClientError as error:
            if error.response["Error"]["Code"] != "UnknownOperationException":
                answered.add(operation)
    assert answered == BUILT
    assert len(model.operation_names) > len(BUILT)


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("create_maintenance_window", {"Name": "night", "Schedule": "rate(1 day)", "Duration": 2, "Cutoff": 1,
                                       "AllowUnassociatedTargets": True}),
        ("start_session", {"Target": node_id(1)}),
    ],
)  # fmt: skip
def test_what_is_not_built_is_refused_also_when_the_request_is_good(bench: Bench, method: str, request_: dict):
    bench.nodes({})
    with refused("UnknownOperationException"):
        getattr(bench.ssm, method)(**request_)
    operation = bench.ssm.meta.method_to_api_mapping[method]
    assert bench.control.count("ssm", operation, "UnknownOperationException") == 1


def test_parameters_are_kept_with_versions(bench: Bench):
    bench.ssm.put_parameter(Name="/windlass/prod/holder", Value="one", Type="String")
    with refused("ParameterAlreadyExists"):
        bench.ssm.put_parameter(Name="/windlass/prod/holder", Value="two", Type="String")
    assert bench.ssm.put_parameter(Name="/windlass/prod/holder", Value="two", Type="String", Overwrite=True)["Version"] == 2
    parameter = bench.ssm.get_parameter(Name="/windlass/prod/holder")["Parameter"]
    assert (parameter["Value"], parameter["Version"]) == ("two", 2)
    assert [p["Value"] for p in bench.ssm.get_parameters_by_path(Path="/windlass", Recursive=True)["Parameters"]] == ["two"]
    several = bench.ssm.get_parameters(Names=["/windlass/prod/holder", "/windlass/nobody"])
    assert ([p["Value"] for p in several["Parameters"]], several["InvalidParameters"]) == (["two"], ["/windlass/nobody"])
    assert [h["Value"] for h in bench.ssm.get_parameter_history(Name="/windlass/prod/holder")["Parameters"]] == ["one", "two"]
    assert [p["Name"] for p in bench.ssm.describe_parameters()["Parameters"]] == ["/windlass/prod/holder"]
    bench.ssm.delete_parameter(Name="/windlass/prod/holder")
    with refused("ParameterNotFound"):
        bench.ssm.get_parameter(Name="/windlass/prod/holder")


def test_times_of_parameters_follow_the_beds_clock(bench: Bench):
    before = bench.control.now()
    bench.ssm.put_parameter(Name="/windlass/renewed", Value="x", Type="String")
    modified = bench.ssm.get_parameter(Name="/windlass/renewed")["Parameter"]["LastModifiedDate"].timestamp()
    assert before - 1 <= modified <= bench.control.now()


def test_what_one_region_has_another_does_not(bench: Bench):
    bench.nodes({})
    there = client(bench.ssm.meta.endpoint_url, "eu-central-1")
    bench.ssm.put_parameter(Name="/windlass/here", Value="x", Type="String")
    name = bench.document()
    bench.ssm.create_association(Name=name, Targets=[{"Key": "tag:Role", "Values": ["web"]}])
    assert there.describe_parameters()["Parameters"] == there.list_associations()["Associations"] == []
    assert there.list_compliance_items()["ComplianceItems"] == there.describe_automation_executions()["AutomationExecutionMetadataList"] == []
    for call in (there.get_document, there.describe_document):
        with refused("InvalidDocument"):
            call(Name=name)
    with refused("InvalidDocument"):
        there.get_calendar_state(CalendarNames=[name])


def test_a_reset_forgets_everything(bench: Bench):
    ids = bench.nodes({})
    bench.send(bench.document(), ids)
    bench.ssm.put_parameter(Name="/windlass/kept", Value="x", Type="String")
    association = bench.ssm.create_association(Name="windlass-test", Targets=[{"Key": "tag:Role", "Values": ["web"]}])
    bench.control.quotas(associations=7)
    bench.control.eventual(invocationVisibleSeconds=12)
    bench.control.reset()
    assert bench.control.nodes() == []
    assert bench.ssm.list_commands()["Commands"] == []
    assert bench.ssm.describe_parameters()["Parameters"] == []
    assert bench.ssm.list_documents(Filters=[{"Key": "Owner", "Values": ["Self"]}])["DocumentIdentifiers"] == []
    assert bench.control.eventual()["invocationVisibleSeconds"] != 12
    assert bench.control.quotas()["associations"] == 2_000
    with refused("AssociationDoesNotExist"):
        bench.ssm.describe_association(AssociationId=association["AssociationDescription"]["AssociationId"])
