//! `call`: the states of a block, in place.

use serde_json::{Map, json};

use super::super::asl::State;
use super::super::flow::{Flow, Scope};

/// The state after a block's last step: it reports that the step went well. The results of the block's steps are there already.
pub fn done(flow: &mut Flow, scope: &Scope, step: &str, next: &str) -> String {
    let path = scope.path(step);
    let output = json!({ "step": path });
    flow.events += 2;
    flow.add(&path, "done", State::Pass { output, assign: Map::new(), next: next.to_owned() })
}
