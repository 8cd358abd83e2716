"""The account and Region that a call is made in, and the ARNs that follow from them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Where:
    """Where a call is made."""

    account: str
    region: str
    partition: str = "aws"

    def arn(self, service: str, resource: str, *, regional: bool = True) -> str:
        """The ARN of a resource of this account."""
        return f"arn:{self.partition}:{service}:{self.region if regional else ''}:{self.account}:{resource}"


def tag_context(kind: str, tags: dict[str, str]) -> dict[str, object]:
    """Condition keys for tags: kind is `aws:RequestTag`, `aws:ResourceTag`, `ssm:resourceTag` …; with aws:TagKeys for request tags."""
    context: dict[str, object] = {f"{kind}/{name}": value for name, value in tags.items()}
    if kind == "aws:RequestTag" and tags:
        context["aws:TagKeys"] = list(tags)
    return context


def tags_of(items: list[dict] | None, key: str = "Key", value: str = "Value") -> dict[str, str]:
    """A tag list as a mapping."""
    return {item[key]: item.get(value, "") for item in items or []}
