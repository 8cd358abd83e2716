"""What all documents have in common, whatever their type: a text with its hashes.

Errors: ``InvalidDocumentContent``, ``MaxDocumentSizeExceeded``.
"""

import hashlib
import json
from dataclasses import dataclass, field

import yaml

from .errors import ServiceError

#: Bytes; quota "maximum document size" (64 KB).
MAX_BYTES = 65_536


@dataclass(frozen=True)
class Text:
    """A document's content as it was given."""

    text: str
    #: schemaVersion, of documents that have one.
    schema: str | None = None
    description: str = ""
    #: Declared parameters by name.
    parameters: dict = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def sha1(self) -> str:
        return hashlib.sha1(self.text.encode()).hexdigest()

    @property
    def platforms(self) -> list[str]:
        """What DescribeDocument shows as PlatformTypes."""
        return []


def check_size(text: str) -> None:
    """Refuses a document that is too large."""
    size = len(text.encode())
    if size > MAX_BYTES:
        raise ServiceError(
            "MaxDocumentSizeExceeded", f"The size of the document is {size} bytes; the limit is {MAX_BYTES} bytes."
        )


def load(text: str, document_format: str) -> dict:
    """The object that a JSON or YAML document is."""
    if document_format == "TEXT":
        raise invalid("The document format TEXT is for change calendars; give JSON or YAML.")
    try:
        raw = json.loads(text) if document_format == "JSON" else yaml.safe_load(text)
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        raise invalid(f"{document_format} not well-formed. {error}") from error
    if not isinstance(raw, dict):
        raise invalid(f"{document_format} not well-formed. The document must be an object.")
    return raw


def invalid(message: str) -> ServiceError:
    """``InvalidDocumentContent``."""
    return ServiceError("InvalidDocumentContent", message)
