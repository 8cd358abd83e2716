"""DescribeInstanceInformation: what is a managed node, filters, pages."""

import pytest
from ssm_bench import Bench, client, hybrid_id, node_id, refused

from testbed.aws.client import ControlError


def listed(bench: Bench, *filters: dict, **more) -> list[str]:
    answer = bench.ssm.describe_instance_information(**({"Filters": list(filters)} if filters else {}), **more)
    return [node["InstanceId"] for node in answer["InstanceInformationList"]]


def test_a_node_is_described_as_it_is(bench: Bench):
    ec2, hybrid = bench.nodes(
        {"ip": "10.1.2.3", "agentVersion": "3.2.1.0"},
        {"id": hybrid_id(2), "platform": "Linux", "ping": "ConnectionLost", "computerName": "db-01"},
    )
    nodes = {n["InstanceId"]: n for n in bench.ssm.describe_instance_information()["InstanceInformationList"]}
    shown = ("PingStatus", "PlatformType", "ComputerName", "IPAddress", "AgentVersion", "ResourceType", "SourceType")
    assert [nodes[ec2][key] for key in shown] == [
        "Online", "Windows", "WEB-01", "10.1.2.3", "3.2.1.0", "EC2Instance", "AWS::EC2::Instance",
    ]  # fmt: skip
    assert [nodes[hybrid][key] for key in shown[:3]] == ["ConnectionLost", "Linux", "db-01"]
    assert (nodes[hybrid]["ResourceType"], nodes[hybrid]["Name"]) == ("ManagedInstance", "db-01")


def test_nodes_come_ten_a_page_unless_told_otherwise(bench: Bench):
    ids = bench.nodes(*[{}] * 23)
    first = bench.ssm.describe_instance_information()
    assert len(first["InstanceInformationList"]) == 10
    pages = bench.ssm.get_paginator("describe_instance_information").paginate(PaginationConfig={"PageSize": 5})
    sizes, seen = [], []
    for page in pages:
        sizes.append(len(page["InstanceInformationList"]))
        seen += [node["InstanceId"] for node in page["InstanceInformationList"]]
    assert (sizes, seen) == ([5, 5, 5, 5, 3], ids)


@pytest.mark.parametrize("size", [4, 51])
def test_a_page_has_five_to_fifty_nodes(bench: Bench, size: int):
    with refused("ValidationException", "maxResults"):
        bench.ssm.describe_instance_information(MaxResults=size)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([{"Key": "tag:Role", "Values": ["web"]}], [1, 2]),
        ([{"Key": "tag:Role", "Values": ["web", "db"]}], [1, 2, 3]),
        ([{"Key": "tag-key", "Values": ["Tier"]}], [2, 3]),
        ([{"Key": "tag:Role", "Values": ["web"]}, {"Key": "tag:Tier", "Values": ["gold"]}], [2]),
        ([{"Key": "PingStatus", "Values": ["ConnectionLost"]}], [3]),
        ([{"Key": "PlatformTypes", "Values": ["Linux"]}], [4]),
        ([{"Key": "InstanceIds", "Values": [node_id(1), node_id(4)]}], [1, 4]),
        ([{"Key": "AgentVersion", "Values": ["3.0.0.0"]}], [2]),
        ([{"Key": "ResourceType", "Values": ["ManagedInstance"]}], []),
        ([{"Key": "tag:Role", "Values": ["nobody"]}], []),
    ],
)
def test_filters_narrow_by_tag_and_attribute(bench: Bench, filters: list, expected: list):
    bench.nodes(
        {},
        {"tags": {"Role": "web", "Tier": "gold"}, "agentVersion": "3.0.0.0"},
        {"tags": {"Role": "db", "Tier": "gold"}, "ping": "ConnectionLost"},
        {"tags": {}, "platform": "Linux"},
    )
    assert listed(bench, *filters) == [node_id(n) for n in expected]


def test_the_older_filter_list_still_works(bench: Bench):
    bench.nodes({}, {"platform": "Linux"})
    older = [{"key": "PlatformTypes", "valueSet": ["Linux"]}]
    assert listed(bench, InstanceInformationFilterList=older) == [node_id(2)]


def test_an_unknown_filter_is_refused(bench: Bench):
    with refused("InvalidFilterKey"):
        listed(bench, {"Key": "Colour", "Values": ["blue"]})


def test_a_node_that_was_deregistered_is_no_managed_node_any_more(bench: Bench):
    first, second = bench.nodes({}, {})
    bench.control.delete_node(first)
    assert listed(bench) == [second]
    with refused("InvalidInstanceId", first):
        bench.send(bench.document(), [first])


def test_a_node_belongs_to_one_account_and_region(bench: Bench):
    here, there = bench.nodes({}, {"region": "eu-central-1"})
    assert listed(bench) == [here]
    with refused("InvalidInstanceId", there):
        bench.send(bench.document(), [there])
    other = client(bench.ssm.meta.endpoint_url, "eu-central-1").describe_instance_information()
    assert [node["InstanceId"] for node in other["InstanceInformationList"]] == [there]


@pytest.mark.parametrize(
    "node",
    [
        {"id": "web-01"},
        {"platform": "Solaris"},
        {"ping": "Sometimes"},
        {"colour": "blue"},
        {"rules": [{"outcome": "Explode"}]},
        {"rules": [{"matches": "x"}]},
    ],
)
def test_the_table_refuses_what_is_no_node(bench: Bench, node: dict):
    with pytest.raises(ControlError) as caught:
        bench.nodes(node)
    assert caught.value.status == 400
    assert bench.control.nodes() == []
