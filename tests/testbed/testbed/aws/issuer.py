"""A small OpenID Connect issuer of the bed: it signs whatever claims a test asks for, AWS session tags among them, which kube-apiserver's tokens
cannot carry. It serves its discovery document and keys over TLS, as IAM wants them (docs.aws.amazon.com/IAM/latest/UserGuide/
id_roles_providers_create_oidc.html), and starts when it is first asked for.
"""

import hashlib
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from joserfc import jwt
from joserfc.jwk import RSAKey

from testbed import identity
from testbed.aws import settings
from testbed.aws.settings import CLOCK

AUDIENCE = "sts.amazonaws.com"
LIFETIME_SECONDS = 3600.0


class Issuer:
    """One issuer, on a port of its own."""

    def __init__(self) -> None:
        authority = identity.create(settings.state_directory() / "issuer")
        chain = settings.state_directory() / "issuer" / "chain.crt"
        chain.write_bytes(authority.server.certificate.read_bytes() + authority.ca.read_bytes())
        self._key = RSAKey.import_key(authority.service_account_key.read_text(), {"kid": "bed", "use": "sig", "alg": "RS256"})
        self._stranger = RSAKey.generate_key(2048, {"kid": "bed"})
        self.thumbprint = thumbprint(authority.ca.read_bytes())
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(chain, authority.server.key)
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, name="issuer", daemon=True).start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            """Discovery and keys."""

            def do_GET(self) -> None:
                documents = {"/.well-known/openid-configuration": issuer.discovery, "/keys": issuer.keys}
                found = documents.get(self.path)
                data = json.dumps(found() if found else {}).encode()
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, _format: str, *_arguments: object) -> None:
                """Requests are not logged."""

        return Handler

    def discovery(self) -> dict:
        """The discovery document."""
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def keys(self) -> dict:
        """The public key."""
        return {"keys": [self._key.as_dict(private=False)]}

    def token(self, claims: dict, forged: bool = False) -> str:
        """A signed token. `iss`, `aud` (sts.amazonaws.com), `iat` and `exp` (a virtual hour) are filled in where the claims do not say;
        a forged one is signed with another key under the same key id."""
        now = CLOCK.now()
        whole = {"iss": self.url, "aud": AUDIENCE, "iat": int(now), "exp": int(now + LIFETIME_SECONDS), **claims}
        key = self._stranger if forged else self._key
        return jwt.encode({"alg": "RS256", "kid": "bed"}, {name: value for name, value in whole.items() if value is not None}, key)


def thumbprint(certificate: bytes) -> str:
    """The SHA-1 of a PEM certificate, as IAM wants it: hexadecimal without separators."""
    der = x509.load_pem_x509_certificate(certificate).public_bytes(serialization.Encoding.DER)
    return hashlib.sha1(der).hexdigest()  # noqa: S324  IAM's own choice


_LOCK = threading.Lock()
_ISSUER: list[Issuer] = []


def issuer() -> Issuer:
    """The bed's issuer; started by the first call."""
    with _LOCK:
        if not _ISSUER:
            _ISSUER.append(Issuer())
        return _ISSUER[0]


def is_ours(url: str) -> bool:
    """Whether a token's issuer is this one, whose time is virtual."""
    return bool(_ISSUER) and _ISSUER[0].url == url
