//! Step types: what each compiles to. One file per type.

pub mod call;
pub mod fail;
pub mod pass;
pub mod powershell;
pub mod wait;
