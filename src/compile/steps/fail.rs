//! `fail`: sets `$failure` and leaves by the way of failures.

use serde_json::{Map, json};

use crate::api::steps::Fail;

use super::super::asl::State;
use super::super::expressions;
use super::super::flow::{Exits, Flow, Scope, quoted};

/// Lays out the step; gives its first state.
pub fn lay_out(flow: &mut Flow, scope: &Scope, step: &str, fail: &Fail, exits: &Exits) -> String {
    let path = scope.path(step);
    let failed = flow.failed(scope, step, &[], &[], "", &[], exits);
    let cause = match &fail.cause {
        None => quoted(""),
        Some(text) => match expressions::code(text) {
            Some(code) => format!("$string({})", expressions::inner(&scope.expression(code))),
            None => quoted(text),
        },
    };
    let failure = format!("{{% {{\"step\": {}, \"error\": {}, \"cause\": {cause}}} %}}", quoted(&path), quoted(&fail.error.0));
    let mut assign = Map::new();
    assign.insert("failure".into(), json!(failure));
    flow.events += 2;
    flow.add(&path, "raise", State::Pass { output: json!({}), assign, next: failed })
}
