//! The end of an AwsAccount: it waits for the workflows that have objects there, and then its inbox goes.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::{Api, Resource, ResourceExt};

use crate::api::conditions::{self, RECONCILING, Verdict};
use crate::api::refs::AccountRef;
use crate::api::{AwsAccount, WindowsWorkflow};
use crate::resolve;

use super::account::KIND;
use super::context::Context;
use super::{Error, account_inbox, finalize, invalid, status};

/// How often a deleted account looks whether workflows still need it.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How long, on Windlass's clock, AWS may keep a deleted account from going.
const DELETION_LIMIT: Duration = Duration::from_mins(15);

/// An account goes when no workflow has objects in it: without it nothing there could be taken away any more.
///
/// # Errors
/// [`Error`] when the API server does not do its part; what AWS says goes into a condition.
pub(super) async fn cleanup(ctx: &Context, api: &Api<AwsAccount>, account: &AwsAccount) -> Result<Action, Error> {
    let name = account.name_any();
    // Before the watches have shown everything, nothing would seem to need the account.
    ctx.stores.ready().await;
    let mut users = users_of(&name, ctx.stores.workflows.state().iter().map(AsRef::as_ref));
    if users.is_empty() {
        // The watch may be behind, and the last hold goes once: the API server itself is asked.
        users = users_now(ctx, &name).await?;
    }
    if users.is_empty() {
        return take_away(ctx, api, account).await;
    }
    let listed: Vec<&str> = users.iter().map(String::as_str).take(10).collect();
    let message = format!(
        "{} workflows still have objects in this account and are waited for: {}{}; delete them first",
        users.len(),
        listed.join(", "),
        if users.len() > listed.len() { ", …" } else { "" }
    );
    wait(ctx, api, account, "InUse", message).await?;
    Ok(Action::requeue(ctx.clock.real(LOOK_AGAIN)))
}

/// Workflows that have objects in an account, as namespace/name.
fn users_of<'a>(
    account: &str,
    workflows: impl Iterator<Item = &'a DeserializeGuard<WindowsWorkflow>>,
) -> BTreeSet<String> {
    workflows
        .filter_map(|guard| guard.0.as_ref().ok())
        .filter(|workflow| {
            let status = workflow.status.as_ref();
            status.and_then(|status| status.account_ref.as_ref()).is_some_and(|used| used.name == account)
        })
        .map(|workflow| format!("{}/{}", workflow.namespace().unwrap_or_default(), workflow.name_any()))
        .collect()
}

/// The same by the API server's own word, of workflows that do not parse too.
async fn users_now(ctx: &Context, account: &str) -> Result<BTreeSet<String>, Error> {
    let all: Api<DynamicObject> = Api::all_with(ctx.client.clone(), &ApiResource::erase::<WindowsWorkflow>(&()));
    let listed = all.list(&ListParams::default()).await?;
    let uses = |workflow: &&DynamicObject| {
        invalid::part::<Option<AccountRef>>(&workflow.data, "/status/accountRef")
            .is_some_and(|used| used.name == account)
    };
    let name =
        |workflow: &DynamicObject| format!("{}/{}", workflow.namespace().unwrap_or_default(), workflow.name_any());
    Ok(listed.items.iter().filter(uses).map(name).collect())
}

async fn take_away(ctx: &Context, api: &Api<AwsAccount>, account: &AwsAccount) -> Result<Action, Error> {
    let name = account.name_any();
    let owned = account.status.as_ref().map(|status| status.owned_objects.as_slice()).unwrap_or_default();
    ctx.inboxes.stop(&name);
    if !owned.is_empty() {
        let session = resolve::session(ctx, &name, &account.spec).await;
        if let Err(error) = account_inbox::delete(ctx, &session, account).await {
            let deleted = account.metadata.deletion_timestamp.as_ref().map(|at| at.0);
            let passed = deleted.map_or(Duration::ZERO, |at| ctx.clock.passed_since(at));
            if passed < DELETION_LIMIT {
                wait(ctx, api, account, "CleanupFailed", format!("the inbox could not be deleted: {error}")).await?;
                return Ok(Action::requeue(ctx.clock.real(ctx.backoff.failed(&key(&name)))));
            }
            let left: Vec<&str> = owned.iter().map(|object| object.arn.as_deref().unwrap_or(&object.name)).collect();
            let note = format!(
                "these objects stay behind in AWS and must be deleted by hand: {}; they could not be deleted: {error}",
                left.join(", ")
            );
            ctx.reporter.warning(&account.object_ref(&()), "Delete", "LeftBehind", &note).await;
        }
    }
    finalize::remove(ctx, api, account).await?;
    ctx.backoff.forget(&key(&name));
    ctx.drift.forget(&key(&name));
    ctx.freshness.forget(account);
    Ok(Action::await_change())
}

fn key(name: &str) -> String {
    format!("{KIND}/{name}")
}

async fn wait(
    ctx: &Context,
    api: &Api<AwsAccount>,
    account: &AwsAccount,
    reason: &str,
    message: String,
) -> Result<(), Error> {
    let (before, generation) = (account.status.as_ref(), account.metadata.generation);
    let mut after = before.cloned().unwrap_or_default();
    after.observed_generation = generation;
    let verdict = Verdict::new(RECONCILING, Some(true), reason, message);
    conditions::set(&mut after.conditions, generation, ctx.clock.now(), verdict);
    status::write(ctx, api, KIND, account, before, &after).await?;
    Ok(())
}
