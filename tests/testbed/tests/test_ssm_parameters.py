"""Parameter Store: versions, labels, selectors, paths, filters, secrets, and what AWS refuses.

Sources: API reference, PutParameter, GetParameter, GetParametersByPath, DescribeParameters, LabelParameterVersion and their errors; user
guide, "Requirements and constraints for parameter names", "Working with parameter versions", "Working with parameter labels".
"""

import json

import pytest
from aws_bench import Bench as AwsBench
from aws_bench import allow
from aws_bench import refused as denied
from ssm_bench import Bench, refused

from testbed.aws import ACCOUNT_ID, REGION

ARN = f"arn:aws:ssm:{REGION}:{ACCOUNT_ID}:parameter"


def put(bench: Bench, name: str, value: str = "x", **more) -> int:
    return bench.ssm.put_parameter(**{"Name": name, "Value": value, "Type": "String"} | more)["Version"]


def get(bench: Bench, name: str, **more) -> dict:
    return bench.ssm.get_parameter(Name=name, **more)["Parameter"]


def names(found: dict) -> list[str]:
    return [parameter["Name"] for parameter in found["Parameters"]]


def test_a_version_or_a_label_selects_one(bench: Bench):
    assert [put(bench, "/app/size", value, Overwrite=n > 0) for n, value in enumerate(("s", "m", "l"))] == [1, 2, 3]
    answer = bench.ssm.label_parameter_version(Name="/app/size", ParameterVersion=2, Labels=["live", "1st", "aws-live"])
    assert answer["InvalidLabels"] == ["1st", "aws-live"]
    assert get(bench, "/app/size")["Value"] == get(bench, f"{ARN}/app/size")["Value"] == "l"
    assert (get(bench, "/app/size:1")["Value"], get(bench, "/app/size:live")["Value"]) == ("s", "m")
    assert get(bench, "/app/size:live")["Selector"] == ":live"
    bench.ssm.label_parameter_version(Name="/app/size", Labels=["live"])
    assert get(bench, "/app/size:live")["Value"] == "l"
    answer = bench.ssm.unlabel_parameter_version(Name="/app/size", ParameterVersion=3, Labels=["live", "other"])
    assert (answer["RemovedLabels"], answer["InvalidLabels"]) == (["live"], ["other"])
    for wanted in ("/app/size:live", "/app/size:9"):
        with refused("ParameterVersionNotFound"):
            get(bench, wanted)
    with refused("ParameterVersionNotFound"):
        bench.ssm.label_parameter_version(Name="/app/size", ParameterVersion=9, Labels=["x"])
    with refused("ParameterVersionLabelLimitExceeded"):
        bench.ssm.label_parameter_version(Name="/app/size", ParameterVersion=1, Labels=[f"l{n}" for n in range(10)])
        bench.ssm.label_parameter_version(Name="/app/size", ParameterVersion=1, Labels=["one-more"])


def test_an_overwrite_keeps_what_it_does_not_say(bench: Bench):
    put(bench, "/app/port", "80", Description="a port", AllowedPattern=r"^\d+$", Tags=[{"Key": "a", "Value": "b"}])
    bench.ssm.put_parameter(Name="/app/port", Value="443", Overwrite=True)
    (shown,) = bench.ssm.describe_parameters()["Parameters"]
    assert (shown["Version"], shown["Description"], shown["AllowedPattern"], shown["ARN"]) == (2, "a port", r"^\d+$", f"{ARN}/app/port")
    assert shown["LastModifiedUser"].endswith(":root") and "Value" not in shown
    history = bench.ssm.get_parameter_history(Name="/app/port")["Parameters"]
    assert [(h["Version"], h["Value"]) for h in history] == [(1, "80"), (2, "443")]


def test_a_secret_is_in_no_answer_that_does_not_decrypt(bench: Bench):
    put(bench, "/app/password", "hunter2", Type="SecureString")
    put(bench, "/app/password", "hunter3", Type="SecureString", Overwrite=True)
    ssm = bench.ssm
    silent = [
        ssm.get_parameter(Name="/app/password"), ssm.get_parameters(Names=["/app/password"]), ssm.get_parameters_by_path(Path="/app"),
        ssm.describe_parameters(), ssm.get_parameter_history(Name="/app/password"),
    ]  # fmt: skip
    assert all("hunter" not in json.dumps(answer, default=str) for answer in silent)
    assert get(bench, "/app/password")["Value"] == get(bench, "/app/password")["Value"] != ""
    assert get(bench, "/app/password", WithDecryption=True)["Value"] == "hunter3"
    assert ssm.get_parameter_history(Name="/app/password", WithDecryption=True)["Parameters"][0]["Value"] == "hunter2"
    assert ssm.describe_parameters()["Parameters"][0]["KeyId"] == "alias/aws/ssm"
    with refused("InvalidKeyId"):
        put(bench, "/app/other", Type="SecureString", KeyId="00000000-0000-0000-0000-000000000000")


def test_paths_are_hierarchies_and_come_in_pages(bench: Bench):
    for name in ("/app/a", "/app/b", "/app/sub/c", "/application", "flat"):
        put(bench, name)
    assert names(bench.ssm.get_parameters_by_path(Path="/app")) == ["/app/a", "/app/b"]
    assert names(bench.ssm.get_parameters_by_path(Path="/app/", Recursive=True)) == ["/app/a", "/app/b", "/app/sub/c"]
    first = bench.ssm.get_parameters_by_path(Path="/", Recursive=True, MaxResults=3)
    rest = bench.ssm.get_parameters_by_path(Path="/", Recursive=True, MaxResults=3, NextToken=first["NextToken"])
    assert names(first) + names(rest) == ["/app/a", "/app/b", "/app/sub/c", "/application"] and "NextToken" not in rest
    exact = bench.ssm.get_parameters_by_path(Path="/app", MaxResults=2)
    assert "NextToken" not in exact
    with refused("InvalidNextToken"):
        bench.ssm.get_parameters_by_path(Path="/app", NextToken="bm93aGVyZQ==")
    with refused("ValidationException", "app"):
        bench.ssm.get_parameters_by_path(Path="app")
    with refused("ValidationException", "maxResults"):
        bench.ssm.get_parameters_by_path(Path="/app", MaxResults=11)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([{"Key": "Name", "Values": ["/app/a"]}], ["/app/a"]),
        ([{"Key": "Name", "Option": "BeginsWith", "Values": ["/app"]}], ["/app/a", "/app/sub/b"]),
        ([{"Key": "Name", "Option": "Contains", "Values": ["sub"]}], ["/app/sub/b"]),
        ([{"Key": "Path", "Option": "Recursive", "Values": ["/app"]}], ["/app/a", "/app/sub/b"]),
        ([{"Key": "Path", "Values": ["/app"]}], ["/app/a"]),
        ([{"Key": "Type", "Values": ["SecureString"]}], ["secret"]),
        ([{"Key": "tag:Team", "Values": ["web"]}], ["/app/a"]),
        ([{"Key": "tag:Team"}], ["/app/a", "/app/sub/b"]),
        ([{"Key": "tag:Team", "Values": ["web", "db"]}, {"Key": "Path", "Values": ["/app/sub"]}], ["/app/sub/b"]),
    ],
)
def test_descriptions_are_filtered(bench: Bench, filters: list, expected: list):
    put(bench, "/app/a", Tags=[{"Key": "Team", "Value": "web"}])
    put(bench, "/app/sub/b", Tags=[{"Key": "Team", "Value": "db"}])
    put(bench, "secret", Type="SecureString")
    assert names(bench.ssm.describe_parameters(ParameterFilters=filters)) == expected


@pytest.mark.parametrize(
    ("filters", "code"),
    [
        ([{"Key": "Type", "Option": "Contains", "Values": ["x"]}], "InvalidFilterOption"),
        ([{"Key": "Name"}], "InvalidFilterValue"),
        ([{"Key": "Colour", "Values": ["x"]}], "ValidationException"),
    ],
)
def test_filters_that_are_refused(bench: Bench, filters: list, code: str):
    """API reference, DescribeParameters: InvalidFilterOption, InvalidFilterValue; the keys are a pattern of the service model."""
    with refused(code):
        bench.ssm.describe_parameters(ParameterFilters=filters)
    if code == "InvalidFilterOption":
        with refused("InvalidFilterKey"):
            bench.ssm.get_parameters_by_path(Path="/", ParameterFilters=[{"Key": "Name", "Values": ["x"]}])


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"Name": "aws-thing"}, "ValidationException"),
        ({"Name": "/SSM/thing"}, "ValidationException"),
        ({"Name": "a/b"}, "ValidationException"),
        ({"Name": "what?"}, "ValidationException"),
        ({"Name": "/a" * 16}, "HierarchyLevelLimitExceededException"),
        ({"Type": None}, "ValidationException"),
        ({"Type": "Number"}, "ValidationException"),
        ({"Value": "x" * 4_097}, "ValidationException"),
        ({"Value": "x" * 8_193, "Tier": "Advanced"}, "ValidationException"),
        ({"AllowedPattern": "^[0-9]+$"}, "ParameterPatternMismatchException"),
        ({"AllowedPattern": "("}, "InvalidAllowedPatternException"),
        ({"DataType": "Text"}, "ValidationException"),
        ({"Overwrite": True, "Tags": [{"Key": "a", "Value": "b"}]}, "ValidationException"),
        ({"Policies": "[{}]"}, "ValidationException"),
    ],
)
def test_parameters_that_are_refused(bench: Bench, request_: dict, code: str):
    """API reference, PutParameter, Errors; policies are not built, which the bed says."""
    wanted = {"Name": "/app/new", "Value": "x", "Type": "String"} | request_
    with refused(code):
        bench.ssm.put_parameter(**{key: value for key, value in wanted.items() if value is not None})
    assert bench.ssm.describe_parameters()["Parameters"] == []


def test_an_existing_parameter_keeps_its_type(bench: Bench):
    """API reference, PutParameter: ParameterAlreadyExists, HierarchyTypeMismatchException."""
    put(bench, "/app/a")
    with refused("ParameterAlreadyExists"):
        put(bench, "/app/a")
    with refused("HierarchyTypeMismatchException"):
        put(bench, "/app/a", Type="SecureString", Overwrite=True)


def test_the_oldest_version_goes_unless_it_has_a_label(bench: Bench):
    """User guide, "Working with parameter versions": 100 versions; ParameterMaxVersionLimitExceeded."""
    for number in range(101):
        put(bench, "/app/a", str(number), Overwrite=True)
    pages = bench.ssm.get_paginator("get_parameter_history").paginate(Name="/app/a")
    history = [version["Version"] for page in pages for version in page["Parameters"]]
    assert history == list(range(2, 102))
    bench.ssm.label_parameter_version(Name="/app/a", ParameterVersion=2, Labels=["keep"])
    with refused("ParameterMaxVersionLimitExceeded"):
        put(bench, "/app/a", "101", Overwrite=True)


def test_the_number_of_parameters_has_a_quota(bench: Bench):
    """API reference, PutParameter: ParameterLimitExceeded."""
    bench.control.quotas(parameters=1)
    put(bench, "/app/a")
    with refused("ParameterLimitExceeded"):
        put(bench, "/app/b")
    put(bench, "/app/a", Overwrite=True)


def test_what_is_not_there(bench: Bench):
    """API reference: ParameterNotFound; DeleteParameters and GetParameters name what is not there."""
    put(bench, "/app/a")
    for call in (bench.ssm.get_parameter, bench.ssm.delete_parameter, bench.ssm.get_parameter_history):
        with refused("ParameterNotFound"):
            call(Name="/nobody")
    gone = bench.ssm.delete_parameters(Names=["/app/a", "/nobody"])
    assert (gone["DeletedParameters"], gone["InvalidParameters"]) == (["/app/a"], ["/nobody"])
    assert bench.ssm.get_parameters(Names=["/app/a", "/nobody"])["InvalidParameters"] == ["/app/a", "/nobody"]


def test_a_secret_under_a_customers_key_needs_the_key_too(aws):
    """User guide, "How Parameter Store uses KMS": kms:Encrypt to put, kms:Decrypt to read in clear; Service Authorization Reference."""
    bench = AwsBench(aws)
    key = bench.client("kms").create_key()["KeyMetadata"]
    mine = f"{ARN}/app/*"
    ssm = bench.client("ssm", bench.session("app", allow(["ssm:PutParameter", "ssm:GetParameter"], mine)))
    request = {"Name": "/app/secret", "Value": "hunter2", "Type": "SecureString", "KeyId": key["KeyId"]}
    with denied("AccessDeniedException", "kms:Encrypt", key["Arn"]):
        ssm.put_parameter(**request)
    bench.ssm.put_parameter(**request)
    assert ssm.get_parameter(Name="/app/secret")["Parameter"]["Value"] != "hunter2"
    with denied("AccessDeniedException", "kms:Decrypt", key["Arn"]):
        ssm.get_parameter(Name="/app/secret", WithDecryption=True)
    bench.allow("app", allow("ssm:GetParameter", mine), allow("kms:Decrypt", key["Arn"]))
    assert ssm.get_parameter(Name="/app/secret", WithDecryption=True)["Parameter"]["Value"] == "hunter2"
