//! The loop round a queue: receive, act, delete. One receive is under way at a time, so what is in memory is one receive's worth.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use crate::aws::messages::Letter;
use crate::aws::{AwsError, Class};

/// The first and the longest pause after a receive that failed.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// The shortest time that an answer without messages may take: a long poll that does not wait would run hot.
const LEAST: Duration = Duration::from_secs(1);
/// Failures that pass by themselves are spoken of from this one on.
const SPOKEN_OF: u32 = 3;

/// Where messages come from.
pub trait Mailbox: Send + Sync {
    /// Receives messages; none when there are none, or none came while it waited.
    fn receive(&self, wait: bool) -> impl Future<Output = Result<Vec<Letter>, AwsError>> + Send;

    /// Takes messages out for good.
    fn delete(&self, letters: &[&Letter]) -> impl Future<Output = Result<(), AwsError>> + Send;
}

/// What is done with messages.
pub trait Desk: Send + Sync {
    /// Acts upon messages. Those of which `true` is said are deleted: nothing that matters depends on them any more. The others come again.
    fn act(&self, letters: &[Letter]) -> impl Future<Output = Vec<bool>> + Send;

    /// Whether messages arrive has changed.
    fn changed(&self);

    /// How long `span` really takes on Windlass's clock.
    fn real(&self, span: Duration) -> Duration;
}

/// Whether messages arrive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Nothing was received yet.
    #[default]
    Starting,
    /// The last receive was answered.
    Receiving,
    /// Receives fail.
    Failing(AwsError),
}

/// The health of one loop, for others to see.
#[derive(Debug, Default)]
pub struct Pulse(Mutex<Health>);

impl Pulse {
    /// How it is.
    pub fn get(&self) -> Health {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says whether that is news of the kind that somebody would act upon.
    fn set(&self, health: Health) -> bool {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let news = match (&*now, &health) {
            (Health::Failing(before), Health::Failing(after)) => before.reason() != after.reason(),
            (before, after) => before != after,
        };
        if news {
            *now = health;
        }
        news
    }
}

/// Receives and acts, until it is dropped. Between any two of its steps it can be: what was not deleted comes again.
pub async fn listen(mailbox: &impl Mailbox, desk: &impl Desk, pulse: &Pulse) {
    let mut failures = 0_u32;
    loop {
        let began = Instant::now();
        // What has not answered yet is asked without a wait: whether it works is to be known now.
        let wait = pulse.get() == Health::Receiving;
        match mailbox.receive(wait).await {
            Ok(letters) => {
                failures = 0;
                if pulse.set(Health::Receiving) {
                    info!("status events are received");
                    desk.changed();
                }
                if letters.is_empty() {
                    tokio::time::sleep(desk.real(LEAST).saturating_sub(began.elapsed())).await;
                    continue;
                }
                let verdicts = desk.act(&letters).await;
                let done: Vec<&Letter> =
                    letters.iter().zip(verdicts).filter_map(|(letter, done)| done.then_some(letter)).collect();
                if !done.is_empty()
                    && let Err(error) = mailbox.delete(&done).await
                {
                    // They come again, which harms nothing.
                    warn!(error = &error as &dyn std::error::Error, "messages could not be deleted");
                }
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                debug!(%failures, error = &error as &dyn std::error::Error, "nothing could be received");
                let passing = matches!(error.class, Class::Transient | Class::Throttled);
                if (!passing || failures >= SPOKEN_OF) && pulse.set(Health::Failing(error.clone())) {
                    warn!(error = &error as &dyn std::error::Error, "status events are not received");
                    desk.changed();
                }
                let pause = PAUSE.0.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(PAUSE.1);
                tokio::time::sleep(desk.real(pause)).await;
            }
        }
    }
}

#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;
