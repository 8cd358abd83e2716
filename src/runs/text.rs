//! Cutting text for people, and times as Kubernetes keeps them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

/// At most `limit` characters of `text`; what was cut ends in `…`.
#[must_use]
pub fn cut(text: &str, limit: usize) -> String {
    if text.chars().nth(limit).is_none() {
        return text.to_owned();
    }
    text.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}

/// The first line that says something, at most `limit` characters of it.
#[must_use]
pub fn first_line(text: &str, limit: usize) -> String {
    cut(text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default(), limit)
}

/// A moment in whole seconds. Kubernetes writes no fractions: with one kept in memory, a status read back would never equal the one
/// that was written.
#[must_use]
pub fn seconds(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_at_characters() {
        assert_eq!(cut("häuser", 6), "häuser");
        assert_eq!(cut("häuser", 3), "hä…");
        assert_eq!(cut("", 0), "");
    }

    #[test]
    fn the_first_line_that_says_something() {
        assert_eq!(first_line("\r\n  \n  boom at line 3\nmore", 80), "boom at line 3");
        assert_eq!(first_line("", 80), "");
    }

    #[test]
    fn a_moment_reads_back_as_it_was_written() {
        let at = seconds("2026-11-24T10:00:00.987Z".parse().unwrap());
        let read: Time = serde_json::from_value(serde_json::to_value(&at).unwrap()).unwrap();
        assert_eq!(read, at);
    }
}
