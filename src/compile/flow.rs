//! The states of a workflow while they are put together, and what all step types share: results, conditions, failures.
//!
//! A step's states are named `<path>: <part>`. Whatever its type, a step passes through one of `done`, `failed` and `skipped`, Pass states
//! whose Output is the step's report: the history of an execution tells from them what became of each step.
//!
//! Variables: `params`, `run`, `document` are set once; `steps_<path>` is a step's result, `tries_<path>` counts its tries where it has `retry`,
//! `deadline_<path>` is when a call must have ended, in milliseconds; `work` belongs to the step that runs now, and holds its `failure`.

use serde_json::{Map, Value, json};

use crate::api::duration::Span;
use crate::api::steps::ErrorName;

use super::asl::{Assign, Inner, Names, Rule, State, assign, expression, quoted};
use super::expressions::Uses;
use super::names;
use super::steps::{call, fail, iteration, notify, parallel, pass, powershell, switch, wait};
use super::tree::{Action, Step};

/// Seconds before a further try when the manifest says nothing.
const RETRY_INTERVAL: u64 = 30;
/// Longest path in a comment: leaves room for the run's id and the numbers of five tries in each other.
const COMMENT_PATH_LIMIT: usize = 55;
/// Characters of a node's id in a comment, with the sign before it.
const COMMENT_ITEM: usize = 21;
/// Fewest characters of a path in a comment: its hash, and a few.
const COMMENT_PATH_LEAST: usize = 13;

/// Where a step goes on.
#[derive(Clone, Copy, Debug)]
pub struct Exits<'e> {
    /// The state after success.
    pub next: &'e str,
    /// The state after a failure that the step does not deal with itself: `failed` of the call around it. None ends the execution.
    pub failed: Option<&'e str>,
}

/// The states made so far.
#[derive(Debug)]
pub struct Flow {
    /// The states by name.
    pub states: Vec<(String, State)>,
    /// How many plugins the document has: each takes room in what Systems Manager answers.
    pub plugins: usize,
    /// What names mean in the scope that is laid out.
    pub names: Names,
    /// What expressions use of results.
    pub uses: Uses,
    partition: &'static str,
}

impl Flow {
    /// No states yet.
    #[must_use]
    pub fn new(plugins: usize, uses: Uses, partition: &'static str) -> Self {
        Self { states: Vec::new(), plugins, names: Names::default(), uses, partition }
    }

    /// States of a scope inside of this one, in which `names` count.
    pub fn inner(&mut self, start_at: String, names: Names, lay_out: impl FnOnce(&mut Self)) -> Inner {
        let states = std::mem::take(&mut self.states);
        let outer = std::mem::replace(&mut self.names, names);
        lay_out(self);
        let names = std::mem::replace(&mut self.names, outer);
        let mut inner = Inner { start_at, states: std::mem::replace(&mut self.states, states) };
        inner.states.iter_mut().for_each(|(_, state)| names.bind(state));
        inner
    }

    /// ARN of the integration that calls Systems Manager.
    #[must_use]
    pub fn systems_manager(&self, action: &str) -> String {
        self.integration(&format!("aws-sdk:ssm:{action}"))
    }

    /// ARN of an integration.
    #[must_use]
    pub fn integration(&self, name: &str) -> String {
        format!("arn:{}:states:::{name}", self.partition)
    }

    /// Adds a state.
    pub fn add(&mut self, path: &str, part: &str, state: State) {
        self.states.push((names::state(path, part), state));
    }

    /// Name of the state that a step begins with.
    #[must_use]
    pub fn entry(step: &Step<'_>) -> String {
        let part = if step.when.is_some() { "when" } else { first_part(&step.action) };
        names::state(&step.path, part)
    }

    /// Lays out steps, one after the other.
    pub fn list(&mut self, steps: &[Step<'_>], exits: &Exits<'_>) {
        let entries: Vec<String> = steps.iter().map(Self::entry).collect();
        for (index, step) in steps.iter().enumerate() {
            let next = entries.get(index + 1).map_or(exits.next, String::as_str);
            self.step(step, &Exits { next, failed: exits.failed });
        }
    }

    fn step(&mut self, step: &Step<'_>, exits: &Exits<'_>) {
        if let Some(condition) = &step.when {
            self.when(step, condition, exits.next);
        }
        match &step.action {
            Action::Powershell(plan) => powershell::lay_out(self, step, plan, exits),
            Action::Notify(plan) => notify::lay_out(self, step, plan, exits),
            Action::Wait(plan) => wait::lay_out(self, step, plan, exits),
            Action::Pass(result) => pass::lay_out(self, step, result, exits),
            Action::Fail(plan) => fail::lay_out(self, step, plan, exits),
            Action::Call(plan) => call::lay_out(self, step, plan, exits),
            Action::Parallel(plan) => parallel::lay_out(self, step, plan, exits),
            Action::Switch(plan) => switch::lay_out(self, step, plan, exits),
            Action::Iteration(plan) => iteration::lay_out(self, step, plan, exits),
        }
        for handler in &step.handlers {
            if let Ok(steps) = &handler.body {
                self.list(steps, exits);
            }
        }
    }

    /// The state before a step that has a condition.
    fn when(&mut self, step: &Step<'_>, condition: &str, next: &str) {
        let path = &step.path;
        // Anything but true skips the step; a Choice would fail on what is neither true nor false.
        let rule = Rule::new(&format!("({condition}) = true"), names::state(path, first_part(&step.action)));
        self.add(path, "when", State::Choice { rules: vec![rule], default: names::state(path, "skipped") });
        let skipped = State::Pass {
            assign: assign([(&names::variable("steps", path), json!({ "skipped": true }))]),
            output: json!({ "step": path, "skipped": true }),
            next: next.to_owned(),
        };
        self.add(path, "skipped", skipped);
    }

    /// The state that begins a step which can be tried several times.
    pub fn begin(&mut self, step: &Step<'_>, mut fresh: Assign, next: &str) {
        if !step.retry.is_empty() {
            let mut tries = Map::from_iter([("attempt".to_owned(), json!(1))]);
            tries.extend((0..step.retry.len()).map(|index| (format!("retry{index}"), json!(0))));
            fresh.insert(names::variable("tries", &step.path), Value::Object(tries));
        }
        self.add(&step.path, "begin", State::Pass { assign: fresh, output: json!({}), next: next.to_owned() });
    }

    /// The state that fails a step when a call around it has run out of time; gives its name.
    pub fn due(&mut self, step: &Step<'_>, next: &str) -> String {
        let late = format!("$millis() >= {}", soonest(&step.deadlines));
        let failure = json!({
            "step": step.path,
            "error": "Windlass.TimedOut",
            "cause": "the call that this step is inside of has run longer than its timeout",
        });
        let rule = Rule::new(&late, names::state(&step.path, "failed"))
            .assigning(assign([("work", json!({ "failure": failure }))]));
        self.add(&step.path, "due", State::Choice { rules: vec![rule], default: next.to_owned() });
        names::state(&step.path, "due")
    }

    /// The state after a step that went well. `kept` is its result, `reported` what its report shows beside its name.
    pub fn done(&mut self, step: &Step<'_>, kept: Value, reported: &[(&str, Value)], next: &str) {
        let done = State::Pass {
            assign: assign([(&names::variable("steps", &step.path), kept)]),
            output: report(step, reported),
            next: next.to_owned(),
        };
        self.add(&step.path, "done", done);
    }

    /// The states after a try that failed, of a step without retries that need anything set again. See [`Flow::failed_again`].
    pub fn failed(&mut self, step: &Step<'_>, fields: &[(&str, Value)], again: &str, exits: &Exits<'_>) {
        self.failed_again(step, fields, again, &|_| Assign::new(), exits);
    }

    /// The states after a try that failed: it is reported, then made again, handled or passed on.
    ///
    /// `$work.failure` says why. `fields` are kept in the step's result beside that, `again` is the state that a further try begins with, `fresh` what
    /// it needs assigned, given the seconds of the pause before it.
    pub fn failed_again(
        &mut self,
        step: &Step<'_>,
        fields: &[(&str, Value)],
        again: &str,
        fresh: &dyn Fn(u64) -> Assign,
        exits: &Exits<'_>,
    ) {
        let path = &step.path;
        let onward = exits.failed.map_or_else(|| names::state(path, "fail"), str::to_owned);
        let routed = !step.retry.is_empty() || !step.handlers.is_empty();
        let (error, cause) = (json!("{% $work.failure.error %}"), json!("{% $work.failure.cause %}"));
        let node = "{% $exists($work.failure.node) ? $work.failure.node : null %}";
        let failure = json!({ "step": "{% $work.failure.step %}", "node": node, "error": error, "cause": cause });
        let mut kept = Map::from_iter([("skipped".to_owned(), json!(false))]);
        kept.extend([
            ("error".to_owned(), error.clone()),
            ("cause".to_owned(), cause.clone()),
            ("failure".to_owned(), failure),
        ]);
        kept.extend(
            fields
                .iter()
                .filter(|(name, _)| KEPT.contains(name))
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        let mut reported: Vec<(&str, Value)> =
            fields.iter().filter(|(name, _)| REPORTED.contains(name)).cloned().collect();
        reported.extend([("error", error), ("cause", cause)]);
        let failed = State::Pass {
            assign: assign([(&names::variable("steps", path), Value::Object(kept))]),
            output: report(step, &reported),
            next: if routed { names::state(path, "route") } else { onward.clone() },
        };
        self.add(path, "failed", failed);
        if routed {
            self.route(step, again, fresh, &onward);
        }
        if exits.failed.is_none() {
            // Longest cause: 32,768 characters (API reference, ExecutionFailedEventDetails).
            let cause = expression("$substring($work.failure.cause, 0, 32000)");
            let error = expression(&raisable("$work.failure"));
            self.add(path, "fail", State::Fail { error, cause });
        }
    }

    fn route(&mut self, step: &Step<'_>, again: &str, fresh: &dyn Fn(u64) -> Assign, onward: &str) {
        let path = &step.path;
        // Once a call around it has run out of time, the failure is that call's to deal with.
        let in_time = if step.deadlines.is_empty() {
            String::new()
        } else {
            format!(" and $millis() < {}", soonest(&step.deadlines))
        };
        let mut rules: Vec<Rule> = Vec::new();
        let tries = names::variable("tries", path);
        for (index, retry) in step.retry.iter().enumerate() {
            let pause = retry.interval.map_or(RETRY_INTERVAL, Span::as_secs);
            let earlier: Vec<&ErrorName> = step.retry.iter().take(index).flat_map(|retry| &retry.errors).collect();
            let condition =
                format!("{} and ${tries}.retry{index} < {}{in_time}", matches(&retry.errors, &earlier), retry.attempts);
            let counted = format!(
                "$merge([${tries}, {{\"attempt\": ${tries}.attempt + 1, \"retry{index}\": ${tries}.retry{index} + 1, \"pause\": {pause}}}])"
            );
            let mut assign = fresh(pause);
            assign.insert(tries.clone(), json!(expression(&counted)));
            rules.push(Rule::new(&condition, names::state(path, "again")).assigning(assign));
        }
        for handler in &step.handlers {
            rules.push(Rule::new(&format!("{}{in_time}", matches(handler.errors, &[])), names::state(path, "handled")));
        }
        self.add(path, "route", State::Choice { rules, default: onward.to_owned() });
        if !step.retry.is_empty() {
            let pause = json!(expression(&format!("${tries}.pause")));
            self.add(path, "again", State::Wait { seconds: pause, next: again.to_owned() });
        }
        self.handled(step);
    }

    /// The state that leads to the handler that is for the failure.
    fn handled(&mut self, step: &Step<'_>) {
        let mut ways: Vec<(&[ErrorName], String)> = Vec::new();
        for handler in &step.handlers {
            let entry = match &handler.body {
                Ok(steps) => steps.first().map(Self::entry),
                Err(earlier) => ways.get(*earlier).map(|(_, entry)| entry.clone()),
            };
            ways.extend(entry.map(|entry| (handler.errors, entry)));
        }
        let state = match ways.as_slice() {
            [] => return,
            [(_, only)] => State::Pass {
                assign: Assign::new(),
                output: json!({ "step": step.path, "handled": true }),
                next: only.clone(),
            },
            [rest @ .., (_, last)] => State::Choice {
                rules: rest.iter().map(|(errors, entry)| Rule::new(&matches(errors, &[]), entry.clone())).collect(),
                default: last.clone(),
            },
        };
        self.add(&step.path, "handled", state);
    }
}

/// Fields of a failed step's report, and of its result.
const REPORTED: [&str; 4] = ["commandId", "plugin", "counts", "nodes"];
const KEPT: [&str; 5] = ["succeeded", "failed", "nodes", "steps", "case"];

fn first_part(action: &Action<'_>) -> &'static str {
    match action {
        Action::Powershell(_)
        | Action::Notify(_)
        | Action::Call(_)
        | Action::Parallel(_)
        | Action::Switch(_)
        | Action::Iteration(_) => "begin",
        Action::Wait(plan) => wait::first_part(plan),
        Action::Pass(_) => "pass",
        Action::Fail(_) => "raise",
    }
}

fn report(step: &Step<'_>, fields: &[(&str, Value)]) -> Value {
    let mut report = Map::from_iter([("step".to_owned(), json!(step.path)), ("attempt".to_owned(), json!(1))]);
    if !step.retry.is_empty() {
        report.insert("attempt".into(), json!(expression(&attempt(step))));
    }
    report.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    Value::Object(report)
}

/// Which try of a step this is, in JSONata.
#[must_use]
pub fn attempt(step: &Step<'_>) -> String {
    if step.retry.is_empty() { "1".to_owned() } else { format!("${}.attempt", names::variable("tries", &step.path)) }
}

/// Which try of a step this is, within which tries of the calls around it: `2`, `1.2`. A text, in JSONata. No two tries of a run share it.
#[must_use]
pub fn try_number(step: &Step<'_>) -> String {
    let mut parts: Vec<String> = step.retried.iter().map(|tries| format!("${tries}.attempt")).collect();
    parts.push(attempt(step));
    let tries = match parts.as_slice() {
        [one] if one == "1" => quoted("1"),
        parts => {
            let parts: Vec<String> = parts.iter().map(|part| format!("$string({part})")).collect();
            parts.join(" & \".\" & ")
        }
    };
    step.items.iter().fold(tries, |tries, item| format!("{tries} & \"@\" & ${item}"))
}

/// The comment by which a command is found again, in JSONata: `windlass:<run id>:<path>#<try>`, with `@<node>` inside of `forEachNode` and `@<number>` inside of `forEach`, 100 characters at most (`SendCommand`, Comment). No
/// two commands of a run share it, and those of a run that was cancelled are swept by its beginning.
#[must_use]
pub fn comment(step: &Step<'_>) -> String {
    let limit = COMMENT_PATH_LIMIT.saturating_sub(COMMENT_ITEM * step.items.len()).max(COMMENT_PATH_LEAST);
    let path = names::short(&step.path, limit);
    format!("\"windlass:\" & $run.id & {} & {}", quoted(&format!(":{path}#")), try_number(step))
}

/// The error of a failure as a Fail state may raise it, in JSONata: names that begin with `States.` are the service's own (Amazon States Language, "Error
/// Representation"), `States.Timeout` is raised as `Windlass.Timeout`.
#[must_use]
pub fn raisable(failure: &str) -> String {
    format!("$replace({failure}.error, /^States\\./, \"Windlass.\")")
}

/// The state in which a scope ends as failed: what failed goes out in its cause, for [`told`].
#[must_use]
pub fn tell(failure: &str) -> State {
    // Longest cause: 32,768 characters (API reference, ExecutionFailedEventDetails).
    let cause = format!(
        "$string({{\"step\": {failure}.step, \"node\": $exists({failure}.node) ? {failure}.node : null, \"error\": {failure}.error, \"cause\": $substring({failure}.cause, 0, 20000)}})"
    );
    State::Fail { error: expression(&raisable(failure)), cause: expression(&cause) }
}

/// What failed in a scope inside of the step at `path`, in JSONata, from its error output. What Step Functions itself raises is told of the step.
#[must_use]
pub fn told(path: &str, output: &str) -> String {
    format!(
        "( $cause := $exists({output}.Cause) ? {output}.Cause : \"\"; $merge([{{\"step\": {}, \"error\": {output}.Error, \"cause\": $cause}}, \
         $contains($cause, /^\\{{\"step\":\"/) ? $sift($parse($cause), function($v) {{ $v != null }}) : {{}}]) )",
        quoted(path)
    )
}

/// The soonest of some deadlines, in JSONata.
#[must_use]
pub fn soonest(deadlines: &[String]) -> String {
    let all: Vec<String> = deadlines.iter().map(|deadline| format!("${deadline}")).collect();
    format!("$min([{}])", all.join(", "))
}

/// Whether `$work.failure` is one of some errors and none of the ones that earlier entries name, in JSONata.
fn matches(errors: &[ErrorName], earlier: &[&ErrorName]) -> String {
    const ANY: &str = "States.ALL";
    let list = |errors: &mut dyn Iterator<Item = &ErrorName>| {
        let quoted: Vec<String> = errors.map(|error| quoted(&error.0)).collect();
        format!("$work.failure.error in [{}]", quoted.join(", "))
    };
    if earlier.iter().any(|error| error.0 == ANY) {
        return "false".to_owned();
    }
    let all = errors.iter().any(|error| error.0 == ANY);
    if !all {
        return list(&mut errors.iter().filter(|error| !earlier.contains(error)));
    }
    if earlier.is_empty() { "true".to_owned() } else { format!("$not({})", list(&mut earlier.iter().copied())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_that_names_an_error_is_used() {
        let errors =
            |names: &[&str]| -> Vec<ErrorName> { names.iter().map(|name| ErrorName((*name).to_owned())).collect() };
        let (exit, any) = (errors(&["Windlass.ExitCode"]), errors(&["States.ALL"]));
        let earlier: Vec<&ErrorName> = exit.iter().collect();
        assert_eq!(matches(&exit, &[]), "$work.failure.error in [\"Windlass.ExitCode\"]");
        assert_eq!(matches(&any, &[]), "true");
        assert_eq!(matches(&any, &earlier), "$not($work.failure.error in [\"Windlass.ExitCode\"])");
        assert_eq!(matches(&exit, &any.iter().collect::<Vec<_>>()), "false");
        assert_eq!(matches(&exit, &earlier), "$work.failure.error in []");
    }
}
