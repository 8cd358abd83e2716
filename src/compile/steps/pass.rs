//! `pass`: a Pass state that gives a result.

use serde_json::Value;

use crate::api::steps::Pass;

use super::super::expressions;
use super::super::flow::{Flow, Scope};

/// Lays out the step; gives its first state.
pub fn lay_out(flow: &mut Flow, scope: &Scope, step: &str, pass: &Pass, next: &str) -> String {
    let result = expressions::to_jsonata(pass.result.as_ref().unwrap_or(&Value::Null));
    // Evaluated where the author's `$steps` is in scope.
    let result = expressions::inner(&scope.expression(&result)).to_owned();
    flow.events += 2;
    flow.done(scope, step, &[("output", result)], next)
}
