"""SendCommand and CancelCommand: what is accepted, what is refused, and with which of AWS's errors."""

import hashlib
import json

import pytest
from ssm_bench import Bench, command_document, node_id, powershell, refused

PARAMETERS = {
    "step": {"type": "String", "allowedValues": ["drain", "undrain"]},
    "arguments": {"type": "String", "default": "", "allowedPattern": "^[A-Za-z0-9+/=]*$"},
    "lines": {"type": "StringList", "default": ["a"], "minItems": 1, "maxItems": 2},
    "count": {"type": "Integer", "default": 1},
    "force": {"type": "Boolean", "default": False},
    "map": {"type": "StringMap", "default": {}},
    "short": {"type": "String", "default": "abc", "minChars": 2, "maxChars": 4},
}


@pytest.fixture
def document(bench: Bench) -> str:
    bench.nodes({}, {})
    return bench.document(command_document(powershell("main", "{{ step }}"), parameters=PARAMETERS))


ACCEPTED = [
    {},
    {"arguments": ["eyJhIjoxfQ=="]},
    {"lines": ["a", "b"]},
    {"count": ["3"], "force": ["true"], "map": ['{"a": 1}'], "short": ["abcd"]},
]


@pytest.mark.parametrize("arguments", ACCEPTED)
def test_arguments_that_fit_the_document_are_accepted_and_echoed(bench: Bench, document: str, arguments: dict):
    given = {"step": ["drain"], **arguments}
    sent = bench.ssm.send_command(DocumentName=document, InstanceIds=[node_id(1)], Parameters=given)["Command"]
    assert sent["Parameters"] == given
    assert bench.finished(sent["CommandId"])["Status"] == "Success"


REFUSED = {
    "required one missing": {},
    "required one empty": {"step": []},
    "unknown": {"step": ["drain"], "colour": ["blue"]},
    "not an allowed value": {"step": ["dance"]},
    "not of the pattern": {"step": ["drain"], "arguments": ["no spaces"]},
    "two values for a string": {"step": ["drain", "undrain"]},
    "too many items": {"step": ["drain"], "lines": ["a", "b", "c"]},
    "no integer": {"step": ["drain"], "count": ["many"]},
    "no boolean": {"step": ["drain"], "force": ["yes"]},
    "no map": {"step": ["drain"], "map": ["{"]},
    "too short": {"step": ["drain"], "short": ["a"]},
    "too long": {"step": ["drain"], "short": ["abcde"]},
}


@pytest.mark.parametrize("arguments", REFUSED.values(), ids=REFUSED.keys())
def test_arguments_that_do_not_fit_the_document_are_refused(bench: Bench, document: str, arguments: dict):
    with refused("InvalidParameters"):
        bench.send(document, [node_id(1)], Parameters=arguments)
    assert bench.ssm.list_commands()["Commands"] == []


def test_parameters_of_more_than_64_kb_are_refused(bench: Bench):
    bench.nodes({})
    document = bench.document(command_document(powershell("main", "{{ x }}"), parameters={"x": {"type": "String"}}))
    with refused("MaxDocumentSizeExceeded"):
        bench.send(document, [node_id(1)], Parameters={"x": ["x" * 65_537]})


OUT_OF_BOUNDS = [
    ({"Comment": "c" * 101}, "comment"),
    ({"TimeoutSeconds": 29}, "timeoutSeconds"),
    ({"TimeoutSeconds": 2_592_001}, "timeoutSeconds"),
    ({"MaxConcurrency": "0"}, "maxConcurrency"),
    ({"MaxConcurrency": "101%"}, "maxConcurrency"),
    ({"MaxErrors": "some"}, "maxErrors"),
    ({"MaxErrors": "-1"}, "maxErrors"),
    ({"DocumentVersion": "0"}, "documentVersion"),
    ({"DocumentName": "no spaces"}, "documentName"),
    ({"InstanceIds": ["web-01"]}, "instanceIds.1.member"),
    ({"DocumentHashType": "Md5"}, "documentHashType"),
]


@pytest.mark.parametrize(("fields", "where"), OUT_OF_BOUNDS)
def test_what_is_outside_the_service_models_bounds_is_a_validation_error(bench: Bench, document: str, fields: dict, where: str):
    request = {"DocumentName": document, "InstanceIds": [node_id(1)], "Parameters": {"step": ["drain"]}} | fields
    with refused("ValidationException", "validation error", where):
        bench.ssm.send_command(**request)


@pytest.mark.parametrize(
    "fields",
    [
        {"Comment": "c" * 100},
        {"TimeoutSeconds": 30},
        {"TimeoutSeconds": 2_592_000},
        {"MaxConcurrency": "100%", "MaxErrors": "0%"},
        {"MaxConcurrency": "1", "MaxErrors": "100%"},
        {"DocumentVersion": "$LATEST"},
        {"DocumentVersion": "1"},
    ],
)
def test_what_is_just_inside_the_bounds_is_accepted_and_echoed(bench: Bench, document: str, fields: dict):
    sent = bench.ssm.send_command(DocumentName=document, InstanceIds=[node_id(1)], Parameters={"step": ["drain"]}, **fields)["Command"]
    assert {name: sent[name] for name in fields} == fields


def test_all_violations_are_named_at_once(bench: Bench, document: str):
    with refused("ValidationException", "2 validation errors detected", "comment", "timeoutSeconds"):
        bench.send(document, [node_id(1)], Comment="c" * 101, TimeoutSeconds=1)


@pytest.mark.parametrize(
    ("targets", "code"),
    [
        ([{"Key": f"tag:k{n}", "Values": ["v"]} for n in range(6)], "ValidationException"),
        ([{"Key": "tag:Role", "Values": [f"v{n}" for n in range(6)]}], "InvalidParameters"),
        ([{"Key": "tag:Role", "Values": []}], "InvalidParameters"),
        ([{"Key": "Role", "Values": ["web"]}], "InvalidParameters"),
        ([{"Key": "tag:Role", "Values": ["a"]}, {"Key": "tag:Role", "Values": ["b"]}], "InvalidParameters"),
        ([{"Key": "InstanceIds", "Values": [node_id(1)]}, {"Key": "tag:Role", "Values": ["b"]}], "InvalidParameters"),
        ([{"Key": "resource-groups:Name", "Values": ["group"]}], "ValidationException"),
    ],
)
def test_targets_that_aws_does_not_take_are_refused(bench: Bench, document: str, targets: list, code: str):
    with refused(code):
        bench.send(document, Targets=targets, Parameters={"step": ["drain"]})


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ([{"Key": "tag:Role", "Values": ["web"]}], [1, 2]),
        ([{"Key": "tag:Role", "Values": ["web", "db"]}], [1, 2, 3]),
        ([{"Key": "tag:Role", "Values": ["web", "db"]}, {"Key": "tag:Tier", "Values": ["gold"]}], [2, 3]),
        ([{"Key": "tag-key", "Values": ["Tier"]}], [2, 3]),
        ([{"Key": "InstanceIds", "Values": [node_id(1), node_id(3)]}], [1, 3]),
        ([{"Key": "tag:role", "Values": ["web"]}], []),
    ],
)
def test_targets_choose_nodes_by_tag_and_id(bench: Bench, targets: list, expected: list):
    bench.nodes({}, {"tags": {"Role": "web", "Tier": "gold"}}, {"tags": {"Role": "db", "Tier": "gold"}}, {"tags": {}})
    command = bench.send(bench.document(), Targets=targets)
    assert bench.finished(command)["TargetCount"] == len(expected)
    if expected:
        assert sorted(bench.invocations(command)) == [node_id(n) for n in expected]


def test_targets_are_found_when_the_service_looks_not_when_it_is_asked(bench: Bench):
    bench.control.eventual(targetResolutionSeconds=400)
    bench.nodes({})
    command = bench.send(bench.document(), Targets=[{"Key": "tag:Role", "Values": ["web"]}])
    bench.nodes({}, {})
    assert bench.finished(command)["TargetCount"] == 2


def test_ids_or_targets_but_not_both_and_not_neither(bench: Bench, document: str):
    targets = [{"Key": "tag:Role", "Values": ["web"]}]
    with refused("InvalidParameters"):
        bench.send(document, [node_id(1)], Targets=targets, Parameters={"step": ["drain"]})
    with refused("InvalidParameters"):
        bench.send(document, Parameters={"step": ["drain"]})


def test_an_id_stands_only_once(bench: Bench, document: str):
    with refused("DuplicateInstanceId"):
        bench.send(document, [node_id(1), node_id(1)], Parameters={"step": ["drain"]})


def test_a_node_of_another_platform_is_refused_by_id(bench: Bench):
    bench.nodes({}, {"platform": "Linux"})
    document = bench.document(command_document(powershell("main", precondition=["platformType", "Windows"])))
    with refused("UnsupportedPlatformType", node_id(2)):
        bench.send(document, [node_id(1), node_id(2)])


def test_a_document_that_is_not_there_is_refused(bench: Bench):
    bench.nodes({})
    with refused("InvalidDocument", "nobody"):
        bench.send("nobody", [node_id(1)])
    with refused("InvalidDocument"):
        bench.send("arn:aws:ssm:eu-west-1:999999999999:document/other", [node_id(1)])
    with refused("InvalidDocumentVersion"):
        bench.send(bench.document(), [node_id(1)], DocumentVersion="7")


def test_a_command_runs_the_version_it_names_however_the_default_moves(bench: Bench):
    bench.nodes({"rules": [{"match": "one", "stdout": "1"}, {"match": "two", "stdout": "2"}]})
    name = bench.document(command_document(powershell("main", "one")))
    bench.ssm.update_document(Name=name, Content=json.dumps(command_document(powershell("main", "two"))), DocumentVersion="$LATEST")
    ran = {}
    for version in (None, "1", "2", "$LATEST", "$DEFAULT"):
        command = bench.send(name, [node_id(1)], **({"DocumentVersion": version} if version else {}))
        bench.finished(command)
        ran[version] = bench.result(command, node_id(1))["StandardOutputContent"]
    assert ran == {None: "1", "1": "1", "2": "2", "$LATEST": "2", "$DEFAULT": "1"}


def test_a_document_may_be_named_by_its_arn(bench: Bench):
    bench.nodes({})
    arn = f"arn:aws:ssm:eu-west-1:111122223333:document/{bench.document()}"
    command = bench.send(arn, [node_id(1)])
    assert bench.finished(command)["Status"] == "Success"
    assert bench.command(command)["DocumentName"] == arn
    amazon = bench.send("arn:aws:ssm:eu-west-1::document/AWS-RunPowerShellScript", [node_id(1)], Parameters={"commands": ["x"]})
    assert bench.finished(amazon)["Status"] == "Success"


def test_the_hash_of_the_document_is_checked(bench: Bench):
    bench.nodes({})
    name = bench.document()
    described = bench.ssm.describe_document(Name=name)["Document"]
    text = bench.ssm.get_document(Name=name)["Content"]
    bench.send(name, [node_id(1)], DocumentHash=described["Hash"], DocumentHashType="Sha256")
    bench.send(name, [node_id(1)], DocumentHash=hashlib.sha1(text.encode()).hexdigest(), DocumentHashType="Sha1")
    with refused("InvalidDocument", "hash"):
        bench.send(name, [node_id(1)], DocumentHash=hashlib.sha256(b"other").hexdigest(), DocumentHashType="Sha256")


@pytest.mark.parametrize(
    "more",
    [
        {"ServiceRoleArn": "arn:aws:iam::111122223333:role/sns", "NotificationConfig": {"NotificationArn": "arn:aws:sns:x"}},
        {"AlarmConfiguration": {"Alarms": [{"Name": "alarm"}]}},
    ],
)
def test_what_the_bed_does_not_have_of_commands_is_refused_and_said(bench: Bench, document: str, more: dict):
    with refused("ValidationException", "The test bed's Systems Manager has no"):
        bench.send(document, [node_id(1)], Parameters={"step": ["drain"]}, **more)


def test_expiry_is_the_delivery_timeout_and_the_longest_execution_timeout(bench: Bench):
    bench.nodes({})
    document = bench.document(command_document(powershell("a", timeout=100), powershell("b", timeout=600)))
    sent = bench.ssm.send_command(DocumentName=document, InstanceIds=[node_id(1)], TimeoutSeconds=30)["Command"]
    assert (sent["ExpiresAfter"] - sent["RequestedDateTime"]).total_seconds() == pytest.approx(630, abs=0.01)


def test_cancel_refuses_what_it_does_not_know(bench: Bench, document: str):
    command = bench.send(document, [node_id(1)], Parameters={"step": ["drain"]})
    with refused("InvalidCommandId"):
        bench.ssm.cancel_command(CommandId="00000000-0000-0000-0000-000000000000")
    with refused("InvalidInstanceId", node_id(2)):
        bench.ssm.cancel_command(CommandId=command, InstanceIds=[node_id(2)])
    with refused("DuplicateInstanceId"):
        bench.ssm.cancel_command(CommandId=command, InstanceIds=[node_id(1), node_id(1)])
    with refused("ValidationException", "commandId"):
        bench.ssm.cancel_command(CommandId="short")


def test_cancelling_what_has_ended_changes_nothing(bench: Bench, document: str):
    command = bench.send(document, [node_id(1)], Parameters={"step": ["drain"]})
    ended = bench.finished(command)
    bench.ssm.cancel_command(CommandId=command)
    assert bench.command(command) == ended
