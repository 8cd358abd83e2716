"""Rendering the charts as helm does."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from testbed import tools

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/windlass"
CRDS_CHART = ROOT / "charts/windlass-crds"
NAMESPACE = "windlass-system"
KUBERNETES = "v1.37.2"

Manifest = dict[str, Any]

SEVERAL_VALUES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "everything": {
        "replicas": 3,
        "image": {"repository": "registry.example.com/windlass", "digest": "sha256:" + "0" * 64},
        "imagePullSecrets": [{"name": "pull"}],
        "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/windlass-controller"}},
        "leaderElection": {"leaseDuration": "30s"},
        "pollInterval": "5s",
        "repairInterval": "3m",
        "driftInterval": "1h",
        "concurrency": 16,
        "logLevel": "windlass=debug,kube=info",
        "logFormat": "text",
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}],
        "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "512Mi"}},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "system", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}}
        ],
        "priorityClassName": "system-cluster-critical",
        "podAnnotations": {"a": "b"},
        "podLabels": {"team": "platform"},
        "metrics": {"service": {"annotations": {"prometheus.io/scrape": "true"}}},
        "podDisruptionBudget": {"enabled": True, "maxUnavailable": "50%"},
    },
    "an account that exists": {"serviceAccount": {"create": False, "name": "mine"}, "metrics": {"service": {"enabled": False}}},
    "other names": {"fullnameOverride": "win"},
}
"""Values that cover every branch of the templates."""


def helm(*arguments: str, values: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs helm, with these values if any."""
    program = [str(tools.locate().helm), *arguments]
    if values is None:
        return subprocess.run(program, capture_output=True, text=True, check=False)
    return subprocess.run([*program, "--values", "-"], input=json.dumps(values), capture_output=True, text=True, check=False)


def render_text(values: Mapping[str, Any], release: str = "windlass") -> str:
    """What the chart gives, as text. `clusterId` is demo unless the values say otherwise."""
    command = ("template", release, str(CHART), "--namespace", NAMESPACE, "--kube-version", KUBERNETES)
    done = helm(*command, values={"clusterId": "demo", **values})
    assert done.returncode == 0, done.stderr
    return done.stdout


def documents(text: str) -> list[Manifest]:
    """The manifests of a YAML text."""
    return [document for document in yaml.safe_load_all(text) if document]


def render(values: Mapping[str, Any], release: str = "windlass") -> list[Manifest]:
    """What the chart gives."""
    return documents(render_text(values, release))


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    """Those of a kind."""
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def container(manifests: list[Manifest]) -> Manifest:
    """The Deployment's one container."""
    (deployment,) = of_kind(manifests, "Deployment")
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    return only
