//! Starting an execution once, finding it again, reading it.

use serde_json::Value;

use super::history::{self, Story};
use super::redact;
use crate::aws::executions::{self, Execution, Start};
use crate::aws::{AwsError, Class, Session};

/// What stands under a run's execution name.
#[derive(Clone, Debug)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// The run's own execution.
    Ours(Box<Execution>),
    /// Another's: of an earlier object of the same name, or of somebody who took the name.
    Earlier(Box<Execution>),
}

/// What came of a start.
#[derive(Clone, Debug)]
pub enum Begun {
    /// It runs since then.
    Now(k8s_openapi::jiff::Timestamp),
    /// The name was taken, by this.
    Taken(Found),
}

/// Everything that a start needs.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// The version to start.
    pub version_arn: &'a str,
    /// The execution's name.
    pub name: &'a str,
    /// ARN that it will have.
    pub execution_arn: &'a str,
    /// Its input, with the run's UID in it.
    pub input: &'a Value,
    /// The run's UID.
    pub uid: &'a str,
}

/// Starts an execution, or finds out whose it is that has the name.
///
/// # Errors
/// [`AwsError`]. When it is transient the execution may have been started all the same: the next call tells.
pub async fn begin(session: &Session, launch: Launch<'_>) -> Result<Begun, AwsError> {
    match executions::start(session, launch.version_arn, launch.name, &launch.input.to_string()).await? {
        Start::Started { at, .. } => Ok(Begun::Now(at)),
        Start::Exists => find(session, launch.execution_arn, launch.uid).await.map(Begun::Taken),
    }
}

/// Looks what stands under an ARN.
///
/// # Errors
/// [`AwsError`] when AWS does not tell.
pub async fn find(session: &Session, execution_arn: &str, uid: &str) -> Result<Found, AwsError> {
    match executions::describe(session, execution_arn).await {
        Ok(execution) if uid_in(execution.input.as_deref()).as_deref() == Some(uid) => {
            Ok(Found::Ours(Box::new(execution)))
        }
        Ok(execution) => Ok(Found::Earlier(Box::new(execution))),
        Err(error) if error.class == Class::Gone => Ok(Found::Nothing),
        Err(error) => Err(error),
    }
}

/// The UID of the run that an execution was started for, out of its input.
#[must_use]
pub fn uid_in(input: Option<&str>) -> Option<String> {
    let input: Value = serde_json::from_str(input?).ok()?;
    input.pointer("/run/uid").and_then(Value::as_str).map(str::to_owned)
}

/// Reads and folds an execution's whole history; secrets are masked. Gives the number of calls that it took, too; None when there is no such execution.
///
/// # Errors
/// [`AwsError`] when AWS does not tell.
pub async fn story(session: &Session, execution_arn: &str) -> Result<Option<(Story, usize)>, AwsError> {
    match executions::history(session, execution_arn).await {
        Ok(history) => {
            let mut story = history::fold(&history.events);
            mask(&mut story);
            Ok(Some((story, history.pages)))
        }
        Err(error) if error.class == Class::Gone => Ok(None),
        Err(error) => Err(error),
    }
}

fn mask(story: &mut Story) {
    for step in &mut story.steps {
        redact::step(&mut step.status);
        redact::optional(&mut step.cause);
    }
    if let Some(end) = &mut story.end {
        redact::optional(&mut end.cause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::fixtures::History;
    use serde_json::json;

    #[test]
    fn the_uid_is_read_out_of_the_input() {
        for (input, uid) in [
            (Some(r#"{"run":{"uid":"u-1"},"params":{}}"#), Some("u-1")),
            (Some(r#"{"run":{"uid":7}}"#), None),
            (Some("{}"), None),
            (Some("not json"), None),
            (None, None),
        ] {
            assert_eq!(uid_in(input).as_deref(), uid, "{input:?}");
        }
    }

    #[test]
    fn no_text_of_a_story_keeps_a_secret() {
        let secret = "password=hunter2";
        let report =
            json!({ "error": "E", "cause": secret, "nodes": [{ "id": "i-1", "status": "Failed", "stdout": secret }] });
        let history = History::new().sent("a", "c").failed("a", report).fatal("E", secret);
        let mut story = history::fold(&history.events());
        assert!(format!("{story:?}").contains("hunter2"));
        mask(&mut story);
        assert!(!format!("{story:?}").contains("hunter2"));
    }
}
