//! `fail`: raises an error.

use serde_json::json;

use crate::api::steps::Fail;

use super::super::asl::{State, assign, expression, text};
use super::super::expressions::{self, Entry};
use super::super::flow::{Exits, Flow};
use super::super::names;
use super::super::tree::{Action, Context, Reader, Step};

/// A `fail` step, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    error: String,
    /// Text or expression, as a state's field has it.
    cause: String,
}

pub(in super::super) fn read<'a>(
    reader: &mut Reader<'a>,
    context: &Context<'_, 'a>,
    step: &Fail,
) -> (Option<Action<'a>>, Entry) {
    reader.refuse_unused(context, "fail", "put onError or retry on the step that leads here, or on the call around it");
    let cause = step.cause.as_deref().unwrap_or_default();
    let cause = match expressions::code(cause) {
        Some(code) => {
            // A cause is text, whatever the expression gives.
            let result = expressions::compile(code, context.scope).map(|code| expression(&format!("$string({code})")));
            reader.sound(&format!("{}.fail.cause", context.at), result)
        }
        None => Some(text(cause)),
    };
    let plan = cause.map(|cause| Action::Fail(Plan { error: step.error.0.clone(), cause }));
    (plan, Entry { fields: vec!["error", "cause", "skipped"], ..Entry::default() })
}

/// Lays out the states.
pub(in super::super) fn lay_out(flow: &mut Flow, step: &Step<'_>, plan: &Plan, exits: &Exits<'_>) {
    let work =
        assign([("work", json!({ "failure": { "step": step.path, "error": plan.error, "cause": plan.cause } }))]);
    let failed = names::state(&step.path, "failed");
    flow.add(&step.path, "raise", State::Pass { assign: work, output: json!({}), next: failed });
    flow.failed(step, &[], "", exits);
}

/// Most events of history.
pub(in super::super) const EVENTS: u64 = 5;
