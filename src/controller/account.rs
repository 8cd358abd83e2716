//! AwsAccount: says who Windlass is there, and holds the object while workflows need it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;
use kube::{Api, Resource, ResourceExt};
use serde_json::Value;
use tracing::{info, warn};

use crate::api::conditions::{self, READY, RECONCILING, STALLED, Verdict};
use crate::api::refs::AccountRef;
use crate::api::{AwsAccount, AwsAccountStatus, WindowsWorkflow};
use crate::aws::{AwsError, Class};
use crate::resolve;

use super::context::Context;
use super::{CATCH_UP, Error, finalize, invalid, status};

/// Name of the kind.
pub const KIND: &str = "AwsAccount";
/// How often a deleted account looks whether workflows still need it.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Brings one AwsAccount up to date.
///
/// # Errors
/// [`Error`] when the API server does not do its part; what AWS says goes into conditions.
pub async fn reconcile(guard: Arc<DeserializeGuard<AwsAccount>>, ctx: Arc<Context>) -> Result<Action, Error> {
    let api: Api<AwsAccount> = Api::all(ctx.client.clone());
    let account = match &guard.0 {
        Ok(account) => account,
        Err(broken) => return unreadable(&ctx, &api, guard.as_ref(), broken).await,
    };
    if ctx.freshness.is_behind(account) {
        return Ok(Action::requeue(CATCH_UP));
    }
    if account.metadata.deletion_timestamp.is_some() {
        return cleanup(&ctx, &api, account).await;
    }
    finalize::add(&ctx, &api, account).await?;
    let name = account.name_any();
    let session = resolve::session(&ctx, &name, &account.spec).await;
    let answer = session.caller_identity().await;
    let before = account.status.as_ref();
    let mut after = before.cloned().unwrap_or_default();
    let outcome = match answer {
        Ok(identity) if identity.account == account.spec.account_id => {
            after.caller_arn = Some(identity.arn.clone());
            Outcome::ready(format!("acting as {}", identity.arn))
        }
        Ok(identity) => {
            after.caller_arn = Some(identity.arn.clone());
            Outcome::mismatch(account, &identity.account, &identity.arn)
        }
        Err(error) => Outcome::failed(account, &error),
    };
    outcome.record(&mut after, account.metadata.generation, ctx.clock.now());
    if status::write(&ctx, &api, KIND, account, before, &after).await? {
        outcome.tell(&ctx, account).await;
    }
    let key = format!("{KIND}/{name}");
    Ok(match outcome.retry {
        Retry::AtInterval => {
            ctx.backoff.forget(&key);
            Action::requeue(ctx.clock.real(ctx.settings.drift_interval))
        }
        Retry::Soon => Action::requeue(ctx.clock.real(ctx.backoff.failed(&key))),
    })
}

/// An account that does not parse gets a condition. Its deletion needs no more of it than how to get in.
async fn unreadable(
    ctx: &Context,
    api: &Api<AwsAccount>,
    guard: &DeserializeGuard<AwsAccount>,
    broken: &InvalidObject,
) -> Result<Action, Error> {
    let name = guard.name_any();
    if broken.metadata.deletion_timestamp.is_some() {
        let Some(whole) = invalid::whole(ctx, api, &name).await? else { return Ok(Action::await_change()) };
        if let Some(account) = salvage(broken, &whole) {
            return cleanup(ctx, api, &account).await;
        }
    }
    invalid::report(ctx, api, KIND, guard, broken, invalid::stalled).await
}

/// An account with what its deletion needs, if that can be read.
fn salvage(broken: &InvalidObject, whole: &Value) -> Option<AwsAccount> {
    const NEEDED: [&str; 5] = ["accountId", "region", "permissionsBoundaryArn", "assumeRole", "endpoint"];
    let mut spec = whole.get("spec")?.as_object()?.clone();
    spec.retain(|field, _| NEEDED.contains(&field.as_str()));
    let spec = serde_json::from_value(Value::Object(spec)).ok()?;
    let status = AwsAccountStatus {
        conditions: invalid::part(whole, "/status/conditions"),
        caller_arn: invalid::part(whole, "/status/callerArn"),
        ..AwsAccountStatus::default()
    };
    Some(AwsAccount { metadata: broken.metadata.clone(), spec, status: Some(status) })
}

#[derive(Clone, Copy)]
enum Retry {
    AtInterval,
    Soon,
}

struct Outcome {
    ready: bool,
    stalled: bool,
    reason: &'static str,
    message: String,
    retry: Retry,
}

impl Outcome {
    fn ready(message: String) -> Self {
        Self { ready: true, stalled: false, reason: "Verified", message, retry: Retry::AtInterval }
    }

    fn mismatch(account: &AwsAccount, found: &str, arn: &str) -> Self {
        let wanted = &account.spec.account_id;
        let what = if account.spec.assume_role.is_some() {
            "spec.assumeRole.roleArn"
        } else {
            "the controller's own credentials"
        };
        Self {
            ready: false,
            stalled: true,
            reason: "AccountMismatch",
            message: format!(
                "spec.accountId is {wanted}, but AWS answers that Windlass is {arn} in account {found}: correct spec.accountId or {what}; nothing is done in either account until they agree"
            ),
            retry: Retry::Soon,
        }
    }

    fn failed(account: &AwsAccount, error: &AwsError) -> Self {
        let (stalled, reason, hint) = match error.class {
            Class::Denied => (
                true,
                "AccessDenied",
                match &account.spec.assume_role {
                    Some(role) => format!(
                        "check that the trust policy of {} allows the controller's identity{}",
                        role.role_arn,
                        role.external_id.as_ref().map_or_else(String::new, |id| format!(" with external id {id}"))
                    ),
                    None => "check the controller's credentials".to_owned(),
                },
            ),
            Class::Invalid | Class::Conflict | Class::Gone => (true, "Refused", "correct the spec".to_owned()),
            Class::Transient | Class::Throttled => (false, "Unreachable", "it is tried again by itself".to_owned()),
        };
        Self { ready: false, stalled, reason, message: format!("{error}: {hint}"), retry: Retry::Soon }
    }

    fn record(&self, status: &mut AwsAccountStatus, generation: Option<i64>, now: Timestamp) {
        status.observed_generation = generation;
        let all = &mut status.conditions;
        let mut set = |type_, value, reason: &str, message: &str| {
            conditions::set(all, generation, now, Verdict::new(type_, Some(value), reason, message));
        };
        set(READY, self.ready, self.reason, &self.message);
        set(STALLED, self.stalled, self.reason, if self.stalled { &self.message } else { "" });
        set(RECONCILING, !self.ready && !self.stalled, self.reason, "");
    }

    async fn tell(&self, ctx: &Context, account: &AwsAccount) {
        let reference = account.object_ref(&());
        if self.ready {
            info!(account = %account.name_any(), detail = %self.message, "account verified");
            ctx.reporter.normal(&reference, "Verify", self.reason, &self.message).await;
        } else {
            warn!(account = %account.name_any(), reason = self.reason, detail = %self.message, "account not usable");
            ctx.reporter.warning(&reference, "Verify", self.reason, &self.message).await;
        }
    }
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

/// An account goes when no workflow has objects in it: without it nothing there could be taken away any more.
async fn cleanup(ctx: &Context, api: &Api<AwsAccount>, account: &AwsAccount) -> Result<Action, Error> {
    let name = account.name_any();
    // Before the watches have shown everything, nothing would seem to need the account.
    ctx.stores.ready().await;
    let mut users = users_of(&name, ctx.stores.workflows.state().iter().map(AsRef::as_ref));
    if users.is_empty() {
        // The watch may be behind, and the last hold goes once: the API server itself is asked.
        users = users_now(ctx, &name).await?;
    }
    if users.is_empty() {
        finalize::remove(ctx, api, account).await?;
        ctx.backoff.forget(&format!("{KIND}/{name}"));
        return Ok(Action::await_change());
    }
    let listed: Vec<&str> = users.iter().map(String::as_str).take(10).collect();
    let message = format!(
        "{} workflows still have objects in this account and are waited for: {}{}; delete them first",
        users.len(),
        listed.join(", "),
        if users.len() > listed.len() { ", …" } else { "" }
    );
    let before = account.status.as_ref();
    let mut after = before.cloned().unwrap_or_default();
    after.observed_generation = account.metadata.generation;
    let now = ctx.clock.now();
    conditions::set(
        &mut after.conditions,
        account.metadata.generation,
        now,
        Verdict::new(RECONCILING, Some(true), "InUse", message),
    );
    status::write(ctx, api, KIND, account, before, &after).await?;
    Ok(Action::requeue(ctx.clock.real(LOOK_AGAIN)))
}
