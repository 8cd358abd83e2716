//! How long a failing object waits: exponential, with jitter, for each object by itself.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait.
pub const LONGEST: Duration = Duration::from_secs(300);

/// Consecutive failures by object (`kind/namespace/name`). Lost with the process, which only makes the first tries after a start sooner.
#[derive(Debug, Default)]
pub struct Backoff(Mutex<HashMap<String, u32>>);

impl Backoff {
    /// Another failure of the object: how long to wait before the next try. Between half of and the whole of 1 s, 2 s, 4 s … 5 min.
    pub fn failed(&self, object: &str) -> Duration {
        let failures = match self.0.lock() {
            Ok(mut all) => {
                let count = all.entry(object.to_owned()).or_insert(0);
                *count = count.saturating_add(1);
                *count
            }
            // A poisoned lock means that another thread panicked here: wait as long as ever.
            Err(_) => u32::MAX,
        };
        let whole = FIRST
            .saturating_mul(1_u32.checked_shl(failures.saturating_sub(1).min(16)).unwrap_or(u32::MAX))
            .min(LONGEST);
        whole.mul_f64(0.5 + 0.5 * jitter(object, failures))
    }

    /// The object is well, or gone.
    pub fn forget(&self, object: &str) {
        if let Ok(mut all) = self.0.lock() {
            all.remove(object);
        }
    }
}

/// A number from 0 to 1 that differs between objects and tries. Spread is all that is wanted, so a hash does, and no random source is needed.
pub fn jitter(object: &str, salt: u32) -> f64 {
    use std::hash::{BuildHasher, RandomState};
    use std::sync::OnceLock;
    static SEED: OnceLock<RandomState> = OnceLock::new();
    let hash = SEED.get_or_init(RandomState::new).hash_one((object, salt));
    f64::from(u32::try_from(hash >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_start_anew_after_success() {
        let backoff = Backoff::default();
        let waits: Vec<Duration> = (0..12).map(|_| backoff.failed("a")).collect();
        for (index, wait) in waits.iter().enumerate() {
            let whole = FIRST.saturating_mul(1 << index).min(LONGEST);
            assert!(*wait >= whole / 2 && *wait <= whole, "try {index}: {wait:?}");
        }
        assert!(backoff.failed("b") <= FIRST, "objects do not wait for each other");
        backoff.forget("a");
        assert!(backoff.failed("a") <= FIRST);
    }
}
