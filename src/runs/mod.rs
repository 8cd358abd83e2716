//! Runs: executions started once, followed, folded into what people wrote, cancelled and swept, and whose failure it is.
//!
//! [`decide::decide`] says what to do next about a run; [`execution`] and [`sweep`] do it in AWS. [`history::fold`] turns an execution's history into
//! a [`history::Story`]; [`attribution::attribute`] says of a failed one which step, which node, which layer and what to do; [`status`] makes
//! the run's status of that, which [`bounds::bound`] and [`redact`] keep small and free of secrets.

pub mod attribution;
pub mod bounds;
#[cfg(test)]
mod captured_tests;
pub mod decide;
pub mod execution;
#[cfg(test)]
mod fixtures;
pub mod history;
pub mod outline;
pub mod pace;
pub mod preview;
pub mod redact;
pub mod report;
pub mod status;
pub mod sweep;
pub mod targets;
pub mod text;
pub mod words;
