//! WindowsFleet: counts its nodes, now and then.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::{Api, Resource, ResourceExt};
use tracing::{info, warn};

use crate::api::conditions::{self, READY, RECONCILING, STALLED, Verdict};
use crate::api::fleet::UnreachableNode;
use crate::api::refs::AccountRef;
use crate::api::{WindowsFleet, WindowsFleetStatus};
use crate::aws::nodes::{self, Node};
use crate::aws::{AwsError, Class};
use crate::compile::grants::{self, Nodes};
use crate::compile::{self, Problem};
use crate::resolve::{self, Unavailable};

use super::backoff::jitter;
use super::context::Context;
use super::{CATCH_UP, Error, invalid, status};

/// Name of the kind.
pub const KIND: &str = "WindowsFleet";
/// Most nodes that a status names.
const NAMED: usize = 20;
/// Most nodes that a message names.
const IN_WORDS: usize = 5;

/// Brings one WindowsFleet up to date.
///
/// # Errors
/// [`Error`] when the API server does not do its part; what AWS says goes into conditions.
pub async fn reconcile(guard: Arc<DeserializeGuard<WindowsFleet>>, ctx: Arc<Context>) -> Result<Action, Error> {
    ctx.stores.ready().await;
    let api: Api<WindowsFleet> = status::namespaced(&ctx, guard.as_ref());
    let fleet = match &guard.0 {
        Ok(fleet) => fleet,
        Err(broken) => return invalid::report(&ctx, &api, KIND, guard.as_ref(), broken, invalid::stalled).await,
    };
    let key = format!("{KIND}/{}/{}", fleet.namespace().unwrap_or_default(), fleet.name_any());
    if fleet.metadata.deletion_timestamp.is_some() {
        // It owns nothing: there is nothing to wait for.
        ctx.backoff.forget(&key);
        ctx.freshness.forget(fleet);
        return Ok(Action::await_change());
    }
    if ctx.freshness.is_behind(fleet) {
        return Ok(Action::requeue(CATCH_UP));
    }
    let mut after = fleet.status.clone().unwrap_or_default();
    let outcome = look(&ctx, fleet, &mut after).await;
    outcome.record(&mut after, fleet.metadata.generation, ctx.clock.now());
    let before = ready(fleet.status.as_ref());
    let changed = status::write(&ctx, &api, KIND, fleet, fleet.status.as_ref(), &after).await?;
    if changed && before != ready(Some(&after)) {
        outcome.tell(&ctx, fleet).await;
    }
    if outcome.again {
        return Ok(Action::requeue(ctx.clock.real(ctx.backoff.failed(&key))));
    }
    ctx.backoff.forget(&key);
    // Spread, so that fleets which were made together are not listed together for ever.
    let interval = ctx.settings.fleet_interval.mul_f64(0.9 + 0.2 * jitter(&key, 1));
    Ok(Action::requeue(ctx.clock.real(interval)))
}

/// Status and reason of Ready: what people are told of.
fn ready(status: Option<&WindowsFleetStatus>) -> Option<(String, String)> {
    let ready = conditions::get(&status?.conditions, READY)?;
    Some((ready.status.clone(), ready.reason.clone()))
}

async fn look(ctx: &Context, fleet: &WindowsFleet, after: &mut WindowsFleetStatus) -> Outcome {
    let namespace = fleet.namespace().unwrap_or_default();
    let recorded = after.account_ref.as_ref();
    let account = match resolve::account_name(ctx, &namespace, recorded, fleet.spec.account_ref.as_ref()) {
        Ok(name) => resolve::account(ctx, &name).await,
        Err(unavailable) => Err(unavailable),
    };
    let (account, session) = match account {
        Ok(found) => found,
        Err(unavailable) => return Outcome::unavailable(&unavailable),
    };
    let name = account.name_any();
    let context = compile::Account { name: &name, spec: &account.spec, fleets: &compile::NO_FLEETS };
    let targets = fleet.spec.systems_manager.targets();
    let wanted = match grants::nodes(&context, &namespace, &targets, "spec.systemsManager") {
        Ok(wanted) => wanted,
        Err(problem) => return Outcome::problem(&problem),
    };
    let listed = match &wanted {
        Nodes::Tagged(tags) => nodes::list(&session, tags, None).await,
        Nodes::Ids { ids, tags } => nodes::list(&session, tags, Some(&ids.iter().cloned().collect())).await,
    };
    after.account_ref = Some(AccountRef { name });
    match listed {
        Ok(nodes) => {
            count(after, &nodes);
            Outcome::listed(&wanted, &nodes)
        }
        Err(error) => Outcome::failed(&error),
    }
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Puts what was found into a status.
fn count(status: &mut WindowsFleetStatus, nodes: &[Node]) {
    let windows = || nodes.iter().filter(|node| node.windows);
    let offline = || windows().filter(|node| !node.online());
    status.matched = Some(number(nodes.len()));
    status.online = Some(number(windows().filter(|node| node.online()).count()));
    status.offline = Some(number(offline().count()));
    status.not_windows = Some(number(nodes.len() - windows().count()));
    let named = offline().take(NAMED).map(|node| UnreachableNode {
        id: node.id.clone(),
        computer_name: node.computer_name.clone(),
        ping_status: node.ping.clone(),
        last_seen: node.last_seen.map(Time),
    });
    status.unreachable = named.collect();
}

struct Outcome {
    ready: bool,
    stalled: bool,
    reason: String,
    message: String,
    /// Whether to look again by the object's own backoff, and not at the interval.
    again: bool,
}

impl Outcome {
    fn stalled(reason: &str, message: String, again: bool) -> Self {
        Self { ready: false, stalled: true, reason: reason.to_owned(), message, again }
    }

    fn unavailable(why: &Unavailable) -> Self {
        let stalled = why.reason != "AccountNotReady";
        // The event of the account's change may come before the store of accounts has it.
        Self { ready: false, stalled, reason: why.reason.to_owned(), message: why.message.clone(), again: true }
    }

    fn problem(problem: &Problem) -> Self {
        Self::stalled("Invalid", problem.to_string(), true)
    }

    fn failed(error: &AwsError) -> Self {
        let passing = matches!(error.class, Class::Transient | Class::Throttled | Class::Gone | Class::Conflict);
        let message = format!("{error}; the counts are those of the last look that succeeded; it is tried again");
        Self { ready: false, stalled: !passing, reason: error.reason().to_owned(), message, again: true }
    }

    fn listed(wanted: &Nodes, nodes: &[Node]) -> Self {
        let windows: Vec<&Node> = nodes.iter().filter(|node| node.windows).collect();
        if windows.is_empty() {
            let others =
                if nodes.is_empty() { String::new() } else { format!(" ({} that are not Windows match)", nodes.len()) };
            let message = format!(
                "no managed Windows node has {}{others}: check the tags of the nodes, and that their SSM Agents are registered in this account and Region",
                wanted.describe()
            );
            return Self::stalled("NoNodes", message, false);
        }
        let known: BTreeSet<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
        let missing: Vec<String> = match wanted {
            Nodes::Ids { ids, .. } => ids.iter().filter(|id| !known.contains(id.as_str())).cloned().collect(),
            Nodes::Tagged(_) => Vec::new(),
        };
        let offline: Vec<String> = windows.iter().filter(|node| !node.online()).map(|node| label(node)).collect();
        let mut message = format!("{} of {} Windows nodes online", windows.len() - offline.len(), windows.len());
        if !offline.is_empty() {
            message = format!("{message}; offline: {}", some(&offline));
        }
        if !missing.is_empty() {
            let message = format!(
                "{message}; these ids are no managed nodes here, or do not carry the tags of the account's grant: {}",
                some(&missing)
            );
            return Self::stalled("NodesMissing", message, false);
        }
        Self { ready: true, stalled: false, reason: "Listed".to_owned(), message, again: false }
    }

    fn record(&self, status: &mut WindowsFleetStatus, generation: Option<i64>, now: Timestamp) {
        status.observed_generation = generation;
        let all = &mut status.conditions;
        let mut set = |type_, value, message: &str| {
            conditions::set(all, generation, now, Verdict::new(type_, Some(value), self.reason.as_str(), message));
        };
        set(READY, self.ready, &self.message);
        set(STALLED, self.stalled, if self.stalled { &self.message } else { "" });
        set(RECONCILING, !self.ready && !self.stalled, "");
    }

    async fn tell(&self, ctx: &Context, fleet: &WindowsFleet) {
        let reference = fleet.object_ref(&());
        let (namespace, name) = (fleet.namespace().unwrap_or_default(), fleet.name_any());
        if self.ready {
            info!(%namespace, %name, detail = %self.message, "fleet listed");
            ctx.reporter.normal(&reference, "List", &self.reason, &self.message).await;
        } else {
            warn!(%namespace, %name, reason = %self.reason, detail = %self.message, "fleet not well");
            ctx.reporter.warning(&reference, "List", &self.reason, &self.message).await;
        }
    }
}

fn label(node: &Node) -> String {
    node.computer_name.as_ref().map_or_else(|| node.id.clone(), |name| format!("{name} ({})", node.id))
}

fn some(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(IN_WORDS).map(String::as_str).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
