//! The plan: what would change, and why. Pure.

use std::fmt;

use crate::api::owned::OwnedObject;

/// One change to one AWS object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// CloudFormation's name for the type.
    pub type_: String,
    /// Name of the object.
    pub name: String,
    /// What is done.
    pub action: Action,
    /// Why: what differs.
    pub reasons: Vec<String>,
}

/// What is done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It was there, and ours by its tags: it is ours again.
    TakeOver,
    /// It is deleted.
    Delete,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.action {
            Action::Create => "created",
            Action::Update => "updated",
            Action::TakeOver => "took over",
            Action::Delete => "deleted",
        };
        let kind = match self.type_.as_str() {
            "AWS::IAM::Role" => "role",
            "AWS::SSM::Document" => "document",
            "AWS::StepFunctions::StateMachine" => "state machine",
            other => other,
        };
        write!(f, "{verb} {kind} {}", self.name)?;
        if !self.reasons.is_empty() {
            write!(f, " ({})", self.reasons.join(", "))?;
        }
        Ok(())
    }
}

/// How deep to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Trust what was recorded: an object whose recorded digest equals the declared one is not looked at.
    Recorded,
    /// Look at every object.
    Full,
}

/// The first thing to do with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// Nothing.
    Keep,
    /// Make it, without looking: it was never made, or may have been made by a process that died then.
    Create,
    /// Look at it, then decide.
    Look,
}

/// What to do first with an object that should have `digest`.
pub(super) fn first(recorded: Option<&OwnedObject>, digest: &str, depth: Depth, prunable: bool) -> First {
    match recorded.and_then(|object| object.digest.as_deref()) {
        None => First::Create,
        Some(known) if known == digest && depth == Depth::Recorded && !prunable => First::Keep,
        Some(_) => First::Look,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(digest: Option<&str>) -> OwnedObject {
        OwnedObject {
            type_: "AWS::IAM::Role".into(),
            name: "r".into(),
            arn: None,
            digest: digest.map(str::to_owned),
            attributes: std::collections::BTreeMap::default(),
        }
    }

    #[test]
    fn what_is_done_first() {
        let (known, begun) = (recorded(Some("a")), recorded(None));
        for (object, digest, depth, prunable, expected) in [
            (None, "a", Depth::Recorded, false, First::Create),
            (Some(&begun), "a", Depth::Full, false, First::Create),
            (Some(&known), "a", Depth::Recorded, false, First::Keep),
            (Some(&known), "a", Depth::Recorded, true, First::Look),
            (Some(&known), "a", Depth::Full, false, First::Look),
            (Some(&known), "b", Depth::Recorded, false, First::Look),
        ] {
            assert_eq!(first(object, digest, depth, prunable), expected, "{object:?} {digest} {depth:?} {prunable}");
        }
    }

    #[test]
    fn changes_read_well() {
        let change = Change {
            type_: "AWS::IAM::Role".into(),
            name: "r".into(),
            action: Action::Update,
            reasons: vec!["trust policy".into(), "tag a".into()],
        };
        assert_eq!(change.to_string(), "updated role r (trust policy, tag a)");
    }
}
