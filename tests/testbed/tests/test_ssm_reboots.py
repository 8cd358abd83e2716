"""A node's life through restarts: ping status, boot time, scripts that the restart interrupts, machines that never come back.

Sources: amazon-ssm-agent (``framework/processor``: a document in progress runs on after a restart, at most fifteen times; exit code
3010); API reference, InstanceInformation.PingStatus; user guide, "Rebooting managed node from scripts".
"""

from datetime import UTC, datetime

import pytest
from ssm_bench import Bench, command_document, powershell

BOOT = "(Get-CimInstance Win32_OperatingSystem).LastBootUpTime"
READ = {"match": "LastBootUpTime", "stdout": "${bootTime}", "duration": 0.5}


def shown(bench: Bench, node: str) -> dict:
    (found,) = bench.ssm.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": [node]}])["InstanceInformationList"]
    return found


def pings(bench: Bench, node: str, last: str) -> list[str]:
    """The ping statuses that are seen, each once, until ``last`` follows another."""
    seen: list[str] = []

    def arrived() -> bool:
        status = shown(bench, node)["PingStatus"]
        if not seen or seen[-1] != status:
            seen.append(status)
        return len(seen) > 1 and status == last

    bench.until(arrived, f"{node} to be {last}, after {seen}")
    return seen


def script(bench: Bench, name: str, line: str, **more) -> str:
    return bench.document(command_document(powershell("main", line, **more)), name=name)


def boot_time(bench: Bench, node: str) -> float:
    """What a script reads on the node: the service itself shows no boot time."""
    command = bench.send("AWS-RunPowerShellScript", [node], Parameters={"commands": [BOOT]})
    bench.finished(command)
    return float(bench.result(command, node)["StandardOutputContent"])


def test_a_script_reads_the_boot_time_in_both_spellings(bench: Bench):
    boot = datetime(2026, 7, 7, 15, 0, tzinfo=UTC).timestamp()
    (node,) = bench.nodes({"bootTime": boot, "rules": [{"stdout": "${bootTime} ${bootTimeIso}"}]})
    command = bench.send(script(bench, "read", BOOT), [node])
    bench.finished(command)
    assert bench.result(command, node)["StandardOutputContent"] == f"{boot:.3f} 2026-07-07T15:00:00Z"


def test_a_restart_shows_as_connection_lost_and_then_online_with_a_newer_boot_time(bench: Bench):
    (node,) = bench.nodes({"rules": [READ, {"match": "Restart-Computer", "reboot": 2}], "rebootSeconds": 700})
    before = boot_time(bench, node)
    restart = bench.send(script(bench, "restart", "Restart-Computer -Force"), [node])
    assert bench.finished(restart)["Status"] == "Success"
    assert pings(bench, node, "Online") == ["Online", "ConnectionLost", "Online"]
    assert boot_time(bench, node) > before


def test_a_short_restart_is_not_noticed_by_the_ping_status_but_by_the_boot_time(bench: Bench):
    (node,) = bench.nodes({"rules": [READ, {"match": "Restart-Computer", "reboot": 0}], "rebootSeconds": 60})
    before = boot_time(bench, node)
    bench.finished(bench.send(script(bench, "restart", "Restart-Computer -Force"), [node]))
    assert shown(bench, node)["PingStatus"] == "Online"
    assert boot_time(bench, node) > before
    assert shown(bench, node)["PingStatus"] == "Online"


def test_how_long_the_service_takes_to_miss_an_agent_is_a_setting(bench: Bench):
    bench.control.eventual(connectionLostSeconds=0)
    (node,) = bench.nodes({"rules": [{"match": "Restart-Computer", "reboot": 0}], "rebootSeconds": 200})
    bench.finished(bench.send(script(bench, "restart", "Restart-Computer"), [node]))
    bench.until(lambda: shown(bench, node)["PingStatus"] == "ConnectionLost", "the ping status")
    lost = [{"Key": "PingStatus", "Values": ["ConnectionLost"]}]
    listed = bench.ssm.describe_instance_information(Filters=lost)["InstanceInformationList"]
    assert [n["InstanceId"] for n in listed] == [node]
    last = listed[0]["LastPingDateTime"]
    bench.until(lambda: shown(bench, node)["PingStatus"] == "Online", "the node to be back")
    assert shown(bench, node)["LastPingDateTime"] >= last


def test_a_script_that_the_restart_interrupts_runs_again_from_its_beginning(bench: Bench):
    rules = [{"match": "install", "times": 1, "outcome": "RebootDuringRun", "duration": 5, "stdout": "lost"}, {"stdout": "run ${runs}"}]
    (node,) = bench.nodes({"rules": rules, "rebootSeconds": 30})
    before = bench.node(node)["bootTime"]
    command = bench.send(script(bench, "install", "install"), [node])
    assert bench.finished(command)["Status"] == "Success"
    assert bench.result(command, node)["StandardOutputContent"] == "run 2"
    assert bench.node(node)["bootTime"] > before


@pytest.mark.parametrize("rule", [{"reboot": 0}, {"exitCode": 3010}, {"outcome": "RebootDuringRun"}], ids=["by itself", "3010", "midway"])
def test_a_machine_that_never_comes_back_is_connection_lost_for_good_and_takes_no_command(bench: Bench, rule: dict):
    (node,) = bench.nodes({"rules": [{"match": "restart", "comesBack": False, **rule}], "rebootSeconds": 10})
    restart = bench.send(script(bench, "restart", "restart", timeout=60), [node], TimeoutSeconds=30)
    assert pings(bench, node, "ConnectionLost") == ["Online", "ConnectionLost"]
    after = bench.send(script(bench, "after", "Get-Date", timeout=60), [node], TimeoutSeconds=30)
    assert bench.finished(after)["StatusDetails"] == "DeliveryTimedOut"
    expected = "Success" if "reboot" in rule else "DeliveryTimedOut"
    assert bench.finished(restart)["StatusDetails"] == expected
    assert shown(bench, node)["PingStatus"] == "ConnectionLost"


def test_a_machine_that_did_not_come_back_is_up_again_when_it_is_put_with_a_newer_boot_time(bench: Bench):
    rules = [{"match": "restart", "times": 1, "comesBack": False, "exitCode": 3010, "stdout": ""}, {"stdout": "run ${runs}"}]
    (node,) = bench.nodes({"rules": rules})
    command = bench.send(script(bench, "restart", "restart", timeout=3_600), [node])
    assert pings(bench, node, "ConnectionLost") == ["Online", "ConnectionLost"]
    bench.change(node, tags={"Role": "db"})
    assert shown(bench, node)["PingStatus"] == "ConnectionLost"
    bench.change(node, bootTime=bench.control.now())
    assert bench.finished(command)["Status"] == "Success"
    assert bench.result(command, node)["StandardOutputContent"] == "run 2"
    assert shown(bench, node)["PingStatus"] == "Online"


def test_exit_code_1641_is_a_failure_of_the_script_and_the_machine_restarts_nevertheless(bench: Bench):
    """User guide, "Rebooting managed node from scripts": 3010 is the code; 1641 says that an installer has begun a restart by itself."""
    (node,) = bench.nodes({"rules": [READ, {"match": "msiexec", "exitCode": 1641, "reboot": 1}], "rebootSeconds": 30})
    before = boot_time(bench, node)
    command = bench.send(script(bench, "install", "msiexec /i x.msi"), [node])
    assert bench.finished(command)["StatusDetails"] == "Failed"
    assert bench.result(command, node)["ResponseCode"] == 1641
    bench.until(lambda: bench.node(node)["bootTime"] > before, "the restart")
