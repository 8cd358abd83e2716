//! Runs: what an execution did, folded into what people wrote, and whose failure it is.
//!
//! Begin with [`history::fold`], which turns an execution's history into a [`history::Story`]; [`attribution::attribute`] says of a failed
//! one which step, which node, which layer and what to do; [`bounds::bound`] and [`redact`] keep the status small and free of secrets.

pub mod attribution;
pub mod bounds;
#[cfg(test)]
mod fixtures;
pub mod history;
pub mod redact;
pub mod report;
pub mod text;
