"""The commands of the bed's README, typed in order in one shell. `# → text` after a command is what it must print."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from testbed import tools

README = tools.ROOT / "README.md"


def commands(text: str) -> list[tuple[str, list[str]]]:
    """The commands of the sh blocks, each with what it must print. A command goes on while a quote, a here-document or a backslash does."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        pending: list[str] = []
        for line in block.splitlines():
            if line.startswith("# → "):
                found[-1][1].append(line.removeprefix("# → "))
                continue
            pending.append(line)
            if _is_whole("\n".join(pending)):
                found.append(("\n".join(pending), []))
                pending = []
        assert not pending, pending
    return found


def _is_whole(text: str) -> bool:
    if text.endswith("\\") or subprocess.run(["bash", "-n", "-c", text], capture_output=True, check=False).returncode:
        return False
    document = re.search(r"<<'(\w+)'", text)
    return document is None or text.endswith(f"\n{document[1]}")


@pytest.fixture
def folder(tmp_path: Path):
    """A folder that looks like the repository from its root, and whose bed is ended whatever happens."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "testbed").symlink_to(tools.ROOT)
    yield tmp_path
    subprocess.run([tools.ROOT / "bed", "down", "--state", tmp_path / "bed"], check=False)


def test_the_readme_works_as_it_is_typed(folder: Path):
    typed = commands(README.read_text())
    assert len(typed) > 15
    script = ["set -uo pipefail"]
    for number, (command, _) in enumerate(typed):
        script.append(f"{{\n{command}\n}} >out.{number} 2>&1 || {{ echo {number}; exit 1; }}")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "KUBE", "WINDLASS_CLOCK", "WINDLASS_BED"))
    } | {"WINDLASS_BED_DIRECTORY": str(folder / "bed")}
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    outputs = [(folder / f"out.{number}").read_text() if (folder / f"out.{number}").exists() else "" for number in range(len(typed))]
    assert done.returncode == 0, f"{typed[int(done.stdout)][0]}\n{outputs[int(done.stdout)]}"
    for (command, expected), output in zip(typed, outputs, strict=True):
        for text in expected:
            assert text in output, f"{command}\nprints\n{output}"
