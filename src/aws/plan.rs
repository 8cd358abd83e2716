//! The plan: what would change, and why. Pure.

use std::fmt;

use crate::api::owned::OwnedObject;
use crate::compile::Blueprint;
use crate::compile::blueprint::Object;

use super::digest::Parts;
use super::resource::{Tags, not_owned, recorded};

/// How deep to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Trust what was recorded: nothing is read, and what changed in the declaration since then is written.
    Recorded,
    /// Look at every object.
    Full,
}

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
    /// It was there, and ours by its tags: it is ours again, and as it is declared.
    TakeOver,
    /// It is deleted.
    Delete,
    /// It is another's and is left alone; the reasons say how one can tell.
    Refuse,
}

impl Change {
    pub(super) fn new(object: &Object, action: Action, reasons: Vec<String>) -> Self {
        Self { type_: object.type_name().to_owned(), name: object.name().to_owned(), action, reasons }
    }

    pub(super) fn deletion(object: &OwnedObject, reason: Option<&str>) -> Self {
        let reasons = reason.map(str::to_owned).into_iter().collect();
        Self { type_: object.type_.clone(), name: object.name.clone(), action: Action::Delete, reasons }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.action {
            Action::Create => "create",
            Action::Update => "update",
            Action::TakeOver => "take over",
            Action::Delete => "delete",
            Action::Refuse => "refuse",
        };
        let kind = match self.type_.as_str() {
            "AWS::IAM::Role" => "role",
            "AWS::SSM::Document" => "document",
            "AWS::StepFunctions::StateMachine" => "state machine",
            "AWS::SQS::Queue" => "queue",
            "AWS::Events::Rule" => "rule",
            other => other,
        };
        write!(f, "{verb} {kind} {}", self.name)?;
        if !self.reasons.is_empty() {
            write!(f, " ({})", self.reasons.join(", "))?;
        }
        Ok(())
    }
}

/// An object as it was found in AWS, held against its declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// There is none.
    Absent,
    /// There is one.
    Present {
        /// Its ARN.
        arn: String,
        /// Its tags; none when they were not read.
        tags: Option<Tags>,
        /// How it differs from its declaration, in words.
        differences: Vec<String>,
    },
}

/// What would change: Blueprint × Observed → Changes. `observed` is parallel to the Blueprint's objects.
#[must_use]
pub fn plan(blueprint: &Blueprint, observed: &[Observed], owned: &[OwnedObject]) -> Vec<Change> {
    let declared = blueprint.objects.iter().zip(observed).filter_map(|(object, observed)| {
        let known = recorded(owned, object.type_name(), object.name()).is_some_and(|known| known.digest.is_some());
        change(object, known, observed)
    });
    let dropped = orphans(blueprint, owned).into_iter().map(|orphan| Change::deletion(orphan, Some(UNDECLARED)));
    declared.chain(dropped).collect()
}

/// Why what is owned and not declared is deleted.
pub(super) const UNDECLARED: &str = "not declared any more";

/// What would change of one object. `known`: it is recorded as made by us.
pub(super) fn change(object: &Object, known: bool, observed: &Observed) -> Option<Change> {
    match observed {
        Observed::Absent => {
            let reasons = if known { vec!["it was gone".to_owned()] } else { Vec::new() };
            Some(Change::new(object, Action::Create, reasons))
        }
        Observed::Present { arn, tags, differences } => {
            if let Some(why) = foreign(object, arn, tags.as_ref()) {
                Some(Change::new(object, Action::Refuse, vec![why]))
            } else if !known {
                Some(Change::new(object, Action::TakeOver, differences.clone()))
            } else {
                (!differences.is_empty()).then(|| Change::new(object, Action::Update, differences.clone()))
            }
        }
    }
}

/// How one can tell that what has the name is not this object.
pub(super) fn foreign(object: &Object, arn: &str, tags: Option<&Tags>) -> Option<String> {
    if arn != object.arn() {
        return Some(format!("the name belongs to {arn}"));
    }
    tags.and_then(|tags| not_owned(&object.tags, tags))
}

/// What is owned and not declared, the last made first.
pub(super) fn orphans<'a>(blueprint: &Blueprint, owned: &'a [OwnedObject]) -> Vec<&'a OwnedObject> {
    let declared = |entry: &OwnedObject| {
        blueprint.objects.iter().any(|object| object.type_name() == entry.type_ && object.name() == entry.name)
    };
    owned.iter().rev().filter(|entry| !declared(entry)).collect()
}

/// The first thing to do with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// Nothing.
    Keep,
    /// Make it, without looking: it was never made, or may have been made by a process that died then.
    Create,
    /// Write what changed since these parts were applied.
    Write(Parts),
    /// Look at it, then decide.
    Look,
}

/// What to do first with an object whose declaration has the digests `parts`.
pub(super) fn first(recorded: Option<&OwnedObject>, parts: &Parts, depth: Depth) -> First {
    let Some(digest) = recorded.and_then(|object| object.digest.as_deref()) else {
        return First::Create;
    };
    match (depth, Parts::parse(digest)) {
        (Depth::Full, _) | (_, None) => First::Look,
        (Depth::Recorded, Some(known)) if known == *parts => First::Keep,
        (Depth::Recorded, Some(known)) => First::Write(known),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use crate::compile::blueprint::{Body, Document};

    use super::*;

    fn owned(name: &str, digest: Option<&str>) -> OwnedObject {
        OwnedObject {
            type_: "AWS::SSM::Document".into(),
            name: name.into(),
            arn: None,
            digest: digest.map(str::to_owned),
            attributes: BTreeMap::default(),
        }
    }

    fn tags(owner: &str) -> Tags {
        [("windlass.dev/name".to_owned(), owner.to_owned())].into()
    }

    fn document(name: &str) -> Object {
        let (name, arn) = (name.to_owned(), format!("arn:{name}"));
        Object { tags: tags("x"), body: Body::Document(Document { name, arn, content: json!({}) }) }
    }

    #[test]
    fn what_is_done_first() {
        let parts = |value| Parts::default().with("a", &json!(value));
        let (known, begun, older) =
            (owned("d", Some(&parts(1).to_string())), owned("d", None), owned("d", Some("sha256:00")));
        for (object, depth, expected) in [
            (None, Depth::Recorded, First::Create),
            (Some(&begun), Depth::Full, First::Create),
            (Some(&known), Depth::Recorded, First::Keep),
            (Some(&known), Depth::Full, First::Look),
            (Some(&older), Depth::Recorded, First::Look),
        ] {
            assert_eq!(first(object, &parts(1), depth), expected, "{object:?} {depth:?}");
        }
        assert_eq!(first(Some(&known), &parts(2), Depth::Recorded), First::Write(parts(1)));
        assert_eq!(first(Some(&known), &parts(2), Depth::Full), First::Look);
    }

    #[test]
    fn the_plan_names_each_change_and_why() {
        let present = |arn: &str, owner: Option<&str>, differences: &[&str]| Observed::Present {
            arn: arn.to_owned(),
            tags: owner.map(tags),
            differences: differences.iter().map(ToString::to_string).collect(),
        };
        let known = [owned("d", Some("a=1"))];
        let begun = [owned("d", None)];
        for (observed, owned, expected) in [
            (Observed::Absent, &[][..], Some("create document d")),
            (Observed::Absent, &begun, Some("create document d")),
            (Observed::Absent, &known, Some("create document d (it was gone)")),
            (present("arn:d", Some("x"), &[]), &known, None),
            (present("arn:d", None, &[]), &known, None),
            (present("arn:d", Some("x"), &["content", "tags a"]), &known, Some("update document d (content, tags a)")),
            (present("arn:d", Some("x"), &[]), &begun, Some("take over document d")),
            (present("arn:d", Some("x"), &["content"]), &[], Some("take over document d (content)")),
            (present("arn:d", Some("y"), &[]), &known, Some("refuse document d (windlass.dev/name is y and not x)")),
            (present("arn:e", Some("x"), &[]), &begun, Some("refuse document d (the name belongs to arn:e)")),
        ] {
            let blueprint = Blueprint { objects: vec![document("d")] };
            let changes: Vec<String> =
                plan(&blueprint, std::slice::from_ref(&observed), owned).iter().map(ToString::to_string).collect();
            assert_eq!(changes, expected.into_iter().collect::<Vec<_>>(), "{observed:?} {owned:?}");
        }
    }

    #[test]
    fn what_is_not_declared_any_more_goes_last_and_in_reverse() {
        let blueprint = Blueprint { objects: vec![document("kept")] };
        let owned = [owned("first", Some("a=1")), owned("kept", Some("a=1")), owned("second", None)];
        let changes = plan(&blueprint, &[Observed::Absent], &owned);
        let names: Vec<(&str, Action)> = changes.iter().map(|change| (change.name.as_str(), change.action)).collect();
        assert_eq!(names, [("kept", Action::Create), ("second", Action::Delete), ("first", Action::Delete)]);
    }
}
