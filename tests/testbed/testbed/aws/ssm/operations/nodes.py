"""DescribeInstanceInformation."""

from ..command_views import instant
from ..model import Account
from ..nodes import Node
from ..paging import page
from ..targets import filtered

#: The agent pings every five minutes; the last ping of a node that is online is at most that old.
_PING_SECONDS = 300
_PLATFORM_NAMES = {
    "Windows": ("Microsoft Windows Server 2022 Datacenter", "10.0.20348"),
    "Linux": ("Amazon Linux", "2023"),
}


def describe_instance_information(account: Account, request: dict) -> dict:
    """Ten nodes a page unless told otherwise; ``Filters`` or the older ``InstanceInformationFilterList``."""
    older = request.get("InstanceInformationFilterList") or []
    filters = [*(request.get("Filters") or []), *({"Key": f["key"], "Values": f["valueSet"]} for f in older)]
    found = filtered(filters, account.nodes(), lambda node: _status(account, node), lambda node: association_status(account, node))
    chosen, token = page(found, request, lambda node: node.id, default=10)
    shown = {"InstanceInformationList": [_information(account, node) for node in chosen]}
    return shown | ({"NextToken": token} if token else {})


def _status(account: Account, node: Node) -> str:
    return node.status(account.system.scheduler.now(), account.system.eventual.connection_lost_seconds)


def _information(account: Account, node: Node) -> dict:
    """``InstanceInformation``."""
    now = account.system.scheduler.now()
    name, version = _PLATFORM_NAMES[node.platform]
    # An agent that is down was heard of last before it went down.
    last_heard = now if node.down_at is None else node.down_at
    last_ping = last_heard - last_heard % _PING_SECONDS if node.ping == "Online" else node.boot_time
    shown = {
        "InstanceId": node.id,
        "PingStatus": _status(account, node),
        "LastPingDateTime": instant(last_ping),
        "AgentVersion": node.agent_version,
        "IsLatestVersion": True,
        "PlatformType": node.platform,
        "PlatformName": name,
        "PlatformVersion": version,
        "ResourceType": "ManagedInstance" if node.hybrid else "EC2Instance",
        "IPAddress": node.ip,
        "ComputerName": node.computer_name,
        "SourceId": node.id,
        "SourceType": "AWS::SSM::ManagedInstance" if node.hybrid else "AWS::EC2::Instance",
    }
    shown |= _associations(account, node)
    if node.hybrid:
        shown |= {"RegistrationDate": instant(node.registered), "Name": node.computer_name}
    return shown


def _associations(account: Account, node: Node) -> dict:
    """What associations have done on the node, when there are any."""
    counts = account.associations.counts_on(node.id)
    if not counts:
        return {}
    last = account.associations.last_on(node.id)
    status = association_status(account, node)
    shown = {
        "AssociationStatus": status,
        "LastAssociationExecutionDate": instant(last),
        "AssociationOverview": {"DetailedStatus": status, "InstanceAssociationStatusAggregatedCount": counts},
    }
    return shown | ({"LastSuccessfulAssociationExecutionDate": instant(last)} if status == "Success" else {})


def association_status(account: Account, node: Node) -> str:
    """Failed as soon as one association has, Pending while one is; empty without any."""
    counts = account.associations.counts_on(node.id)
    return next((status for status in ("Failed", "Pending", "Success") if status in counts), "")


OPERATIONS = {"DescribeInstanceInformation": describe_instance_information}
