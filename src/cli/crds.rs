//! `windlass crds`: the custom resource definitions, as they are committed under `crds/`.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use crate::api;

use super::output::{Failure, Outcome, print};

/// Prints the custom resource definitions.
#[derive(Debug, Args)]
pub struct Crds {
    /// Writes one file for each, named after its plural, into this folder, and prints nothing.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Crds {
    /// Prints or writes them.
    ///
    /// # Errors
    /// [`Failure`] when that is not possible.
    pub fn run(&self) -> Result<Outcome, Failure> {
        let Some(folder) = &self.out else {
            let documents = files()?.into_iter().map(|(_, text)| format!("---\n{text}"));
            print(&documents.collect::<String>())?;
            return Ok(Outcome::Good);
        };
        for (name, text) in files()? {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|source| Failure::Write { path, source })?;
        }
        Ok(Outcome::Good)
    }
}

/// File names and their YAML, in the order in which they are best applied.
///
/// # Errors
/// [`Failure::Text`], which a test rules out.
pub fn files() -> Result<Vec<(String, String)>, Failure> {
    api::crds().iter().map(|crd| Ok((format!("{}.yaml", crd.spec.names.plural), yaml(crd)?))).collect()
}

fn yaml(crd: &CustomResourceDefinition) -> Result<String, Failure> {
    serde_saphyr::to_string(crd).map_err(|error| Failure::Text(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use serde_json::Value;

    use super::*;

    /// What client-side apply puts into one annotation must stay under 256 KiB, and clients refuse far less: the project's own limit.
    const LARGEST: usize = 200 * 1024;

    fn repository(path: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
    }

    #[test]
    fn what_is_committed_is_what_the_code_says() {
        let expected = files().unwrap();
        for folder in ["crds", "charts/windlass-crds/files"] {
            for (name, text) in &expected {
                let path = repository(folder).join(name);
                let committed = fs::read_to_string(&path).unwrap_or_default();
                assert!(committed == *text, "{} is not what the code gives: run `make crds`", path.display());
            }
            let there: BTreeSet<String> = fs::read_dir(repository(folder))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            let wanted: BTreeSet<String> = expected.iter().map(|(name, _)| name.clone()).collect();
            assert_eq!(there, wanted, "{folder} holds something else");
        }
    }

    #[test]
    fn yaml_says_the_same_as_json() {
        for crd in api::crds() {
            let back: Value = serde_saphyr::from_str(&yaml(&crd).unwrap()).unwrap();
            assert_eq!(back, serde_json::to_value(&crd).unwrap());
        }
    }

    #[test]
    fn each_stays_small_enough_for_client_side_apply() {
        for crd in api::crds() {
            let size = serde_json::to_string(&crd).unwrap().len();
            assert!(size <= LARGEST, "{} has {size} bytes as compact JSON, {LARGEST} at most", crd.spec.names.plural);
        }
    }
}
