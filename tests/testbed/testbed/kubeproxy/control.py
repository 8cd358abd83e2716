"""The proxy's control endpoint: plain HTTP with JSON.

GET /health · GET, DELETE /counts · GET /log?since=N · GET, POST, DELETE /rules · DELETE /rules/ID · GET /held ·
POST /held/ID/release · POST /held/ID/drop
"""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import h11

from testbed.kubeproxy.rules import BadRule, Ledger
from testbed.kubeproxy.wire import Disconnected, Peer


class Refused(Exception):
    """Answered with `status` and the message."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


async def serve(client: Peer, ledger: Ledger) -> None:
    """Serves one client connection until it ends."""
    try:
        while (message := await client.request()) is not None:
            head, body = message
            try:
                status, answer = 200, route(ledger, head.method.decode(), head.target.decode(), body)
            except Refused as refusal:
                status, answer = refusal.status, {"message": str(refusal)}
            content = json.dumps(answer).encode()
            headers = [("Content-Type", "application/json"), ("Content-Length", str(len(content)))]
            response = h11.Response(status_code=status, headers=headers)
            await client.send(response, h11.Data(data=content), h11.EndOfMessage())
            if not client.next_cycle():
                break
    except (Disconnected, OSError, h11.ProtocolError):
        pass
    finally:
        client.close()


def route(ledger: Ledger, method: str, target: str, body: bytes) -> Any:
    """Carries out one request and answers what to send. Raises Refused."""
    url = urlsplit(target)
    match method, url.path.strip("/").split("/"):
        case "GET", ["health"]:
            return {"status": "ready"}
        case "GET", ["counts"]:
            return [
                {"verb": verb, "resource": resource, "userAgent": agent, "code": code, "count": count}
                for (verb, resource, agent, code), count in sorted(ledger.counts.items(), key=str)
            ]
        case "DELETE", ["counts"]:
            ledger.clear_counts()
            return {}
        case "GET", ["log"]:
            since = _whole(parse_qs(url.query).get("since", ["0"])[0])
            return [entry for entry in ledger.log if entry["n"] > since]
        case "GET", ["rules"]:
            return [vars(rule) for rule in ledger.rules.values()]
        case "POST", ["rules"]:
            return {"id": _add_rule(ledger, body)}
        case "DELETE", ["rules"]:
            ledger.rules.clear()
            return {}
        case "DELETE", ["rules", rule]:
            if ledger.rules.pop(rule, None) is None:
                raise Refused(404, f"no rule {rule}")
            return {}
        case "GET", ["held"]:
            return [held.describe() for held in ledger.held.values()]
        case "POST", ["held", held, "release" | "drop" as verdict]:
            if held not in ledger.held:
                raise Refused(404, f"nothing is held as {held}")
            ledger.held.pop(held).released.set_result(verdict == "release")
            return {}
        case _:
            raise Refused(404, f"no {method} {url.path}")


def _add_rule(ledger: Ledger, body: bytes) -> str:
    try:
        fields = json.loads(body)
        if not isinstance(fields, dict):
            raise BadRule("a rule is a JSON object")
        return ledger.add_rule(fields)
    except ValueError as error:
        raise Refused(400, str(error)) from error


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Refused(400, f"since must be a number, not {text}") from None
