//! Errors of AWS, sorted by who must act.

use std::error::Error as StdError;

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

/// An AWS call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsError {
    /// Who must act.
    pub class: Class,
    /// IAM's prefix of the service: `states`, `ssm`, `iam`, `sts`.
    pub service: &'static str,
    /// The operation, as in `CreateRole`.
    pub operation: &'static str,
    /// AWS's code, as in `AccessDeniedException`; none when no answer came.
    pub code: Option<String>,
    /// AWS's message, or what went wrong on the way.
    pub message: String,
    /// What is not allowed, where that is the error.
    pub denied: Option<Denied>,
    /// The object that the call was about.
    pub object: Option<String>,
}

impl std::fmt::Display for AwsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.service, self.operation)?;
        if let Some(object) = &self.object {
            write!(f, " of {object}")?;
        }
        write!(f, " failed: ")?;
        if let Some(code) = &self.code {
            write!(f, "{code}: ")?;
        }
        write!(f, "{}", self.message)?;
        if let Some(denied) = &self.denied {
            write!(f, " (allow {}", denied.action)?;
            if let Some(resource) = &denied.resource {
                write!(f, " on {resource}")?;
            }
            write!(f, " in the controller's policy; the chart's files/controller-policy.json has all that it needs)")?;
        }
        Ok(())
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
    "IncompleteSignature",
    "OptInRequired",
    // A quota of the account is used up: somebody must raise it or make room.
    "LimitExceeded",
    "StateMachineLimitExceeded",
    "DocumentLimitExceeded",
    "DocumentVersionLimitExceeded",
    "ServiceQuotaExceededException",
];

/// Codes that say that the object is not there.
const GONE: &[&str] = &[
    "NoSuchEntity",
    "StateMachineDoesNotExist",
    "ExecutionDoesNotExist",
    "InvalidDocument",
    "InvalidCommandId",
    "InvocationDoesNotExist",
    "ResourceNotFound",
];

/// Codes that say that the name is taken.
const CONFLICT: &[&str] =
    &["EntityAlreadyExists", "DocumentAlreadyExists", "StateMachineAlreadyExists", "ExecutionAlreadyExists"];

/// Codes of client errors that time mends.
const PASSING: &[&str] = &[
    "ConcurrentModification",
    "ConflictException",
    "DeleteConflict",
    "StateMachineDeleting",
    "RequestTimeout",
    "RequestTimeoutException",
    "InternalServerError",
    "InternalFailure",
    "ServiceFailure",
    "ServiceUnavailable",
];

/// What `CreateStateMachine` and `UpdateStateMachine` answer while a new role has not reached every part of IAM yet.
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
        E: StdError + ProvideErrorMetadata + 'static,
    {
        let answer = error.as_service_error().map(ProvideErrorMetadata::meta);
        let code = answer.and_then(|meta| meta.code()).map(str::to_owned);
        let message = answer.and_then(|meta| meta.message()).map_or_else(|| chain(error), str::to_owned);
        let status = error.raw_response().map_or(0, |response| response.status().as_u16());
        let class = classify(code.as_deref(), &message, status);
        let denied = if class == Class::Denied { denied(&message) } else { None };
        Self { class, service, operation, code, message, denied, object: object.map(str::to_owned) }
    }

    /// A call that was not made because AWS asked for fewer of them a moment ago.
    pub(super) fn held_back(service: &'static str, operation: &'static str, object: Option<&str>) -> Self {
        Self {
            class: Class::Throttled,
            service,
            operation,
            code: None,
            message: "held back, since AWS throttled this operation a moment ago".to_owned(),
            denied: None,
            object: object.map(str::to_owned),
        }
    }

    /// The answer lacked something that the service model says is always there.
    pub(super) fn incomplete(service: &'static str, operation: &'static str, object: &str, what: &str) -> Self {
        Self {
            class: Class::Transient,
            service,
            operation,
            code: None,
            message: format!("the answer has no {what}"),
            denied: None,
            object: Some(object.to_owned()),
        }
    }

    /// A request that could not be put together.
    pub(super) fn unbuildable(
        service: &'static str,
        operation: &'static str,
        object: &str,
        error: &BuildError,
    ) -> Self {
        Self {
            class: Class::Invalid,
            service,
            operation,
            code: None,
            message: error.to_string(),
            denied: None,
            object: Some(object.to_owned()),
        }
    }

    /// The object is on its way out, and its name not free yet.
    pub(super) fn being_deleted(service: &'static str, operation: &'static str, object: &str) -> Self {
        Self {
            class: Class::Transient,
            service,
            operation,
            code: None,
            message: "it is being deleted; it is made again once it is gone".to_owned(),
            denied: None,
            object: Some(object.to_owned()),
        }
    }

    /// The outcome as metrics name it.
    #[must_use]
    pub fn outcome(&self) -> &str {
        self.code.as_deref().unwrap_or("NoAnswer")
    }
}

fn classify(code: Option<&str>, message: &str, status: u16) -> Class {
    let code = code.unwrap_or_default();
    // Some services put a namespace before the code.
    let code = code.rsplit(['#', ':']).next().unwrap_or(code);
    if THROTTLED.contains(&code) || message.contains("Rate exceeded") || status == 429 {
        Class::Throttled
    } else if message.contains(ROLE_NOT_YET) || PASSING.contains(&code) {
        Class::Transient
    } else if DENIED.contains(&code)
        || message.contains("is not authorized to perform")
        || message.contains("AccessDenied")
    {
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

/// "User: X is not authorized to perform: A on resource: R because …"
fn denied(message: &str) -> Option<Denied> {
    let (_, rest) = message.split_once("not authorized to perform: ")?;
    let action = rest.split([' ', ',']).next()?.trim_end_matches('.').to_owned();
    let resource =
        rest.split_once("on resource: ").and_then(|(_, rest)| rest.split_whitespace().next()).map(str::to_owned);
    Some(Denied { action, resource })
}

/// The error and everything below it, once each.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        let next = cause.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        below = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sorted_by_who_must_act() {
        for (code, message, status, class) in [
            (Some("ThrottlingException"), "Rate exceeded", 400, Class::Throttled),
            (
                Some("AccessDenied"),
                "User: a is not authorized to perform: iam:CreateRole on resource: r because no",
                403,
                Class::Denied,
            ),
            (
                Some("AccessDeniedException"),
                "Neither the global service principal states.amazonaws.com, nor the regional one is authorized to assume the provided role.",
                400,
                Class::Transient,
            ),
            (Some("NoSuchEntity"), "The role cannot be found", 404, Class::Gone),
            (Some("DocumentAlreadyExists"), "", 400, Class::Conflict),
            (Some("InvalidDefinition"), "Invalid State Machine Definition", 400, Class::Invalid),
            (Some("InternalFailure"), "", 500, Class::Transient),
            (None, "connection reset", 0, Class::Transient),
            (Some("com.amazonaws.sfn#ExecutionDoesNotExist"), "", 400, Class::Gone),
        ] {
            assert_eq!(classify(code, message, status), class, "{code:?} {message}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let message = "User: arn:aws:sts::1:assumed-role/x/y is not authorized to perform: iam:CreateRole on resource: arn:aws:iam::1:role/windlass/a/b because no identity-based policy allows the iam:CreateRole action";
        let found = denied(message).unwrap();
        assert_eq!(found.action, "iam:CreateRole");
        assert_eq!(found.resource.as_deref(), Some("arn:aws:iam::1:role/windlass/a/b"));
        assert_eq!(denied("no"), None);
    }
}
