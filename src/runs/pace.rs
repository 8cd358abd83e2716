//! How often and how dearly to look at a running execution.
//!
//! One page of `GetExecutionHistory` says everything, its end included, for one call; so while there is one page it is all that is called. An execution with
//! more costs as many calls as it has pages: `DescribeExecution` then says for one call that it still runs, and the history is read now and then.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;

/// How many times the first interval the longest one is.
const SLOWEST: f64 = 8.0;
/// How much longer each interval is than the one before, while nothing changes.
const GROWTH: f64 = 1.5;
/// How many looks by `DescribeExecution` there are for each page that the history has.
const LOOKS_PER_PAGE: usize = 4;

/// What looks at one execution have shown so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    unchanged: u16,
    pages: usize,
    described: usize,
    due: Option<Timestamp>,
}

impl Pace {
    /// How long to wait before the next look; `first` is the shortest wait.
    #[must_use]
    pub fn interval(self, first: Duration) -> Duration {
        first.mul_f64(GROWTH.powi(i32::from(self.unchanged.min(32))).min(SLOWEST))
    }

    /// The same, with the time of the next look.
    #[must_use]
    pub fn due(self, at: Timestamp) -> Self {
        Self { due: Some(at), ..self }
    }

    /// When the next look is due, if it is not yet.
    #[must_use]
    pub fn waits_until(self, now: Timestamp) -> Option<Timestamp> {
        self.due.filter(|due| *due > now)
    }

    /// Whether the next look is at the history, and not at the execution's state alone.
    #[must_use]
    pub fn wants_history(self) -> bool {
        self.pages <= 1 || self.described >= self.pages.saturating_mul(LOOKS_PER_PAGE)
    }

    /// The history was read, and the steps had changed or not.
    #[must_use]
    pub fn read(self, pages: usize, changed: bool) -> Self {
        Self { unchanged: if changed { 0 } else { self.unchanged.saturating_add(1) }, pages, described: 0, due: None }
    }

    /// The execution was described, and still runs.
    #[must_use]
    pub fn described(self) -> Self {
        Self { unchanged: self.unchanged.saturating_add(1), described: self.described.saturating_add(1), ..self }
    }
}

/// How long to wait before the next look where events tell of the end: as long again as the execution has run by now. So a young one is followed closely, an old one seldom,
/// and in all the looks grow with the logarithm of the time, up to `longest` between two.
#[must_use]
pub fn relaxed(age: Duration, first: Duration, longest: Duration) -> Duration {
    age.max(first).min(longest)
}

/// The paces of all runs, by UID. Lost with the process, which costs each run one more history.
#[derive(Debug, Default)]
pub struct Paces(Mutex<HashMap<String, Pace>>);

impl Paces {
    /// The pace of a run.
    pub fn get(&self, uid: &str) -> Pace {
        self.0.lock().ok().and_then(|all| all.get(uid).copied()).unwrap_or_default()
    }

    /// Keeps the pace of a run.
    pub fn set(&self, uid: &str, pace: Pace) {
        if let Ok(mut all) = self.0.lock() {
            all.insert(uid.to_owned(), pace);
        }
    }

    /// The run has ended, or is gone.
    pub fn forget(&self, uid: &str) {
        if let Ok(mut all) = self.0.lock() {
            all.remove(uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_grow_while_nothing_changes() {
        let first = Duration::from_secs(2);
        let mut pace = Pace::default();
        let mut waits = Vec::new();
        for _ in 0..8 {
            waits.push(pace.interval(first).as_millis());
            pace = pace.read(1, false);
        }
        assert_eq!(waits, [2000, 3000, 4500, 6750, 10_125, 15_187, 16_000, 16_000]);
        assert_eq!(pace.read(1, true).interval(first), first);
    }

    #[test]
    fn where_events_arrive_looks_become_seldom() {
        let (first, longest) = (Duration::from_secs(2), Duration::from_mins(2));
        let (mut age, mut waits) = (Duration::ZERO, Vec::new());
        for _ in 0..10 {
            let wait = relaxed(age, first, longest);
            waits.push(wait.as_secs());
            age += wait;
        }
        assert_eq!(waits, [2, 2, 4, 8, 16, 32, 64, 120, 120, 120]);
        assert_eq!(relaxed(Duration::ZERO, longest, first), first, "the longest wins");
    }

    #[test]
    fn one_page_is_read_each_time_and_many_now_and_then() {
        let mut pace = Pace::default();
        for _ in 0..10 {
            assert!(pace.wants_history());
            pace = pace.read(1, true);
        }
        pace = pace.read(3, true);
        let mut calls = (0, 0);
        for _ in 0..130 {
            if pace.wants_history() {
                calls.0 += 3;
                pace = pace.read(3, false);
            } else {
                calls.1 += 1;
                pace = pace.described();
            }
        }
        assert_eq!(calls, (30, 120), "a quarter more than describing alone");
    }

    #[test]
    fn paces_are_kept_apart() {
        let paces = Paces::default();
        paces.set("a", Pace::default().read(5, false));
        assert_eq!((paces.get("a").pages, paces.get("b")), (5, Pace::default()));
        paces.forget("a");
        assert_eq!(paces.get("a"), Pace::default());
    }
}
