"""A small client of the control endpoint, for tests and for the bed's own command line."""

import json
import urllib.error
import urllib.request


class ControlError(Exception):
    """The control endpoint refused a request. `status` is HTTP's."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class ControlClient:
    """Talks to one bed's control endpoint. Durations are virtual seconds; see `testbed.aws.control` for the shapes."""

    def __init__(self, url: str, timeout: float = 30.0):
        self.url = url.rstrip("/")
        self._timeout = timeout
        # Loopback only: a proxy named by the environment must not get between.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def request(self, method: str, path: str, body: object = None) -> object:
        """Sends JSON, answers JSON. Raises ControlError when refused, URLError when nobody answers."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method, headers={"Content-Type": "application/json"})
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise ControlError(error.code, error.read().decode(errors="replace")) from error

    def ready(self) -> bool:
        """Whether the AWS endpoint can be called."""
        try:
            return self.request("GET", "/health") == {"status": "ready"}
        except (OSError, ControlError):
            return False

    def clock(self) -> dict:
        """{epoch, factor, now}"""
        return self.request("GET", "/clock")

    def now(self) -> float:
        """The virtual instant, unix seconds."""
        return self.clock()["now"]

    def nodes(self) -> list[dict]:
        """Every simulated node."""
        return self.request("GET", "/nodes")

    def set_nodes(self, nodes: list[dict]) -> None:
        """Replaces all nodes."""
        self.request("PUT", "/nodes", nodes)

    def put_node(self, node: dict) -> None:
        """Adds or replaces the node with this id."""
        self.request("PUT", f"/nodes/{node['id']}", node)

    def delete_node(self, node_id: str) -> None:
        """Removes a node. Raises ControlError 404 when there is none."""
        self.request("DELETE", f"/nodes/{node_id}")

    def fault(self, kind: str, service: str = "*", operation: str = "*", **fields: object) -> str:
        """Adds a fault and answers its id; further fields as in `testbed.aws.faults.Fault`."""
        return self.request("POST", "/faults", {"kind": kind, "service": service, "operation": operation, **fields})["id"]

    def faults(self) -> list[dict]:
        """Every fault, spent ones too, with `seen` and `hit`."""
        return self.request("GET", "/faults")

    def clear_faults(self, fault_id: str | None = None) -> None:
        """Removes one fault, or all."""
        self.request("DELETE", f"/faults/{fault_id}" if fault_id else "/faults")

    def calls(self) -> list[dict]:
        """[{service, operation, caller, outcome, count}]"""
        return self.request("GET", "/calls")

    def call_log(self, since: int = 0) -> list[dict]:
        """Each call numbered above `since`, in order."""
        return self.request("GET", f"/calls/log?since={since}")

    def count(self, service: str, operation: str | None = None, outcome: str | None = None) -> int:
        """How many calls there were to a service, or to one operation, or with one outcome."""
        return sum(
            row["count"]
            for row in self.calls()
            if row["service"] == service and operation in (None, row["operation"]) and outcome in (None, row["outcome"])
        )

    def clear_calls(self) -> None:
        """Forgets the calls."""
        self.request("DELETE", "/calls")

    def eventual(self, **settings: float) -> dict:
        """Sets newRoleSeconds, invocationVisibleSeconds, stateMachineUpdateSeconds (those given) and answers all."""
        return self.request("POST", "/eventual", settings)

    def quotas(self, **values: int) -> dict:
        """Sets quotas (those given, by their names in `testbed.aws.quotas`) and answers all."""
        return self.request("POST", "/quotas", values)

    def buckets(self, mode: str | None = None, limits: dict[str, list[float]] | None = None) -> dict:
        """AWS's token buckets: sets what is given, and answers {mode, limits, missed}; see `testbed.aws.buckets`."""
        return self.request("POST", "/buckets", {"mode": mode, "limits": limits})

    def lag(self, service: str, operation: str, seconds: float) -> None:
        """For so many virtual seconds after a write in the service, this read answers what it answered before; 0 ends that."""
        self.request("POST", "/lags", {"service": service, "operation": operation, "seconds": seconds})

    def sessions(self, **settings: bool) -> dict:
        """virtualExpiry: a session ends by the virtual clock, whatever the wall clock says."""
        return self.request("POST", "/sessions", settings)

    def issuer(self) -> dict:
        """{url, thumbprint} of the bed's OpenID Connect issuer."""
        return self.request("GET", "/issuer")

    def token(self, forged: bool = False, **claims: object) -> str:
        """A token of that issuer; see `testbed.aws.issuer.Issuer.token`."""
        return self.request("POST", "/issuer/tokens", {"claims": claims, "forged": forged})["token"]

    def keep_iam(self) -> None:
        """What IAM holds now survives resets."""
        self.request("POST", "/iam/keep")

    def reset(self) -> None:
        """Back to an empty account, but for what `keep_iam` kept."""
        self.request("POST", "/reset")
