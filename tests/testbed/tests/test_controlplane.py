"""The control plane is the real one: what Windlass relies on, asked of it with kubectl and plain requests."""

import itertools
import json
import subprocess

import pytest
import yaml

from testbed import tools, waiting
from testbed.apiserver import ApiError, ApiServer
from testbed.bed import Bed

_numbers = itertools.count(1)

WIDGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.testbed.example"},
    "spec": {
        "group": "testbed.example",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {"size": {"type": "integer"}, "limit": {"type": "integer"}},
                                "x-kubernetes-validations": [
                                    {"rule": "self.size <= self.limit", "message": "size must not pass limit"}
                                ],
                            },
                            "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
                        },
                    }
                },
            }
        ],
    },
}


def kubectl(bed: Bed, *arguments: str, given: object = None) -> subprocess.CompletedProcess:
    """Runs kubectl as the administrator, with objects on standard input."""
    return subprocess.run(
        ["kubectl", *arguments], input=yaml.safe_dump(given), env=bed.environment(), capture_output=True, text=True, check=False
    )


@pytest.fixture
def namespace(cluster_bed: Bed) -> str:
    """A new namespace."""
    name = f"controlplane-{next(_numbers)}"
    cluster_bed.admin.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return name


@pytest.fixture(scope="module")
def widgets(cluster_bed: Bed) -> str:
    """A custom resource; answers its API path."""
    applied = kubectl(cluster_bed, "apply", "--validate=strict", "-f", "-", given=WIDGETS)
    assert applied.returncode == 0, applied.stderr
    waited = kubectl(cluster_bed, "wait", "--for=condition=Established", "crd/widgets.testbed.example", "--timeout=20s")
    assert waited.returncode == 0, waited.stderr
    return "/apis/testbed.example/v1"


def widget(name: str, namespace: str, **spec: object) -> dict:
    return {
        "apiVersion": "testbed.example/v1",
        "kind": "Widget",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def test_it_says_the_version_that_it_is(cluster_bed: Bed):
    assert cluster_bed.admin.request("GET", "/version")["gitVersion"] == "v1.37.2"
    client = json.loads(kubectl(cluster_bed, "version", "-o", "json").stdout)
    assert client["serverVersion"]["gitVersion"] == "v1.37.2"


def test_strict_validation_names_an_unknown_field(cluster_bed: Bed, namespace: str):
    wrong = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "wrong", "namespace": namespace}, "dta": {}}
    refused = kubectl(cluster_bed, "apply", "--validate=strict", "-f", "-", given=wrong)
    assert refused.returncode != 0
    assert 'unknown field "dta"' in refused.stderr


def test_custom_resources_are_held_to_their_rules(cluster_bed: Bed, namespace: str, widgets: str):
    good = kubectl(cluster_bed, "apply", "--validate=strict", "-f", "-", given=widget("good", namespace, size=1, limit=2))
    assert good.returncode == 0, good.stderr
    bad = kubectl(cluster_bed, "apply", "--validate=strict", "-f", "-", given=widget("bad", namespace, size=3, limit=2))
    assert "size must not pass limit" in bad.stderr
    misspelt = kubectl(cluster_bed, "apply", "--validate=strict", "-f", "-", given=widget("bad", namespace, sice=3))
    assert 'unknown field "spec.sice"' in misspelt.stderr


def service_account(bed: Bed, namespace: str, name: str, rules: list[dict]) -> ApiServer:
    """Makes a ServiceAccount with these rules in its namespace, and answers a client with its token."""
    roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    bed.admin.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": name}})
    bed.admin.request("POST", f"{roles}/roles", {"metadata": {"name": name}, "rules": rules})
    bed.admin.request("POST", f"{roles}/rolebindings", {"metadata": {"name": name}, "subjects": [subject], "roleRef": reference})
    access = bed.state.kubernetes
    assert access is not None
    client = ApiServer(access.url, access.ca, token=bed.admin.token(namespace, name))
    # The authorizer learns of a new binding from its own watch.
    waiting.until(lambda: may(client, namespace, rules[0]), 10, f"{name}'s role to count")
    return client


def may(client: ApiServer, namespace: str, rule: dict) -> bool:
    """Whether the client's own account is allowed the first thing that the rule names."""
    attributes = {"namespace": namespace, "verb": rule["verbs"][0], "group": rule["apiGroups"][0], "resource": rule["resources"][0]}
    review = {"spec": {"resourceAttributes": attributes}}
    return client.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)["status"]["allowed"]


def test_a_service_account_has_a_real_token_and_only_what_rbac_gives_it(cluster_bed: Bed, namespace: str):
    client = service_account(cluster_bed, namespace, "reader", [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}])
    who = client.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})["status"]["userInfo"]
    assert who["username"] == f"system:serviceaccount:{namespace}:reader"
    assert client.request("GET", f"/api/v1/namespaces/{namespace}/configmaps")["kind"] == "ConfigMapList"
    with pytest.raises(ApiError, match='cannot list resource "secrets"') as refusal:
        client.request("GET", f"/api/v1/namespaces/{namespace}/secrets")
    assert refusal.value.status == 403


def test_a_token_that_nobody_signed_is_refused(cluster_bed: Bed):
    access = cluster_bed.state.kubernetes
    assert access is not None
    with pytest.raises(ApiError) as refusal:
        ApiServer(access.url, access.ca, token="eyJhbGciOiJub25lIn0.e30.").request("GET", "/api/v1/namespaces")
    assert refusal.value.status == 401


def test_the_issuer_serves_its_own_discovery_document(cluster_bed: Bed):
    admin = cluster_bed.admin
    document = admin.request("GET", "/.well-known/openid-configuration")
    assert document["issuer"] == admin.url
    assert document["id_token_signing_alg_values_supported"] == ["RS256"]
    assert len(admin.request("GET", "/openid/v1/jwks")["keys"]) == 1


def test_an_admission_policy_can_ask_for_a_verb_of_our_own(cluster_bed: Bed, namespace: str):
    """The check behind approvals: CEL's `authorizer`, with a verb that only RBAC knows."""
    policies = "/apis/admissionregistration.k8s.io/v1"
    name = f"{namespace}-approve"
    policy = {
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
                ],
            },
            "validations": [
                {
                    "expression": "authorizer.group('').resource('configmaps').namespace(object.metadata.namespace)"
                    ".check('approve').allowed()",
                    "message": "you may not approve here",
                }
            ],
        },
    }
    binding = {"metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"]}}
    cluster_bed.admin.request("POST", f"{policies}/validatingadmissionpolicies", policy)
    cluster_bed.admin.request("POST", f"{policies}/validatingadmissionpolicybindings", binding)
    rule = {"apiGroups": [""], "resources": ["configmaps"]}
    author = service_account(cluster_bed, namespace, "author", [{**rule, "verbs": ["create"]}])
    approver = service_account(cluster_bed, namespace, "approver", [{**rule, "verbs": ["create", "approve"]}])
    path = f"/api/v1/namespaces/{namespace}/configmaps"

    def refusal() -> ApiError | None:
        try:
            author.request("POST", path, {"metadata": {"generateName": "author-"}})
        except ApiError as error:
            return error
        return None

    error = waiting.until(refusal, 20, "the policy to be in force")
    assert error is not None
    assert (error.status, "you may not approve here" in str(error)) == (422, True)
    approver.request("POST", path, {"metadata": {"name": "approved"}})


def test_what_is_owned_goes_with_its_owner(cluster_bed: Bed, namespace: str):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    owner = cluster_bed.admin.request("POST", path, {"metadata": {"name": "owner"}})
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    cluster_bed.admin.request("POST", path, {"metadata": {"name": "owned", "ownerReferences": [reference]}})
    cluster_bed.admin.request("DELETE", f"{path}/owner")

    def gone() -> bool:
        names = {item["metadata"]["name"] for item in cluster_bed.admin.request("GET", path)["items"]}
        return "owned" not in names

    waiting.until(gone, 30, "the garbage collector")


def test_roles_aggregate(cluster_bed: Bed):
    """What a chart's aggregated roles rely on."""
    label = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    rule = {"apiGroups": ["testbed.example"], "resources": ["widgets"], "verbs": ["get"]}
    roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    cluster_bed.admin.request("POST", roles, {"metadata": {"name": "widgets-view", "labels": label}, "rules": [rule]})
    waiting.until(lambda: rule in cluster_bed.admin.request("GET", f"{roles}/view")["rules"], 20, "the role to be aggregated")


def test_a_chart_is_installed_by_helm(cluster_bed: Bed, namespace: str, tmp_path):
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: tiny\nversion: 0.1.0\nkubeVersion: '>=1.30.0-0'\n")
    (tmp_path / "templates").mkdir()
    template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\ndata: {version: '{{ .Capabilities.KubeVersion }}'}\n"
    (tmp_path / "templates/map.yaml").write_text(template)
    command = ["helm", "install", "tiny", str(tmp_path), f"--namespace={namespace}"]
    environment = {**cluster_bed.environment(), "HOME": str(tmp_path / "home")}
    installed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert installed.returncode == 0, installed.stderr
    made = cluster_bed.admin.request("GET", f"/api/v1/namespaces/{namespace}/configmaps/tiny")
    assert made["data"] == {"version": "v1.37.2"}


def test_definitions_without_an_end_are_refused_by_the_validator(tmp_path):
    """LocalStack takes them."""
    verdicts = {}
    for name, state in {"open": {"Type": "Pass"}, "closed": {"Type": "Pass", "End": True}}.items():
        definition = tmp_path / f"{name}.asl.json"
        definition.write_text(json.dumps({"StartAt": "Only", "States": {"Only": state}}))
        verdict = subprocess.run(
            [str(tools.locate().asl_validator), "--json-path", str(definition)], capture_output=True, text=True, check=False
        )
        verdicts[name] = verdict.returncode == 0
    assert verdicts == {"open": False, "closed": True}
