"""What a WindowsFleet says of its nodes."""

from conftest import NAMESPACE, show

from testbed.product import condition


def fleet(name, nodes, **spec):
    return {
        "apiVersion": "windlass.dev/v1alpha1",
        "kind": "WindowsFleet",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"systemsManager": nodes, **spec},
    }


def until_says(world, name, reason, what=lambda status: True):
    """Waits until a fleet has this reason; answers its status."""

    def says(found):
        return condition(found, "Ready", "reason") == reason and what(found["status"])

    return world.product.until("wfleet", name, NAMESPACE, says, f"to say {reason}")["status"]


def counts(status):
    return tuple(status.get(field) for field in ("matched", "online", "offline", "notWindows"))


def by_role(world):
    return {"tags": {"Role": [world.role]}}


def test_nodes_are_counted_and_the_missing_ones_named(world):
    nodes = world.nodes(4)
    world.bed.control.put_node({**nodes[1], "ping": "ConnectionLost"})
    world.bed.control.put_node({**nodes[2], "platform": "Linux"})
    # Of the same role, and outside of the grant, which asks for OS: Windows.
    world.bed.control.put_node({**nodes[3], "tags": {"Role": world.role, "OS": "Solaris"}})
    name = world.name("fleet")
    world.product.apply(fleet(name, by_role(world)))
    status = until_says(world, name, "Listed")
    assert counts(status) == (3, 1, 1, 1), show(status)
    (missing,) = status["unreachable"]
    assert (missing["id"], missing["computerName"], missing["pingStatus"]) == (nodes[1]["id"], nodes[1]["computerName"], "ConnectionLost")
    assert missing["lastSeen"]
    message = next(item["message"] for item in status["conditions"] if item["type"] == "Ready")
    assert message == f"1 of 2 Windows nodes online; offline: {nodes[1]['computerName']} ({nodes[1]['id']})"
    assert status["accountRef"] == {"name": "prod"}


def test_the_counts_follow_the_nodes(world):
    """Within an interval, which passes 20 times as fast here."""
    nodes = world.nodes(2)
    name = world.name("fleet")
    world.product.apply(fleet(name, by_role(world)))
    assert counts(until_says(world, name, "Listed")) == (2, 2, 0, 0)
    world.bed.control.put_node({**nodes[0], "ping": "Inactive"})
    assert counts(until_says(world, name, "Listed", lambda status: status["offline"] == 1)) == (2, 1, 1, 0)


def test_fleets_by_id(world):
    nodes = world.nodes(3)
    outside = {**nodes[2], "tags": {"OS": "Solaris"}}
    world.bed.control.put_node(outside)
    name = world.name("fleet")
    world.product.apply(fleet(name, {"instanceIds": [nodes[0]["id"], nodes[1]["id"]]}))
    assert counts(until_says(world, name, "Listed")) == (2, 2, 0, 0)
    ids = [nodes[0]["id"], outside["id"], "i-0000000000badbad0"]
    world.product.apply(fleet(name, {"instanceIds": ids}))
    status = until_says(world, name, "NodesMissing")
    assert counts(status) == (1, 1, 0, 0)
    message = next(item["message"] for item in status["conditions"] if item["type"] == "Stalled")
    assert message.endswith(f"do not carry the tags of the account's grant: {', '.join(sorted([outside['id'], 'i-0000000000badbad0']))}"), message


def test_many_nodes_take_few_calls(world):
    world.nodes(101)
    name = world.name("fleet")
    before = world.bed.control.call_log()[-1]["n"]
    world.product.apply(fleet(name, by_role(world)))
    assert counts(until_says(world, name, "Listed")) == (101, 101, 0, 0)
    made = [call for call in world.bed.control.call_log(before) if call["operation"] == "DescribeInstanceInformation"]
    # Three pages; fleets of other tests may be looked at meanwhile, each with one.
    assert 3 <= len(made) <= 3 + 8, made


def test_nobody_matches(world):
    name = world.name("fleet")
    world.product.apply(fleet(name, by_role(world)))
    status = until_says(world, name, "NoNodes")
    assert counts(status) == (0, 0, 0, 0)
    message = next(item["message"] for item in status["conditions"] if item["type"] == "Stalled")
    assert message.startswith(f"no managed Windows node has these tags: OS in [Windows] and Role in [{world.role}]"), message


def test_outside_of_the_grant(world):
    name = world.name("fleet")
    world.product.apply(fleet(name, {"tags": {"OS": ["Solaris"]}}))
    status = until_says(world, name, "Invalid")
    message = next(item["message"] for item in status["conditions"] if item["type"] == "Stalled")
    assert message == (
        f"spec.systemsManager: these targets are outside of what namespace {NAMESPACE} may reach: grant ops allows OS in [Windows]; "
        "target nodes within that, or ask the platform team to widen spec.grants[].nodeTags of AwsAccount prod"
    )
    assert counts(status) == (None,) * 4


def test_what_aws_does_not_tell_is_not_made_up(world):
    """A throttled listing: not Ready, the last counts stay, and it mends itself."""
    world.nodes(1)
    name = world.name("fleet")
    world.product.apply(fleet(name, by_role(world)))
    until_says(world, name, "Listed")
    world.bed.control.fault("Throttle", "ssm", "DescribeInstanceInformation", count=-1)
    world.product.apply(fleet(name, by_role(world), description="looked at anew"))
    assert counts(until_says(world, name, "Throttled")) == (1, 1, 0, 0)
    world.bed.control.clear_faults()
    assert counts(until_says(world, name, "Listed")) == (1, 1, 0, 0)
