"""One bed: a control plane, the proxy before it, and the AWS endpoint; brought up, found again, and taken down.

    with Bed.up(tmp_path, time_factor=60) as bed:
        bed.boto3("ssm").describe_instance_information()
"""

import os
import re
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from testbed import identity, ports, state, tools
from testbed.apiserver import ApiServer
from testbed.aws import ACCOUNT_ID, ADMIN_ACCESS_KEY_ID, ADMIN_SECRET, REGION
from testbed.aws.client import ControlClient
from testbed.clock import Clock
from testbed.controlplane import ControlPlane, Ports
from testbed.kubeproxy.client import KubeProxyClient
from testbed.processes import Process, start, sweep

AWS_START_SECONDS = 60
"""How long the AWS endpoint may take to start; two seconds is what is seen on an idle machine."""

STOP_ORDER = ("windlass", "kube-controller-manager", "kubeproxy", "kube-apiserver", "etcd", "aws")
"""The program under test, then the controller manager first: without an API server it would spend its last seconds on retries, as would that without etcd."""


class AlreadyUp(Exception):
    """There is a bed in this directory."""


@dataclass(frozen=True)
class Credentials:
    """An AWS access key, with the session token that a temporary one needs."""

    access_key_id: str
    secret: str
    session_token: str | None = None


ADMIN = Credentials(ADMIN_ACCESS_KEY_ID, ADMIN_SECRET)


class Bed:
    """A running bed. Make one with `up`, or `find` the one that another process brought up."""

    def __init__(self, found: state.State):
        self.state = found

    # --- up and down ---------------------------------------------------------------------------------------------------------------

    @classmethod
    def up(
        cls,
        directory: Path | str,
        *,
        time_factor: float = 1.0,
        control_plane: bool = True,
        aws: bool = True,
        crds: Path | None = None,
        end_with_parent: bool = False,
    ) -> Self:
        """Brings a bed up in `directory` (made when missing) and returns when all of it answers.

        `time_factor`: virtual seconds per real second. `crds`: a file or folder applied before the controller manager starts, whose
        garbage collector learns of later ones only after a while. `end_with_parent`: the kernel ends everything with the calling thread.
        Raises AlreadyUp, state.NotOurs, tools.InstallFailed, ProcessDied, waiting.TimedOut, ApplyFailed; what was started is ended again.
        """
        directory = Path(directory).resolve()
        installed = tools.install(*(["venv"] if not control_plane else []))
        with state.locked(directory):
            former = state.load(directory)
            if former and any(process.alive() for process in former.processes):
                raise AlreadyUp(f"a bed is up in {directory}: take it down first")
            if former:
                _take_down(former)
            state.claim(directory)
            clock = Clock(epoch=time.time(), factor=time_factor)
            bed = cls(state.State(directory=directory, mark=uuid.uuid4().hex, clock=clock))
            bed.state.save()  # before the first process: from here on `down` finds all of them
            try:
                bed._start(installed, control_plane=control_plane, aws=aws, crds=crds, end_with_parent=end_with_parent)
            except BaseException:
                _take_down(bed.state)
                raise
        return bed

    @classmethod
    def find(cls, directory: Path | str) -> Self | None:
        """The bed that is up in `directory`; None when there is none, or what is left of one that was interrupted."""
        found = state.load(Path(directory).resolve())
        return cls(found) if found and found.ready else None

    def down(self) -> None:
        """Ends every process and removes the data; logs stay. Returns when nothing is left. Again is no harm."""
        take_down(self.state.directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def _start(
        self, installed: tools.Tools, *, control_plane: bool, aws: bool, crds: Path | None, end_with_parent: bool
    ) -> None:
        def starter(name: str, arguments: Sequence[str | Path], **environment: str) -> Process:
            process = start(
                name,
                arguments,
                log=self.state.directory / "logs" / f"{name}.log",
                environment={"PYTHONPATH": str(tools.ROOT), "PYTHONUNBUFFERED": "1", **environment},
                mark=self.state.mark,
                end_with_parent=end_with_parent,
            )
            self.state.processes.append(process)
            self.state.save()
            return process

        numbers = ports.choose(8)
        aws_process = self._start_aws(starter, numbers[:2]) if aws else None
        if control_plane:
            self._start_control_plane(installed, starter, numbers[2:], crds)
            if aws_process:
                self._open_discovery()
        if aws_process:
            aws_process.until(self.control.ready, AWS_START_SECONDS, "the AWS endpoint was ready")
        self.state.ready = True
        self.state.save()

    def _open_discovery(self) -> None:
        """Lets everybody read where the keys of ServiceAccount tokens stand, as a cluster must whose tokens IAM is to verify
        (kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#service-account-issuer-discovery)."""
        group = {"kind": "Group", "name": "system:unauthenticated", "apiGroup": "rbac.authorization.k8s.io"}
        role = {"kind": "ClusterRole", "name": "system:service-account-issuer-discovery", "apiGroup": "rbac.authorization.k8s.io"}
        binding = {"metadata": {"name": "issuer-discovery-for-all"}, "subjects": [group], "roleRef": role}
        self.admin.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)

    def _start_aws(self, starter: Callable[..., Process], numbers: list[int]) -> Process:
        gateway, control = numbers
        self.state.endpoint = f"http://127.0.0.1:{gateway}"
        self.state.control = f"http://127.0.0.1:{control}"
        environment = {
            "WINDLASS_BED_PORT": str(gateway),
            "WINDLASS_BED_CONTROL_PORT": str(control),
            "WINDLASS_BED_STATE": str(self.state.directory / "aws"),
            **self.state.clock.environment(),
        }
        (self.state.directory / "aws").mkdir()
        return starter("aws", [sys.executable, "-m", "testbed.aws.launcher"], **environment)

    def _start_control_plane(
        self, installed: tools.Tools, starter: Callable[..., Process], numbers: list[int], crds: Path | None
    ) -> None:
        *plane_ports, proxy_port, proxy_control = numbers
        directory = self.state.directory / "kubernetes"
        plane = ControlPlane(installed, directory, Ports(*plane_ports), starter)
        self.state.kubernetes = plane.access
        self.state.proxy = f"https://127.0.0.1:{proxy_port}"
        self.state.proxy_control = f"http://127.0.0.1:{proxy_control}"
        plane.start_etcd()
        apiserver = plane.start_apiserver()
        proxy = starter(
            "kubeproxy",
            [
                *(sys.executable, "-m", "testbed.kubeproxy"),
                f"--port={proxy_port}",
                f"--control-port={proxy_control}",
                f"--upstream={plane.access.url}",
                f"--ca={plane.access.ca}",
                f"--certificate={plane.server_certificate.certificate}",
                f"--key={plane.server_certificate.key}",
            ],
        )
        plane.await_apiserver(apiserver)
        if crds:
            plane.apply(crds)
        manager = plane.start_controller_manager()
        proxy.until(self.proxy.ready, 30, "the proxy was ready")
        plane.await_controller_manager(manager)

    # --- what it offers ------------------------------------------------------------------------------------------------------------

    @property
    def clock(self) -> Clock:
        """Virtual time."""
        return self.state.clock

    @property
    def endpoint(self) -> str:
        """URL of the AWS endpoint."""
        return _present(self.state.endpoint, "AWS endpoint")

    @property
    def control(self) -> ControlClient:
        """Nodes, faults and counts of the AWS endpoint."""
        return ControlClient(_present(self.state.control, "AWS endpoint"))

    @property
    def admin_kubeconfig(self) -> Path:
        """The administrator's kubeconfig, past the proxy."""
        return _present(self.state.kubernetes, "control plane").kubeconfig

    @property
    def admin(self) -> ApiServer:
        """The administrator's client of the API server, past the proxy."""
        return _present(self.state.kubernetes, "control plane").client()

    @property
    def proxy(self) -> KubeProxyClient:
        """Counts, holds and cuts of what goes through the proxy."""
        control = _present(self.state.proxy_control, "control plane")
        return KubeProxyClient(_present(self.state.proxy, "control plane"), control)

    def environment(self) -> dict[str, str]:
        """Variables with which kubectl, helm, the AWS CLI and the program under test work on this bed: as its administrator and as the
        account's root user, on virtual time."""
        installed = tools.locate()
        folders = [str(program.parent) for program in (installed.kubectl, installed.helm)]
        variables = {**self.clock.environment(), "PATH": os.pathsep.join([*folders, os.environ.get("PATH", os.defpath)])}
        if self.state.kubernetes:
            variables |= {
                "KUBECONFIG": str(self.admin_kubeconfig),
                # kubectl keeps what a server can do by its address: another bed may have had the same port yesterday.
                "KUBECACHEDIR": str(self.state.directory / "kubernetes" / "kubectl-cache"),
                "WINDLASS_BED_PROXY": self.proxy.url,
                "WINDLASS_BED_PROXY_CONTROL": self.proxy.control,
            }
        if self.state.endpoint:
            variables |= {
                "AWS_ENDPOINT_URL": self.endpoint,
                "AWS_REGION": REGION,
                "AWS_DEFAULT_REGION": REGION,
                "AWS_ACCESS_KEY_ID": ADMIN_ACCESS_KEY_ID,
                "AWS_SECRET_ACCESS_KEY": ADMIN_SECRET,
                "AWS_ACCOUNT_ID": ACCOUNT_ID,
                "AWS_PAGER": "",
                "WINDLASS_BED_CONTROL": self.control.url,
            }
        return variables

    def kubeconfig_for(self, service_account: str, namespace: str, via_proxy: bool = True) -> Path:
        """The path of a new kubeconfig with a token of that ServiceAccount, good for a day. Raises ApiError 404 when there is no such account."""
        access = _present(self.state.kubernetes, "control plane")
        token = access.client().token(namespace, service_account)
        name = f"{namespace}.{service_account}{'.proxy' if via_proxy else ''}.kubeconfig"
        server = self.proxy.url if via_proxy else access.url
        path = self.state.directory / "kubernetes" / name
        return identity.write_kubeconfig(path, server=server, ca=access.ca, user={"token": token}, namespace=namespace)

    def boto3(self, service: str, credentials: Credentials | None = None) -> Any:
        """A client of the AWS endpoint, as the account's root user when no credentials are given."""
        import boto3  # here: it takes a second that a `bed status` need not spend
        from botocore.config import Config

        who = credentials or ADMIN
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=who.access_key_id,
            aws_secret_access_key=who.secret,
            aws_session_token=who.session_token,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=70, proxies={}),  # a fault asked for must be seen
        )


def take_down(directory: Path) -> bool:
    """Ends the bed in `directory` in whatever condition it is, and answers whether there was one."""
    directory = directory.resolve()
    if not directory.is_dir():
        return False
    with state.locked(directory):
        found = state.load(directory)
        if found is None:
            return False
        _take_down(found)
    return True


def _take_down(found: state.State) -> None:
    for process in sorted(found.processes, key=lambda process: STOP_ORDER.index(process.name)):
        process.stop()
    sweep(found.mark)
    for entry in found.directory.iterdir():
        if entry.name in state.KEPT or entry == state.file(found.directory):
            continue
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    state.file(found.directory).unlink()  # last: while it is there, an interrupted `down` can be repeated


def _present[T](value: T | None, part: str) -> T:
    if value is None:
        raise ValueError(f"this bed was brought up without the {part}")
    return value


def parse_factor(text: str) -> float:
    """`60` or `60x`: virtual seconds per real second. Raises ValueError below 1."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)x?", text)
    if not match or float(match[1]) < 1:
        raise ValueError(f"{text} is no time factor: write a number of at least 1, such as 60")
    return float(match[1])
