//! Compiling: manifests in, [`Blueprint`]s out.
//!
//! Pure: no async, no client, no clock, no randomness. May use [`crate::api`], serde, parsers and hashes, and nothing else; a test
//! holds that.

pub mod asl;
pub mod blueprint;
mod check;
pub mod execution;
mod expressions;
mod flow;
pub mod grants;
pub mod iam;
mod layout;
pub mod parameters;
mod powershell;
pub mod problem;
mod render;
mod role;
mod ssm;
mod steps;
mod workflow;

pub use blueprint::Blueprint;
pub use problem::Problem;
pub use render::{Rendered, render};
pub use workflow::{Account, check, workflow};
