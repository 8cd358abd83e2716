//! The engine: one way for every kind of owned object.
//!
//! [`sync`] brings what is in AWS to what a Blueprint declares: observe, plan, apply, object by object in dependency order, since an object may need
//! another's answer. [`preview`] reads and plans and writes nothing. [`delete`] takes away what was owned.
//!
//! Making something from nothing costs one call per object and no reads: an object that was never recorded is created at once, and only when its name turns out to be
//! taken is it looked at. Every step can be repeated: creates are idempotent by name, and what a lost answer left behind is taken over by its tags.

use std::collections::BTreeMap;

use serde_json::Value;
use tracing::info;

use crate::api::owned::OwnedObject;
use crate::compile::Blueprint;
use crate::compile::blueprint::{Answer, Body, Object, Role, StateMachine};

use super::digest::Parts;
use super::document::{self, DocumentResource};
use super::error::{AwsError, Class};
use super::plan::{First, UNDECLARED, change, first, foreign, orphans};
use super::queue::QueueResource;
use super::resource::{Attributes, Found, Novelty, Resource, recorded};
use super::role::{self, RoleResource};
use super::rule::RuleResource;
use super::session::Session;
use super::state_machine::StateMachineResource;
use super::teardown::{Outcome, take_away};

pub use super::plan::{Action, Change, Depth, Observed, plan};
pub use super::teardown::{DeleteError, Deleted, Left, delete};

pub(super) const ROLE: &str = "AWS::IAM::Role";
pub(super) const DOCUMENT: &str = "AWS::SSM::Document";
pub(super) const STATE_MACHINE: &str = "AWS::StepFunctions::StateMachine";
pub(super) const QUEUE: &str = "AWS::SQS::Queue";
pub(super) const RULE: &str = "AWS::Events::Rule";

/// Recorded in place of a digest when a write failed and may have had a part of its effect: what is there must be looked at.
const IN_DOUBT: &str = "in doubt";

/// What is to be brought into sync.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// What should exist.
    pub blueprint: &'a Blueprint,
    /// What is recorded as owned.
    pub owned: &'a [OwnedObject],
    /// How deep to look.
    pub depth: Depth,
    /// Whether rights of older versions may go: no execution of an older version runs. They stay all the same when this sync publishes a new version.
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

/// Why a sync stopped.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// A call failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The name belongs to something else.
    #[error(
        "{arn} exists already and its tags do not prove that it is this object's ({why}), so it is left alone: rename or delete it, give this object another name, or, if it is this object's own, put the tags back"
    )]
    Foreign {
        /// What has the name.
        arn: String,
        /// How one can tell that it is another's.
        why: String,
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
            Cause::Aws(error) => error.reason(),
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
    let blueprint = request.blueprint;
    let mut work = Work { session, request, owned: request.owned.to_vec(), changes: Vec::new() };
    match work.run(ledger).await {
        Ok(()) => {
            let roles = blueprint.objects.iter().filter_map(as_role);
            let stale_policies = roles.into_iter().any(|role| !work.stale(role).is_empty());
            Ok(Synced { owned: work.owned, changes: work.changes, stale_policies })
        }
        Err(cause) => Err(SyncError { owned: work.owned, cause }),
    }
}

/// What a sync at full depth would change. Only reads.
///
/// # Errors
/// [`Cause`] when AWS does not tell.
pub async fn preview(session: &Session, blueprint: &Blueprint, owned: &[OwnedObject]) -> Result<Vec<Change>, Cause> {
    let request = Request { blueprint, owned, depth: Depth::Full, prune_policies: false };
    let mut work = Work { session, request, owned: owned.to_vec(), changes: Vec::new() };
    let mut observed = Vec::new();
    for object in &blueprint.objects {
        let seen = work.preview(object).await?;
        observed.push(seen);
    }
    Ok(plan(blueprint, &observed, owned))
}

fn as_role(object: &Object) -> Option<&Role> {
    match &object.body {
        Body::Role(role) => Some(role),
        _ => None,
    }
}

/// One sync under way.
struct Work<'a> {
    session: &'a Session,
    request: Request<'a>,
    owned: Vec<OwnedObject>,
    changes: Vec<Change>,
}

/// Why an object is looked at.
enum Look {
    /// It is recorded as ours.
    Recorded,
    /// Its name is taken.
    Taken,
    /// A create answered this, and made it, now or at an earlier try.
    Made(Attributes),
    /// A create answered this, and made nothing: it was there before.
    Older(Attributes),
}

/// What became of one object.
struct Done {
    attributes: Attributes,
    change: Option<Change>,
}

/// Why one object's way ended early.
struct Stopped {
    cause: Cause,
    /// Whether something may have been written that is not recorded.
    wrote: bool,
}

impl Stopped {
    fn in_write(error: AwsError) -> Self {
        Self { cause: error.into(), wrote: true }
    }
}

impl From<AwsError> for Stopped {
    fn from(error: AwsError) -> Self {
        Self { cause: error.into(), wrote: false }
    }
}

impl From<Cause> for Stopped {
    fn from(cause: Cause) -> Self {
        Self { cause, wrote: false }
    }
}

impl Work<'_> {
    async fn run<L: Ledger>(&mut self, ledger: &mut L) -> Result<(), Cause> {
        let blueprint = self.request.blueprint;
        let unknown = |object: &&Object| recorded(&self.owned, object.type_name(), object.name()).is_none();
        let begun: Vec<OwnedObject> = blueprint.objects.iter().filter(unknown).map(begun).collect();
        if !begun.is_empty() {
            self.owned.extend(begun);
            ledger.write(&self.owned).await.map_err(Cause::Ledger)?;
        }
        for object in &blueprint.objects {
            self.bring(object).await?;
        }
        self.drop_orphans().await?;
        self.prune().await
    }

    async fn bring(&mut self, object: &Object) -> Result<(), Cause> {
        let tags = &object.tags;
        let taken = match &object.body {
            Body::Role(role) => self.take(object, &RoleResource { role, tags }).await,
            Body::Document(document) => {
                let written = self.attributes_of(object);
                self.take(object, &DocumentResource { document, tags, written }).await
            }
            Body::StateMachine(machine) => {
                let definition = fill(machine, &self.owned)?;
                let published = self.attributes_of(object);
                self.take(object, &StateMachineResource { machine, definition: &definition, tags, published }).await
            }
            Body::Queue(queue) => {
                let made = self.attributes_of(object);
                self.take(object, &QueueResource { queue, tags, made }).await
            }
            Body::Rule(rule) => self.take(object, &RuleResource { rule, tags }).await,
        };
        let (digest, done) = match taken {
            Ok((digest, Some(done))) => (digest, done),
            Ok((_, None)) => return Ok(()),
            Err(stopped) => {
                if let Some(entry) = self.entry(object).filter(|entry| stopped.wrote && entry.digest.is_some()) {
                    entry.digest = Some(IN_DOUBT.to_owned());
                }
                return Err(stopped.cause);
            }
        };
        if let Some(entry) = self.entry(object) {
            entry.arn = Some(object.arn().to_owned());
            entry.digest = Some(digest);
            entry.attributes = done.attributes;
        }
        if let Some(change) = done.change {
            info!(%change, "applied");
            self.changes.push(change);
        }
        Ok(())
    }

    /// One object's way through observe, plan and apply; no outcome when it was not even looked at.
    async fn take<R: Resource>(&self, object: &Object, resource: &R) -> Result<(String, Option<Done>), Stopped> {
        let known = recorded(&self.owned, object.type_name(), object.name());
        let parts = resource.parts();
        let done = match first(known, &parts, self.request.depth) {
            First::Keep => None,
            First::Create => Some(self.create(object, resource).await?),
            First::Look => Some(self.look(object, resource, Look::Recorded).await?),
            First::Write(applied) => {
                let differences = resource.since(&applied);
                let reasons: Vec<String> = differences.iter().map(ToString::to_string).collect();
                let attributes = known.map(|known| known.attributes.clone()).unwrap_or_default();
                match resource.update(self.session, differences, attributes).await {
                    Ok(attributes) => {
                        let change = (!reasons.is_empty()).then(|| Change::new(object, Action::Update, reasons));
                        Some(Done { attributes, change })
                    }
                    // Somebody deleted it, or there is another of that name by now.
                    Err(error) if error.class == Class::Gone => Some(self.look(object, resource, Look::Taken).await?),
                    Err(error) => return Err(Stopped::in_write(error)),
                }
            }
        };
        Ok((parts.to_string(), done))
    }

    async fn create<R: Resource>(&self, object: &Object, resource: &R) -> Result<Done, Stopped> {
        let created = match resource.create(self.session).await {
            Ok(created) => created,
            Err(error) if error.class == Class::Conflict => return self.look(object, resource, Look::Taken).await,
            Err(error) => return Err(error.into()),
        };
        match created.novelty {
            Novelty::Likely if recorded(self.request.owned, object.type_name(), object.name()).is_some() => {
                self.look(object, resource, Look::Made(created.attributes)).await
            }
            Novelty::Likely if self.changes.iter().any(|change| change.action == Action::TakeOver) => {
                self.look(object, resource, Look::Older(created.attributes)).await
            }
            Novelty::Old => self.look(object, resource, Look::Older(created.attributes)).await,
            Novelty::New | Novelty::Likely => {
                let change = Some(Change::new(object, Action::Create, Vec::new()));
                Ok(Done { attributes: created.attributes, change })
            }
        }
    }

    /// Looks at an object and makes it as it is declared.
    async fn look<R: Resource>(&self, object: &Object, resource: &R, why: Look) -> Result<Done, Stopped> {
        let prove = !matches!(why, Look::Recorded);
        let Some(mut found) = resource.observe(self.session, prove).await? else {
            let created = resource.create(self.session).await.map_err(Stopped::in_write)?;
            let change = change(object, self.is_made(object), &Observed::Absent);
            return Ok(Done { attributes: created.attributes, change });
        };
        if let Some(why) = foreign(object, &found.arn, found.tags.as_ref()) {
            return Err(Cause::Foreign { arn: found.arn, why }.into());
        }
        let made = matches!(why, Look::Made(_));
        if let Look::Made(answered) | Look::Older(answered) = why {
            found.attributes.extend(answered);
        }
        let differences = resource.compare(&found, self.parts_of(object).as_ref());
        let attributes = found.attributes.clone();
        let change = if made && differences.is_empty() {
            Some(Change::new(object, Action::Create, Vec::new()))
        } else {
            change(object, !prove, &seen(found, &differences))
        };
        let attributes = if differences.is_empty() {
            attributes
        } else {
            resource.update(self.session, differences, attributes).await.map_err(Stopped::in_write)?
        };
        Ok(Done { attributes, change })
    }

    /// Looks at an object and writes nothing.
    async fn preview(&mut self, object: &Object) -> Result<Observed, AwsError> {
        let tags = &object.tags;
        match &object.body {
            Body::Role(role) => Ok(self.watch(object, &RoleResource { role, tags }).await?.0),
            Body::Document(document) => {
                let written = self.attributes_of(object);
                let (seen, attributes) = self.watch(object, &DocumentResource { document, tags, written }).await?;
                // What a new version will be called is not known, so what refers to it will change, too.
                let attributes = if document::is_written_anew(&seen) { Attributes::new() } else { attributes };
                self.owned.retain(|entry| (entry.type_.as_str(), &entry.name) != (DOCUMENT, &document.name));
                self.owned.push(OwnedObject { attributes, ..begun(object) });
                Ok(seen)
            }
            Body::StateMachine(machine) => {
                let definition = fill_known(machine, &self.owned);
                let published = self.attributes_of(object);
                let resource = StateMachineResource { machine, definition: &definition, tags, published };
                Ok(self.watch(object, &resource).await?.0)
            }
            Body::Queue(queue) => {
                let made = self.attributes_of(object);
                Ok(self.watch(object, &QueueResource { queue, tags, made }).await?.0)
            }
            Body::Rule(rule) => Ok(self.watch(object, &RuleResource { rule, tags }).await?.0),
        }
    }

    async fn watch<R: Resource>(&self, object: &Object, resource: &R) -> Result<(Observed, Attributes), AwsError> {
        let Some(found) = resource.observe(self.session, !self.is_made(object)).await? else {
            return Ok((Observed::Absent, Attributes::new()));
        };
        let differences = resource.compare(&found, self.parts_of(object).as_ref());
        let attributes = found.attributes.clone();
        Ok((seen(found, &differences), attributes))
    }

    async fn drop_orphans(&mut self) -> Result<(), Cause> {
        let blueprint = self.request.blueprint;
        let Some(owner) = blueprint.objects.first().map(|object| &object.tags) else {
            return Ok(());
        };
        let found: Vec<OwnedObject> = orphans(blueprint, &self.owned).into_iter().cloned().collect();
        for orphan in found {
            let outcome = take_away(self.session, owner, &orphan).await?;
            self.owned.retain(|entry| *entry != orphan);
            if let Outcome::Deleted = outcome {
                self.changes.push(Change::deletion(&orphan, Some(UNDECLARED)));
            }
        }
        Ok(())
    }

    /// Takes rights of older versions away, last of all: nothing needs them any more once the newest version has stood through a whole sync.
    async fn prune(&mut self) -> Result<(), Cause> {
        if !self.request.prune_policies || self.changes.iter().any(|change| change.type_ == STATE_MACHINE) {
            return Ok(());
        }
        for object in &self.request.blueprint.objects {
            let Some(role) = as_role(object) else { continue };
            for policy in self.stale(role) {
                let Some(entry) = self.entry(object) else { continue };
                let attributes = entry.attributes.clone();
                let attributes = role::prune(self.session, role, &attributes, &policy).await?;
                if let Some(entry) = self.entry(object) {
                    entry.attributes = attributes;
                }
                let reason = format!("policy {policy} of an older version removed");
                self.changes.push(Change::new(object, Action::Update, vec![reason]));
            }
        }
        Ok(())
    }

    fn stale(&self, role: &Role) -> Vec<String> {
        let known = recorded(&self.owned, ROLE, &role.name);
        let stale = known.map(|entry| role::stale(role, &entry.attributes)).unwrap_or_default();
        stale.into_iter().map(str::to_owned).collect()
    }

    fn entry(&mut self, object: &Object) -> Option<&mut OwnedObject> {
        self.owned.iter_mut().find(|entry| entry.type_ == object.type_name() && entry.name == object.name())
    }

    fn is_made(&self, object: &Object) -> bool {
        recorded(&self.owned, object.type_name(), object.name()).is_some_and(|known| known.digest.is_some())
    }

    fn parts_of(&self, object: &Object) -> Option<Parts> {
        let known = recorded(&self.owned, object.type_name(), object.name())?;
        Parts::parse(known.digest.as_deref()?)
    }

    /// What AWS answered when the object was written last; none when it is not known to have been.
    fn attributes_of(&self, object: &Object) -> Option<&Attributes> {
        let known = recorded(&self.owned, object.type_name(), object.name())?;
        known.digest.is_some().then_some(&known.attributes)
    }
}

fn seen<S, D: ToString>(found: Found<S>, differences: &[D]) -> Observed {
    let differences = differences.iter().map(ToString::to_string).collect();
    Observed::Present { arn: found.arn, tags: found.tags, differences }
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

/// The definition with AWS's answers in their places.
fn fill(machine: &StateMachine, owned: &[OwnedObject]) -> Result<Value, Cause> {
    let mut definition = machine.definition.clone();
    for fill in &machine.fills {
        let answer = answer(&fill.answer, owned).ok_or_else(|| Cause::Unanswered(format!("{:?}", fill.answer)))?;
        let place = definition.pointer_mut(&fill.pointer).ok_or_else(|| Cause::Unanswered(fill.pointer.clone()))?;
        *place = Value::String(answer.to_owned());
    }
    Ok(definition)
}

/// The same with the answers that are known.
fn fill_known(machine: &StateMachine, owned: &[OwnedObject]) -> Value {
    let mut definition = machine.definition.clone();
    for fill in &machine.fills {
        if let (Some(place), Some(answer)) = (definition.pointer_mut(&fill.pointer), answer(&fill.answer, owned)) {
            *place = Value::String(answer.to_owned());
        }
    }
    definition
}

fn answer<'a>(answer: &Answer, owned: &'a [OwnedObject]) -> Option<&'a str> {
    let (name, attribute) = match answer {
        Answer::DocumentVersion(name) => (name, document::VERSION),
        Answer::DocumentHash(name) => (name, document::HASH),
    };
    recorded(owned, DOCUMENT, name)?.attributes.get(attribute).map(String::as_str)
}
