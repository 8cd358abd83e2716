"""`make demo`: the main job, from nothing to a run that succeeded and one that failed, on real parts.

`--up` stops after installing and leaves everything running to play with.
"""

import argparse
import json
import shlex
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testbed import tools
from testbed.bed import Bed
from testbed.product import NAMESPACE, Product, has_ended

TIME_FACTOR = 10.0
"""How much faster time passes than at home: AWS's seconds of waiting are not what the demo is about."""

CRDS = tools.REPOSITORY / "crds"

NODES: list[dict[str, Any]] = [
    {
        "id": f"i-0000000000000{number:04x}",
        "computerName": f"WEB-{number:02}",
        "platform": "Windows",
        "ping": "Online",
        "agentVersion": "3.3.2299.0",
        "ip": f"10.0.0.{10 + number}",
        "tags": {"Role": "web", "OS": "Windows"},
        "rules": [
            {
                "match": "Get-PSDrive",
                "exitCode": 0,
                "stdout": json.dumps([{"Name": "C", "Used": (31 + 7 * number) << 30, "Free": (96 - 11 * number) << 30}]),
                "duration": 2,
            },
            {"match": "Get-Website", "exitCode": 0, "stdout": "Default Web Site is Started", "duration": 2},
        ],
    }
    for number in range(1, 6)
]

BROKEN_RULE = {
    "match": "Restart-Service",
    "exitCode": 1,
    "stderr": (
        "Restart-Service : Service 'World Wide Web Publishing Service (W3SVC)' cannot be started due to the following error: "
        "Cannot start service W3SVC on computer '.'.\nAt line:1 char:1\n+ Restart-Service -Name W3SVC -Force"
    ),
    "duration": 3,
}


class Teller:
    """Prints what happens, for a person: headings, commands as they would type them, and what those answer."""

    def __init__(self) -> None:
        self.colour = sys.stdout.isatty()
        self.began = time.monotonic()

    def _paint(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self.colour else text

    def heading(self, text: str) -> None:
        """A new part of the story."""
        seconds = time.monotonic() - self.began
        print(f"\n{self._paint('1;36', '==')} {self._paint('1', text)} {self._paint('2', f'({seconds:.0f} s)')}", flush=True)

    def say(self, text: str) -> None:
        """A remark."""
        print(f"   {text}", flush=True)

    def command(self, text: str) -> None:
        """A command that the reader could type."""
        print(f"\n   {self._paint('32', '$')} {self._paint('1', text)}", flush=True)

    def output(self, text: str) -> None:
        """What a command answered."""
        for line in text.rstrip().splitlines():
            print(f"   {line}", flush=True)


class Demo:
    """The story, on a bed that is up."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self.product = Product(bed)
        self.tell = Teller()

    def kubectl(self, text: str) -> str:
        """Shows a kubectl command and its answer."""
        self.tell.command(f"kubectl {text}")
        answer = self.product.kubectl(*shlex.split(text)).stdout
        self.tell.output(answer)
        return answer

    def install(self) -> None:
        """Windlass from its charts, under its ServiceAccount, and the account."""
        self.tell.heading("Windlass, from its own Helm charts")
        self.tell.command("helm template windlass charts/windlass --set clusterId=demo | kubectl apply -f -")
        self.product.install()
        self.tell.say("CRDs, RBAC, admission policies and the Deployment are applied. There is no kubelet here, so the Deployment's container")
        self.tell.say("runs as a process: its arguments, its environment, a token of its ServiceAccount, the IAM policy that the chart ships.")
        self.product.start()
        self.tell.heading("An AWS account, and what the namespace ops may do there")
        self.product.apply(self.product.account())
        self.product.until_ready("awsacct", "prod")
        self.kubectl("get awsacct")

    def show_nodes(self) -> None:
        """The table of nodes."""
        self.tell.heading("Five simulated Windows nodes")
        for node in self.bed.control.nodes():
            tags = " ".join(f"{key}={value}" for key, value in sorted(node["tags"].items()))
            self.tell.say(f"{node['id']}  {node['computerName']}  {node['ping']}  {tags}")

    def hello(self) -> None:
        """The smallest workflow: it appears in AWS, runs on five nodes and says what each printed."""
        self.tell.heading("A workflow and one run of it")
        self.tell.command("cat examples/hello/hello.yaml")
        example = tools.REPOSITORY / "examples/hello/hello.yaml"
        self.tell.output(example.read_text())
        self.kubectl(f"apply -f {example.relative_to(Path.cwd()) if example.is_relative_to(Path.cwd()) else example}")
        self.product.until_ready("wwf", "disk-report", "ops")
        self.kubectl("get wwf -n ops")
        self.tell.say("")
        self.tell.say("What there is in AWS now, and nothing else:")
        for line in self.in_aws():
            self.tell.say(f"  {line}")
        run = self.product.until("wrun", "disk-report-1", "ops", has_ended, "to end", timeout=90)
        if run["status"]["phase"] != "Succeeded":
            raise SystemExit(f"disk-report-1 did not succeed: {json.dumps(run['status'], indent=1)}")
        self.kubectl("get wrun -n ops")
        self.tell.say("")
        self.tell.say("What each node printed (status.steps[].nodes[]):")
        for node in run["status"]["steps"][0]["nodes"]:
            self.tell.say(f"  {node['computerName']:8} {node['status']:8} exit {node.get('exitCode')}  {node.get('output', '')}")

    def failing(self) -> None:
        """A script that fails on one node."""
        self.tell.heading("A script that fails on one node")
        broken = next(node for node in self.bed.control.nodes() if node["computerName"] == "WEB-03")
        self.bed.control.put_node({**broken, "rules": [BROKEN_RULE, *broken["rules"]]})
        self.tell.say("WEB-03's web service will not start from now on.")
        self.tell.command("kubectl apply -f examples/restart-iis")
        self.tell.output(self.product.kubectl("apply", "-f", str(tools.REPOSITORY / "examples/restart-iis")).stdout)
        run = self.product.until("wrun", "restart-iis-1", "ops", has_ended, "to end", timeout=90)
        if run["status"]["phase"] != "Failed":
            raise SystemExit(f"restart-iis-1 was to fail: {json.dumps(run['status'], indent=1)}")
        self.kubectl("get wrun -n ops")
        self.tell.command("kubectl get wrun restart-iis-1 -n ops -o yaml | yq .status.failure")
        failure: Mapping[str, str] = run["status"]["failure"]
        for field in ("step", "node", "layer", "error", "cause", "hint"):
            lines = str(failure.get(field, "")).splitlines() or [""]
            self.tell.say(f"{field + ':':8}{lines[0]}")
            for line in lines[1:]:
                self.tell.say(f"{'':8}{line}")

    def clean_up(self) -> None:
        """Deleting the objects takes everything in AWS away."""
        self.tell.heading("Deleting it all takes everything in AWS away")
        self.kubectl("delete wwf,wrun --all -n ops")
        self.kubectl("delete awsacct prod")
        left = self.in_aws()
        self.tell.say(f"In AWS: {', '.join(left) if left else 'nothing left'}")
        if left:
            raise SystemExit("something was left behind in AWS")

    def in_aws(self) -> list[str]:
        """The objects of this cluster in AWS, by name."""
        roles = self.bed.boto3("iam").list_roles(PathPrefix="/windlass/")["Roles"]
        documents = self.bed.boto3("ssm").list_documents(Filters=[{"Key": "Owner", "Values": ["Self"]}])["DocumentIdentifiers"]
        machines = self.bed.boto3("stepfunctions").list_state_machines()["stateMachines"]
        queues = self.bed.boto3("sqs").list_queues(QueueNamePrefix="windlass").get("QueueUrls", [])
        rules = self.bed.boto3("events").list_rules(NamePrefix="windlass")["Rules"]
        return [
            *(f"role           {role['Path']}{role['RoleName']}" for role in roles),
            *(f"SSM document   {document['Name']} (version {document['DocumentVersion']})" for document in documents),
            *(f"state machine  {machine['name']}" for machine in machines),
            *(f"queue          {queue.rpartition('/')[2]} (the account's inbox)" for queue in queues),
            *(f"event rule     {rule['Name']} (status events, into the inbox)" for rule in rules),
        ]


def up() -> None:
    """`make up`: a bed with Windlass installed that goes on running."""
    bed = Bed.up(tools.REPOSITORY / ".testbed", time_factor=TIME_FACTOR, crds=CRDS)
    bed.control.set_nodes(NODES)
    demo = Demo(bed)
    demo.install()
    demo.show_nodes()
    demo.tell.heading("Everything is running")
    demo.tell.say(f"export KUBECONFIG={bed.admin_kubeconfig}")
    demo.tell.say(f"export AWS_ENDPOINT_URL={bed.endpoint} AWS_REGION=eu-west-1  # credentials: tests/testbed/bed env")
    demo.tell.say("kubectl apply -f examples/hello              # a first workflow")
    demo.tell.say("tests/testbed/bed nodes                      # the table of nodes; --edit FILE changes it")
    demo.tell.say(f"tail -f {bed.state.directory}/logs/windlass.log # the controller (namespace {NAMESPACE})")
    demo.tell.say("make down                                    # ends it")


def demo() -> None:
    """`make demo`: the whole story, and nothing left running."""
    tell = Teller()
    tell.heading("A Kubernetes control plane and an AWS endpoint, on loopback")
    with tempfile.TemporaryDirectory(prefix="windlass-demo-") as directory:
        with Bed.up(Path(directory), time_factor=TIME_FACTOR, crds=CRDS) as bed:
            story = Demo(bed)
            story.tell = tell
            tell.say(f"etcd, kube-apiserver, kube-controller-manager; Step Functions, IAM, STS, Systems Manager at {bed.endpoint}")
            tell.say(f"Time there passes {TIME_FACTOR:g} times as fast.")
            bed.control.set_nodes(NODES)
            story.install()
            story.show_nodes()
            story.hello()
            story.failing()
            story.clean_up()
            story.product.stop()
            tell.heading("Ending it all")
    tell.say("Nothing is left running. `make up` keeps the same thing to play with.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="testbed.demo", description=__doc__)
    parser.add_argument("--up", action="store_true", help="install, and leave everything running")
    up() if parser.parse_args().up else demo()
