"""One bed with Windlass installed for all end-to-end tests, and words to write them in."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from testbed import waiting
from testbed.bed import Bed
from testbed.product import Product, has_ended

TIME_FACTOR = 20.0
NAMESPACE = "ops"

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A control plane and an AWS endpoint."""
    with Bed.up(tmp_path_factory.mktemp("bed"), time_factor=TIME_FACTOR, crds=path_of("crds"), end_with_parent=True) as bed:
        yield bed


@pytest.fixture(scope="session")
def installed(bed: Bed) -> Iterator[Product]:
    """Windlass, running, with the account `prod`."""
    product = Product(bed, values={"leaderElection": {"leaseDuration": "6s"}})
    product.install(namespaces=(NAMESPACE, "stranger"))
    product.apply(product.account())
    product.start()
    product.until_ready("awsacct", "prod")
    yield product
    product.stop()


class World:
    """A test's own nodes, workflows and runs. Names and the tag Role are the test's own, so that tests do not meet."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.bed = product.bed
        self.number = next(_numbers)
        self.role = f"role-{self.number}"
        self._runs = itertools.count(1)

    def name(self, stem: str) -> str:
        """A name that no other test uses."""
        return f"{stem}-{self.number}"

    def nodes(self, count: int, **each: Any) -> list[dict[str, Any]]:
        """Makes nodes tagged for this test. `each`: fields for all of them."""
        made = []
        for index in range(1, count + 1):
            node = {
                "id": f"i-{self.number:08x}{index:09x}",
                "computerName": f"SRV{self.number}-{index:02}",
                "platform": "Windows",
                "ping": "Online",
                "agentVersion": "3.3.2299.0",
                "ip": f"10.{self.number}.0.{index}",
                "tags": {"Role": self.role, "OS": "Windows"},
                "rules": [],
                **each,
            }
            self.bed.control.put_node(node)
            made.append(node)
        return made

    def rule(self, node: Mapping[str, Any], **rule: Any) -> None:
        """Says what a script does on a node: the newest rule wins."""
        now = next(found for found in self.bed.control.nodes() if found["id"] == node["id"])
        self.bed.control.put_node({**now, "rules": [{"match": ".", **rule}, *now["rules"]]})

    def workflow(self, name: str, steps: Sequence[Mapping[str, Any]] | None = None, **spec: Any) -> dict[str, Any]:
        """A workflow manifest: one step `work` unless `steps` says otherwise."""
        return {
            "apiVersion": "windlass.dev/v1alpha1",
            "kind": "WindowsWorkflow",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "targets": {"tags": {"Role": [self.role]}},
                "steps": list(steps or [{"name": "work", "powershell": {"script": "Get-Date\n"}}]),
                **spec,
            },
        }

    def run(self, workflow: str, name: str | None = None, **spec: Any) -> dict[str, Any]:
        """A run manifest."""
        return {
            "apiVersion": "windlass.dev/v1alpha1",
            "kind": "WorkflowRun",
            "metadata": {"name": name or f"{workflow}-run-{next(self._runs)}", "namespace": NAMESPACE},
            "spec": {"workflowRef": {"name": workflow}, **spec},
        }

    def deploy(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Applies a workflow and waits until it is Ready."""
        self.product.apply(manifest)
        return self.product.until_ready("wwf", manifest["metadata"]["name"], NAMESPACE)

    def start(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Applies a run and waits until its execution has started."""
        self.product.apply(manifest)
        return self.until_run(manifest, lambda run: run.get("status", {}).get("startedAt"), "to start")

    def finish(self, manifest: Mapping[str, Any], timeout: float = 60) -> dict[str, Any]:
        """Applies a run and waits until it has ended; answers its status."""
        self.product.apply(manifest)
        return self.until_run(manifest, has_ended, "to end", timeout)["status"]

    def until_run(self, manifest: Mapping[str, Any], condition, what: str, timeout: float = 60) -> dict[str, Any]:
        """Waits for a condition of a run."""
        return self.product.until("wrun", manifest["metadata"]["name"], NAMESPACE, condition, what, timeout)

    def commands(self, workflow: str) -> list[dict[str, Any]]:
        """The Systems Manager commands that were sent with a workflow's document."""
        found = self.product.get("wwf", workflow, NAMESPACE) or {}
        names = [item["name"] for item in found.get("status", {}).get("ownedObjects", []) if item["type"] == "AWS::SSM::Document"]
        commands = self.bed.boto3("ssm").list_commands(MaxResults=50)["Commands"]
        return [command for command in commands if command["DocumentName"] in names]

    def executions(self, workflow: str) -> list[dict[str, Any]]:
        """The executions of a workflow's state machine."""
        found = self.product.get("wwf", workflow, NAMESPACE) or {}
        arn = found.get("status", {}).get("stateMachineArn")
        return self.bed.boto3("stepfunctions").list_executions(stateMachineArn=arn)["executions"] if arn else []

    def until_command(self, workflow: str, condition, what: str, timeout: float = 30) -> dict[str, Any]:
        """Waits until some command of a workflow meets a condition."""
        return waiting.until(
            lambda: next((command for command in self.commands(workflow) if condition(command)), None), timeout, what, interval=0.1
        )

    def delete(self, kind: str, name: str) -> None:
        """Deletes an object without waiting."""
        self.product.kubectl("delete", kind, name, "-n", NAMESPACE, "--wait=false")


@pytest.fixture
def world(installed: Product) -> Iterator[World]:
    """This test's own corner of the bed; faults are cleared after it."""
    world = World(installed)
    yield world
    installed.bed.control.clear_faults()


def in_aws(bed: Bed) -> dict[str, list[str]]:
    """Everything in AWS that a workflow could own: names by type, policies and versions included."""
    iam, ssm, states = bed.boto3("iam"), bed.boto3("ssm"), bed.boto3("stepfunctions")
    roles = [role["RoleName"] for role in iam.list_roles()["Roles"]]
    return {
        "roles": sorted(roles),
        "policies": sorted(f"{role}/{name}" for role in roles for name in iam.list_role_policies(RoleName=role)["PolicyNames"]),
        "documents": sorted(
            item["Name"] for item in ssm.list_documents(Filters=[{"Key": "Owner", "Values": ["Self"]}])["DocumentIdentifiers"]
        ),
        "machines": sorted(item["name"] for item in states.list_state_machines()["stateMachines"]),
    }


def show(status: Mapping[str, Any]) -> str:
    """A status, for assertion messages."""
    return json.dumps(status, indent=1)


def path_of(name: str) -> Path:
    """A file of the repository."""
    return Path(__file__).resolve().parents[2] / name
