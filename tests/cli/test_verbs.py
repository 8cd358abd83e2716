"""The verbs that need neither a cluster nor an account, as people type them: what goes where, and how they exit."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
HELLO, ACCOUNT = "examples/hello/hello.yaml", "examples/account.yaml"

Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def windlass() -> Call:
    """Runs the program under test in the repository, with nothing in its environment that could lead to a cluster or an account."""
    binary = os.environ.get("WINDLASS_BINARY", str(ROOT / "target/debug/windlass"))

    def call(*arguments: str, stdin: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [binary, *arguments], input=stdin, capture_output=True, text=True, check=False, cwd=ROOT, env=environment
        )

    return call


def test_validate_counts_what_is_valid(windlass: Call) -> None:
    one, all_of_them = windlass("validate", "-f", ACCOUNT), windlass("validate", "-R", "-f", "examples")
    assert (one.returncode, one.stdout, one.stderr) == (0, "1 manifest valid\n", "")
    assert all_of_them.returncode == 0 and all_of_them.stdout.endswith(" manifests valid\n"), all_of_them.stdout


def test_validate_prints_problems_and_exits_1(windlass: Call) -> None:
    text = (ROOT / HELLO).read_text().replace("script: |", "scirpt: |")
    line = 1 + text.splitlines().index("        scirpt: |")
    done = windlass("validate", "-f", "-", "-f", ACCOUNT, stdin=text)
    expected = f'<stdin>:{line}: spec.steps[0].powershell.scirpt: unknown field "scirpt", did you mean "script"?\n'
    assert (done.returncode, done.stdout, done.stderr) == (1, expected, "")


def test_several_files_behind_one_option_or_several(windlass: Call) -> None:
    for arguments in (("-f", HELLO, ACCOUNT), ("-f", HELLO, "-f", ACCOUNT), (f"--filename={HELLO}", f"--filename={ACCOUNT}")):
        assert windlass("validate", *arguments).stdout == "3 manifests valid\n"


def test_a_folder_without_and_with_those_inside_it(windlass: Call, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "notes.txt").write_text("a: [")
    (tmp_path / "a.json").write_text(json.dumps(yaml.safe_load((ROOT / ACCOUNT).read_text())))
    (tmp_path / "inner/b.yml").write_text((ROOT / HELLO).read_text())
    assert windlass("validate", "-f", str(tmp_path)).stdout == "1 manifest valid\n"
    assert windlass("validate", "-R", "-f", str(tmp_path)).stdout == "3 manifests valid\n"


def test_what_cannot_be_read_exits_2(windlass: Call, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.yaml")
    for verb in ("validate", "render"):
        done = windlass(verb, "-f", missing)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"windlass: {missing}: No such file or directory (os error 2)\n"
    assert windlass("validate").returncode == 2, "nothing to read"


INBOX = ["AWS::SQS::Queue", "AWS::Events::Rule"]
TYPES = ["AWS::IAM::Role", "AWS::SSM::Document", "AWS::StepFunctions::StateMachine"]


def test_render_prints_every_object(windlass: Call) -> None:
    arguments = ("render", "-f", HELLO, "-f", ACCOUNT, "--cluster-id", "prod")
    as_json, as_yaml = windlass(*arguments, "-o", "json"), windlass(*arguments)
    assert as_json.returncode == as_yaml.returncode == 0, as_json.stderr
    objects = json.loads(as_json.stdout)["objects"]
    assert yaml.safe_load(as_yaml.stdout) == {"objects": objects}
    assert [set(item) for item in objects] == [{"type", "name", "body"}] * 5
    expected = [(type_, "windlass_prod__prod") for type_ in INBOX]
    assert [(item["type"], item["name"]) for item in objects] == expected + [(type_, "windlass_prod_ops_disk-report") for type_ in TYPES]
    queue, rule, role, document, machine = (item["body"] for item in objects)
    assert rule["Targets"][0]["Arn"] in json.dumps(queue["Policy"])
    assert isinstance(role["AssumeRolePolicyDocument"], dict)
    assert [isinstance(policy["PolicyDocument"], dict) for policy in role["Policies"]] == [True]
    assert document["Content"]["schemaVersion"] == "2.2"
    assert any("States" in value for value in machine.values() if isinstance(value, dict)), "the definition is an object"


def test_render_takes_the_cluster_id_from_the_environment_too(windlass: Call) -> None:
    arguments = ("render", "-f", HELLO, "-f", ACCOUNT, "-o", "json")

    def cluster(done: subprocess.CompletedProcess[str]) -> str:
        return json.loads(done.stdout)["objects"][0]["name"].split("_")[1]

    assert cluster(windlass(*arguments)) == "example"
    assert cluster(windlass(*arguments, WINDLASS_CLUSTER_ID="staging")) == "staging"
    assert cluster(windlass(*arguments, "--cluster-id=prod", WINDLASS_CLUSTER_ID="staging")) == "prod"
    refused = windlass(*arguments, "--cluster-id=Prod_1")
    assert refused.returncode == 2 and '"Prod_1" is not a cluster id' in refused.stderr


def test_render_says_why_it_does_not(windlass: Call) -> None:
    """On standard error, so that a pipe gets nothing that is half an answer."""
    done = windlass("render", "-f", HELLO)
    assert (done.returncode, done.stdout) == (1, "")
    assert "spec.accountRef: no AwsAccount is among these manifests that grants its namespace something: give its file too" in done.stderr
    broken = windlass("render", "-f", "-", "-f", ACCOUNT, stdin=(ROOT / HELLO).read_text().replace("Role:", "OS:"))
    assert (broken.returncode, broken.stdout) == (1, "")
    assert broken.stderr.startswith("<stdin>:") and "spec.targets" in broken.stderr


def test_crds_are_those_that_are_committed(windlass: Call, tmp_path: Path) -> None:
    printed = list(yaml.safe_load_all(windlass("crds").stdout))
    committed = {file.name: file.read_text() for file in (ROOT / "crds").glob("*.yaml")}
    assert {item["spec"]["names"]["plural"] + ".yaml": item for item in printed} == {
        name: yaml.safe_load(text) for name, text in committed.items()
    }
    assert windlass("crds", "--out", str(tmp_path)).stdout == ""
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == committed


def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    binary = os.environ.get("WINDLASS_BINARY", str(ROOT / "target/debug/windlass"))
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"'{binary}' crds | head -1"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "---\n", "")
