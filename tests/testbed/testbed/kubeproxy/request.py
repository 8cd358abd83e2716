"""What a request to the API server means, by the server's own rules.

Source: kubernetes/apiserver, pkg/endpoints/request/requestinfo.go.
"""

from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

WRITES = ("create", "update", "patch", "delete", "deletecollection")

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}
_TRUE = ("1", "true")


@dataclass(frozen=True)
class KubeRequest:
    """One request. `verb` is RBAC's; `resource` is group/resource[/subresource], with `core` for the group without a name, or the
    path when the request is for no resource. `namespace` and `name` are empty where the request has none."""

    verb: str
    resource: str
    namespace: str
    name: str
    user_agent: str

    @property
    def is_write(self) -> bool:
        """Whether it can change something."""
        return self.verb in WRITES


def parse(method: str, target: str, user_agent: str) -> KubeRequest:
    """Reads method and request target."""
    url = urlsplit(target)
    parts = [part for part in url.path.split("/") if part]
    if len(parts) >= 3 and parts[0] == "api":
        group, rest = "core", parts[2:]
    elif len(parts) >= 4 and parts[0] == "apis":
        group, rest = parts[1], parts[3:]
    else:
        return KubeRequest(method.lower(), url.path, "", "", user_agent)

    namespace = ""
    # /namespaces/NAME and its own subresources are about the namespace; anything longer is about something in it.
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    resource = rest[0]
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""

    verb = _VERBS.get(method, method.lower())
    if not name and verb == "get":
        watch = parse_qs(url.query, keep_blank_values=True).get("watch", ["false"])[0]
        verb = "watch" if watch in _TRUE else "list"
    elif not name and verb == "delete":
        verb = "deletecollection"
    return KubeRequest(verb, "/".join(filter(None, (group, resource, subresource))), namespace, name, user_agent)
