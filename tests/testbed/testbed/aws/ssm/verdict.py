"""The status of a command, from those of its invocations.

Source: user guide, "Understanding command statuses", and the API reference of ``Command.StatusDetails``. Failed and
ExecutionTimedOut count against MaxErrors. Undeliverable, InvalidPlatform and AccessDenied do not, and one Success beside
them makes the command a Success; only when there is no Success at all is it Failed. DeliveryTimedOut does not count either,
but makes a Success Incomplete, as tolerated errors do.
"""

from .records import OPEN, Command


def details(command: Command) -> str:
    """StatusDetails of the command."""
    if not command.resolved:
        return "Cancelling" if command.cancelled else "Pending"
    if not command.invocations:
        return "Cancelled" if command.cancelled else "NoInstancesInTag"
    if not command.done:
        return _running(command)
    return _final(command)


def _running(command: Command) -> str:
    if command.cancelled:
        return "Cancelling"
    states = {invocation.details for invocation in command.invocations.values()}
    if states == {"Pending"}:
        return "Pending"
    # Attempted, but no agent has it and none has ended: the service goes on trying.
    waiting = states & set(OPEN)
    return "Delayed" if states <= {"Delayed", "Pending"} and waiting else "InProgress"


def _final(command: Command) -> str:
    if command.cancelled and command.count("Cancelled"):
        return "Cancelled"
    failed, timed_out = command.count("Failed"), command.count("ExecutionTimedOut")
    if failed + timed_out > command.max_errors:
        return "Failed" if failed else "ExecutionTimedOut"
    undelivered = command.count("DeliveryTimedOut")
    if command.count("Success"):
        return "Incomplete" if undelivered or failed or timed_out else "Success"
    if undelivered == len(command.invocations):
        return "DeliveryTimedOut"
    return "Incomplete" if failed + timed_out + undelivered else "Failed"
