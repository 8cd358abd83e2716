//! Windlass: Windows automation workflows and identity bindings as Kubernetes resources.
//!
//! Manifests go one way: [`api`] → [`resolve`] → [`compile`] → [`aws`] (observe, plan, apply) → status, each reconciler in [`controller`].

pub mod api;
pub mod aws;
pub mod cli;
pub mod clock;
pub mod compile;
pub mod controller;
pub mod inbox;
pub mod resolve;
pub mod runs;
pub mod schedules;
pub mod server;
pub mod telemetry;
