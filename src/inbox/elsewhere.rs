//! Executions that were started past Windlass: how many, and the last of them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::workflow::{ElsewhereExecution, StartedElsewhere};

use super::message::StatusEvent;

/// How many are listed.
const LISTED: usize = 10;

/// What an event adds to what is known; none when it adds nothing. Events come more than once and in any order.
///
/// An execution that is not in a full list and started before everything there was counted when it was: it has dropped out since.
#[must_use]
pub fn note(known: &StartedElsewhere, event: &StatusEvent) -> Option<StartedElsewhere> {
    let started = event.started.unwrap_or(event.at);
    let mut after = known.clone();
    if let Some(listed) = after.last.iter_mut().find(|listed| listed.name == event.name) {
        let newer = event.at > listed.changed_at.0 || (event.at == listed.changed_at.0 && event.is_end());
        if !newer || listed.status == event.status {
            return None;
        }
        listed.status.clone_from(&event.status);
        listed.changed_at = Time(event.at);
        return Some(after);
    }
    let full = after.last.len() >= LISTED;
    if full && after.last.last().is_some_and(|oldest| started <= oldest.started_at.0) {
        return None;
    }
    after.count = after.count.saturating_add(1);
    after.last.push(ElsewhereExecution {
        name: event.name.clone(),
        status: event.status.clone(),
        started_at: Time(started),
        changed_at: Time(event.at),
    });
    after.last.sort_by(|one, other| other.started_at.cmp(&one.started_at).then_with(|| one.name.cmp(&other.name)));
    after.last.truncate(LISTED);
    Some(after)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn event(name: &str, status: &str, started: i64, at: i64) -> StatusEvent {
        let second = |at| Timestamp::from_second(at).unwrap();
        StatusEvent {
            execution_arn: String::new(),
            name: name.into(),
            machine_arn: String::new(),
            status: status.into(),
            at: second(at),
            started: Some(second(started)),
        }
    }

    /// Notes events in their order and gives what is known then.
    fn noted(events: &[StatusEvent]) -> StartedElsewhere {
        events.iter().fold(StartedElsewhere::default(), |known, event| note(&known, event).unwrap_or(known))
    }

    fn listed(known: &StartedElsewhere) -> Vec<(&str, &str)> {
        known.last.iter().map(|listed| (listed.name.as_str(), listed.status.as_str())).collect()
    }

    #[test]
    fn an_execution_counts_once_however_often_it_is_told_of() {
        let (begun, done) = (event("a", "RUNNING", 1, 1), event("a", "FAILED", 1, 5));
        for order in [vec![&begun, &done], vec![&done, &begun], vec![&begun, &begun, &done, &done, &begun]] {
            let events: Vec<StatusEvent> = order.into_iter().cloned().collect();
            let known = noted(&events);
            assert_eq!((known.count, listed(&known)), (1, vec![("a", "FAILED")]), "{events:?}");
        }
        let at_once = noted(&[event("a", "SUCCEEDED", 1, 1), event("a", "RUNNING", 1, 1)]);
        assert_eq!(listed(&at_once), [("a", "SUCCEEDED")], "both in the same second");
    }

    #[test]
    fn the_last_are_listed_and_all_are_counted() {
        let events: Vec<StatusEvent> = (0..25).map(|n| event(&format!("e{n}"), "RUNNING", n, n)).collect();
        let known = noted(&events);
        assert_eq!((known.count, known.last.len()), (25, LISTED));
        assert_eq!(listed(&known)[0], ("e24", "RUNNING"));
        let late = note(&known, &event("e3", "SUCCEEDED", 3, 99));
        assert_eq!(late, None, "it dropped out of the list and was counted before");
        assert_eq!(note(&known, &event("e24", "SUCCEEDED", 24, 99)).unwrap().count, 25);
    }
}
