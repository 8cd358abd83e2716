"""Delays of the service that AWS does not promise but has; virtual seconds, changed by the control endpoint."""

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


EVENTUAL = Eventual()
