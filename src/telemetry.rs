//! Logs and metrics.
//!
//! Logs go to standard error, as JSON lines or as text. Metrics are in Prometheus' text format under `/metrics`.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;

use crate::aws::CallObserver;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// Text for people.
    Text,
}

/// What never logs below `info`, whatever was asked for.
const QUIET: [&str; 4] = ["aws_smithy_runtime", "aws_smithy_runtime_api", "aws_sdk_sfn", "aws_sdk_sqs"];

/// Starts logging. `level` is a filter as in `info` or `windlass=debug,kube=info`.
///
/// # Errors
/// When the filter does not parse or logging was started already.
pub fn init_logging(format: LogFormat, level: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // Below info the SDK writes whole requests, and task tokens would be in them.
    let filter = QUIET.iter().try_fold(EnvFilter::try_new(level)?, |filter, target| {
        format!("{target}=info").parse().map(|directive| filter.add_directive(directive))
    })?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
        LogFormat::Text => logs.try_init(),
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CallLabels {
    account: String,
    service: &'static str,
    operation: &'static str,
    outcome: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OperationLabels {
    account: String,
    service: &'static str,
    operation: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReconcileLabels {
    kind: &'static str,
    outcome: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RunLabels {
    phase: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct MessageLabels {
    account: String,
    kind: &'static str,
    outcome: &'static str,
}

type Seconds = fn() -> Histogram;

/// All metrics of the process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    calls: Family<CallLabels, Counter>,
    call_seconds: Family<OperationLabels, Histogram, Seconds>,
    quota_wait_seconds: Family<OperationLabels, Counter<f64, AtomicU64>>,
    reconciles: Family<ReconcileLabels, Counter>,
    runs_finished: Family<RunLabels, Counter>,
    status_writes: Family<ReconcileLabels, Counter>,
    messages: Family<MessageLabels, Counter>,
    end_seconds: Histogram,
    leader: Gauge,
}

fn call_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.005, 2.0, 12))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("windlass");
        let calls = Family::<CallLabels, Counter>::default();
        let call_seconds = Family::<OperationLabels, Histogram, Seconds>::new_with_constructor(call_histogram);
        let quota_wait_seconds = Family::<OperationLabels, Counter<f64, AtomicU64>>::default();
        let reconciles = Family::<ReconcileLabels, Counter>::default();
        let runs_finished = Family::<RunLabels, Counter>::default();
        let status_writes = Family::<ReconcileLabels, Counter>::default();
        let messages = Family::<MessageLabels, Counter>::default();
        let end_seconds = Histogram::new(exponential_buckets(0.25, 2.0, 12));
        let leader = Gauge::default();
        let build = Family::<BuildLabels, Gauge>::default();
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        registry.register("aws_calls", "Calls to AWS by account, service, operation and outcome", calls.clone());
        registry.register("aws_call_duration_seconds", "Duration of calls to AWS", call_seconds.clone());
        registry.register(
            "aws_quota_wait_seconds",
            "Time that calls waited for their API's token bucket",
            quota_wait_seconds.clone(),
        );
        registry.register("reconciles", "Reconciliations by kind and outcome", reconciles.clone());
        registry.register("runs_finished", "Runs that ended, by phase", runs_finished.clone());
        registry.register("status_writes", "Writes of a status subresource by kind and outcome", status_writes.clone());
        registry.register("inbox_messages", "Messages of inboxes by account, kind and outcome", messages.clone());
        registry.register(
            "run_end_delay_seconds",
            "Time from the event that told of an execution's end to the run's status",
            end_seconds.clone(),
        );
        registry.register("leader", "1 while this process holds the lease", leader.clone());
        registry.register("build_info", "Version of this build", build);
        Self {
            registry: Arc::new(registry),
            calls,
            call_seconds,
            quota_wait_seconds,
            reconciles,
            runs_finished,
            status_writes,
            messages,
            end_seconds,
            leader,
        }
    }
}

impl Metrics {
    /// A reconciliation of a kind ended: `ok`, or the reason of its error.
    pub fn reconciled(&self, kind: &'static str, outcome: &str) {
        self.reconciles.get_or_create(&ReconcileLabels { kind, outcome: outcome.to_owned() }).inc();
    }

    /// A run ended in a phase.
    pub fn run_finished(&self, phase: &str) {
        self.runs_finished.get_or_create(&RunLabels { phase: phase.to_owned() }).inc();
    }

    /// A status was written, or not: `ok`, `error`.
    pub fn status_written(&self, kind: &'static str, outcome: &str) {
        self.status_writes.get_or_create(&ReconcileLabels { kind, outcome: outcome.to_owned() }).inc();
    }

    /// A message of an account's inbox was acted upon.
    pub fn message(&self, account: &str, kind: &'static str, outcome: &'static str) {
        self.messages.get_or_create(&MessageLabels { account: account.to_owned(), kind, outcome }).inc();
    }

    /// The end of a run is in its status, so long after the event that told of it. Events tell whole seconds.
    pub fn end_written(&self, delay: jiff::SignedDuration) {
        self.end_seconds.observe(delay.as_secs_f64().max(0.0));
    }

    /// Whether this process holds the lease.
    pub fn set_leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Everything, in Prometheus' text format.
    ///
    /// # Errors
    /// When formatting fails, which writing to a string does not.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl CallObserver for Metrics {
    fn called(&self, account: &str, service: &'static str, operation: &'static str, outcome: &str, seconds: f64) {
        let account = account.to_owned();
        self.calls
            .get_or_create(&CallLabels { account: account.clone(), service, operation, outcome: outcome.to_owned() })
            .inc();
        self.call_seconds.get_or_create(&OperationLabels { account, service, operation }).observe(seconds);
    }

    fn waited(&self, account: &str, service: &'static str, operation: &'static str, seconds: f64) {
        self.quota_wait_seconds
            .get_or_create(&OperationLabels { account: account.to_owned(), service, operation })
            .inc_by(seconds);
    }
}
