//! Leader election by a `coordination.k8s.io` Lease.
//!
//! kube has none built in, and the crate for it needs another version of kube. The protocol is client-go's: whoever renews the lease holds it; a
//! lease that has not been renewed for its duration, by the watcher's own clock since it last saw a change, may be taken; every write
//! carries the resourceVersion that was read, so that of two takers one loses.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tracing::{info, warn};

/// A lease and who wants it.
pub struct Election {
    api: Api<Lease>,
    name: String,
    identity: String,
    duration: Duration,
}

/// Why this process does not lead any more.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// Another process holds the lease.
    #[error("the lease {lease} was taken by {holder}")]
    Taken {
        /// Name of the lease.
        lease: String,
        /// Its holder.
        holder: String,
    },
    /// The API server could not be reached in time.
    #[error("the lease {lease} could not be renewed within {}s: {last}", within.as_secs_f64())]
    NotRenewed {
        /// Name of the lease.
        lease: String,
        /// How long it was tried.
        within: Duration,
        /// The last error.
        last: String,
    },
}

enum Attempt {
    Held,
    Other { holder: String, seen: String },
}

impl Election {
    /// An election on the lease `name` in `namespace`. `identity` must be unique among the processes; `duration` is how long a lease that is not
    /// renewed still holds, one second at least.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, identity: String, duration: Duration) -> Self {
        let duration = duration.max(Duration::from_secs(1));
        Self { api: Api::namespaced(client, namespace), name: name.to_owned(), identity, duration }
    }

    /// Waits until this process holds the lease.
    pub async fn acquire(&self) {
        let pause = self.duration / 4;
        // What was last seen of another holder's lease, and when: clocks of different machines are never compared.
        let mut watched: Option<(String, Instant)> = None;
        // Who was last spoken of in the log: a lease that is renewed is no news.
        let mut standing_by_for = String::new();
        loop {
            let stale = watched.as_ref().is_some_and(|(_, since)| since.elapsed() >= self.duration);
            match self.attempt(stale).await {
                Ok(Attempt::Held) => {
                    info!(lease = %self.name, identity = %self.identity, "lease acquired");
                    return;
                }
                Ok(Attempt::Other { holder, seen }) => match &watched {
                    Some((old, _)) if *old == seen => {}
                    _ => {
                        if standing_by_for != holder {
                            info!(lease = %self.name, %holder, "standing by");
                            standing_by_for = holder;
                        }
                        watched = Some((seen, Instant::now()));
                    }
                },
                Err(error) => warn!(lease = %self.name, %error, "the lease could not be read or written"),
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Renews the lease for as long as that succeeds, and says why it did not any more. The caller then ends the process.
    pub async fn keep(&self) -> Lost {
        // Two thirds: the rest keeps a successor from overlapping with what is still in flight here.
        let within = self.duration * 2 / 3;
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.duration / 5).await;
            let left = within.saturating_sub(renewed.elapsed());
            let started = Instant::now();
            let failure = match tokio::time::timeout(left, self.attempt(false)).await {
                Ok(Ok(Attempt::Held)) => {
                    renewed = started;
                    continue;
                }
                Ok(Ok(Attempt::Other { holder, .. })) => return Lost::Taken { lease: self.name.clone(), holder },
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer from the API server".to_owned(),
            };
            warn!(lease = %self.name, error = %failure, "the lease could not be renewed");
            if renewed.elapsed() >= within {
                return Lost::NotRenewed { lease: self.name.clone(), within, last: failure };
            }
        }
    }

    /// Gives the lease up, so that a standby need not wait. Best effort.
    pub async fn release(&self) {
        let release = async {
            let mut lease = self.api.get(&self.name).await?;
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() == Some(self.identity.as_str()) {
                spec.holder_identity = None;
                self.api.replace(&self.name, &PostParams::default(), &lease).await?;
            }
            Ok::<_, kube::Error>(())
        };
        if let Err(error) = release.await {
            warn!(lease = %self.name, %error, "the lease could not be given up; it runs out by itself");
        }
    }

    async fn attempt(&self, stale: bool) -> Result<Attempt, kube::Error> {
        let now = MicroTime(Timestamp::now());
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                spec: Some(self.held(&LeaseSpec::default(), now)),
            };
            self.api.create(&PostParams::default(), &lease).await?;
            return Ok(Attempt::Held);
        };
        let spec = lease.spec.take().unwrap_or_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        if !holder.is_empty() && holder != self.identity && !stale {
            let seen = format!("{holder} {:?} {:?}", spec.renew_time, spec.lease_transitions);
            return Ok(Attempt::Other { holder, seen });
        }
        lease.spec = Some(self.held(&spec, now));
        self.api.replace(&self.name, &PostParams::default(), &lease).await?;
        Ok(Attempt::Held)
    }

    fn held(&self, before: &LeaseSpec, now: MicroTime) -> LeaseSpec {
        let same = before.holder_identity.as_deref() == Some(self.identity.as_str());
        let changes = before.lease_transitions.unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(i32::try_from(self.duration.as_secs()).unwrap_or(i32::MAX)),
            acquire_time: if same { before.acquire_time.clone() } else { Some(now.clone()) },
            renew_time: Some(now),
            lease_transitions: Some(if same { changes } else { changes.saturating_add(1) }),
            ..LeaseSpec::default()
        }
    }
}
