//! The end of a WindowsWorkflow: it starts nothing new, waits for the runs that it names, and then everything of it goes.

use k8s_openapi::jiff::Timestamp;
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::{Api, Resource, ResourceExt};
use tracing::{info, warn};

use crate::api::conditions::{self, READY, RECONCILING, STALLED, Verdict};
use crate::api::{WindowsWorkflow, WorkflowRun};
use crate::aws::{AwsError, Session, engine, executions};
use crate::resolve;

use super::context::Context;
use super::workflow::{KIND, key};
use super::{Error, finalize, status};

/// How many runs a message names.
const NAMED: usize = 10;
/// How often running executions are looked for.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_secs(10);

/// Takes everything of a deleted workflow away, then its finalizer.
///
/// # Errors
/// [`Error`] when the API server does not do its part; what AWS says goes into conditions.
pub async fn cleanup(ctx: &Context, api: &Api<WindowsWorkflow>, workflow: &WindowsWorkflow) -> Result<Action, Error> {
    let owned = workflow.status.as_ref().map(|status| status.owned_objects.clone()).unwrap_or_default();
    let account = workflow.status.as_ref().and_then(|status| status.account_ref.as_ref());
    let Some(account) = account.filter(|_| !owned.is_empty()) else {
        return gone(ctx, api, workflow, "nothing of it was in AWS").await;
    };
    if let Err(missing) = resolve::find_account(ctx, &account.name)
        && missing.reason == "AccountNotFound"
    {
        let left: Vec<&str> = owned.iter().map(|object| object.arn.as_deref().unwrap_or(&object.name)).collect();
        let note =
            format!("{missing}; these objects stay behind in AWS and must be deleted by hand: {}", left.join(", "));
        ctx.reporter.warning(&workflow.object_ref(&()), "Delete", "LeftBehind", &note).await;
        return gone(ctx, api, workflow, &note).await;
    }
    let session = match resolve::account(ctx, &account.name).await {
        Ok((_, session)) => session,
        Err(unavailable) => return wait(ctx, api, workflow, unavailable.reason, &unavailable.message).await,
    };
    match waits_for(ctx, workflow, &session).await? {
        Ok(None) => {}
        Ok(Some(message)) => return wait(ctx, api, workflow, "Draining", &message).await,
        Err(error) => return wait(ctx, api, workflow, "CleanupFailed", &error.to_string()).await,
    }
    let owner = ctx.owner(KIND, &workflow.namespace().unwrap_or_default(), &workflow.name_any());
    match engine::delete(&session, &owner.tags(), &owned).await {
        Ok(deleted) => gone(ctx, api, workflow, &deleted.to_string()).await,
        Err(error) => {
            let delay = ctx.backoff.failed(&key(workflow));
            wait(ctx, api, workflow, "CleanupFailed", &error.to_string()).await?;
            Ok(Action::requeue(ctx.clock.real(delay)))
        }
    }
}

/// What the deletion waits for, in words, if for anything.
///
/// Runs are listed from the API server and not from the watch: a run writes that it is about to start before it looks whether its workflow is being deleted, so one
/// that this list does not show starts nothing any more.
async fn waits_for(
    ctx: &Context,
    workflow: &WindowsWorkflow,
    session: &Session,
) -> Result<Result<Option<String>, AwsError>, Error> {
    let runs: Api<DeserializeGuard<WorkflowRun>> =
        Api::namespaced(ctx.client.clone(), &workflow.namespace().unwrap_or_default());
    let selector = ListParams::default().fields(&format!("spec.workflowRef.name={}", workflow.name_any()));
    let listed = runs.list(&selector).await?;
    let mut active: Vec<String> = listed
        .items
        .iter()
        .filter_map(|guard| guard.0.as_ref().ok())
        .filter(|run| {
            run.status.as_ref().is_some_and(|status| status.execution_arn.is_some() && !status.phase.is_final())
        })
        .map(|run| format!("run {}", run.name_any()))
        .collect();
    if active.is_empty()
        && let Some(machine) = workflow.status.as_ref().and_then(|status| status.state_machine_arn.as_deref())
    {
        match executions::running(session, machine).await {
            Ok(running) => active.extend(running.iter().map(|arn| format!("execution {arn}"))),
            Err(error) => return Ok(Err(error)),
        }
    }
    if active.is_empty() {
        return Ok(Ok(None));
    }
    let named: Vec<&str> = active.iter().map(String::as_str).take(NAMED).collect();
    let more =
        if active.len() > named.len() { format!(" and {} more", active.len() - named.len()) } else { String::new() };
    Ok(Ok(Some(format!(
        "waiting for {}{more} to end before anything is deleted; nothing new is started. To stop it now: kubectl patch wrun NAME --type merge -p '{{\"spec\":{{\"desiredState\":\"Cancelled\"}}}}'",
        named.join(", ")
    ))))
}

async fn wait(
    ctx: &Context,
    api: &Api<WindowsWorkflow>,
    workflow: &WindowsWorkflow,
    reason: &str,
    message: &str,
) -> Result<Action, Error> {
    let before = workflow.status.as_ref();
    let mut after = before.cloned().unwrap_or_default();
    let (generation, now): (_, Timestamp) = (workflow.metadata.generation, ctx.clock.now());
    after.observed_generation = generation;
    for (type_, value) in [(READY, false), (RECONCILING, true), (STALLED, false)] {
        conditions::set(&mut after.conditions, generation, now, Verdict::new(type_, Some(value), reason, message));
    }
    if status::write(ctx, api, KIND, workflow, before, &after).await? {
        warn!(workflow = %key(workflow), reason, detail = message, "deletion waits");
        ctx.reporter.normal(&workflow.object_ref(&()), "Delete", reason, message).await;
    }
    Ok(Action::requeue(ctx.clock.real(LOOK_AGAIN)))
}

async fn gone(
    ctx: &Context,
    api: &Api<WindowsWorkflow>,
    workflow: &WindowsWorkflow,
    what: &str,
) -> Result<Action, Error> {
    finalize::remove(ctx, api, workflow).await?;
    info!(workflow = %key(workflow), what, "workflow deleted");
    let key = key(workflow);
    ctx.backoff.forget(&key);
    ctx.drift.forget(&key);
    ctx.freshness.forget(workflow);
    Ok(Action::await_change())
}
