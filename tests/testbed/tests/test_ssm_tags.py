"""Tags of documents, hybrid nodes and parameters."""

import pytest
from ssm_bench import Bench, hybrid_id, node_id, refused


def tags(bench: Bench, kind: str, resource: str) -> dict:
    listed = bench.ssm.list_tags_for_resource(ResourceType=kind, ResourceId=resource)["TagList"]
    return {tag["Key"]: tag["Value"] for tag in listed}


def make(bench: Bench, kind: str) -> str:
    if kind == "Document":
        return bench.document()
    if kind == "ManagedInstance":
        return bench.nodes({"id": hybrid_id(1), "tags": {}})[0]
    bench.ssm.put_parameter(Name="/windlass/tagged", Value="x", Type="String")
    return "/windlass/tagged"


@pytest.mark.parametrize("kind", ["Document", "ManagedInstance", "Parameter"])
def test_tags_are_added_changed_listed_and_removed(bench: Bench, kind: str):
    resource = make(bench, kind)
    assert tags(bench, kind, resource) == {}
    both = [{"Key": "windlass.dev/name", "Value": "a"}, {"Key": "Other", "Value": ""}]
    bench.ssm.add_tags_to_resource(ResourceType=kind, ResourceId=resource, Tags=both)
    bench.ssm.add_tags_to_resource(ResourceType=kind, ResourceId=resource, Tags=[{"Key": "windlass.dev/name", "Value": "b"}])
    assert tags(bench, kind, resource) == {"windlass.dev/name": "b", "Other": ""}
    bench.ssm.remove_tags_from_resource(ResourceType=kind, ResourceId=resource, TagKeys=["Other", "never-there"])
    assert tags(bench, kind, resource) == {"windlass.dev/name": "b"}


def test_tags_of_a_created_document_are_those_that_describe_shows(bench: Bench):
    name = bench.document(Tags=[{"Key": "a", "Value": "1"}])
    bench.ssm.add_tags_to_resource(ResourceType="Document", ResourceId=name, Tags=[{"Key": "b", "Value": "2"}])
    shown = bench.ssm.describe_document(Name=name)["Document"]["Tags"]
    assert shown == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]


def test_a_tag_added_to_a_hybrid_node_targets_it(bench: Bench):
    (node,) = bench.nodes({"id": hybrid_id(1), "tags": {}})
    bench.ssm.add_tags_to_resource(ResourceType="ManagedInstance", ResourceId=node, Tags=[{"Key": "Role", "Value": "db"}])
    command = bench.send(bench.document(), Targets=[{"Key": "tag:Role", "Values": ["db"]}])
    assert bench.finished(command)["TargetCount"] == 1
    assert bench.node(node)["tags"] == {"Role": "db"}


@pytest.mark.parametrize(
    ("kind", "resource"),
    [
        ("Document", "nobody"),
        ("Document", "AWS-RunPowerShellScript"),
        ("ManagedInstance", hybrid_id(9)),
        ("ManagedInstance", node_id(1)),
        ("Association", "00000000-0000-0000-0000-000000000000"),
    ],
)
def test_a_resource_that_is_not_there_or_not_ours_has_no_tags(bench: Bench, kind: str, resource: str):
    bench.nodes({})
    with refused("InvalidResourceId"):
        bench.ssm.list_tags_for_resource(ResourceType=kind, ResourceId=resource)
    with refused("InvalidResourceId"):
        bench.ssm.add_tags_to_resource(ResourceType=kind, ResourceId=resource, Tags=[{"Key": "a", "Value": "b"}])


def test_a_resource_has_at_most_fifty_tags(bench: Bench):
    name = bench.document(Tags=[{"Key": f"key-{n}", "Value": "x"} for n in range(50)])
    with refused("TooManyTagsError"):
        bench.ssm.add_tags_to_resource(ResourceType="Document", ResourceId=name, Tags=[{"Key": "one-more", "Value": "x"}])
    bench.ssm.add_tags_to_resource(ResourceType="Document", ResourceId=name, Tags=[{"Key": "key-0", "Value": "changed"}])


def test_tag_keys_of_aws_are_reserved_and_types_are_a_closed_list(bench: Bench):
    name = bench.document()
    with refused("ValidationException", "aws:"):
        bench.ssm.add_tags_to_resource(ResourceType="Document", ResourceId=name, Tags=[{"Key": "aws:mine", "Value": "x"}])
    with refused("ValidationException", "resourceType", "enum"):
        bench.ssm.list_tags_for_resource(ResourceType="Command", ResourceId=name)
    with refused("ValidationException", "tags.1.member.key"):
        bench.ssm.add_tags_to_resource(ResourceType="Document", ResourceId=name, Tags=[{"Key": "what?", "Value": "x"}])
