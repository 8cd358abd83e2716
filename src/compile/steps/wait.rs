//! `wait`: a Wait state.

use serde_json::json;

use crate::api::steps::Wait;

use super::super::asl::State;
use super::super::flow::{Flow, Scope};

/// Lays out the step; gives its first state.
pub fn lay_out(flow: &mut Flow, scope: &Scope, step: &str, wait: &Wait, next: &str) -> String {
    let done = flow.done(scope, step, &[], next);
    flow.events += 4;
    flow.add(&scope.path(step), "wait", State::Wait { seconds: json!(wait.for_.as_secs()), next: done })
}
