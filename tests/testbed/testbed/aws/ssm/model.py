"""The Systems Manager of one bed: nodes and time are shared, documents and commands belong to an account and Region.

Nothing here knows LocalStack: another endpoint can mount it (``operations.call``).
"""

import threading
from collections.abc import Callable
from functools import lru_cache

from testbed.aws.settings import CLOCK
from testbed.clock import Clock

from .associations.associations import Associations
from .automation.executions import Executions
from .callers import Caller
from . import files
from .clients import clients
from .commands import Commands
from .compliance import Compliance
from .documents import Documents
from .fleet import Fleet
from .nodes import TABLE, Node, NodeTable
from .parameters import Parameters
from .patching.operation import Patching
from .scheduler import Scheduler
from .settings import EVENTUAL, QUOTAS, Eventual, Quotas

#: (caller, role or empty, execution's id, account) -> a client of a service by its name.
Clients = Callable[[Caller, str, str, "Account"], Callable[[str], object]]

#: (account, URL) -> the file's text.
Reader = Callable[["Account", str], str]


class Account:
    """What one account has in one Region."""

    def __init__(self, system: "SystemsManager", account: str, region: str):
        self.account, self.region, self.partition = account, region, partition_of(region)
        self.system = system
        self.documents = Documents(account, self.partition, region, system.scheduler.now, system.quotas)
        self.commands = Commands(self)
        self.associations = Associations(self)
        self.automations = Executions(self)
        self.compliance = Compliance(self)
        self.parameters = Parameters(
            f"arn:{self.partition}:ssm:{region}:{account}:parameter", system.scheduler.now, system.quotas, lambda key: files.key_arn(self, key) is not None
        )
        self.patching = Patching(self.partition, region, system.scheduler.now, lambda url: system.read_file(self, url))

    def nodes(self) -> list[Node]:
        """The account's nodes in the Region, by id."""
        return [node for node in self.system.nodes.nodes() if (node.account, node.region) == (self.account, self.region)]

    def node(self, node_id: str) -> Node | None:
        """One of them."""
        node = self.system.nodes.node(node_id)
        return node if node and (node.account, node.region) == (self.account, self.region) else None

    def node_arn(self, node_id: str) -> str:
        """The ARN by which IAM knows a node: an EC2 instance or a hybrid one."""
        service, kind = ("ssm", "managed-instance") if node_id.startswith("mi-") else ("ec2", "instance")
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{kind}/{node_id}"


class SystemsManager:
    """All of it, under one lock; ``account`` lets what is due happen first."""

    def __init__(self, clock: Clock, table: NodeTable, eventual: Eventual, quotas: Quotas, clients: Clients, read_file: Reader):
        self.lock = threading.RLock()
        self.clock, self.nodes, self.eventual, self.quotas = clock, table, eventual, quotas
        #: How executions of runbooks reach AWS's APIs.
        self.clients = clients
        #: How nodes read files that a parameter names.
        self.read_file = read_file
        self.scheduler = Scheduler(clock.now)
        self.fleet = Fleet(table, self.scheduler)
        self._accounts: dict[tuple[str, str], Account] = {}
        table.attach(self.lock, self.scheduler.now, self.scheduler.settle, self.fleet.changed)

    def account(self, account: str, region: str) -> Account:
        """The account's things in a Region; call it with the lock held."""
        self.scheduler.settle()
        key = (account, region)
        if key not in self._accounts:
            self._accounts[key] = Account(self, account, region)
        return self._accounts[key]

    def reset(self) -> None:
        """Forgets documents, commands, nodes and what was to come; delays go back to their defaults."""
        with self.lock:
            self.scheduler.clear()
            self.fleet.clear()
            for account in self._accounts.values():
                account.automations.forget()
            self._accounts.clear()
            self.nodes.replace([])
            self.eventual.reset()
            self.quotas.reset()


def partition_of(region: str) -> str:
    """aws, aws-cn or aws-us-gov."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


@lru_cache(maxsize=1)
def system() -> SystemsManager:
    """The bed's own, on the bed's clock and node table."""
    return SystemsManager(CLOCK, TABLE, EVENTUAL, QUOTAS, clients, files.read)
