"""Documents: versions, hashes, status, listings, and what AWS refuses."""

import hashlib
import json

import pytest
from ssm_bench import Bench, command_document, powershell, refused


def content(*lines: str) -> str:
    return json.dumps(command_document(powershell("main", *lines)))


def test_a_created_document_is_described_with_its_hash_version_and_tags(bench: Bench):
    text = json.dumps(
        command_document(
            powershell("main", "{{ who }} {{ many }}"),
            description="says hello",
            parameters={
                "who": {"type": "String", "description": "whom"},
                "many": {"type": "StringList", "default": ["a", "b"]},
            },
        )
    )
    made = bench.ssm.create_document(
        Name="hello", Content=text, DocumentType="Command", DocumentFormat="JSON", VersionName="one", TargetType="/AWS::EC2::Instance",
        Tags=[{"Key": "windlass.dev/cluster", "Value": "prod"}],
    )["DocumentDescription"]  # fmt: skip
    assert made["Status"] == "Creating"
    bench.until(lambda: bench.ssm.describe_document(Name="hello")["Document"]["Status"] == "Active", "the document")
    described = bench.ssm.describe_document(Name="hello")["Document"]
    assert (described["Hash"], described["HashType"]) == (hashlib.sha256(text.encode()).hexdigest(), "Sha256")
    assert (described["DocumentVersion"], described["LatestVersion"], described["DefaultVersion"]) == ("1", "1", "1")
    assert (described["VersionName"], described["TargetType"], described["SchemaVersion"]) == ("one", "/AWS::EC2::Instance", "2.2")
    assert described["Tags"] == [{"Key": "windlass.dev/cluster", "Value": "prod"}]
    assert described["Owner"] == "111122223333"
    assert described["Parameters"] == [
        {"Name": "who", "Type": "String", "Description": "whom"},
        {"Name": "many", "Type": "StringList", "Description": "", "DefaultValue": '["a", "b"]'},
    ]
    got = bench.ssm.get_document(Name="hello")
    assert (got["Content"], got["DocumentFormat"], got["DocumentVersion"]) == (text, "JSON", "1")


def test_an_update_adds_a_version_and_leaves_the_default_as_it_was(bench: Bench):
    name = bench.document(command_document(powershell("main", "one")))
    updated = bench.ssm.update_document(Name=name, Content=content("two"), DocumentVersion="$LATEST")["DocumentDescription"]
    assert (updated["DocumentVersion"], updated["DefaultVersion"], updated["Status"]) == ("2", "1", "Updating")
    assert bench.ssm.get_document(Name=name)["DocumentVersion"] == "1"
    assert bench.ssm.get_document(Name=name, DocumentVersion="$LATEST")["Content"] == content("two")
    answer = bench.ssm.update_document_default_version(Name=name, DocumentVersion="2")["Description"]
    assert answer == {"Name": name, "DefaultVersion": "2"}
    assert bench.ssm.get_document(Name=name)["Content"] == content("two")
    versions = bench.ssm.list_document_versions(Name=name)["DocumentVersions"]
    assert [(v["DocumentVersion"], v["IsDefaultVersion"]) for v in versions] == [("2", True), ("1", False)]


def test_an_update_without_a_change_is_duplicate_content(bench: Bench):
    name = bench.document(command_document(powershell("main", "one")))
    with refused("DuplicateDocumentContent"):
        bench.ssm.update_document(Name=name, Content=content("one"), DocumentVersion="$LATEST")
    bench.ssm.update_document(Name=name, Content=content("two"), DocumentVersion="$LATEST")
    again = bench.ssm.update_document(Name=name, Content=content("one"), DocumentVersion="2")["DocumentDescription"]
    assert again["DocumentVersion"] == "3"


def test_only_the_latest_version_can_be_updated(bench: Bench):
    name = bench.document(command_document(powershell("main", "one")))
    bench.ssm.update_document(Name=name, Content=content("two"), DocumentVersion="1")
    with refused("InvalidDocumentVersion"):
        bench.ssm.update_document(Name=name, Content=content("three"), DocumentVersion="1")


def test_a_version_name_stands_for_one_version_only(bench: Bench):
    name = bench.document(command_document(powershell("main", "one")), VersionName="v1")
    with refused("DuplicateDocumentVersionName"):
        bench.ssm.update_document(Name=name, Content=content("two"), DocumentVersion="$LATEST", VersionName="v1")
    assert bench.ssm.describe_document(Name=name, VersionName="v1")["Document"]["DocumentVersion"] == "1"
    with refused("InvalidDocumentVersion"):
        bench.ssm.describe_document(Name=name, VersionName="v9")


def test_a_document_has_at_most_a_thousand_versions(bench: Bench):
    name = bench.document(command_document(powershell("main", "1")))
    for number in range(2, 1_001):
        bench.ssm.update_document(Name=name, Content=content(str(number)), DocumentVersion="$LATEST")
    with refused("DocumentVersionLimitExceeded"):
        bench.ssm.update_document(Name=name, Content=content("1001"), DocumentVersion="$LATEST")


def test_an_account_has_at_most_500_documents(bench: Bench):
    for number in range(500):
        bench.document(name=f"document-{number}")
    with refused("DocumentLimitExceeded"):
        bench.document(name="document-500")
    bench.ssm.delete_document(Name="document-0")
    bench.document(name="document-500")


def test_a_deleted_document_is_gone_and_its_name_free(bench: Bench):
    name = bench.document()
    bench.ssm.delete_document(Name=name)
    for call in (bench.ssm.describe_document, bench.ssm.get_document, bench.ssm.list_document_versions, bench.ssm.delete_document):
        with refused("InvalidDocument", name):
            call(Name=name)
    bench.document(name=name)


def test_the_default_version_cannot_be_deleted_and_a_deleted_number_does_not_come_back(bench: Bench):
    name = bench.document(command_document(powershell("main", "one")))
    bench.ssm.update_document(Name=name, Content=content("two"), DocumentVersion="$LATEST")
    with refused("InvalidDocumentOperation"):
        bench.ssm.delete_document(Name=name, DocumentVersion="1")
    bench.ssm.delete_document(Name=name, DocumentVersion="2")
    with refused("InvalidDocumentVersion"):
        bench.ssm.get_document(Name=name, DocumentVersion="2")
    updated = bench.ssm.update_document(Name=name, Content=content("three"), DocumentVersion="$LATEST")["DocumentDescription"]
    assert updated["DocumentVersion"] == "3"


def test_a_name_is_taken_only_once(bench: Bench):
    name = bench.document()
    with refused("DocumentAlreadyExists", name):
        bench.document(command_document(powershell("main", "other")), name=name)


@pytest.mark.parametrize("name", ["ab", "with space", "with/slash", "x" * 129])
def test_a_name_must_match_awss_pattern(bench: Bench, name: str):
    with refused("ValidationException", "'name'", "regular expression pattern"):
        bench.document(name=name)


@pytest.mark.parametrize("name", ["aws-mine", "AWSMine", "amazon.mine", "amzn_mine"])
def test_a_name_must_not_begin_as_awss_own_do(bench: Bench, name: str):
    with refused("ValidationException", "prefix"):
        bench.document(name=name)


def test_a_document_of_64_kb_is_accepted_and_one_byte_more_is_not(bench: Bench):
    empty = len(content(""))
    largest = content("x" * (65_536 - empty))
    assert len(largest) == 65_536
    bench.ssm.create_document(Name="largest", Content=largest, DocumentType="Command")
    with refused("MaxDocumentSizeExceeded"):
        bench.ssm.create_document(Name="larger", Content=content("x" * (65_537 - empty)), DocumentType="Command")
    # Bytes, not characters: a script with umlauts is longer than it looks.
    umlauts = json.dumps(command_document(powershell("main", "ü" * (65_000 - empty))), ensure_ascii=False)
    assert len(umlauts) < 65_536 < len(umlauts.encode())
    with refused("MaxDocumentSizeExceeded"):
        bench.ssm.create_document(Name="umlauts", Content=umlauts, DocumentType="Command")


STRING = {"type": "String"}
REFUSED_CONTENT = {
    "not JSON": "{",
    "not an object": "[]",
    "no schema version": json.dumps({"mainSteps": [powershell("main")]}),
    "no steps": json.dumps({"schemaVersion": "2.2"}),
    "empty steps": json.dumps({"schemaVersion": "2.2", "mainSteps": []}),
    "unknown element": json.dumps(command_document(surprise=1)),
    "step without name": json.dumps(command_document({"action": "aws:runPowerShellScript", "inputs": {"runCommand": ["x"]}})),
    "step without action": json.dumps(command_document({"name": "main", "inputs": {"runCommand": ["x"]}})),
    "unknown plugin": json.dumps(command_document({"action": "aws:runBashScript", "name": "main", "inputs": {}})),
    "automation action": json.dumps(command_document({"action": "aws:sleep", "name": "main", "inputs": {"Duration": "PT1S"}})),
    "script without commands": json.dumps(command_document({"action": "aws:runPowerShellScript", "name": "main", "inputs": {}})),
    "two steps of one name": json.dumps(command_document(powershell("main"), powershell("main"))),
    "undeclared parameter": json.dumps(command_document(powershell("main", "Write-Output {{ nobody }}"))),
    "undeclared in precondition": json.dumps(command_document(powershell("main", precondition=["{{ nobody }}", "x"]))),
    "undeclared in timeout": json.dumps(command_document(powershell("main", timeout="{{ nobody }}"))),
    "parameter without type": json.dumps(command_document(parameters={"who": {"default": "x"}})),
    "parameter of unknown type": json.dumps(command_document(parameters={"who": {"type": "Text"}})),
    "parameter name with underscore": json.dumps(command_document(parameters={"who_is": STRING})),
    "default not allowed": json.dumps(command_document(parameters={"who": STRING | {"default": "c", "allowedValues": ["a", "b"]}})),
    "broken pattern": json.dumps(command_document(parameters={"who": STRING | {"allowedPattern": "("}})),
    "number as a script line": json.dumps(command_document(powershell("main", "{{ n }}"), parameters={"n": {"type": "Integer"}})),
    "precondition of one string": json.dumps(command_document(powershell("main") | {"precondition": {"StringEquals": "x"}})),
}


@pytest.mark.parametrize("text", REFUSED_CONTENT.values(), ids=REFUSED_CONTENT.keys())
def test_content_that_is_no_command_document_is_refused(bench: Bench, text: str):
    with refused("InvalidDocumentContent"):
        bench.ssm.create_document(Name="refused", Content=text, DocumentType="Command")
    name = bench.document()
    with refused("InvalidDocumentContent"):
        bench.ssm.update_document(Name=name, Content=text, DocumentVersion="$LATEST")


@pytest.mark.parametrize("schema", ["0.3", "1.0", "3.0"])
def test_other_schema_versions_are_no_command_documents(bench: Bench, schema: str):
    text = json.dumps(command_document() | {"schemaVersion": schema})
    with refused("InvalidDocumentSchemaVersion", schema):
        bench.ssm.create_document(Name="refused", Content=text, DocumentType="Command")


def test_yaml_is_a_document_too(bench: Bench):
    text = """
schemaVersion: "2.2"
mainSteps:
- action: aws:runPowerShellScript
  name: main
  inputs:
    runCommand:
    - Get-Service
"""
    bench.ssm.create_document(Name="in-yaml", Content=text, DocumentType="Command", DocumentFormat="YAML")
    got = bench.ssm.get_document(Name="in-yaml")
    assert (got["Content"], got["DocumentFormat"]) == (text, "YAML")
    with refused("InvalidDocumentContent", "YAML"):
        bench.ssm.create_document(Name="broken", Content="a: [", DocumentType="Command", DocumentFormat="YAML")


@pytest.mark.parametrize(
    ("steps", "platforms"),
    [
        ([powershell("a", precondition=["platformType", "Windows"])], ["Windows"]),
        ([powershell("a", precondition=["Windows", "platformType"])], ["Windows"]),
        ([powershell("a")], ["Windows", "Linux"]),
        ([{"action": "aws:runShellScript", "name": "a", "inputs": {"runCommand": ["ls"]}}], ["Linux"]),
        ([{"action": "aws:psModule", "name": "a", "inputs": {}}], ["Windows"]),
    ],
)
def test_platform_types_follow_from_plugins_and_preconditions(bench: Bench, steps: list, platforms: list):
    name = bench.document(command_document(*steps))
    assert bench.ssm.describe_document(Name=name)["Document"]["PlatformTypes"] == platforms


def test_documents_are_listed_by_name_in_pages_and_filtered(bench: Bench):
    for number in range(5):
        bench.document(name=f"mine-{number}", Tags=[{"Key": "Even", "Value": str(number % 2 == 0)}])
    own = [{"Key": "Owner", "Values": ["Self"]}]
    first = bench.ssm.list_documents(Filters=own, MaxResults=3)
    second = bench.ssm.list_documents(Filters=own, MaxResults=3, NextToken=first["NextToken"])
    names = [d["Name"] for d in first["DocumentIdentifiers"] + second["DocumentIdentifiers"]]
    assert names == [f"mine-{n}" for n in range(5)] and "NextToken" not in second
    even = bench.ssm.list_documents(Filters=[{"Key": "tag:Even", "Values": ["True"]}])["DocumentIdentifiers"]
    assert [d["Name"] for d in even] == ["mine-0", "mine-2", "mine-4"]
    amazon = bench.ssm.list_documents(DocumentFilterList=[{"key": "Owner", "value": "Amazon"}])["DocumentIdentifiers"]
    assert {"AWS-RunPatchBaseline", "AWS-RunPowerShellScript", "AWS-RunShellScript"} == {d["Name"] for d in amazon}
    with refused("InvalidFilterKey"):
        bench.ssm.list_documents(Filters=[{"Key": "Colour", "Values": ["blue"]}])
    with refused("InvalidNextToken"):
        bench.ssm.list_documents(NextToken="bm93aGVyZQ==")


def test_amazons_documents_can_be_read_but_not_changed(bench: Bench):
    described = bench.ssm.describe_document(Name="AWS-RunPowerShellScript")["Document"]
    assert (described["Owner"], described["SchemaVersion"]) == ("Amazon", "1.2")
    with refused("InvalidDocumentOperation"):
        bench.ssm.delete_document(Name="AWS-RunPowerShellScript")
    with refused("InvalidDocumentOperation"):
        bench.ssm.update_document(Name="AWS-RunPowerShellScript", Content=content("x"), DocumentVersion="$LATEST")


@pytest.mark.parametrize(
    "more",
    [
        {"DocumentType": "Session"},
        {"Attachments": [{"Key": "SourceUrl", "Values": ["s3://bucket"]}]},
        {"Requires": [{"Name": "other"}]},
    ],
)
def test_what_the_bed_does_not_have_of_documents_is_refused_and_said(bench: Bench, more: dict):
    request = {"Name": "refused", "Content": content("x"), "DocumentType": "Command"} | more
    with refused("ValidationException", "The test bed's Systems Manager has no"):
        bench.ssm.create_document(**request)
