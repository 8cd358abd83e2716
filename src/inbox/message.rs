//! What stands in a message.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::api::names::{ClusterId, execution_name, is_machine_of, parse_execution_name};
use crate::aws::tasks::TaskToken;

/// The one type of event that the rule lets through (Step Functions developer guide, "EventBridge").
const STATUS_CHANGE: &str = "Step Functions Execution Status Change";
/// Most bytes of a message that are read. The rule's own messages have less than one KiB, a step's with its token a few.
const LIMIT: usize = 64 * 1024;

/// Longest purpose: it is a label's value.
const PURPOSE_LIMIT: usize = 63;

/// A message, read.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// The status of an execution changed.
    Status(StatusEvent),
    /// A step waits for an answer.
    Token(TokenRequest),
    /// It is none of ours, and why not. It never will be.
    Unknown(&'static str),
}

/// The status of an execution changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusEvent {
    /// The execution.
    pub execution_arn: String,
    /// Its name.
    pub name: String,
    /// Its state machine.
    pub machine_arn: String,
    /// Its status, in Step Functions' words: `RUNNING`, `SUCCEEDED` …
    pub status: String,
    /// When the event was made.
    pub at: Timestamp,
    /// When the execution started, where the event says so.
    pub started: Option<Timestamp>,
}

/// A step waits for an answer. What it says of itself is to be held against the run's status: any execution role of the cluster could have sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// What answers it.
    pub token: TaskToken,
    /// What is waited for: letters and digits, 63 at most.
    pub purpose: String,
    /// Path of the step.
    pub step: String,
    /// The execution.
    pub execution_arn: String,
    /// The run that the execution was given.
    pub run: RunIn,
}

/// The run in an execution's input. All empty when the execution was started past Windlass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunIn {
    /// Its UID.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Whose an execution is, as its names tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// That of a `WorkflowRun`.
    Run {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// That of a run whose name is too long to be read out of the execution's: the run's status has the execution's ARN.
    LongRun,
    /// Of a state machine of ours, started by somebody else.
    Elsewhere,
    /// Of a state machine that is not this cluster's.
    Foreign,
}

impl StatusEvent {
    /// Whether the execution has ended.
    #[must_use]
    pub fn is_end(&self) -> bool {
        matches!(self.status.as_str(), "SUCCEEDED" | "FAILED" | "TIMED_OUT" | "ABORTED")
    }

    /// Whose the execution is. Derived from its names alone.
    #[must_use]
    pub fn whose(&self, cluster_id: &ClusterId) -> Whose {
        // arn:PARTITION:states:REGION:ACCOUNT:stateMachine:NAME
        if !self.machine_arn.split(':').nth(6).is_some_and(|machine| is_machine_of(cluster_id, machine)) {
            return Whose::Foreign;
        }
        match parse_execution_name(cluster_id, &self.name) {
            Some((namespace, name)) if execution_name(cluster_id, namespace, name) == self.name => {
                Whose::Run { namespace: namespace.to_owned(), name: name.to_owned() }
            }
            _ if self.name.starts_with(&format!("{cluster_id}_")) => Whose::LongRun,
            _ => Whose::Elsewhere,
        }
    }
}

/// Reads a message's body.
#[must_use]
pub fn read(body: &str) -> Message {
    if body.len() > LIMIT {
        return Message::Unknown("TooLarge");
    }
    match serde_json::from_str(body) {
        Ok(Value::Object(fields)) => match status(&fields) {
            Some(event) => Message::Status(event),
            None => token(&fields).map_or(Message::Unknown("NotOurs"), Message::Token),
        },
        Ok(_) => Message::Unknown("NotOurs"),
        Err(_) => Message::Unknown("NotJson"),
    }
}

fn status(fields: &Map<String, Value>) -> Option<StatusEvent> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if text("type")? != STATUS_CHANGE {
        return None;
    }
    Some(StatusEvent {
        execution_arn: text("execution")?.to_owned(),
        name: text("name")?.to_owned(),
        machine_arn: text("machine")?.to_owned(),
        status: text("status")?.to_owned(),
        at: text("time")?.parse().ok()?,
        started: fields.get("started").and_then(instant),
    })
}

/// As [`Inbox::ask`](crate::compile::inbox::Inbox::ask) has it sent.
fn token(fields: &Map<String, Value>) -> Option<TokenRequest> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let purpose = text("Purpose")?;
    if purpose.len() > PURPOSE_LIMIT || !purpose.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let run = |name: &str| {
        let value = fields.get("Run").and_then(|run| run.get(name)).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    Some(TokenRequest {
        token: TaskToken::new(text("TaskToken")?.to_owned())?,
        purpose: purpose.to_owned(),
        step: text("Step")?.to_owned(),
        execution_arn: text("Execution")?.to_owned(),
        run: RunIn { uid: run("uid"), namespace: run("namespace"), name: run("name") },
    })
}

/// Milliseconds since 1970, as `startDate` is documented, or a time as text.
fn instant(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(number) => Timestamp::from_millisecond(number.as_i64()?).ok(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(machine: &str, name: &str, status: &str) -> Value {
        json!({
            "id": "1", "type": STATUS_CHANGE, "time": "2026-11-24T19:00:00Z", "name": name, "status": status,
            "execution": format!("arn:aws:states:eu-west-1:111122223333:execution:{machine}:{name}"),
            "machine": format!("arn:aws:states:eu-west-1:111122223333:stateMachine:{machine}"), "started": 1_795_546_800_000_i64,
        })
    }

    fn whose(machine: &str, name: &str) -> Whose {
        match read(&event(machine, name, "SUCCEEDED").to_string()) {
            Message::Status(event) => event.whose(&"prod".parse().unwrap()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_event_is_read() {
        let Message::Status(found) = read(&event("windlass_prod_ops_patch", "prod_ops_a", "FAILED").to_string()) else {
            panic!("an event")
        };
        assert_eq!(
            found.execution_arn,
            "arn:aws:states:eu-west-1:111122223333:execution:windlass_prod_ops_patch:prod_ops_a"
        );
        assert_eq!((found.at.as_second(), found.started.unwrap().as_second()), (1_795_546_800, 1_795_546_800));
        assert!(found.is_end());
        for (status, end) in [("RUNNING", false), ("PENDING_REDRIVE", false), ("TIMED_OUT", true), ("ABORTED", true)] {
            assert_eq!(StatusEvent { status: status.into(), ..found.clone() }.is_end(), end, "{status}");
        }
        let mut text = event("windlass_prod_ops_patch", "a", "FAILED");
        text["started"] = json!("2026-11-24T19:00:00.5Z");
        assert!(matches!(read(&text.to_string()), Message::Status(StatusEvent { started: Some(_), .. })));
    }

    #[test]
    fn names_tell_whose_an_execution_is() {
        let run = |name: &str| Whose::Run { namespace: "ops".into(), name: name.into() };
        assert_eq!(whose("windlass_prod_ops_patch", "prod_ops_patch-1"), run("patch-1"));
        let long = execution_name(&"prod".parse().unwrap(), "ops", &"x".repeat(100));
        assert_eq!(whose("windlass_prod_ops_patch", &long), Whose::LongRun);
        let dotted = execution_name(&"prod".parse().unwrap(), "ops", "a.b");
        assert_eq!(whose("windlass_prod_ops_patch", &dotted), Whose::LongRun);
        assert_eq!(whose("windlass_prod_ops_patch", "0b6b1c1e-1111-2222-3333-444455556666"), Whose::Elsewhere);
        assert_eq!(whose("windlass_prod_ops_patch", "produce"), Whose::Elsewhere);
        for foreign in ["windlass_prod-eu_ops_patch", "nightly", "windlass_prod"] {
            assert_eq!(whose(foreign, "prod_ops_patch-1"), Whose::Foreign, "{foreign}");
        }
    }

    #[test]
    fn a_step_that_waits_is_read() {
        let asked = json!({
            "Purpose": "Pause", "Step": "drain", "Execution": "arn", "TaskToken": "tok-1", "Detail": { "any": 1 },
            "Run": { "id": "d37c99ac71047dc4", "uid": "u-1", "namespace": "ops", "name": "a", "started": "now" },
        });
        let Message::Token(found) = read(&asked.to_string()) else { panic!("a token") };
        let run = RunIn { uid: "u-1".into(), namespace: "ops".into(), name: "a".into() };
        assert_eq!((found.step.as_str(), found.purpose.as_str(), &found.run), ("drain", "Pause", &run));
        assert!(!format!("{found:?}").contains("tok-1"));
        let mut past = asked.clone();
        past["Run"]["uid"] = Value::Null;
        assert!(matches!(read(&past.to_string()), Message::Token(TokenRequest { run, .. }) if run.uid.is_empty()));
        for (field, value) in
            [("Purpose", json!("a b")), ("Step", json!("")), ("TaskToken", json!("a\nb")), ("Execution", json!(1))]
        {
            let mut bad = asked.clone();
            bad[field] = value;
            assert_eq!(read(&bad.to_string()), Message::Unknown("NotOurs"), "{field}");
        }
    }

    #[test]
    fn garbage_is_known_for_what_it_is() {
        let mut incomplete = event("m", "n", "FAILED");
        incomplete.as_object_mut().unwrap().remove("status");
        let mut other = event("m", "n", "FAILED");
        other["type"] = json!("Something Else");
        let mut when = event("m", "n", "FAILED");
        when["time"] = json!("yesterday");
        for (body, why) in [
            (String::new(), "NotJson"),
            ("\u{0}".to_owned(), "NotJson"),
            ("[1]".to_owned(), "NotOurs"),
            ("{}".to_owned(), "NotOurs"),
            (incomplete.to_string(), "NotOurs"),
            (other.to_string(), "NotOurs"),
            (when.to_string(), "NotOurs"),
            (format!("{{\"type\": \"{}\"}}", "x".repeat(LIMIT)), "TooLarge"),
            ("[".repeat(60_000), "NotJson"),
        ] {
            assert_eq!(read(&body), Message::Unknown(why), "{}", body.get(..40).unwrap_or(&body));
        }
    }
}
