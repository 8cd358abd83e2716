//! What an execution is given: the run's identity and the values of its parameters.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::api::names::ClusterId;

/// Who an execution belongs to.
#[derive(Clone, Copy, Debug)]
pub struct RunIdentity<'a> {
    /// The cluster.
    pub cluster_id: &'a ClusterId,
    /// Namespace of the run.
    pub namespace: &'a str,
    /// Name of the run.
    pub name: &'a str,
    /// UID of the run: tells our own start from one of an earlier object of the same name.
    pub uid: &'a str,
}

/// Sixteen characters that stand for a run where its name would be too long: in the comments of its commands. The same for the same cluster, namespace and name.
#[must_use]
pub fn run_id(run: &RunIdentity<'_>) -> String {
    let mut hash = Sha256::new();
    for part in [run.cluster_id.as_str(), run.namespace, run.name] {
        hash.update(part.as_bytes());
        // None of the parts can contain it.
        hash.update([0]);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The input of an execution.
#[must_use]
pub fn input(run: &RunIdentity<'_>, parameters: &Map<String, Value>) -> Value {
    json!({
        "run": { "id": run_id(run), "uid": run.uid, "name": run.name, "namespace": run.namespace },
        "params": parameters,
    })
}
