//! Manifests of the tests.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use windlass::api::names::Owner;
use windlass::api::{AwsAccount, WindowsWorkflow};
use windlass::compile::{self, Account, Blueprint, Fleet, Fleets, Problem};

/// The folder of this test.
pub fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile")
}

/// Names in a folder, sorted.
pub fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Reads a manifest.
pub fn read<T: DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The fleets that manifests may name.
fn fleets() -> Fleets {
    let fleet = |targets: serde_json::Value, account: Option<&str>| Fleet {
        targets: serde_json::from_value(targets).unwrap(),
        account: account.map(str::to_owned),
    };
    Fleets::from([
        ("iis".to_owned(), fleet(serde_json::json!({ "tags": { "Role": ["web"] } }), Some("prod"))),
        (
            "named".to_owned(),
            fleet(serde_json::json!({ "nodeIds": ["i-0123456789abcdef0", "mi-0123456789abcdef0"] }), None),
        ),
        ("elsewhere".to_owned(), fleet(serde_json::json!({ "tags": { "Role": ["web"] } }), Some("staging"))),
        ("outside".to_owned(), fleet(serde_json::json!({ "tags": { "Role": ["dc"] } }), None)),
    ])
}

/// Compiles a workflow for an account, in cluster `test`.
pub fn compile(workflow: &WindowsWorkflow, account: &AwsAccount) -> Result<Blueprint, Vec<Problem>> {
    let owner = Owner {
        cluster_id: "test".parse().unwrap(),
        kind: "WindowsWorkflow".into(),
        namespace: workflow.metadata.namespace.clone().unwrap(),
        name: workflow.metadata.name.clone().unwrap(),
    };
    let name = account.metadata.name.as_deref().unwrap();
    compile::workflow(&owner, &workflow.spec, &Account { name, spec: &account.spec, fleets: &fleets() })
}
