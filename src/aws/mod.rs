//! AWS: the engine that keeps objects as a Blueprint declares them, and the calls that runs need.
//!
//! Nothing here knows Kubernetes. Every call goes through [`Session::call`](session::Session), which keeps the account's quotas, counts, and sorts errors by who must act.

mod assume;
pub mod commands;
mod digest;
mod document;
pub mod engine;
pub mod error;
pub mod executions;
pub mod messages;
pub mod nodes;
pub mod plan;
mod queue;
mod quota;
mod resource;
mod role;
mod rule;
pub mod session;
pub mod settings;
mod state_machine;
pub mod tasks;
mod teardown;

pub use error::{AwsError, Class, Denied};
pub use session::{CallObserver, Identity, Session, Sessions};
pub use settings::{AccountSettings, AssumeRoleSettings, Bucket};
