//! Taking away what was owned: the state machine, then the document, then the role; the rule, then the queue. Each is proved by its tags first.

use std::fmt;

use tracing::{info, warn};

use crate::api::owned::OwnedObject;

use super::engine::{DOCUMENT, QUEUE, ROLE, RULE, STATE_MACHINE};
use super::error::{AwsError, Class};
use super::plan::Change;
use super::resource::{Tags, not_owned};
use super::session::Session;
use super::{document, queue, role, rule, state_machine};

/// What a deletion came to. Its text is for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// What was deleted. What was gone already is not listed.
    pub changes: Vec<Change>,
    /// What was left alone.
    pub left: Vec<Left>,
}

/// An object that was recorded as owned and left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its ARN.
    pub arn: String,
    /// Why it was left alone.
    pub why: String,
}

impl fmt::Display for Deleted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.changes.is_empty() {
            write!(f, "nothing was left to delete")?;
        } else {
            let names: Vec<&str> = self.changes.iter().map(|change| change.name.as_str()).collect();
            write!(f, "deleted {}", names.join(", "))?;
        }
        for left in &self.left {
            write!(f, "; left {} alone: {}", left.arn, left.why)?;
        }
        Ok(())
    }
}

/// Why a deletion stopped. It can be repeated.
#[derive(Debug, thiserror::Error)]
#[error("{object} could not be deleted: {cause}")]
pub struct DeleteError {
    /// ARN of the object at which it stopped.
    pub object: String,
    /// Why.
    pub cause: AwsError,
}

impl DeleteError {
    /// Who must act.
    #[must_use]
    pub fn class(&self) -> Class {
        self.cause.class
    }

    /// CamelCase reason for conditions and Events.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.cause.reason()
    }
}

/// Takes away everything that is recorded as owned: what runs as another goes before it. What is gone already is fine; what turns out to be another's is left alone and
/// reported.
///
/// # Errors
/// [`DeleteError`] of the first object that could not be taken away.
pub async fn delete(session: &Session, owner: &Tags, objects: &[OwnedObject]) -> Result<Deleted, DeleteError> {
    let mut order: Vec<&OwnedObject> = objects.iter().collect();
    order.sort_by_key(|object| rank(&object.type_));
    let mut deleted = Deleted::default();
    for object in order {
        match take_away(session, owner, object).await {
            Ok(Outcome::Deleted) => deleted.changes.push(Change::deletion(object, None)),
            Ok(Outcome::Gone) => {}
            Ok(Outcome::Left(why)) => deleted.left.push(Left { arn: arn(object).to_owned(), why }),
            Err(cause) => return Err(DeleteError { object: arn(object).to_owned(), cause }),
        }
    }
    Ok(deleted)
}

fn rank(type_: &str) -> u8 {
    match type_ {
        STATE_MACHINE | RULE => 0,
        DOCUMENT => 1,
        _ => 2,
    }
}

fn arn(object: &OwnedObject) -> &str {
    object.arn.as_deref().unwrap_or(&object.name)
}

/// What became of an object that should go.
pub(super) enum Outcome {
    Deleted,
    Gone,
    Left(String),
}

/// Deletes one object, if its tags prove that it is its owner's.
pub(super) async fn take_away(session: &Session, owner: &Tags, object: &OwnedObject) -> Result<Outcome, AwsError> {
    let (name, arn) = (object.name.as_str(), arn(object));
    let proof = match object.type_.as_str() {
        ROLE => role::proof(session, name).await?,
        DOCUMENT => document::proof(session, name).await?,
        STATE_MACHINE => state_machine::proof(session, arn).await?,
        QUEUE => queue::proof(session, object, arn).await?,
        RULE => rule::proof(session, arn).await?,
        other => return Ok(Outcome::Left(format!("this version of Windlass does not know {other}"))),
    };
    let Some(tags) = proof else {
        return Ok(Outcome::Gone);
    };
    if let Some(why) = not_owned(owner, &tags) {
        warn!(%arn, %why, "left alone");
        return Ok(Outcome::Left(format!("its tags do not prove that it is this object's ({why})")));
    }
    match object.type_.as_str() {
        ROLE => role::delete(session, name).await?,
        DOCUMENT => document::delete(session, name).await?,
        QUEUE => queue::delete(session, object, arn).await?,
        RULE => rule::delete(session, name, arn).await?,
        _ => state_machine::delete(session, arn).await?,
    }
    info!(%arn, "deleted");
    Ok(Outcome::Deleted)
}
