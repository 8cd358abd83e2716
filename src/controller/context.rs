//! What every reconciler has at hand.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::Client;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::Store;
use tokio::sync::watch;

use crate::api::names::{ClusterId, Owner};
use crate::api::{AwsAccount, WindowsFleet, WindowsWorkflow, WorkflowRun, WorkflowSchedule};
use crate::aws::Sessions;
use crate::clock::Clock;
use crate::runs::pace::Paces;
use crate::telemetry::Metrics;

use super::backoff::Backoff;
use super::drift::Drift;
use super::freshness::Freshness;
use super::inbox::Inboxes;
use super::report::Reporter;

/// The field manager of everything that the controller writes.
pub const FIELD_MANAGER: &str = "windlass";
/// How many kinds are watched.
const KINDS: usize = 5;

/// Objects as the watches see them. A manifest that does not parse is there with its metadata and the parser's message, so
/// that it gets a condition and the others go on.
#[derive(Clone)]
pub struct Stores {
    /// All AwsAccounts.
    pub accounts: Store<DeserializeGuard<AwsAccount>>,
    /// All WindowsFleets.
    pub fleets: Store<DeserializeGuard<WindowsFleet>>,
    /// All WindowsWorkflows.
    pub workflows: Store<DeserializeGuard<WindowsWorkflow>>,
    /// All WorkflowRuns.
    pub runs: Store<DeserializeGuard<WorkflowRun>>,
    /// All WorkflowSchedules.
    pub schedules: Store<DeserializeGuard<WorkflowSchedule>>,
    /// The kinds whose watch has shown everything once.
    pub shown: watch::Receiver<BTreeSet<&'static str>>,
}

/// Settings of the controller. Times are on Windlass's clock.
#[derive(Clone, Debug)]
pub struct Settings {
    /// First interval at which a run's execution is looked at; it grows to eight times this while nothing changes.
    pub poll_interval: Duration,
    /// How often an execution is looked at at the latest while status events of its account arrive.
    pub repair_interval: Duration,
    /// How often each object in AWS is compared with its manifest.
    pub drift_interval: Duration,
    /// How often the nodes of each fleet are counted.
    pub fleet_interval: Duration,
    /// Reconciliations at once, per kind.
    pub concurrency: u16,
}

/// What every reconciler has at hand.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// The namespace that the controller runs in.
    pub namespace: String,
    /// This cluster's name in AWS.
    pub cluster_id: ClusterId,
    /// The clock.
    pub clock: Clock,
    /// Sessions with AWS, by account.
    pub sessions: Sessions,
    /// Events.
    pub reporter: Reporter,
    /// Metrics.
    pub metrics: Metrics,
    /// Settings.
    pub settings: Settings,
    /// What the watches see.
    pub stores: Stores,
    /// How long each failing object waits for its next try.
    pub backoff: Backoff,
    /// What this process wrote and its watches have not shown yet.
    pub freshness: Freshness,
    /// When each object is next compared with what is in AWS.
    pub drift: Drift,
    /// How often each running execution is looked at.
    pub paces: Paces,
    /// The accounts' inboxes.
    pub inboxes: Inboxes,
}

impl Stores {
    /// Waits until every watch has shown everything once: before that, what is missing from a store may exist all the same.
    pub async fn ready(&self) {
        // Not `Store::wait_until_ready`: it wakes the last one that waits and no other (kube-runtime 5.0, `DelayedInit`), and each controller
        // waits there too. The sender lives as long as the controllers, so this cannot fail before the end of everything.
        let _ = self.shown.clone().wait_for(|shown| shown.len() == KINDS).await;
    }
}

impl Context {
    /// A Kubernetes object as AWS names and tags know it.
    #[must_use]
    pub fn owner(&self, kind: &str, namespace: &str, name: &str) -> Owner {
        Owner {
            cluster_id: self.cluster_id.clone(),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}
