"""Whether a principal may do one thing to one resource, and if not, which layer of policies refuses it.

The matching of statements and conditions is `ministack.core.iam_evaluator`'s; the layers and their order are AWS's
(docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html).
"""

import copy
import json
import re
from dataclasses import dataclass, field

from ministack.core import iam_evaluator

from testbed.aws.iam import documents
from testbed.aws.iam.principals import Principal

POLICY_VARIABLE = re.compile(r"\$\{([^}]+)\}")


@dataclass(frozen=True)
class Need:
    """One thing that a call must be allowed: an IAM action on a resource's ARN ("*" when the action takes none), with the condition
    keys that the service gives (`aws:ResourceTag/…`, `iam:PassedToService`, …). Lists are multi-valued keys. `shown` is the resource
    as the refusal writes it, where AWS writes another than it matches."""

    action: str
    resource: str
    context: dict[str, object] = field(default_factory=dict)
    shown: str | None = None


@dataclass(frozen=True)
class Refusal:
    """Why not. `layer` is AWS's name for the kind of policy, `explicit` whether a Deny matched."""

    need: Need
    layer: str
    explicit: bool


def condition_context(principal: Principal, need: Need, region: str) -> iam_evaluator.EvalContext:
    """The request context that conditions are evaluated in."""
    keys: dict[str, object] = {
        "aws:userid": principal.user_id or None,
        "aws:username": principal.name if principal.kind == "User" else None,
        "aws:principalisawsservice": "true" if principal.kind == "Service" else "false",
        "aws:viaawsservice": "false",
        **{f"aws:principaltag/{name}".lower(): value for name, value in principal.tags.items()},
    }
    given = {name.lower(): value for name, value in need.context.items()}
    given.setdefault("aws:tagkeys", None)
    return iam_evaluator.EvalContext(
        principal_arn=principal.arn,
        principal_type=principal.kind,
        principal_account=principal.account,
        action=need.action,
        resource_arn=need.resource,
        region=region,
        source_ip="127.0.0.1",
        secure_transport=False,
        service_context=given,
        principal_keys={name: value for name, value in keys.items() if value is not None},
    )


def decide(context: iam_evaluator.EvalContext, policies: documents.Documents) -> str:
    """What one layer of policies says: Allow, Deny or ImplicitDeny."""
    statements = [iam_evaluator.parse_policy_document(_substitute(document, context)) for document in policies]
    return iam_evaluator.evaluate(context, statements).decision


def refusal(principal: Principal, need: Need, region: str) -> Refusal | None:
    """None when allowed. Every layer that a principal has must allow, and none may deny."""
    if principal.exempt:
        return None
    context = condition_context(principal, need, region)
    decisions = {name: decide(context, policies) for name, policies in layers(principal)}
    for name, decision in decisions.items():
        if decision == "Deny":
            return Refusal(need, name, explicit=True)
    for name, decision in decisions.items():
        if decision != "Allow":
            return Refusal(need, name, explicit=False)
    return None


def layers(principal: Principal) -> list[tuple[str, documents.Documents]]:
    """The layers of policies that limit a principal, by the names that AWS's messages use."""
    found: list[tuple[str, documents.Documents]] = [("identity-based policy", documents.identity(principal))]
    for name, policies in (
        ("permissions boundary", documents.boundary(principal)),
        ("session policy", documents.session(principal)),
    ):
        if policies is not None:
            found.append((name, policies))
    return found


def _substitute(document: dict, context: iam_evaluator.EvalContext) -> dict:
    """The document with its policy variables (`${aws:username}`) filled in; one without a value matches nothing.
    Version 2008-10-17 has no variables."""
    text = json.dumps(document)
    if "${" not in text or document.get("Version") != "2012-10-17":
        return document

    def fill(value: object) -> object:
        if isinstance(value, str):
            return POLICY_VARIABLE.sub(lambda match: _variable(match.group(1), context), value)
        if isinstance(value, list):
            return [fill(item) for item in value]
        if isinstance(value, dict):
            return {key: fill(item) for key, item in value.items()}
        return value

    filled = copy.deepcopy(document)
    statements = filled.get("Statement", [])
    for statement in statements if isinstance(statements, list) else [statements]:
        for element in ("Resource", "NotResource", "Condition"):
            if element in statement:
                statement[element] = fill(statement[element])
    return filled


def _variable(name: str, context: iam_evaluator.EvalContext) -> str:
    if name in ("*", "?", "$"):
        return name
    key, _, default = name.partition(",")
    value = iam_evaluator._resolve_condition_key(key.strip(), context)
    if value is None:
        return default.strip().strip("'") if default else "\x00no value\x00"
    return str(value)
