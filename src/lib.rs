//! Windlass: Windows automation workflows and identity bindings as Kubernetes resources.

pub mod api;
pub mod aws;
pub mod cli;
pub mod clock;
pub mod compile;
