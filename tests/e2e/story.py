"""The whole slice as a story in chapters, under names of its own: from an account to nothing left. For the matrices of crashes and faults.

    story = Story(stage)
    story.tell_all()      # every chapter: act, wait until it is done, check
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conftest import NAMESPACE, path_of, show

from testbed import waiting
from testbed.apiserver import ApiError
from testbed.bed import Bed
from testbed.product import Product, condition, has_ended, is_ready

API = "/apis/windlass.dev/v1alpha1"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/windlass-system/leases/windlass"
MERGE = "application/merge-patch+json"
PATIENCE = 120
"""Real seconds for one chapter."""
INTERVAL = 0.1
"""Real seconds between two looks: each costs requests, on a machine that has better to do."""

_numbers = itertools.count(1)


class Stage:
    """A bed with Windlass installed, and started again whenever it has ended, as a kubelet would."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.bed = product.bed
        self.iam, self.ssm, self.states = (self.bed.boto3(service) for service in ("iam", "ssm", "stepfunctions"))
        self.sqs, self.events = (self.bed.boto3(service) for service in ("sqs", "events"))

    @classmethod
    @contextmanager
    def up(cls, directory: Path, time_factor: float, **values: Any) -> Iterator["Stage"]:
        """A stage, taken down at the end."""
        with Bed.up(directory, time_factor=time_factor, crds=path_of("crds"), end_with_parent=True) as bed:
            product = Product(bed, values={"pollInterval": "5s", **values})
            product.install(namespaces=(NAMESPACE,))
            product.start()
            yield cls(product)
            product.stop()

    def keep_running(self) -> None:
        """Starts the controller when it has ended.

        The lease is taken from the dead one, which could not renew it any more: waiting until it has run out would only cost time, and with a
        short one a busy machine loses it. What a lease does is in test_two_controllers.
        """
        if self.product.process.alive():
            return
        try:
            self.bed.admin.request("DELETE", LEASE)
        except ApiError as error:
            if error.status != 404:
                raise
        self.product.start(wait=False)

    def reset(self) -> None:
        """No faults, no rules, nothing counted."""
        self.bed.control.clear_faults()
        self.bed.proxy.reset()


class Story:
    """One account, one workflow, two runs. `meanwhile` is called whenever a chapter looks whether it is done."""

    CHAPTERS = ("account", "deploy", "run", "edit", "second", "cancel", "delete")

    def __init__(self, stage: Stage, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.stage = stage
        self.bed = stage.bed
        self.meanwhile = meanwhile
        self.number = next(_numbers)
        self.name = f"story-{self.number}"
        self.first, self.second = f"{self.name}-first", f"{self.name}-second"
        self.told: list[str] = []
        # The first run reaches the first node; after the edit the second run reaches the second one, where its script does not end by itself.
        # `sent`: how the commands ended that each node should have been sent.
        self.sent: list[list[str]] = [[], []]
        self.nodes = [f"i-{self.number:08x}{index:09x}" for index in (1, 2)]
        self._paths = {
            "account": f"{API}/awsaccounts/{self.name}",
            "workflow": f"{API}/namespaces/{NAMESPACE}/windowsworkflows/{self.name}",
            "first": f"{API}/namespaces/{NAMESPACE}/workflowruns/{self.first}",
            "second": f"{API}/namespaces/{NAMESPACE}/workflowruns/{self.second}",
        }

    # -- telling --------------------------------------------------------------------------------------------------------------

    def tell_all(self) -> None:
        """Tells every chapter."""
        self.tell(*self.CHAPTERS)

    def tell(self, *chapters: str) -> None:
        """Tells these chapters, each to its end, and checks how it ended."""
        for chapter in chapters:
            self.act(chapter)
            self.finish(chapter)

    def act(self, chapter: str) -> None:
        """Does what the user does in this chapter."""
        getattr(self, f"_act_{chapter}")()

    def finish(self, chapter: str, patience: float = PATIENCE) -> None:
        """Waits until this chapter is done, and checks how it ended."""
        self.until(lambda: self.is_done(chapter), f"{self.name}: {chapter} to be done", patience)
        self.told.append(chapter)
        if chapter == "run":
            assert self.get("first")["status"]["phase"] == "Succeeded", self.describe()
            self.sent[0] = ["Success"]
        if chapter == "cancel":
            assert self.get("second")["status"]["phase"] == "Cancelled", self.describe()
            self.sent[1] = ["Cancelled"]
            assert self.executions() == {**({self.first: "SUCCEEDED"} if "run" in self.told else {}), self.second: "ABORTED"}
        if chapter == "delete":
            assert self.in_aws() == [], "nothing of it is left in AWS"
            self.check_commands()

    def is_done(self, chapter: str) -> bool:
        """Whether this chapter is over."""
        return bool(getattr(self, f"_done_{chapter}")())

    def until(self, condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
        """Waits (real seconds) for something, and lets happen what happens meanwhile."""

        def look() -> object:
            self.meanwhile()
            return condition()

        try:
            waiting.until(look, patience, what, interval=INTERVAL)
        except waiting.TimedOut as error:
            raise waiting.TimedOut(f"{error}\n{self.describe()}\n{self.stage.product.log_tail(40)}") from None

    # -- the chapters ---------------------------------------------------------------------------------------------------------

    def _act_account(self) -> None:
        grants = [{"name": "ops", "namespaces": [NAMESPACE], "nodeTags": {"OS": ["Windows"]}}]
        self._create("awsaccounts", self.stage.product.account(name=self.name, grants=grants))

    def _done_account(self) -> bool:
        return self._ready("account")

    def _act_deploy(self) -> None:
        for node, role in zip(self.nodes, ("first", "second"), strict=True):
            self.bed.control.put_node(
                {
                    "id": node,
                    "computerName": node.upper(),
                    "platform": "Windows",
                    "ping": "Online",
                    "agentVersion": "3.3.2299.0",
                    "ip": "10.0.0.1",
                    "tags": {"Role": f"{self.name}-{role}", "OS": "Windows"},
                    "rules": [{"match": "Wait-Forever", "duration": 36_000_000, "exitCode": 0}],
                }
            )
        self._create(f"namespaces/{NAMESPACE}/windowsworkflows", self._workflow("Get-Date\n", "first"))

    def _done_deploy(self) -> bool:
        return self._ready("workflow")

    def _act_run(self) -> None:
        self._run(self.first)

    def _done_run(self) -> bool:
        return has_ended(self.get("first"))

    def _act_edit(self) -> None:
        edited = self._workflow("Wait-Forever\n", "second")
        self.bed.admin.request("PATCH", self._paths["workflow"], {"spec": edited["spec"]}, MERGE)

    def _done_edit(self) -> bool:
        """The new version is there, and the rights of the old one are not any more."""
        if not self._ready("workflow"):
            return False
        owned = self.get("workflow")["status"]["ownedObjects"]
        policies = next(item for item in owned if item["type"] == "AWS::IAM::Role")["attributes"]["policies"]
        return "," not in policies

    def _act_second(self) -> None:
        self._run(self.second)

    def _done_second(self) -> bool:
        return [item["Status"] for item in self.invocations(self.nodes[1])] == ["InProgress"]

    def _act_cancel(self) -> None:
        self.bed.admin.request("PATCH", self._paths["second"], {"spec": {"desiredState": "Cancelled"}}, MERGE)

    def _done_cancel(self) -> bool:
        return has_ended(self.get("second"))

    def _act_delete(self) -> None:
        for what in ("first", "second", "workflow", "account"):
            try:
                self.bed.admin.request("DELETE", self._paths[what])
            except ApiError as error:
                if error.status != 404:
                    raise

    def _done_delete(self) -> bool:
        return all(self.get(what) is None for what in self._paths)

    # -- what is there --------------------------------------------------------------------------------------------------------

    def get(self, what: str) -> dict[str, Any] | None:
        """The account, the workflow, the first or the second run; None when it is not there."""
        try:
            return self.bed.admin.request("GET", self._paths[what])
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    def messages(self) -> str:
        """Everything that the objects say to people."""
        said = []
        for what in self._paths:
            status = (self.get(what) or {}).get("status", {})
            said += [status.get("message", ""), *(item.get("message", "") for item in status.get("conditions", []))]
        return "\n".join(said)

    def executions(self) -> dict[str, str]:
        """Status by run of the executions of the state machine; each must be there once."""
        arn = self.get("workflow")["status"]["stateMachineArn"]
        found = self.stage.states.list_executions(stateMachineArn=arn)["executions"]
        run = lambda name: next(run for run in (self.first, self.second) if run in name)  # noqa: E731
        statuses = {run(item["name"]): item["status"] for item in found}
        assert len(statuses) == len(found), found
        return statuses

    def invocations(self, node: str) -> list[dict[str, Any]]:
        """What was sent to a node."""
        return self.stage.ssm.list_command_invocations(InstanceId=node)["CommandInvocations"]

    def check_commands(self) -> None:
        """Each node that a run reached was sent one command, and no other ran."""
        sent = [[item["Status"] for item in self.invocations(node)] for node in self.nodes]
        assert sent == self.sent, sent

    def in_aws(self) -> list[str]:
        """Names of what is in AWS under this story's name."""
        iam, ssm, states = self.stage.iam, self.stage.ssm, self.stage.states
        names = [item["RoleName"] for page in iam.get_paginator("list_roles").paginate() for item in page["Roles"]]
        names += [item["Name"] for item in ssm.list_documents(Filters=[{"Key": "Owner", "Values": ["Self"]}])["DocumentIdentifiers"]]
        names += [item["name"] for item in states.list_state_machines()["stateMachines"]]
        names += [url.rsplit("/", 1)[-1] for url in self.stage.sqs.list_queues().get("QueueUrls", [])]
        names += [item["Name"] for item in self.stage.events.list_rules()["Rules"]]
        return [name for name in names if name.endswith(self.name)]

    def describe(self) -> str:
        """The status of everything, for messages."""
        return "\n".join(f"{what}: {show((self.get(what) or {}).get('status', {}))}" for what in self._paths)

    # -- in short -------------------------------------------------------------------------------------------------------------

    def _ready(self, what: str) -> bool:
        found = self.get(what)
        return is_ready(found) and condition(found, "Reconciling") == "False"

    def _create(self, plural: str, manifest: dict[str, Any]) -> None:
        self.bed.admin.request("POST", f"{API}/{plural}", manifest)

    def _run(self, name: str) -> None:
        run = {
            "apiVersion": "windlass.dev/v1alpha1",
            "kind": "WorkflowRun",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"workflowRef": {"name": self.name}},
        }
        self._create(f"namespaces/{NAMESPACE}/workflowruns", run)

    def _workflow(self, script: str, role: str) -> dict[str, Any]:
        return {
            "apiVersion": "windlass.dev/v1alpha1",
            "kind": "WindowsWorkflow",
            "metadata": {"name": self.name, "namespace": NAMESPACE},
            "spec": {
                "accountRef": {"name": self.name},
                "targets": {"tags": {"Role": [f"{self.name}-{role}"]}},
                "steps": [{"name": "work", "powershell": {"script": script}, "timeout": "2d"}],
            },
        }
