//! `call`: the states of a block, in place.

use serde_json::json;

use crate::api::steps::Call;

use super::super::asl::Assign;
use super::super::expressions::Entry;
use super::super::flow::{Exits, Flow};
use super::super::names;
use super::super::tree::{Action, Context, Limit, Reader, Step, unset};

/// A `call` step, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan<'a> {
    /// The block's steps.
    pub(in super::super) steps: Vec<Step<'a>>,
    limit: Limit,
}

pub(in super::super) fn read<'a>(
    reader: &mut Reader<'a>,
    context: &Context<'_, 'a>,
    step: &'a Call,
) -> (Option<Action<'a>>, Entry) {
    let (steps, inner) = reader.block(&step.block.0, &format!("{}.call.block", context.at), &context.inside());
    let entry = Entry { fields: vec!["error", "cause", "skipped"], inner, ..Entry::default() };
    (Some(Action::Call(Plan { steps, limit: context.limit() })), entry)
}

/// Lays out the states.
pub(in super::super) fn lay_out(flow: &mut Flow, step: &Step<'_>, plan: &Plan<'_>, exits: &Exits<'_>) {
    let done = names::state(&step.path, "done");
    let first = plan.steps.first().map_or_else(|| done.clone(), Flow::entry);
    let fresh = |extra: u64| -> Assign {
        // What steps gave in an earlier try is gone, also of those that this try does not come to.
        let mut variables = unset(&plan.steps);
        variables.extend(plan.limit.until(&step.path, extra));
        variables
    };
    flow.begin(step, fresh(0), &first);
    let failed = names::state(&step.path, "failed");
    flow.list(&plan.steps, &Exits { next: &done, failed: Some(&failed) });
    // A further try has its time from when it begins, which is after the pause before it.
    flow.failed_again(step, &[], &first, &fresh, exits);
    flow.done(step, json!({ "skipped": false }), &[], exits.next);
}

/// Most events of history of one try, without the block's steps.
pub(in super::super) const EVENTS: u64 = 6;
