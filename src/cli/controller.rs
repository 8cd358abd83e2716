//! `windlass controller`: runs the controller until it is told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use kube::Client;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};

use crate::api::duration::Span;
use crate::api::names::ClusterId;
use crate::aws::Sessions;
use crate::clock::Clock;
use crate::controller::backoff::Backoff;
use crate::controller::context::{Context, Settings};
use crate::controller::lease::Election;
use crate::controller::report::Reporter;
use crate::controller::{self};
use crate::server::{self, Readiness};
use crate::telemetry::{self, LogFormat, Metrics};

use super::output::{Failure, Outcome};

/// Name of the Lease that the leader holds.
const LEASE: &str = "windlass";

/// Runs the controller.
#[derive(Debug, Args)]
pub struct Controller {
    /// This cluster's name in AWS: part of every name and tag there. Keep it when the cluster is rebuilt.
    #[arg(long, env = "WINDLASS_CLUSTER_ID")]
    cluster_id: ClusterId,
    /// Address for /healthz, /readyz and /metrics.
    #[arg(long, env = "WINDLASS_LISTEN", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// Namespace of the Lease: the one that the controller runs in.
    #[arg(long, env = "WINDLASS_LEASE_NAMESPACE")]
    lease_namespace: Option<String>,
    /// How long a lease that is not renewed still holds.
    #[arg(long, env = "WINDLASS_LEASE_DURATION", default_value = "15s")]
    lease_duration: Span,
    /// First interval at which a run's execution is looked at; it grows to eight times this while nothing changes.
    #[arg(long, env = "WINDLASS_POLL_INTERVAL", default_value = "2s")]
    poll_interval: Span,
    /// How often an execution is looked at at the latest while status events of its account arrive.
    #[arg(long, env = "WINDLASS_REPAIR_INTERVAL", default_value = "2m")]
    repair_interval: Span,
    /// How often each object in AWS is compared with its manifest.
    #[arg(long, env = "WINDLASS_DRIFT_INTERVAL", default_value = "10m")]
    drift_interval: Span,
    /// How often the nodes of each fleet are counted.
    #[arg(long, env = "WINDLASS_FLEET_INTERVAL", default_value = "5m")]
    fleet_interval: Span,
    /// Reconciliations at once, per kind.
    #[arg(long, env = "WINDLASS_CONCURRENCY", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
    /// How log lines look.
    #[arg(long, env = "WINDLASS_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    log_format: LogFormat,
    /// What is logged: a level, or a filter as in windlass=debug,kube=info.
    #[arg(long, env = "WINDLASS_LOG_LEVEL", default_value = "info")]
    log_level: String,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

impl Controller {
    /// Runs until SIGTERM or SIGINT. What is under way then is finished, and the lease is given up.
    ///
    /// # Errors
    /// When it cannot start, or loses the lease: the process must end then, since another may lead.
    pub fn run(self) -> Result<Outcome, Failure> {
        self.start().map(|()| Outcome::Good).map_err(|error| Failure::Usage(error.to_string()))
    }

    fn start(self) -> Result<(), Error> {
        telemetry::init_logging(self.log_format, &self.log_level)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(self.serve()).inspect_err(|failure| error!(error = %failure, "windlass ends"))
    }

    async fn serve(self) -> Result<(), Error> {
        let clock = Clock::from_env()?;
        let metrics = Metrics::default();
        let readiness = Readiness::default();
        let (address, http) = server::bind(self.listen, metrics.clone(), readiness.clone()).await?;
        info!(version = env!("CARGO_PKG_VERSION"), cluster_id = %self.cluster_id, %address, "windlass starts");
        let http = tokio::spawn(http);

        let config = kube::Config::infer().await?;
        let namespace = self.lease_namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config)?;
        let identity = identity();
        let mut stop = Stop::new()?;
        let election =
            Election::new(client.clone(), &namespace, LEASE, identity.clone(), self.lease_duration.to_duration());
        tokio::select! {
            () = reach(&client) => readiness.set(true),
            () = stop.asked() => return Ok(()),
        }
        tokio::select! {
            () = election.acquire() => {}
            () = stop.asked() => return Ok(()),
        }
        metrics.set_leader(true);

        let (stores, writers) = controller::stores();
        let (inboxes, wakes) = controller::inbox::Inboxes::new();
        let ctx = Arc::new(Context {
            client: client.clone(),
            namespace,
            cluster_id: self.cluster_id,
            clock,
            sessions: Sessions::with_clock(Arc::new(metrics.clone()), clock),
            reporter: Reporter::new(client, &identity),
            metrics: metrics.clone(),
            settings: Settings {
                poll_interval: self.poll_interval.to_duration(),
                repair_interval: self.repair_interval.to_duration(),
                drift_interval: self.drift_interval.to_duration(),
                fleet_interval: self.fleet_interval.to_duration(),
                concurrency: self.concurrency,
            },
            stores,
            backoff: Backoff::default(),
            freshness: controller::freshness::Freshness::default(),
            drift: controller::drift::Drift::default(),
            paces: crate::runs::pace::Paces::default(),
            inboxes,
        });
        let (finish, finished) = tokio::sync::oneshot::channel::<()>();
        let mut work = tokio::spawn(controller::run(ctx, writers, wakes, async move {
            let _ = finished.await;
        }));
        let result: Result<(), Error> = tokio::select! {
            lost = election.keep() => return Err(Box::new(lost)),
            ended = &mut work => return Err(ended.err().map_or_else(|| "the reconcilers ended by themselves".into(), Error::from)),
            ended = http => Err(format!("the HTTP server ended: {ended:?}").into()),
            () = stop.asked() => Ok(()),
        };
        info!("finishing what is under way");
        let _ = finish.send(());
        // The lease is renewed until the last write is done: nobody else may lead before.
        tokio::select! {
            lost = election.keep() => return Err(Box::new(lost)),
            _ = &mut work => {}
        }
        election.release().await;
        metrics.set_leader(false);
        result
    }
}

/// Waits until the API server answers.
async fn reach(client: &Client) {
    while let Err(error) = client.apiserver_version().await {
        tracing::warn!(%error, "the API server was not reached yet");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Pod name or host name, and the time of the start: a container that starts again in its pod is not the holder of its predecessor's lease.
fn identity() -> String {
    let host =
        std::env::var("POD_NAME").or_else(|_| std::env::var("HOSTNAME")).unwrap_or_else(|_| "windlass".to_owned());
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    format!("{host}_{}_{started}", std::process::id())
}

struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
