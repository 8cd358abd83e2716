//! Tasks that wait for an answer: their tokens, and the answers.

use std::fmt;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::error::{AwsError, Class};
use super::session::Session;

const SERVICE: &str = "states";
/// Longest token (`SendTaskSuccess`, `taskToken`).
const LONGEST: usize = 2048;
/// Longest error and cause (`SendTaskFailure`).
const ERROR_LIMIT: usize = 256;
const CAUSE_LIMIT: usize = 32_768;
/// Bytes of a token's hash that are kept.
const HASH: usize = 20;

/// A task token. Whoever holds it can answer the step that waits, so it shows nothing of itself: not in logs, Events, statuses or errors.
#[derive(Clone, PartialEq, Eq)]
pub struct TaskToken(String);

impl TaskToken {
    /// A token; none when it cannot be one.
    #[must_use]
    pub fn new(text: String) -> Option<Self> {
        let good = !text.is_empty() && text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic());
        good.then_some(Self(text))
    }

    /// 40 hexadecimal digits that stand for the token where it must not stand itself.
    #[must_use]
    pub fn hash(&self) -> String {
        Sha256::digest(self.0.as_bytes()).iter().take(HASH).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The token itself: for the Secret that keeps it and the call that answers, and nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A text without the token in it, should it be there: AWS may repeat what it was sent.
    fn scrub(&self, text: &str) -> String {
        text.replace(&self.0, "(the task token)")
    }
}

impl fmt::Debug for TaskToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskToken(redacted)")
    }
}

/// What a waiting step is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It goes on, with this as its result: 256 KiB at most.
    Success(Value),
    /// It fails.
    Failure {
        /// Name of the error, as in `Windlass.Rejected`; cut at 256 characters.
        error: String,
        /// Why, for people; cut at 32,768 characters.
        cause: String,
    },
}

/// What came of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The step has it.
    Accepted,
    /// Nothing waits for it any more: the task has ended, was answered before, or never was.
    Late,
}

/// Answers a task. `about` names it in errors. Repeated, it is Late.
///
/// # Errors
/// [`AwsError`], the token not in it.
pub async fn answer(session: &Session, token: &TaskToken, about: &str, answer: &Answer) -> Result<Answered, AwsError> {
    let made = match answer {
        Answer::Success(output) => {
            let request =
                || session.states.send_task_success().task_token(token.expose()).output(output.to_string()).send();
            session.call(SERVICE, "SendTaskSuccess", Some(about), request).await.map(drop)
        }
        Answer::Failure { error, cause } => {
            let request = || {
                let call = session.states.send_task_failure().task_token(token.expose());
                call.error(cut(error, ERROR_LIMIT)).cause(cut(cause, CAUSE_LIMIT)).send()
            };
            session.call(SERVICE, "SendTaskFailure", Some(about), request).await.map(drop)
        }
    };
    outcome(token, made)
}

/// Tells a task that its answer is still being waited for, within its `HeartbeatSeconds`.
///
/// # Errors
/// [`AwsError`], the token not in it.
pub async fn heartbeat(session: &Session, token: &TaskToken, about: &str) -> Result<Answered, AwsError> {
    let request = || session.states.send_task_heartbeat().task_token(token.expose()).send();
    let made = session.call(SERVICE, "SendTaskHeartbeat", Some(about), request).await.map(drop);
    outcome(token, made)
}

fn outcome(token: &TaskToken, made: Result<(), AwsError>) -> Result<Answered, AwsError> {
    match made {
        Ok(()) => Ok(Answered::Accepted),
        Err(error) if error.class == Class::Gone || error.code.as_deref() == Some("InvalidToken") => Ok(Answered::Late),
        Err(error) => Err(AwsError { message: token.scrub(&error.message), ..error }),
    }
}

fn cut(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> TaskToken {
        TaskToken::new("AQCEAAAAKgAAAAMAAAAA-secret".into()).unwrap()
    }

    #[test]
    fn a_token_shows_nothing_of_itself() {
        assert_eq!(format!("{:?}", token()), "TaskToken(redacted)");
        assert_eq!(token().hash().len(), 40);
        assert!(!token().hash().contains("secret"));
        assert_ne!(token().hash(), TaskToken::new("other".into()).unwrap().hash());
    }

    #[test]
    fn what_cannot_be_a_token_is_none() {
        for bad in [String::new(), "a b".into(), "a\nb".into(), "é".into(), "x".repeat(2049)] {
            assert_eq!(TaskToken::new(bad), None);
        }
    }

    #[test]
    fn aws_does_not_repeat_it() {
        let refused = |code: &str, class| {
            outcome(
                &token(),
                Err(AwsError {
                    class,
                    service: SERVICE,
                    operation: "SendTaskSuccess",
                    code: Some(code.into()),
                    message: "Invalid output for 'AQCEAAAAKgAAAAMAAAAA-secret'".into(),
                    denied: None,
                    object: Some("run a".into()),
                }),
            )
        };
        let error = refused("InvalidOutput", Class::Invalid).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
        assert_eq!(refused("TaskTimedOut", Class::Gone), Ok(Answered::Late));
        assert_eq!(refused("InvalidToken", Class::Invalid), Ok(Answered::Late));
    }
}
