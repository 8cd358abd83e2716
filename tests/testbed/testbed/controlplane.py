"""The Kubernetes control plane: etcd, kube-apiserver and kube-controller-manager, on loopback.

There is no scheduler and no kubelet: Pods are accepted and never run.
"""

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from testbed import identity
from testbed.apiserver import ApiError, ApiServer
from testbed.processes import Process
from testbed.tools import Tools

START_SECONDS = 60
"""How long one of the three may take; three seconds is what is seen on an idle machine."""

CONTROLLERS = (
    "clusterrole-aggregation",
    "cronjob",
    "deployment",
    "endpoints",
    "endpointslice",
    "garbage-collector",
    "job",
    "namespace",
    "replicaset",
    "resourcequota",
    "root-ca-certificate-publisher",
    "serviceaccount",
    "serviceaccount-token",
    "statefulset",
    "ttl-after-finished",
    "validatingadmissionpolicy-status",
)
"""The loops of kube-controller-manager that mean something without nodes and volumes."""

Starter = Callable[..., Process]
"""start(name, arguments) -> Process: how the bed starts a process and writes it down."""


class ApplyFailed(Exception):
    """The API server refused what was to be there from the start; the message is kubectl's."""


@dataclass(frozen=True)
class Ports:
    """Free ports of 127.0.0.1, one per listener."""

    etcd_client: int
    etcd_peer: int
    apiserver: int
    controller_manager: int


@dataclass(frozen=True)
class Access:
    """How to reach the API server as its administrator. All in state.json."""

    url: str
    ca: Path
    certificate: Path
    key: Path
    kubeconfig: Path

    def client(self) -> ApiServer:
        """A client with the administrator's certificate."""
        return ApiServer(self.url, self.ca, client=identity.KeyPair(self.certificate, self.key))

    def record(self) -> dict[str, str]:
        """For state.json."""
        return {name: str(value) for name, value in vars(self).items()}

    @classmethod
    def from_record(cls, record: Mapping[str, str]) -> "Access":
        """Out of state.json."""
        return cls(record["url"], *(Path(record[name]) for name in ("ca", "certificate", "key", "kubeconfig")))


class ControlPlane:
    """Starts the three programs in `directory`. Each method starts one and returns; `ready` waits for it."""

    def __init__(self, tools: Tools, directory: Path, ports: Ports, start: Starter):
        self._tools = tools
        self._directory = directory
        self._ports = ports
        self._start = start
        self._authority = identity.create(directory / "pki")
        self.access = Access(
            url=f"https://127.0.0.1:{ports.apiserver}",
            ca=self._authority.ca,
            certificate=self._authority.admin.certificate,
            key=self._authority.admin.key,
            kubeconfig=directory / "admin.kubeconfig",
        )
        self.server_certificate = self._authority.server
        admin = identity.certificate_user(self._authority.admin)
        identity.write_kubeconfig(self.access.kubeconfig, server=self.access.url, ca=self.access.ca, user=admin)

    def start_etcd(self) -> None:
        """kube-apiserver waits for it by itself."""
        client, peer = (f"http://127.0.0.1:{port}" for port in (self._ports.etcd_client, self._ports.etcd_peer))
        self._start(
            "etcd",
            [
                self._tools.etcd,
                "--name=testbed",
                f"--data-dir={self._directory / 'etcd'}",
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=testbed={peer}",
                "--unsafe-no-fsync",  # nothing here outlives the bed
                "--log-level=warn",
            ],
        )

    def start_apiserver(self) -> Process:
        """Starts kube-apiserver; `await_apiserver` waits."""
        pki = self._authority
        return self._start(
            "kube-apiserver",
            [
                self._tools.kube_apiserver,
                f"--etcd-servers=http://127.0.0.1:{self._ports.etcd_client}",
                "--bind-address=127.0.0.1",
                f"--secure-port={self._ports.apiserver}",
                # Must not be loopback, and its default needs a network interface. Nobody connects to it: no Service is routed here.
                "--advertise-address=192.0.2.1",
                "--endpoint-reconciler-type=none",
                "--service-cluster-ip-range=10.96.0.0/16",
                f"--tls-cert-file={pki.server.certificate}",
                f"--tls-private-key-file={pki.server.key}",
                f"--client-ca-file={pki.ca}",
                "--authorization-mode=RBAC",
                # Its own address, so that the discovery document and the keys can be read where the tokens say.
                f"--service-account-issuer={self.access.url}",
                f"--service-account-jwks-uri={self.access.url}/openid/v1/jwks",
                f"--service-account-signing-key-file={pki.service_account_key}",
                f"--service-account-key-file={pki.service_account_public_key}",
                "--profiling=false",
            ],
        )

    def await_apiserver(self, process: Process) -> None:
        """Returns when it is ready for every request. Raises ProcessDied or TimedOut."""
        client = self.access.client()
        process.until(lambda: client.healthy("/readyz"), START_SECONDS, "kube-apiserver was ready")

    def start_controller_manager(self) -> Process:
        """Starts kube-controller-manager. Custom resources should be defined before: its garbage collector learns of new ones late."""
        pki = self._authority
        user = identity.certificate_user(pki.controller_manager)
        kubeconfig = self._directory / "controller-manager.kubeconfig"
        identity.write_kubeconfig(kubeconfig, server=self.access.url, ca=pki.ca, user=user)
        return self._start(
            "kube-controller-manager",
            [
                self._tools.kube_controller_manager,
                f"--kubeconfig={kubeconfig}",
                "--bind-address=127.0.0.1",
                f"--secure-port={self._ports.controller_manager}",
                f"--tls-cert-file={pki.server.certificate}",
                f"--tls-private-key-file={pki.server.key}",
                f"--root-ca-file={pki.ca}",
                f"--service-account-private-key-file={pki.service_account_key}",
                "--use-service-account-credentials",
                f"--controllers={','.join(f'{name}-controller' for name in CONTROLLERS)}",
                # Its default folder is the machine's.
                f"--flex-volume-plugin-dir={self._directory / 'flex-volume'}",
                # The default of 20 a second makes it start for five.
                "--kube-api-qps=500",
                "--kube-api-burst=1000",
                "--leader-elect=false",
                "--profiling=false",
            ],
        )

    def await_controller_manager(self, process: Process) -> None:
        """Returns when its loops run: a namespace has its ServiceAccount and the aggregated roles are filled. Raises ProcessDied or TimedOut."""
        client = self.access.client()
        process.until(lambda: _loops_ran(client), START_SECONDS, "the controller manager's loops ran")

    def apply(self, crds: Path) -> None:
        """Applies a file or folder of custom resource definitions as the administrator, and waits until they are served. Raises ApplyFailed."""
        self._kubectl("apply", "--server-side", "--validate=strict", f"--filename={crds}")
        self._kubectl("wait", "--for=condition=Established", "--timeout=30s", "customresourcedefinitions", "--all")

    def _kubectl(self, *arguments: str) -> None:
        program = [str(self._tools.kubectl), f"--kubeconfig={self.access.kubeconfig}", f"--cache-dir={self._directory / 'kubectl-cache'}"]
        done = subprocess.run([*program, *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ApplyFailed(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")


def _loops_ran(client: ApiServer) -> bool:
    try:
        client.request("GET", "/api/v1/namespaces/default/serviceaccounts/default")
        client.request("GET", "/api/v1/namespaces/default/configmaps/kube-root-ca.crt")
        edit = client.request("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/edit")
    except (ApiError, OSError):
        return False
    return bool(edit.get("rules"))
