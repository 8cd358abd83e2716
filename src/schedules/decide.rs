//! What to do about a schedule now: decided here from what is known, done elsewhere.
//!
//! A due time is dealt with once: a run is made for it under a name that derives from schedule and due time, or it is missed. What was dealt with last stands in the status; where
//! that could not be written any more, the run itself says it.

use jiff::{SignedDuration, Timestamp};

use crate::api::WorkflowScheduleSpec;
use crate::api::schedule::ConcurrencyPolicy;

use super::timing::Timing;

/// How many missed times are counted.
const COUNTED: usize = 100;

/// A run of the schedule, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sibling {
    /// Its name.
    pub name: String,
    /// When it was due.
    pub due: Timestamp,
    /// How it stands.
    pub state: State,
}

/// How a run of the schedule stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has not ended.
    Active,
    /// It has not ended, and was told to.
    Cancelled,
    /// It ended well, then.
    EndedWell(Option<Timestamp>),
    /// It ended otherwise.
    Ended,
}

impl State {
    fn is_active(self) -> bool {
        matches!(self, Self::Active | Self::Cancelled)
    }
}

/// What is known of a schedule.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Its manifest.
    pub spec: &'a WorkflowScheduleSpec,
    /// Times count from here.
    pub counts_from: Timestamp,
    /// The latest due time that was dealt with.
    pub last_due: Option<Timestamp>,
    /// Its runs.
    pub runs: &'a [Sibling],
}

/// What to do about the latest due time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing: none is due.
    Rest,
    /// Make a run for it.
    Start(Timestamp),
    /// A run was made for it, and the status does not say so.
    Made(Timestamp),
    /// Cancel these runs, which it replaces, and look again.
    Cancel(Timestamp, Vec<String>),
    /// It waits for this run to end.
    Hold(Timestamp, String),
    /// It is missed.
    Miss(Timestamp, Cause),
}

/// Why a time is missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It was noticed too late.
    Late,
    /// This run did not end in time.
    Overlap(String),
}

/// What to do now, and when to look again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// About the latest due time.
    pub turn: Turn,
    /// Due times before it that were not dealt with: how many (100 stands for more), and the last.
    pub passed: Option<(usize, Timestamp)>,
    /// The next due time.
    pub next: Option<Timestamp>,
    /// When something changes by itself: the next due time, or the deadline of one that waits.
    pub look_again: Option<Timestamp>,
}

/// Decides.
#[must_use]
pub fn decide(known: &Known<'_>, timing: &Timing, now: Timestamp) -> Plan {
    if known.spec.suspend {
        return Plan { turn: Turn::Rest, passed: None, next: None, look_again: None };
    }
    let next = timing.next_after(now);
    let newest = known.runs.iter().map(|run| run.due).max();
    let from = known.counts_from.max(known.last_due.unwrap_or(Timestamp::MIN));
    let rest = Plan { turn: Turn::Rest, passed: None, next, look_again: next };
    // A clock that was put back is before what was dealt with: that is not due again.
    let Some(due) = timing.last_until(now).filter(|due| *due > from) else { return rest };
    let since = newest.filter(|made| *made < due).map_or(from, |made| from.max(made));
    let passed = passed(timing, since, due);
    let deadline = deadline(known.spec, due);
    let active: Vec<&Sibling> = known.runs.iter().filter(|run| run.state.is_active() && run.due != due).collect();
    let plan = |turn| Plan { turn, passed, next, look_again: next };
    let waits = |turn| Plan {
        turn,
        passed: None,
        next,
        look_again: next.map_or(Some(deadline), |next| Some(next.min(deadline))),
    };
    if known.runs.iter().any(|run| run.due == due) {
        return plan(Turn::Made(due));
    }
    let first = active.iter().min_by_key(|run| run.due).map(|run| run.name.clone());
    match first.filter(|_| known.spec.concurrency_policy != ConcurrencyPolicy::Allow) {
        None if now > deadline => plan(Turn::Miss(due, Cause::Late)),
        None => plan(Turn::Start(due)),
        Some(other) if now > deadline => plan(Turn::Miss(due, Cause::Overlap(other))),
        Some(other) => {
            let running: Vec<String> =
                active.iter().filter(|run| run.state == State::Active).map(|run| run.name.clone()).collect();
            if known.spec.concurrency_policy == ConcurrencyPolicy::Replace && !running.is_empty() {
                waits(Turn::Cancel(due, running))
            } else {
                waits(Turn::Hold(due, other))
            }
        }
    }
}

/// Until when a run for a due time may start.
#[must_use]
pub fn deadline(spec: &WorkflowScheduleSpec, due: Timestamp) -> Timestamp {
    let span = SignedDuration::try_from(spec.starting_deadline.to_duration()).unwrap_or(SignedDuration::MAX);
    due.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// The due times after `from` and before `due`.
fn passed(timing: &Timing, from: Timestamp, due: Timestamp) -> Option<(usize, Timestamp)> {
    let before = due.checked_sub(SignedDuration::from_nanos(1)).ok()?;
    let last = timing.last_until(before).filter(|last| *last > from)?;
    let mut count = 1;
    let mut at = last;
    while count < COUNTED {
        let Some(earlier) = at.checked_sub(SignedDuration::from_nanos(1)).ok().and_then(|at| timing.last_until(at))
        else {
            break;
        };
        if earlier <= from {
            break;
        }
        at = earlier;
        count += 1;
    }
    Some((count, last))
}

/// Name of the run for a due time: the same whenever and by whomever it is made. UTC, in which no time comes twice.
#[must_use]
pub fn run_name(schedule: &str, due: Timestamp) -> String {
    format!("{schedule}-{}", due.strftime("%Y%m%d%H%M"))
}

/// Ended runs beyond what the history limits keep, the oldest first.
#[must_use]
pub fn surplus(spec: &WorkflowScheduleSpec, runs: &[Sibling]) -> Vec<String> {
    let beyond = |well: bool, limit: i32| {
        let mut ended: Vec<&Sibling> = runs
            .iter()
            .filter(|run| !run.state.is_active() && matches!(run.state, State::EndedWell(_)) == well)
            .collect();
        ended.sort_by(|a, b| b.due.cmp(&a.due).then_with(|| a.name.cmp(&b.name)));
        let kept = usize::try_from(limit).unwrap_or(0);
        ended.into_iter().skip(kept).map(|run| (run.due, run.name.clone())).collect::<Vec<_>>()
    };
    let mut all = beyond(true, spec.successful_runs_history_limit);
    all.extend(beyond(false, spec.failed_runs_history_limit));
    all.sort();
    all.into_iter().map(|(_, name)| name).collect()
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
