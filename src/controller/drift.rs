//! When each object is next compared with what is in AWS.
//!
//! After a start the comparisons are spread over the whole interval: a restart costs AWS no burst of reads.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::backoff::jitter;

/// Times of the next comparison, by object.
#[derive(Debug, Default)]
pub struct Drift(Mutex<HashMap<String, Timestamp>>);

impl Drift {
    /// Whether the object is due. One that was never asked about is due at a time of its own within one interval.
    pub fn is_due(&self, object: &str, now: Timestamp, interval: Duration) -> bool {
        self.0.lock().is_ok_and(|mut all| {
            let first = || after(now, interval.mul_f64(jitter(object, 0)));
            now >= *all.entry(object.to_owned()).or_insert_with(first)
        })
    }

    /// The object was compared just now.
    pub fn compared(&self, object: &str, now: Timestamp, interval: Duration) {
        if let Ok(mut all) = self.0.lock() {
            all.insert(object.to_owned(), after(now, interval));
        }
    }

    /// When the object is due.
    pub fn due_at(&self, object: &str) -> Option<Timestamp> {
        self.0.lock().ok().and_then(|all| all.get(object).copied())
    }

    /// The object is gone.
    pub fn forget(&self, object: &str) {
        if let Ok(mut all) = self.0.lock() {
            all.remove(object);
        }
    }
}

fn after(now: Timestamp, span: Duration) -> Timestamp {
    SignedDuration::try_from(span).ok().and_then(|span| now.checked_add(span).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_comparisons_are_spread_and_later_ones_regular() {
        let (drift, start, interval) = (Drift::default(), Timestamp::UNIX_EPOCH, Duration::from_secs(600));
        let objects: Vec<String> = (0..200).map(|n| format!("o{n}")).collect();
        let due = |at: i64| {
            objects.iter().filter(|o| drift.is_due(o, start + SignedDuration::from_secs(at), interval)).count()
        };
        assert!(due(0) < 10, "no burst at the start");
        let half = due(300);
        assert!((60..140).contains(&half), "{half}");
        assert_eq!(due(600), 200);
        drift.compared("o1", start, interval);
        assert_eq!(drift.due_at("o1"), Some(start + SignedDuration::from_secs(600)));
    }
}
