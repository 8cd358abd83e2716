"""ResultWriter: what the children of a map gave, in files in S3, or in the map's own output
(docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html)."""

import json

from botocore.exceptions import BotoCoreError, ClientError

from testbed.aws.patches.results import text

FILES = {"SUCCEEDED": ("SUCCEEDED",), "FAILED": ("FAILED", "TIMED_OUT", "ABORTED"), "PENDING": ("RUNNING",)}
"""The statuses of the executions in each of the three files."""


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def described(child) -> dict:
    """A child's result with its execution's data: the transformation NONE, and what a failed child gives under any transformation."""
    record = {
        "ExecutionArn": child.exec_arn,
        "Input": _compact(child.input_data),
        "InputDetails": {"Included": True},
        "Name": child.name,
        "StartDate": text(child.start_date),
        "StateMachineArn": child.state_machine_arn,
        "Status": str(child.exec_status),
        "StopDate": text(child.stop_date) if child.stop_date else None,
    }
    if child.exec_status == "SUCCEEDED":
        record |= {"Output": _compact(child.output), "OutputDetails": {"Included": True}}
    if child.error is not None:
        record["Error"] = child.error
    if child.cause is not None:
        record["Cause"] = child.cause
    return record


def transformed(children: list, transformation: str) -> list:
    """The results of children under NONE, COMPACT or FLATTEN."""
    results: list = []
    for child in children:
        if transformation == "NONE" or child.exec_status != "SUCCEEDED":
            results.append(described(child))
        elif transformation == "FLATTEN" and isinstance(child.output, list):
            results.extend(child.output)
        else:
            results.append(child.output)
    return results


class Writer:
    """The ResultWriter of one map state."""

    def __init__(self, template):
        self._template = template

    def eval(self, env) -> None:
        """Replaces the map's output on the stack: by where the files are, or, without Resource, by the results as they are asked for."""
        env.stack.pop()
        env.stack.append(self.write(env, env.map_run_children()))

    def write(self, env, children: list) -> object:
        """Writes the files of the map run that this environment ran last; answers the map's output. Raises States.ResultWriterFailed."""
        given = self._template.value(env)
        config = given.get("WriterConfig") or {}
        transformation = config.get("Transformation") or ("NONE" if given.get("Resource") else "COMPACT")
        if not given.get("Resource"):
            return transformed(children, transformation)
        place = given.get("Arguments") or given.get("Parameters") or {}
        record = env.map_run_record
        prefix = place.get("Prefix") or ""
        folder = f"{prefix.rstrip('/')}/{record.map_run_arn.rsplit(':', 1)[-1]}".lstrip("/")
        lines = config.get("OutputType") == "JSONL"
        try:
            return self._put(env, place["Bucket"], folder, children, transformation, lines)
        except (ClientError, BotoCoreError) as error:
            raise _failed(env, str(error)) from error

    def _put(self, env, bucket: str, folder: str, children: list, transformation: str, lines: bool) -> dict:
        client = _client(env)
        files: dict[str, list] = {}
        for name, statuses in FILES.items():
            chosen = [child for child in children if child.exec_status in statuses]
            files[name] = []
            if chosen:
                results = transformed(chosen, transformation)
                body = ("\n".join(map(_compact, results)) if lines else _compact(results)).encode()
                key = f"{folder}/{name}_0.{'jsonl' if lines else 'json'}"
                client.put_object(Bucket=bucket, Key=key, Body=body)
                files[name].append({"Key": key, "Size": len(body)})
        arn = env.map_run_record.map_run_arn
        manifest = {"DestinationBucket": bucket, "MapRunArn": arn, "ResultFiles": files}
        key = f"{folder}/manifest.json"
        client.put_object(Bucket=bucket, Key=key, Body=_compact(manifest).encode())
        return {"MapRunArn": arn, "ResultWriterDetails": {"Bucket": bucket, "Key": key}}


def _client(env):
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.credentials import StateCredentials

    from testbed.aws.patches.roles import boto_client_for

    details = env.aws_execution_details
    return boto_client_for("s3", details.region, StateCredentials(role_arn=details.role_arn))


def _failed(env, cause: str):
    from testbed.aws.patches.children import map_failure

    return map_failure(env, "StatesResultWriterFailed", cause)
