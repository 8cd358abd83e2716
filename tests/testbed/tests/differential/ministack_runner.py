"""Runs definitions on MiniStack's interpreter, in this process: JSON {name: {definition, input}} comes in, {name: outcome} goes out, to file descriptor 3.

`SFN_WAIT_SCALE` shortens its waits.
"""

import asyncio
import json
import os
import sys
import threading
import time

ACCOUNT_ROLE = "arn:aws:iam::000000000000:role/runner"
PATIENCE = 10.0
"""Real seconds; what runs on after that does not end."""


def call(handler, target: str, body: dict, query: bool = False) -> tuple[int, dict]:
    """One request to one of its services."""
    headers = {"x-amz-target": target, "content-type": "application/x-amz-json-1.0"}
    status, _, answer = asyncio.run(handler("POST", "/", headers, json.dumps(body).encode(), {}))
    return status, json.loads(answer)


def outcome(definition: dict, done: dict, events: list[dict]) -> dict:
    """What is compared of an execution: its output only when it has succeeded (API_DescribeExecution: "set only if the execution succeeds"),
    and of the states that it entered those of the outermost scope."""
    output = json.loads(done["output"]) if done["status"] == "SUCCEEDED" and done.get("output") else None
    names = [event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event]
    entered = [name for name in names if name in definition["States"]]
    return {"status": done["status"], "output": output, "error": done.get("error"), "entered": entered}


def main() -> None:
    """Reads from standard input, writes to standard output."""
    from ministack.services import sqs, stepfunctions

    def states(operation: str, body: dict) -> tuple[int, dict]:
        return call(stepfunctions.handle_request, f"AWSStepFunctions.{operation}", body)

    asked = json.load(sys.stdin)
    _, queue = call(sqs.handle_request, "AmazonSQS.CreateQueue", {"QueueName": "inbox"})
    _, child = states("CreateStateMachine", {"name": "child", "definition": json.dumps(asked["child"]), "roleArn": ACCOUNT_ROLE})
    found: dict[str, dict] = {}

    def run(name: str, case: dict) -> None:
        text = json.dumps(case["definition"]).replace("${QUEUE}", queue["QueueUrl"]).replace("${CHILD}", child["stateMachineArn"])
        status, made = states("CreateStateMachine", {"name": name, "definition": text, "roleArn": ACCOUNT_ROLE})
        if status >= 400:
            found[name] = {"refused": made["__type"].rsplit("#", 1)[-1]}
            return
        _, started = states("StartExecution", {"stateMachineArn": made["stateMachineArn"], "input": json.dumps(case["input"])})
        deadline = time.monotonic() + PATIENCE
        done = {"status": "RUNNING"}
        while done["status"] == "RUNNING" and time.monotonic() < deadline:
            time.sleep(0.05)
            _, done = states("DescribeExecution", {"executionArn": started["executionArn"]})
        _, history = states("GetExecutionHistory", {"executionArn": started["executionArn"], "maxResults": 1000})
        found[name] = outcome(case["definition"], done, history["events"])

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in asked["cases"].items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    json.dump(found, os.fdopen(3, "w"))


if __name__ == "__main__":
    main()
