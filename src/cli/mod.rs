//! The verbs of the command line, one file each.
//!
//! A verb is a small struct that clap fills, with one `run`. What a verb knows is in plain functions beside it, so that tests call those.

pub mod controller;
pub mod crds;
mod output;

pub use output::{Failure, Outcome};
