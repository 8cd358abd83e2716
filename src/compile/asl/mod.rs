//! Amazon States Language, JSONata flavour: a typed model and its writer. Knows nothing of Windlass.
//!
//! Reference: states-language.net/spec.html and the Step Functions developer guide.

mod inner;

use std::collections::BTreeSet;

pub use inner::{DistributedMap, Inner, Names, Parallel};
use serde_json::{Map, Value, json};

/// Longest name of a state (Step Functions quotas).
pub const STATE_NAME_LIMIT: usize = 80;
/// Largest definition, in bytes (Step Functions quotas).
pub const DEFINITION_LIMIT: usize = 1_048_576;
/// Most events in the history of one execution (Step Functions quotas).
pub const HISTORY_LIMIT: u64 = 25_000;

/// Most bytes that a state takes or puts out (Step Functions quotas).
pub const PAYLOAD_LIMIT: u64 = 262_144;

/// Variables to assign, by name.
pub type Assign = Map<String, Value>;

/// A JSONata expression as a field's value.
#[must_use]
pub fn expression(code: &str) -> String {
    format!("{{% {code} %}}")
}

/// A text as a field's value. A text that would be read as an expression becomes an expression that gives it, and so does the empty text, which
/// asl-validator refuses where variables are assigned.
#[must_use]
pub fn text(text: &str) -> String {
    if text.is_empty() || (text.starts_with("{%") && text.ends_with("%}")) {
        expression(&quoted(text))
    } else {
        text.to_owned()
    }
}

/// A text as a string literal of JSONata: the same as JSON's.
#[must_use]
pub fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// Variables to assign.
#[must_use]
pub fn assign<const N: usize>(variables: [(&str, Value); N]) -> Assign {
    variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

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
#[allow(
    clippy::large_enum_variant,
    reason = "a definition has thousands at most, and most of them are tasks' companions"
)]
pub enum State {
    /// Computes.
    Pass {
        /// Variables to assign.
        assign: Assign,
        /// Result.
        output: Value,
        /// Next state.
        next: String,
    },
    /// Branches.
    Choice {
        /// The branches, tried in order.
        rules: Vec<Rule>,
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
    /// Runs branches at the same time.
    Parallel(Parallel),
    /// Runs a child execution for each item.
    Map(Box<DistributedMap>),
    /// Ends the execution, or the branch or child that it is in, as failed.
    Fail {
        /// Error, a name or an expression.
        error: String,
        /// Cause, text or an expression.
        cause: String,
    },
    /// Ends the execution well, or the branch or child that it is in.
    Succeed {
        /// Its output.
        output: Value,
    },
}

/// A branch of a Choice.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Expression that gives true or false.
    pub condition: String,
    /// Variables to assign when it is taken.
    pub assign: Assign,
    /// Next state.
    pub next: String,
}

impl Rule {
    /// A branch that is taken when the JSONata in `code` gives true.
    pub fn new(code: &str, next: impl Into<String>) -> Self {
        Self { condition: expression(code), assign: Assign::new(), next: next.into() }
    }

    /// The same, with variables to assign.
    #[must_use]
    pub fn assigning(mut self, assign: Assign) -> Self {
        self.assign = assign;
        self
    }
}

/// A call of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// ARN of the integration.
    pub resource: String,
    /// Arguments.
    pub arguments: Value,
    /// Variables to assign, from `$states.result`.
    pub assign: Assign,
    /// Output, from `$states.result`.
    pub output: Value,
    /// Longest time, in seconds: a number or an expression.
    pub timeout: Option<Value>,
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
    pub errors: Vec<&'static str>,
    /// Seconds before the first; each further wait is twice the one before.
    pub interval: u32,
    /// How many; none makes the errors ones that are not tried again.
    pub attempts: u32,
}

/// What to do with an error of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Catch {
    /// Errors.
    pub errors: Vec<&'static str>,
    /// Variables to assign, from `$states.errorOutput`.
    pub assign: Assign,
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
        machine.insert("States".into(), reachable(&self.start_at, &self.states));
        Value::Object(machine)
    }
}

/// The states that the first one leads to, itself included. Step Functions refuses a definition with others: what follows a step that always fails, for one.
fn reachable(start: &str, states: &[(String, State)]) -> Value {
    let states: Map<String, Value> = states.iter().map(|(name, state)| (name.clone(), state.to_value())).collect();
    let mut found = BTreeSet::new();
    let mut ahead = vec![start.to_owned()];
    while let Some(name) = ahead.pop() {
        let Some(state) = states.get(&name).filter(|_| !found.contains(&name)) else { continue };
        found.insert(name);
        let branches = ["Choices", "Catch"].into_iter().filter_map(|field| state.get(field)?.as_array()).flatten();
        let next =
            branches.filter_map(|branch| branch.get("Next")).chain(state.get("Next")).chain(state.get("Default"));
        ahead.extend(next.filter_map(Value::as_str).map(str::to_owned));
    }
    Value::Object(states.into_iter().filter(|(name, _)| found.contains(name)).collect())
}

impl State {
    fn to_value(&self) -> Value {
        match self {
            Self::Pass { assign, output, next } => {
                let mut state = of_type("Pass");
                put_assign(&mut state, assign);
                state.insert("Output".into(), output.clone());
                state.insert("Next".into(), json!(next));
                Value::Object(state)
            }
            Self::Choice { rules, default } => {
                let rules: Vec<Value> = rules.iter().map(Rule::to_value).collect();
                json!({ "Type": "Choice", "Choices": rules, "Default": default })
            }
            Self::Wait { seconds, next } => json!({ "Type": "Wait", "Seconds": seconds, "Next": next }),
            Self::Task(task) => task.to_value(),
            Self::Parallel(parallel) => parallel.to_value(),
            Self::Map(map) => map.to_value(),
            Self::Fail { error, cause } => json!({ "Type": "Fail", "Error": error, "Cause": cause }),
            Self::Succeed { output } => json!({ "Type": "Succeed", "Output": output }),
        }
    }
}

impl Rule {
    fn to_value(&self) -> Value {
        let mut rule = Map::new();
        rule.insert("Condition".into(), json!(self.condition));
        put_assign(&mut rule, &self.assign);
        rule.insert("Next".into(), json!(self.next));
        Value::Object(rule)
    }
}

impl Task {
    fn to_value(&self) -> Value {
        let mut state = of_type("Task");
        state.insert("Resource".into(), json!(self.resource));
        state.insert("Arguments".into(), self.arguments.clone());
        put_assign(&mut state, &self.assign);
        state.insert("Output".into(), self.output.clone());
        if let Some(seconds) = &self.timeout {
            state.insert("TimeoutSeconds".into(), seconds.clone());
        }
        if !self.retry.is_empty() {
            state.insert("Retry".into(), self.retry.iter().map(Retry::to_value).collect());
        }
        if !self.catch.is_empty() {
            state.insert("Catch".into(), self.catch.iter().map(Catch::to_value).collect());
        }
        state.insert("Next".into(), json!(self.next));
        Value::Object(state)
    }
}

impl Retry {
    fn to_value(&self) -> Value {
        let mut retry = Map::new();
        retry.insert("ErrorEquals".into(), json!(self.errors));
        if self.attempts > 0 {
            retry.insert("IntervalSeconds".into(), json!(self.interval));
            retry.insert("BackoffRate".into(), json!(2));
        }
        retry.insert("MaxAttempts".into(), json!(self.attempts));
        Value::Object(retry)
    }
}

impl Catch {
    fn to_value(&self) -> Value {
        let mut catch = Map::new();
        catch.insert("ErrorEquals".into(), json!(self.errors));
        put_assign(&mut catch, &self.assign);
        catch.insert("Next".into(), json!(self.next));
        Value::Object(catch)
    }
}

fn of_type(type_: &str) -> Map<String, Value> {
    Map::from_iter([("Type".to_owned(), json!(type_))])
}

fn put_assign(state: &mut Map<String, Value>, assign: &Assign) {
    if !assign.is_empty() {
        state.insert("Assign".into(), Value::Object(assign.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_texts() {
        for (given, value) in [("a", "a"), ("{% 1 %}", "{% \"{% 1 %}\" %}"), ("", "{% \"\" %}"), ("{% 1", "{% 1")] {
            assert_eq!(text(given), value);
        }
        assert_eq!(quoted("a\"\\\n"), r#""a\"\\\n""#);
    }

    #[test]
    fn writes_fields_in_a_fixed_order() {
        let machine = Machine {
            comment: "c".into(),
            start_at: "a".into(),
            timeout_seconds: Some(60),
            states: vec![
                (
                    "a".into(),
                    State::Task(Task {
                        resource: "r".into(),
                        arguments: json!({}),
                        assign: assign([("x", json!(1))]),
                        output: json!({}),
                        timeout: Some(json!(9)),
                        retry: vec![
                            Retry { errors: vec!["E"], interval: 1, attempts: 0 },
                            Retry { errors: vec!["F"], interval: 2, attempts: 3 },
                        ],
                        catch: vec![Catch { errors: vec!["States.ALL"], assign: Assign::new(), next: "b".into() }],
                        next: "b".into(),
                    }),
                ),
                ("b".into(), State::Choice { rules: vec![Rule::new("true", "c")], default: "d".into() }),
            ],
        };
        assert_eq!(
            machine.to_value().to_string(),
            concat!(
                r#"{"Comment":"c","QueryLanguage":"JSONata","StartAt":"a","TimeoutSeconds":60,"States":{"#,
                r#""a":{"Type":"Task","Resource":"r","Arguments":{},"Assign":{"x":1},"Output":{},"TimeoutSeconds":9,"#,
                r#""Retry":[{"ErrorEquals":["E"],"MaxAttempts":0},{"ErrorEquals":["F"],"IntervalSeconds":2,"BackoffRate":2,"MaxAttempts":3}],"#,
                r#""Catch":[{"ErrorEquals":["States.ALL"],"Next":"b"}],"Next":"b"},"#,
                r#""b":{"Type":"Choice","Choices":[{"Condition":"{% true %}","Next":"c"}],"Default":"d"}}}"#
            )
        );
    }
}
