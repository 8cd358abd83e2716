"""The endpoint for scale: MiniStack with the bed's own Systems Manager in it."""

import json

import pytest
from botocore.exceptions import ClientError

from aws_bench import refused
from testbed.scale import DOCUMENT, Scale, bench


def test_the_beds_systems_manager_answers_in_ministack():
    with Scale() as scale:
        ssm = scale.client("ssm")
        made = ssm.create_document(Name="hello", Content=json.dumps(DOCUMENT), DocumentType="Command")["DocumentDescription"]
        assert (made["DocumentVersion"], made["HashType"]) == ("1", "Sha256")
        with refused("DocumentAlreadyExists"):
            ssm.create_document(Name="hello", Content=json.dumps(DOCUMENT), DocumentType="Command")
        with refused("InvalidDocument"):
            ssm.describe_document(Name="none")
        assert scale.client("sts").get_caller_identity()["Account"] == "111122223333"
        with pytest.raises(ClientError):
            ssm.create_ops_item(Title="t", Source="s", Description="d")


def test_the_bench_says_what_it_measured():
    found = bench(20)
    assert found["objects"] == 60
    assert found["what"].startswith("MiniStack")
    assert min(found["createsPerSecond"], found["readsPerSecond"], found["residentMiB"]) > 0


@pytest.mark.matrix
def test_ten_thousand_objects():
    assert bench(3_334)["objects"] >= 10_000
