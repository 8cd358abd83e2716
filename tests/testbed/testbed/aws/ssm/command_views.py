"""Commands in the shapes of the API: Command, CommandInvocation, CommandPlugin, GetCommandInvocationResult."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from . import output, uploads, verdict
from .errors import ServiceError
from .records import STATUS, Command, Invocation, Plugin

if TYPE_CHECKING:
    from .model import Account

def command(record: Command) -> dict:
    """``Command``."""
    details = verdict.details(record)
    # A command was attempted as soon as the service tries to deliver it: there is no Delayed among its Status.
    status = {"Delayed": "InProgress"}.get(details, STATUS[details])
    request = record.request
    shown = {
        "CommandId": record.id,
        "DocumentName": record.document_name,
        "DocumentVersion": request.get("DocumentVersion", "$DEFAULT"),
        "Comment": request.get("Comment", ""),
        "ExpiresAfter": instant(record.expires),
        "Parameters": request.get("Parameters") or {},
        "InstanceIds": request.get("InstanceIds") or [],
        "Targets": request.get("Targets") or [],
        "RequestedDateTime": instant(record.requested),
        "Status": status,
        "StatusDetails": details,
        "OutputS3BucketName": request.get("OutputS3BucketName", ""),
        "OutputS3KeyPrefix": request.get("OutputS3KeyPrefix", ""),
        "MaxConcurrency": request.get("MaxConcurrency", "50"),
        "MaxErrors": request.get("MaxErrors", "0"),
        "TargetCount": len(record.invocations),
        "CompletedCount": record.completed_count,
        "ErrorCount": record.error_count,
        "DeliveryTimedOutCount": record.count("DeliveryTimedOut"),
        "ServiceRole": "",
        "NotificationConfig": {"NotificationArn": "", "NotificationEvents": [], "NotificationType": ""},
        "CloudWatchOutputConfig": _cloud_watch(record),
    }
    for name in ("TimeoutSeconds", "OutputS3Region"):
        if name in request:
            shown[name] = request[name]
    return shown


def _cloud_watch(record: Command) -> dict:
    group = uploads.log_group(record)
    return {"CloudWatchLogGroupName": group, "CloudWatchOutputEnabled": bool(group)}


def invocation(account: "Account", record: Command, one: Invocation, details: bool) -> dict:
    """``CommandInvocation``; its plugins and their output only when asked for."""
    return {
        "CommandId": record.id,
        "InstanceId": one.node_id,
        "InstanceName": one.node_name,
        "Comment": record.request.get("Comment", ""),
        "DocumentName": record.document_name,
        "DocumentVersion": record.request.get("DocumentVersion", "$DEFAULT"),
        "RequestedDateTime": instant(record.requested),
        "Status": STATUS[one.details],
        "StatusDetails": one.details,
        "TraceOutput": "",
        "StandardOutputUrl": uploads.url(account, record, one),
        "StandardErrorUrl": uploads.url(account, record, one),
        "CommandPlugins": [_plugin(account, record, one, index) for index in range(len(one.plugins))] if details else [],
        "ServiceRole": "",
        "NotificationConfig": {"NotificationArn": "", "NotificationEvents": [], "NotificationType": ""},
        "CloudWatchOutputConfig": _cloud_watch(record),
    }


def result(account: "Account", record: Command, one: Invocation, plugin_name: str | None) -> dict:
    """``GetCommandInvocationResult``: of the step named, or of the only one; of several unnamed, the whole's status."""
    named = next((p for p in one.plugins if p.name == plugin_name), None)
    if plugin_name is not None and named is None:
        raise ServiceError("InvalidPluginName", f"The plugin name {plugin_name} isn't valid.")
    only = one.plugins[0] if len(one.plugins) == 1 else None
    shown = named or only
    details = one.details if shown is None or (shown is only and not one.done) else shown.details
    return {
        "CommandId": record.id,
        "InstanceId": one.node_id,
        "Comment": record.request.get("Comment", ""),
        "DocumentName": record.document_name,
        "DocumentVersion": record.request.get("DocumentVersion", "$DEFAULT"),
        "PluginName": shown.name if shown else "",
        "ResponseCode": shown.code if shown else -1,
        "ExecutionStartDateTime": _iso(shown.started if shown else None),
        "ExecutionElapsedTime": _elapsed(shown),
        "ExecutionEndDateTime": _iso(shown.ended if shown else None),
        "Status": STATUS[details],
        "StatusDetails": details,
        "StandardOutputContent": _stdout(shown),
        "StandardOutputUrl": _url(account, record, one, shown, "stdout"),
        "StandardErrorContent": _stderr(shown),
        "StandardErrorUrl": _url(account, record, one, shown, "stderr"),
        "CloudWatchOutputConfig": _cloud_watch(record),
    }


def instant(seconds: float) -> datetime:
    """A timestamp of the API, which has milliseconds."""
    return datetime.fromtimestamp(round(seconds, 3), UTC)


def _url(account: "Account", record: Command, one: Invocation, plugin: Plugin | None, stream: str) -> str:
    if plugin is None:
        return uploads.url(account, record, one)
    return uploads.url(account, record, one, record.content.steps[next(i for i, one_of in enumerate(one.plugins) if one_of is plugin)], stream)


def _plugin(account: "Account", record: Command, one: Invocation, index: int) -> dict:
    plugin, step = one.plugins[index], record.content.steps[index]
    bucket = record.request.get("OutputS3BucketName", "")
    shown = {
        "Name": plugin.name,
        "Status": {"Delayed": "Pending", "Cancelling": "InProgress"}.get(plugin.details, STATUS[plugin.details]),
        "StatusDetails": plugin.details,
        "ResponseCode": plugin.code,
        "Output": _output(plugin),
        "StandardOutputUrl": uploads.url(account, record, one, step, "stdout"),
        "StandardErrorUrl": uploads.url(account, record, one, step, "stderr"),
        "OutputS3Region": (record.request.get("OutputS3Region") or account.region) if bucket else "",
        "OutputS3BucketName": bucket,
        "OutputS3KeyPrefix": uploads.folder(record, one, step) if bucket else "",
    }
    if plugin.started is not None:
        shown["ResponseStartDateTime"] = instant(plugin.started)
    if plugin.ended is not None:
        shown["ResponseFinishDateTime"] = instant(plugin.ended)
    return shown


def _output(plugin: Plugin) -> str:
    if not plugin.done:
        return ""
    return plugin.message or output.merged(plugin.stdout, plugin.stderr)


def _stdout(plugin: Plugin | None) -> str:
    """Empty while the step runs; a skipped step's message stands where its output would."""
    if plugin is None or not plugin.done:
        return ""
    said = plugin.message if plugin.message and plugin.details == "Success" else plugin.stdout
    return output.prefix(said, output.STDOUT_LIMIT)


def _stderr(plugin: Plugin | None) -> str:
    if plugin is None or not plugin.done:
        return ""
    said = plugin.message if plugin.message and plugin.details == "Failed" else plugin.stderr
    return output.prefix(said, output.STDERR_LIMIT)


def _iso(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return instant(seconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _elapsed(plugin: Plugin | None) -> str:
    if plugin is None or plugin.started is None or plugin.ended is None:
        return ""
    return f"PT{round(plugin.ended - plugin.started, 3):g}S"
