//! `windlass validate`: what is wrong with manifests, without a cluster and without AWS.

use std::fmt::Write;

use clap::Args;

use crate::api::names::ClusterId;

use super::check;
use super::manifests::Files;
use super::output::{Failure, Outcome, print};

/// Says what is wrong with manifests, as `file:line: path: message`. Documents of other kinds are passed over.
#[derive(Debug, Args)]
pub struct Validate {
    #[command(flatten)]
    files: Files,
    /// The cluster that the manifests are for: names in AWS begin with it.
    #[arg(long, env = "WINDLASS_CLUSTER_ID", default_value = check::ANY_CLUSTER, value_name = "ID")]
    cluster_id: ClusterId,
}

impl Validate {
    /// Prints the problems, else how many manifests are valid.
    ///
    /// # Errors
    /// [`Failure`] when a file cannot be read.
    pub fn run(&self) -> Result<Outcome, Failure> {
        let sources = self.files.read()?;
        let checked = check::check(&sources, &self.cluster_id)?;
        if checked.findings.is_empty() {
            let valid = checked.manifests;
            print(&format!("{valid} {} valid\n", if valid == 1 { "manifest" } else { "manifests" }))?;
            return Ok(Outcome::Good);
        }
        let mut text = String::new();
        for finding in &checked.findings {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{finding}");
        }
        print(&text)?;
        Ok(Outcome::Problems)
    }
}
