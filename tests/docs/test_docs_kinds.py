"""The pages of the kinds: each names every field of its spec, and shows a manifest."""

import pytest
import yaml
from docblocks import REPOSITORY, blocks

CRDS = [yaml.safe_load(file.read_text()) for file in sorted((REPOSITORY / "crds").glob("*.yaml"))]


@pytest.mark.parametrize("crd", CRDS, ids=lambda crd: crd["spec"]["names"]["kind"])
def test_a_page_for_each_kind(crd: dict) -> None:
    names = crd["spec"]["names"]
    page = REPOSITORY / "docs/kinds" / f"{names['singular']}.md"
    text = page.read_text()
    assert text.startswith(f"# {names['kind']}\n")
    assert f"`{names['shortNames'][0]}`" in text
    (shown,) = [yaml.safe_load(block.text) for block in blocks(page) if block.language == "yaml"]
    assert shown["kind"] == names["kind"]
    for field in crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]:
        assert f"| `spec.{field}` |" in text, field


def test_every_field_of_a_step_and_a_grant_is_described() -> None:
    workflow, account = ((REPOSITORY / f"docs/kinds/{name}.md").read_text() for name in ("windowsworkflow", "awsaccount"))
    schemas = {crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] for crd in CRDS}
    steps = schemas["WindowsWorkflow"]["properties"]["steps"]["items"]["properties"]
    grants = schemas["AwsAccount"]["properties"]["grants"]["items"]["properties"]
    assert not [field for field in steps if f"`{field}`" not in workflow]
    assert not [field for field in grants if f"`{field}`" not in account and f"`{field}: true`" not in account]


def test_every_dependency_has_its_line() -> None:
    """docs/decisions/dependencies.md, and nothing in it that is no dependency any more."""
    text = (REPOSITORY / "docs/decisions/dependencies.md").read_text()
    cargo = (REPOSITORY / "Cargo.toml").read_text()
    section = cargo[cargo.index("[dependencies]") :].split("\n[", 1)[0]
    crates = {line.split(" = ")[0] for line in section.splitlines() if " = " in line}
    rows = text[: text.index("## The test bed")].splitlines()
    listed = {name for row in rows if row.startswith("| `") for name in row.split("|")[1].replace("`", "").replace(" ", "").split(",")}
    assert listed == crates
    for line in (REPOSITORY / "tests/testbed/requirements.in").read_text().splitlines():
        name = line.removeprefix("# ").split("==")[0].split("<")[0].split("[")[0].split()[0] if line[:1].isalpha() or "==1" in line else None
        assert name is None or f"`{name}`" in text, name
