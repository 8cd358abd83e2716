//! When runs of a schedule are due, and what to do then. Pure: no client, and the time is given.

pub mod decide;
pub mod health;
pub mod timing;
