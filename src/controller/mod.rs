//! The controller: one reconciler per kind, and what they share.
//!
//! A reconciler is short: resolve → compile → engine → status. There is no AWS call and no policy text here.

pub mod account;
mod account_deletion;
mod account_inbox;
pub mod backoff;
pub mod context;
pub mod drift;
mod elsewhere;
pub mod finalize;
pub mod fleet;
pub mod freshness;
pub mod inbox;
pub mod invalid;
pub mod lease;
pub mod report;
pub mod run;
mod run_follow;
mod run_start;
mod run_stop;
mod run_targets;
mod run_unreadable;
pub mod schedule;
pub mod status;
pub mod tokens;
pub mod workflow;
pub mod workflow_deletion;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt, TryStreamExt, future};
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Predicate, WatchStreamExt, predicates, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tracing::{debug, error};

use crate::api::conditions;
use crate::api::{AwsAccount, WindowsFleet, WindowsWorkflow, WorkflowRun, WorkflowSchedule};

use context::{Context, Stores};
use inbox::Wakes;

/// How long a reconciliation waits for the watch to show this process's own last write.
pub const CATCH_UP: Duration = Duration::from_millis(20);

/// Why a reconciliation ended without having written what it found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused or did not answer.
    #[error("the API server: {0}")]
    Kube(#[from] kube::Error),
    /// A status could not be written.
    #[error(transparent)]
    Status(#[from] status::StatusError),
}

impl Error {
    /// CamelCase reason, for metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Kube(_) => "ApiServer",
            Self::Status(_) => "StatusNotWritten",
        }
    }

    /// Whether the object went away or changed under the reconciliation: the next event settles it, nobody need be told.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        match self {
            Self::Kube(kube::Error::Api(status)) => status.code == 404 || status.code == 409,
            Self::Kube(_) => false,
            Self::Status(error) => error.is_gone(),
        }
    }
}

/// The ends of the stores that the watches write to.
pub struct Writers {
    accounts: Writer<DeserializeGuard<AwsAccount>>,
    fleets: Writer<DeserializeGuard<WindowsFleet>>,
    workflows: Writer<DeserializeGuard<WindowsWorkflow>>,
    runs: Writer<DeserializeGuard<WorkflowRun>>,
    schedules: Writer<DeserializeGuard<WorkflowSchedule>>,
    shown: watch::Sender<BTreeSet<&'static str>>,
}

/// Empty stores, and what fills them once [`run`] does.
#[must_use]
pub fn stores() -> (Stores, Writers) {
    let (accounts, accounts_writer) = reflector::store();
    let (fleets, fleets_writer) = reflector::store();
    let (workflows, workflows_writer) = reflector::store();
    let (runs, runs_writer) = reflector::store();
    let (schedules, schedules_writer) = reflector::store();
    let (shown_sender, shown) = watch::channel(BTreeSet::new());
    (
        Stores { accounts, fleets, workflows, runs, schedules, shown },
        Writers {
            accounts: accounts_writer,
            fleets: fleets_writer,
            workflows: workflows_writer,
            runs: runs_writer,
            schedules: schedules_writer,
            shown: shown_sender,
        },
    )
}

/// Runs all reconcilers until `stop` ends; what is under way then is finished first. `wakes`: what the inboxes have to say.
pub async fn run(ctx: Arc<Context>, writers: Writers, wakes: Wakes, stop: impl Future<Output = ()> + Send + 'static) {
    let stop = stop.shared();
    let sender = Arc::new(writers.shown);
    let shown = |kind: &'static str| {
        let sender = sender.clone();
        move || {
            sender.send_if_modified(|shown| shown.insert(kind));
        }
    };
    let accounts = {
        let controller =
            primary(&ctx, writers.accounts, shown(account::KIND), ctx.stores.accounts.clone(), stop.clone())
                .reconcile_on(wakes.accounts)
                .watches(
                    all::<WindowsWorkflow>(&ctx.client),
                    watcher::Config::default(),
                    // A workflow that goes may be what the deletion of its account waits for. Whether it is still there is not asked here: that store is filled by another watch.
                    |workflow: DeserializeGuard<WindowsWorkflow>| {
                        let deleted = workflow.meta().deletion_timestamp.is_some();
                        let account =
                            workflow.0.ok().and_then(|w| w.status).and_then(|s| s.account_ref).filter(|_| deleted);
                        account.map(|account| ObjectRef::new(&account.name))
                    },
                );
        drive(controller, "AwsAccount", account::reconcile, ctx.clone())
    };
    let fleets = {
        let store = ctx.stores.fleets.clone();
        let controller = primary(&ctx, writers.fleets, shown(fleet::KIND), store.clone(), stop.clone()).watches(
            all::<AwsAccount>(&ctx.client),
            watcher::Config::default(),
            move |account| {
                let name = account.name_any();
                concerned(&store, |fleet| {
                    let status = fleet.status.as_ref().and_then(|status| status.account_ref.as_ref());
                    status.or(fleet.spec.account_ref.as_ref()).is_none_or(|account| account.name == name)
                })
            },
        );
        drive(controller, "WindowsFleet", fleet::reconcile, ctx.clone())
    };
    let workflows = {
        let store = ctx.stores.workflows.clone();
        let of_fleets = store.clone();
        let controller = primary(&ctx, writers.workflows, shown(workflow::KIND), store.clone(), stop.clone())
            .watches(all::<AwsAccount>(&ctx.client), watcher::Config::default(), move |account| {
                let name = account.name_any();
                concerned(&store, |workflow| {
                    let status = workflow.status.as_ref().and_then(|status| status.account_ref.as_ref());
                    // One that has no account yet may find its grant in any of them.
                    status.or(workflow.spec.account_ref.as_ref()).is_none_or(|account| account.name == name)
                })
            })
            .watches(all::<WindowsFleet>(&ctx.client), watcher::Config::default(), move |fleet| {
                let (namespace, name, generation) = (fleet.namespace(), fleet.name_any(), fleet.meta().generation);
                concerned(&of_fleets, |workflow| {
                    let status = workflow.status.as_ref();
                    let seen = status.and_then(|status| status.fleets.iter().find(|seen| seen.name == name));
                    let wanted =
                        seen.is_some_and(|seen| Some(seen.generation) != generation || seen.uid != fleet.uid());
                    // One that does not compile may be waiting for just this fleet.
                    let ready = status.and_then(|status| conditions::get(&status.conditions, conditions::READY));
                    workflow.namespace() == namespace
                        && (wanted || ready.is_some_and(|ready| ready.reason == "Invalid"))
                })
            })
            .watches(all::<WorkflowRun>(&ctx.client), watcher::Config::default(), |run| {
                // An ended run may be what a deletion or a policy of an older version waits for.
                let run = run.0.ok().filter(|run| run.status.as_ref().is_some_and(|status| status.phase.is_final()));
                run.map(|run| ObjectRef::new(&run.spec.workflow_ref.name).within(&run.namespace().unwrap_or_default()))
            });
        drive(controller, "WindowsWorkflow", workflow::reconcile, ctx.clone())
    };
    let runs = {
        let by_workflow = ctx.stores.runs.clone();
        let controller = primary(&ctx, writers.runs, shown(run::KIND), by_workflow.clone(), stop.clone())
            .reconcile_on(wakes.runs)
            .watches(all::<WindowsWorkflow>(&ctx.client), watcher::Config::default(), move |workflow| {
                let (namespace, name) = (workflow.namespace(), workflow.name_any());
                concerned(&by_workflow, |run| {
                    let pending = run
                        .status
                        .as_ref()
                        .is_none_or(|status| status.started_at.is_none() && !status.phase.is_final());
                    pending && run.namespace() == namespace && run.spec.workflow_ref.name == name
                })
            });
        drive(controller, "WorkflowRun", run::reconcile, ctx.clone())
    };
    let schedules = {
        let by_workflow = ctx.stores.schedules.clone();
        let controller = primary(&ctx, writers.schedules, shown(schedule::KIND), by_workflow.clone(), stop.clone())
            .watches(all::<WorkflowRun>(&ctx.client), watcher::Config::default(), |run| schedule::made_by(&run))
            .watches(all::<WindowsWorkflow>(&ctx.client), watcher::Config::default(), move |workflow| {
                let (namespace, name) = (workflow.namespace(), workflow.name_any());
                concerned(&by_workflow, |schedule| {
                    schedule.namespace() == namespace && schedule.spec.workflow_ref.name == name
                })
            });
        drive(controller, "WorkflowSchedule", schedule::reconcile, ctx.clone())
    };
    future::join5(accounts, fleets, workflows, runs, schedules).await;
    // What they were told of is not acted upon any more: whoever leads next receives it.
    ctx.inboxes.close();
}

fn all<K: Resource<DynamicType = ()>>(client: &Client) -> Api<DeserializeGuard<K>> {
    Api::all(client.clone())
}

/// A controller whose own objects trigger it when somebody else changes them: its status writes do not.
fn primary<K>(
    ctx: &Context,
    writer: Writer<DeserializeGuard<K>>,
    shown: impl Fn() + Send + Sync + 'static,
    store: Store<DeserializeGuard<K>>,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) -> Controller<DeserializeGuard<K>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let changes = watcher(all::<K>(&ctx.client), watcher::Config::default())
        .default_backoff()
        .modify(|object| object.managed_fields_mut().clear())
        .reflect(writer)
        .inspect_ok(move |event| {
            if matches!(event, watcher::Event::InitDone) {
                shown();
            }
        })
        .applied_objects()
        .predicate_filter(
            predicates::generation.combine(predicates::annotations).combine(predicates::finalizers).combine(deletion),
            kube::runtime::PredicateConfig::default(),
        );
    Controller::for_stream(changes, store)
        .with_config(Config::default().concurrency(ctx.settings.concurrency))
        .graceful_shutdown_on(stop)
}

#[allow(clippy::unnecessary_wraps)] // the shape that predicates have
fn deletion<K: Resource>(object: &K) -> Option<u64> {
    Some(u64::from(object.meta().deletion_timestamp.is_some()))
}

fn concerned<K>(store: &Store<DeserializeGuard<K>>, wanted: impl Fn(&K) -> bool) -> Vec<ObjectRef<DeserializeGuard<K>>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    store
        .state()
        .iter()
        .filter(|guard| guard.0.as_ref().is_ok_and(&wanted))
        .map(|guard| ObjectRef::from_obj(guard.as_ref()))
        .collect()
}

/// Drives a controller and counts and logs how its reconciliations end.
async fn drive<K, R, F>(
    controller: Controller<DeserializeGuard<K>>,
    kind: &'static str,
    reconcile: R,
    ctx: Arc<Context>,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    R: FnMut(Arc<DeserializeGuard<K>>, Arc<Context>) -> F,
    F: Future<Output = Result<Action, Error>> + Send + 'static,
{
    let policy = move |object: Arc<DeserializeGuard<K>>, error: &Error, ctx: Arc<Context>| {
        let key = format!("{kind}/{}/{}", object.namespace().unwrap_or_default(), object.name_any());
        let delay = ctx.backoff.failed(&key);
        if error.is_stale() {
            debug!(object = %key, %error, "the object changed meanwhile");
        } else {
            error!(object = %key, error = error as &dyn std::error::Error, "reconciliation failed");
        }
        ctx.metrics.reconciled(kind, if error.is_stale() { "Stale" } else { error.reason() });
        Action::requeue(delay)
    };
    let metrics = ctx.metrics.clone();
    controller
        .run(reconcile, policy, ctx)
        .for_each(move |result| {
            if result.is_ok() {
                metrics.reconciled(kind, "ok");
            }
            future::ready(())
        })
        .await;
}
