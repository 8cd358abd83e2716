//! AwsAccount: says who Windlass is there, keeps its inbox, and holds the object while workflows need it.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;
use kube::{Api, Resource, ResourceExt};
use serde_json::Value;
use tracing::{info, warn};

use crate::api::conditions::{self, INBOX_READY, READY, RECONCILING, STALLED, Verdict};
use crate::api::{AwsAccount, AwsAccountStatus};
use crate::aws::{AwsError, Class};
use crate::resolve;

use super::account_inbox::{self, Inbox};
use super::context::Context;
use super::{CATCH_UP, Error, account_deletion, finalize, invalid, status};

/// Name of the kind.
pub const KIND: &str = "AwsAccount";

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
        return account_deletion::cleanup(&ctx, &api, account).await;
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
    let inbox = if outcome.ready {
        account_inbox::sync(&ctx, &api, account, &session, &mut after).await
    } else {
        ctx.inboxes.stop(&name);
        Inbox::without_account()
    };
    let (generation, now) = (account.metadata.generation, ctx.clock.now());
    outcome.record(&mut after, generation, now);
    inbox.record(&mut after, generation, now);
    let news = |type_| condition(before, type_) != condition(Some(&after), type_);
    if status::write(&ctx, &api, KIND, account, before, &after).await? {
        if news(READY) {
            outcome.tell(&ctx, account).await;
        }
        if news(INBOX_READY) {
            inbox.tell(&ctx, account).await;
        }
    }
    let key = format!("{KIND}/{name}");
    Ok(match outcome.retry {
        Retry::AtInterval => account_inbox::next(&ctx, &key, &inbox),
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
            return account_deletion::cleanup(ctx, api, &account).await;
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
        owned_objects: invalid::part(whole, "/status/ownedObjects"),
        ..AwsAccountStatus::default()
    };
    Some(AwsAccount { metadata: broken.metadata.clone(), spec, status: Some(status) })
}

/// A condition as far as people are told of its changes.
fn condition(status: Option<&AwsAccountStatus>, type_: &str) -> Option<(String, String, String)> {
    let found = conditions::get(&status?.conditions, type_)?;
    Some((found.status.clone(), found.reason.clone(), found.message.clone()))
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
