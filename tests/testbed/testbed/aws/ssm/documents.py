"""Documents with their versions, as the document operations of the API see them.

Errors: ``DocumentAlreadyExists``, ``DocumentLimitExceeded``, ``DocumentVersionLimitExceeded``,
``DuplicateDocumentContent``, ``DuplicateDocumentVersionName``, ``InvalidDocument``, ``InvalidDocumentVersion``,
``InvalidDocumentOperation``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from . import calendars
from . import content as commands
from .amazon import AMAZON
from .automation import content as automation
from .errors import ServiceError, validation
from .settings import Quotas
from .text import Text

#: Names that AWS keeps for itself (CreateDocument, ``Name``).
RESERVED_PREFIXES = ("aws", "amazon", "amzn")


#: Type of a document -> how its content is read.
PARSERS: dict[str, Callable[[str, str], Text]] = {
    "Automation": automation.parse,
    "ChangeCalendar": calendars.parse,
    "Command": commands.parse,
}


@dataclass
class Version:
    """One version: immutable content, Active from ``active_at`` on (virtual seconds)."""

    number: int
    content: Text
    format: str
    created: float
    active_at: float
    first_status: str
    name: str | None = None
    display_name: str | None = None
    target_type: str | None = None

    def status(self, now: float) -> str:
        return "Active" if now >= self.active_at else self.first_status


@dataclass
class Document:
    """A document: versions by number, the default one, tags."""

    name: str
    owner: str
    versions: dict[int, Version]
    type: str = "Command"
    default: int = 1
    tags: dict[str, str] = field(default_factory=dict)
    #: The highest number ever given: a deleted version's number does not come back.
    highest: int = 1
    #: Accounts that it is shared with, or ``all``.
    shared: set[str] = field(default_factory=set)

    @property
    def latest(self) -> int:
        return max(self.versions)

    def version(self, wanted: str | None = None, name: str | None = None) -> Version:
        """By number, ``$LATEST``, ``$DEFAULT`` (or nothing) or version name; else ``InvalidDocumentVersion``."""
        if name is not None and wanted is None:
            for version in self.versions.values():
                if version.name == name:
                    return version
            raise _no_version(name)
        number = {None: self.default, "$DEFAULT": self.default, "$LATEST": self.latest}.get(wanted)
        if number is None and str(wanted).isdigit():
            number = int(wanted)
        if number not in self.versions:
            raise _no_version(wanted)
        return self.versions[number]


class Documents:
    """The documents of one account and Region, Amazon's own beside them."""

    def __init__(self, account: str, partition: str, region: str, now: Callable[[], float], quotas: Quotas):
        self._account, self._partition, self._region, self._now = account, partition, region, now
        self._quotas = quotas
        self._own: dict[str, Document] = {}
        self._amazon = {
            name: Document(name, "Amazon", {1: Version(1, commands.parse(text), "JSON", 0.0, 0.0, "Active")})
            for name, text in AMAZON.items()
        }

    def create(self, request: dict, delay: float) -> tuple[Document, Version]:
        """CreateDocument; the version becomes Active ``delay`` virtual seconds later."""
        name = request["Name"]
        if name.lower().startswith(RESERVED_PREFIXES):
            raise validation(f"{name} begins with a prefix reserved by AWS: {', '.join(RESERVED_PREFIXES)}.")
        kind = request.get("DocumentType", "Command")
        given = request.get("DocumentFormat", "JSON")
        content = PARSERS[kind](request["Content"], given)
        if name in self._own:
            raise ServiceError("DocumentAlreadyExists", f"Document with same name {name} already exists")
        if len(self._own) >= self._quotas.documents:
            raise ServiceError("DocumentLimitExceeded", f"You can have at most {self._quotas.documents} active SSM documents.")
        version = self._version(1, request, content, given, "Creating", delay)
        tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
        self._own[name] = Document(name, self._account, {1: version}, kind, tags=tags)
        return self._own[name], version

    def update(self, request: dict, delay: float) -> tuple[Document, Version]:
        """UpdateDocument: adds a version; the default version stays what it was."""
        document = self.own(request["Name"])
        # Left out it means the default version, as everywhere: once that is not the latest, the call is refused.
        based_on = document.version(request.get("DocumentVersion"))
        if based_on.number != document.latest:
            raise ServiceError("InvalidDocumentVersion", "Only the latest version of a document can be updated.")
        given = request.get("DocumentFormat", based_on.format)
        content = PARSERS[document.type](request["Content"], given)
        if content.text == document.versions[document.latest].content.text:
            raise ServiceError(
                "DuplicateDocumentContent",
                "The content of the document is the same as that of its latest version. "
                "Change the content of the document and try again.",
            )
        if len(document.versions) >= self._quotas.document_versions:
            most = self._quotas.document_versions
            raise ServiceError("DocumentVersionLimitExceeded", f"A document has at most {most} versions.")
        name = request.get("VersionName")
        if name is not None and any(v.name == name for v in document.versions.values()):
            raise ServiceError("DuplicateDocumentVersionName", f"The version name {name} is already in use.")
        document.highest += 1
        version = self._version(document.highest, request, content, given, "Updating", delay)
        document.versions[version.number] = version
        return document, version

    def set_default(self, name: str, wanted: str) -> tuple[Document, Version]:
        """UpdateDocumentDefaultVersion."""
        document = self.own(name)
        version = document.version(wanted)
        document.default = version.number
        return document, version

    def delete(self, name: str, wanted: str | None, version_name: str | None) -> None:
        """DeleteDocument: the whole document, or one version that is not the default."""
        document = self.own(name)
        if document.shared:
            raise ServiceError(
                "InvalidDocumentOperation", "You must stop sharing the document before you can delete it."
            )
        if wanted is None and version_name is None:
            del self._own[name]
            return
        version = document.version(wanted, version_name)
        if version.number == document.default:
            raise ServiceError("InvalidDocumentOperation", "The default version of a document can't be deleted.")
        del document.versions[version.number]

    def get(self, name: str) -> Document:
        """By name or ARN, Amazon's documents included; else ``InvalidDocument``."""
        short = self.short_name(name)
        found = self._own.get(short) if short is not None else None
        found = found or self._amazon.get(short or "")
        if not found:
            raise _no_document(name)
        return found

    def own(self, name: str) -> Document:
        """A document that the account may change; Amazon's are ``InvalidDocumentOperation``."""
        document = self.get(name)
        if document.owner != self._account:
            raise ServiceError("InvalidDocumentOperation", f"You don't own the document {name}.")
        return document

    def all(self) -> list[Document]:
        """All of them by name, Amazon's included."""
        return sorted([*self._own.values(), *self._amazon.values()], key=lambda d: d.name)

    def short_name(self, name: str) -> str | None:
        """The name without this account's ARN prefix (or Amazon's, which has no account); None for another's."""
        if not name.startswith("arn:"):
            return name
        for account in (self._account, ""):
            prefix = f"arn:{self._partition}:ssm:{self._region}:{account}:document/"
            if name.startswith(prefix):
                return name.removeprefix(prefix)
        return None

    def arn(self, name: str) -> str:
        """The ARN that IAM evaluates: Amazon's documents have no account in theirs."""
        if name.startswith("arn:"):
            return name
        account = "" if name in self._amazon else self._account
        return f"arn:{self._partition}:ssm:{self._region}:{account}:document/{name}"

    def _version(self, number: int, request: dict, content: Text, given: str, status: str, delay: float) -> Version:
        now = self._now()
        return Version(
            number=number,
            content=content,
            format=given,
            created=now,
            active_at=now + delay,
            first_status=status,
            name=request.get("VersionName"),
            display_name=request.get("DisplayName"),
            target_type=request.get("TargetType"),
        )


def _no_document(name: str) -> ServiceError:
    return ServiceError("InvalidDocument", f"Document with name {name} does not exist.")


def _no_version(wanted: object) -> ServiceError:
    return ServiceError("InvalidDocumentVersion", f"The document version {wanted} is not valid or does not exist.")
