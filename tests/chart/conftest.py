"""The program, and clusters to install it in."""

import os
import subprocess
from collections.abc import Callable, Iterator

import pytest
from chart_bench import CRDS_CHART, NAMESPACE, ROOT, helm, render_text

from testbed.bed import Bed

Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def windlass() -> Call:
    """Runs the program under test: WINDLASS_BINARY, which the Makefile sets."""
    binary = os.environ.get("WINDLASS_BINARY", str(ROOT / "target/debug/windlass"))

    def call(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run([binary, *arguments], input=stdin, capture_output=True, text=True, check=False)

    return call


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A control plane."""
    with Bed.up(tmp_path_factory.mktemp("bed"), aws=False, end_with_parent=True) as bed:
        yield bed


@pytest.fixture(scope="session")
def kubectl(cluster: Bed) -> Call:
    """Runs kubectl as the administrator of the cluster."""

    def call(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["kubectl", *arguments], input=stdin, capture_output=True, text=True, check=False, env=cluster.environment())

    return call


@pytest.fixture(scope="session")
def installed(cluster: Bed, kubectl: Call) -> Bed:
    """The cluster with both charts applied, as `helm template | kubectl apply -f -` does it."""
    definitions = helm("template", "windlass-crds", str(CRDS_CHART)).stdout
    for step in (
        kubectl("apply", "-f", "-", stdin=definitions),
        kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"),
        kubectl("create", "namespace", NAMESPACE),
        kubectl("apply", "-f", "-", stdin=render_text({})),
    ):
        assert step.returncode == 0, step.stderr
    return cluster
