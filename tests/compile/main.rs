//! The compiler, seen from outside: what manifests give, which are refused and how, and what the compiler may import.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop"
)]

mod accounts;
mod cases;
mod imports;
mod manifest;
mod refused;
