"""A small client of the proxy's control endpoint."""

from testbed import waiting
from testbed.aws.client import ControlClient, ControlError


class KubeProxyClient:
    """Talks to one bed's proxy. See `testbed.kubeproxy.rules` for what a rule does."""

    def __init__(self, url: str, control: str):
        self.url = url
        self.control = control
        self._http = ControlClient(control)

    def ready(self) -> bool:
        """Whether the proxy listens."""
        return self._http.ready()

    def counts(self) -> list[dict]:
        """[{verb, resource, userAgent, code, count}]"""
        return self._http.request("GET", "/counts")

    def count(self, verb: str | None = None, resource: str | None = None, code: int | str | None = None) -> int:
        """How many requests there were with these properties."""
        return sum(
            row["count"]
            for row in self.counts()
            if verb in (None, row["verb"]) and resource in (None, row["resource"]) and code in (None, row["code"])
        )

    def log(self, since: int = 0) -> list[dict]:
        """Each request numbered above `since`, in the order of the answers: {n, time, verb, resource, namespace, name, userAgent, code}."""
        return self._http.request("GET", f"/log?since={since}")

    def clear_counts(self) -> None:
        """Forgets counts and log."""
        self._http.request("DELETE", "/counts")

    def rule(self, kind: str, **fields: object) -> str:
        """Adds a rule (kind: hold, holdAfter, cut, cutAfter; verb, resource, namespace, name, userAgent, skip, count) and answers its id."""
        return self._http.request("POST", "/rules", {"kind": kind, **fields})["id"]

    def rules(self) -> list[dict]:
        """Every rule with `seen` and `hit`."""
        return self._http.request("GET", "/rules")

    def clear_rules(self, rule_id: str | None = None) -> None:
        """Removes one rule, or all. What is held stays held."""
        self._http.request("DELETE", f"/rules/{rule_id}" if rule_id else "/rules")

    def held(self) -> list[dict]:
        """What waits now: [{id, rule, kind, verb, resource, namespace, name, userAgent, clientGone}]"""
        return self._http.request("GET", "/held")

    def wait_held(self, timeout: float = 10.0, rule_id: str | None = None) -> dict:
        """Waits (real seconds) until something is held, by that rule when one is named, and answers it. Raises waiting.TimedOut."""
        return waiting.until(
            lambda: next((held for held in self.held() if rule_id in (None, held["rule"])), None), timeout, "a request to be held"
        )

    def release(self, held_id: str) -> None:
        """Lets a held request, or a held answer, go on: also when its client is gone. Raises ControlError 404 when it is not held."""
        self._http.request("POST", f"/held/{held_id}/release")

    def drop(self, held_id: str) -> None:
        """Resets the client's connection: a request held before the server never reaches it. Raises ControlError 404 when it is not held."""
        self._http.request("POST", f"/held/{held_id}/drop")

    def reset(self) -> None:
        """Removes the rules, drops what is held, forgets the counts."""
        self.clear_rules()
        for held in self.held():
            try:
                self.drop(held["id"])
            except ControlError as error:
                if error.status != 404:  # gone meanwhile
                    raise
        self.clear_counts()
