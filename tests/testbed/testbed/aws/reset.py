"""Back to an empty account: services, faults, counts, nodes. IAM keeps what `keep_iam` saw."""

import copy

from testbed.aws import calls, eventual, faults
from testbed.aws.buckets import BUCKETS
from testbed.aws.lags import LAGS
from testbed.aws.patches import quotas, sessions

_STORES_OF_IAM = ("ROLES", "USERS", "GROUPS", "MANAGED_POLICIES", "OIDC_PROVIDERS", "INSTANCE_PROFILES", "ACCESS_KEY_INDEX")
_KEPT: dict[str, dict[str, dict]] = {}


def keep_iam() -> None:
    """What IAM holds in each account now is what a reset goes back to."""
    from localstack.services.iam.models import iam_stores

    from testbed.aws.iam.principals import store

    _KEPT.clear()
    for account in list(iam_stores):
        _KEPT[account] = {name: copy.deepcopy(dict(getattr(store(account), name))) for name in _STORES_OF_IAM}


def reset() -> None:
    """Forgets everything but what is kept. Running executions are stopped first, so that none acts on the account that comes after."""
    faults.FAULTS.clear()
    eventual.reset()
    BUCKETS.reset()
    LAGS.clear()
    quotas.reset()
    sessions.reset()
    _reset_step_functions()
    _reset_iam()
    _reset_messaging()
    _reset_systems_manager()
    calls.LOG.clear()


def _reset_step_functions() -> None:
    from localstack.services.stepfunctions.backend.models import sfn_stores

    from testbed.aws.patches import roles, stopping

    roles.forget()
    for regions in list(sfn_stores.values()):
        for store in list(regions.values()):
            stopping.stop_all(list(store.executions.values()))
    sfn_stores.reset()


def _reset_iam() -> None:
    from localstack.services.iam.models import iam_stores

    from testbed.aws.iam.principals import store

    for account in list(iam_stores):
        kept = _KEPT.get(account, {})
        for name in _STORES_OF_IAM:
            current = getattr(store(account), name)
            current.clear()
            current.update(copy.deepcopy(kept.get(name, {})))


def _reset_messaging() -> None:
    """Deletes rules and queues through their own APIs: their providers keep more about them than their stores do."""
    from localstack.aws.connect import connect_to
    from localstack.services.events.models import events_stores
    from localstack.services.sqs.models import sqs_stores

    for account, regions in list(events_stores.items()):
        for region in list(regions):
            _delete_rules(connect_to(aws_access_key_id=account, region_name=region).events)
    for regions in list(sqs_stores.values()):
        for store in list(regions.values()):
            for queue in list(store.queues.values()):
                _delete_queue(connect_to(aws_access_key_id=queue.account_id, region_name=queue.region).sqs, queue)
            # AWS refuses a queue's name for 60 seconds after its deletion; in an account that starts anew there was no such queue.
            store.deleted.clear()


def _delete_rules(events) -> None:
    for rule in events.list_rules().get("Rules", []):
        targets = [target["Id"] for target in events.list_targets_by_rule(Rule=rule["Name"]).get("Targets", [])]
        if targets:
            events.remove_targets(Rule=rule["Name"], Ids=targets)
        events.delete_rule(Name=rule["Name"])


def _delete_queue(sqs, queue) -> None:
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=queue.name)["QueueUrl"])


def _reset_systems_manager() -> None:
    from testbed.aws import ssm

    ssm.reset()
