"""AssumeRoleWithWebIdentity: tokens of OpenID Connect issuers that IAM knows as identity providers, their signatures checked with the keys
that stand at the issuer.

docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html (errors), …/IAM/latest/UserGuide/
reference_policies_iam-condition-keys.html#condition-keys-wif (keys), …/id_session-tags.html#id_session-tags_adding-assume-role-idp (tags).
"""

import base64
import hashlib
import json
import socket
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from urllib.parse import urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from localstack.aws.api import CommonServiceException, RequestContext
from localstack.services.iam.models import OIDCProvider

from testbed.aws import issuer as own
from testbed.aws.iam import trust
from testbed.aws.iam.evaluate import Need
from testbed.aws.iam.needs.where import tag_context
from testbed.aws.iam.principals import Principal, store
from testbed.aws.settings import CLOCK

ACTION = "sts:AssumeRoleWithWebIdentity"
ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]
TAGS = "https://aws.amazon.com/tags"
MOST_TAGS = 50
LONGEST_TAG_KEY, LONGEST_TAG_VALUE = 128, 256
FETCH_SECONDS = 5.0


@dataclass(frozen=True)
class Identity:
    """Who a token speaks of."""

    provider: str
    subject: str
    audience: str
    tags: dict[str, str]
    transitive: list[str]


def _error(code: str, message: str, status: int = 400) -> CommonServiceException:
    return CommonServiceException(code, message, status, True)


def invalid(message: str) -> CommonServiceException:
    """The token is refused."""
    return _error("InvalidIdentityToken", message)


def authorize(context: RequestContext, request: dict) -> Identity:
    """The token's identity, when the role's trust policy lets it in. Raises what STS answers otherwise."""
    role_arn = request["RoleArn"]
    account = role_arn.split(":")[4]
    unverified = _claims(request["WebIdentityToken"])
    provider = _provider(account, context.partition, unverified["iss"])
    claims = _verified(request["WebIdentityToken"], unverified["iss"], provider)
    audiences = _listed(claims.get("aud"))
    if not set(audiences) & set(provider.client_id_list or []):
        raise invalid("Incorrect token audience")
    tags, transitive = _tags(claims)
    audience = claims.get("azp") or audiences[0]
    principal = Principal("FederatedUser", provider.arn, provider.arn, account, claims.get("sub", ""))
    keys = _keys(provider.url, claims, audiences, audience, tags, transitive) | {"sts:RoleSessionName": request.get("RoleSessionName")}
    for action in [ACTION] + (["sts:TagSession"] if tags else []):
        if not trust.web_identity_may(role_arn, principal, Need(action, role_arn, keys), context.region):
            raise _error("AccessDenied", f"Not authorized to perform {action}", 403)
    return Identity(provider.arn, claims.get("sub", ""), audience, tags, transitive)


def _keys(url: str, claims: dict, audiences: list[str], audience: str, tags: dict[str, str], transitive: list[str]) -> dict[str, object]:
    """The condition keys of a trust policy: aud, oaud, sub, amr and azp under the provider's name. No other claim is one, groups least of all."""
    keys: dict[str, object] = {f"{url}:aud": audience, f"{url}:sub": claims.get("sub"), "aws:FederatedProvider": None}
    if claims.get("azp"):
        keys |= {f"{url}:oaud": audiences[0], f"{url}:azp": claims["azp"]}
    if claims.get("amr"):
        keys[f"{url}:amr"] = _listed(claims["amr"])
    keys |= tag_context("aws:RequestTag", tags)
    if transitive:
        keys["sts:TransitiveTagKeys"] = transitive
    return {name: value for name, value in keys.items() if value is not None}


def _listed(value: object) -> list:
    return value if isinstance(value, list) else [] if value is None else [value]


def _claims(token: str) -> dict:
    """The claims of a token that nobody has checked yet."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        if not isinstance(claims["iss"], str):
            raise TypeError("iss")
        return claims
    except (IndexError, ValueError, KeyError, TypeError) as error:
        raise invalid("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)") from error


def _provider(account: str, partition: str, url: str) -> OIDCProvider:
    parts = urlsplit(url)
    arn = f"arn:{partition}:iam::{account}:oidc-provider/{parts.netloc}{parts.path}".rstrip("/")
    found = store(account).OIDC_PROVIDERS.get(arn)
    if found is None:
        raise invalid(f"No OpenIDConnect provider found in your account for {url}")
    return found


def _verified(token: str, url: str, provider: OIDCProvider) -> dict:
    """The claims, once the signature and the dates are right."""
    keys = _published_keys(url, provider)
    try:
        decoded = jwt.decode(token, keys, algorithms=ALGORITHMS)
    except (JoseError, ValueError) as error:
        # The words are not published for a wrong signature; these are AWS's for a key that it does not find.
        message = "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation"
        raise invalid(f"{message} for requirements") from error
    claims = decoded.claims
    # Kubernetes runs on real time, and so do the dates in its tokens.
    now = CLOCK.now() if own.is_ours(url) else time.time()
    if not isinstance(claims.get("exp"), (int, float)):
        raise invalid("Missing a required claim: exp")
    if now >= claims["exp"]:
        raise _error(
            "ExpiredTokenException",
            f"Token expired: current date/time {int(now)} must be before the expiration date/time {int(claims['exp'])}",
        )
    return claims


def _published_keys(url: str, provider: OIDCProvider) -> KeySet:
    """The issuer's keys, from where its discovery document says. Raises IDPCommunicationError when nobody answers."""
    _check_thumbprint(url, provider)
    try:
        discovery = _fetch(f"{url.rstrip('/')}/.well-known/openid-configuration")
        return KeySet.import_key_set(_fetch(discovery["jwks_uri"]))
    except (OSError, ValueError, KeyError, JoseError) as error:
        raise _error("IDPCommunicationError", "Couldn't reach the identity provider.") from error


def _fetch(url: str) -> dict:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the thumbprint vouches for it
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    with opener.open(url, timeout=FETCH_SECONDS) as answer:
        return json.load(answer)


def _check_thumbprint(url: str, provider: OIDCProvider) -> None:
    """The last certificate that the issuer's server shows must be one of the provider's thumbprints. A provider without any takes what it sees
    first (AWS takes it when the provider is made: API_CreateOpenIDConnectProvider.html)."""
    parts = urlsplit(url)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((parts.hostname, parts.port or 443), timeout=FETCH_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname) as secure,
        ):
            seen = hashlib.sha1(secure.get_unverified_chain()[-1]).hexdigest()  # noqa: S324  IAM's own choice
    except OSError as error:
        raise _error("IDPCommunicationError", "Couldn't reach the identity provider.") from error
    if not provider.thumbprint_list:
        provider.thumbprint_list = [seen]
    if seen not in [text.lower() for text in provider.thumbprint_list]:
        raise invalid("OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint")


def _tags(claims: dict) -> tuple[dict[str, str], list[str]]:
    """The session tags in either form of the claim, and those of them that stay through role chaining."""
    nested = claims.get(TAGS) if isinstance(claims.get(TAGS), dict) else {}
    given = dict(nested.get("principal_tags") or {})
    prefix = f"{TAGS}/principal_tags/"
    given |= {name[len(prefix) :]: value for name, value in claims.items() if name.startswith(prefix)}
    transitive = _listed(nested.get("transitive_tag_keys")) + _listed(claims.get(f"{TAGS}/transitive_tag_keys"))
    tags: dict[str, str] = {}
    for name, value in given.items():
        values = _listed(value)
        if len(values) != 1 or not isinstance(values[0], str):
            raise invalid(f"The session tag {name} must have one value")
        if len(name) > LONGEST_TAG_KEY or len(values[0]) > LONGEST_TAG_VALUE:
            raise invalid(f"The session tag {name} is longer than {LONGEST_TAG_KEY} or its value longer than {LONGEST_TAG_VALUE} characters")
        tags[name] = values[0]
    if len(tags) > MOST_TAGS:
        raise invalid(f"There are more than {MOST_TAGS} session tags")
    return tags, transitive
