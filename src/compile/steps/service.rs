//! One call of a service, as `notify` and `task` make it: begin → call → done, with further tries where the service was only too busy.
//!
//! A call with an unknown outcome is not made again by itself: only its author knows whether twice is the same as once, and can say so by `retry`.

use serde_json::{Value, json};

use super::super::asl::{Assign, Catch, Rule, State, Task, assign, expression, quoted};
use super::super::flow::{Exits, Flow, soonest};
use super::super::names;
use super::super::tree::Step;

/// How often a throttled call is made again: for six minutes in all.
pub(super) const HOLDS: u64 = 10;
/// Most events of history of one try: `begin`, `due`, the call, `refused`, `done` or `failed`, and a throttled call's pauses.
pub(in super::super) const EVENTS: u64 = 2 + 2 + 5 + 2 + 2 + HOLDS * 9;

/// What a service's name for being too busy has in it: `ThrottlingException`, `ThrottledException`, EC2's `RequestLimitExceeded`, S3's `SlowDown`, …
const BUSY: [&str; 5] = ["Throttl", "RequestLimitExceeded", "TooManyRequests", "SlowDown", "LimitExceeded: Rate"];

/// A call.
pub(super) struct Call {
    /// The part that its state is named.
    pub(super) part: &'static str,
    /// ARN of the integration.
    pub(super) resource: String,
    /// Arguments.
    pub(super) arguments: Value,
    /// What `$work` keeps of the answer: an object, in JSONata.
    pub(super) kept: String,
    /// Longest time, in seconds.
    pub(super) timeout: Option<u64>,
    /// The state after it.
    pub(super) next: String,
}

/// `$work` before the first call.
pub(super) fn fresh() -> Assign {
    assign([("work", json!({ "held": 0 }))])
}

/// Lays out a step's call, with what leads to it and what follows where it fails. What follows where it succeeds is the step's own to lay out.
pub(super) fn lay_out(flow: &mut Flow, step: &Step<'_>, call: Call, exits: &Exits<'_>) {
    let first = enter(flow, step, fresh(), call.part);
    make(flow, step, call, &[]);
    flow.failed_again(step, &[], &first, &|_| fresh(), exits);
}

/// `begin`, and `due` inside of calls that have a deadline; gives the state that a further try begins with.
pub(super) fn enter(flow: &mut Flow, step: &Step<'_>, fresh: Assign, part: &str) -> String {
    let call = names::state(&step.path, part);
    let first = if step.deadlines.is_empty() { call.clone() } else { names::state(&step.path, "due") };
    flow.begin(step, fresh, &first);
    if !step.deadlines.is_empty() {
        flow.due(step, &call);
    }
    first
}

/// The call itself, and its pauses. `special` are rules for what it raised, before the common ones.
pub(super) fn make(flow: &mut Flow, step: &Step<'_>, call: Call, special: &[Rule]) {
    let path = &step.path;
    let state = names::state(path, call.part);
    let failure = format!("$merge([$work, {{\"failure\": {}}}])", raised(path, call.timeout));
    let refused = Catch {
        errors: vec!["States.ALL"],
        assign: assign([("work", json!(expression(&failure)))]),
        next: names::state(path, "refused"),
    };
    let task = Task {
        resource: call.resource,
        arguments: call.arguments,
        assign: assign([("work", json!(expression(&format!("$merge([$work, {}])", call.kept))))]),
        output: json!({}),
        timeout: limit(step, call.timeout),
        retry: Vec::new(),
        catch: vec![refused],
        next: call.next,
    };
    flow.add(path, call.part, State::Task(task));
    let mut rules = special.to_vec();
    let counted = assign([("work", json!("{% $merge([$work, {\"held\": $work.held + 1}]) %}"))]);
    rules.push(Rule::new(&throttled(), names::state(path, "hold")).assigning(counted));
    flow.add(path, "refused", State::Choice { rules, default: names::state(path, "failed") });
    let seconds = json!("{% $min([60, $power(2, $work.held)]) %}");
    flow.add(path, "hold", State::Wait { seconds, next: state });
}

/// Longest time of the call: the step's own, and no longer than the calls that it is inside of may take.
fn limit(step: &Step<'_>, timeout: Option<u64>) -> Option<Value> {
    if step.deadlines.is_empty() {
        return timeout.map(|seconds| json!(seconds));
    }
    let left = format!("$ceil(({} - $millis()) / 1000)", soonest(&step.deadlines));
    let least = timeout.map_or_else(|| left.clone(), |seconds| format!("$min([{seconds}, {left}])"));
    Some(json!(expression(&format!("$max([1, {least}])"))))
}

/// Whether `$work.failure` says that the service was too busy, and there are pauses left; in JSONata.
pub(super) fn throttled() -> String {
    let busy: Vec<String> =
        BUSY.iter().map(|word| format!("$contains($work.failure.error, {})", quoted(word))).collect();
    format!("($contains($work.failure.cause, \"Rate exceeded\") or {}) and $work.held < {HOLDS}", busy.join(" or "))
}

/// `$work.failure` from what a task raised, in JSONata. A task that was given a timeout and did not keep it raises `States.Timeout`.
pub(super) fn raised(path: &str, timeout: Option<u64>) -> String {
    let cause = "$exists($states.errorOutput.Cause) ? $states.errorOutput.Cause : \"\"";
    let late = timeout.map_or_else(
        || "\"it had not answered in time\"".to_owned(),
        |seconds| quoted(&format!("it had not answered after {seconds} s")),
    );
    format!(
        "$states.errorOutput.Error = \"States.Timeout\" ? {{\"step\": {path}, \"error\": \"Windlass.TimedOut\", \"cause\": {late}}} : \
         {{\"step\": {path}, \"error\": $states.errorOutput.Error, \"cause\": {cause}}}",
        path = quoted(path)
    )
}
