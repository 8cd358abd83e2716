"""The control endpoint: plain HTTP and JSON on its own loopback port, for whoever arranges the world of a test.

GET /health · GET /clock · GET PUT /nodes · PUT DELETE /nodes/{id} · GET POST DELETE /faults · DELETE /faults/{id} · GET DELETE /calls ·
GET /calls/log?since=n · GET POST /eventual · GET POST /buckets · GET POST DELETE /lags · GET POST /quotas · GET POST /sessions · GET /issuer · POST /issuer/tokens · POST /iam/keep ·
POST /reset. Errors are {"error": text} with 400, 404 or 500.
"""

import json
import threading
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from testbed.aws import calls, eventual, faults, issuer, quotas, reset
from testbed.aws.buckets import BUCKETS
from testbed.aws.lags import LAGS
from testbed.aws.patches import sessions
from testbed.aws.settings import CLOCK


class NotFound(Exception):
    """The path names nothing."""


def health(_query: dict, _body: object) -> dict:
    """503 until LocalStack answers."""
    from localstack.runtime import events

    return {"status": "ready" if events.infra_ready.is_set() else "starting"}


def clock(_query: dict, _body: object) -> dict:
    """The virtual clock."""
    return {"epoch": CLOCK.epoch, "factor": CLOCK.factor, "now": CLOCK.now()}


def node_table():
    """The provider's table of simulated nodes."""
    from testbed.aws.ssm import nodes

    return nodes.TABLE


def list_nodes(_query: dict, _body: object) -> list[dict]:
    """Every node, as it was put."""
    return node_table().all()


def replace_nodes(_query: dict, body: list[dict]) -> dict:
    """Replaces all nodes."""
    node_table().replace(body)
    return {"nodes": len(body)}


def put_node(_query: dict, body: dict, node_id: str) -> dict:
    """Adds or replaces one node."""
    node_table().put({**body, "id": node_id})
    return {"id": node_id}


def delete_node(_query: dict, _body: object, node_id: str) -> dict:
    """Removes one node."""
    if not node_table().delete(node_id):
        raise NotFound(node_id)
    return {"id": node_id}


def add_fault(_query: dict, body: dict) -> dict:
    """Adds a fault."""
    return {"id": faults.FAULTS.add(body).id}


def delete_fault(_query: dict, _body: object, fault_id: str) -> dict:
    """Removes one fault."""
    if not faults.FAULTS.remove(fault_id):
        raise NotFound(fault_id)
    return {"id": fault_id}


def call_log(query: dict, _body: object) -> list[dict]:
    """The calls after number `since`."""
    return calls.LOG.since(int(query.get("since", ["0"])[0]))


def describe_issuer(_query: dict, _body: object) -> dict:
    """The bed's OpenID Connect issuer; it starts now if nobody has asked before."""
    found = issuer.issuer()
    return {"url": found.url, "thumbprint": found.thumbprint}


def done(action: Callable[[], object]) -> Callable[[dict, object], dict]:
    """A route that does something and answers {}."""

    def route(_query: dict, _body: object) -> dict:
        action()
        return {}

    return route


ROUTES: dict[tuple[str, str], Callable] = {
    ("GET", "/health"): health,
    ("GET", "/clock"): clock,
    ("GET", "/nodes"): list_nodes,
    ("PUT", "/nodes"): replace_nodes,
    ("PUT", "/nodes/*"): put_node,
    ("DELETE", "/nodes/*"): delete_node,
    ("GET", "/faults"): lambda _query, _body: faults.FAULTS.all(),
    ("POST", "/faults"): add_fault,
    ("DELETE", "/faults"): done(faults.FAULTS.clear),
    ("DELETE", "/faults/*"): delete_fault,
    ("GET", "/calls"): lambda _query, _body: calls.LOG.counts(),
    ("GET", "/calls/log"): call_log,
    ("DELETE", "/calls"): done(calls.LOG.clear),
    ("GET", "/eventual"): lambda _query, _body: eventual.current(),
    ("POST", "/eventual"): lambda _query, body: eventual.change(body),
    ("GET", "/quotas"): lambda _query, _body: quotas.current(),
    ("POST", "/quotas"): lambda _query, body: quotas.change(body),
    ("GET", "/buckets"): lambda _query, _body: BUCKETS.describe(),
    ("POST", "/buckets"): lambda _query, body: BUCKETS.change(**body),
    ("GET", "/lags"): lambda _query, _body: LAGS.all(),
    ("POST", "/lags"): lambda _query, body: LAGS.set(faults.service_name(body["service"]), body["operation"], body["seconds"]),
    ("DELETE", "/lags"): done(LAGS.clear),
    ("GET", "/sessions"): lambda _query, _body: sessions.change({}),
    ("POST", "/sessions"): lambda _query, body: sessions.change(body),
    ("GET", "/issuer"): describe_issuer,
    ("POST", "/issuer/tokens"): lambda _query, body: {"token": issuer.issuer().token(body["claims"], body.get("forged", False))},
    ("POST", "/iam/keep"): done(reset.keep_iam),
    ("POST", "/reset"): done(reset.reset),
}


def dispatch(method: str, target: str, body: object) -> object:
    """Finds the route of a request and runs it. Raises NotFound, or what the route raises."""
    parts = urlsplit(target)
    query = parse_qs(parts.query)
    route = ROUTES.get((method, parts.path))
    if route is not None:
        return route(query, body)
    head, _, tail = parts.path.rpartition("/")
    route = ROUTES.get((method, f"{head}/*"))
    if route is None or not tail:
        raise NotFound(f"{method} {parts.path}")
    return route(query, body, unquote(tail))


class Handler(BaseHTTPRequestHandler):
    """Speaks HTTP for `dispatch`."""

    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        status, answer = self._answer()
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _answer(self) -> tuple[int, object]:
        try:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = dispatch(self.command, self.path, json.loads(raw) if raw else None)
            return (503 if answer == {"status": "starting"} else 200), answer
        except NotFound as error:
            return 404, {"error": f"not found: {error}"}
        except (KeyError, TypeError, ValueError) as error:
            return 400, {"error": f"{type(error).__name__}: {error}"}
        except Exception:
            return 500, {"error": traceback.format_exc()}

    do_GET = do_POST = do_PUT = do_DELETE = _serve

    def log_message(self, _format: str, *_arguments: object) -> None:
        """Requests are not logged."""


def serve(port: int) -> ThreadingHTTPServer:
    """Serves on 127.0.0.1:port in a thread of its own."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="control-endpoint", daemon=True).start()
    return server
