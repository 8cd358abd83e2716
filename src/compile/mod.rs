//! Compiling: manifests in, [`Blueprint`]s out.
//!
//! Pure: no async, no client, no clock, no randomness. May use [`crate::api`], serde, parsers and hashes, and nothing else; a test
//! holds that.

pub mod blueprint;
pub mod iam;
pub mod problem;

pub use blueprint::Blueprint;
pub use problem::Problem;
