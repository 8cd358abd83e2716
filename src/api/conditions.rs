//! Condition types, reasons that several kinds share, and how a list of conditions is brought up to date.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// The object is in sync and works (kstatus).
pub const READY: &str = "Ready";
/// Work towards the declared state is under way (kstatus, abnormal-true).
pub const RECONCILING: &str = "Reconciling";
/// Nothing will happen until a person changes something (kstatus, abnormal-true).
pub const STALLED: &str = "Stalled";
/// Whether status events of executions arrive in an account's inbox.
pub const INBOX_READY: &str = "InboxReady";
/// The execution of a run was started, now or earlier.
pub const STARTED: &str = "Started";
/// How a run ended: `Unknown` until it has.
pub const SUCCEEDED: &str = "Succeeded";

/// Longest message that the API server takes in a condition.
const MESSAGE_LIMIT: usize = 32_768;

/// What a condition should say from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Condition type.
    pub type_: &'static str,
    /// `Some(true)` is True, `Some(false)` False, `None` Unknown.
    pub status: Option<bool>,
    /// CamelCase reason.
    pub reason: String,
    /// For people: what happened, to which object, what to do.
    pub message: String,
}

impl Verdict {
    /// A verdict with a reason and a message.
    pub fn new(
        type_: &'static str,
        status: Option<bool>,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { type_, status, reason: reason.into(), message: message.into() }
    }
}

/// Brings `conditions` up to date. The transition time moves only when the status does; nothing else is touched.
pub fn set(conditions: &mut Vec<Condition>, generation: Option<i64>, now: Timestamp, verdict: Verdict) {
    let status = match verdict.status {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    };
    let message = cut(verdict.message);
    let fresh = |since: Time| Condition {
        type_: verdict.type_.to_owned(),
        status: status.to_owned(),
        reason: verdict.reason.clone(),
        message: message.clone(),
        observed_generation: generation,
        last_transition_time: since,
    };
    match conditions.iter_mut().find(|c| c.type_ == verdict.type_) {
        Some(old) if old.status == status => *old = fresh(old.last_transition_time.clone()),
        Some(old) => *old = fresh(Time(now)),
        None => conditions.push(fresh(Time(now))),
    }
}

/// Takes a condition away.
pub fn unset(conditions: &mut Vec<Condition>, type_: &str) {
    conditions.retain(|c| c.type_ != type_);
}

/// The condition of a type, if it is there.
#[must_use]
pub fn get<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

/// Whether the condition of a type is True.
#[must_use]
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    get(conditions, type_).is_some_and(|c| c.status == "True")
}

fn cut(mut message: String) -> String {
    if message.len() > MESSAGE_LIMIT {
        let mut end = MESSAGE_LIMIT - '…'.len_utf8();
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let mut all = Vec::new();
        set(&mut all, Some(1), at(1), Verdict::new(READY, Some(false), "A", "first"));
        set(&mut all, Some(2), at(2), Verdict::new(READY, Some(false), "B", "second"));
        assert_eq!(all[0].last_transition_time, Time(at(1)));
        assert_eq!((all[0].reason.as_str(), all[0].observed_generation), ("B", Some(2)));
        set(&mut all, Some(2), at(3), Verdict::new(READY, Some(true), "C", "third"));
        assert_eq!(all[0].last_transition_time, Time(at(3)));
        assert_eq!(all.len(), 1);
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let mut all = Vec::new();
        set(&mut all, None, at(1), Verdict::new(READY, None, "A", "é".repeat(20_000)));
        assert!(all[0].message.len() <= MESSAGE_LIMIT && all[0].message.ends_with('…'));
    }
}
