//! Step types. One file per type: what is checked of it, its states, its documents and what its role needs.

pub mod call;
pub mod fail;
pub mod iteration;
pub mod notify;
pub mod parallel;
pub mod pass;
pub mod powershell;
pub mod service;
pub mod switch;
pub mod wait;
