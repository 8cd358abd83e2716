"""Somebody who reads the documents and types what they say."""

import difflib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from docblocks import REPOSITORY, Command, blocks

from testbed.bed import Bed
from testbed.demo import BROKEN_RULE, NODES
from testbed.product import Product, binary

TIME_FACTOR = 20.0


class Reader:
    """Somebody who reads the documents and types what they say, in a folder that looks like the repository."""

    def __init__(self, bed: Bed, folder: Path) -> None:
        self.bed = bed
        self.folder = folder
        self.product = Product(bed, cluster_id="prod")
        tools = folder / "bin"
        tools.mkdir()
        (tools / "windlass").symlink_to(binary())
        for entry in REPOSITORY.iterdir():
            if not entry.name.startswith("."):
                (folder / entry.name).symlink_to(entry)
        variables = bed.environment()
        self.environment = {**os.environ, **variables, "PATH": f"{tools}{os.pathsep}{variables['PATH']}"}

    def type(self, command: Command, place: str) -> None:
        """Types a command. It must succeed, or exit with what a comment behind it says (`# exits 1`), and print what the document says."""
        shell = ["bash", "-euo", "pipefail", "-c", command.text]
        result = subprocess.run(
            shell, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240, check=False
        )
        exits = re.search(r"# exits (\d+)$", command.text)
        code = int(exits[1]) if exits else 0
        assert result.returncode == code, f"{place}: $ {command.text}\nexits {result.returncode}\n{result.stdout}\n{self.log()}"
        if command.output is not None:
            wanted, got = plain(command.output), plain(result.stdout)
            difference = "\n".join(difflib.unified_diff(wanted, got, "the document", "the program", lineterm=""))
            assert wanted == got, f"{place}: $ {command.text}\n{difference}\n\nall that it printed:\n{result.stdout}\n{self.log()}"
        self.after(command.text)

    def after(self, command: str) -> None:
        """What a cluster does by itself: the Deployment that was just installed runs."""
        if "helm install windlass " in command:
            # The account's manifest says nothing of an endpoint, as that of a real account does not: the SDK's own variable leads to the bed.
            self.product.start(environment={"AWS_ENDPOINT_URL": self.bed.endpoint})

    def log(self) -> str:
        """The controller's last lines."""
        return self.product.log_tail(8)


def plain(text: str) -> list[str]:
    """Lines without what differs from run to run: ages, ids, the width of columns."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", text)
    text = re.sub(r"(?<=\s)\d+[smhd](\d+[smh])?(?=\s|$)", "AGE", text)
    return [" ".join(line.split()) for line in text.strip().splitlines()]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader before an empty cluster, an AWS account as a platform team left it, and five nodes of which one is broken."""
    with Bed.up(tmp_path_factory.mktemp("docs"), time_factor=TIME_FACTOR, end_with_parent=True) as bed:
        broken = {"WEB-03": [BROKEN_RULE]}
        bed.control.set_nodes([{**node, "rules": [*broken.get(node["computerName"], []), *node["rules"]]} for node in NODES])
        reader = Reader(bed, tmp_path_factory.mktemp("reader"))
        prepare_account(bed)
        yield reader
        reader.product.stop()


def prepare_account(bed: Bed) -> None:
    """The permissions boundary is the one that docs/security.md gives, so all that runs here runs under it."""
    document = next(block for block in blocks(REPOSITORY / "docs/security.md") if block.mark == "the boundary that the tests run under")
    bed.boto3("iam").create_policy(PolicyName="org-boundary", PolicyDocument=document.text)
