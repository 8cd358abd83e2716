//! The clock: the real one, or a faster one under test.
//!
//! The test bed runs three-day waits in seconds by one factor that divides every wait. Windlass takes part in it through two environment
//! variables, `WINDLASS_CLOCK_EPOCH` (seconds since 1970 at which the two clocks agree) and `WINDLASS_CLOCK_FACTOR` (how much faster time passes since then). Without them
//! the clock is the machine's. Leases and HTTP timeouts always follow real time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Tells the time and how long to wait.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: Timestamp,
    factor: f64,
}

/// An unusable clock setting.
#[derive(Debug, thiserror::Error)]
#[error("{variable}={value} is not usable as a clock setting: it must be a number{more}")]
pub struct BadClock {
    variable: &'static str,
    value: String,
    more: &'static str,
}

impl Default for Clock {
    fn default() -> Self {
        Self { epoch: Timestamp::UNIX_EPOCH, factor: 1.0 }
    }
}

impl Clock {
    /// The clock that the environment asks for.
    ///
    /// # Errors
    /// [`BadClock`] when a variable is set to something unusable.
    pub fn from_env() -> Result<Self, BadClock> {
        let epoch = number("WINDLASS_CLOCK_EPOCH", "")?.unwrap_or(0.0);
        let factor = number("WINDLASS_CLOCK_FACTOR", " above zero")?.unwrap_or(1.0);
        let bad = |variable, value: f64, more| BadClock { variable, value: value.to_string(), more };
        if factor <= 0.0 || !factor.is_finite() {
            return Err(bad("WINDLASS_CLOCK_FACTOR", factor, " above zero"));
        }
        let since = SignedDuration::try_from_secs_f64(epoch).map_err(|_| bad("WINDLASS_CLOCK_EPOCH", epoch, ""))?;
        let epoch = Timestamp::UNIX_EPOCH.checked_add(since).map_err(|_| bad("WINDLASS_CLOCK_EPOCH", epoch, ""))?;
        Ok(Self { epoch, factor })
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let real = Timestamp::now();
        if (self.factor - 1.0).abs() < f64::EPSILON {
            return real;
        }
        let passed = real.duration_since(self.epoch).mul_f64_saturating(self.factor);
        self.epoch.checked_add(passed).unwrap_or(real)
    }

    /// How much time has passed on this clock since a moment that the machine's clock told, as the API server's times are.
    #[must_use]
    pub fn passed_since(&self, real: Timestamp) -> Duration {
        Duration::try_from(Timestamp::now().duration_since(real).mul_f64_saturating(self.factor)).unwrap_or_default()
    }

    /// What this clock shows at a moment that the machine's clock told, as the API server's times are.
    #[must_use]
    pub fn at(&self, real: Timestamp) -> Timestamp {
        let now = self.now();
        SignedDuration::try_from(self.passed_since(real))
            .ok()
            .and_then(|passed| now.checked_sub(passed).ok())
            .unwrap_or(now)
    }

    /// How long to really wait for `span` to pass on this clock.
    #[must_use]
    pub fn real(&self, span: Duration) -> Duration {
        Duration::try_from_secs_f64(span.as_secs_f64() / self.factor).unwrap_or(span)
    }

    /// How long to really wait until `instant`; zero when it has passed.
    #[must_use]
    pub fn until(&self, instant: Timestamp) -> Duration {
        let left = instant.duration_since(self.now());
        self.real(Duration::try_from(left).unwrap_or(Duration::ZERO))
    }
}

trait MulF64 {
    fn mul_f64_saturating(self, factor: f64) -> Self;
}

impl MulF64 for SignedDuration {
    fn mul_f64_saturating(self, factor: f64) -> Self {
        Self::try_from_secs_f64(self.as_secs_f64() * factor).unwrap_or(self)
    }
}

fn number(variable: &'static str, more: &'static str) -> Result<Option<f64>, BadClock> {
    match std::env::var(variable) {
        Ok(value) => value.parse().map(Some).map_err(|_| BadClock { variable, value, more }),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_faster_clock_waits_shorter_and_runs_ahead() {
        let epoch = Timestamp::now() - SignedDuration::from_secs(10);
        let clock = Clock { epoch, factor: 60.0 };
        assert_eq!(clock.real(Duration::from_secs(120)), Duration::from_secs(2));
        let ahead = clock.now().duration_since(epoch);
        assert!(ahead >= SignedDuration::from_secs(600) && ahead < SignedDuration::from_secs(1200), "{ahead:?}");
        assert_eq!(clock.until(epoch), Duration::ZERO);
        let passed = clock.passed_since(epoch);
        assert!(passed >= Duration::from_mins(10) && passed < Duration::from_mins(20), "{passed:?}");
        assert_eq!(clock.passed_since(Timestamp::MAX), Duration::ZERO);
        let shown = clock.at(epoch + SignedDuration::from_secs(5)).duration_since(epoch);
        assert!((shown.as_secs_f64() - 300.0).abs() < 1.0, "{shown:?}");
    }
}
