"""Prints an execution's history as the unit tests of `src/runs` read it: a JSON object a line, inputs left out.

    eval "$(tests/testbed/bed env)"
    python tests/histories/capture.py EXECUTION_ARN > tests/histories/NAME.jsonl
"""

import json
import sys
from collections.abc import Iterator


def simplify(event: dict) -> dict:
    """An event with the fields of `windlass::aws::executions::Event`."""
    details = next((value for key, value in event.items() if key.endswith("EventDetails")), {})
    fields = {
        "id": event["id"],
        "at": event["timestamp"].astimezone().isoformat(timespec="milliseconds"),
        "type": event["type"],
        "name": details.get("name") or details.get("state"),
        "output": details.get("output"),
        "error": details.get("error"),
        "cause": details.get("cause"),
    }
    return {key: value for key, value in fields.items() if value is not None}


def history(client, execution_arn: str) -> Iterator[dict]:
    """The simplified events of an execution, in order."""
    pages = client.get_paginator("get_execution_history").paginate(executionArn=execution_arn, includeExecutionData=True)
    return (simplify(event) for page in pages for event in page["events"])


if __name__ == "__main__":
    import boto3

    for event in history(boto3.client("stepfunctions"), sys.argv[1]):
        print(json.dumps(event, ensure_ascii=False))
