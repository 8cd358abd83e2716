"""Delays of the service that AWS does not promise but has (virtual seconds), and its quotas; changed by the control endpoint."""

from dataclasses import dataclass, fields


@dataclass
class Eventual:
    """How long the service takes to show what it was told."""

    #: GetCommandInvocation answers InvocationDoesNotExist, ListCommandInvocations nothing, until then.
    invocation_visible_seconds: float = 1.0
    #: SendCommand by Targets answers TargetCount 0 and finds its nodes only then.
    target_resolution_seconds: float = 0.5
    #: A new document is Creating, a new version Updating, until then.
    document_active_seconds: float = 0.5
    #: A node that restarts shows ConnectionLost so long after it went down: its agent pings every five minutes.
    connection_lost_seconds: float = 300.0

    def reset(self) -> None:
        """Back to the defaults."""
        for field in fields(self):
            setattr(self, field.name, field.default)


@dataclass
class Quotas:
    """Quotas of an account in a Region that AWS raises on request (general reference, "AWS Systems Manager endpoints and quotas")."""

    #: Executions of runbooks that run at once, and that wait for others to end.
    automation_concurrent: int = 100
    automation_queue: int = 1_000
    associations: int = 2_000
    association_versions: int = 1_000
    compliance_types: int = 20
    documents: int = 500
    document_versions: int = 1_000
    #: Accounts that a document may be shared with; 0 refuses all sharing.
    document_shares: int = 1_000
    parameters: int = 10_000

    def reset(self) -> None:
        """Back to the defaults."""
        for field in fields(self):
            setattr(self, field.name, field.default)


QUOTAS = Quotas()
EVENTUAL = Eventual()
