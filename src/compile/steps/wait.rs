//! `wait`: a Wait state.

use serde_json::json;

use crate::api::steps::Wait;

use super::super::asl::{State, expression};
use super::super::expressions::Entry;
use super::super::flow::{Exits, Flow};
use super::super::names;
use super::super::tree::{Action, Context, Reader, Step};

pub(in super::super) fn read<'a>(
    reader: &mut Reader<'a>,
    context: &Context<'_, 'a>,
    step: &Wait,
) -> (Option<Action<'a>>, Entry) {
    reader.refuse_unused(context, "wait", "it cannot fail and reaches no nodes");
    (Some(Action::Wait(step.for_.as_secs())), Entry { fields: vec!["skipped"], ..Entry::default() })
}

/// Lays out the states.
pub(in super::super) fn lay_out(flow: &mut Flow, step: &Step<'_>, seconds: u64, exits: &Exits<'_>) {
    let done = names::state(&step.path, "done");
    if step.deadlines.is_empty() {
        flow.add(&step.path, "wait", State::Wait { seconds: json!(seconds), next: done });
    } else {
        // No longer than the call that this is inside of may take.
        let left: Vec<String> =
            step.deadlines.iter().map(|deadline| format!("$ceil((${deadline} - $millis()) / 1000)")).collect();
        let least = format!("$max([0, $min([{seconds}, {}])])", left.join(", "));
        let due = flow.due(step, &done);
        flow.add(&step.path, "wait", State::Wait { seconds: json!(expression(&least)), next: due });
        flow.failed(step, &[], "", exits);
    }
    flow.done(step, json!({ "skipped": false }), &[], exits.next);
}

/// Most events of history.
pub(in super::super) fn events(step: &Step<'_>) -> u64 {
    4 + if step.deadlines.is_empty() { 0 } else { 6 }
}
