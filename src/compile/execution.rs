//! What an execution is given: the run's identity and the values of its parameters.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::api::names::ClusterId;

use super::names::hex;

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

/// Sixteen characters that stand for a run where its name would be too long: in the comments of its commands. The same for the same cluster,
/// namespace and name.
#[must_use]
pub fn run_id(run: &RunIdentity<'_>) -> String {
    let mut hash = Sha256::new();
    for part in [run.cluster_id.as_str(), run.namespace, run.name] {
        hash.update(part.as_bytes());
        // None of the parts can contain it.
        hash.update([0]);
    }
    hex(&hash.finalize(), 8)
}

/// The input of an execution. `what_if`: scripts are called with `-WhatIf`. `nodes` are the sets that were listed for it, by key; see [`super::targets`].
#[must_use]
pub fn input(
    run: &RunIdentity<'_>,
    what_if: bool,
    parameters: &Map<String, Value>,
    nodes: &Map<String, Value>,
) -> Value {
    let mut input = json!({
        "run": { "id": run_id(run), "uid": run.uid, "name": run.name, "namespace": run.namespace },
        "params": parameters,
    });
    if let Some(run) = input.get_mut("run").and_then(Value::as_object_mut).filter(|_| what_if) {
        run.insert("whatIf".to_owned(), json!(true));
    }
    if let Some(fields) = input.as_object_mut().filter(|_| !nodes.is_empty()) {
        fields.insert("nodes".to_owned(), Value::Object(nodes.clone()));
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_are_for_good() {
        let cluster: ClusterId = "prod".parse().unwrap();
        let run = |name| run_id(&RunIdentity { cluster_id: &cluster, namespace: "ops", name, uid: "u" });
        // Whoever changes this leaves the commands of running executions behind when they are cancelled.
        assert_eq!(run("disk-report-1"), "d37c99ac71047dc4");
        assert_ne!(run("disk-report-1"), run("disk-report-2"));
    }

    #[test]
    fn inputs_name_the_run_and_its_parameters() {
        let cluster: ClusterId = "prod".parse().unwrap();
        let run = RunIdentity { cluster_id: &cluster, namespace: "ops", name: "a", uid: "u-1" };
        let parameters = Map::from_iter([("kb".to_owned(), json!("KB1"))]);
        assert_eq!(
            input(&run, false, &parameters, &Map::new()),
            json!({ "run": { "id": run_id(&run), "uid": "u-1", "name": "a", "namespace": "ops" }, "params": { "kb": "KB1" } })
        );
    }
}
