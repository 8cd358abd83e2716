//! WindowsWorkflow: resolve → compile → engine → status.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;
use kube::{Api, Resource, ResourceExt};
use tracing::{info, warn};

use crate::api::conditions::{self, READY, RECONCILING, STALLED, Verdict};
use crate::api::owned::OwnedObject;
use crate::api::refs::AccountRef;
use crate::api::{WindowsWorkflow, WindowsWorkflowSpec, WindowsWorkflowStatus};
use crate::aws::engine::{self, Change, Depth, Ledger, LedgerError, SyncError};
use crate::aws::{AwsError, Class, Session, executions};
use crate::compile::{self, Problem};
use crate::resolve;

use super::context::Context;
use super::{CATCH_UP, Error, backoff, finalize, invalid, status, workflow_deletion};

/// Name of the kind.
pub const KIND: &str = "WindowsWorkflow";
/// How many problems of a manifest a condition lists.
const PROBLEMS_LISTED: usize = 10;

/// Brings one WindowsWorkflow up to date.
///
/// # Errors
/// [`Error`] when the API server does not do its part; what AWS says goes into conditions.
pub async fn reconcile(guard: Arc<DeserializeGuard<WindowsWorkflow>>, ctx: Arc<Context>) -> Result<Action, Error> {
    ctx.stores.ready().await;
    let api: Api<WindowsWorkflow> = status::namespaced(&ctx, guard.as_ref());
    let workflow = match &guard.0 {
        Ok(workflow) => workflow,
        Err(broken) => return unreadable(&ctx, &api, guard.as_ref(), broken).await,
    };
    if ctx.freshness.is_behind(workflow) {
        return Ok(Action::requeue(CATCH_UP));
    }
    if workflow.metadata.deletion_timestamp.is_some() {
        return workflow_deletion::cleanup(&ctx, &api, workflow).await;
    }
    let mut work = Work { ctx: &ctx, api: &api, workflow, written: workflow.status.clone() };
    let (mut after, outcome) = work.sync().await?;
    outcome.record(&mut after, workflow.metadata.generation, ctx.clock.now());
    let old = condition(workflow.status.as_ref());
    let changed = work.write(&after).await?;
    if changed && old != condition(Some(&after)) {
        outcome.tell(&ctx, workflow).await;
    }
    Ok(outcome.next(&ctx, &key(workflow)))
}

/// A workflow that does not parse gets a condition. Its deletion needs nothing but its status.
async fn unreadable(
    ctx: &Context,
    api: &Api<WindowsWorkflow>,
    guard: &DeserializeGuard<WindowsWorkflow>,
    broken: &InvalidObject,
) -> Result<Action, Error> {
    if broken.metadata.deletion_timestamp.is_none() {
        return invalid::report(ctx, api, KIND, guard, broken, invalid::stalled).await;
    }
    let Some(whole) = invalid::whole(ctx, api, &guard.name_any()).await? else { return Ok(Action::await_change()) };
    let workflow = WindowsWorkflow {
        metadata: broken.metadata.clone(),
        spec: WindowsWorkflowSpec::default(),
        status: Some(WindowsWorkflowStatus {
            conditions: invalid::part(&whole, "/status/conditions"),
            account_ref: invalid::part(&whole, "/status/accountRef"),
            state_machine_arn: invalid::part(&whole, "/status/stateMachineArn"),
            owned_objects: invalid::part(&whole, "/status/ownedObjects"),
            ..WindowsWorkflowStatus::default()
        }),
    };
    workflow_deletion::cleanup(ctx, api, &workflow).await
}

/// The Ready condition as far as people are told of its changes.
fn condition(status: Option<&WindowsWorkflowStatus>) -> Option<(String, String, String)> {
    let ready = conditions::get(&status?.conditions, READY)?;
    Some((ready.status.clone(), ready.reason.clone(), ready.message.clone()))
}

/// The object in maps of this process.
#[must_use]
pub fn key(workflow: &WindowsWorkflow) -> String {
    format!("{KIND}/{}/{}", workflow.namespace().unwrap_or_default(), workflow.name_any())
}

/// One pass over one workflow.
struct Work<'a> {
    ctx: &'a Context,
    api: &'a Api<WindowsWorkflow>,
    workflow: &'a WindowsWorkflow,
    /// The status that the API server has.
    written: Option<WindowsWorkflowStatus>,
}

impl Work<'_> {
    async fn write(&mut self, status: &WindowsWorkflowStatus) -> Result<bool, status::StatusError> {
        let changed = status::write(self.ctx, self.api, KIND, self.workflow, self.written.as_ref(), status).await?;
        self.written = Some(status.clone());
        Ok(changed)
    }

    async fn sync(&mut self) -> Result<(WindowsWorkflowStatus, Outcome), Error> {
        let ctx = self.ctx;
        let workflow = self.workflow;
        let namespace = workflow.namespace().unwrap_or_default();
        let mut after = workflow.status.clone().unwrap_or_default();
        let recorded = after.account_ref.as_ref();
        let account = match resolve::account_name(ctx, &namespace, recorded, workflow.spec.account_ref.as_ref()) {
            Ok(name) if recorded.is_some() => resolve::account(ctx, &name).await,
            Ok(name) => resolve::account_to_begin_in(ctx, &name).await,
            Err(unavailable) => Err(unavailable),
        };
        let (account, session) = match account {
            Ok(found) => found,
            Err(unavailable) => return Ok((after, Outcome::unavailable(&unavailable))),
        };
        let account_name = account.name_any();
        let owner = ctx.owner(KIND, &namespace, &workflow.name_any());
        let fleets = resolve::fleets(ctx, &namespace);
        let context = compile::Account { name: &account_name, spec: &account.spec, fleets: &fleets.plain };
        let blueprint = match compile::workflow(&owner, &workflow.spec, &context) {
            Ok(blueprint) => blueprint,
            Err(problems) => return Ok((after, Outcome::problems(&problems))),
        };
        let sets = compile::targets::of(&workflow.spec, &context, &namespace).unwrap_or_default();
        let names: BTreeSet<&String> = sets.iter().filter_map(|set| set.fleet.as_ref()).collect();
        after.fleets = names.into_iter().filter_map(|name| fleets.seen.get(name).cloned()).collect();
        finalize::add(ctx, self.api, workflow).await?;
        after.account_ref = Some(AccountRef { name: account_name });

        let key = key(workflow);
        let now = ctx.clock.now();
        let full = ctx.drift.is_due(&key, now, ctx.settings.drift_interval);
        let (prune_policies, kept) = match self.may_prune(&session, &after).await {
            Ok(may) => (may, None),
            Err(error) => (false, Some(error)),
        };
        let owned = after.owned_objects.clone();
        let request = engine::Request {
            blueprint: &blueprint,
            owned: &owned,
            depth: if full { Depth::Full } else { Depth::Recorded },
            prune_policies,
        };
        let mut ledger = StatusLedger { work: self, status: after.clone() };
        let result = engine::sync(&session, request, &mut ledger).await;
        if full && result.is_ok() {
            ctx.drift.compared(&key, now, ctx.settings.drift_interval);
        }
        match result {
            Ok(synced) => {
                after.owned_objects = synced.owned;
                describe_machine(&mut after);
                Ok((after, Outcome::in_sync(&synced.changes, synced.stale_policies, kept.as_ref())))
            }
            Err(error) => {
                let outcome = Outcome::failed(&error);
                after.owned_objects = error.owned;
                Ok((after, outcome))
            }
        }
    }

    /// Whether inline policies of older versions may go: there are some, and no execution of an older version runs.
    async fn may_prune(&self, session: &Session, status: &WindowsWorkflowStatus) -> Result<bool, AwsError> {
        let several = status.owned_objects.iter().any(|object| {
            object
                .attributes
                .get("policies")
                .is_some_and(|policies| policies.split(',').filter(|p| !p.is_empty()).count() > 1)
        });
        let Some(machine) = status.state_machine_arn.as_deref().filter(|_| several) else {
            return Ok(false);
        };
        Ok(executions::running(session, machine).await?.is_empty())
    }
}

/// Takes what people and runs look for out of the list of owned objects.
fn describe_machine(status: &mut WindowsWorkflowStatus) {
    let machine = status.owned_objects.iter().find(|object| object.type_ == "AWS::StepFunctions::StateMachine");
    let attribute = |name: &str| machine.and_then(|machine| machine.attributes.get(name)).cloned();
    let (arn, version_arn, version) =
        (machine.and_then(|machine| machine.arn.clone()), attribute("versionArn"), attribute("version"));
    status.state_machine_arn = arn;
    status.state_machine_version_arn = version_arn;
    status.version = version.and_then(|version| version.parse().ok());
}

/// Writes the names of what is about to be made into the status, before it is made.
struct StatusLedger<'a, 'b> {
    work: &'b mut Work<'a>,
    status: WindowsWorkflowStatus,
}

impl Ledger for StatusLedger<'_, '_> {
    async fn write(&mut self, owned: &[OwnedObject]) -> Result<(), LedgerError> {
        owned.clone_into(&mut self.status.owned_objects);
        let outcome = Outcome {
            ready: false,
            stalled: false,
            reason: "Applying".to_owned(),
            message: "its objects are being made in AWS".to_owned(),
            retry: Retry::AtInterval,
            changes: Vec::new(),
        };
        outcome.record(&mut self.status, self.work.workflow.metadata.generation, self.work.ctx.clock.now());
        self.work.write(&self.status).await.map(drop).map_err(LedgerError::from)
    }
}

#[derive(Clone, Copy)]
enum Retry {
    /// At the next comparison with AWS.
    AtInterval,
    /// Soon, by the object's own backoff.
    Backoff,
    /// When older executions may have ended.
    WhenDrained,
    /// When the manifest, or what it refers to, changes.
    OnChange,
}

struct Outcome {
    ready: bool,
    stalled: bool,
    reason: String,
    message: String,
    retry: Retry,
    changes: Vec<String>,
}

impl Outcome {
    /// `kept`: why rights of older versions are not taken away, where AWS does not tell whether they are needed.
    fn in_sync(changes: &[Change], stale_policies: bool, kept: Option<&AwsError>) -> Self {
        let message = kept.map_or_else(
            || "everything in AWS is as declared".to_owned(),
            |error| format!("everything in AWS is as declared, but the role keeps the rights of older versions for now: whether one still runs is not known: {error}"),
        );
        Self {
            ready: true,
            stalled: false,
            reason: "InSync".to_owned(),
            message,
            retry: if stale_policies { Retry::WhenDrained } else { Retry::AtInterval },
            changes: changes.iter().map(ToString::to_string).collect(),
        }
    }

    fn stalled(reason: &str, message: String, retry: Retry) -> Self {
        Self { ready: false, stalled: true, reason: reason.to_owned(), message, retry, changes: Vec::new() }
    }

    fn unavailable(why: &resolve::Unavailable) -> Self {
        let stalled = why.reason != "AccountNotReady";
        Self {
            ready: false,
            stalled,
            reason: why.reason.to_owned(),
            message: why.message.clone(),
            // The event of the account's change may come before the store of accounts, which another watch fills, has it: no other comes.
            retry: Retry::Backoff,
            changes: Vec::new(),
        }
    }

    fn problems(problems: &[Problem]) -> Self {
        let mut message = problems.iter().take(PROBLEMS_LISTED).map(ToString::to_string).collect::<Vec<_>>().join("; ");
        if problems.len() > PROBLEMS_LISTED {
            message = format!("{message}; and {} more: windlass validate lists all", problems.len() - PROBLEMS_LISTED);
        }
        // A grant that was just given may not be seen yet either.
        Self::stalled("Invalid", message, Retry::Backoff)
    }

    fn failed(error: &SyncError) -> Self {
        let message = error.to_string();
        match error.class() {
            Some(Class::Transient | Class::Gone) | None => Self {
                ready: false,
                stalled: false,
                reason: error.reason().to_owned(),
                message: format!("{message}; it is tried again by itself"),
                retry: Retry::Backoff,
                changes: Vec::new(),
            },
            Some(Class::Throttled) => Self {
                ready: false,
                stalled: false,
                reason: error.reason().to_owned(),
                message: format!("{message}; it goes on when AWS lets it"),
                retry: Retry::Backoff,
                changes: Vec::new(),
            },
            // What is denied or taken may be mended in AWS, where no event comes from: look again, ever more seldom.
            Some(Class::Denied | Class::Conflict) => Self::stalled(error.reason(), message, Retry::Backoff),
            Some(Class::Invalid) => Self::stalled(error.reason(), message, Retry::OnChange),
        }
    }

    fn record(&self, status: &mut WindowsWorkflowStatus, generation: Option<i64>, now: Timestamp) {
        status.observed_generation = generation;
        let all = &mut status.conditions;
        let mut set = |type_, value, reason: &str, message: &str| {
            conditions::set(all, generation, now, Verdict::new(type_, Some(value), reason, message));
        };
        set(READY, self.ready, &self.reason, &self.message);
        set(STALLED, self.stalled, &self.reason, if self.stalled { &self.message } else { "" });
        set(RECONCILING, !self.ready && !self.stalled, &self.reason, "");
    }

    async fn tell(&self, ctx: &Context, workflow: &WindowsWorkflow) {
        let reference = workflow.object_ref(&());
        let (namespace, name) = (workflow.namespace().unwrap_or_default(), workflow.name_any());
        if self.ready {
            info!(%namespace, %name, changes = ?self.changes, "workflow in sync");
            let note = if self.changes.is_empty() { self.message.clone() } else { self.changes.join("; ") };
            ctx.reporter.normal(&reference, "Sync", &self.reason, &note).await;
        } else {
            warn!(%namespace, %name, reason = %self.reason, detail = %self.message, "workflow not in sync");
            ctx.reporter.warning(&reference, "Sync", &self.reason, &self.message).await;
        }
    }

    fn next(&self, ctx: &Context, key: &str) -> Action {
        match self.retry {
            Retry::Backoff => Action::requeue(ctx.clock.real(ctx.backoff.failed(key))),
            Retry::OnChange => {
                ctx.backoff.forget(key);
                Action::await_change()
            }
            Retry::WhenDrained => {
                ctx.backoff.forget(key);
                Action::requeue(ctx.clock.real(backoff::LONGEST / 10))
            }
            Retry::AtInterval => {
                ctx.backoff.forget(key);
                let due = ctx.drift.due_at(key).unwrap_or_else(|| ctx.clock.now());
                Action::requeue(ctx.clock.until(due).max(CATCH_UP))
            }
        }
    }
}
