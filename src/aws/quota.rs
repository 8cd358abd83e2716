//! AWS's API quotas, kept: one token bucket per account and operation, and a pause for an operation that was throttled all the same.
//!
//! Figures: Step Functions service quotas (docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html), IAM and Systems Manager do not publish theirs, so
//! those are cautious settings. All can be set on the AwsAccount.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::settings::{AccountSettings, Bucket};

/// Regions with the larger quotas of Step Functions.
const LARGE: &[&str] = &["us-east-1", "us-west-2", "eu-west-1"];

/// Operation, bucket and refill in the large Regions, bucket and refill elsewhere.
const STATES: &[(&str, (u32, u32), (u32, u32))] = &[
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

/// For operations whose quota AWS does not publish.
const UNPUBLISHED: (u32, u32) = (20, 10);

/// The first and the longest pause after a throttled call.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The longest that a call waits for a pause to end; beyond that the caller is better off doing something else.
const PATIENCE: Duration = Duration::from_secs(2);

type Key = (&'static str, &'static str);

struct Pause {
    until: Instant,
    length: Duration,
}

/// The quotas of one account and Region.
pub(super) struct Quotas {
    region: String,
    settings: std::collections::BTreeMap<String, Bucket>,
    buckets: Mutex<HashMap<Key, Arc<DefaultDirectRateLimiter>>>,
    pauses: Mutex<HashMap<Key, Pause>>,
}

/// The operation is paused for longer than a call should wait.
pub(super) struct HeldBack;

impl Quotas {
    pub(super) fn new(settings: &AccountSettings) -> Self {
        Self {
            region: settings.region.clone(),
            settings: settings.quotas.clone(),
            buckets: Mutex::default(),
            pauses: Mutex::default(),
        }
    }

    /// Waits for a token, and says how long that took.
    pub(super) async fn take(&self, service: &'static str, operation: &'static str) -> Result<Duration, HeldBack> {
        let began = Instant::now();
        if let Some(left) = self.paused(service, operation) {
            if left > PATIENCE {
                return Err(HeldBack);
            }
            tokio::time::sleep(left).await;
        }
        if let Some(bucket) = self.bucket(service, operation) {
            bucket.until_ready().await;
        }
        Ok(began.elapsed())
    }

    /// The operation was throttled: it rests, longer each time.
    pub(super) fn throttled(&self, service: &'static str, operation: &'static str) {
        if let Ok(mut all) = self.pauses.lock() {
            let now = Instant::now();
            let pause = all.entry((service, operation)).or_insert(Pause { until: now, length: Duration::ZERO });
            // Calls that were under way together count as one.
            if pause.until <= now {
                pause.length = (pause.length * 2).clamp(PAUSE.0, PAUSE.1);
                pause.until = now + pause.length;
            }
        }
    }

    /// The operation was answered.
    pub(super) fn answered(&self, service: &'static str, operation: &'static str) {
        if let Ok(mut all) = self.pauses.lock() {
            all.remove(&(service, operation));
        }
    }

    fn paused(&self, service: &'static str, operation: &'static str) -> Option<Duration> {
        let all = self.pauses.lock().ok()?;
        all.get(&(service, operation)).map(|pause| pause.until.saturating_duration_since(Instant::now()))
    }

    fn bucket(&self, service: &'static str, operation: &'static str) -> Option<Arc<DefaultDirectRateLimiter>> {
        let mut all = self.buckets.lock().ok()?;
        if let Some(bucket) = all.get(&(service, operation)) {
            return Some(bucket.clone());
        }
        let (size, refill) = self.figures(service, operation);
        let (size, refill) = (NonZeroU32::new(size)?, NonZeroU32::new(refill)?);
        let bucket = Arc::new(RateLimiter::direct(Quota::per_second(refill).allow_burst(size)));
        all.insert((service, operation), bucket.clone());
        Some(bucket)
    }

    fn figures(&self, service: &str, operation: &str) -> (u32, u32) {
        if let Some(set) = self.settings.get(&format!("{service}:{operation}")) {
            return (set.bucket, set.refill_per_second);
        }
        let published = STATES.iter().find(|(name, ..)| service == "states" && *name == operation);
        published.map_or(
            UNPUBLISHED,
            |(_, large, other)| {
                if LARGE.contains(&self.region.as_str()) { *large } else { *other }
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas(region: &str) -> Quotas {
        let set = Bucket { bucket: 7, refill_per_second: 3 };
        Quotas::new(&AccountSettings {
            name: "a".into(),
            account_id: "111122223333".into(),
            region: region.into(),
            endpoint: None,
            assume_role: None,
            quotas: [("ssm:CancelCommand".to_owned(), set)].into(),
        })
    }

    #[test]
    fn figures_are_aws_own_unless_set() {
        assert_eq!(quotas("eu-west-1").figures("states", "DescribeExecution"), (300, 15));
        assert_eq!(quotas("eu-north-1").figures("states", "DescribeExecution"), (250, 10));
        assert_eq!(quotas("eu-west-1").figures("ssm", "CancelCommand"), (7, 3));
        assert_eq!(quotas("eu-west-1").figures("iam", "CreateRole"), UNPUBLISHED);
    }

    #[test]
    fn a_throttled_operation_rests_alone() {
        let quotas = quotas("eu-west-1");
        for _ in 0..3 {
            quotas.throttled("ssm", "ListCommands");
        }
        assert!(quotas.paused("ssm", "ListCommands").unwrap() <= PAUSE.0, "calls under way together count as one");
        assert_eq!(quotas.paused("ssm", "CancelCommand"), None);
        quotas.answered("ssm", "ListCommands");
        assert_eq!(quotas.paused("ssm", "ListCommands"), None);
    }
}
