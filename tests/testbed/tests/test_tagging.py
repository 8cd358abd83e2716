"""The Resource Groups Tagging API's GetResources: nodes and other resources of Systems Manager by their tags.

Sources: API reference of the Resource Groups Tagging API, GetResources (filters, pages, InvalidParameterException); Service Authorization
Reference (tag:GetResources supports no resource).
"""

import json
import uuid

import pytest
from aws_bench import Bench, allow, refused
from aws_bench import bench as bench  # noqa: PLC0414 - the fixture
from ssm_bench import command_document, hybrid_id, node_id

from testbed.aws import ACCOUNT_ID, REGION

EC2 = f"arn:aws:ec2:{REGION}:{ACCOUNT_ID}:instance"
SSM = f"arn:aws:ssm:{REGION}:{ACCOUNT_ID}"


@pytest.fixture
def tagging(bench: Bench):
    """A client, and an account with tagged nodes of both kinds, a document, a parameter and a log group."""
    bench.control.set_nodes(
        [
            {"id": node_id(1), "tags": {"Role": "web", "Tier": "gold"}},
            {"id": node_id(2), "tags": {"Role": "db"}},
            {"id": node_id(3), "tags": {}},
            {"id": hybrid_id(4), "tags": {"Role": "web"}},
        ]
    )
    tags = [{"Key": "Role", "Value": "web"}]
    bench.ssm.create_document(Name="script", Content=json.dumps(command_document()), DocumentType="Command", Tags=tags)
    bench.ssm.put_parameter(Name="/app/size", Value="x", Type="String", Tags=tags)
    bench.client("logs").create_log_group(logGroupName=f"/tagging/{uuid.uuid4()}", tags={"Role": "web"})
    return bench.client("resourcegroupstaggingapi")


def arns(tagging, *filters: dict, **more) -> list[str]:
    found = tagging.get_resources(**({"TagFilters": list(filters)} if filters else {}), **more)
    return [resource["ResourceARN"] for resource in found["ResourceTagMappingList"]]


def tag(key: str, *values: str) -> dict:
    return {"Key": key, "Values": list(values)}


def test_filters_narrow_by_tag_and_type(tagging):
    nodes = ["ec2:instance", "ssm:managed-instance"]
    assert arns(tagging, tag("Role", "web"), ResourceTypeFilters=nodes) == [f"{EC2}/{node_id(1)}", f"{SSM}:managed-instance/{hybrid_id(4)}"]
    assert arns(tagging, tag("Role", "web", "db"), ResourceTypeFilters=["ec2"]) == [f"{EC2}/{node_id(1)}", f"{EC2}/{node_id(2)}"]
    assert arns(tagging, tag("Role", "web"), tag("Tier")) == [f"{EC2}/{node_id(1)}"]
    assert arns(tagging, tag("Role", "web"), ResourceTypeFilters=["ssm"]) == [
        f"{SSM}:document/script", f"{SSM}:managed-instance/{hybrid_id(4)}", f"{SSM}:parameter/app/size",
    ]  # fmt: skip
    assert arns(tagging, tag("Role", "nobody")) == []
    assert f"{EC2}/{node_id(3)}" not in arns(tagging)


def test_other_services_resources_are_there_too(tagging):
    groups = arns(tagging, tag("Role", "web"), ResourceTypeFilters=["logs"])
    assert groups and all(f"arn:aws:logs:{REGION}:{ACCOUNT_ID}:log-group:/tagging/" in arn for arn in groups)


def test_resources_come_with_their_tags_in_pages(bench: Bench, tagging):
    bench.control.set_nodes([{"id": node_id(n), "tags": {"Role": "web", "Number": str(n)}} for n in range(1, 8)])
    pages = tagging.get_paginator("get_resources").paginate(ResourceTypeFilters=["ec2:instance"], ResourcesPerPage=3)
    found = [page["ResourceTagMappingList"] for page in pages]
    assert [len(page) for page in found] == [3, 3, 1]
    assert found[0][0]["Tags"] == [{"Key": "Number", "Value": "1"}, {"Key": "Role", "Value": "web"}]
    last = tagging.get_resources(ResourceTypeFilters=["ec2:instance"])
    assert last["PaginationToken"] == ""


def test_arns_are_looked_up(tagging):
    wanted = f"{EC2}/{node_id(2)}"
    assert arns(tagging, ResourceARNList=[wanted]) == [wanted]


@pytest.mark.parametrize(
    "request_",
    [
        {"ResourcesPerPage": 101},
        {"PaginationToken": "bm93aGVyZQ=="},
        {"ResourceARNList": [f"{EC2}/{node_id(1)}"], "ResourceTypeFilters": ["ec2"]},
        {"TagFilters": [{"Key": "Role", "Values": [str(n) for n in range(21)]}]},
    ],
)
def test_requests_that_are_refused(tagging, request_: dict):
    """API reference, GetResources: InvalidParameterException."""
    with refused("InvalidParameterException"):
        tagging.get_resources(**request_)


def test_it_needs_a_star(bench: Bench, tagging):
    app = bench.client("resourcegroupstaggingapi", bench.session("app", allow("tag:GetResources", f"{EC2}/*")))
    with refused("AccessDeniedException", "tag:GetResources"):
        app.get_resources()
    bench.allow("app", allow("tag:GetResources"))
    assert app.get_resources()["ResourceTagMappingList"]
