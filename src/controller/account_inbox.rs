//! An account's inbox: queue and rule kept as declared, the queue listened to, and how that goes said in the condition `InboxReady`.
//!
//! An account without a working inbox is Ready all the same: runs are followed by polling.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::{Api, Resource, ResourceExt};
use tracing::{info, warn};

use crate::api::conditions::{self, INBOX_READY, Verdict};
use crate::api::owned::OwnedObject;
use crate::api::{AwsAccount, AwsAccountStatus};
use crate::aws::engine::{self, Depth, Ledger, LedgerError};
use crate::aws::{AwsError, Class, Session};
use crate::compile;
use crate::inbox::listen::Health;

use super::account::KIND;
use super::context::Context;
use super::{status, tokens};

/// How it went.
pub(super) struct Inbox {
    ready: Option<bool>,
    reason: String,
    message: String,
    /// What was changed in AWS, in words.
    changes: Vec<String>,
    /// Whether to try again soon.
    failed: bool,
}

impl Inbox {
    fn new(ready: Option<bool>, reason: &str, message: String) -> Self {
        Self { ready, reason: reason.to_owned(), message, changes: Vec::new(), failed: false }
    }

    fn failed(ctx: &Context, reason: &str, error: &str) -> Self {
        let message = format!("{error}; {}", without(ctx));
        Self { failed: true, ..Self::new(Some(false), reason, message) }
    }

    /// Nothing is known of it, for want of an account.
    pub(super) fn without_account() -> Self {
        Self::new(Some(false), "AccountNotReady", "the account is not Ready".to_owned())
    }

    /// Tells people of it.
    pub(super) async fn tell(&self, ctx: &Context, account: &AwsAccount) {
        let (reference, name) = (account.object_ref(&()), account.name_any());
        if self.failed && self.ready != Some(true) {
            warn!(account = %name, reason = %self.reason, detail = %self.message, "no working inbox");
            ctx.reporter.warning(&reference, "Listen", &self.reason, &self.message).await;
            return;
        }
        info!(account = %name, reason = %self.reason, detail = %self.message, changes = ?self.changes, "inbox");
        let note = if self.changes.is_empty() { self.message.clone() } else { self.changes.join("; ") };
        ctx.reporter.normal(&reference, "Listen", &self.reason, &note).await;
    }

    /// Writes it down.
    pub(super) fn record(&self, status: &mut AwsAccountStatus, generation: Option<i64>, now: Timestamp) {
        let verdict = Verdict::new(INBOX_READY, self.ready, self.reason.clone(), self.message.clone());
        conditions::set(&mut status.conditions, generation, now, verdict);
    }
}

/// What is done without an inbox.
fn without(ctx: &Context) -> String {
    format!(
        "runs are followed by polling, every {} s at first and ever more seldom, and no step can wait for an answer",
        ctx.settings.poll_interval.as_secs()
    )
}

/// Brings queue and rule to what is declared and listens to the queue. `after.owned_objects` says what is owned then.
pub(super) async fn sync(
    ctx: &Arc<Context>,
    api: &Api<AwsAccount>,
    account: &AwsAccount,
    session: &Arc<Session>,
    after: &mut AwsAccountStatus,
) -> Inbox {
    let name = account.name_any();
    let owner = ctx.owner(KIND, "", &name);
    let receivers = compile::receivers(&account.spec, after.caller_arn.as_deref());
    let blueprint = compile::account(&owner, &account.spec, &receivers);
    if blueprint.objects.is_empty() {
        ctx.inboxes.stop(&name);
        return match engine::delete(session, &owner.tags(), &after.owned_objects).await {
            Ok(deleted) => {
                after.owned_objects.clear();
                let message = format!("spec.inbox.mode is Disabled: {}", without(ctx));
                let changes = deleted.changes.iter().map(ToString::to_string).collect();
                Inbox { changes, ..Inbox::new(Some(false), "Disabled", message) }
            }
            Err(error) => Inbox::failed(ctx, error.reason(), &error.to_string()),
        };
    }
    let (key, now) = (format!("{KIND}/{name}"), ctx.clock.now());
    // A queue that cannot be received from may be gone, or have another policy: look.
    let broken = ctx.inboxes.is_failing(&name);
    let full = broken || ctx.drift.is_due(&key, now, ctx.settings.drift_interval);
    let request = engine::Request {
        blueprint: &blueprint,
        owned: &after.owned_objects.clone(),
        depth: if full { Depth::Full } else { Depth::Recorded },
        prune_policies: false,
    };
    let mut ledger = StatusLedger { ctx, api, account, status: after.clone() };
    let synced = match engine::sync(session, request, &mut ledger).await {
        Ok(synced) => synced,
        Err(error) => {
            let (reason, class, text) = (error.reason(), error.class(), error.to_string());
            after.owned_objects = error.owned;
            if ctx.inboxes.receives(&name) && matches!(class, None | Some(Class::Transient | Class::Throttled)) {
                // It could not be compared just now, and works.
                return Inbox { failed: true, ..listen(ctx, &name, session, &after.owned_objects) };
            }
            // Without its rule the queue would stay silent, and silence must not be taken for calm.
            ctx.inboxes.stop(&name);
            return Inbox::failed(ctx, reason, &text);
        }
    };
    if full {
        ctx.drift.compared(&key, now, ctx.settings.drift_interval);
        if let Err(error) = tokens::sweep(ctx).await {
            warn!(error = &error as &dyn std::error::Error, "tokens of runs that have ended could not be deleted");
        }
    }
    after.owned_objects = synced.owned;
    let changes = synced.changes.iter().map(ToString::to_string).collect();
    Inbox { changes, ..listen(ctx, &name, session, &after.owned_objects) }
}

fn listen(ctx: &Arc<Context>, account: &str, session: &Arc<Session>, owned: &[OwnedObject]) -> Inbox {
    let queue = owned.iter().find(|object| object.type_ == "AWS::SQS::Queue");
    let Some((queue, url)) = queue.and_then(|queue| Some((queue, queue.attributes.get("url")?))) else {
        return Inbox::failed(
            ctx,
            "Defect",
            "the queue's URL is not recorded: this is a defect of Windlass, please report it",
        );
    };
    match ctx.inboxes.listen(ctx, account, session, url) {
        Health::Starting => Inbox::new(None, "Starting", format!("waits for the first answer of queue {}", queue.name)),
        Health::Receiving => Inbox::new(
            Some(true),
            "Receiving",
            format!(
                "status events arrive through queue {}; without one, a run is looked at every {} s at the latest",
                queue.name,
                ctx.settings.repair_interval.as_secs()
            ),
        ),
        Health::Failing(error) => Inbox::failed(ctx, reason(&error), &error.to_string()),
    }
}

fn reason(error: &AwsError) -> &'static str {
    // A queue that is gone is made again, but not at once: SQS keeps a deleted name for 60 seconds.
    if error.class == Class::Gone { "QueueGone" } else { error.reason() }
}

/// Takes everything that an account owns away. Errors: in words, what stands in the way.
pub(super) async fn delete(ctx: &Context, session: &Session, account: &AwsAccount) -> Result<String, String> {
    let name = account.name_any();
    ctx.inboxes.stop(&name);
    let owned = account.status.as_ref().map(|status| status.owned_objects.as_slice()).unwrap_or_default();
    // A session that is in another account now would find nothing there, or another's.
    match session.caller_identity().await {
        Ok(identity) if identity.account == account.spec.account_id => {}
        Ok(identity) => return Err(format!("AWS answers that Windlass is in account {}", identity.account)),
        Err(error) => return Err(error.to_string()),
    }
    let tags = ctx.owner(KIND, "", &name).tags();
    engine::delete(session, &tags, owned).await.map(|deleted| deleted.to_string()).map_err(|error| error.to_string())
}

/// When to look again.
pub(super) fn next(ctx: &Context, key: &str, inbox: &Inbox) -> Action {
    if inbox.failed {
        return Action::requeue(ctx.clock.real(ctx.backoff.failed(key)));
    }
    ctx.backoff.forget(key);
    let due = ctx.drift.due_at(key).map_or(ctx.settings.drift_interval, |due| ctx.clock.until(due));
    Action::requeue(due.min(ctx.clock.real(ctx.settings.drift_interval)).max(super::CATCH_UP))
}

/// Writes the names of what is about to be made into the status, before it is made.
struct StatusLedger<'a> {
    ctx: &'a Context,
    api: &'a Api<AwsAccount>,
    account: &'a AwsAccount,
    status: AwsAccountStatus,
}

impl Ledger for StatusLedger<'_> {
    async fn write(&mut self, owned: &[OwnedObject]) -> Result<(), LedgerError> {
        owned.clone_into(&mut self.status.owned_objects);
        let before = self.account.status.as_ref();
        status::write(self.ctx, self.api, KIND, self.account, before, &self.status)
            .await
            .map(drop)
            .map_err(LedgerError::from)
    }
}
