//! Durations as users write them: `90s`, `10m`, `2h`, `3d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest duration that is accepted: one year, the longest that a Standard state machine may run
/// (Step Functions quotas, "Maximum execution time").
pub const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// What the API server asks of a duration. A year at most is asked for when it is read.
pub const PATTERN: &str = "^[1-9][0-9]{0,7}(s|m|h|d)$";

/// A whole number of seconds, minutes, hours or days.
///
/// Kept as written, so that a manifest that is read and printed again is the same text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    amount: u32,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Unit {
    Seconds,
    Minutes,
    Hours,
    Days,
}

impl Unit {
    fn seconds(self) -> u64 {
        match self {
            Self::Seconds => 1,
            Self::Minutes => 60,
            Self::Hours => 3600,
            Self::Days => 86_400,
        }
    }

    fn letter(self) -> char {
        match self {
            Self::Seconds => 's',
            Self::Minutes => 'm',
            Self::Hours => 'h',
            Self::Days => 'd',
        }
    }
}

impl Span {
    /// A span of whole seconds.
    #[must_use]
    pub fn from_secs(seconds: u32) -> Self {
        Self { amount: seconds, unit: Unit::Seconds }
    }

    /// A span of whole hours.
    #[must_use]
    pub fn from_hours(hours: u32) -> Self {
        Self { amount: hours, unit: Unit::Hours }
    }

    /// The length in seconds.
    #[must_use]
    pub fn as_secs(self) -> u64 {
        u64::from(self.amount) * self.unit.seconds()
    }

    /// The same as a [`Duration`].
    #[must_use]
    pub fn to_duration(self) -> Duration {
        Duration::from_secs(self.as_secs())
    }
}

/// A text that is not a duration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("\"{0}\" is not a duration: write a whole number and a unit, as in 90s, 10m, 2h or 3d, of one year at most")]
pub struct NotASpan(String);

impl FromStr for Span {
    type Err = NotASpan;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || NotASpan(text.to_owned());
        let last = text.chars().next_back().ok_or_else(refuse)?;
        let unit = match last {
            's' => Unit::Seconds,
            'm' => Unit::Minutes,
            'h' => Unit::Hours,
            'd' => Unit::Days,
            _ => return Err(refuse()),
        };
        let digits = text.strip_suffix(last).ok_or_else(refuse)?;
        let plain = !digits.is_empty() && !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
        if !plain {
            return Err(refuse());
        }
        let span = Self { amount: digits.parse().map_err(|_| refuse())?, unit };
        if span.to_duration() > LONGEST {
            return Err(refuse());
        }
        Ok(span)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.amount, self.unit.letter())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PATTERN, "maxLength": 9 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_the_same() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("2h", 7200), ("3d", 259_200), ("365d", 31_536_000)] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.as_secs(), seconds, "{text}");
            assert_eq!(span.to_string(), text);
        }
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for text in ["", "s", "10", "0s", "01m", "-1s", "1.5h", "1w", "366d", "10 m", "99999999999s", "1é"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
