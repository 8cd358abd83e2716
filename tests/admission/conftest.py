"""An API server with the CRDs, applied as people do it, and the chart's admission policies in force."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from admission_bench import ROOT, Admission, run
from testbed import tools, waiting
from testbed.bed import Bed


@pytest.fixture(scope="session")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A control plane."""
    with Bed.up(tmp_path_factory.mktemp("bed"), aws=False, end_with_parent=True) as bed:
        yield bed


@pytest.fixture(scope="session")
def applied(bed: Bed) -> str:
    """What `kubectl apply -f crds` printed: plain, client-side."""
    environment = bed.environment()
    done = subprocess.run(["kubectl", "apply", "-f", str(ROOT / "crds")], capture_output=True, text=True, check=True, env=environment)
    subprocess.run(
        ["kubectl", "wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"], capture_output=True, check=True, env=environment
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def api(bed: Bed, applied: str) -> Admission:
    """Asks the API server whether it would take a manifest. The chart's policies are in force."""
    environment = bed.environment()
    chart = subprocess.run(
        ["helm", "template", "windlass", str(ROOT / "charts/windlass"), "--set", "clusterId=test", "--namespace", "default"],
        capture_output=True, text=True, check=True, env=environment,
    ).stdout  # fmt: skip
    subprocess.run(["kubectl", "apply", "-f", "-"], input=chart, capture_output=True, text=True, check=True, env=environment)
    api = Admission(bed.admin)
    api.namespace("ops")
    # A policy is in force some time after it was created.
    api.create(run("probe", parameters={"a": 1}))
    waiting.until(lambda: api.refusal_of_update(run("probe", parameters={"a": 2})), 30, "the policy on what runs may change was in force")
    tracked = run("tracked")
    tracked["metadata"]["labels"] = {"argocd.argoproj.io/instance": "x"}
    waiting.until(lambda: api.refusal(tracked), 30, "the policy on runs in Git was in force")
    return api


@pytest.fixture(scope="session")
def kubectl(bed: Bed, applied: str):
    """Runs kubectl as the administrator."""

    def call(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        program = str(tools.locate().kubectl)
        return subprocess.run(
            [program, *arguments], input=stdin, capture_output=True, text=True, check=False, env=bed.environment()
        )

    return call


@pytest.fixture(scope="session")
def examples() -> list[Path]:
    """The manifests that users are shown."""
    return sorted((ROOT / "examples").rglob("*.yaml"))
