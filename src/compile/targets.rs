//! The sets of nodes that Windlass lists when a run starts.
//!
//! Most commands go to tags, and Systems Manager finds the nodes. Where every node has to be known by name, since steps go over them one by one, since they
//! are a fleet's, or since a run names some of them, the controller lists them before it starts the execution and hands them over in its input: `nodes`, an
//! object that has an array of `{"id", "name"}` for each [`TargetSet`], under its key. The definition keeps it in the variable `nodes`. An entry under a
//! step's own path comes before that of its set: so a further run can go on with some of the nodes.

use crate::api::WindowsWorkflowSpec;

use super::Account;
use super::asl::quoted;
use super::grants::Nodes;
use super::problem::Problem;
use super::tree::Reader;

/// Key of the set that `spec.targets` stands for.
pub const WORKFLOW: &str = "workflow";

/// Nodes that some steps of a workflow run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSet {
    /// Its key in the input's `nodes`: `workflow`, or the path of the step that names the targets (`roll`, `undo/restore`).
    pub key: String,
    /// Where the targets stand in the manifest, for messages: `spec.steps[2].targets`.
    pub at: String,
    /// The nodes that they mean under the account's grants.
    pub nodes: Nodes,
    /// The fleet that they are, where they are one.
    pub fleet: Option<String>,
    /// Whether every run needs them listed when it starts. The others are listed where a run names a part of its nodes.
    pub frozen: bool,
}

/// The sets of a workflow, by key.
///
/// # Errors
/// Everything that is wrong with the workflow, in the manifest's order.
pub fn of(spec: &WindowsWorkflowSpec, account: &Account<'_>, namespace: &str) -> Result<Vec<TargetSet>, Vec<Problem>> {
    let mut reader = Reader::new(spec, Some((account, namespace)));
    reader.read();
    if reader.problems.is_empty() { Ok(reader.listed.into_values().collect()) } else { Err(reader.problems) }
}

/// The nodes of a set, in JSONata: an array, empty where the input has none.
#[must_use]
pub fn listed(key: &str) -> String {
    format!("[$lookup($nodes, {})]", quoted(key))
}

/// The nodes that were listed for a step, in JSONata: an array, empty where the input has none.
#[must_use]
pub fn listed_for(path: &str, key: &str) -> String {
    if path == key {
        return listed(key);
    }
    format!("( $own := $lookup($nodes, {}); $exists($own) ? [$own] : {} )", quoted(path), listed(key))
}
