"""Sessions of roles as STS gives them: of a web identity with its tags, no longer than the role and role chaining let them
(docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html, …/API_AssumeRoleWithWebIdentity.html), and ended by the virtual clock
where a test asks for that.
"""

import time

from testbed.aws.settings import CLOCK

CHAINED_SECONDS = 3600
"""The longest session of a role that another role's session has assumed."""


class Expiry:
    """Which clock ends a session. A caller that lives by either can renew in time unless `virtual` says that the virtual one alone counts."""

    virtual = False


def expired(expiration: float) -> bool:
    """Whether a session with this expiry, told in virtual time, is over."""
    return CLOCK.now() > expiration and (Expiry.virtual or time.time() > expiration)


def change(values: dict) -> dict:
    """Sets `virtualExpiry`; answers all. Raises ValueError for another name."""
    if set(values) - {"virtualExpiry"}:
        raise ValueError("the only setting is virtualExpiry")
    Expiry.virtual = bool(values.get("virtualExpiry", Expiry.virtual))
    return {"virtualExpiry": Expiry.virtual}


def reset() -> None:
    """Either clock again."""
    Expiry.virtual = False


def apply() -> None:
    """Mends the operations and the expiry."""
    from localstack.aws.api.sts import AssumedRoleUser, AssumeRoleWithWebIdentityResponse
    from localstack.services.sts.models import DEFAULT_SESSION_DURATION, TemporaryCredentials
    from localstack.services.sts.provider import StsProvider, ValidationError

    from testbed.aws.iam.principals import role_by_arn

    assume = StsProvider.assume_role

    def check_duration(seconds: int | None, role_arn: str, chained: bool) -> int:
        asked = seconds or DEFAULT_SESSION_DURATION
        entity = role_by_arn(role_arn)
        if asked > (entity.role.get("MaxSessionDuration") or DEFAULT_SESSION_DURATION if entity else DEFAULT_SESSION_DURATION):
            raise ValidationError("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
        if chained and asked > CHAINED_SECONDS:
            raise ValidationError("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
        return asked

    def assume_role(self, context, role_arn, role_session_name, *arguments, **named):
        principal = getattr(context, "bed_principal", None)
        check_duration(named.get("duration_seconds"), role_arn, principal is not None and principal.kind == "AssumedRole")
        return assume(self, context, role_arn, role_session_name, *arguments, **named)

    def assume_role_with_web_identity(self, context, role_arn, role_session_name, web_identity_token, duration_seconds=None, **_named):
        identity = context.bed_identity
        seconds = check_duration(duration_seconds, role_arn, chained=False)
        role = role_by_arn(role_arn).role
        account = role_arn.split(":")[4]
        arn = f"arn:{context.partition}:sts::{account}:assumed-role/{role['RoleName']}/{role_session_name}"
        user = f"{role['RoleId']}:{role_session_name}"
        made = self._create_credentials(
            account_id=account,
            arn=arn,
            user_id=user,
            duration_seconds=seconds,
            tags={name.lower(): {"Key": name, "Value": value} for name, value in identity.tags.items()},
            transitive_tags=[name.lower() for name in identity.transitive],
        )
        return AssumeRoleWithWebIdentityResponse(
            Credentials=self._to_credentials_response(made),
            AssumedRoleUser=AssumedRoleUser(AssumedRoleId=user, Arn=arn),
            SubjectFromWebIdentityToken=identity.subject,
            Audience=identity.audience,
            Provider=identity.provider,
        )

    StsProvider.assume_role = assume_role
    StsProvider.assume_role_with_web_identity = assume_role_with_web_identity
    TemporaryCredentials.is_expired = lambda self: expired(self.expiration.timestamp())
