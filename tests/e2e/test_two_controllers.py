"""Two controllers on one cluster: one leads and writes, the other waits for it to die, and whoever loses the lease ends."""

import itertools
import re
from collections.abc import Iterator

import pytest
from conftest import NAMESPACE, path_of

from testbed import waiting
from testbed.bed import Bed
from testbed.product import Product, condition

LEASE_SECONDS = 6
"""Long enough that a busy machine renews in time."""
LEASE = "/apis/coordination.k8s.io/v1/namespaces/windlass-system/leases/windlass"
WRITES = "[ew]*"
"""events.k8s.io and windlass.dev: everything that a controller writes but its lease."""

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def two_bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A bed of its own: the lease is taken from whoever holds it here."""
    with Bed.up(tmp_path_factory.mktemp("two"), time_factor=20, crds=path_of("crds"), end_with_parent=True) as bed:
        yield bed


@pytest.fixture(scope="module")
def values() -> dict:
    return {"leaderElection": {"leaseDuration": f"{LEASE_SECONDS}s"}}


class Pair:
    """The leader talks to the API server through the bed's proxy; the standby past it, so that each can be told by its way."""

    def __init__(self, bed: Bed, values: dict) -> None:
        self.bed = bed
        self.leader, self.standby = Product(bed, values=values), Product(bed, values=values)
        self.leader.install(namespaces=(NAMESPACE,))
        self.leader.apply(self.leader.account())
        self.leader.start()
        direct = str(bed.kubeconfig_for("windlass", "windlass-system", via_proxy=False))
        self.standby.start(wait=False, environment={"KUBECONFIG": direct, "POD_NAME": "standby"})
        self.standby.process.until(lambda: "windlass_leader" in self.standby.metrics(), 30, "the standby answered")

    def holder(self) -> str:
        """Who holds the lease."""
        return self.bed.admin.request("GET", LEASE)["spec"].get("holderIdentity") or ""

    def renewals(self, count: int) -> None:
        """Waits until the lease has been renewed so often."""
        seen = {self._renewed()}
        waiting.until(lambda: seen.add(self._renewed()) or len(seen) > count, 30, f"{count} renewals of the lease")

    def _renewed(self) -> str:
        return self.bed.admin.request("GET", LEASE)["spec"]["renewTime"]

    def standby_leads(self, within: float = 30) -> None:
        """Waits until the standby leads."""
        waiting.until(self.standby.leads, within, "the standby to lead")
        assert self.holder().startswith("standby_")

    def ended(self, product: Product) -> str:
        """Waits until a process has ended by itself; answers the end of its log."""
        waiting.until(lambda: not product.process.alive(), 30, "the process to end")
        return product.process.last_lines(200)


@pytest.fixture
def pair(two_bed: Bed, values: dict) -> Iterator[Pair]:
    """A leader and a standby."""
    two_bed.proxy.reset()
    pair = Pair(two_bed, values)
    yield pair
    two_bed.proxy.reset()
    for product in (pair.leader, pair.standby):
        product.stop()


def works(pair: Pair, product: Product) -> None:
    """A workflow that comes now is dealt with, and goes again."""
    name = workflow(pair)
    product.until_ready("wwf", name, NAMESPACE)
    product.kubectl("delete", "wwf", name, "-n", NAMESPACE, "--wait=false")
    product.until_gone("wwf", name, NAMESPACE)


def workflow(pair: Pair) -> str:
    name = f"two-{next(_numbers)}"
    pair.leader.apply(
        {
            "apiVersion": "windlass.dev/v1alpha1",
            "kind": "WindowsWorkflow",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"targets": {"tags": {"Role": ["web"]}}, "steps": [{"name": "work", "powershell": {"script": "Get-Date\n"}}]},
        }
    )
    return name


def test_only_the_leader_writes(pair):
    """All that the leader writes is held, its lease but renewed: if the standby wrote anything, the workflow would have a status."""
    assert pair.leader.leads() and not pair.standby.leads()
    pair.bed.proxy.rule("hold", resource=WRITES, count=-1)
    name = workflow(pair)
    pair.bed.proxy.wait_held(timeout=30)
    pair.renewals(10)  # two lives of a lease: it is renewed five times in its duration
    found = pair.leader.get("wwf", name, NAMESPACE)
    assert "status" not in found and "finalizers" not in found["metadata"]
    assert "windlass_leader 0" in pair.standby.metrics().splitlines()
    assert not re.search(r"^windlass_reconcil\S+ [1-9]", pair.standby.metrics(), re.M)
    pair.bed.proxy.clear_rules()
    for held in pair.bed.proxy.held():
        pair.bed.proxy.release(held["id"])
    pair.leader.until_ready("wwf", name, NAMESPACE)
    pair.leader.kubectl("delete", "wwf", name, "-n", NAMESPACE, "--wait=false")
    pair.leader.until_gone("wwf", name, NAMESPACE)


def test_the_standby_serves_health_before_it_leads(pair):
    for path in ("healthz", "readyz"):
        waiting.until(lambda path=path: pair.standby.probe(path) == 200, 15, f"the standby's {path}", ignoring=(OSError,))


def test_a_killed_leader_is_followed(pair):
    works(pair, pair.leader)
    pair.leader.kill()
    pair.standby_leads()
    works(pair, pair.standby)


def test_a_leader_that_is_stopped_gives_the_lease_up(pair):
    """The standby need not wait until it runs out: the lease is free at once."""
    pair.leader.process.kill(15)
    pair.ended(pair.leader)
    assert "standby_" in pair.holder() or pair.holder() == ""
    pair.standby_leads(within=LEASE_SECONDS - 2)


def test_a_leader_that_cannot_renew_ends_before_another_leads(pair):
    pair.bed.proxy.rule("hold", verb=["get", "update", "patch"], resource="coordination.k8s.io/leases", count=-1)
    waiting.until(lambda: pair.standby.leads() or not pair.leader.process.alive(), 30, "the leader to end or the standby to lead")
    assert not pair.leader.process.alive(), "two lead at once"
    assert "could not be renewed" in pair.ended(pair.leader)
    pair.standby_leads()
    works(pair, pair.standby)


def test_a_leader_whose_lease_was_taken_ends(pair):
    lease = pair.bed.admin.request("GET", LEASE)
    taken = {"spec": {"holderIdentity": "somebody-else", "leaseTransitions": lease["spec"]["leaseTransitions"] + 1}}
    pair.bed.admin.request("PATCH", LEASE, taken, "application/merge-patch+json")
    assert "was taken by somebody-else" in pair.ended(pair.leader)
    pair.standby_leads()
    works(pair, pair.standby)


def test_a_leader_that_is_cut_off_starts_nothing(pair):
    """A leader whose writes are held when it loses the lease does not do them later: it has ended."""
    pair.bed.proxy.rule("hold", resource=WRITES, count=-1)
    name = workflow(pair)
    held = pair.bed.proxy.wait_held(timeout=30)
    pair.bed.proxy.rule("hold", verb=["get", "update", "patch"], resource="coordination.k8s.io/leases", count=-1)
    pair.ended(pair.leader)
    pair.standby_leads()
    pair.standby.until_ready("wwf", name, NAMESPACE)
    assert next(item for item in pair.bed.proxy.held() if item["id"] == held["id"])["clientGone"]
    found = pair.standby.get("wwf", name, NAMESPACE)
    assert condition(found, "Ready") == "True"
    pair.standby.kubectl("delete", "wwf", name, "-n", NAMESPACE, "--wait=false")
    pair.standby.until_gone("wwf", name, NAMESPACE)
