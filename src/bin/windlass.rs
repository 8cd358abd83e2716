//! The `windlass` program: the controller, and the verbs that need neither a cluster nor an account.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use windlass::cli::controller::Controller;
use windlass::cli::crds::Crds;
use windlass::cli::render::Render;
use windlass::cli::validate::Validate;

/// Windows automation workflows as Kubernetes resources, run by AWS Step Functions and Systems Manager.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Controller(Controller),
    Crds(Crds),
    Render(Render),
    Validate(Validate),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().verb {
        Verb::Controller(verb) => verb.run(),
        Verb::Crds(verb) => verb.run(),
        Verb::Render(verb) => verb.run(),
        Verb::Validate(verb) => verb.run(),
    };
    match result {
        Ok(outcome) => outcome.into(),
        Err(failure) => {
            eprintln!("windlass: {failure}");
            ExitCode::from(2)
        }
    }
}
