"""What the documents say of fields, metrics, policies, reasons and files is so."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from docblocks import REPOSITORY, all_blocks, anchors, documents, links, manifests, part_of

from testbed.product import binary

OPERATIONS = REPOSITORY / "docs/operations.md"
SECURITY = REPOSITORY / "docs/security.md"
SOURCES = "\n".join(path.read_text() for path in sorted((REPOSITORY / "src").rglob("*.rs")))
KINDS = {path["spec"]["names"]["kind"]: path for path in (yaml.safe_load(file.read_text()) for file in sorted((REPOSITORY / "crds").glob("*.yaml")))}


# -- links ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_lead_somewhere(document: Path) -> None:
    for link in links(document):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{document.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{document.name}: {link}: there is no such heading"


def test_files_that_are_named_exist() -> None:
    """Paths in `code`, where they are of folders that this repository has."""
    roots = r"(?:src|charts|docs|tests|examples|crds)/[\w./-]+"
    for document in documents():
        for path in re.findall(rf"`({roots})`", document.read_text()):
            assert (REPOSITORY / path).exists(), f"{document.name}: {path}"


# -- fields --------------------------------------------------------------------------------------------------------------------------


def schema_of(kind: str) -> dict[str, Any]:
    """The schema of a kind."""
    return KINDS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def has(schema: dict[str, Any], parts: list[str]) -> bool:
    """Whether a path such as spec.steps[].powershell leads somewhere in a schema."""
    if not parts:
        return True
    name = parts[0].removesuffix("[]")
    below = schema.get("properties", {}).get(name)
    if below is None:
        below = schema.get("additionalProperties") if isinstance(schema.get("additionalProperties"), dict) else None
    if below is None:
        return bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    while "items" in below:
        below = below["items"]
    return has(below, parts[1:])


def names_in(schema: dict[str, Any]) -> set[str]:
    """Every field name in a schema."""
    found = set(schema.get("properties", {}))
    for below in [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]:
        if isinstance(below, dict):
            found |= names_in(below)
    return found


def test_paths_of_fields_lead_somewhere() -> None:
    for document in documents():
        for owner, path in re.findall(r"`(?:(AwsAccount|WindowsWorkflow|WorkflowRun)\.)?((?:spec|status)\.[\w.\[\]]+)`", document.read_text()):
            kinds = [owner] if owner else list(KINDS)
            assert any(has(schema_of(kind), path.split(".")) for kind in kinds), f"{document.name}: {owner} {path}"


def test_fields_in_code_are_fields_of_a_kind() -> None:
    """A camelCase word in `code`, with or without a value, is a field of a kind, a value of the chart, or AWS's."""
    values = (REPOSITORY / "charts/windlass/values.yaml").read_text()
    known = set().union(*(names_in(schema_of(kind)) for kind in KINDS)) | set(re.findall(r"^\s*#?\s*(\w+):", values, re.MULTILINE))
    known |= {"runCommand", "kubectl"}
    for document in documents():
        text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
        for word in re.findall(r"`([a-z]+(?:[A-Z][a-z]+)+)(?:: [^`]*)?`", text):
            assert word in known, f"{document.name}: {word}"


# -- manifests -----------------------------------------------------------------------------------------------------------------------


def keys_in(value: Any) -> set[str]:
    """Every key in some YAML but for those of the user's own choice."""
    if isinstance(value, list):
        return set().union(*map(keys_in, value))
    if not isinstance(value, dict):
        return set()
    free = {"tags", "nodeTags", "result"}
    below = [inner for key, inner in value.items() if not (key in free or (key == "parameters" and isinstance(inner, dict)))]
    return set(value) | set().union(*map(keys_in, below))


def test_parts_of_manifests_have_fields_of_their_kind() -> None:
    for block in all_blocks("yaml"):
        if kind := part_of(block):
            unknown = keys_in(yaml.safe_load(block.text)) - names_in(schema_of(kind)) - {"apiVersion", "kind", "metadata", "spec", "name", "namespace"}
            assert not unknown, f"{block.place}: {unknown}"


def test_manifests_are_those_of_the_examples() -> None:
    """Where a document shows an example it shows it as it is, but for comments and fields that it leaves out on purpose."""

    def loaded(text: str) -> dict[tuple[str, str], Any]:
        return {(item["kind"], item["metadata"]["name"]): item for item in yaml.safe_load_all(text) if item}

    examples: dict[tuple[str, str], Any] = {}
    for file in sorted((REPOSITORY / "examples").rglob("*.yaml")):
        examples |= loaded(file.read_text())
    for block in manifests():
        for name, item in loaded(block.text).items():
            if name in examples:
                example = examples[name]
                if item["kind"] == "AwsAccount":
                    example["spec"].pop("tags", None)
                assert item == example, f"{block.place}: {name}"


# -- metrics -------------------------------------------------------------------------------------------------------------------------


def test_metrics_are_those_of_the_sources() -> None:
    registered = set(re.findall(r"registry\.register\(\s*\"(\w+)\"", SOURCES))
    listed = re.findall(r"^\| `windlass_(\w+)` \| (\w+) \|", OPERATIONS.read_text(), re.MULTILINE)
    assert registered
    assert {name.removesuffix("_total") for name, _ in listed} == registered
    assert all(name.endswith("_total") == (type_ == "counter") for name, type_ in listed)


# -- settings, reasons, policies --------------------------------------------------------------------------------------------------------


def test_chart_values_and_their_defaults() -> None:
    """Every value in the table exists, and has the default that stands there."""
    values = yaml.safe_load((REPOSITORY / "charts/windlass/values.yaml").read_text())
    text = OPERATIONS.read_text()
    table = text[text.index("| value | default |") : text.index("`charts/windlass/values.yaml` has the rest")]
    rows = re.findall(r"^\| ((?:`[\w.]+`(?:, )?)+) \| ([^|]+) \|", table, re.MULTILINE)
    assert len(rows) > 5
    for names, defaults in rows:
        for name, default in zip(re.findall(r"`([\w.]+)`", names), defaults.split(","), strict=True):
            value: Any = values
            for part in name.split("."):
                value = value.get(part) if isinstance(value, dict) else None
            assert (str(value) if value else "none") == default.strip(" `"), name


def reasons() -> set[str]:
    """The reasons in the tables of docs/operations.md."""
    text = OPERATIONS.read_text()
    conditions = text[text.index("## Conditions") : text.index("## Cancelling")]
    rows = re.findall(r"^\| ((?:`[A-Z]\w+`(?:, )?)+) \|", conditions, re.MULTILINE)
    return {reason for row in rows for reason in re.findall(r"`(\w+)`", row)}


def test_reasons_are_in_the_sources() -> None:
    found = reasons()
    assert len(found) > 30
    phases_and_layers = set(re.findall(r"^\s+(\w+),$", (REPOSITORY / "src/api/run.rs").read_text(), re.MULTILINE))
    missing = {reason for reason in found if f'"{reason}"' not in SOURCES and reason not in phases_and_layers}
    assert not missing


def test_reasons_of_the_sources_are_listed() -> None:
    """Those that stand where conditions are made."""
    files = ["controller/workflow.rs", "controller/account.rs", "controller/account_inbox.rs", "controller/account_deletion.rs", "controller/workflow_deletion.rs", "resolve/mod.rs", "runs/decide.rs", "aws/error.rs", "aws/engine.rs"]
    patterns = [r"reason: \"(\w+)\"", r"Unavailable::new\(\s*\"(\w+)\"", r"stalled\(\"(\w+)\"", r"Class::\w+ => \"([A-Z]\w+)\"", r"Cause::\S+ => \"(\w+)\""]
    patterns += [r"wait\(\s*(?:ctx, api, workflow, )?\"([A-Z]\w+)\"", r"refuse\(\s*\"(\w+)\"", r"\((?:true|false), \"([A-Z]\w+)\""]
    patterns += [r"Inbox::new\(\s*(?:Some\(\w+\)|None),\s*\"(\w+)\"", r"Inbox::failed\(\s*ctx,\s*\"(\w+)\"", r"account, \"([A-Z]\w+)\""]
    made = {
        reason for file in files for pattern in patterns for reason in re.findall(pattern, (REPOSITORY / "src" / file).read_text())
    }
    assert len(made) > 20
    assert made <= reasons()


def test_the_controllers_policy_is_described_statement_by_statement() -> None:
    policy = json.loads((REPOSITORY / "charts/windlass/files/controller-policy.json").read_text())
    listed = lambda value: [value] if isinstance(value, str) else value  # noqa: E731
    declared = {statement["Sid"]: sorted(listed(statement["Action"])) for statement in policy["Statement"]}
    rows = re.findall(r"^\| `(\w+)` \| ((?:`\w+:\w+`(?:, )?)+) \|", SECURITY.read_text(), re.MULTILINE)
    assert {sid: sorted(re.findall(r"`([^`]+)`", actions)) for sid, actions in rows} == declared


def test_placeholders_of_the_policy_are_all_filled_by_the_readme() -> None:
    policy = (REPOSITORY / "charts/windlass/files/controller-policy.json").read_text()
    placeholders = set(re.findall(r"\$\{([A-Z_]+)\}", policy))
    assert placeholders == set(re.findall(r"\$\{([A-Z_]+)\}", (REPOSITORY / "README.md").read_text()))


def test_manifests_pass_windlass_validate(tmp_path: Path) -> None:
    """Each manifest of the documents, with the account of the examples."""
    for number, block in enumerate(manifests()):
        file = tmp_path / f"{number}.yaml"
        file.write_text(block.text)
        account = [] if "kind: AwsAccount" in block.text else ["-f", str(REPOSITORY / "examples/account.yaml")]
        result = subprocess.run([binary(), "validate", "-f", str(file), *account], capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"{block.place}: {result.stdout}{result.stderr}"
