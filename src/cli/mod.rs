//! The verbs of the command line, one file each.
//!
//! A verb is a small struct that clap fills, with one `run`. What a verb knows is in plain functions beside it, so that tests call those.

pub mod check;
pub mod controller;
pub mod crds;
pub mod kinds;
pub mod manifests;
mod output;
pub mod render;
pub mod schema;
pub mod suggest;
pub mod validate;
pub mod yaml;

pub use output::{Failure, Outcome};
