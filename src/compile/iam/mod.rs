//! IAM policy documents: typed building, and comparing by meaning.

mod compare;
mod policy;

pub use compare::same_meaning;
pub use policy::{Condition, Policy, Statement};
