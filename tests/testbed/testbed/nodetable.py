"""The simulated nodes as a table for people."""

HEADINGS = ("ID", "COMPUTER", "PLATFORM", "PING", "AGENT", "IP", "TAGS", "RULES")


def table(nodes: list[dict]) -> str:
    """One line per node under a line of headings, in columns."""
    rows = [HEADINGS, *(_row(node) for node in nodes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines) + "\n"


def _row(node: dict) -> tuple[str, ...]:
    tags = ",".join(f"{key}={value}" for key, value in sorted(node.get("tags", {}).items()))
    plain = (str(node.get(field, "")) for field in ("id", "computerName", "platform", "ping", "agentVersion", "ip"))
    return (*plain, tags, str(len(node.get("rules", []))))
