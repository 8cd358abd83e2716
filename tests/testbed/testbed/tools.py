"""Where install.sh put the parts that the bed runs on."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""tests/testbed: what PYTHONPATH must hold for the bed's own processes."""

REPOSITORY = ROOT.parent.parent

INSTALL = ROOT / "install.sh"


class InstallFailed(Exception):
    """install.sh could not make a part; it has said why on standard error."""


@dataclass(frozen=True)
class Tools:
    """Paths of the installed programs."""

    python: Path
    kubectl: Path
    helm: Path
    kube_apiserver: Path
    kube_controller_manager: Path
    etcd: Path
    asl_validator: Path


def install(*parts: str) -> Tools:
    """Makes sure that the parts (all when none is named; see install.sh) are there. Quick when they are. Raises InstallFailed."""
    if subprocess.run([str(INSTALL), *parts], check=False).returncode != 0:
        raise InstallFailed(f"{INSTALL} {' '.join(parts)} failed")
    return locate()


def locate() -> Tools:
    """The paths that the present inputs give, whether installed or not."""
    answer = subprocess.run([str(INSTALL), "--print-paths"], check=True, capture_output=True, text=True).stdout
    path = {name: Path(value) for name, value in (line.split("=", 1) for line in answer.splitlines())}
    return Tools(
        python=path["venv"] / "bin/python",
        kubectl=path["venv"] / "bin/kubectl",
        helm=path["helm"] / "bin/helm",
        kube_apiserver=path["kubernetes"] / "bin/kube-apiserver",
        kube_controller_manager=path["kubernetes"] / "bin/kube-controller-manager",
        etcd=path["etcd"] / "bin/etcd",
        asl_validator=path["node"] / "node_modules/.bin/asl-validator",
    )
