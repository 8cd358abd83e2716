"""The proxy before the API server: what passes, what is counted, what is held and cut."""

import http.client
import itertools
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import pytest

from testbed import tools, waiting
from testbed.apiserver import ApiError, ApiServer
from testbed.aws.client import ControlError
from testbed.bed import Bed
from testbed.kubeproxy.request import KubeRequest, parse

_numbers = itertools.count(1)
MAPS = "core/configmaps"


class Place:
    """A namespace, and a ServiceAccount in it that reaches the API server through the proxy and may do anything to config maps."""

    def __init__(self, bed: Bed):
        self.bed = bed
        self.namespace = f"proxied-{next(_numbers)}"
        self.path = f"/api/v1/namespaces/{self.namespace}/configmaps"
        admin, account = bed.admin, {"metadata": {"name": "writer"}}
        admin.request("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        admin.request("POST", f"/api/v1/namespaces/{self.namespace}/serviceaccounts", account)
        roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}"
        rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}]
        admin.request("POST", f"{roles}/roles", {**account, "rules": rules})
        subject = {"kind": "ServiceAccount", "name": "writer", "namespace": self.namespace}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "writer"}
        admin.request("POST", f"{roles}/rolebindings", {**account, "subjects": [subject], "roleRef": reference})
        self.token = admin.token(self.namespace, "writer")
        assert bed.state.kubernetes is not None
        self.ca = bed.state.kubernetes.ca
        self.client = ApiServer(bed.proxy.url, self.ca, token=self.token, user_agent="writer/1")
        waiting.until(lambda: self.client.request("GET", self.path), 10, "the role to count", ignoring=(ApiError,))
        bed.proxy.clear_counts()

    def create(self, name: str) -> dict:
        return self.client.request("POST", self.path, {"metadata": {"name": name}})

    def names(self) -> set[str]:
        """What is there, asked past the proxy."""
        listed = self.bed.admin.request("GET", self.path)["items"]
        return {item["metadata"]["name"] for item in listed} - {"kube-root-ca.crt"}


@pytest.fixture
def place(cluster: Bed) -> Iterator[Place]:
    yield Place(cluster)
    cluster.proxy.reset()


def running(call: Callable[[], object]) -> Future:
    """Makes the call in a thread."""
    future: Future = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 (handed to whoever asks for the result)
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


@contextmanager
def reset_connection() -> Iterator[None]:
    """What is in it loses its connection."""
    with pytest.raises((OSError, http.client.HTTPException)):
        yield


def test_the_token_arrives_as_it_is(place: Place):
    who = place.client.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})["status"]["userInfo"]
    assert who["username"] == f"system:serviceaccount:{place.namespace}:writer"


def test_without_a_token_nobody_is_anybody(place: Place):
    """The administrator's certificate ends at the proxy: the proxy lends its clients no identity."""
    with pytest.raises(ApiError) as refusal:
        ApiServer(place.bed.proxy.url, place.ca).request("GET", place.path)
    assert refusal.value.status == 403


def test_requests_are_counted_by_verb_resource_agent_and_answer(place: Place):
    place.create("one")
    with pytest.raises(ApiError, match="AlreadyExists"):
        place.create("one")
    place.client.request("PATCH", f"{place.path}/one", {"data": {"a": "1"}}, "application/merge-patch+json")
    place.client.request("GET", f"{place.path}/one")
    with pytest.raises(ApiError):
        place.client.request("GET", f"/api/v1/namespaces/{place.namespace}/secrets")
    assert {(row["verb"], row["resource"], row["userAgent"], row["code"], row["count"]) for row in place.bed.proxy.counts()} == {
        ("create", MAPS, "writer/1", 201, 1),
        ("create", MAPS, "writer/1", 409, 1),
        ("patch", MAPS, "writer/1", 200, 1),
        ("get", MAPS, "writer/1", 200, 1),
        ("list", "core/secrets", "writer/1", 403, 1),
    }
    log = place.bed.proxy.log()
    assert [(entry["verb"], entry["name"], entry["namespace"]) for entry in log][:1] == [("create", "", place.namespace)]
    assert [entry["verb"] for entry in place.bed.proxy.log(since=log[2]["n"])] == ["get", "list"]
    place.bed.proxy.clear_counts()
    assert (place.bed.proxy.counts(), place.bed.proxy.count("create")) == ([], 0)


def test_a_watch_streams(place: Place):
    with place.client.open("GET", f"{place.path}?watch=1&fieldSelector=metadata.name%3Dseen") as events:
        place.create("seen")
        assert json.loads(events.readline())["object"]["metadata"]["name"] == "seen"
        place.client.request("DELETE", f"{place.path}/seen")
        assert json.loads(events.readline())["type"] == "DELETED"
    assert place.bed.proxy.count("watch", MAPS, 200) == 1


def test_a_long_answer_and_a_long_request_pass_whole(place: Place):
    text = "x" * 900_000
    made = place.client.request("POST", place.path, {"metadata": {"name": "long"}, "data": {"text": text}})
    assert made["data"]["text"] == text


def test_a_held_write_has_no_effect_until_it_is_released(place: Place):
    place.bed.proxy.rule("hold", verb="create", resource=MAPS)
    creating = running(lambda: place.create("held"))
    held = place.bed.proxy.wait_held()
    assert (held["verb"], held["resource"], held["namespace"], held["clientGone"]) == ("create", MAPS, place.namespace, False)
    assert (place.names(), creating.done()) == (set(), False)
    place.bed.proxy.release(held["id"])
    assert creating.result(10)["metadata"]["name"] == "held"
    assert (place.names(), place.bed.proxy.held()) == ({"held"}, [])


def test_a_dropped_write_never_happened(place: Place):
    place.bed.proxy.rule("hold", resource=MAPS)
    creating = running(lambda: place.create("dropped"))
    place.bed.proxy.drop(place.bed.proxy.wait_held()["id"])
    with reset_connection():
        creating.result(10)
    assert place.names() == set()
    assert place.bed.proxy.count("create", MAPS, "dropped") == 1
    place.create("dropped")  # the rule is used up


def test_an_answer_can_be_held_after_the_effect(place: Place):
    place.bed.proxy.rule("holdAfter", resource=MAPS)
    creating = running(lambda: place.create("done"))
    held = place.bed.proxy.wait_held()
    assert (place.names(), creating.done()) == ({"done"}, False)
    place.bed.proxy.release(held["id"])
    assert creating.result(10)["metadata"]["name"] == "done"


def test_a_cut_comes_before_the_effect_and_cut_after_after_it(place: Place):
    place.bed.proxy.rule("cut", resource=MAPS)
    with reset_connection():
        place.create("before")
    place.bed.proxy.rule("cutAfter", resource=MAPS)
    with reset_connection():
        place.create("after")
    assert place.names() == {"after"}
    assert (place.bed.proxy.count("create", code="cut"), place.bed.proxy.count("create", code=201)) == (1, 1)


def test_the_nth_write_is_chosen_by_skip_and_count(place: Place):
    place.bed.proxy.rule("cut", resource=MAPS, skip=1, count=2)
    place.create("first")
    for name in ("second", "third"):
        with reset_connection():
            place.create(name)
    place.create("fourth")
    assert place.names() == {"first", "fourth"}
    (rule,) = place.bed.proxy.rules()
    assert (rule["seen"], rule["hit"]) == (4, 2)


def test_a_rule_without_a_verb_leaves_reads_alone(place: Place):
    place.bed.proxy.rule("cut", count=-1, userAgent="^writer/")
    place.client.request("GET", place.path)
    with reset_connection():
        place.create("never")
    place.bed.proxy.rule("cut", verb="list", namespace=place.namespace)
    with reset_connection():
        place.client.request("GET", place.path)


WRITER = """
import sys
from pathlib import Path
from testbed.apiserver import ApiServer
url, ca, token, path = sys.argv[1:]
ApiServer(url, Path(ca), token=token).request("POST", path, {"metadata": {"name": "orphan"}})
"""


@pytest.mark.parametrize(("verdict", "left"), [("drop", set()), ("release", {"orphan"})])
def test_a_write_can_be_decided_after_its_client_was_killed(place: Place, verdict: str, left: set):
    """A crash between any two writes: the write was on its way when the process died, and did or did not arrive."""
    place.bed.proxy.rule("hold", resource=MAPS)
    arguments = [place.bed.proxy.url, str(place.ca), place.token, place.path]
    writer = subprocess.Popen([sys.executable, "-c", WRITER, *arguments], env={"PYTHONPATH": str(tools.ROOT)})
    held = place.bed.proxy.wait_held()
    writer.send_signal(signal.SIGKILL)
    writer.wait(10)
    waiting.until(lambda: place.bed.proxy.held()[0]["clientGone"], 10, "the proxy to notice")
    assert place.names() == set()
    getattr(place.bed.proxy, verdict)(held["id"])
    waiting.until(lambda: place.bed.proxy.count("create", MAPS), 10, "the request's end")
    assert place.names() == left


def test_a_watch_ends_at_the_server_when_its_client_leaves(place: Place):
    def open_watches() -> int:
        with place.bed.admin.open("GET", "/metrics") as metrics:
            lines = metrics.read().decode().splitlines()
        prefix = 'apiserver_longrunning_requests{component="apiserver",group="",resource="configmaps",scope="namespace"'
        return sum(int(float(line.rpartition(" ")[2])) for line in lines if line.startswith(prefix))

    before = open_watches()
    watch = place.client.open("GET", f"{place.path}?watch=1")
    waiting.until(lambda: open_watches() == before + 1, 10, "the watch to begin")
    watch.close()
    waiting.until(lambda: open_watches() == before, 10, "the watch to end")


@pytest.mark.parametrize(
    ("rule", "message"),
    [({"kind": "pause"}, "kind must be one of"), ({"kind": "cut", "verbs": "get"}, "unknown field verbs"), ({"kind": "cut", "userAgent": "("}, "no regular expression")],
)  # fmt: skip
def test_a_rule_that_means_nothing_is_refused(cluster: Bed, rule: dict, message: str):
    with pytest.raises(ControlError, match=message) as refusal:
        cluster.proxy.rule(**rule)
    assert refusal.value.status == 400


def test_what_is_not_held_cannot_be_released(cluster: Bed):
    with pytest.raises(ControlError) as refusal:
        cluster.proxy.release("held-0")
    assert refusal.value.status == 404


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/api/v1/pods", ("list", "core/pods", "", "")),
        ("GET", "/api/v1/namespaces/a/pods/b?x=1", ("get", "core/pods", "a", "b")),
        ("GET", "/api/v1/namespaces/a", ("get", "core/namespaces", "", "a")),
        ("PUT", "/api/v1/namespaces/a/finalize", ("update", "core/namespaces/finalize", "", "a")),
        ("GET", "/api/v1/namespaces/a/status", ("get", "core/namespaces/status", "", "a")),
        ("GET", "/apis/windlass.dev/v1alpha1/workflowruns?watch=true", ("watch", "windlass.dev/workflowruns", "", "")),
        ("GET", "/apis/windlass.dev/v1alpha1/workflowruns?watch=false", ("list", "windlass.dev/workflowruns", "", "")),
        ("PATCH", "/apis/windlass.dev/v1alpha1/namespaces/a/workflowruns/r/status", ("patch", "windlass.dev/workflowruns/status", "a", "r")),
        ("DELETE", "/apis/windlass.dev/v1alpha1/namespaces/a/workflowruns", ("deletecollection", "windlass.dev/workflowruns", "a", "")),
        ("DELETE", "/apis/windlass.dev/v1alpha1/awsaccounts/x", ("delete", "windlass.dev/awsaccounts", "", "x")),
        ("POST", "/api/v1/namespaces/a/serviceaccounts/s/token", ("create", "core/serviceaccounts/token", "a", "s")),
        ("GET", "/apis/windlass.dev/v1alpha1", ("get", "/apis/windlass.dev/v1alpha1", "", "")),
        ("GET", "/readyz?verbose", ("get", "/readyz", "", "")),
    ],
)
def test_requests_are_read_as_the_api_server_reads_them(method: str, target: str, expected: tuple):
    assert parse(method, target, "agent") == KubeRequest(*expected, "agent")
