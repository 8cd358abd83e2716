//! Amazon States Language, JSONata flavour: a typed model and its writer. Knows nothing of Windlass.
//!
//! Reference: states-language.net/spec.html and the Step Functions developer guide.

use serde_json::{Map, Value, json};

/// Longest name of a state (Step Functions quotas).
pub const STATE_NAME_LIMIT: usize = 80;
/// Largest definition, in bytes (Step Functions quotas).
pub const DEFINITION_LIMIT: usize = 1_048_576;
/// Most events in the history of one execution (Step Functions quotas).
pub const HISTORY_LIMIT: u64 = 25_000;

/// A state machine in which all states use JSONata.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Comment, for people.
    pub comment: String,
    /// Name of the first state.
    pub start_at: String,
    /// Longest run, in seconds.
    pub timeout_seconds: Option<u64>,
    /// The states, in the order in which they are written.
    pub states: Vec<(String, State)>,
}

/// A state.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Computes.
    Pass {
        /// Result.
        output: Value,
        /// Variables to assign.
        assign: Map<String, Value>,
        /// Next state.
        next: String,
    },
    /// Branches.
    Choice {
        /// Condition and next state, tried in order.
        choices: Vec<(String, String)>,
        /// Next state when no condition is true.
        default: String,
    },
    /// Waits.
    Wait {
        /// Seconds, a number or an expression.
        seconds: Value,
        /// Next state.
        next: String,
    },
    /// Calls a service.
    Task(Task),
    /// Ends the execution as failed.
    Fail {
        /// Error, a name or an expression.
        error: String,
        /// Cause, text or an expression.
        cause: String,
    },
    /// Ends the execution well.
    Succeed {
        /// Its output.
        output: Value,
    },
}

/// A call of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// ARN of the integration.
    pub resource: String,
    /// Arguments.
    pub arguments: Value,
    /// Output, from `$states.result`.
    pub output: Value,
    /// Variables to assign, from `$states.result`.
    pub assign: Map<String, Value>,
    /// Further tries.
    pub retry: Vec<Retry>,
    /// What to do with errors, tried in order.
    pub catch: Vec<Catch>,
    /// Next state.
    pub next: String,
}

/// Further tries of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Errors.
    pub errors: Vec<String>,
    /// Seconds before the first.
    pub interval: u32,
    /// How many.
    pub attempts: u32,
}

/// What to do with an error of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Catch {
    /// Errors.
    pub errors: Vec<String>,
    /// Variables to assign, from `$states.errorOutput`.
    pub assign: Map<String, Value>,
    /// Next state.
    pub next: String,
}

impl Machine {
    /// The definition.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut machine = Map::new();
        machine.insert("Comment".into(), json!(self.comment));
        machine.insert("QueryLanguage".into(), json!("JSONata"));
        machine.insert("StartAt".into(), json!(self.start_at));
        if let Some(seconds) = self.timeout_seconds {
            machine.insert("TimeoutSeconds".into(), json!(seconds));
        }
        let states: Map<String, Value> = self.states.iter().map(|(name, state)| (name.clone(), state.to_value())).collect();
        machine.insert("States".into(), Value::Object(states));
        Value::Object(machine)
    }
}

impl State {
    fn to_value(&self) -> Value {
        match self {
            Self::Pass { output, assign, next } => {
                let mut state = Map::new();
                state.insert("Type".into(), json!("Pass"));
                assign_into(&mut state, assign);
                state.insert("Output".into(), output.clone());
                state.insert("Next".into(), json!(next));
                Value::Object(state)
            }
            Self::Choice { choices, default } => {
                let rules: Vec<Value> =
                    choices.iter().map(|(condition, next)| json!({ "Condition": condition, "Next": next })).collect();
                json!({ "Type": "Choice", "Choices": rules, "Default": default })
            }
            Self::Wait { seconds, next } => json!({ "Type": "Wait", "Seconds": seconds, "Next": next }),
            Self::Task(task) => task.to_value(),
            Self::Fail { error, cause } => json!({ "Type": "Fail", "Error": error, "Cause": cause }),
            Self::Succeed { output } => json!({ "Type": "Succeed", "Output": output }),
        }
    }
}

impl Task {
    fn to_value(&self) -> Value {
        let mut state = Map::new();
        state.insert("Type".into(), json!("Task"));
        state.insert("Resource".into(), json!(self.resource));
        state.insert("Arguments".into(), self.arguments.clone());
        assign_into(&mut state, &self.assign);
        state.insert("Output".into(), self.output.clone());
        if !self.retry.is_empty() {
            let retry: Vec<Value> = self
                .retry
                .iter()
                .map(|retry| {
                    json!({
                        "ErrorEquals": retry.errors,
                        "IntervalSeconds": retry.interval,
                        "MaxAttempts": retry.attempts,
                        "BackoffRate": 2,
                    })
                })
                .collect();
            state.insert("Retry".into(), json!(retry));
        }
        if !self.catch.is_empty() {
            let catch: Vec<Value> = self
                .catch
                .iter()
                .map(|catch| {
                    let mut entry = Map::new();
                    entry.insert("ErrorEquals".into(), json!(catch.errors));
                    assign_into(&mut entry, &catch.assign);
                    entry.insert("Next".into(), json!(catch.next));
                    Value::Object(entry)
                })
                .collect();
            state.insert("Catch".into(), json!(catch));
        }
        state.insert("Next".into(), json!(self.next));
        Value::Object(state)
    }
}

fn assign_into(state: &mut Map<String, Value>, assign: &Map<String, Value>) {
    if !assign.is_empty() {
        state.insert("Assign".into(), Value::Object(assign.clone()));
    }
}
