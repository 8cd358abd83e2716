//! `windlass render`: every AWS object that manifests would give, without a cluster and without AWS.

use std::fmt::Write;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::api::names::ClusterId;
use crate::compile::{self, Rendered};

use super::check::{self, Finding};
use super::manifests::{Files, Source};
use super::output::{Failure, Outcome, print};

/// Prints every AWS object that manifests would give. The AwsAccounts that they work in must be among the manifests.
#[derive(Debug, Args)]
pub struct Render {
    #[command(flatten)]
    files: Files,
    /// The cluster that the manifests are for: names in AWS begin with it.
    #[arg(long, env = "WINDLASS_CLUSTER_ID", default_value = check::ANY_CLUSTER, value_name = "ID")]
    cluster_id: ClusterId,
    /// Form of what is printed.
    #[arg(short, long, value_enum, default_value_t = Form::Yaml)]
    output: Form,
}

/// Form of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
}

/// What is printed.
#[derive(Debug, Serialize)]
pub struct Objects {
    /// In dependency order: account by account, then workflow by workflow, in the order of the manifests.
    pub objects: Vec<Rendered>,
}

impl Render {
    /// Prints the objects, or on standard error why there are none.
    ///
    /// # Errors
    /// [`Failure`] when a file cannot be read.
    pub fn run(&self) -> Result<Outcome, Failure> {
        match render(&self.files.read()?, &self.cluster_id)? {
            Ok(objects) => {
                print(&text(&objects, self.output)?)?;
                Ok(Outcome::Good)
            }
            Err(findings) => {
                for finding in findings {
                    eprintln!("{finding}");
                }
                Ok(Outcome::Problems)
            }
        }
    }
}

/// The objects, or everything that is wrong with the manifests.
///
/// # Errors
/// [`Failure::Text`] for a defect of ours.
pub fn render(sources: &[Source], cluster_id: &ClusterId) -> Result<Result<Objects, Vec<Finding>>, Failure> {
    let mut checked = check::check(sources, cluster_id)?;
    checked.findings.append(&mut checked.without_account);
    if !checked.findings.is_empty() {
        return Ok(Err(checked.findings));
    }
    Ok(Ok(Objects { objects: checked.blueprints.iter().flat_map(compile::render).collect() }))
}

/// The objects as text.
///
/// # Errors
/// [`Failure::Text`] for a defect of ours.
pub fn text(objects: &Objects, form: Form) -> Result<String, Failure> {
    match form {
        Form::Yaml => serde_saphyr::to_string(objects).map_err(|error| Failure::Text(error.to_string())),
        Form::Json => {
            let mut text = serde_json::to_string_pretty(objects).map_err(|error| Failure::Text(error.to_string()))?;
            // Writing to a String does not fail.
            let _ = writeln!(text);
            Ok(text)
        }
    }
}
