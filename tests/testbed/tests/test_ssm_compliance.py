"""Compliance items and their summaries: of associations, of patches, and custom ones; documents that are shared.

Sources: API reference, PutComplianceItems (InvalidResourceType, InvalidResourceId, InvalidItemContentException,
ComplianceTypeCountLimitExceededException), ListComplianceItems, ListComplianceSummaries, ListResourceComplianceSummaries (InvalidFilter,
InvalidNextToken), ModifyDocumentPermission (InvalidPermissionType, DocumentPermissionLimit), DeleteDocument (InvalidDocumentOperation:
"You attempted to delete a document while it is still shared").
"""

from datetime import UTC, datetime

import pytest
from ssm_bench import Bench, node_id, refused
from test_ssm_associations import associate, settled

CUSTOM = "Custom:Windlass"


def put(bench: Bench, node: str, *items: tuple[str, str, str], kind: str = CUSTOM, **more) -> None:
    entries = [{"Id": i, "Title": f"item {i}", "Status": status, "Severity": severity} for i, status, severity in items]
    when = {"ExecutionTime": datetime.fromtimestamp(bench.control.now(), UTC), "ExecutionType": "Command"}
    request = {"ResourceId": node, "ResourceType": "ManagedInstance", "ComplianceType": kind, "ExecutionSummary": when, "Items": entries}
    bench.ssm.put_compliance_items(**request | more)


def items(bench: Bench, *filters: dict, **more) -> list[tuple]:
    listed = bench.ssm.list_compliance_items(**({"Filters": list(filters)} if filters else {}), **more)["ComplianceItems"]
    return [(i["ResourceId"], i["ComplianceType"], i["Id"], i["Status"]) for i in listed]


def equal(key: str, *values: str) -> dict:
    return {"Key": key, "Values": list(values), "Type": "EQUAL"}


def test_an_association_is_compliant_where_its_last_run_was_a_success(bench: Bench):
    good, bad = bench.nodes({}, {"rules": [{"times": 1, "exitCode": 1}]})
    association = associate(bench, ComplianceSeverity="CRITICAL")
    settled(bench, association)
    assert items(bench) == [(good, "Association", association, "COMPLIANT"), (bad, "Association", association, "NON_COMPLIANT")]
    (found,) = bench.ssm.list_compliance_items(ResourceIds=[bad])["ComplianceItems"]
    assert (found["Severity"], found["Details"]["DocumentName"]) == ("CRITICAL", "windlass-test")
    (summary,) = bench.ssm.list_compliance_summaries()["ComplianceSummaryItems"]
    assert summary["CompliantSummary"]["CompliantCount"] == summary["NonCompliantSummary"]["NonCompliantCount"] == 1
    assert summary["NonCompliantSummary"]["SeveritySummary"]["CriticalCount"] == 1
    bench.ssm.start_associations_once(AssociationIds=[association])
    settled(bench, association, 2)
    assert {status for *_, status in items(bench)} == {"COMPLIANT"}
    bench.ssm.delete_association(AssociationId=association)
    assert items(bench) == []


def test_an_association_with_manual_compliance_says_nothing_by_itself(bench: Bench):
    (node,) = bench.nodes({})
    association = associate(bench, SyncCompliance="MANUAL")
    settled(bench, association)
    assert items(bench) == []
    put(bench, node, (association, "NON_COMPLIANT", "HIGH"), kind="Association")
    assert items(bench) == [(node, "Association", association, "NON_COMPLIANT")]


def test_patches_are_items_too(bench: Bench):
    (node,) = bench.nodes({"updates": [{"kb": "KB1"}, {"kb": "KB2", "state": "Installed"}]})
    bench.finished(bench.send("AWS-RunPatchBaseline", [node], Parameters={"Operation": ["Scan"]}))
    assert items(bench, equal("ComplianceType", "Patch")) == [(node, "Patch", "KB1", "NON_COMPLIANT"), (node, "Patch", "KB2", "COMPLIANT")]
    (summary,) = bench.ssm.list_resource_compliance_summaries()["ResourceComplianceSummaryItems"]
    assert (summary["Status"], summary["ResourceId"], summary["ComplianceType"]) == ("NON_COMPLIANT", node, "Patch")
    assert (summary["CompliantSummary"]["CompliantCount"], summary["NonCompliantSummary"]["NonCompliantCount"]) == (1, 1)


def test_what_is_put_replaces_what_was_there_of_the_type(bench: Bench):
    (node,) = bench.nodes({})
    put(bench, node, ("1", "COMPLIANT", "LOW"), ("2", "NON_COMPLIANT", "HIGH"))
    put(bench, node, ("3", "COMPLIANT", "LOW"), kind="Custom:Other")
    put(bench, node, ("2", "COMPLIANT", "HIGH"))
    assert items(bench) == [(node, "Custom:Other", "3", "COMPLIANT"), (node, CUSTOM, "2", "COMPLIANT")]
    put(bench, node, ("4", "NON_COMPLIANT", "HIGH"), UploadType="PARTIAL")
    assert items(bench, equal("ComplianceType", CUSTOM)) == [(node, CUSTOM, "2", "COMPLIANT"), (node, CUSTOM, "4", "NON_COMPLIANT")]
    put(bench, node)
    assert items(bench, equal("ComplianceType", CUSTOM)) == []


def test_the_overall_severity_is_that_of_the_worst(bench: Bench):
    first, second = bench.nodes({}, {})
    put(bench, first, ("1", "NON_COMPLIANT", "LOW"), ("2", "NON_COMPLIANT", "HIGH"), ("3", "COMPLIANT", "CRITICAL"))
    put(bench, second, ("1", "COMPLIANT", "LOW"))
    found = bench.ssm.list_resource_compliance_summaries(Filters=[equal("ComplianceType", CUSTOM)])["ResourceComplianceSummaryItems"]
    assert [(s["Status"], s["OverallSeverity"]) for s in found] == [("NON_COMPLIANT", "HIGH"), ("COMPLIANT", "UNSPECIFIED")]
    (summary,) = bench.ssm.list_compliance_summaries()["ComplianceSummaryItems"]
    assert summary["NonCompliantSummary"]["SeveritySummary"]["HighCount"] == 1


def test_items_are_filtered_and_come_in_pages(bench: Bench):
    first, second = bench.nodes({}, {})
    for node in (first, second):
        put(bench, node, *((f"{n:02}", "COMPLIANT" if n % 2 else "NON_COMPLIANT", "LOW") for n in range(10)))
    pages = bench.ssm.get_paginator("list_compliance_items").paginate(PaginationConfig={"PageSize": 6})
    assert [len(page["ComplianceItems"]) for page in pages] == [6, 6, 6, 2]
    assert len(items(bench, equal("Status", "COMPLIANT"))) == 10
    assert len(items(bench, {"Key": "Id", "Values": ["0"], "Type": "BEGIN_WITH"}, equal("ResourceId", first))) == 10
    assert len(items(bench, {"Key": "Id", "Values": ["05"], "Type": "GREATER_THAN"})) == 8
    assert len(items(bench, {"Key": "Status", "Values": ["COMPLIANT"], "Type": "NOT_EQUAL"}, ResourceIds=[second])) == 5
    with refused("InvalidFilter", "Colour"):
        items(bench, equal("Colour", "blue"))
    for call in (bench.ssm.list_compliance_items, bench.ssm.list_compliance_summaries, bench.ssm.list_resource_compliance_summaries):
        with refused("InvalidNextToken"):
            call(NextToken="bm93aGVyZQ==")
    with refused("InvalidResourceId"):
        items(bench, ResourceIds=[node_id(9)])
    with refused("InvalidResourceType"):
        items(bench, ResourceTypes=["Printer"])


ONE = {"Items": [{"Id": "1", "Status": "COMPLIANT", "Severity": "LOW"}]}


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"ResourceId": node_id(9)}, "InvalidResourceId"),
        ({"ResourceType": "Printer"}, "InvalidResourceType"),
        ({"ComplianceType": "Windlass"}, "InvalidItemContentException"),
        ({"Items": ONE["Items"] * 2}, "InvalidItemContentException"),
        ({"Items": [{"Status": "COMPLIANT", "Severity": "LOW"}]}, "InvalidItemContentException"),
        ({"Items": [{"Id": "1", "Status": "FINE", "Severity": "LOW"}]}, "ValidationException"),
        ({"Items": [{"Id": "1", "Status": "COMPLIANT"}]}, "ValidationException"),
        ({"UploadType": "SOME"}, "ValidationException"),
    ],
)
def test_items_that_are_refused(bench: Bench, wrong: dict, code: str):
    """API reference, PutComplianceItems, Errors; closed enums and required members by the service model."""
    (node,) = bench.nodes({})
    with refused(code):
        put(bench, node, **ONE | wrong)
    put(bench, node, **ONE)


def test_the_number_of_custom_types_has_a_quota(bench: Bench):
    """API reference, PutComplianceItems: ComplianceTypeCountLimitExceededException."""
    bench.control.quotas(complianceTypes=1)
    (node,) = bench.nodes({})
    put(bench, node, **ONE)
    with refused("ComplianceTypeCountLimitExceededException"):
        put(bench, node, kind="Custom:Other", **ONE)


def shared(bench: Bench, name: str) -> list[str]:
    return bench.ssm.describe_document_permission(Name=name, PermissionType="Share")["AccountIds"]


def test_a_shared_document_cannot_be_deleted(bench: Bench):
    name, friends = bench.document(), ["222233334444", "333344445555"]
    bench.ssm.modify_document_permission(Name=name, PermissionType="Share", AccountIdsToAdd=friends)
    assert shared(bench, name) == friends
    with refused("InvalidDocumentOperation", "stop sharing"):
        bench.ssm.delete_document(Name=name)
    bench.ssm.modify_document_permission(Name=name, PermissionType="Share", AccountIdsToRemove=friends)
    assert shared(bench, name) == []
    bench.ssm.delete_document(Name=name)


def test_sharing_can_be_refused_as_a_setting(bench: Bench):
    """API reference, ModifyDocumentPermission: DocumentPermissionLimit; InvalidDocumentOperation for Amazon's documents, InvalidDocument."""
    bench.control.quotas(documentShares=0)
    name = bench.document()
    with refused("DocumentPermissionLimit"):
        bench.ssm.modify_document_permission(Name=name, PermissionType="Share", AccountIdsToAdd=["all"])
    with refused("InvalidDocument"):
        bench.ssm.modify_document_permission(Name="nobody", PermissionType="Share", AccountIdsToAdd=["all"])
    with refused("ValidationException", "enum"):
        bench.ssm.modify_document_permission(Name=name, PermissionType="Lend", AccountIdsToAdd=["all"])
    with refused("InvalidDocumentOperation"):
        bench.ssm.modify_document_permission(Name="AWS-RunPowerShellScript", PermissionType="Share", AccountIdsToAdd=["all"])
