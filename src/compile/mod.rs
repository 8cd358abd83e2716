//! Compiling: manifests in, [`Blueprint`]s out.
//!
//! Pure: no async, no client, no clock, no randomness. May use [`crate::api`], serde, parsers and hashes, and nothing else; a test
//! holds that.
//!
//! [`workflow()`] reads a manifest into a [`tree`] of steps in which nothing is left to check, then lays it out: states ([`flow`], [`steps`], written
//! by [`asl`]), the execution role ([`iam`]) and the document ([`ssm`]). [`account()`] gives an account's inbox, and [`inbox`] its address, for steps that send there.

use crate::api::AwsAccountSpec;

mod account;
pub mod asl;
pub mod blueprint;
mod bounds;
mod digest;
pub mod execution;
pub mod expressions;
mod finish;
pub mod fleets;
pub mod flow;
pub mod grants;
pub mod iam;
pub mod inbox;
mod names;
pub mod parameters;
pub mod place;
pub mod powershell;
pub mod problem;
mod render;
mod rights;
pub mod ssm;
pub mod steps;
pub mod targets;
pub mod tree;
mod workflow;

pub use account::{account, receivers};
pub use blueprint::Blueprint;
pub use digest::digest;
pub use fleets::{Fleet, Fleets, NO_FLEETS};
pub use problem::Problem;
pub use render::{Rendered, render};
pub use workflow::{check, workflow};

/// The `AwsAccount` to compile for.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it says.
    pub spec: &'a AwsAccountSpec,
    /// The fleets of the namespace that is compiled for.
    pub fleets: &'a Fleets,
}
