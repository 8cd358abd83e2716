"""What the documents tell people to type is typed here, in order, and prints what they say.

A block of commands that cannot run here says what it needs in a comment above it: `<!-- needs: an AWS account -->`. One that CI runs by itself says
`<!-- run by .ci/run -->`. Every other one is run.
"""

import json
import re
from pathlib import Path
from typing import Any

from docblocks import REPOSITORY, Block, all_blocks, blocks, commands, documents, manifests

COMMANDS = ("sh", "console")
ELSEWHERE = "run by .ci/run"
PLAIN = {"", "text", "yaml", "json", *COMMANDS}


def to_type(document: Path) -> list[Block]:
    """The blocks of a document that are typed here."""
    found = [block for block in blocks(document) if block.language in COMMANDS]
    return [block for block in found if not (block.mark and (block.mark == ELSEWHERE or block.mark.startswith("needs: ")))]


def test_every_command_runs_and_prints_what_the_documents_say(reader: Any) -> None:
    for document in documents():
        for block in to_type(document):
            for command in commands(block):
                reader.type(command, block.place)


def test_manifests_are_accepted_by_the_api_server(reader: Any) -> None:
    """Strictly, by a dry run against the real one, which has the kinds by now."""
    found = list(manifests())
    assert found
    for block in found:
        result = reader.product.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=block.text, check=False)
        assert result.returncode == 0, f"{block.place}: {result.stderr}"


def test_the_role_that_is_shown_is_the_one_that_was_made(reader: Any) -> None:
    shown = {block.mark: json.loads(block.text) for block in blocks(REPOSITORY / "docs/security.md") if block.language == "json"}
    iam, name = reader.bed.boto3("iam"), "windlass_prod_ops_disk-report"
    (policy,) = iam.list_role_policies(RoleName=name)["PolicyNames"]
    assert shown["policy of examples/hello"] == iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    assert shown["trust of examples/hello"] == iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]


def test_metrics_that_the_program_exposes_are_listed(reader: Any) -> None:
    """Those that have had something to count by now; all of them are compared with the sources elsewhere."""
    exposed = set(re.findall(r"^(windlass_\w+?)(?:_bucket|_sum|_count)?[{ ]", reader.product.metrics(), re.MULTILINE))
    listed = set(re.findall(r"^\| `(windlass_\w+)` \|", (REPOSITORY / "docs/operations.md").read_text(), re.MULTILINE))
    assert len(exposed) > 5
    assert exposed <= listed


def test_marks_are_known() -> None:
    for block in all_blocks(*COMMANDS):
        known = block.mark is None or block.mark == ELSEWHERE or re.fullmatch(r"needs: .+", block.mark)
        assert known, f"{block.place}: no such mark: {block.mark}"


def test_languages_are_known() -> None:
    """A block of commands in another language than those above would not be run by anybody."""
    for document in documents():
        for block in blocks(document):
            assert block.language in PLAIN, f"{block.place}: {block.language}"


def test_what_ci_runs_is_what_the_documents_say() -> None:
    script = (REPOSITORY / ".ci/run").read_text().splitlines()
    for block in all_blocks(*COMMANDS):
        if block.mark == ELSEWHERE:
            for line in block.text.splitlines():
                assert line.split("#")[0].strip() in script, f"{block.place}: .ci/run does not run {line}"
