"""The charts in a real API server: what it takes, and what those who are bound to their roles may then do."""

import json

import pytest
from chart_bench import NAMESPACE, SEVERAL_VALUES, render, render_text

from testbed import waiting
from testbed.bed import Bed

CONTROLLER = f"system:serviceaccount:{NAMESPACE}:windlass"


@pytest.mark.parametrize("case", SEVERAL_VALUES)
def test_the_api_server_takes_it(installed: Bed, kubectl, case: str) -> None:
    """Strictly, and without a warning: of a field that does not exist, or a Pod that a security profile would refuse."""
    done = kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=render_text(SEVERAL_VALUES[case], "release"))
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr


def test_it_fits_the_strictest_pod_security(installed: Bed, kubectl) -> None:
    """The namespace enforces `restricted`, and the Deployment's Pod is made all the same."""
    labels = ("pod-security.kubernetes.io/enforce=restricted", "pod-security.kubernetes.io/warn=restricted")
    assert kubectl("create", "namespace", "strict").returncode == 0
    assert kubectl("label", "namespace", "strict", *labels).returncode == 0
    parts = [item for item in render({}) if item["kind"] in ("ServiceAccount", "Deployment")]
    for part in parts:
        part["metadata"]["namespace"] = "strict"
    done = kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": parts}))
    assert done.returncode == 0 and "Warning" not in done.stderr, done.stderr
    pods = ("get", "pods", "-n", "strict", "-l", "app.kubernetes.io/name=windlass", "-o", "name")
    waiting.until(lambda: kubectl(*pods).stdout.strip(), 30, "the Deployment made its Pod")


def test_the_policies_type_check(installed: Bed, kubectl) -> None:
    """The API server's own check of the expressions against the CRDs found nothing."""
    for name in ("windlass-run-spec-is-final", "windlass-runs-in-git"):
        query = ("get", "validatingadmissionpolicy", name, "-o", "jsonpath={.status.typeChecking}")
        assert waiting.until(lambda query=query: kubectl(*query).stdout.strip(), 30, f"{name} was checked") == "{}"


GROUP = "windlass.dev"
KINDS = ("awsaccounts", "windowsworkflows", "workflowruns")
WATCHED = ("windowsfleets", "workflowschedules")

MAY = {
    *((verb, GROUP, kind, "") for kind in KINDS for verb in ("get", "list", "watch", "patch")),
    *(("patch", GROUP, kind, "status") for kind in (*KINDS, *WATCHED)),
    *((verb, GROUP, kind, "") for kind in WATCHED for verb in ("list", "watch")),
    *((verb, GROUP, "workflowruns", "") for verb in ("create", "delete")),
    ("create", "events.k8s.io", "events", ""),
    ("patch", "events.k8s.io", "events", ""),
}
"""Everything that the controller may do in a namespace that is not its own."""

ASKED = {
    *MAY,
    *(
        (verb, GROUP, kind, part)
        for kind in (*KINDS, *WATCHED, "awsstatemachines")
        for part in ("", "status", "finalizers")
        for verb in ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "approve", "*")
    ),
    *((verb, "", kind, "") for kind in ("secrets", "configmaps", "pods", "namespaces", "serviceaccounts", "events", "nodes") for verb in ("get", "list", "create")),
    *((verb, "coordination.k8s.io", "leases", "") for verb in ("get", "create", "update")),
    *((verb, "rbac.authorization.k8s.io", "clusterroles", "") for verb in ("get", "escalate", "bind")),
    ("create", "", "serviceaccounts", "token"),
    ("impersonate", "", "users", ""),
    ("*", "*", "*", ""),
}  # fmt: skip


def allowed(bed: Bed, who: dict, namespace: str, verb: str, group: str, resource: str, part: str, name: str = "") -> bool:
    """What the API server's authoriser says."""
    attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": resource, "subresource": part, "name": name}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {**who, "resourceAttributes": attributes}}
    return bed.admin.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)["status"]["allowed"]


def test_what_the_controller_may_do(installed: Bed) -> None:
    """This and nothing else, of everything that is asked here."""
    who = {"user": CONTROLLER, "groups": ["system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated"]}
    assert {question for question in ASKED if allowed(installed, who, "ops", *question)} == MAY
    verbs = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
    secrets = {verb for verb in verbs if allowed(installed, who, NAMESPACE, verb, "", "secrets", "")}
    assert secrets == {"list", "create", "delete"}, "the tokens of steps that wait"
    lease = {
        (verb, name)
        for verb in ("get", "create", "update", "delete", "list", "patch", "watch")
        for name in ("windlass", "other")
        if allowed(installed, who, NAMESPACE, verb, "coordination.k8s.io", "leases", "", name)
    }
    assert lease == {("get", "windlass"), ("update", "windlass"), ("create", "windlass"), ("create", "other")}


NAMESPACED = ("windowsfleets", "windowsworkflows", "workflowruns", "workflowschedules")
WORK = {(verb, kind) for kind in NAMESPACED for verb in ("create", "update", "patch", "delete", "deletecollection")}
LOOK = {(verb, kind) for kind in NAMESPACED for verb in ("get", "list", "watch")}


@pytest.mark.parametrize(("role", "may"), [("view", LOOK), ("edit", LOOK | WORK), ("admin", LOOK | WORK)])
def test_what_people_may_do(installed: Bed, kubectl, role: str, may: set[tuple[str, str]]) -> None:
    """Kubernetes' own roles take the kinds of a namespace in, and nothing of accounts or of any status."""
    done = kubectl("create", "rolebinding", f"{role}-ada", "-n", "default", f"--clusterrole={role}", f"--user=ada-{role}")
    assert done.returncode == 0, done.stderr
    who = {"user": f"ada-{role}"}

    def permitted() -> set[tuple[str, str]]:
        verbs = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
        return {(verb, kind) for kind in (*KINDS, *WATCHED) for verb in verbs if allowed(installed, who, "default", verb, GROUP, kind, "")}

    waiting.until(lambda: permitted() == may, 30, f"the controller manager took the kinds into {role}")
    for kind in (*KINDS, *WATCHED):
        assert not [verb for verb in ("update", "patch") if allowed(installed, who, "default", verb, GROUP, kind, "status")]
