//! What the engine asks of each type of AWS object.

use std::collections::BTreeMap;
use std::fmt;

use crate::api::owned::OwnedObject;

use super::error::AwsError;
use super::session::Session;

/// What AWS answered about an object and others refer to.
pub(super) type Attributes = BTreeMap<String, String>;
/// Tags by key.
pub(super) type Tags = BTreeMap<String, String>;

/// An object as it was found.
#[derive(Debug)]
pub(super) struct Seen<D> {
    /// Its ARN.
    pub(super) arn: String,
    /// Its tags; none when they were not read.
    pub(super) tags: Option<Tags>,
    /// How it differs from what is declared, by meaning.
    pub(super) differences: Vec<D>,
    /// What others refer to.
    pub(super) attributes: Attributes,
}

/// An object as it is declared.
pub(super) trait Resource: Sync {
    /// One way in which an object can differ from its declaration.
    type Difference: fmt::Display + Send + Sync;

    /// Makes it. Class Conflict when the name is taken.
    fn create(&self, session: &Session) -> impl Future<Output = Result<Attributes, AwsError>> + Send;

    /// Looks at it by the cheapest reads. Its tags are read when `prove` asks for them or when they come for nothing.
    fn look(
        &self,
        session: &Session,
        prove: bool,
    ) -> impl Future<Output = Result<Option<Seen<Self::Difference>>, AwsError>> + Send;

    /// Makes it as it is declared, given how it differs.
    fn mend(
        &self,
        session: &Session,
        seen: Seen<Self::Difference>,
    ) -> impl Future<Output = Result<Attributes, AwsError>> + Send;
}

/// Tags of ours that an object lacks or has with another value.
pub(super) fn missing_tags<'a>(declared: &'a Tags, found: &Tags) -> Vec<(&'a String, &'a String)> {
    declared.iter().filter(|(key, value)| found.get(*key) != Some(value)).collect()
}

/// Whether an object is its owner's: all tags that name the owner are there and say so.
pub(super) fn is_owned(owner: &Tags, found: &Tags) -> bool {
    owner.iter().filter(|(key, _)| key.starts_with("windlass.dev/")).all(|(key, value)| found.get(key) == Some(value))
}

/// What is recorded of an object of a type and name.
pub(super) fn recorded<'a>(owned: &'a [OwnedObject], type_: &str, name: &str) -> Option<&'a OwnedObject> {
    owned.iter().find(|object| object.type_ == type_ && object.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn only_our_tags_prove_ownership() {
        let owner = tags(&[("windlass.dev/cluster", "a"), ("windlass.dev/name", "x"), ("CostCentre", "1")]);
        assert!(is_owned(&owner, &tags(&[("windlass.dev/cluster", "a"), ("windlass.dev/name", "x")])));
        assert!(!is_owned(
            &owner,
            &tags(&[("windlass.dev/cluster", "b"), ("windlass.dev/name", "x"), ("CostCentre", "1")])
        ));
        assert!(!is_owned(&owner, &tags(&[("CostCentre", "1")])));
        assert_eq!(missing_tags(&owner, &tags(&[("windlass.dev/cluster", "a"), ("windlass.dev/name", "x")])).len(), 1);
    }
}
