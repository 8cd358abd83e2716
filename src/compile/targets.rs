//! The sets of nodes that Windlass lists when a run starts.
//!
//! Most commands go to tags, and Systems Manager finds the nodes. Where every node has to be known by name, since steps go over them one by one, the
//! controller lists them before it starts the execution and hands them over in its input: `nodes`, an object that has an array of
//! `{"id", "name", "tags"}` for each [`TargetSet`], under its key. The definition keeps it in the variable `nodes`.

use crate::api::WindowsWorkflowSpec;

use super::Account;
use super::asl::quoted;
use super::grants::Nodes;
use super::problem::Problem;
use super::tree::Reader;

/// Key of the set that `spec.targets` stands for.
pub const WORKFLOW: &str = "workflow";

/// Nodes that are listed when a run starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSet {
    /// Its key in the input's `nodes`: `workflow`, or the path of the step that names the targets (`roll`, `undo/restore`).
    pub key: String,
    /// Where the targets stand in the manifest, for messages: `spec.steps[2].targets`.
    pub at: String,
    /// The nodes that they mean under the account's grants.
    pub nodes: Nodes,
}

/// The sets that a run of a workflow needs, by key.
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
