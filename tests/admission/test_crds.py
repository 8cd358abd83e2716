"""The custom resource definitions: how they are applied, what they are called, and how they explain themselves."""

from pathlib import Path

import pytest
from admission_bench import PLURALS, Admission

GOLDEN = Path(__file__).parent / "golden"


def test_plain_apply_takes_them(applied: str) -> None:
    """Client-side apply puts the whole definition into an annotation: too large a one is refused."""
    assert sorted(applied.splitlines()) == [
        f"customresourcedefinition.apiextensions.k8s.io/{plural}.windlass.dev created" for plural in sorted(PLURALS.values())
    ]


def test_short_names_and_the_category(kubectl) -> None:
    answer = kubectl("api-resources", "--categories=windlass", "--no-headers", "--sort-by=name").stdout
    assert [line.split() for line in answer.splitlines()] == [
        ["awsaccounts", "awsacct", "windlass.dev/v1alpha1", "false", "AwsAccount"],
        ["windowsfleets", "wfleet", "windlass.dev/v1alpha1", "true", "WindowsFleet"],
        ["windowsworkflows", "wwf", "windlass.dev/v1alpha1", "true", "WindowsWorkflow"],
        ["workflowruns", "wrun", "windlass.dev/v1alpha1", "true", "WorkflowRun"],
        ["workflowschedules", "wsched", "windlass.dev/v1alpha1", "true", "WorkflowSchedule"],
    ]


@pytest.mark.parametrize("field", ["wwf.spec.steps.powershell", "wrun.spec", "wsched.spec", "awsacct.spec.grants"])
def test_they_explain_themselves(kubectl, field: str) -> None:
    """To see a new text, run it by hand: kubectl explain FIELD."""
    answer = kubectl("explain", field)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == (GOLDEN / f"{field}.txt").read_text()


def test_the_examples_are_accepted(api: Admission, kubectl, examples: list[Path]) -> None:
    """Strictly: a field that is not known is refused."""
    assert examples
    for path in examples:
        answer = kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(path))
        assert answer.returncode == 0, answer.stderr
