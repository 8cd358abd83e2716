"""Schedules: runs are made when they are due, once, and never beside what they must wait for. Months pass in seconds on a bed of their own."""

import calendar
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from conftest import NAMESPACE, path_of, show

from testbed import waiting
from testbed.bed import Bed
from testbed.product import Product, condition, has_ended

MONTHS_FACTOR = 100_000.0
"""A month in 26 seconds. No account is there: AWS is not what is tested, and no session would live for long."""


def schedule(name: str, workflow: str, **spec: Any) -> dict[str, Any]:
    """A schedule manifest."""
    return {
        "apiVersion": "windlass.dev/v1alpha1",
        "kind": "WorkflowSchedule",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"workflowRef": {"name": workflow}, **spec},
    }


def runs_of(product: Product, name: str) -> list[dict[str, Any]]:
    """The runs that a schedule made, the earliest first."""
    answer = product.bed.admin.request(
        "GET", f"/apis/windlass.dev/v1alpha1/namespaces/{NAMESPACE}/workflowruns?labelSelector=windlass.dev/schedule={name}"
    )
    return sorted(answer["items"], key=lambda run: run["metadata"]["name"])


def until(product: Product, name: str, condition: Callable[[dict], object], what: str, timeout: float = 60) -> dict[str, Any]:
    """Waits for a condition of a schedule."""
    return product.until("wsched", name, NAMESPACE, condition, what, timeout)


def suspend(product: Product, name: str, value: bool = True) -> None:
    """Suspends or resumes a schedule."""
    product.kubectl("patch", "wsched", name, "-n", NAMESPACE, "--type=merge", "-p", f'{{"spec":{{"suspend":{str(value).lower()}}}}}')


def moment(text: str) -> datetime:
    """A time as the API server writes it."""
    return datetime.fromisoformat(text)


def events_of(product: Product, name: str) -> list[dict[str, Any]]:
    """The Events about a schedule."""
    listed = product.bed.admin.request("GET", f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events")["items"]
    return [event for event in listed if event["regarding"].get("kind") == "WorkflowSchedule" and event["regarding"].get("name") == name]


@pytest.fixture
def made(world) -> Iterator[Callable[..., str]]:
    """Makes schedules of a workflow that exists, every minute unless told otherwise; they are gone after the test."""
    names = []

    def make(stem: str, workflow: str, **spec: Any) -> str:
        name = world.name(stem)
        names.append(name)
        world.product.apply(schedule(name, workflow, **({"schedule": "* * * * *"} | spec)))
        return name

    yield make
    for name in names:
        world.product.kubectl("delete", "wsched", name, "-n", NAMESPACE, "--ignore-not-found", "--wait=false")
    for name in names:
        world.product.until_gone("wsched", name, NAMESPACE)


def test_every_minute(world, made):
    """Each run says whose it is and when it was due; old ones go; with the schedule all go."""
    world.nodes(1)
    workflow = world.name("report")
    world.deploy(
        world.workflow(workflow, parameters=[{"name": "kb", "type": "String"}], steps=[{"name": "a", "pass": {"result": "{% $params.kb %}"}}])
    )
    template = {"parameters": {"kb": "KB1"}, "labels": {"team": "web"}, "annotations": {"note": "x"}, "reason": "Change 4711"}
    name = made("minutely", workflow, runTemplate=template, successfulRunsHistoryLimit=2, startingDeadline="10m")
    first = waiting.until(lambda: next(iter(runs_of(world.product, name)), None), 30, "a run to be made")
    owned = world.product.get("wsched", name, NAMESPACE)
    meta = first["metadata"]
    due = moment(meta["annotations"]["windlass.dev/due-time"])
    assert meta["name"] == f"{name}-{due:%Y%m%d%H%M}" and due.second == 0
    assert meta["labels"] == {"team": "web", "windlass.dev/schedule": name} and meta["annotations"]["note"] == "x"
    (owner,) = meta["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("WorkflowSchedule", owned["metadata"]["uid"], True)
    assert first["spec"]["parameters"] == {"kb": "KB1"} and first["spec"]["reason"] == "Change 4711"
    assert moment(first["spec"]["notAfter"]) == due + timedelta(minutes=10)
    seen: dict[str, str] = {}

    def look() -> bool:
        for run in runs_of(world.product, name):
            seen[run["metadata"]["name"]] = run.get("status", {}).get("phase", "")
        return sum(phase == "Succeeded" for phase in seen.values()) >= 5

    waiting.until(look, 60, "five runs to have succeeded", interval=0.1)
    suspend(world.product, name)
    found = until(world.product, name, lambda found: condition(found, "Ready", "reason") == "Suspended", "to be suspended")
    assert "nextScheduleTime" not in found["status"]
    waiting.until(lambda: all(has_ended(run) for run in runs_of(world.product, name)) and len(runs_of(world.product, name)) == 2, 30, "two to be kept")
    status = world.product.get("wsched", name, NAMESPACE)["status"]
    assert status["when"] == "* * * * * (UTC)" and "active" not in status, show(status)
    assert status["lastScheduleTime"] == status["lastDueTime"] and "lastSuccessfulTime" in status, show(status)
    assert f"{name}-{moment(status['lastScheduleTime']):%Y%m%d%H%M}" == runs_of(world.product, name)[-1]["metadata"]["name"]
    assert len(world.executions(workflow)) == len(seen | {run["metadata"]["name"]: "" for run in runs_of(world.product, name)})
    # Resumed: what was due meanwhile is not made up for.
    resumed = datetime.fromtimestamp(world.bed.clock.now(), UTC)
    suspend(world.product, name, False)
    found = until(world.product, name, lambda found: found["status"]["lastScheduleTime"] != status["lastScheduleTime"], "to go on")
    assert moment(found["status"]["countsFrom"]) >= resumed and "lastMissed" not in found["status"], show(found["status"])
    assert moment(found["status"]["lastScheduleTime"]) > resumed
    world.delete("wsched", name)
    waiting.until(lambda: not runs_of(world.product, name), 60, "its runs to go with it")


def spans(world, workflow: str) -> list[tuple[datetime, datetime | None]]:
    """From when to when each execution of a workflow ran."""
    return sorted((item["startDate"], item.get("stopDate")) for item in world.executions(workflow))


def test_a_run_waits_for_the_one_before(world, made):
    """Forbid, the default: one at a time, and the times between are passed over."""
    (node,) = world.nodes(1)
    world.rule(node, duration=150, exitCode=0)
    workflow = world.name("long")
    world.deploy(world.workflow(workflow))
    name = made("forbid", workflow)
    held = until(world.product, name, lambda found: condition(found, "Ready", "reason") == "Waiting", "to wait")
    assert re.fullmatch(
        rf"the run due at \S+ waits for run {name}-\d{{12}}, which has not ended; after \S+ it is missed", condition(held, "Ready", "message")
    )
    assert condition(held, "Ready") == "True" and len(held["status"]["active"]) == 1
    waiting.until(lambda: len(spans(world, workflow)) >= 3, 90, "three executions")
    suspend(world.product, name)
    for (_, ended), (began, _) in zip(spans(world, workflow), spans(world, workflow)[1:], strict=False):
        assert ended is not None and ended <= began
    missed = world.product.get("wsched", name, NAMESPACE)["status"]["lastMissed"]
    assert missed["reason"] == "PassedOver", missed


def test_a_run_takes_the_place_of_the_one_before(world, made):
    """Replace: the other is cancelled with its command, and the new one starts when that has ended."""
    (node,) = world.nodes(1)
    world.rule(node, duration=36_000, exitCode=0)
    workflow = world.name("forever")
    world.deploy(world.workflow(workflow, steps=[{"name": "work", "powershell": {"script": "Get-Date\n"}, "timeout": "12h"}]))
    name = made("replace", workflow, concurrencyPolicy="Replace")
    waiting.until(lambda: len(spans(world, workflow)) >= 2, 90, "two executions")
    suspend(world.product, name)
    first, second, *_ = runs_of(world.product, name)
    assert first["status"]["phase"] == "Cancelled", show(first["status"])
    assert spans(world, workflow)[0][1] <= spans(world, workflow)[1][0]
    assert first["spec"]["desiredState"] == "Cancelled" and second["metadata"]["name"] > first["metadata"]["name"]
    assert f"cancelled run {first['metadata']['name']}" in " ".join(event["note"] for event in events_of(world.product, name))
    world.until_command(workflow, lambda command: command["Status"] == "Cancelled", "to be cancelled")


@pytest.mark.parametrize("kind", ["hold", "holdAfter"], ids=["before-it-arrives", "after-it-is-done"])
@pytest.mark.parametrize("write", ["workflowruns", "workflowschedules/status"], ids=["making-the-run", "writing-it-down"])
def test_the_controller_dies_over_a_run(world, made, kind, write):
    """kill -9 at the write that makes a run, and at the one that notes it: each due time has one run and one execution."""
    product = world.product
    workflow = world.name("once")
    world.deploy(world.workflow(workflow, steps=[{"name": "a", "pass": {}}]))
    name = made("crash", workflow, startingDeadline="1h", successfulRunsHistoryLimit=100)
    until(product, name, lambda found: found.get("status", {}).get("lastScheduleTime"), "to have made a run")
    verb = {"workflowruns": "create"}.get(write, "patch")
    rule = world.bed.proxy.rule(kind, verb=verb, resource=f"windlass.dev/{write}", count=1)
    held = world.bed.proxy.wait_held(30, rule)
    product.kill()
    world.bed.proxy.drop(held["id"])
    world.bed.proxy.clear_rules(rule)
    before = {run["metadata"]["name"]: run["metadata"]["uid"] for run in runs_of(product, name)}
    product.start()
    waiting.until(lambda: len([run for run in runs_of(product, name) if has_ended(run)]) >= len(before) + 2, 60, "it to go on")
    suspend(product, name)
    until(product, name, lambda found: condition(found, "Ready", "reason") == "Suspended", "to be suspended")
    waiting.until(lambda: all(has_ended(run) for run in runs_of(product, name)), 30, "its runs to end")
    after = {run["metadata"]["name"]: run for run in runs_of(product, name)}
    assert {run: after[run]["metadata"]["uid"] for run in before} == before, "none was made again"
    assert {run["status"]["phase"] for run in after.values()} == {"Succeeded"}
    assert len(world.executions(workflow)) == len(after)


def test_what_keeps_a_schedule_from_its_work(world, made):
    """Said by day, on the schedule: what is wrong with it, and with the workflow that it names."""
    product, nightly = world.product, "0 3 * * *"
    workflow = world.name("sound")

    def says(name: str, reason: str) -> tuple[str, str, str]:
        found = until(product, name, lambda found: condition(found, "Ready", "reason") == reason, f"to be {reason}")
        return condition(found, "Ready"), condition(found, "Stalled"), condition(found, "Ready", "message")

    name = made("backwards", workflow, schedule="30-10 3 * * *")
    ready, stalled, message = says(name, "InvalidSchedule")
    assert (ready, stalled) == ("False", "True")
    assert message.startswith('spec.schedule: "30-10 3 * * *" is not a cron schedule of five fields (minute, hour, day of month, month, day of week): ')
    name = made("never", workflow, schedule="0 3 30 2 *")
    assert says(name, "InvalidSchedule")[2] == "spec.schedule: this time never comes: there is no such day in any year"
    name = made("waits", workflow, schedule=nightly, runTemplate={"parameters": {"kb": 7}})
    assert says(name, "WorkflowNotFound") == (
        "False", "False",
        f"WindowsWorkflow {workflow} does not exist in this namespace: create it, or name another under spec.workflowRef; "
        "runs that become due wait for it",
    )  # fmt: skip
    world.deploy(world.workflow(workflow, parameters=[{"name": "kb", "type": "String"}]))
    ready, stalled, message = says(name, "InvalidParameters")
    assert (ready, stalled) == ("False", "True") and "spec.runTemplate.parameters.kb: " in message
    product.apply(schedule(name, workflow, schedule=nightly, runTemplate={"parameters": {"kb": "7"}}))
    assert says(name, "Scheduled")[:2] == ("True", "False")
    name = made("refused", workflow, runTemplate={"parameters": {"kb": "7"}, "labels": {"team": "not a label"}})
    ready, _, message = says(name, "RunRefused")
    assert ready == "False" and "not a label" in message


def test_a_name_that_is_taken(world, made):
    """A run that somebody made under the name of the next one is left alone, and the schedule says which."""
    workflow = world.name("taken")
    world.deploy(world.workflow(workflow, steps=[{"name": "a", "pass": {}}]))
    name = made("names", workflow, schedule="0 0 1 1 *")
    found = until(world.product, name, lambda found: found.get("status", {}).get("nextScheduleTime"), "to know its next time")
    assert moment(found["status"]["nextScheduleTime"]).month == 1
    now = datetime.fromtimestamp(world.bed.clock.now(), UTC)
    at = now + timedelta(minutes=3)
    mine = world.run(workflow, f"{name}-{at:%Y%m%d%H%M}")
    world.product.apply(mine)
    world.product.apply(schedule(name, workflow, schedule=f"{at.minute} {at.hour} {at.day} {at.month} *"))
    found = until(world.product, name, lambda found: "lastMissed" in found.get("status", {}), "to miss a time")
    missed = found["status"]["lastMissed"]
    assert missed["reason"] == "NameTaken" and f"WorkflowRun {mine['metadata']['name']} is there already" in missed["message"]
    assert "ownerReferences" not in world.product.get("wrun", mine["metadata"]["name"], NAMESPACE)["metadata"]


# -- months -------------------------------------------------------------------------------------------------------------------


def nth(year: int, month: int, week: int, weekday: int) -> int | None:
    """The day of the month of its nth weekday (Monday is 0), the last for -1."""
    days = [day for day in range(1, calendar.monthrange(year, month)[1] + 1) if calendar.weekday(year, month, day) == weekday]
    index = week if week < 0 else week - 1
    return days[index] if index < len(days) else None


def due_times(after: datetime, zone: str, of_month: Callable[[int, int], int | None], offset: int, at: time) -> list[str]:
    """The due times of the next two years as in run names: a reckoning of this test's own."""
    times = []
    for number in range(-1, 24):
        year, month = divmod(after.year * 12 + after.month - 1 + number, 12)
        day = of_month(year, month + 1)
        if day is not None:
            local = datetime.combine(datetime(year, month + 1, day) + timedelta(days=offset), at, ZoneInfo(zone))
            times.append(local.astimezone(UTC))
    return [f"{moment:%Y%m%d%H%M}" for moment in sorted(times) if moment > after]


@pytest.fixture
def fast(tmp_path) -> Iterator[Product]:
    """Windlass where a month passes in seconds."""
    with Bed.up(tmp_path, time_factor=MONTHS_FACTOR, crds=path_of("crds"), end_with_parent=True) as bed:
        product = Product(bed)
        product.install(namespaces=(NAMESPACE,))
        product.start()
        yield product
        product.stop()


def test_months(fast: Product) -> None:
    """Each month's run is made, at its time, whatever happens to the controller; months without such a day have none."""
    began = datetime.fromtimestamp(fast.bed.clock.now(), UTC)
    patch = {"week": 2, "day": "Tuesday", "offsetDays": 3, "at": "03:00"}
    fifth = {"week": 5, "day": "Monday", "at": "22:30"}
    keep = {"startingDeadline": "20d", "failedRunsHistoryLimit": 100}
    fast.apply(
        schedule("patch", "none", monthly=patch, timeZone="Europe/Berlin", **keep),
        schedule("fifth", "none", monthly=fifth, timeZone="America/New_York", **keep),
        schedule("ends", "none", schedule="59 23 L * *", timeZone="Asia/Kolkata", **keep),
        schedule("rests", "none", schedule="0 3 L * *", suspend=True, **keep),
    )
    expected = {
        "patch": due_times(began, "Europe/Berlin", lambda year, month: nth(year, month, 2, 1), 3, time(3)),
        "fifth": due_times(began, "America/New_York", lambda year, month: nth(year, month, 5, 0), 0, time(22, 30)),
        "ends": due_times(began, "Asia/Kolkata", lambda year, month: calendar.monthrange(year, month)[1], 0, time(23, 59)),
        "rests": [],
    }

    def names(of: str) -> list[str]:
        return [run["metadata"]["name"].removeprefix(f"{of}-") for run in runs_of(fast, of)]

    waiting.until(lambda: len(names("patch")) >= 2, 90, "the runs of two months", interval=0.2)
    fast.kill()
    # A dead leader's lease would hold for half a month.
    fast.bed.admin.request("DELETE", "/apis/coordination.k8s.io/v1/namespaces/windlass-system/leases/windlass")
    fast.start()
    waiting.until(lambda: len(names("patch")) >= 3 and len(names("ends")) >= 3, 90, "the runs of three months", interval=0.2)
    for of, times in expected.items():
        found = names(of)
        assert found == [due for due in times if due in found], (of, found, times)
        # On a busy machine a start may take longer than the deadline: that is said.
        between = [due for due in times if found and found[0] < due < found[-1] and due not in found]
        assert not between or fast.get("wsched", of, NAMESPACE)["status"]["lastMissed"]["reason"] in ("PassedOver", "DeadlinePassed")
    status = fast.get("wsched", "patch", NAMESPACE)["status"]
    assert status["when"] == "3 days after the 2nd Tuesday, 03:00 (Europe/Berlin)"
    assert f"{moment(status['nextScheduleTime']):%Y%m%d%H%M}" in expected["patch"]
    assert "nextScheduleTime" not in fast.get("wsched", "rests", NAMESPACE)["status"]
