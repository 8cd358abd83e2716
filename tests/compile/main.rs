//! The compiler, seen from outside: what manifests give, which are refused and how, and what the compiler may import.

// Helpers of tests are tests: what is unexpected must end them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod cases;
mod imports;
mod manifest;
mod refused;
