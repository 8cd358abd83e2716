//! Histories for tests, written as the states that an execution goes through.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::aws::executions::Event;

/// A history from `tests/histories`: an event a line.
pub fn captured(name: &str) -> Vec<Event> {
    let path = format!("{}/tests/histories/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let event = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        let text = |field: &str| event[field].as_str().map(str::to_owned);
        Event {
            id: event["id"].as_i64().unwrap(),
            previous_id: 0,
            at: text("at").unwrap().parse().unwrap(),
            type_: text("type").unwrap(),
            name: text("name"),
            input: None,
            output: text("output"),
            error: text("error"),
            cause: text("cause"),
        }
    };
    text.lines().map(event).collect()
}

/// Builds a history: one second passes between any two events.
pub struct History {
    events: Vec<Event>,
}

/// When every history begins.
pub fn start() -> Timestamp {
    "2026-11-24T10:00:00Z".parse().unwrap()
}

/// The time of the event with an id.
pub fn at(id: i64) -> Timestamp {
    start() + SignedDuration::from_secs(id - 1)
}

impl History {
    pub fn new() -> Self {
        Self { events: Vec::new() }.event("ExecutionStarted", None, None).state("Pass", "start", &json!({}))
    }

    pub fn event(mut self, type_: &str, name: Option<&str>, output: Option<&Value>) -> Self {
        let id = i64::try_from(self.events.len()).unwrap() + 1;
        self.events.push(Event {
            id,
            previous_id: id - 1,
            at: at(id),
            type_: type_.to_owned(),
            name: name.map(str::to_owned),
            input: None,
            output: output.map(Value::to_string),
            error: None,
            cause: None,
        });
        self
    }

    pub fn enter(self, kind: &str, name: &str) -> Self {
        self.event(&format!("{kind}StateEntered"), Some(name), None)
    }

    pub fn state(self, kind: &str, name: &str, output: &Value) -> Self {
        self.enter(kind, name).event(&format!("{kind}StateExited"), Some(name), Some(output))
    }

    /// A powershell step up to where its command has ended.
    pub fn sent(self, path: &str, command: &str) -> Self {
        self.state("Pass", &format!("{path}: begin"), &json!({}))
            .state("Task", &format!("{path}: send"), &json!({ "commandId": command }))
            .state("Wait", &format!("{path}: wait"), &json!({}))
            .state("Task", &format!("{path}: poll"), &json!({}))
            .state("Choice", &format!("{path}: check"), &json!({}))
    }

    pub fn done(self, path: &str, report: Value) -> Self {
        self.reported(path, "done", report)
    }

    pub fn failed(self, path: &str, report: Value) -> Self {
        self.reported(path, "failed", report)
    }

    fn reported(self, path: &str, part: &str, mut report: Value) -> Self {
        if report.get("step").is_none() {
            report["step"] = json!(path);
        }
        self.state("Pass", &format!("{path}: {part}"), &report)
    }

    pub fn ended(mut self, type_: &str, error: Option<&str>, cause: Option<&str>) -> Self {
        self = self.event(type_, None, None);
        let last = self.events.last_mut().unwrap();
        (last.error, last.cause) = (error.map(str::to_owned), cause.map(str::to_owned));
        self
    }

    pub fn succeeded(self) -> Self {
        self.state("Succeed", "end", &json!({})).ended("ExecutionSucceeded", None, None)
    }

    /// The workflow's way out after a failure that nothing dealt with.
    pub fn fatal(self, error: &str, cause: &str) -> Self {
        self.enter("Fail", "failed").ended("ExecutionFailed", Some(error), Some(cause))
    }

    pub fn events(self) -> Vec<Event> {
        self.events
    }
}
