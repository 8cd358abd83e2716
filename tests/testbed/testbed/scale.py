"""The bed for scale: MiniStack's IAM and Step Functions with the bed's own Systems Manager mounted in it, in one process on loopback.

`python -m testbed.scale --port N` serves until it is ended; `python -m testbed.scale --bench N` makes N roles, documents and state machines, reads
each once, and prints the figures, which say that they are MiniStack's. There is no IAM enforcement, no fault and no virtual clock here: LocalStack's
core is the bed for those, and makes some 50 objects a second. Nothing that is measured here says anything of AWS's own speed.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from testbed import ports, waiting
from testbed.aws import ACCOUNT_ID, REGION

WHAT = "MiniStack 1.5.33 with the bed's Systems Manager, one process"
START_SECONDS = 30.0
THREADS = 8
DOCUMENT = {
    "schemaVersion": "2.2",
    "mainSteps": [{"action": "aws:runPowerShellScript", "name": "main", "inputs": {"runCommand": ["Get-Date"]}}],
}
MACHINE = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def systems_manager() -> Callable:
    """MiniStack's form of a service: (method, path, headers, body, query) to (status, headers, body)."""
    from botocore.session import get_session

    from testbed.aws.ssm import errors, model, operations
    from testbed.aws.ssm.callers import CALLER, Caller

    service = get_session().get_service_model("ssm")
    root = Caller(f"arn:aws:iam::{ACCOUNT_ID}:root", ACCOUNT_ID)

    def call(name: str, body: bytes) -> tuple[int, dict]:
        CALLER.set(root)
        try:
            if name not in operations.OPERATIONS:
                raise errors.unknown_operation()
            found = operations.call(model.system(), service.operation_model(name), json.loads(body or b"{}"), ACCOUNT_ID, REGION)
        except errors.ServiceError as error:
            return error.status, {"__type": error.code, "message": error.message}
        return 200, found or {}

    async def handle(_method: str, _path: str, headers: dict, body: bytes, _query: dict) -> tuple[int, dict, bytes]:
        status, answer = call(headers.get("x-amz-target", "").rsplit(".", 1)[-1], body)
        return status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(answer, default=_timestamp).encode()

    return handle


def _timestamp(value: object) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(type(value).__name__)


def serve(port: int) -> None:
    """Serves on 127.0.0.1:port until the process is ended."""
    os.environ |= {"MINISTACK_REGION": REGION, "MINISTACK_ACCOUNT_ID": ACCOUNT_ID, "LOG_LEVEL": "ERROR"}
    from hypercorn.asyncio import serve as serve_asgi
    from hypercorn.config import Config
    from ministack import app

    from testbed.aws import quotas

    quotas.change({"documents": 1_000_000})
    app.SERVICE_HANDLERS["ssm"] = systems_manager()
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.keep_alive_max_requests = 2**31  # by default it closes a connection after a thousand, whatever is under way on it
    config.keep_alive_timeout = 3600.0
    config.accesslog = config.errorlog = None
    asyncio.run(serve_asgi(app.app, config))


class Scale:
    """A running endpoint for scale."""

    def __init__(self) -> None:
        (port,) = ports.choose(1)
        self.endpoint = f"http://127.0.0.1:{port}"
        arguments = [sys.executable, "-m", "testbed.scale", "--port", str(port)]
        self._process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self) -> "Scale":
        states = self.client("stepfunctions")
        try:
            waiting.until(states.list_state_machines, START_SECONDS, "MiniStack answered", ignoring=(Exception,))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def client(self, service: str):
        """A boto3 client as the account's root user."""
        import boto3
        from botocore.config import Config

        config = Config(retries={"total_max_attempts": 1}, proxies={}, max_pool_connections=THREADS)
        keys = {"aws_access_key_id": ACCOUNT_ID, "aws_secret_access_key": "admin"}
        return boto3.client(service, endpoint_url=self.endpoint, region_name=REGION, config=config, **keys)

    def resident_bytes(self) -> int:
        """The process's resident memory."""
        with open(f"/proc/{self._process.pid}/status") as status:
            line = next(line for line in status if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024


def bench(number: int) -> dict:
    """Makes and reads back that many objects of each of three kinds; {what, objects, createsPerSecond, readsPerSecond, residentMiB}."""
    with Scale() as scale, ThreadPoolExecutor(THREADS) as pool:
        iam, ssm, states = (scale.client(name) for name in ("iam", "ssm", "stepfunctions"))

        def make(index: int) -> None:
            name = f"windlass-{index}"
            role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
            ssm.create_document(Name=name, Content=json.dumps(DOCUMENT), DocumentType="Command")
            states.create_state_machine(name=name, definition=json.dumps(MACHINE), roleArn=role)

        def read(index: int) -> None:
            name = f"windlass-{index}"
            iam.get_role(RoleName=name)
            ssm.describe_document(Name=name)
            states.describe_state_machine(stateMachineArn=f"arn:aws:states:{REGION}:{ACCOUNT_ID}:stateMachine:{name}")

        def rate(action: Callable[[int], None]) -> float:
            began = time.monotonic()
            list(pool.map(action, range(number)))
            return round(3 * number / (time.monotonic() - began), 1)

        return {
            "what": WHAT,
            "objects": 3 * number,
            "createsPerSecond": rate(make),
            "readsPerSecond": rate(read),
            "residentMiB": round(scale.resident_bytes() / 2**20, 1),
        }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="testbed.scale", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, help="serve here")
    parser.add_argument("--bench", type=int, metavar="N", help="make N objects of each kind and print the figures")
    options = parser.parse_args()
    if options.port:
        serve(options.port)
    elif options.bench:
        print(json.dumps(bench(options.bench), indent=2))
    else:
        parser.error("--port or --bench")


if __name__ == "__main__":
    main()
