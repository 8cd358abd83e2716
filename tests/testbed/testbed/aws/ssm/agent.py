"""The agent on one node: works through a document's steps, and tells the service.

Source: amazon-ssm-agent, ``agent/framework/runpluginutil`` (RunPlugins), ``agent/plugins/pluginutil`` (GetStatus,
ValidateExecutionTimeout), ``agent/framework/processor`` (processInProgressDocuments: CommandRetryLimit),
``agent/contracts/aggregator.go``.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from . import plugins, preconditions, uploads
from .arguments import substitute
from .content import Step
from .nodes import Node, Rule
from .patching.operation import Operation
from .records import Command, Invocation, Plugin

if TYPE_CHECKING:
    from .model import Account

#: Exit code with which a script asks the agent to restart the machine and *run the script again*.
REBOOT_CODE = {"Windows": 3010, "Linux": 194}
#: Exit code that the agent notes for a script that it stopped (timeout, cancel).
STOPPED_CODE = {"Windows": -1, "Linux": 137}
#: Exit codes of a script that end the document (newer agents).
EXIT_SUCCESS, EXIT_FAILURE = 168, 169
#: How often the agent resumes a document after it came up again, before it gives up without a word.
COMMAND_RETRY_LIMIT = 15
#: Seconds; outside of the bounds the agent takes the default.
DEFAULT_TIMEOUT, MIN_TIMEOUT, MAX_TIMEOUT = 3_600, 5, 172_800


def timeout_of(inputs: dict) -> int:
    """The execution timeout of a step, as the agent reads it."""
    try:
        seconds = int(float(inputs.get("timeoutSeconds", DEFAULT_TIMEOUT)))
    except (TypeError, ValueError):
        return DEFAULT_TIMEOUT
    return seconds if MIN_TIMEOUT <= seconds <= MAX_TIMEOUT else DEFAULT_TIMEOUT


def script(step: Step, arguments: dict[str, object]) -> str:
    """What the rules of a node are matched against: the script, or the inputs of another plugin, as the agent has it."""
    inputs = substitute(step.inputs, arguments)
    return plugins.script_of(inputs) if step.plugin in plugins.SCRIPTS else str(inputs)


class Run:
    """One document on one node, from delivery to the agent's last word."""

    def __init__(self, account: "Account", command: Command, invocation: Invocation, ended: Callable[[], None]):
        self._account, self._fleet, self._scheduler = account, account.system.fleet, account.system.scheduler
        self._command, self._invocation, self._ended = command, invocation, ended
        self._steps = command.content.steps
        self._index = 0
        self._resumes = 0
        self._runs = [0] * len(self._steps)
        self._generation = 0  # what was scheduled before an interruption no longer counts

    def begin(self, node: Node) -> None:
        """The agent has the document; it starts ``latency`` later."""
        self._fleet.enter(node.id, self)
        self._soon(node.latency, self._next)

    def interrupt(self) -> None:
        """The machine goes down: what was under way is lost."""
        self._generation += 1

    def resume(self) -> None:
        """The agent is up again: the step under way runs from its beginning, unless it did so too often.

        Past the limit the agent drops the document and reports nothing: the service times the delivery out.
        """
        if self._invocation.done:
            return self.abandon()
        if self._resumes >= COMMAND_RETRY_LIMIT:
            return self.abandon()
        self._resumes += 1
        if self._invocation.details == "Cancelling":
            return self.cancel()
        return self._next()

    def cancel(self) -> None:
        """The service's cancel has reached the agent: the script is killed, later steps do not start."""
        if self._invocation.done:
            return
        self._generation += 1
        for index, plugin in enumerate(self._invocation.plugins):
            if not plugin.done:
                running = index == self._index and plugin.started is not None
                plugin.code = STOPPED_CODE[self._node.platform] if running and self._node else 1
                plugin.details, plugin.ended = "Cancelled", self._scheduler.now()
        self._report()

    @property
    def _node(self) -> Node | None:
        return self._fleet.node(self._invocation.node_id)

    def _soon(self, seconds: float, action: Callable[[], None]) -> None:
        generation = self._generation

        def unless_interrupted() -> None:
            if generation == self._generation and not self._invocation.done:
                action()

        self._scheduler.after(seconds, unless_interrupted)

    def _next(self) -> None:
        if self._index == len(self._steps):
            return self._report()
        step, plugin = self._steps[self._index], self._invocation.plugins[self._index]
        node = self._node
        if node is None:
            return None  # deregistered while it ran: nothing more is heard of it
        if self._left_early():
            return self._done(
                plugin,
                "Success",
                0,
                message=f"Plugin with name {step.plugin} and id {step.name} skipped due to prior step with an exit condition",
            )
        decision = preconditions.decide(step, self._command.content.schema, node.platform, self._command.arguments)
        if decision.operation == "skip":
            return self._done(plugin, "Success", 0, message=decision.message)
        if decision.operation == "fail":
            return self._done(plugin, "Failed", 1, message=decision.message)
        return self._execute(step, plugin, node)

    def _execute(self, step: Step, plugin: Plugin, node: Node) -> None:
        plugin.details = "InProgress"
        plugin.started = plugin.started or self._scheduler.now()
        try:
            text = script(step, self._command.arguments)
        except ValueError as malformed:
            return self._done(plugin, "Failed", 1, stderr=str(malformed))
        if step.plugin == plugins.POWERSHELL and not node.powershell:
            missing = "failed to run commands: fork/exec /usr/bin/pwsh: no such file or directory"
            return self._done(plugin, "Failed", 1, stderr=missing)
        self._runs[self._index] += 1
        rule = node.rule_for(text)
        if rule.times is not None:
            rule.times -= 1
        timeout = timeout_of(substitute(step.inputs, self._command.arguments))
        if rule.match == "" and (operation := self._account.patching.operation(node, self._command, plugin.started)):
            return self._patch(plugin, operation, timeout, node)
        if rule.outcome == "TerminatedDuringRun":
            return self._soon(rule.duration, self._terminated)
        if rule.outcome == "RebootDuringRun":
            return self._soon(rule.duration, lambda: self._fleet.restart(node.id, rule.comes_back))
        if rule.outcome == "Hang" or rule.duration > timeout:
            return self._soon(timeout, lambda: self._timed_out(plugin, rule, node))
        return self._soon(rule.duration, lambda: self._exited(plugin, rule, node))

    def _patch(self, plugin: Plugin, operation: Operation, timeout: float, node: Node) -> None:
        """The script of AWS-RunPatchBaseline."""
        if operation.seconds > timeout:
            return self._soon(timeout, lambda: self._timed_out(plugin, Rule(outcome="Hang"), node))

        def finish() -> None:
            code, stdout, stderr = operation.finish()
            self._exited(plugin, Rule(exit_code=code, stdout=stdout, stderr=stderr), node)

        return self._soon(operation.seconds, finish)

    def _exited(self, plugin: Plugin, rule: Rule, node: Node) -> None:
        """The script ended by itself."""
        if rule.reboot is not None:
            self._scheduler.after(rule.reboot, lambda: self._fleet.restart(node.id, rule.comes_back))
        stdout, stderr, code = self._fill(rule.stdout, node), self._fill(rule.stderr, node), rule.exit_code
        if code == REBOOT_CODE[node.platform]:
            # The output of a run that asks for a restart stays in the console file, and the next run adds to it.
            plugin.stdout, plugin.stderr = plugin.stdout + stdout, plugin.stderr + stderr
            return self._fleet.restart(node.id, rule.comes_back)
        if code in (0, EXIT_SUCCESS):
            if code == EXIT_SUCCESS:
                stderr = ""
                stdout += "\nStep exited with code 168. Therefore, marking step as succeeded. Further document steps will be skipped."
            return self._done(plugin, "Success", code, stdout, stderr)
        return self._failed(plugin, code, stdout, f"{stderr}failed to run commands: exit status {code}")

    def _failed(self, plugin: Plugin, code: int, stdout: str, stderr: str) -> None:
        on_failure = str(self._steps[self._index].inputs.get("onFailure", ""))
        remark = ""
        if code == EXIT_FAILURE:
            remark = "\nStep exited with code 169. Therefore, marking step as Failed. Further document steps will be skipped."
        elif on_failure in ("exit", "successAndExit"):
            remark = "\nStep was found to have onFailure property. Further document steps will be skipped."
        if on_failure == "successAndExit" and code != EXIT_FAILURE:
            return self._done(plugin, "Success", EXIT_SUCCESS, stdout + remark, stderr + remark)
        return self._done(plugin, "Failed", code, stdout + remark, stderr + remark)

    def _timed_out(self, plugin: Plugin, rule: Rule, node: Node) -> None:
        """The agent stopped the script at its execution timeout."""
        written = self._fill(rule.stdout, node) if rule.outcome == "Exit" else ""
        self._done(plugin, "ExecutionTimedOut", STOPPED_CODE[node.platform], written)

    def _terminated(self) -> None:
        """The machine is gone; its agent says nothing more."""
        if node := self._node:
            node.ping = "ConnectionLost"
        self.abandon()

    def _done(self, plugin: Plugin, details: str, code: int, stdout: str = "", stderr: str = "", message: str = "") -> None:
        now = self._scheduler.now()
        plugin.details, plugin.code, plugin.message = details, code, message
        plugin.stdout, plugin.stderr = plugin.stdout + stdout, plugin.stderr + stderr
        plugin.started, plugin.ended = plugin.started or now, now
        uploads.store(self._account, self._command, self._invocation, self._steps[self._index], plugin)
        self._index += 1
        self._next()

    def _report(self) -> None:
        """The agent's last word; while it cannot reach the service, it keeps it."""
        node = self._node
        if node is None:
            return
        if not node.online:
            self._fleet.when_changed(node.id, self._report)
            return
        self.abandon()
        if not self._invocation.done:
            self._invocation.details = aggregate(self._invocation.plugins)
            self._ended()

    def abandon(self) -> None:
        """Nothing more comes of it."""
        self._generation += 1
        self._fleet.leave(self._invocation.node_id, self)

    def _left_early(self) -> bool:
        """Whether an earlier step ended the document, and this is no final step that runs nevertheless."""
        own = self._steps[self._index].inputs.get("finallyStep")
        if str(own).lower() == "true" and self._index == len(self._steps) - 1:
            return False
        return any(self._ends_document(i) for i in range(self._index))

    def _ends_document(self, index: int) -> bool:
        plugin, inputs = self._invocation.plugins[index], self._steps[index].inputs
        return (
            plugin.code in (EXIT_SUCCESS, EXIT_FAILURE)
            or (plugin.details == "Failed" and inputs.get("onFailure") == "exit")
            or (plugin.details == "Success" and not plugin.message and inputs.get("onSuccess") == "exit")
        )

    def _fill(self, text: str, node: Node) -> str:
        """Puts the node's own facts into a rule's output."""
        facts = {
            "computerName": node.computer_name,
            "nodeId": node.id,
            "commandId": self._command.id,
            "bootTime": f"{node.boot_time:.3f}",
            "bootTimeIso": f"{datetime.fromtimestamp(node.boot_time, UTC):%Y-%m-%dT%H:%M:%S}Z",
            "now": f"{self._scheduler.now():.3f}",
            "runs": str(self._runs[self._index]),
        }
        return re.sub(r"\$\{(\w+)\}", lambda m: facts.get(m[1], m[0]), text)


def aggregate(done: list[Plugin]) -> str:
    """The invocation's StatusDetails from its steps': Failed before TimedOut before Cancelled before Success."""
    states = {plugin.details for plugin in done}
    for state in ("Failed", "ExecutionTimedOut", "Cancelled"):
        if state in states:
            return state
    return "Success"
