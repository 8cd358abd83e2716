//! AWS's API quotas, kept: one token bucket per operation of an account and Region, and a pause for an operation that was throttled all the same.
//!
//! A call books the next free token and waits for it, first come, first served. When the wait would be long the call is refused instead: its
//! caller can do something else, and an account whose bucket is empty holds up no other.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::Clock;

use super::settings::Bucket;

/// Regions with the larger quotas of Step Functions.
const LARGE: &[&str] = &["us-east-1", "us-west-2", "eu-west-1"];

/// Size of a bucket and its refill per second.
type Figures = (u32, u32);

/// Operation, then bucket and refill per second in the large Regions, then elsewhere: the quotas of Step Functions
/// (docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html, 2026-11).
const STATES: &[(&str, Figures, Figures)] = &[
    ("StartExecution", (1300, 300), (800, 150)),
    ("DescribeExecution", (300, 15), (250, 10)),
    ("ListExecutions", (200, 5), (100, 2)),
    ("GetExecutionHistory", (400, 20), (400, 20)),
    ("DescribeStateMachine", (200, 20), (200, 20)),
    ("StopExecution", (1000, 200), (500, 25)),
    ("CreateStateMachine", (100, 1), (100, 1)),
    ("UpdateStateMachine", (100, 1), (100, 1)),
    ("DeleteStateMachine", (100, 1), (100, 1)),
    ("ListTagsForResource", (100, 1), (100, 1)),
    ("TagResource", (200, 1), (200, 1)),
];

/// "Standard queues support a very high, nearly unlimited number of API calls per second, per action" (SQS developer guide, "Queue types"): a bound against runaways.
const QUEUES: Figures = (1000, 1000);

/// For operations whose quota AWS does not publish: those of IAM, Systems Manager, STS and EventBridge's control plane.
const UNPUBLISHED: Figures = (20, 10);

/// The first and the longest pause after a throttled call.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// The longest that a call waits for its token.
const PATIENCE: Duration = Duration::from_secs(5);

/// The quotas of one account and Region.
pub(super) struct Quotas {
    large: bool,
    set: BTreeMap<String, Bucket>,
    clock: Clock,
    gates: Mutex<HashMap<(&'static str, &'static str), Gate>>,
}

/// The wait for a token would be longer than a call should wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HeldBack;

impl Quotas {
    /// AWS's published figures for the Region, but for those that are set; waits follow `clock`.
    pub(super) fn new(region: &str, set: BTreeMap<String, Bucket>, clock: Clock) -> Self {
        Self { large: LARGE.contains(&region), set, clock, gates: Mutex::default() }
    }

    /// Waits for a token, and says how long that took.
    pub(super) async fn take(&self, service: &'static str, operation: &'static str) -> Result<Duration, HeldBack> {
        let patience = self.clock.real(PATIENCE);
        let wait = self.gate(service, operation, |gate| gate.book(Instant::now(), patience))?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(wait)
    }

    /// AWS throttled a call: the operation rests, longer each time.
    pub(super) fn throttled(&self, service: &'static str, operation: &'static str) {
        let pause = (self.clock.real(PAUSE.0), self.clock.real(PAUSE.1));
        self.gate(service, operation, |gate| gate.throttled(Instant::now(), pause));
    }

    /// AWS answered a call.
    pub(super) fn answered(&self, service: &'static str, operation: &'static str) {
        self.gate(service, operation, |gate| gate.answered(Instant::now()));
    }

    fn gate<T>(&self, service: &'static str, operation: &'static str, what: impl FnOnce(&mut Gate) -> T) -> T {
        // A gate is consistent after each of its statements, so what a panic elsewhere left behind can be used.
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let gate = gates.entry((service, operation)).or_insert_with(|| {
            let (size, refill) = self.figures(service, operation);
            Gate::new(size, self.clock.real(Duration::from_secs(1)) / refill.max(1))
        });
        what(gate)
    }

    fn figures(&self, service: &str, operation: &str) -> Figures {
        if let Some(set) = self.set.get(&format!("{service}:{operation}")) {
            return (set.bucket, set.refill_per_second);
        }
        if service == "sqs" {
            return QUEUES;
        }
        let published = STATES.iter().find(|(name, ..)| service == "states" && *name == operation);
        published.map_or(UNPUBLISHED, |(_, large, other)| if self.large { *large } else { *other })
    }
}

/// One operation's token bucket, as the instant at which it will be full, and its pause.
struct Gate {
    /// How long a token takes to come back.
    interval: Duration,
    /// How long an empty bucket takes to fill.
    depth: Duration,
    /// When the bucket is full, were nobody to take anything any more.
    full_at: Option<Instant>,
    paused_until: Option<Instant>,
    pause: Duration,
}

impl Gate {
    fn new(size: u32, interval: Duration) -> Self {
        Self { interval, depth: interval * size.max(1), full_at: None, paused_until: None, pause: Duration::ZERO }
    }

    /// Books the next token and gives the time until it can be used.
    fn book(&mut self, now: Instant, patience: Duration) -> Result<Duration, HeldBack> {
        let full_at = self.full_at.map_or(now, |at| at.max(now)) + self.interval;
        let wait = full_at.saturating_duration_since(now + self.depth);
        let paused = self.paused_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        let wait = wait.max(paused);
        if wait > patience {
            return Err(HeldBack);
        }
        self.full_at = Some(full_at);
        Ok(wait)
    }

    fn throttled(&mut self, now: Instant, (shortest, longest): (Duration, Duration)) {
        // Calls that were under way together count as one.
        if self.paused_until.is_none_or(|until| until <= now) {
            self.pause = (self.pause * 2).clamp(shortest, longest);
            self.paused_until = Some(now + self.pause);
            // Whoever else used the bucket up, it is empty: after the pause calls go at the pace of its refill.
            self.full_at = Some(now + self.depth);
        }
    }

    fn answered(&mut self, now: Instant) {
        // An answer during the pause is that of a call from before it, and says nothing.
        if self.paused_until.is_some_and(|until| until <= now) {
            self.paused_until = None;
            self.pause = Duration::ZERO;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn quotas(region: &str) -> Quotas {
        let set = Bucket { bucket: 7, refill_per_second: 3 };
        Quotas::new(region, [("ssm:CancelCommand".to_owned(), set)].into(), Clock::default())
    }

    #[test]
    fn figures_are_awss_own_unless_set() {
        assert_eq!(quotas("eu-west-1").figures("states", "DescribeExecution"), (300, 15));
        assert_eq!(quotas("eu-north-1").figures("states", "DescribeExecution"), (250, 10));
        assert_eq!(quotas("eu-west-1").figures("ssm", "CancelCommand"), (7, 3));
        assert_eq!(quotas("eu-west-1").figures("iam", "CreateRole"), UNPUBLISHED);
    }

    #[test]
    fn a_full_bucket_is_free_and_an_empty_one_refills() {
        let (now, mut gate) = (Instant::now(), Gate::new(3, SECOND));
        for expected in [0, 0, 0, 1, 2, 3] {
            assert_eq!(gate.book(now, 10 * SECOND), Ok(expected * SECOND));
        }
        assert_eq!(gate.book(now, 3 * SECOND), Err(HeldBack), "the fourth in the queue would wait 4 s");
        assert_eq!(gate.book(now + SECOND, 10 * SECOND), Ok(3 * SECOND), "who was refused holds no token");
        assert_eq!(gate.book(now + 100 * SECOND, SECOND), Ok(Duration::ZERO));
    }

    #[test]
    fn a_throttled_operation_rests_longer_each_time() {
        let (now, mut gate) = (Instant::now(), Gate::new(100, SECOND));
        let pause = (SECOND, 3 * SECOND);
        gate.throttled(now, pause);
        gate.throttled(now, pause);
        assert_eq!(gate.book(now, 10 * SECOND), Ok(SECOND), "calls under way together count as one");
        gate.answered(now);
        assert_eq!(gate.book(now, SECOND / 2), Err(HeldBack), "an answer to an older call ends no pause");
        for (after, length) in [(1, 2), (3, 3), (6, 3)] {
            let then = now + after * SECOND;
            gate.throttled(then, pause);
            assert_eq!(gate.paused_until, Some(then + length * SECOND));
        }
        let end = now + 9 * SECOND;
        gate.answered(end);
        gate.throttled(end, pause);
        assert_eq!(gate.paused_until, Some(end + SECOND), "an answer makes the next pause short again");
    }

    #[test]
    fn after_a_pause_calls_go_at_the_pace_of_the_refill() {
        let (now, mut gate) = (Instant::now(), Gate::new(100, SECOND));
        gate.throttled(now, (SECOND, SECOND));
        for expected in [0, 1, 2] {
            assert_eq!(gate.book(now + SECOND, 10 * SECOND), Ok(expected * SECOND));
        }
    }

    #[test]
    fn each_operation_has_its_own_pause() {
        let quotas = quotas("eu-west-1");
        quotas.throttled("ssm", "ListCommands");
        let paused = |operation| quotas.gate("ssm", operation, |gate| gate.paused_until.is_some());
        assert!(paused("ListCommands"));
        assert!(!paused("CancelCommand"));
    }
}
