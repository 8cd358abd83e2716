"""The `bed` command."""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from testbed import tools
from testbed.apiserver import ApiError
from testbed.aws.client import ControlError
from testbed.bed import AlreadyUp, Bed, parse_factor, take_down
from testbed.controlplane import ApplyFailed
from testbed.nodetable import table
from testbed.processes import ProcessDied
from testbed.state import NotOurs, load
from testbed.waiting import TimedOut

DEFAULT_STATE = Path(os.environ.get("WINDLASS_BED_DIRECTORY") or tools.REPOSITORY / ".testbed")
CRDS = tools.REPOSITORY / "crds"


class Failed(Exception):
    """Ends the command with this message."""


EXPECTED = (Failed, AlreadyUp, ApplyFailed, NotOurs, tools.InstallFailed, ProcessDied, TimedOut, ControlError, ApiError, OSError)
"""Errors that need no traceback."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; answers the exit status."""
    options = parser().parse_args(arguments)
    try:
        options.run(options)
    except EXPECTED as error:
        print(f"bed: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="bed", description="Windlass's test bed: a Kubernetes control plane and an AWS endpoint, on loopback.")
    verbs = top.add_subparsers(required=True, metavar="VERB")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--state", type=Path, default=DEFAULT_STATE, metavar="DIR", help="the bed's directory (default: %(default)s)")

    verbs.add_parser("install", help="install every part into the cache").set_defaults(run=install)

    verb = verbs.add_parser("up", parents=[common], help="bring a bed up in the background, and print its kubeconfig and endpoint")
    verb.add_argument("--time-factor", type=parse_factor, default=1.0, metavar="F", help="virtual seconds per second (default: 1)")
    verb.add_argument("--no-aws", action="store_true", help="only the control plane")
    verb.add_argument("--no-control-plane", action="store_true", help="only the AWS endpoint")
    verb.add_argument("--crds", type=Path, metavar="PATH", help="apply this before the controller manager starts (default: crds/, if there)")
    verb.set_defaults(run=up)

    verbs.add_parser("down", parents=[common], help="end it; nothing but its logs stays").set_defaults(run=down)
    verbs.add_parser("status", parents=[common], help="say what runs; exit 1 unless all of it does").set_defaults(run=status)
    verbs.add_parser("env", parents=[common], help='print variables for a shell: eval "$(bed env)"').set_defaults(run=env)

    verb = verbs.add_parser("kubeconfig", parents=[common], help="print the path of a ServiceAccount's new kubeconfig, through the proxy")
    verb.add_argument("account", metavar="NAMESPACE/NAME")
    verb.add_argument("--direct", action="store_true", help="past the proxy")
    verb.set_defaults(run=kubeconfig)

    verb = verbs.add_parser("nodes", parents=[common], help="show the simulated nodes, or replace them")
    verb.add_argument("--edit", type=Path, metavar="FILE", help="a YAML or JSON list of nodes that takes the place of all")
    verb.add_argument("--output", "-o", choices=("table", "yaml", "json"), default="table")
    verb.set_defaults(run=nodes)

    verb = verbs.add_parser("fault", parents=[common], help="inject a fault into the AWS endpoint, or remove them all")
    verb.add_argument("kind", nargs="?", metavar="KIND", help="Throttle, ErrorBefore, ErrorAfter, ResetBefore, ResetAfter, Latency, LatencyAfter, Denied")
    verb.add_argument("service", nargs="?", default="*")
    verb.add_argument("operation", nargs="?", default="*")
    verb.add_argument("fields", nargs="*", metavar="NAME=VALUE", help="skip, count, seconds, status, code, caller …")
    verb.add_argument("--clear", action="store_true", help="remove all faults")
    verb.set_defaults(run=fault)

    verb = verbs.add_parser("calls", parents=[common], help="show which AWS calls were made, by whom and with what outcome")
    verb.add_argument("--clear", action="store_true", help="forget them afterwards")
    verb.set_defaults(run=calls)
    return top


def install(_: argparse.Namespace) -> None:
    """bed install"""
    tools.install()


def up(options: argparse.Namespace) -> None:
    """bed up"""
    bed = Bed.up(
        options.state,
        time_factor=options.time_factor,
        control_plane=not options.no_control_plane,
        aws=not options.no_aws,
        crds=options.crds or (CRDS if CRDS.is_dir() else None),
    )
    if bed.state.kubernetes:
        print(f"kubeconfig: {bed.admin_kubeconfig}")
        print(f"proxy:      {bed.proxy.url}")
    if bed.state.endpoint:
        print(f"endpoint:   {bed.endpoint}")
        print(f"control:    {bed.state.control}")


def down(options: argparse.Namespace) -> None:
    """bed down"""
    if not take_down(options.state):
        print(f"bed: none in {options.state}", file=sys.stderr)


def status(options: argparse.Namespace) -> None:
    """bed status"""
    found = load(options.state.resolve())
    if found is None:
        raise Failed(f"none in {options.state}")
    for process in found.processes:
        print(f"{process.name:<24} {process.pid:>8}  {'running' if process.alive() else 'ended'}  {process.log}")
    if not found.ready:
        raise Failed("it never came up whole: take it down")
    if ended := [process.name for process in found.processes if not process.alive()]:
        raise Failed(f"ended by itself: {', '.join(ended)}")
    print(f"virtual time runs {found.clock.factor:g} times as fast as ours")


def env(options: argparse.Namespace) -> None:
    """bed env"""
    for name, value in sorted(_find(options).environment().items()):
        print(f"export {name}={shlex.quote(value)}")


def kubeconfig(options: argparse.Namespace) -> None:
    """bed kubeconfig"""
    namespace, slash, name = options.account.partition("/")
    if not (namespace and slash and name):
        raise Failed(f"{options.account} is not NAMESPACE/NAME")
    print(_find(options).kubeconfig_for(name, namespace, via_proxy=not options.direct))


def nodes(options: argparse.Namespace) -> None:
    """bed nodes"""
    control = _find(options).control
    if options.edit:
        try:
            wanted = yaml.safe_load(options.edit.read_text())  # JSON is YAML
        except yaml.YAMLError as error:
            raise Failed(f"{options.edit}: {error}") from error
        if not isinstance(wanted, list):
            raise Failed(f"{options.edit} holds no list of nodes (`bed nodes -o yaml` prints one)")
        control.set_nodes(wanted)
    found = control.nodes()
    match options.output:
        case "json":
            print(json.dumps(found, indent=2))
        case "yaml":
            print(yaml.safe_dump(found, sort_keys=False, allow_unicode=True), end="")
        case _:
            print(table(found), end="")


def fault(options: argparse.Namespace) -> None:
    """bed fault"""
    control = _find(options).control
    if options.clear:
        control.clear_faults()
        return
    if not options.kind:
        raise Failed("say which KIND of fault (`bed fault --help`)")
    fields = {}
    for field in options.fields:
        name, sign, value = field.partition("=")
        if not sign:
            raise Failed(f"{field} is not NAME=VALUE")
        fields[name] = yaml.safe_load(value)
    print(control.fault(options.kind, options.service, options.operation, **fields))


def calls(options: argparse.Namespace) -> None:
    """bed calls"""
    control = _find(options).control
    for row in control.calls():
        print(f"{row['count']:>6}  {row['service']:<16} {row['operation']:<32} {row['outcome']:<28} {row['caller']}")
    if options.clear:
        control.clear_calls()


def _find(options: argparse.Namespace) -> Bed:
    bed = Bed.find(options.state)
    if bed is None:
        raise Failed(f"none is up in {options.state} (`bed up` brings one up)")
    return bed


if __name__ == "__main__":
    sys.exit(main())
