//! The engine against the test bed's AWS endpoint, under the policy that the chart ships for the controller.
//!
//! Run by `tests/reconcile/test_reconcile.py`, which brings the endpoint up and sets `WINDLASS_TEST_*`; a missing variable fails the tests.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop"
)]

mod bed;
mod commands;
mod compiled;
mod creating;
mod declared;
mod deleting;
mod drift;
mod executions;
mod faults;
mod inbox;
mod sessions;
mod updating;
