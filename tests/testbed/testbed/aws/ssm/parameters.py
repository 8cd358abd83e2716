"""Parameter Store: parameters with versions and labels.

Errors: ``ParameterAlreadyExists``, ``ParameterNotFound``, ``ParameterVersionNotFound``, ``ParameterLimitExceeded``,
``ParameterMaxVersionLimitExceeded``, ``ParameterPatternMismatchException``, ``InvalidAllowedPatternException``,
``HierarchyLevelLimitExceededException``, ``HierarchyTypeMismatchException``, ``ParameterVersionLabelLimitExceeded``, ``InvalidKeyId``.
Source: API reference, PutParameter and LabelParameterVersion; user guide, "Requirements and constraints for parameter names",
"Working with parameter versions" and "Working with parameter labels". A SecureString is kept out of every answer that does not decrypt.
"""

import base64
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from .errors import ServiceError, not_built, validation
from .settings import Quotas

#: Characters of a value, by tier.
MAX_VALUE = {"Standard": 4_096, "Advanced": 8_192}
MAX_LEVELS = 15
MAX_VERSIONS = 100
MAX_LABELS = 10
DEFAULT_KEY = "alias/aws/ssm"
_NAME = re.compile(r"^[a-zA-Z0-9_.\-/]+$")
_LABEL = re.compile(r"^(?!\d)(?!aws)(?!ssm)[a-zA-Z0-9_.\-]{1,100}$", re.IGNORECASE)


@dataclass
class ParameterVersion:
    """One version; ``modified`` in virtual seconds, ``cipher`` what is shown of a secret that is not decrypted."""

    number: int
    type: str
    value: str = field(repr=False)
    cipher: str
    description: str
    pattern: str
    key_id: str
    tier: str
    data_type: str
    modified: float
    user: str
    labels: list[str] = field(default_factory=list)

    def shown(self, decrypted: bool) -> str:
        """The value, or for a secret what stands for it."""
        return self.value if decrypted or self.type != "SecureString" else self.cipher


@dataclass
class StoredParameter:
    """A parameter: versions oldest first, tags."""

    name: str
    versions: list[ParameterVersion]
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def latest(self) -> ParameterVersion:
        return self.versions[-1]


class Parameters:
    """The parameters of one account and Region."""

    def __init__(self, arn_prefix: str, now: Callable[[], float], quotas: Quotas, key_exists: Callable[[str], bool]):
        self._prefix, self._now, self._quotas, self._key_exists = arn_prefix, now, quotas, key_exists
        self._parameters: dict[str, StoredParameter] = {}

    def put(self, request: dict, user: str) -> ParameterVersion:
        """PutParameter."""
        name = self.short_name(request["Name"])
        found = self._parameters.get(name)
        if request.get("Policies"):
            raise not_built("policies of parameters")
        _check_name(name)
        if request.get("Tags") and request.get("Overwrite"):
            raise validation("Invalid request: tags and overwrite can't be used together.")
        if found and not request.get("Overwrite"):
            raise ServiceError(
                "ParameterAlreadyExists",
                "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.",
            )
        version = self._version(found, request, user)
        if found is None:
            if len(self._parameters) >= self._quotas.parameters:
                raise ServiceError("ParameterLimitExceeded", "You have exceeded the number of parameters for this account.")
            tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags") or []}
            self._parameters[name] = StoredParameter(name, [version], tags)
        else:
            _make_room(found)
            found.versions.append(version)
        return version

    def select(self, wanted: str) -> tuple[StoredParameter, ParameterVersion, str]:
        """By name or ARN, with ``:version`` or ``:label`` behind it: (parameter, version, selector)."""
        name, _, selector = self.short_name(wanted).partition(":")
        parameter = self.get(name)
        if not selector:
            return parameter, parameter.latest, ""
        for version in parameter.versions:
            if selector == str(version.number) or selector in version.labels:
                return parameter, version, f":{selector}"
        raise ServiceError("ParameterVersionNotFound", f"Systems Manager could not find version {selector} of {name}.")

    def get(self, name: str) -> StoredParameter:
        """By name or ARN, else ``ParameterNotFound``."""
        name = self.short_name(name)
        if name.startswith("/aws/reference/secretsmanager/"):
            raise not_built("references to Secrets Manager")
        if name not in self._parameters:
            raise ServiceError("ParameterNotFound", f"Parameter {name} not found.")
        return self._parameters[name]

    def delete(self, name: str) -> None:
        """DeleteParameter."""
        del self._parameters[self.get(name).name]

    def all(self) -> list[StoredParameter]:
        """By name."""
        return [self._parameters[name] for name in sorted(self._parameters)]

    def label(self, name: str, number: int | None, labels: list[str]) -> tuple[int, list[str]]:
        """LabelParameterVersion: a label is taken from the version that had it. (version, labels that are none)."""
        parameter = self.get(name)
        version = self._numbered(parameter, number or parameter.latest.number)
        good = [label for label in labels if _LABEL.match(label)]
        if len(set(version.labels) | set(good)) > MAX_LABELS:
            raise ServiceError("ParameterVersionLabelLimitExceeded", f"A parameter version can have at most {MAX_LABELS} labels.")
        for other in parameter.versions:
            other.labels = [label for label in other.labels if label not in good]
        version.labels = sorted(set(version.labels) | set(good))
        return version.number, [label for label in labels if label not in good]

    def unlabel(self, name: str, number: int, labels: list[str]) -> tuple[list[str], list[str]]:
        """UnlabelParameterVersion: (labels taken, labels that it did not have)."""
        version = self._numbered(self.get(name), number)
        removed = [label for label in labels if label in version.labels]
        version.labels = [label for label in version.labels if label not in removed]
        return removed, [label for label in labels if label not in removed]

    def arn(self, name: str) -> str:
        """A parameter's ARN: a path's own slash is that of the ARN."""
        return f"{self._prefix}/{name.lstrip('/')}"

    def short_name(self, name: str) -> str:
        """The name of one that is given by ARN; one with a path has its slash back."""
        if not name.startswith(f"{self._prefix}/"):
            return name
        bare = name.removeprefix(f"{self._prefix}/")
        return f"/{bare}" if "/" in bare else bare

    def _numbered(self, parameter: StoredParameter, number: int) -> ParameterVersion:
        for version in parameter.versions:
            if version.number == number:
                return version
        raise ServiceError("ParameterVersionNotFound", f"Systems Manager could not find version {number} of {parameter.name}.")

    def _version(self, found: StoredParameter | None, request: dict, user: str) -> ParameterVersion:
        before = found.latest if found else None
        kind = request.get("Type") or (before.type if before else None)
        if kind is None:
            raise validation("A parameter type is required when you create a parameter.")
        if before and kind != before.type:
            raise ServiceError("HierarchyTypeMismatchException", f"The parameter type can't be changed from {before.type} to {kind}.")
        pattern = request.get("AllowedPattern", before.pattern if before else "")
        _check_pattern(pattern, request["Value"])
        tier = {"Advanced": "Advanced"}.get(request.get("Tier", before.tier if before else "Standard"), "Standard")
        if len(request["Value"]) > MAX_VALUE[tier]:
            raise validation(f"{tier} tier parameters support a maximum parameter value of {MAX_VALUE[tier]} characters.")
        key_id = request.get("KeyId") or (before.key_id if before else "") or DEFAULT_KEY
        if kind == "SecureString" and key_id != DEFAULT_KEY and not self._key_exists(key_id):
            raise ServiceError("InvalidKeyId", f"Invalid keyId {key_id}")
        data_type = request.get("DataType", before.data_type if before else "text")
        if data_type not in ("text", "aws:ec2:image", "aws:ssm:integration"):
            raise validation(f"The following data type is not supported: {data_type} (Data type names are all lowercase.)")
        return ParameterVersion(
            number=before.number + 1 if before else 1,
            type=kind,
            value=request["Value"],
            cipher="AQICAH" + base64.b64encode(os.urandom(120)).decode(),
            description=request.get("Description", before.description if before else ""),
            pattern=pattern,
            key_id=key_id if kind == "SecureString" else "",
            tier=tier,
            data_type=data_type,
            modified=self._now(),
            user=user,
        )


def _check_name(name: str) -> None:
    if not _NAME.match(name):
        raise validation("Parameter name: letters, digits and the symbols .-_ only, in sub-paths divided by slashes.")
    if "/" in name and not name.startswith("/"):
        raise validation("Parameter name must be a fully qualified name.")
    if name.count("/") > MAX_LEVELS:
        raise ServiceError("HierarchyLevelLimitExceededException", f"A hierarchy can have a maximum of {MAX_LEVELS} levels.")
    if name.lstrip("/").lower().startswith(("aws", "ssm")):
        raise validation('Parameter name: can\'t be prefixed with "aws" or "ssm" (case-insensitive).')


def _check_pattern(pattern: str, value: str) -> None:
    try:
        matches = not pattern or re.search(pattern, value)
    except re.error as error:
        raise ServiceError("InvalidAllowedPatternException", f"The allowed pattern is not valid: {error}.") from error
    if not matches:
        raise ServiceError("ParameterPatternMismatchException", "Parameter value, cannot be validated against allowedPattern: " + pattern)


def _make_room(parameter: StoredParameter) -> None:
    """The oldest version goes when there are too many, unless it has a label."""
    if len(parameter.versions) < MAX_VERSIONS:
        return
    if parameter.versions[0].labels:
        raise ServiceError(
            "ParameterMaxVersionLimitExceeded",
            f"You attempted to create a new version of {parameter.name}, but its oldest version has a label and can't be deleted.",
        )
    del parameter.versions[0]
