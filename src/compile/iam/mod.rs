//! IAM policy documents: comparing by meaning.

mod compare;

pub use compare::same_meaning;
