"""What the API server takes for a WorkflowRun, what may change afterwards, and what of that the chart's policies say."""

import pytest
from admission_bench import NOT_ALL_CHECKED, Admission, Manifest, fresh, refusal, run, unknown_fields

LATER = "2099-12-01T00:00:00Z"
TRACKED_NEEDS = (
    "a run that is kept in Git (it carries the mark of Argo CD or Flux) needs spec.notAfter: "
    "a cluster that is rebuilt after 90 days would start it again; write the time after which it must not start"
)
TRACKED_TAKES_NO = (
    "a run that is kept in Git (it carries the mark of Argo CD or Flux) takes no spec.ttlAfterFinished: "
    "the tool would make it again as soon as it is deleted; leave it out and take the run out of Git when it is not needed any more"
)


def denied(policy: str, name: str, why: str) -> str:
    """The API server's words for what a policy of the chart refuses."""
    full = f"windlass-{policy}"
    return f"workflowruns.windlass.dev \"{name}\" is forbidden: ValidatingAdmissionPolicy '{full}' with binding '{full}' denied request: {why}"


def marked(asked: Manifest, **metadata: dict[str, str]) -> Manifest:
    """With labels or annotations."""
    asked["metadata"] |= metadata
    return asked


ACCEPTS = {
    "the least": run(),
    "everything": run(
        parameters={"kb": "KB5046616", "many": 1, "list": [1, {"a": None}]},
        notAfter=LATER,
        reason="Change 4711",
        desiredState="Running",
        onDelete="Orphan",
        ttlAfterFinished="7d",
        targets={"tags": {"Site": ["dc1"]}},
        mode="WhatIf",
    ),
    "some nodes": run(targets={"nodeIds": ["i-0123456789abcdef0", "mi-0123456789abcdef0"]}),
    "cancelled from the start": run(desiredState="Cancelled"),
    "kept in Git": marked(run(notAfter=LATER), labels={"kustomize.toolkit.fluxcd.io/name": "apps"}),
    "a label that GitOps tools have nothing to do with": marked(run(ttlAfterFinished="1d"), labels={"app.kubernetes.io/instance": "x"}),
}


@pytest.mark.parametrize("case", ACCEPTS)
def test_accepts(api: Admission, case: str) -> None:
    assert api.refusal(ACCEPTS[case]) is None


MARKS = {
    "Argo CD's annotation": {"annotations": {"argocd.argoproj.io/tracking-id": "apps:windlass.dev/WorkflowRun:ops/run"}},
    "Argo CD's label": {"labels": {"argocd.argoproj.io/instance": "apps"}},
    "Flux's Kustomization": {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}},
    "Flux's HelmRelease": {"labels": {"helm.toolkit.fluxcd.io/name": "apps"}},
}

REJECTS = {
    "unknown field": (run(params={}), unknown_fields("WorkflowRun", "spec.params")),
    "no time": (
        run(notAfter="tomorrow"),
        refusal(
            "WorkflowRun",
            "run",
            'spec.notAfter: Invalid value: "tomorrow": spec.notAfter in body must be of type date-time: "tomorrow"',
            NOT_ALL_CHECKED,
        ),
    ),
    "a state that is not built": (
        run(desiredState="Paused"),
        refusal(
            "WorkflowRun",
            "run",
            'spec.desiredState: Unsupported value: "Paused": supported values: "Running", "Cancelled"',
            NOT_ALL_CHECKED,
        ),
    ),
    "a mode that there is not": (
        run(mode="DryRun"),
        refusal("WorkflowRun", "run", 'spec.mode: Unsupported value: "DryRun": supported values: "Run", "WhatIf", "Preview"', NOT_ALL_CHECKED),
    ),
    "a fleet as a part": (
        run(targets={"fleetRef": {"name": "web"}}),
        unknown_fields("WorkflowRun", "spec.targets.fleetRef"),
    ),
    "nodes in two ways": (
        run(targets={"tags": {"Site": ["dc1"]}, "nodeIds": ["i-01234567"]}),
        refusal("WorkflowRun", "run", "spec.targets: Invalid value: targets needs exactly one of: tags, nodeIds; found: tags nodeIds"),
    ),
    "no duration": (
        run(ttlAfterFinished="1 week"),
        refusal(
            "WorkflowRun",
            "run",
            "spec.ttlAfterFinished: Invalid value: \"1 week\": spec.ttlAfterFinished in body should match '^[1-9][0-9]{0,7}(s|m|h|d)$'",
        ),
    ),
    **{f"without an end, {whose}": (marked(run(), **mark), denied("runs-in-git", "run", TRACKED_NEEDS)) for whose, mark in MARKS.items()},
    **{
        f"deleting itself, {whose}": (
            marked(run(notAfter=LATER, ttlAfterFinished="1d"), **mark),
            denied("runs-in-git", "run", TRACKED_TAKES_NO),
        )
        for whose, mark in MARKS.items()
    },
}


@pytest.mark.parametrize("case", REJECTS)
def test_rejects(api: Admission, case: str) -> None:
    asked, message = REJECTS[case]
    assert api.refusal(asked) == message


BEFORE = {
    "workflowRef": {"name": "report"},
    "parameters": {"kb": "KB1", "deep": {"list": [1, 2]}},
    "notAfter": LATER,
    "reason": "Change 4711",
    "onDelete": "Cancel",
    "mode": "Run",
    "ttlAfterFinished": "7d",
    "targets": {"tags": {"Site": ["dc1"]}},
}

CHANGES = {
    "workflowRef": {"name": "other"},
    "notAfter": "2099-12-02T00:00:00Z",
    "reason": "Change 4712",
    "onDelete": "Orphan",
    "mode": "Preview",
    "ttlAfterFinished": "8d",
    "targets": {"tags": {"Site": ["dc2"]}},
}


@pytest.mark.parametrize("field", CHANGES)
def test_a_run_does_not_change(api: Admission, field: str) -> None:
    """Changed, and where it is optional also taken away and added."""
    name = fresh("fixed")
    message = refusal("WorkflowRun", name, f"spec: Invalid value: a run's {field} cannot change: make a new run")
    api.create(run(name, **BEFORE))
    assert api.refusal_of_update(run(name, **BEFORE | {field: CHANGES[field]})) == message
    if field in ("workflowRef", "onDelete", "mode"):
        return
    without = {key: value for key, value in BEFORE.items() if key != field}
    assert api.refusal_of_update(run(name, **without)) == message
    bare = fresh("bare")
    api.create(run(bare, **without))
    assert api.refusal_of_update(run(bare, **BEFORE)) == message.replace(name, bare)


def test_parameters_do_not_change(api: Admission) -> None:
    """CEL in the CRD cannot see them: the chart's policy does."""
    name = fresh("fixed")
    message = denied("run-spec-is-final", name, "a run's parameters cannot change, only its desiredState can: make a new run")
    api.create(run(name, **BEFORE))
    for parameters in ({"kb": "KB2", "deep": {"list": [1, 2]}}, {"kb": "KB1", "deep": {"list": [1, 3]}}, {"kb": "KB1"}, {}):
        assert api.refusal_of_update(run(name, **BEFORE | {"parameters": parameters})) == message
    without = {key: value for key, value in BEFORE.items() if key != "parameters"}
    assert api.refusal_of_update(run(name, **without)) == message
    bare = fresh("bare")
    api.create(run(bare, **without))
    assert api.refusal_of_update(run(bare, **BEFORE)) == message.replace(name, bare)


def test_a_cancelled_run_stays_cancelled(api: Admission) -> None:
    name = fresh("cancelled")
    api.create(run(name, **BEFORE))
    assert api.refusal_of_update(run(name, **BEFORE, desiredState="Cancelled")) is None
    api.patch(run(name), {"spec": {"desiredState": "Cancelled"}})
    again = refusal("WorkflowRun", name, "spec: Invalid value: a cancelled run stays cancelled: make a new run")
    assert api.refusal_of_update(run(name, **BEFORE)) == again
    assert api.refusal_of_update(run(name, **BEFORE, desiredState="Running")) == again


def test_what_a_run_is_when_it_says_nothing(api: Admission) -> None:
    spec = api.create(run(fresh("plain")))["spec"]
    assert spec == {"workflowRef": {"name": "report"}, "desiredState": "Running", "onDelete": "Cancel", "mode": "Run"}


def test_a_mark_that_comes_later(api: Admission) -> None:
    """A run that is taken into Git is refused then; one that was marked all along can still lose its finalizer."""
    name = fresh("adopted")
    api.create(run(name))
    assert api.refusal_of_update(marked(run(name), labels=MARKS["Argo CD's label"]["labels"])) == denied("runs-in-git", name, TRACKED_NEEDS)
    kept = fresh("kept")
    with_finalizer = marked(run(kept, notAfter=LATER), labels=MARKS["Argo CD's label"]["labels"], finalizers=["windlass.dev/cleanup"])
    api.create(with_finalizer)
    without = marked(run(kept, notAfter=LATER), labels=MARKS["Argo CD's label"]["labels"])
    assert api.refusal_of_update(without) is None
