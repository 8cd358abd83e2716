"""Patch Manager: AWS-RunPatchBaseline on simulated nodes, and what the service then says of their patches.

Sources: user guide, "SSM Command document for patching: AWS-RunPatchBaseline" and "Patch compliance state values"; API reference
(DescribeInstancePatchStates, DescribeInstancePatches: InvalidInstanceId, InvalidFilter; GetPatchBaseline: DoesNotExistException).
"""

import json

import boto3
import pytest
from ssm_bench import Bench, hybrid_id, node_id, refused

from testbed.aws import ACCOUNT_ID, REGION

DOCUMENT = "AWS-RunPatchBaseline"


def update(kb: str, **more) -> dict:
    return {"kb": kb, **more}


def patch(bench: Bench, nodes: list[str], operation: str = "Scan", **parameters: str) -> dict:
    """Runs the document to its end and answers the command."""
    given = {"Operation": [operation]} | {name: [value] for name, value in parameters.items()}
    return bench.finished(bench.send(DOCUMENT, nodes, Parameters=given))


def state(bench: Bench, node: str) -> dict:
    (found,) = bench.ssm.describe_instance_patch_states(InstanceIds=[node])["InstancePatchStates"]
    return found


def counts(bench: Bench, node: str) -> dict[str, int]:
    """The counts that are not zero."""
    found = {name.removesuffix("Count"): value for name, value in state(bench, node).items() if name.endswith("Count")}
    return {name: value for name, value in found.items() if value and "NonCompliant" not in name}


def patches(bench: Bench, node: str, **more) -> dict[str, str]:
    listed = bench.ssm.describe_instance_patches(InstanceId=node, **more)["Patches"]
    return {found["KBId"]: found["State"] for found in listed}


UPDATES = [
    update("KB1", state="Installed"),
    update("KB2"),
    update("KB3", severity="Important", classification="CriticalUpdates"),
    update("KB4", classification="Updates", severity="Unspecified"),
    update("KB5", classification="Updates", severity="Unspecified", state="Installed"),
    update("KB6", daysOld=2),
]


def test_a_scan_reports_and_installs_nothing(bench: Bench):
    (node,) = bench.nodes({"updates": UPDATES, "tags": {"Patch Group": "web-servers"}})
    command = patch(bench, [node])
    assert command["Status"] == "Success"
    assert counts(bench, node) == {"Installed": 1, "InstalledOther": 1, "Missing": 2, "AvailableSecurityUpdate": 1}
    shown = state(bench, node)
    assert (shown["Operation"], shown["PatchGroup"], shown["BaselineId"]) == ("Scan", "web-servers", "pb-09ca3fb51f0412ec3")
    assert shown["OperationStartTime"] < shown["OperationEndTime"]
    assert (shown["SecurityNonCompliantCount"], shown["OtherNonCompliantCount"]) == (1, 1)
    assert patches(bench, node) == {
        "KB1": "INSTALLED", "KB2": "MISSING", "KB3": "MISSING", "KB5": "INSTALLED_OTHER", "KB6": "AVAILABLE_SECURITY_UPDATE",
    }  # fmt: skip
    assert [u["state"] for u in bench.node(node)["updates"]] == [u.get("state", "Missing") for u in UPDATES]
    output = bench.result(command["CommandId"], node, "PatchWindows")["StandardOutputContent"]
    assert "Patch Summary for WEB-01" in output and "MissingCount                : 2" in output


def test_an_install_restarts_the_node_and_reports_afterwards(bench: Bench):
    (node,) = bench.nodes({"updates": UPDATES, "rebootSeconds": 60})
    before = bench.node(node)["bootTime"]
    assert patch(bench, [node], "Install")["Status"] == "Success"
    assert counts(bench, node) == {"Installed": 3, "InstalledOther": 1, "AvailableSecurityUpdate": 1}
    assert bench.node(node)["bootTime"] > before
    shown = state(bench, node)
    assert (shown["Operation"], shown["RebootOption"]) == ("Install", "RebootIfNeeded")
    assert "LastNoRebootInstallOperationTime" not in shown


def test_an_install_of_nothing_restarts_nothing(bench: Bench):
    (node,) = bench.nodes({"updates": [update("KB1", state="Installed"), update("KB2", reboot=False)]})
    before = bench.node(node)["bootTime"]
    assert patch(bench, [node], "Install")["Status"] == "Success"
    assert counts(bench, node) == {"Installed": 2}
    assert bench.node(node)["bootTime"] == before


def test_without_a_restart_updates_are_pending_until_there_is_one(bench: Bench):
    (node,) = bench.nodes({"updates": [update("KB1"), update("KB2", reboot=False)], "rules": [{"match": "Restart", "reboot": 0}],
                           "rebootSeconds": 10})  # fmt: skip
    patch(bench, [node], "Install", RebootOption="NoReboot")
    assert counts(bench, node) == {"Installed": 1, "InstalledPendingReboot": 1}
    assert state(bench, node)["LastNoRebootInstallOperationTime"]
    before = bench.node(node)["bootTime"]
    bench.finished(bench.send("AWS-RunPowerShellScript", [node], Parameters={"commands": ["Restart-Computer"]}))
    bench.until(lambda: bench.node(node)["bootTime"] > before, "the restart")
    assert counts(bench, node) == {"Installed": 1, "InstalledPendingReboot": 1}
    patch(bench, [node])
    assert counts(bench, node) == {"Installed": 2}


def test_an_install_with_something_pending_restarts_too(bench: Bench):
    (node,) = bench.nodes({"updates": [update("KB1", state="InstalledPendingReboot")], "rebootSeconds": 10})
    before = bench.node(node)["bootTime"]
    patch(bench, [node], "Install")
    assert bench.node(node)["bootTime"] > before
    assert counts(bench, node) == {"Installed": 1}


def test_an_update_that_fails_fails_the_command_and_is_counted(bench: Bench):
    (node,) = bench.nodes({"updates": [update("KB1"), update("KB2", fails=True)], "rebootSeconds": 10})
    command = patch(bench, [node], "Install")
    assert command["Status"] == "Failed"
    assert counts(bench, node) == {"Installed": 1, "Failed": 1}
    assert patches(bench, node, Filters=[{"Key": "State", "Values": ["Failed"]}]) == {"KB2": "FAILED"}
    assert "1 updates failed" in bench.result(command["CommandId"], node, "PatchWindows")["StandardErrorContent"]


def test_a_node_that_does_not_come_back_from_patching_has_said_nothing_of_its_end(bench: Bench):
    (node,) = bench.nodes({"updates": [update("KB1")], "rebootSeconds": 100_000})
    command = bench.send(DOCUMENT, [node], Parameters={"Operation": ["Install"]}, TimeoutSeconds=30)
    lost = [{"Key": "PingStatus", "Values": ["ConnectionLost"]}]
    bench.until(lambda: bench.ssm.describe_instance_information(Filters=lost)["InstanceInformationList"], "the node to be lost")
    assert bench.command(command)["Status"] == "InProgress"
    assert bench.details(command) == {node: "InProgress"}


def test_a_rule_that_matches_the_script_stands_in_its_way(bench: Bench):
    rules = [{"stdout": "any script"}, {"match": "PatchBaselineOperations", "exitCode": 1, "stderr": "0x80240438"}]
    first, second = bench.nodes({"updates": [update("KB1")], "rules": rules[:1]}, {"updates": [update("KB1")], "rules": rules[1:]})
    command = patch(bench, [first, second])
    assert bench.details(command["CommandId"]) == {first: "Success", second: "Failed"}
    assert counts(bench, first) == {"Missing": 1}
    assert bench.ssm.describe_instance_patch_states(InstanceIds=[second])["InstancePatchStates"] == []


def test_linux_nodes_have_a_baseline_of_their_own(bench: Bench):
    updates = [update("kernel", classification="Security", severity="Important"), update("bash", classification="Bugfix")]
    (node,) = bench.nodes({"platform": "Linux", "updates": updates, "rebootSeconds": 10})
    assert patch(bench, [node], "Install")["Status"] == "Success"
    assert counts(bench, node) == {"Installed": 2}


def s3(bench: Bench):
    return boto3.client("s3", endpoint_url=bench.ssm.meta.endpoint_url, region_name=REGION, aws_access_key_id=ACCOUNT_ID,
                        aws_secret_access_key="admin")  # fmt: skip


def put(bench: Bench, bucket: str, key: str, text: str) -> str:
    client = s3(bench)
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    client.put_object(Bucket=bucket, Key=key, Body=text.encode())
    return f"s3://{bucket}/{key}"


def test_a_baseline_override_says_what_is_approved(bench: Bench):
    override = [
        {"OperatingSystem": "AMAZON_LINUX_2023", "ApprovedPatches": ["KB1"]},
        {"OperatingSystem": "WINDOWS", "ApprovedPatches": ["KB4"], "RejectedPatches": ["KB1"]},
    ]
    url = put(bench, "baselines", "override.json", json.dumps(override))
    (node,) = bench.nodes({"updates": UPDATES, "rebootSeconds": 10})
    patch(bench, [node], "Install", BaselineOverride=url)
    found = patches(bench, node)
    assert (found["KB1"], found["KB4"], found["KB2"]) == ("INSTALLED_REJECTED", "INSTALLED", "AVAILABLE_SECURITY_UPDATE")


def test_an_install_override_list_says_what_is_installed(bench: Bench):
    url = put(bench, "lists", "list.yaml", "patches:\n  - id: KB3\n    title: '*'\n")
    (node,) = bench.nodes({"updates": UPDATES, "rebootSeconds": 10})
    patch(bench, [node], "Install", InstallOverrideList=url)
    assert (patches(bench, node)["KB2"], patches(bench, node)["KB3"]) == ("MISSING", "INSTALLED")


def test_an_override_that_cannot_be_read_fails_on_the_node(bench: Bench):
    (node,) = bench.nodes({"updates": UPDATES})
    command = patch(bench, [node], BaselineOverride="s3://nobody-has-this/x.json")
    assert command["Status"] == "Failed"
    assert "NoSuchBucket" in bench.result(command["CommandId"], node, "PatchWindows")["StandardErrorContent"]


@pytest.mark.parametrize(
    "parameters",
    [{}, {"Operation": ["Repair"]}, {"Operation": ["Scan"], "RebootOption": ["Maybe"]}, {"Operation": ["Scan"], "SnapshotId": ["x"]},
     {"Operation": ["Scan"], "BaselineOverride": ["ftp://x"]}, {"Operation": ["Scan"], "Colour": ["blue"]}],
)  # fmt: skip
def test_arguments_that_the_document_does_not_take(bench: Bench, parameters: dict):
    """API reference, SendCommand: InvalidParameters; the document's own allowedValues and allowedPattern."""
    with refused("InvalidParameters"):
        bench.send(DOCUMENT, bench.nodes({}), Parameters=parameters)


def test_states_and_patches_come_in_pages_and_filtered(bench: Bench):
    updates = [update(f"KB{n:03}", severity="Critical" if n % 2 else "Important") for n in range(25)]
    nodes = bench.nodes(*[{"updates": updates}] * 12)
    patch(bench, nodes)
    first = bench.ssm.describe_instance_patch_states(InstanceIds=nodes, MaxResults=10)
    rest = bench.ssm.describe_instance_patch_states(InstanceIds=nodes, MaxResults=10, NextToken=first["NextToken"])
    assert [len(page["InstancePatchStates"]) for page in (first, rest)] == [10, 2] and "NextToken" not in rest
    pages = bench.ssm.get_paginator("describe_instance_patches").paginate(InstanceId=nodes[0], PaginationConfig={"PageSize": 10})
    assert [len(page["Patches"]) for page in pages] == [10, 10, 5]
    assert len(patches(bench, nodes[0], Filters=[{"Key": "Severity", "Values": ["Critical"]}])) == 12
    assert patches(bench, nodes[0], Filters=[{"Key": "KBId", "Values": ["KB003"]}]) == {"KB003": "MISSING"}
    with refused("InvalidFilter", "Colour"):
        patches(bench, nodes[0], Filters=[{"Key": "Colour", "Values": ["blue"]}])
    with refused("InvalidNextToken"):
        bench.ssm.describe_instance_patches(InstanceId=nodes[0], NextToken="bm93aGVyZQ==")


def test_nodes_that_never_reported(bench: Bench):
    """API reference: DescribeInstancePatches answers InvalidInstanceId for what is no managed node."""
    (node,) = bench.nodes({"id": hybrid_id(1)})
    assert bench.ssm.describe_instance_patch_states(InstanceIds=[node])["InstancePatchStates"] == []
    assert patches(bench, node) == {}
    with refused("InvalidInstanceId", node_id(9)):
        patches(bench, node_id(9))
    with refused("ValidationException", "instanceIds"):
        bench.ssm.describe_instance_patch_states(InstanceIds=[node_id(n) for n in range(51)])


def test_amazons_baselines_can_be_read(bench: Bench):
    default = bench.ssm.get_default_patch_baseline()
    assert default["OperatingSystem"] == "WINDOWS"
    assert default["BaselineId"].endswith("patchbaseline/pb-09ca3fb51f0412ec3")
    baseline = bench.ssm.get_patch_baseline(BaselineId=default["BaselineId"])
    assert baseline["Name"] == "AWS-DefaultPatchBaseline"
    assert baseline["ApprovalRules"]["PatchRules"][0]["ApproveAfterDays"] == 7
    listed = bench.ssm.describe_patch_baselines(Filters=[{"Key": "OPERATING_SYSTEM", "Values": ["WINDOWS"]}])["BaselineIdentities"]
    assert [b["BaselineName"] for b in listed if b["DefaultBaseline"]] == ["AWS-DefaultPatchBaseline"]
    with refused("DoesNotExistException"):
        bench.ssm.get_patch_baseline(BaselineId="pb-0123456789abcdef0")
    with refused("ValidationException"):
        bench.ssm.describe_patch_baselines(Filters=[{"Key": "Colour", "Values": ["blue"]}])


def test_the_table_refuses_what_is_no_update(bench: Bench):
    from testbed.aws.client import ControlError

    for wrong in ({"kb": "KB1", "colour": "blue"}, {"kb": "KB1", "state": "Lost"}, {"title": "no kb"}):
        with pytest.raises(ControlError):
            bench.nodes({"updates": [wrong]})
