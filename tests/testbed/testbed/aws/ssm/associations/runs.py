"""How a run of an association reaches its nodes: the agents fetch it, so that one that is away gets it when it is back."""

from ..delivery import Delivery
from ..nodes import Node


class Run(Delivery):
    """As a command is delivered, but never given up."""

    def _refused(self, node: Node | None) -> str | None:
        if node is None:
            return "Undeliverable"
        return "InvalidPlatform" if node.platform not in self._command.content.platforms else None
