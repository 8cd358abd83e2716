"""What the API server takes for a WindowsFleet, and what it says of what it does not."""

import pytest
from admission_bench import Admission, Manifest, fresh, manifest, refusal, unknown_fields

TAGS = {"tags": {"Role": ["web", "iis"], "Site": ["dc1"]}}
IDS = [f"i-{number:017x}" for number in range(101)]


def fleet(name: str = "web", nodes: Manifest | None = None, **spec: object) -> Manifest:
    """A fleet: by tags, unless `nodes` say otherwise."""
    return manifest("WindowsFleet", name, {"systemsManager": TAGS if nodes is None else nodes, **spec})


ACCEPTS = {
    "by tags": fleet(),
    "by ids of both kinds": fleet(nodes={"instanceIds": ["i-0123456789abcdef0", "mi-0123456789abcdef0", "i-01234567"]}),
    "everything": fleet(accountRef={"name": "prod"}, description="The web servers."),
    "the most ids": fleet(nodes={"instanceIds": IDS[:100]}),
}


@pytest.mark.parametrize("case", ACCEPTS)
def test_accepts(api: Admission, case: str) -> None:
    assert api.refusal(ACCEPTS[case]) is None


def refused(*causes: str) -> str:
    """The API server's words for some causes."""
    return refusal("WindowsFleet", "web", *causes)


def choice(found: str) -> str:
    """What the rule says that one of the two must be there."""
    return refused(f"spec.systemsManager: Invalid value: systemsManager needs exactly one of: tags, instanceIds; found:{found}")


REJECTS = {
    "unknown field": (fleet(targets=TAGS), unknown_fields("WindowsFleet", "spec.targets")),
    "a workflow's word for ids": (
        fleet(nodes={**TAGS, "nodeIds": ["i-01234567"]}),
        unknown_fields("WindowsFleet", "spec.systemsManager.nodeIds"),
    ),
    "no nodes": (fleet(nodes={}), choice(" none")),
    "two ways": (fleet(nodes={**TAGS, "instanceIds": ["i-01234567"]}), choice(" tags instanceIds")),
    "no id": (
        fleet(nodes={"instanceIds": ["WEB-01"]}),
        refused(
            'spec.systemsManager.instanceIds[0]: Invalid value: "WEB-01": '
            "spec.systemsManager.instanceIds[0] in body should match '^m?i-[0-9a-f]{8}([0-9a-f]{9})?$'"
        ),
    ),
    "an id twice": (
        fleet(nodes={"instanceIds": ["i-01234567", "i-01234567"]}),
        refused('spec.systemsManager.instanceIds[1]: Duplicate value: "i-01234567"'),
    ),
}


@pytest.mark.parametrize("case", REJECTS)
def test_rejects(api: Admission, case: str) -> None:
    asked, message = REJECTS[case]
    assert api.refusal(asked) == message


def test_too_many_ids(api: Admission) -> None:
    assert "must have at most 100 items" in api.refusal(fleet(nodes={"instanceIds": IDS}))


def test_the_account_stays(api: Admission) -> None:
    name = fresh("fixed")
    api.create(fleet(name, accountRef={"name": "prod"}))
    message = refusal(
        "WindowsFleet",
        name,
        "spec: Invalid value: accountRef cannot change: make another fleet, or the workflows that name this one would lose its nodes",
    )
    for changed in ({"accountRef": {"name": "other"}}, {}):
        assert api.refusal_of_update(fleet(name, **changed)) == message
    assert api.refusal_of_update(fleet(name, nodes={"instanceIds": ["i-01234567"]}, accountRef={"name": "prod"})) is None
