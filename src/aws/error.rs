//! Errors of AWS, sorted by who must act.

use std::error::Error as StdError;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::error::operation::BuildError;

/// Who must act on an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Nobody: it is tried again.
    Transient,
    /// Nobody: AWS asks for fewer calls.
    Throttled,
    /// Whoever gives the controller or the account its permissions and quotas.
    Denied,
    /// The author of the manifest.
    Invalid,
    /// Whoever made the object that has the name already.
    Conflict,
    /// The object is not there.
    Gone,
}

/// A permission that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The action, as in `iam:CreateRole`.
    pub action: String,
    /// The resource, where AWS names it.
    pub resource: Option<String>,
}

/// An AWS call that failed. Its text is for people: what failed, on what, what to do, and AWS's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsError {
    /// Who must act.
    pub class: Class,
    /// IAM's prefix of the service: `states`, `ssm`, `iam`, `sts`, `sqs`, `events`.
    pub service: &'static str,
    /// The operation, as in `CreateRole`.
    pub operation: &'static str,
    /// AWS's code, as in `AccessDeniedException`; none when no answer came.
    pub code: Option<String>,
    /// AWS's message, or what went wrong on the way.
    pub message: String,
    /// What is not allowed, where that is the error.
    pub denied: Option<Box<Denied>>,
    /// The object that the call was about.
    pub object: Option<String>,
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.operation)?;
        if let Some(object) = &self.object {
            write!(f, " of {object}")?;
        }
        write!(f, " failed: ")?;
        match &self.denied {
            Some(denied) => {
                write!(f, "{} ", denied.action)?;
                if let Some(resource) = &denied.resource {
                    write!(f, "on {resource} ")?;
                }
                write!(f, "is not allowed; ")?;
                f.write_str(match denied.action.as_str() {
                    "sts:AssumeRole" => {
                        "let the controller's own identity assume the role, and the role's trust policy name that identity and the external id"
                    }
                    _ => {
                        "allow it in the policy of the controller's role (the chart's files/controller-policy.json holds all that it needs) and look for a denial in boundary and organization"
                    }
                })?;
                write!(f, ". AWS says: ")?;
            }
            None if self.is_quota() => {
                write!(f, "a quota of the account is used up; have it raised or make room. AWS says: ")?;
            }
            None => {}
        }
        match &self.code {
            Some(code) if self.message.is_empty() => f.write_str(code),
            Some(code) => write!(f, "{code}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl StdError for AwsError {}

/// Codes by which services say that they are called too often (each service's "Common Errors").
const THROTTLED: &[&str] = &[
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
];

/// Codes by which services refuse a caller.
const DENIED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
    "AuthorizationError",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "ExpiredToken",
    "ExpiredTokenException",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "IncompleteSignature",
    "MissingAuthenticationToken",
    "OptInRequired",
    "RegionDisabledException",
];

/// Codes that say that a quota of the account is used up: somebody must raise it or make room.
const QUOTA: &[&str] = &[
    "LimitExceeded",
    "LimitExceededException",
    "StateMachineLimitExceeded",
    "ExecutionLimitExceeded",
    "DocumentLimitExceeded",
    "DocumentVersionLimitExceeded",
    "TooManyTags",
    "TooManyTagsError",
    "ServiceQuotaExceededException",
];

/// Codes that say that the object is not there.
const GONE: &[&str] = &[
    "NoSuchEntity",
    "StateMachineDoesNotExist",
    "ExecutionDoesNotExist",
    "TaskDoesNotExist",
    "TaskTimedOut",
    "InvalidDocument",
    "InvalidResourceId",
    "InvalidCommandId",
    "InvocationDoesNotExist",
    "ResourceNotFound",
    "ResourceNotFoundException",
    "AWS.SimpleQueueService.NonExistentQueue",
];

/// Codes that say that the name is taken.
const CONFLICT: &[&str] = &[
    "EntityAlreadyExists",
    "DocumentAlreadyExists",
    "StateMachineAlreadyExists",
    "ExecutionAlreadyExists",
    "QueueAlreadyExists",
];

/// Codes of client errors that time mends.
const PASSING: &[&str] = &[
    "ConcurrentModification",
    "ConcurrentModificationException",
    "AWS.SimpleQueueService.QueueDeletedRecently",
    "ConflictException",
    "DeleteConflict",
    "EntityTemporarilyUnmodifiable",
    "StateMachineDeleting",
    "TooManyUpdates",
    "RequestTimeout",
    "RequestTimeoutException",
    "RequestExpired",
];

/// What `CreateStateMachine` and `UpdateStateMachine` answer while a new role has not reached every part of IAM yet: "Neither the global service principal
/// states.amazonaws.com, nor the regional one is authorized to assume the provided role."
const ROLE_NOT_YET: &str = "is authorized to assume the provided role";

impl AwsError {
    /// Sorts the SDK's error.
    pub(super) fn from_sdk<E>(
        service: &'static str,
        operation: &'static str,
        object: Option<&str>,
        error: &SdkError<E, HttpResponse>,
    ) -> Self
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        // The call may not have been made at all, for want of credentials.
        if let Some(cause) = below(error).find_map(|cause| cause.downcast_ref::<Self>()) {
            return cause.clone();
        }
        if below(error).any(|cause| matches!(cause.downcast_ref(), Some(CredentialsError::CredentialsNotLoaded(_)))) {
            return Self {
                class: Class::Denied,
                message: "the controller has no AWS credentials; give its ServiceAccount a role (IRSA, EKS Pod Identity) or its pod the AWS_* variables"
                    .to_owned(),
                ..Self::blank(service, operation, object)
            };
        }
        let answer = error.as_service_error().map(ProvideErrorMetadata::meta);
        let code = answer.and_then(|meta| meta.code()).map(plain);
        let message = match answer {
            Some(meta) => meta.message().unwrap_or_default().to_owned(),
            None => chain(error),
        };
        let status = error.raw_response().map_or(0, |response| response.status().as_u16());
        let class = classify(code.as_deref().unwrap_or_default(), &message, status);
        let denied = if class == Class::Denied { denied(&message).map(Box::new) } else { None };
        Self { class, code, message, denied, ..Self::blank(service, operation, object) }
    }

    /// Sorts why a role could not be assumed.
    pub(super) fn from_credentials(role_arn: &str, error: &CredentialsError) -> Option<Self> {
        let cause = below(error).find_map(|cause| cause.downcast_ref::<SdkError<AssumeRoleError, HttpResponse>>())?;
        Some(Self::from_sdk("sts", "AssumeRole", Some(role_arn), cause))
    }

    fn blank(service: &'static str, operation: &'static str, object: Option<&str>) -> Self {
        Self {
            class: Class::Transient,
            service,
            operation,
            code: None,
            message: String::new(),
            denied: None,
            object: object.map(str::to_owned),
        }
    }

    /// A call that was not made because it would have had to wait long for AWS's quota.
    pub(super) fn held_back(service: &'static str, operation: &'static str, object: Option<&str>) -> Self {
        let message = format!("held back to keep AWS's quota of {service}:{operation}");
        Self { class: Class::Throttled, message, ..Self::blank(service, operation, object) }
    }

    /// The answer lacked something that the service model says is always there.
    pub(super) fn incomplete(service: &'static str, operation: &'static str, object: &str, what: &str) -> Self {
        Self { message: format!("the answer has no {what}"), ..Self::blank(service, operation, Some(object)) }
    }

    /// A request that could not be put together.
    pub(super) fn unbuildable(
        service: &'static str,
        operation: &'static str,
        object: &str,
        error: &BuildError,
    ) -> Self {
        Self { class: Class::Invalid, message: error.to_string(), ..Self::blank(service, operation, Some(object)) }
    }

    /// The name belongs to an object that is there already.
    pub(super) fn taken(service: &'static str, operation: &'static str, object: &str) -> Self {
        let message = "there is one of that name already".to_owned();
        Self { class: Class::Conflict, message, ..Self::blank(service, operation, Some(object)) }
    }

    /// There is no such object.
    pub(super) fn gone(service: &'static str, operation: &'static str, object: &str) -> Self {
        let message = "there is none of that name any more".to_owned();
        Self { class: Class::Gone, message, ..Self::blank(service, operation, Some(object)) }
    }

    /// One entry of a call for many failed.
    pub(super) fn in_batch(
        service: &'static str,
        operation: &'static str,
        object: &str,
        code: Option<String>,
        message: Option<String>,
    ) -> Self {
        let message = message.unwrap_or_default();
        let class = classify(code.as_deref().unwrap_or_default(), &message, 400);
        Self { class, code, message, ..Self::blank(service, operation, Some(object)) }
    }

    /// The object is on its way out, and its name not free yet.
    pub(super) fn being_deleted(service: &'static str, operation: &'static str, object: &str) -> Self {
        let message = "it is being deleted; it is made again once it is gone".to_owned();
        Self { message, ..Self::blank(service, operation, Some(object)) }
    }

    /// The outcome as metrics name it.
    #[must_use]
    pub fn outcome(&self) -> &str {
        self.code.as_deref().unwrap_or("NoAnswer")
    }

    /// `CamelCase` reason for conditions and Events.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self.class {
            Class::Transient => "AwsUnavailable",
            Class::Throttled => "Throttled",
            Class::Denied => "AccessDenied",
            Class::Invalid => "RefusedByAws",
            Class::Conflict => "NameTaken",
            Class::Gone => "Gone",
        }
    }

    fn is_quota(&self) -> bool {
        self.code.as_deref().is_some_and(|code| QUOTA.contains(&code))
    }
}

/// Some services put a namespace before the code.
fn plain(code: &str) -> String {
    code.rsplit(['#', ':']).next().unwrap_or(code).to_owned()
}

fn classify(code: &str, message: &str, status: u16) -> Class {
    if THROTTLED.contains(&code) || message.contains("Rate exceeded") || status == 429 {
        Class::Throttled
    } else if message.contains(ROLE_NOT_YET) || PASSING.contains(&code) {
        Class::Transient
    } else if DENIED.contains(&code) || QUOTA.contains(&code) || message.contains("is not authorized to perform") {
        Class::Denied
    } else if GONE.contains(&code) {
        Class::Gone
    } else if CONFLICT.contains(&code) {
        Class::Conflict
    } else if (400..500).contains(&status) {
        Class::Invalid
    } else {
        Class::Transient
    }
}

/// "User: X is not authorized to perform: A on resource: R because …" (IAM user guide, "Troubleshoot access denied error messages").
fn denied(message: &str) -> Option<Denied> {
    let (_, rest) = message.split_once("not authorized to perform: ")?;
    let word = |text: &str| text.split_whitespace().next().map(|word| word.trim_end_matches(['.', ',']).to_owned());
    let resource = rest.split_once("on resource: ").and_then(|(_, rest)| word(rest)).filter(|name| !name.is_empty());
    Some(Denied { action: word(rest)?, resource })
}

/// The errors below an error, from the outermost inwards.
fn below<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(error.source(), |error: &&(dyn StdError + 'static)| (*error).source())
}

/// The error and everything below it, once each.
fn chain(error: &(dyn StdError + 'static)) -> String {
    below(error)
        .map(ToString::to_string)
        .fold(error.to_string(), |text, next| if text.contains(&next) { text } else { format!("{text}: {next}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sorted_by_who_must_act() {
        for (code, message, status, class) in [
            ("ThrottlingException", "Rate exceeded", 400, Class::Throttled),
            ("SsmException", "Rate exceeded", 400, Class::Throttled),
            ("", "", 429, Class::Throttled),
            (
                "AccessDenied",
                "User: a is not authorized to perform: iam:CreateRole on resource: r because no",
                403,
                Class::Denied,
            ),
            (
                "ValidationError",
                "User: a is not authorized to perform: iam:PassRole on resource: r",
                400,
                Class::Denied,
            ),
            (
                "AccessDeniedException",
                "Neither the global service principal states.amazonaws.com, nor the regional one is authorized to assume the provided role.",
                400,
                Class::Transient,
            ),
            ("LimitExceeded", "Cannot exceed quota for RolesPerAccount: 1000.", 409, Class::Denied),
            ("NoSuchEntity", "The role cannot be found", 404, Class::Gone),
            ("DocumentAlreadyExists", "", 400, Class::Conflict),
            ("StateMachineDeleting", "", 400, Class::Transient),
            ("InvalidDefinition", "Invalid State Machine Definition", 400, Class::Invalid),
            ("InternalFailure", "", 500, Class::Transient),
            ("", "connection reset", 0, Class::Transient),
        ] {
            assert_eq!(classify(code, message, status), class, "{code} {message}");
        }
        assert_eq!(plain("com.amazonaws.sfn#ExecutionDoesNotExist"), "ExecutionDoesNotExist");
    }

    #[test]
    fn what_is_missing_is_named() {
        for (message, action, resource) in [
            (
                "User: arn:aws:sts::1:assumed-role/x/y is not authorized to perform: iam:CreateRole on resource: arn:aws:iam::1:role/windlass/a/b because no identity-based policy allows the iam:CreateRole action",
                "iam:CreateRole",
                Some("arn:aws:iam::1:role/windlass/a/b"),
            ),
            ("User: x is not authorized to perform: ssm:ListCommands.", "ssm:ListCommands", None),
            (
                "User: x is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::1:role/r.",
                "sts:AssumeRole",
                Some("arn:aws:iam::1:role/r"),
            ),
        ] {
            let found = denied(message).unwrap();
            assert_eq!((found.action.as_str(), found.resource.as_deref()), (action, resource));
        }
        assert_eq!(denied("no"), None);
    }

    #[test]
    fn errors_say_what_failed_on_what_and_what_to_do() {
        let refused = AwsError {
            class: Class::Denied,
            service: "states",
            operation: "CreateStateMachine",
            code: Some("AccessDeniedException".into()),
            message: "User: u is not authorized to perform: iam:PassRole on resource: r".into(),
            denied: Some(Box::new(Denied { action: "iam:PassRole".into(), resource: Some("r".into()) })),
            object: Some("m".into()),
        };
        let text = refused.to_string();
        assert!(
            text.starts_with(
                "states:CreateStateMachine of m failed: iam:PassRole on r is not allowed; allow it in the policy"
            ),
            "{text}"
        );
        assert!(
            text.ends_with(
                "AWS says: AccessDeniedException: User: u is not authorized to perform: iam:PassRole on resource: r"
            ),
            "{text}"
        );
        let full =
            AwsError { code: Some("DocumentLimitExceeded".into()), message: String::new(), denied: None, ..refused };
        let expected = "states:CreateStateMachine of m failed: a quota of the account is used up; have it raised or make room. AWS says: DocumentLimitExceeded";
        assert_eq!(full.to_string(), expected);
    }
}
