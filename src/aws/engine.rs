//! The engine: one way for every kind of owned object.
//!
//! [`sync`] brings what is in AWS to what a Blueprint declares: observe, plan, apply, object by object in dependency order, since an object may need
//! another's answer. [`delete`] takes away what was owned, in the reverse order.
//!
//! Making something from nothing costs one call per object and no reads: an object that was never recorded is created at once, and only when its name turns out to be
//! taken is it looked at. Every step can be repeated: creates are idempotent by name, and what a lost answer left behind is taken over by its tags.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tracing::{info, warn};

use crate::api::owned::OwnedObject;
use crate::compile::Blueprint;
use crate::compile::blueprint::{Answer, Body, Object, StateMachine};

use super::document::{self, DocumentResource};
use super::error::{AwsError, Class};
use super::plan::{Action, First, first};
use super::resource::{Attributes, Resource, Tags, is_owned, recorded};
use super::role::{self, RoleResource};
use super::session::Session;
use super::state_machine::{self, StateMachineResource};

pub use super::plan::{Change, Depth};

const ROLE: &str = "AWS::IAM::Role";
const DOCUMENT: &str = "AWS::SSM::Document";
const STATE_MACHINE: &str = "AWS::StepFunctions::StateMachine";

/// What is to be brought into sync.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// What should exist.
    pub blueprint: &'a Blueprint,
    /// What is recorded as owned.
    pub owned: &'a [OwnedObject],
    /// How deep to look.
    pub depth: Depth,
    /// Whether rights of older versions go: no execution needs them any more.
    pub prune_policies: bool,
}

/// Why names could not be recorded.
pub type LedgerError = Box<dyn std::error::Error + Send + Sync>;

/// Where names are recorded before objects are made.
pub trait Ledger: Send {
    /// Records what is owned from now on. Called at most once a sync, with all names, before the first object is made.
    fn write(&mut self, owned: &[OwnedObject]) -> impl Future<Output = Result<(), LedgerError>> + Send;
}

/// What a sync came to.
#[derive(Debug)]
pub struct Synced {
    /// What is owned now.
    pub owned: Vec<OwnedObject>,
    /// What was changed.
    pub changes: Vec<Change>,
    /// Whether rights of older versions are still there.
    pub stale_policies: bool,
}

/// Why a sync stopped.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct SyncError {
    /// What is owned, as far as it got.
    pub owned: Vec<OwnedObject>,
    /// Why it stopped.
    pub cause: Cause,
}

/// Why a sync or a deletion stopped.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// A call failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The name belongs to something else.
    #[error(
        "{arn} exists already and does not carry this object's windlass.dev tags, so it is left alone: rename or delete it, or give this object another name{found}"
    )]
    Foreign {
        /// What has the name.
        arn: String,
        /// Whose tags it carries, in words.
        found: String,
    },
    /// Names could not be recorded.
    #[error("what is owned could not be recorded: {0}")]
    Ledger(LedgerError),
    /// An object refers to an answer that no object before it gave.
    #[error(
        "the Blueprint refers to {0}, which no object before it answers: this is a defect of Windlass, please report it"
    )]
    Unanswered(String),
}

impl SyncError {
    /// Who must act; none when it was not AWS.
    #[must_use]
    pub fn class(&self) -> Option<Class> {
        match &self.cause {
            Cause::Aws(error) => Some(error.class),
            Cause::Foreign { .. } => Some(Class::Conflict),
            Cause::Ledger(_) => None,
            Cause::Unanswered(_) => Some(Class::Invalid),
        }
    }

    /// CamelCase reason for conditions and Events.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match &self.cause {
            Cause::Aws(error) => match error.class {
                Class::Transient => "AwsUnavailable",
                Class::Throttled => "Throttled",
                Class::Denied => "AccessDenied",
                Class::Invalid => "RefusedByAws",
                Class::Conflict => "NameTaken",
                Class::Gone => "Gone",
            },
            Cause::Foreign { .. } => "NameTaken",
            Cause::Ledger(_) => "StatusNotWritten",
            Cause::Unanswered(_) => "Defect",
        }
    }
}

/// Brings what is in AWS to what the Blueprint declares.
///
/// # Errors
/// [`SyncError`] with what is owned as far as it got.
pub async fn sync<L: Ledger>(session: &Session, request: Request<'_>, ledger: &mut L) -> Result<Synced, SyncError> {
    let mut owned = request.owned.to_vec();
    let mut changes = Vec::new();
    match run(session, request, ledger, &mut owned, &mut changes).await {
        Ok(()) => {
            let stale_policies = stale_policies(request.blueprint, &owned);
            Ok(Synced { owned, changes, stale_policies })
        }
        Err(cause) => Err(SyncError { owned, cause }),
    }
}

async fn run<L: Ledger>(
    session: &Session,
    request: Request<'_>,
    ledger: &mut L,
    owned: &mut Vec<OwnedObject>,
    changes: &mut Vec<Change>,
) -> Result<(), Cause> {
    let blueprint = request.blueprint;
    let unknown =
        blueprint.objects.iter().filter(|object| recorded(owned, object.type_name(), object.name()).is_none());
    let unknown: Vec<OwnedObject> = unknown.map(begun).collect();
    if !unknown.is_empty() {
        owned.extend(unknown);
        ledger.write(owned).await.map_err(Cause::Ledger)?;
    }
    let stale = stale_policies(blueprint, owned);
    for object in &blueprint.objects {
        let tags = &object.tags;
        let known = recorded(owned, object.type_name(), object.name()).cloned();
        let prunable = request.prune_policies && stale && matches!(object.body, Body::Role(_));
        let (digest, done) = match &object.body {
            Body::Role(role) => {
                let digest = digest(object, None);
                let resource = RoleResource { role, tags, prune: request.prune_policies };
                let step = Step {
                    object,
                    known: known.as_ref(),
                    first: first(known.as_ref(), &digest, request.depth, prunable),
                };
                (digest, step.take(session, &resource).await?)
            }
            Body::Document(document) => {
                let digest = digest(object, None);
                let resource = DocumentResource { document, tags };
                let step =
                    Step { object, known: known.as_ref(), first: first(known.as_ref(), &digest, request.depth, false) };
                (digest, step.take(session, &resource).await?)
            }
            Body::StateMachine(machine) => {
                let definition = fill(machine, owned)?;
                let digest = digest(object, Some(&definition));
                let published = known.as_ref().map(|known| &known.attributes);
                let resource = StateMachineResource { machine, definition: &definition, tags, published };
                let step =
                    Step { object, known: known.as_ref(), first: first(known.as_ref(), &digest, request.depth, false) };
                (digest, step.take(session, &resource).await?)
            }
        };
        if let Some((attributes, change)) = done {
            let entry = owned.iter_mut().find(|entry| entry.type_ == object.type_name() && entry.name == object.name());
            if let Some(entry) = entry {
                entry.arn = Some(object.arn().to_owned());
                entry.digest = Some(digest);
                entry.attributes = attributes;
            }
            changes.extend(change);
        }
    }
    drop_orphans(session, blueprint, owned, changes).await
}

/// One object's way through observe, plan and apply.
struct Step<'a> {
    object: &'a Object,
    known: Option<&'a OwnedObject>,
    first: First,
}

impl Step<'_> {
    /// What the object answered and what was changed; none when it was not even looked at.
    async fn take<R: Resource>(
        &self,
        session: &Session,
        resource: &R,
    ) -> Result<Option<(Attributes, Option<Change>)>, Cause> {
        match self.first {
            First::Keep => Ok(None),
            First::Create => match resource.create(session).await {
                Ok(attributes) => Ok(Some((attributes, Some(self.change(Action::Create, Vec::new()))))),
                Err(error) if error.class == Class::Conflict => self.look(session, resource, true).await.map(Some),
                Err(error) => Err(error.into()),
            },
            First::Look => self.look(session, resource, false).await.map(Some),
        }
    }

    async fn look<R: Resource>(
        &self,
        session: &Session,
        resource: &R,
        prove: bool,
    ) -> Result<(Attributes, Option<Change>), Cause> {
        let Some(seen) = resource.look(session, prove).await? else {
            let attributes = resource.create(session).await?;
            return Ok((attributes, Some(self.change(Action::Create, vec!["it was gone".to_owned()]))));
        };
        if seen.tags.as_ref().is_some_and(|tags| !is_owned(&self.object.tags, tags)) || seen.arn != self.object.arn() {
            // An object that was recorded as made by us and lost a tag by hand is ours still; one whose name was only about to be used is not.
            let made_by_us = self.known.is_some_and(|known| known.digest.is_some()) && seen.arn == self.object.arn();
            let others = seen.tags.as_ref().and_then(|tags| tags.get("windlass.dev/cluster"));
            if !made_by_us
                || others.is_some_and(|cluster| Some(cluster) != self.object.tags.get("windlass.dev/cluster"))
            {
                let found = others.map_or_else(String::new, |cluster| {
                    format!(" (its tags say that it belongs to cluster {cluster})")
                });
                return Err(Cause::Foreign { arn: seen.arn, found });
            }
        }
        let reasons: Vec<String> = seen.differences.iter().map(ToString::to_string).collect();
        let action = if prove { Some(Action::TakeOver) } else { (!reasons.is_empty()).then_some(Action::Update) };
        let attributes = if reasons.is_empty() { seen.attributes } else { resource.mend(session, seen).await? };
        Ok((attributes, action.map(|action| self.change(action, reasons))))
    }

    fn change(&self, action: Action, reasons: Vec<String>) -> Change {
        let change =
            Change { type_: self.object.type_name().to_owned(), name: self.object.name().to_owned(), action, reasons };
        info!(%change, "applied");
        change
    }
}

fn begun(object: &Object) -> OwnedObject {
    OwnedObject {
        type_: object.type_name().to_owned(),
        name: object.name().to_owned(),
        arn: Some(object.arn().to_owned()),
        digest: None,
        attributes: BTreeMap::new(),
    }
}

/// Deletes what was owned and is not declared any more.
async fn drop_orphans(
    session: &Session,
    blueprint: &Blueprint,
    owned: &mut Vec<OwnedObject>,
    changes: &mut Vec<Change>,
) -> Result<(), Cause> {
    let declared = |entry: &OwnedObject| {
        blueprint.objects.iter().any(|object| object.type_name() == entry.type_ && object.name() == entry.name)
    };
    let orphans: Vec<OwnedObject> = owned.iter().rev().filter(|entry| !declared(entry)).cloned().collect();
    let Some(owner) = blueprint.objects.first().map(|object| &object.tags) else {
        return Ok(());
    };
    for orphan in orphans {
        take_away(session, owner, &orphan).await?;
        owned.retain(|entry| *entry != orphan);
        let (type_, name) = (orphan.type_, orphan.name);
        changes.push(Change { type_, name, action: Action::Delete, reasons: vec!["not declared any more".to_owned()] });
    }
    Ok(())
}

/// Takes away everything that is recorded as owned, in the reverse order of its making. What is gone already is fine; what turns out to be another's is left alone.
///
/// # Errors
/// [`Cause`] of the first object that could not be taken away. The call can be repeated.
pub async fn delete(session: &Session, owner: &BTreeMap<String, String>, owned: &[OwnedObject]) -> Result<(), Cause> {
    for object in owned.iter().rev() {
        take_away(session, owner, object).await?;
    }
    Ok(())
}

async fn take_away(session: &Session, owner: &Tags, object: &OwnedObject) -> Result<(), Cause> {
    let name = object.name.as_str();
    let arn = object.arn.as_deref().unwrap_or(name);
    let proof = match object.type_.as_str() {
        ROLE => role::proof(session, name).await?,
        DOCUMENT => document::proof(session, name).await?,
        STATE_MACHINE => state_machine::proof(session, arn).await?,
        other => return Err(Cause::Unanswered(other.to_owned())),
    };
    let Some(tags) = proof else {
        return Ok(());
    };
    if !is_owned(owner, &tags) {
        warn!(%arn, "left alone: it does not carry this object's tags");
        return Ok(());
    }
    match object.type_.as_str() {
        ROLE => role::delete(session, name).await?,
        DOCUMENT => document::delete(session, name).await?,
        _ => state_machine::delete(session, arn).await?,
    }
    info!(%arn, "deleted");
    Ok(())
}

/// Whether the role has inline policies that the Blueprint does not name.
fn stale_policies(blueprint: &Blueprint, owned: &[OwnedObject]) -> bool {
    blueprint.objects.iter().any(|object| {
        let Body::Role(declared) = &object.body else { return false };
        let listed = recorded(owned, ROLE, &declared.name).and_then(|entry| entry.attributes.get(role::POLICIES));
        listed.is_some_and(|list| role::split(list).any(|name| !declared.policies.contains_key(name)))
    })
}

/// The definition with AWS's answers in their places.
fn fill(machine: &StateMachine, owned: &[OwnedObject]) -> Result<Value, Cause> {
    let mut definition = machine.definition.clone();
    for fill in &machine.fills {
        let (name, attribute) = match &fill.answer {
            Answer::DocumentVersion(name) => (name, document::VERSION),
            Answer::DocumentHash(name) => (name, document::HASH),
        };
        let answer = recorded(owned, DOCUMENT, name).and_then(|entry| entry.attributes.get(attribute));
        let answer = answer.ok_or_else(|| Cause::Unanswered(format!("the {attribute} of document {name}")))?;
        let place = definition.pointer_mut(&fill.pointer).ok_or_else(|| Cause::Unanswered(fill.pointer.clone()))?;
        *place = Value::String(answer.clone());
    }
    Ok(definition)
}

/// A digest of what an object should be, its filled definition included.
fn digest(object: &Object, definition: Option<&Value>) -> String {
    let mut hash = Sha256::new();
    // Blueprints are built in a fixed order, so their text is canonical.
    hash.update(serde_json::to_vec(object).unwrap_or_default());
    if let Some(definition) = definition {
        hash.update(definition.to_string().as_bytes());
    }
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}
