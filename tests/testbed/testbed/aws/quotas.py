"""The quotas of all services at the control endpoint's /quotas: Step Functions' (`testbed.aws.patches.quotas`) and Systems Manager's
(`testbed.aws.ssm.quotas`)."""

from testbed.aws.patches import quotas as states
from testbed.aws.ssm import quotas as systems_manager


def change(values: dict[str, int]) -> dict[str, int]:
    """Sets what is named, keeps the rest, and answers all. Raises ValueError for an unknown name or a value out of range."""
    ours = {name: value for name, value in values.items() if name in states.current()}
    systems_manager.change({name: value for name, value in values.items() if name not in ours})
    states.change(ours)
    return current()


def current() -> dict[str, int]:
    """All quotas."""
    return {**states.current(), **systems_manager.current()}
