"""A small client of a Kubernetes API server, as the administrator or with a token."""

import http.client
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path

from testbed.identity import KeyPair


class ApiError(Exception):
    """The API server refused. `status` is HTTP's, `reason` the Status object's."""

    def __init__(self, status: int, reason: str, message: str):
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason


class ApiServer:
    """JSON requests to one API server."""

    def __init__(self, url: str, ca: Path, *, client: KeyPair | None = None, token: str | None = None, user_agent: str = "testbed"):
        self.url = url.rstrip("/")
        context = ssl.create_default_context(cafile=str(ca))
        if client:
            context.load_cert_chain(client.certificate, client.key)
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        self._headers = {"User-Agent": user_agent, "Accept": "application/json, */*;q=0.5"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def request(self, method: str, path: str, body: object = None, content_type: str = "application/json") -> dict:
        """Sends a request and answers the object. Raises ApiError when refused, OSError when nobody answers."""
        with self.open(method, path, body, content_type) as response:
            return json.load(response)

    def open(
        self, method: str, path: str, body: object = None, content_type: str = "application/json", timeout: float = 30
    ) -> http.client.HTTPResponse:
        """The same, and answers the open response: for watches and plain text."""
        data = None if body is None else json.dumps(body).encode()
        headers = {**self._headers, "Content-Type": content_type}
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)
        try:
            return self._opener.open(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            raise _api_error(error.code, error.read()) from error

    def healthy(self, path: str) -> bool:
        """Whether a health path answers 200."""
        try:
            with self.open("GET", path, timeout=5):
                return True
        except (OSError, ApiError, http.client.HTTPException):
            return False

    def token(self, namespace: str, service_account: str, expiration_seconds: int = 86_400) -> str:
        """A token of that ServiceAccount by the TokenRequest API. Raises ApiError 404 when there is no such account."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": expiration_seconds},
        }
        return self.request("POST", path, request)["status"]["token"]


def _api_error(status: int, body: bytes) -> ApiError:
    try:
        answer = json.loads(body)
        return ApiError(status, answer.get("reason", ""), answer.get("message", ""))
    except (ValueError, AttributeError):
        return ApiError(status, "", body.decode(errors="replace"))
