//! What the engine asks of each type of AWS object.

use std::collections::BTreeMap;
use std::fmt;

use crate::api::owned::OwnedObject;

use super::digest::Parts;
use super::error::AwsError;
use super::session::Session;

/// What AWS answered about an object and others refer to.
pub(super) type Attributes = BTreeMap<String, String>;
/// Tags by key.
pub(super) type Tags = BTreeMap<String, String>;

/// Prefix of the tags that say whose an object is.
const OWNERSHIP: &str = "windlass.dev/";

/// An object as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found<S> {
    /// Its ARN.
    pub(super) arn: String,
    /// Its tags; none when they were not read.
    pub(super) tags: Option<Tags>,
    /// What others refer to.
    pub(super) attributes: Attributes,
    /// The rest of what was read.
    pub(super) state: S,
}

/// What a create came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Created {
    /// What others refer to.
    pub(super) attributes: Attributes,
    /// Whether the object is new.
    pub(super) novelty: Novelty,
}

/// Whether a create that AWS answered made something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Novelty {
    /// It did.
    New,
    /// It did, unless an earlier call had made the same already.
    Likely,
    /// It did not: what was answered is older.
    Old,
}

/// An object as it is declared. One file per type implements it; nothing else knows how the type is read and written.
pub(super) trait Resource: Sync {
    /// What is read of it, beside tags and ARN.
    type State: Send + Sync;
    /// One way in which an object can differ from its declaration, in words.
    type Difference: fmt::Display + Send + Sync;

    /// Digests of the declaration's parts.
    fn parts(&self) -> Parts;

    /// Makes it. Class Conflict when the name is taken.
    fn create(&self, session: &Session) -> impl Future<Output = Result<Created, AwsError>> + Send;

    /// Reads it, as cheaply as can be. Tags are read when `prove` asks for them or when they come for nothing.
    fn observe(
        &self,
        session: &Session,
        prove: bool,
    ) -> impl Future<Output = Result<Option<Found<Self::State>>, AwsError>> + Send;

    /// How what was found differs from the declaration, by meaning. `recorded`: what was applied last, for what was not read.
    fn compare(&self, found: &Found<Self::State>, recorded: Option<&Parts>) -> Vec<Self::Difference>;

    /// How the declaration differs from what was applied last.
    fn since(&self, recorded: &Parts) -> Vec<Self::Difference>;

    /// Writes exactly what differs. `attributes`: what is known of it.
    fn update(
        &self,
        session: &Session,
        differences: Vec<Self::Difference>,
        attributes: Attributes,
    ) -> impl Future<Output = Result<Attributes, AwsError>> + Send;
}

/// Keys of declared tags that an object lacks or has with another value. Tags beside the declared ones are other people's and stay.
pub(super) fn missing_tags(declared: &Tags, found: &Tags) -> Vec<String> {
    declared.iter().filter(|(key, value)| found.get(*key) != Some(value)).map(|(key, _)| key.clone()).collect()
}

/// Keys of declared tags to write, for a type of object whose tags have a call of their own to read them: where they were not read, what was written last
/// tells. `part` is the name of the tags among the `now` declared and the `recorded` parts.
pub(super) fn tags_to_write(
    declared: &Tags,
    found: Option<&Tags>,
    now: &Parts,
    recorded: Option<&Parts>,
    part: &str,
) -> Vec<String> {
    match found {
        Some(found) => missing_tags(declared, found),
        None if recorded.is_none_or(|recorded| now.changed(recorded, part)) => declared.keys().cloned().collect(),
        None => Vec::new(),
    }
}

/// Why an object is not its owner's, in words; none when all tags that name the owner are there and say so.
pub(super) fn not_owned(owner: &Tags, found: &Tags) -> Option<String> {
    let ours = owner.iter().filter(|(key, _)| key.starts_with(OWNERSHIP));
    let wrong: Vec<String> = ours
        .filter(|(key, value)| found.get(*key) != Some(value))
        .map(|(key, value)| match found.get(key) {
            Some(other) => format!("{key} is {other} and not {value}"),
            None => format!("{key}={value} is missing"),
        })
        .collect();
    (!wrong.is_empty()).then(|| wrong.join(", "))
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
        let ours = tags(&[("windlass.dev/cluster", "a"), ("windlass.dev/name", "x")]);
        assert_eq!(not_owned(&owner, &ours), None);
        assert_eq!(missing_tags(&owner, &ours), ["CostCentre"]);
        for (found, why) in [
            (
                tags(&[("windlass.dev/cluster", "b"), ("windlass.dev/name", "x"), ("CostCentre", "1")]),
                "windlass.dev/cluster is b and not a",
            ),
            (tags(&[("windlass.dev/cluster", "a")]), "windlass.dev/name=x is missing"),
            (tags(&[("CostCentre", "1")]), "windlass.dev/cluster=a is missing, windlass.dev/name=x is missing"),
        ] {
            assert_eq!(not_owned(&owner, &found).as_deref(), Some(why));
        }
    }
}
