"""The same definitions on this bed and on a second interpreter, MiniStack's (PyPI, MIT), which shares no code with LocalStack.

Where the two differ, `differential/differences.yaml` says what AWS documents and which of them is right. An unlisted difference fails, and
so does a listed one that is gone. What is compared: whether the definition is taken, and the status, output, error and entered states of
its execution (the outermost ones, in order).
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from aws_bench import Bench, allow, machine_arn
from differential.cases import CASES, CHILD
from differential.ministack_runner import outcome
from testbed.bed import Bed
from testbed.waiting import until

HERE = Path(__file__).parent / "differential"
TABLE = HERE / "differences.yaml"
PATIENCE = 90.0
RIGHT = {"bed", "ministack", "neither", "unspecified"}


def on_ministack() -> dict[str, dict]:
    """The outcome of each case on MiniStack."""
    asked = {"child": CHILD, "cases": {name: {"definition": definition, "input": given} for name, (definition, given) in CASES.items()}}
    reader, writer = os.pipe()
    program = [sys.executable, "-c", f"import os; os.dup2({writer}, 3); import runpy; runpy.run_path({str(HERE / 'ministack_runner.py')!r}, run_name='__main__')"]
    with os.fdopen(reader) as answers:
        process = subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=[writer], text=True,
            env=os.environ | {"SFN_WAIT_SCALE": "0.1"},
        )  # fmt: skip
        os.close(writer)
        process.stdin.write(json.dumps(asked))
        process.stdin.close()
        found = json.load(answers)
    assert process.wait(10) == 0
    return found


def on_bed(bench: Bench) -> dict[str, dict]:
    """The outcome of each case on this bed."""
    queue = bench.sqs.create_queue(QueueName="inbox")["QueueUrl"]
    role = bench.role("runner", allow("*"))
    bench.machine("child", CHILD, role)
    found: dict[str, dict] = {}
    running: dict[str, str] = {}
    for name, (definition, given) in CASES.items():
        text = json.dumps(definition).replace("${QUEUE}", queue).replace("${CHILD}", machine_arn("child"))
        try:
            arn = bench.sfn.create_state_machine(name=name, definition=text, roleArn=role)["stateMachineArn"]
        except bench.sfn.exceptions.ClientError as error:
            found[name] = {"refused": error.response["Error"]["Code"]}
            continue
        running[name] = bench.sfn.start_execution(stateMachineArn=arn, input=json.dumps(given))["executionArn"]
    for name, execution in running.items():
        until(lambda execution=execution: bench.sfn.describe_execution(executionArn=execution)["status"] != "RUNNING", PATIENCE, name)
        done = bench.ended(execution)
        found[name] = outcome(CASES[name][0], done, bench.history(execution))
    return found


@pytest.fixture(scope="module")
def differences(aws_bed: Bed) -> dict[str, dict[str, dict]]:
    """By case, the fields in which the two differ, with both values."""
    aws_bed.control.reset()
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(on_ministack)
        bed, other = on_bed(Bench(aws_bed)), second.result()
    found = {}
    for name in CASES:
        fields = {field for outcome in (bed[name], other[name]) for field in outcome}
        unequal = {
            field: {"bed": bed[name].get(field), "ministack": other[name].get(field)}
            for field in sorted(fields)
            if bed[name].get(field) != other[name].get(field)
        }
        if unequal:
            found[name] = {"refused": unequal["refused"]} if "refused" in unequal else unequal
    return found


@pytest.fixture(scope="module")
def listed() -> list[dict]:
    """The table."""
    return yaml.safe_load(TABLE.read_text())


def test_there_are_cases_enough():
    assert len(CASES) >= 40


def test_every_difference_is_listed_and_every_listed_one_is_there(differences: dict, listed: list[dict]):
    assert differences == {entry["case"]: entry["differs"] for entry in listed}


def test_every_listed_difference_says_what_aws_documents(listed: list[dict]):
    for entry in listed:
        assert entry["case"] in CASES
        assert entry["right"] in RIGHT, entry
        assert entry["aws"].strip(), entry
        assert entry["source"].startswith("https://") or entry["right"] == "unspecified", entry
    assert len({entry["case"] for entry in listed}) == len(listed)


def test_where_aws_is_documented_the_bed_is_right(listed: list[dict]):
    assert [entry["case"] for entry in listed if entry["right"] in ("ministack", "neither")] == []
