"""The fenced blocks and links of Markdown documents, as far as the tests read them.

A comment on the line above a block says what is particular about it: `<!-- needs: … -->` for commands that cannot run on the test bed, `<!-- run by .ci/run -->`,
`<!-- part of a WindowsWorkflow -->` for YAML that is no whole manifest.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^```(\w*)\s*$")
_MARK = re.compile(r"^<!-- (.+) -->$")
_LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$")


@dataclass(frozen=True)
class Block:
    """A fenced block. `mark` is the text of an HTML comment on the line above it, if there is one; `line` is that of its fence, from 1."""

    document: Path
    line: int
    language: str
    mark: str | None
    text: str

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.document.relative_to(REPOSITORY)}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A command, and what the document says that it prints; None where it says nothing of that."""

    text: str
    output: str | None


def documents() -> list[Path]:
    """README first, then docs/ in order."""
    return [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def blocks(document: Path) -> list[Block]:
    """The blocks of a document, in order. Raises ValueError when one is never closed."""
    found: list[Block] = []
    start: int | None = None
    language, mark, body = "", None, []
    lines = document.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        if start is not None:
            if line == "```":
                found.append(Block(document, start, language, mark, "\n".join(body) + "\n"))
                start = None
            else:
                body.append(line)
        elif fence := _FENCE.match(line):
            above = _MARK.match(lines[number - 2]) if number > 1 else None
            start, language, mark, body = number, fence[1], above and above[1], []
    if start is not None:
        raise ValueError(f"{document}:{start}: this block is never closed")
    return found


def all_blocks(*languages: str) -> Iterator[Block]:
    """The blocks of all documents in these languages."""
    for document in documents():
        yield from (block for block in blocks(document) if block.language in languages)


def manifests() -> Iterator[Block]:
    """The YAML blocks that are whole manifests."""
    return (block for block in all_blocks("yaml") if not part_of(block))


def part_of(block: Block) -> str | None:
    """The kind that a block of YAML is a part of; None where it is a whole manifest."""
    match = re.fullmatch(r"part of an? (\w+)", block.mark or "")
    return match and match[1]


def commands(block: Block) -> list[Command]:
    """The commands of a block: a `sh` block is one command, a `console` block has them behind `$`, each with its output below it."""
    if block.language == "sh":
        return [Command(block.text, None)]
    found: list[Command] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:], ""))
        elif found:
            found[-1] = Command(found[-1].text, f"{found[-1].output}{line}\n")
        else:
            raise ValueError(f"{block.place}: a console block begins with a command behind $")
    return found


def links(document: Path) -> list[str]:
    """Targets of the links outside of fenced blocks."""
    outside, fenced = [], False
    for line in document.read_text().splitlines():
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            outside.append(line)
    return _LINK.findall("\n".join(outside))


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives a document's headings."""
    found, fenced = set(), False
    for line in document.read_text().splitlines():
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced and (heading := _HEADING.match(line)):
            text = re.sub(r"[^\w\- ]", "", heading[1].replace("`", "").lower())
            found.add(text.strip().replace(" ", "-"))
    return found
