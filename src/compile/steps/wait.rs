//! `wait`: a Wait state.

use serde_json::{Value, json};

use crate::api::leaves::Moment;
use crate::api::steps::Wait;

use super::super::asl::{Assign, State, expression, quoted};
use super::super::expressions::{self, Entry};
use super::super::flow::{Exits, Flow};
use super::super::names;
use super::super::tree::{Action, Context, Reader, Step};

/// Longest time that a state may wait for, in seconds: as long as an execution may take (Step Functions quotas, "Maximum execution time").
const LONGEST: u64 = 365 * 24 * 3600;

/// A `wait` step, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// So many seconds.
    For(u64),
    /// Until the moment that the JSONata gives, as a text.
    Until(String),
}

pub(in super::super) fn read<'a>(
    reader: &mut Reader<'a>,
    context: &Context<'_, 'a>,
    step: &Wait,
) -> (Option<Action<'a>>, Entry) {
    reader.refuse_unused(context, "wait", "it cannot fail and reaches no nodes");
    let plan = match (&step.for_, &step.until) {
        (Some(span), None) => Some(Plan::For(span.as_secs())),
        (None, Some(Moment(moment))) => until(reader, context, moment).map(Plan::Until),
        (Some(_), Some(_)) | (None, None) => {
            reader.problem(format!("{}.wait", context.at), "a wait step needs exactly one of: for, until");
            None
        }
    };
    (plan.map(Action::Wait), Entry { fields: vec!["skipped"], ..Entry::default() })
}

fn until(reader: &mut Reader<'_>, context: &Context<'_, '_>, moment: &str) -> Option<String> {
    let path = format!("{}.wait.until", context.at);
    match expressions::code(moment) {
        Some(code) => reader.sound(&path, expressions::compile(code, context.scope)),
        None if Moment::exists(moment) => Some(quoted(moment)),
        None => {
            reader.problem(
                path,
                format!(
                    "{moment} is no moment: write one that exists, with its offset, as in 2026-12-01T22:00:00+01:00"
                ),
            );
            None
        }
    }
}

/// Lays out the states.
pub(in super::super) fn lay_out(flow: &mut Flow, step: &Step<'_>, plan: &Plan, exits: &Exits<'_>) {
    let path = &step.path;
    let done = names::state(path, "done");
    let seconds = match plan {
        Plan::For(seconds) => seconds.to_string(),
        Plan::Until(moment) => {
            // A state says where it waits until only when it has ended: the one before it tells the run's status.
            let assign = Assign::from_iter([("work".to_owned(), json!({ "until": expression(moment) }))]);
            let output =
                json!({ "message": "{% \"waits until \" & $UNTIL %}".replace("$UNTIL", &format!("({moment})")) });
            flow.add(path, "until", State::Pass { assign, output, next: names::state(path, "wait") });
            format!("$min([{LONGEST}, $ceil(($toMillis($work.until) - $millis()) / 1000)])")
        }
    };
    let seconds = |bounds: &[String]| -> Value {
        match (plan, bounds) {
            (Plan::For(seconds), []) => json!(seconds),
            (_, []) => json!(expression(&format!("$max([0, {seconds}])"))),
            (_, left) => json!(expression(&format!("$max([0, $min([{seconds}, {}])])", left.join(", ")))),
        }
    };
    if step.deadlines.is_empty() {
        flow.add(path, "wait", State::Wait { seconds: seconds(&[]), next: done });
    } else {
        // No longer than the call that this is inside of may take.
        let left: Vec<String> =
            step.deadlines.iter().map(|deadline| format!("$ceil((${deadline} - $millis()) / 1000)")).collect();
        let due = flow.due(step, &done);
        flow.add(path, "wait", State::Wait { seconds: seconds(&left), next: due });
        flow.failed(step, &[], "", exits);
    }
    flow.done(step, json!({ "skipped": false }), &[], exits.next);
}

/// Its first state.
pub(in super::super) fn first_part(plan: &Plan) -> &'static str {
    match plan {
        Plan::For(_) => "wait",
        Plan::Until(_) => "until",
    }
}

/// Most events of history.
pub(in super::super) fn events(step: &Step<'_>, plan: &Plan) -> u64 {
    let until = if matches!(plan, Plan::Until(_)) { 2 } else { 0 };
    4 + until + if step.deadlines.is_empty() { 0 } else { 6 }
}
