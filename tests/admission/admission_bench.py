"""Words to write admission tests in: manifests, and an API server that is asked whether it would take them."""

import copy
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testbed.apiserver import ApiError, ApiServer

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "ops"
API_VERSION = "windlass.dev/v1alpha1"
PLURALS = {
    "AwsAccount": "awsaccounts",
    "WindowsFleet": "windowsfleets",
    "WindowsWorkflow": "windowsworkflows",
    "WorkflowRun": "workflowruns",
    "WorkflowSchedule": "workflowschedules",
}
SHELL = {"script": "Get-Date\n"}

NOT_ALL_CHECKED = (
    "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)
"""What the API server adds when it left the CEL rules out."""

Manifest = dict[str, Any]

_numbers = itertools.count(1)


def fresh(stem: str) -> str:
    """A name that nothing else has."""
    return f"{stem}-{next(_numbers)}"


def manifest(kind: str, name: str, spec: Mapping[str, Any], namespace: str | None = NAMESPACE) -> Manifest:
    """A manifest."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": copy.deepcopy(dict(spec))}


def step(name: str = "work", **fields: Any) -> Manifest:
    """A step: one that runs a script, unless `fields` say otherwise."""
    return {"name": name, **(fields or {"powershell": SHELL})}


def workflow(*steps: Manifest, **spec: Any) -> Manifest:
    """A workflow: of one step, unless `steps` say otherwise."""
    return manifest(
        "WindowsWorkflow", "report", {"targets": {"tags": {"Role": ["web"]}}, "steps": list(steps) or [step()], **spec}
    )


def run(name: str = "run", **spec: Any) -> Manifest:
    """A run."""
    return manifest("WorkflowRun", name, {"workflowRef": {"name": "report"}, **spec})


def schedule(name: str = "nightly", **spec: Any) -> Manifest:
    """A schedule: every night, unless `spec` says otherwise."""
    when = {} if "schedule" in spec or "monthly" in spec else {"schedule": "0 3 * * *"}
    return manifest("WorkflowSchedule", name, {"workflowRef": {"name": "report"}, **when, **spec})


def account(**spec: Any) -> Manifest:
    """An account."""
    given = {
        "accountId": "111122223333",
        "region": "eu-west-1",
        "permissionsBoundaryArn": "arn:aws:iam::111122223333:policy/org-boundary",
        **spec,
    }
    return manifest("AwsAccount", "prod", {key: value for key, value in given.items() if value is not None}, None)


def refusal(kind: str, name: str, *causes: str) -> str:
    """The API server's words for an object that is invalid for some causes."""
    said = causes[0] if len(causes) == 1 else f"[{', '.join(causes)}]"
    return f'{kind}.windlass.dev "{name}" is invalid: {said}'


def unknown_fields(kind: str, *fields: str) -> str:
    """The API server's words for fields that it does not know, under strict validation."""
    named = ", ".join(f'unknown field "{field}"' for field in fields)
    return f'{kind} in version "v1alpha1" cannot be handled as a {kind}: strict decoding error: {named}'


class Admission:
    """Asks an API server, with strict validation as kubectl does."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    def namespace(self, name: str) -> None:
        """Makes a namespace."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        self._server.request("POST", "/api/v1/namespaces", body)

    def refusal(self, asked: Manifest) -> str | None:
        """Why it would not create this; None when it would."""
        return self._refusal("POST", _collection(asked), asked)

    def refusal_of_update(self, asked: Manifest) -> str | None:
        """Why it would not let what is there become this; None when it would."""
        now = self._server.request("GET", _path(asked))
        asked = copy.deepcopy(asked)
        asked["metadata"]["resourceVersion"] = now["metadata"]["resourceVersion"]
        return self._refusal("PUT", _path(asked), asked)

    def create(self, asked: Manifest) -> Manifest:
        """Creates this and answers what it became."""
        return self._server.request("POST", f"{_collection(asked)}?fieldValidation=Strict", asked)

    def patch(self, asked: Manifest, change: Mapping[str, Any]) -> Manifest:
        """Merges a change into what is there and answers what it became."""
        return self._server.request("PATCH", _path(asked), change, "application/merge-patch+json")

    def _refusal(self, method: str, path: str, body: Manifest) -> str | None:
        try:
            self._server.request(method, f"{path}?dryRun=All&fieldValidation=Strict", body)
        except ApiError as error:
            if error.status not in (400, 422):
                raise
            return str(error).split(": ", 1)[1]
        return None


def _collection(asked: Manifest) -> str:
    namespace = asked["metadata"].get("namespace")
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"/apis/{API_VERSION}{scope}/{PLURALS[asked['kind']]}"


def _path(asked: Manifest) -> str:
    return f"{_collection(asked)}/{asked['metadata']['name']}"
