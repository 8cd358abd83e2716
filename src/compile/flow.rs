//! The states of a workflow while they are put together, and what all step types share: names, results, failures.
//!
//! Steps are laid out from the last to the first, so that each knows the name of the state that follows it. A step's states are named
//! `<path>: <part>`. Whatever its type, a step passes through one of `done`, `failed` and `skipped`, Pass states whose Output is the step's
//! report: the history of an execution tells from them what became of each step.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::api::steps::{ErrorName, Retry};

use super::asl::State;

/// Longest path in a state name: leaves room for the part.
const PATH_LIMIT: usize = 60;
/// Seconds before a further try when the manifest says nothing.
const RETRY_INTERVAL: u64 = 30;

/// Where a step stands: the steps and handlers that it is inside of, outermost first. Their results are in scope for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope(pub Vec<String>);

impl Scope {
    /// The scope inside of a step.
    #[must_use]
    pub fn inside(&self, step: &str) -> Self {
        let mut path = self.0.clone();
        path.push(step.to_owned());
        Self(path)
    }

    /// Path of a step here, as status shows it.
    #[must_use]
    pub fn path(&self, step: &str) -> String {
        let mut path = self.0.join("/");
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(step);
        path
    }

    /// An author's expression as a state evaluates it: inside of a step, `$steps` has the results of that step's own steps too.
    #[must_use]
    pub fn expression(&self, code: &str) -> String {
        if self.0.is_empty() {
            return format!("{{% {code} %}}");
        }
        let mut inner = String::from("$steps");
        let mut all = vec![inner.clone()];
        for step in &self.0 {
            inner = format!("{inner}.`{step}`.steps");
            all.push(inner.clone());
        }
        format!("{{% ( $steps := $merge([{}]); {code} ) %}}", all.join(", "))
    }

    /// An expression that gives `$steps` with the report `report` put in its place for a step here.
    #[must_use]
    pub fn record(&self, step: &str, report: &str) -> String {
        // From the inside out: each level is merged into the one around it.
        let mut at = String::from("$steps");
        let mut levels = Vec::new();
        for outer in &self.0 {
            at = format!("{at}.`{outer}`");
            levels.push((outer, at.clone()));
            at = format!("{at}.steps");
        }
        let mut value = format!("$merge([{at}, {{\"{step}\": $merge([{at}.`{step}`, {report}])}}])");
        for (outer, whole) in levels.iter().rev() {
            let around = whole.strip_suffix(&format!(".`{outer}`")).unwrap_or("$steps");
            value = format!("$merge([{around}, {{\"{outer}\": $merge([{whole}, {{\"steps\": {value}}}])}}])");
        }
        value
    }
}

/// Name of a state.
#[must_use]
pub fn state_name(path: &str, part: &str) -> String {
    if path.len() <= PATH_LIMIT {
        return format!("{path}: {part}");
    }
    let hex: String = Sha256::digest(path.as_bytes()).iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    // The end of a path tells more than its beginning.
    let keep = PATH_LIMIT - hex.len() - 1;
    let end: String = path.chars().skip(path.chars().count().saturating_sub(keep)).collect();
    format!("{hex}~{end}: {part}")
}

/// A text as a JSONata string.
#[must_use]
pub fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// Where a step goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exits {
    /// The state after success.
    pub next: String,
    /// The state after a failure that nothing here deals with. Its name is a Pass or Fail state that reads `$failure`.
    pub failed: String,
}

/// The states made so far, and how many events of history they can come to.
#[derive(Debug, Default)]
pub struct Flow {
    /// The states; those made last come first.
    pub states: Vec<(String, State)>,
    /// Upper bound of the events of one run.
    pub events: u64,
}

impl Flow {
    /// Adds a state and says its name.
    pub fn add(&mut self, path: &str, part: &str, state: State) -> String {
        let name = state_name(path, part);
        self.states.push((name.clone(), state));
        name
    }

    /// A step that goes well and has `report` (an object's fields, JSONata) as its result.
    pub fn done(&mut self, scope: &Scope, step: &str, fields: &[(&str, String)], next: &str) -> String {
        let path = scope.path(step);
        let result: Vec<String> = fields.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
        let result = format!("{{{}}}", result.join(", "));
        let mut assign = Map::new();
        assign.insert("steps".into(), json!(format!("{{% {} %}}", scope.record(step, &result))));
        let output = format!("{{% $merge([{{\"step\": {}, \"attempt\": {}}}, {result}]) %}}", quoted(&path), attempt(&path));
        self.add(&path, "done", State::Pass { output: json!(output), assign, next: next.to_owned() })
    }

    /// The state before a step that has a condition.
    pub fn when(&mut self, scope: &Scope, step: &str, condition: &str, entry: &str, next: &str) -> String {
        let path = scope.path(step);
        let mut assign = Map::new();
        assign.insert("steps".into(), json!(format!("{{% {} %}}", scope.record(step, "{\"skipped\": true}"))));
        let output = json!({ "step": path, "skipped": true });
        let skipped = self.add(&path, "skipped", State::Pass { output, assign, next: next.to_owned() });
        self.events += 4;
        let choices = vec![(scope.expression(condition), entry.to_owned())];
        self.add(&path, "when", State::Choice { choices, default: skipped })
    }

    /// The state that begins a step which can be tried several times.
    pub fn begin(&mut self, path: &str, next: &str) -> String {
        let mut assign = Map::new();
        assign.insert("tries".into(), json!(format!("{{% $merge([$tries, {{{}: 1}}]) %}}", quoted(path))));
        assign.insert("work".into(), json!({}));
        self.add(path, "begin", State::Pass { output: json!({}), assign, next: next.to_owned() })
    }

    /// The state that begins each try of a step whose tries are counted elsewhere: it changes nothing, and gives further tries a name to go to.
    pub fn begin_anew(&mut self, path: &str, next: &str) -> String {
        self.add(path, "begin", State::Pass { output: json!({}), assign: Map::new(), next: next.to_owned() })
    }

    /// The states after a failed try: it is reported, tried again, handled or passed on.
    ///
    /// They expect `$failure` to be set. `again` is the state that a further try begins with, `fields` what the report shows beside the error,
    /// `handlers` pairs of errors and the state that a handler begins with.
    pub fn failed(
        &mut self,
        scope: &Scope,
        step: &str,
        fields: &[(&str, String)],
        retry: &[Retry],
        again: &str,
        handlers: &[(&[ErrorName], String)],
        exits: &Exits,
    ) -> String {
        let path = scope.path(step);
        let mut choices = Vec::new();
        if let Some(wait) = self.again(&path, retry, again) {
            for entry in retry {
                let more = format!("{} <= {}", attempt(&path), entry.attempts);
                choices.push((format!("{{% {} and {more} %}}", matches(&entry.errors)), wait.clone()));
            }
        }
        for (index, (errors, entry)) in handlers.iter().enumerate() {
            let part = if index == 0 { "handled".to_owned() } else { format!("handled {}", index + 1) };
            let output = json!({ "step": path, "handled": true });
            let handled = self.add(&path, &part, State::Pass { output, assign: Map::new(), next: entry.clone() });
            choices.push((format!("{{% {} %}}", matches(errors)), handled));
        }
        let onward = if choices.is_empty() {
            exits.failed.clone()
        } else {
            self.add(&path, "route", State::Choice { choices, default: exits.failed.clone() })
        };
        let mut shown: Vec<String> = vec![format!("\"step\": {}", quoted(&path)), format!("\"attempt\": {}", attempt(&path))];
        shown.extend(fields.iter().map(|(key, value)| format!("\"{key}\": {value}")));
        shown.push("\"error\": $failure.error".into());
        shown.push("\"cause\": $failure.cause".into());
        let mut kept: Vec<String> = fields.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
        kept.push("\"error\": $failure.error".into());
        kept.push("\"cause\": $failure.cause".into());
        let mut assign = Map::new();
        assign.insert("steps".into(), json!(format!("{{% {} %}}", scope.record(step, &format!("{{{}}}", kept.join(", "))))));
        self.events += 8;
        let output = json!(format!("{{% {{{}}} %}}", shown.join(", ")));
        self.add(&path, "failed", State::Pass { output, assign, next: onward })
    }

    fn again(&mut self, path: &str, retry: &[Retry], next: &str) -> Option<String> {
        let (last, rest) = retry.split_last()?;
        let interval = |entry: &Retry| entry.interval.map_or(RETRY_INTERVAL, crate::api::duration::Span::as_secs);
        let seconds = if rest.is_empty() {
            json!(interval(last))
        } else {
            let choice = rest.iter().rev().fold(interval(last).to_string(), |other, entry| {
                format!("{} ? {} : {other}", matches(&entry.errors), interval(entry))
            });
            json!(format!("{{% {choice} %}}"))
        };
        let mut assign = Map::new();
        let count = format!("{{% $merge([$tries, {{{}: {} + 1}}]) %}}", quoted(path), attempt(path));
        assign.insert("tries".into(), json!(count));
        // The next try begins with nothing of this one.
        assign.insert("work".into(), json!({}));
        let anew = self.add(path, "anew", State::Pass { output: json!({}), assign, next: next.to_owned() });
        Some(self.add(path, "again", State::Wait { seconds, next: anew }))
    }
}

/// How many times a step has been tried, in JSONata.
#[must_use]
pub fn attempt(path: &str) -> String {
    // A step that cannot be tried again has no count.
    format!("($exists($lookup($tries, {0})) ? $lookup($tries, {0}) : 1)", quoted(path))
}

/// Whether `$failure` is one of some errors, in JSONata.
fn matches(errors: &[ErrorName]) -> String {
    if errors.iter().any(|error| error.0 == "States.ALL") {
        return "true".to_owned();
    }
    let list: Vec<String> = errors.iter().map(|error| quoted(&error.0)).collect();
    format!("$failure.error in [{}]", list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_under_the_steps_that_they_are_inside_of() {
        let top = Scope::default();
        assert_eq!(top.record("a", "{}"), "$merge([$steps, {\"a\": $merge([$steps.`a`, {}])}])");
        let inner = top.inside("c");
        assert_eq!(
            inner.record("a", "{}"),
            "$merge([$steps, {\"c\": $merge([$steps.`c`, {\"steps\": $merge([$steps.`c`.steps, {\"a\": $merge([$steps.`c`.steps.`a`, {}])}])}])}])"
        );
        assert_eq!(inner.expression("1"), "{% ( $steps := $merge([$steps, $steps.`c`.steps]); 1 ) %}");
        assert_eq!(inner.path("a"), "c/a");
    }

    #[test]
    fn state_names_keep_to_the_limit_and_apart() {
        let (one, two) = (format!("{}/a", "x".repeat(90)), format!("{}/a", "x".repeat(91)));
        assert!(state_name(&one, "send failed").len() <= super::super::asl::STATE_NAME_LIMIT);
        assert_ne!(state_name(&one, "send"), state_name(&two, "send"));
    }
}
