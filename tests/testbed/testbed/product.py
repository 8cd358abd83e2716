"""Windlass on the bed: installed from its charts as an administrator would, and run as the chart's Deployment says.

There is no kubelet. The Deployment's container is started as a process, with the arguments and environment that the rendered chart
gives it, under a real token of the chart's ServiceAccount, through the counting proxy. Nothing else of it is special.
"""

import json
import os
import subprocess
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from testbed import ports, processes, tools, waiting
from testbed.aws import ACCOUNT_ID, REGION, setup
from testbed.bed import Bed

NAMESPACE = "windlass-system"
REPOSITORY = tools.REPOSITORY
POLICY = REPOSITORY / "charts/windlass/files/controller-policy.json"
"""The IAM policy that the chart ships for the controller."""


def binary() -> Path:
    """The program under test: WINDLASS_BINARY, which the Makefile sets."""
    path = Path(os.environ.get("WINDLASS_BINARY", REPOSITORY / "target/debug/windlass"))
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there: run `make build` first")
    return path


class Product:
    """One installation on one bed. `values` are chart values beside `clusterId`."""

    def __init__(self, bed: Bed, *, cluster_id: str = "demo", values: Mapping[str, Any] | None = None) -> None:
        self.bed = bed
        self.cluster_id = cluster_id
        self.values = {"clusterId": cluster_id, **(values or {})}
        self.process: processes.Process | None = None
        self.port = 0
        self._rendered: list[dict[str, Any]] = []
        self._credentials: setup.OperatorCredentials | None = None
        self._starts = 0
        self._tools = tools.locate()
        self._environment = {**os.environ, **bed.environment()}

    # -- Kubernetes, as an administrator ------------------------------------------------------------------------------------

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs kubectl as the administrator. Raises CalledProcessError with the error output as a note when `check` and it fails."""
        command = [str(self._tools.kubectl), *arguments]
        result = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, env=self._environment)
        if check and result.returncode != 0:
            error = subprocess.CalledProcessError(result.returncode, command, result.stdout, result.stderr)
            error.add_note(result.stderr)
            raise error
        return result

    def apply(self, *manifests: str | Path | Mapping[str, Any], check: bool = True) -> subprocess.CompletedProcess[str]:
        """`kubectl apply -f` of files, texts and objects, together."""
        texts = [
            manifest.read_text() if isinstance(manifest, Path) else manifest if isinstance(manifest, str) else json.dumps(manifest)
            for manifest in manifests
        ]
        return self.kubectl("apply", "-f", "-", stdin="\n---\n".join(texts), check=check)

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        """One object, or None."""
        scope = ["-n", namespace] if namespace else []
        answer = self.kubectl("get", kind, name, *scope, "-o", "json", "--ignore-not-found").stdout
        return json.loads(answer) if answer.strip() else None

    def until(self, kind: str, name: str, namespace: str | None, condition, what: str, timeout: float = 60) -> dict[str, Any]:
        """Waits (real seconds) until `condition` is true of an object, and answers the object."""

        def look() -> dict[str, Any] | None:
            found = self.get(kind, name, namespace)
            return found if found and condition(found) else None

        try:
            return waiting.until(look, timeout, f"{kind} {name} {what}", interval=0.1)
        except waiting.TimedOut as error:
            status = json.dumps((self.get(kind, name, namespace) or {}).get("status"), indent=1)
            raise waiting.TimedOut(f"{error}\nits status: {status}\n{self.log_tail()}") from None

    def until_gone(self, kind: str, name: str, namespace: str | None, timeout: float = 60) -> None:
        """Waits until an object is not there any more."""
        try:
            waiting.until(lambda: self.get(kind, name, namespace) is None, timeout, f"{kind} {name} to go", interval=0.1)
        except waiting.TimedOut as error:
            status = json.dumps((self.get(kind, name, namespace) or {}).get("status"), indent=1)
            raise waiting.TimedOut(f"{error}\nits status: {status}\n{self.log_tail()}") from None

    def until_ready(self, kind: str, name: str, namespace: str | None = None, timeout: float = 60) -> dict[str, Any]:
        """Waits until an object is Ready for its present generation."""
        return self.until(kind, name, namespace, is_ready, "to be Ready", timeout)

    # -- installing -----------------------------------------------------------------------------------------------------------

    def render(self) -> list[dict[str, Any]]:
        """The chart's manifests, as helm renders them."""
        if not self._rendered:
            command = [str(self._tools.helm), "template", "windlass", str(REPOSITORY / "charts/windlass")]
            command += ["--namespace", NAMESPACE, "--kube-version", "v1.37.2", "--values", "-"]
            text = subprocess.run(command, input=yaml.safe_dump(self.values), check=True, capture_output=True, text=True).stdout
            self._rendered = [document for document in yaml.safe_load_all(text) if document]
        return self._rendered

    def install(self, namespaces: Sequence[str] = ("ops",)) -> None:
        """CRDs, namespaces and the chart, by kubectl."""
        helm = str(self._tools.helm)
        crds = subprocess.run(
            [helm, "template", "windlass-crds", str(REPOSITORY / "charts/windlass-crds")], check=True, capture_output=True, text=True
        ).stdout
        self.apply(crds)
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        self.apply(*({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in (NAMESPACE, *namespaces)))
        self.apply(*self.render())

    def account(self, *, name: str = "prod", grants: Sequence[Mapping[str, Any]] | None = None, **spec: Any) -> dict[str, Any]:
        """An AwsAccount manifest for the bed's endpoint: assumes the controller's role with its external id."""
        return {
            "apiVersion": "windlass.dev/v1alpha1",
            "kind": "AwsAccount",
            "metadata": {"name": name},
            "spec": {
                "accountId": ACCOUNT_ID,
                "region": REGION,
                "endpoint": self.bed.endpoint,
                "assumeRole": {"roleArn": f"arn:aws:iam::{ACCOUNT_ID}:role/{setup.CONTROLLER_ROLE_NAME}", "externalId": setup.EXTERNAL_ID},
                "permissionsBoundaryArn": setup.boundary_arn(),
                "grants": list(grants or [{"name": "ops", "namespaces": ["ops"], "nodeTags": {"OS": ["Windows"]}}]),
                "tags": {"CostCentre": "4711"},
                **spec,
            },
        }

    # -- running --------------------------------------------------------------------------------------------------------------

    def start(self, *, wait: bool = True, environment: Mapping[str, str] | None = None) -> processes.Process:
        """Starts the Deployment's container as a process, and waits until it leads."""
        deployment = next(item for item in self.render() if item["kind"] == "Deployment")
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        account = deployment["spec"]["template"]["spec"]["serviceAccountName"]
        self._starts += 1
        (self.port,) = ports.choose(1)
        if self._credentials is None:
            self._credentials = setup.prepare(self.bed.boto3, self.bed.control, POLICY.read_text(), self.cluster_id)
        fields = {"metadata.namespace": NAMESPACE, "metadata.name": f"windlass-{self._starts}"}
        variables = {
            item["name"]: item["value"] if "value" in item else fields[item["valueFrom"]["fieldRef"]["fieldPath"]]
            for item in container.get("env", [])
        }
        variables |= {
            "KUBECONFIG": str(self.bed.kubeconfig_for(account, NAMESPACE)),
            "WINDLASS_LISTEN": f"127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": self._credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self._credentials.secret,
            "AWS_SESSION_TOKEN": self._credentials.session_token,
            "AWS_EC2_METADATA_DISABLED": "true",
            **self.bed.clock.environment(),
            **(environment or {}),
        }
        arguments = container.get("args", [])
        self.process = processes.start(
            "windlass",
            [binary(), *arguments],
            log=self.bed.state.directory / "logs" / "windlass.log",
            environment=variables,
            mark=self.bed.state.mark,
            end_with_parent=False,
        )
        self.bed.state.processes.append(self.process)
        self.bed.state.save()
        if wait:
            self.process.until(self.leads, 30, "it leads")
        return self.process

    def leads(self) -> bool:
        """Whether the process holds the lease."""
        return "windlass_leader 1" in self.metrics().splitlines()  # a whole line: the text that explains the metric begins alike

    def metrics(self) -> str:
        """The text of /metrics; empty while nothing answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=2) as answer:
                return answer.read().decode()
        except OSError:
            return ""

    def probe(self, path: str) -> int:
        """HTTP status of a path that the kubelet would probe."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=2) as answer:
            return answer.status

    def kill(self) -> None:
        """kill -9, and nothing before it."""
        if self.process:
            self.process.kill()
            self.process.stop()

    def stop(self, grace: float = 15) -> None:
        """SIGTERM, as the kubelet would."""
        if self.process:
            self.process.stop(grace=grace)

    def log_tail(self, count: int = 25) -> str:
        """The end of the controller's log."""
        return f"the controller's log:\n{self.process.last_lines(count)}" if self.process else "the controller was not started"


def is_ready(found: Mapping[str, Any]) -> bool:
    """Whether an object is Ready for its present generation."""
    status = found.get("status", {})
    return status.get("observedGeneration") == found["metadata"]["generation"] and condition(found, "Ready") == "True"


def condition(found: Mapping[str, Any], type_: str, field: str = "status") -> str | None:
    """A field of a condition, or None."""
    for item in found.get("status", {}).get("conditions", []):
        if item["type"] == type_:
            return item.get(field)
    return None


FINAL = {"Succeeded", "Failed", "TimedOut", "Cancelled", "Previewed", "AlreadyRan"}


def has_ended(run: Mapping[str, Any]) -> bool:
    """Whether a WorkflowRun is over."""
    return run.get("status", {}).get("phase") in FINAL
