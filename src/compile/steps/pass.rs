//! `pass`: a Pass state whose result later steps read.

use serde_json::{Value, json};

use crate::api::steps::Pass;

use super::super::asl::{State, assign};
use super::super::expressions::{self, Entry};
use super::super::flow::{Exits, Flow};
use super::super::names;
use super::super::tree::{Action, Context, Reader, Step};

pub(in super::super) fn read<'a>(
    reader: &mut Reader<'a>,
    context: &Context<'_, 'a>,
    step: &Pass,
) -> (Option<Action<'a>>, Entry) {
    reader.refuse_unused(context, "pass", "it cannot fail and reaches no nodes");
    let given = step.result.clone().unwrap_or(Value::Null);
    let result = expressions::value(&given, context.scope);
    let result = reader.sound(&format!("{}.pass.result", context.at), result);
    (result.map(Action::Pass), Entry { fields: vec!["output", "skipped"], ..Entry::default() })
}

/// Lays out the states.
pub(in super::super) fn lay_out(flow: &mut Flow, step: &Step<'_>, result: &Value, exits: &Exits<'_>) {
    // Evaluated once: $uuid() and the like give something else each time.
    let work = assign([("work", json!({ "output": result }))]);
    let done = names::state(&step.path, "done");
    flow.add(&step.path, "pass", State::Pass { assign: work, output: json!({}), next: done });
    let kept = json!({ "skipped": false, "output": "{% $work.output %}" });
    flow.done(step, kept, &[("output", json!("{% $work.output %}"))], exits.next);
}

/// Most events of history.
pub(in super::super) const EVENTS: u64 = 4;
