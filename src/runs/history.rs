//! An execution's history, folded into the steps that people wrote.
//!
//! The compiler names every state `<path>: <part>` and lets every step pass through exactly one of `done`, `failed` (once for each
//! failed try) and `skipped`; `done` and `failed` put the step's [`Report`] out. After `failed` comes `again`, `handled`, or the
//! failure of what is around the step. Nothing else of the definition is known here, so that a history of an older version folds just as well.

use std::collections::HashMap;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::report::Report;
use super::text::{cut, seconds};
use crate::api::run::{Progress, StepPhase, StepStatus};
use crate::aws::executions::{Event, Status};

/// Most characters of what a step says that it waits for.
const MESSAGE_LIMIT: usize = 512;
/// Name of the state that a workflow which has failed comes to before `onFailure` and `finally`.
const FAILURE: &str = "failure";

/// What an execution has done so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Story {
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// The steps that have begun, in that order.
    pub steps: Vec<Step>,
    /// How it ended, if it has.
    pub end: Option<End>,
    /// Which of `steps` the execution failed at, where it was one.
    pub failed_at: Option<usize>,
}

/// One step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// As the run's status shows it.
    pub status: StepStatus,
    /// Why its last failed try failed.
    pub cause: Option<String>,
    /// The document's plugin that carries its script.
    pub plugin: Option<String>,
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// Succeeded, failed, timed out or aborted.
    pub status: Status,
    /// When.
    pub at: Timestamp,
    /// Name of the error.
    pub error: Option<String>,
    /// Its cause.
    pub cause: Option<String>,
}

/// What became of a step's last try.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Try {
    #[default]
    UnderWay,
    Done,
    Skipped,
    /// Failed, and what that leads to has not been seen.
    Failed,
    /// Failed, and a handler of its own runs.
    Handled,
}

#[derive(Default)]
struct Track {
    step: Step,
    last: Try,
    /// Position of the event that made `last` what it is.
    since: usize,
}

#[derive(Default)]
struct Fold {
    /// Path as state names have it, to its place in `tracks`.
    places: HashMap<String, usize>,
    /// Paths by place.
    paths: Vec<String>,
    tracks: Vec<Track>,
    /// The step whose state was entered last.
    current: Option<usize>,
    /// The step that the workflow failed at, where something runs after that.
    failing: Option<usize>,
    started_at: Option<Timestamp>,
    end: Option<End>,
}

/// Folds a whole history, in the order of its events.
#[must_use]
pub fn fold(events: &[Event]) -> Story {
    let mut fold = Fold::default();
    for (position, event) in events.iter().enumerate() {
        fold.take(position, event);
    }
    fold.finish()
}

/// `<path>: <part>` taken apart. The states with which a workflow begins and ends belong to no step, and have no colon.
fn state(name: Option<&str>) -> Option<(&str, &str)> {
    name.and_then(|name| name.rsplit_once(": "))
}

impl Fold {
    fn take(&mut self, position: usize, event: &Event) {
        let ended = |status| Some(End { status, at: event.at, error: event.error.clone(), cause: event.cause.clone() });
        match event.type_.as_str() {
            "ExecutionStarted" => self.started_at = Some(event.at),
            "ExecutionSucceeded" => self.end = ended(Status::Succeeded),
            "ExecutionFailed" => self.end = ended(Status::Failed),
            "ExecutionTimedOut" => self.end = ended(Status::TimedOut),
            "ExecutionAborted" => self.end = ended(Status::Aborted),
            // A redriven execution goes on where it failed.
            "ExecutionRedriven" => self.end = None,
            other => {
                if event.name.as_deref() == Some(FAILURE) {
                    return self.failure(event);
                }
                let Some((path, part)) = state(event.name.as_deref()) else { return };
                if other.ends_with("StateEntered") {
                    self.entered(position, path, part, event.at);
                } else if other.ends_with("StateExited") {
                    self.exited(position, path, part, event);
                }
            }
        }
    }

    /// The step of a path, which begins now if it was not there.
    fn track(&mut self, path: &str, at: Timestamp) -> (usize, Option<&mut Track>) {
        let place = *self.places.entry(path.to_owned()).or_insert_with(|| {
            let mut track = Track::default();
            path.clone_into(&mut track.step.status.path);
            track.step.status.started_at = Some(seconds(at));
            self.tracks.push(track);
            self.paths.push(path.to_owned());
            self.tracks.len() - 1
        });
        (place, self.tracks.get_mut(place))
    }

    /// The state before `onFailure` and `finally`, which puts out what the workflow failed with. What Step Functions raised itself names no step: then it was where
    /// the execution was.
    fn failure(&mut self, event: &Event) {
        if event.type_.ends_with("StateEntered") {
            self.failing = self.current;
        } else if event.type_.ends_with("StateExited") {
            let output: Value =
                event.output.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
            let step = output.pointer("/failure/step").and_then(Value::as_str);
            self.failing = step.and_then(|step| self.places.get(step).copied()).or(self.failing);
        }
    }

    fn entered(&mut self, position: usize, path: &str, part: &str, at: Timestamp) {
        let (place, track) = self.track(path, at);
        let Some(track) = track else { return };
        match part {
            "done" | "failed" | "route" | "fail" => {}
            "skipped" => track.close(Try::Skipped, position, at),
            _ if part.starts_with("handled") => track.settle(Try::Handled, position),
            "again" => track.resume(position),
            // A try after the first, or a block that is called again because the call is tried again.
            _ if track.last != Try::UnderWay => track.reopen(position, at),
            _ => {}
        }
        self.current = Some(place);
    }

    fn exited(&mut self, position: usize, path: &str, part: &str, event: &Event) {
        let (_, track) = self.track(path, event.at);
        let Some(track) = track else { return };
        let outcome = match part {
            "done" => Try::Done,
            "failed" => Try::Failed,
            // How far its command is, while it runs.
            "poll" => {
                Report::parse(event.output.as_deref()).note_counts(&mut track.step.status);
                return;
            }
            "send" => {
                let mut sent = Report::parse(event.output.as_deref());
                sent.note_command(&mut track.step.status);
                track.step.plugin = sent.plugin;
                return;
            }
            _ => {
                // A step that waits long says for what.
                if let Some(message) = Report::parse(event.output.as_deref()).message {
                    track.step.status.message = Some(cut(&message, MESSAGE_LIMIT));
                }
                return;
            }
        };
        let mut report = Report::parse(event.output.as_deref());
        track.step.cause = report.cause.take();
        track.step.plugin = report.plugin.take().or(track.step.plugin.take());
        report.apply(&mut track.step.status);
        track.close(outcome, position, event.at);
    }

    fn finish(self) -> Story {
        let failed_at = self.failed_at();
        let phases: Vec<StepPhase> = (0..self.tracks.len()).map(|place| self.phase(place, failed_at)).collect();
        let end_at = self.end.as_ref().map(|end| seconds(end.at));
        let steps = self.tracks.into_iter().zip(phases).map(|(track, phase)| {
            let mut step = track.step;
            step.status.phase = phase;
            if phase == StepPhase::Running {
                step.status.finished_at = None;
            } else if step.status.finished_at.is_none() {
                step.status.finished_at.clone_from(&end_at);
            }
            step
        });
        Story { started_at: self.started_at, steps: steps.collect(), end: self.end, failed_at }
    }

    fn phase(&self, place: usize, failed_at: Option<usize>) -> StepPhase {
        let Some(track) = self.tracks.get(place) else { return StepPhase::Running };
        let end = self.end.as_ref().map(|end| end.status);
        match track.last {
            Try::Done => StepPhase::Succeeded,
            Try::Skipped => StepPhase::Skipped,
            Try::Handled => StepPhase::Handled,
            Try::Failed if self.handled_outside(place, track.since) => StepPhase::Handled,
            Try::Failed | Try::UnderWay => match end {
                None => StepPhase::Running,
                Some(Status::Succeeded) if track.last == Try::Failed => StepPhase::Handled,
                Some(Status::Succeeded) => StepPhase::Succeeded,
                Some(Status::Failed) if track.last == Try::Failed || self.holds(place, failed_at) => StepPhase::Failed,
                Some(_) => StepPhase::Cancelled,
            },
        }
    }

    /// Whether the step at `outer` is the step at `inner`, or one that it is inside of.
    fn holds(&self, outer: usize, inner: Option<usize>) -> bool {
        let Some((outer, inner)) = self.paths.get(outer).zip(inner.and_then(|inner| self.paths.get(inner))) else {
            return false;
        };
        inner.strip_prefix(outer.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether a step around the one at `place` handled its failure, that is: later than it happened.
    fn handled_outside(&self, place: usize, failed: usize) -> bool {
        self.tracks.iter().enumerate().any(|(outer, track)| {
            outer != place && track.last == Try::Handled && track.since > failed && self.holds(outer, Some(place))
        })
    }

    /// Where the failure arose that ended the execution: the innermost step that failed on the way out.
    fn failed_at(&self) -> Option<usize> {
        let end = self.end.as_ref()?;
        if end.status != Status::Failed {
            return None;
        }
        if self.failing.is_some() {
            return self.failing;
        }
        // The last step that it was at failed, or Step Functions itself ended it there.
        let outermost = self.current?;
        let inside = self.tracks.iter().enumerate().filter(|(place, track)| {
            track.last == Try::Failed
                && self.holds(outermost, Some(*place))
                && !self.handled_outside(*place, track.since)
        });
        let innermost = inside.max_by_key(|(place, track)| (self.depth(*place), track.since));
        Some(innermost.map_or(outermost, |(place, _)| place))
    }

    fn depth(&self, place: usize) -> usize {
        self.paths.get(place).map_or(0, |path| path.matches('/').count())
    }
}

impl Track {
    /// A try has ended.
    fn close(&mut self, outcome: Try, position: usize, at: Timestamp) {
        self.settle(outcome, position);
        self.step.status.message = None;
        self.step.status.finished_at = Some(seconds(at));
    }

    fn settle(&mut self, outcome: Try, position: usize) {
        self.last = outcome;
        self.since = position;
    }

    /// It is tried again; what its last try gave stands until the next has ended.
    fn resume(&mut self, position: usize) {
        self.settle(Try::UnderWay, position);
        self.step.status.finished_at = None;
    }

    /// The step is begun anew from outside.
    fn reopen(&mut self, position: usize, at: Timestamp) {
        let path = std::mem::take(&mut self.step.status.path);
        self.step = Step::default();
        self.step.status = StepStatus { path, started_at: Some(seconds(at)), ..StepStatus::default() };
        self.settle(Try::UnderWay, position);
    }
}

/// How far the steps have come. `known` is how many the workflow has at its top level; the ones inside of others are not counted.
#[must_use]
pub fn progress(steps: &[StepStatus], known: usize) -> Progress {
    let top = || steps.iter().filter(|step| !step.path.contains('/'));
    let over =
        |step: &&StepStatus| matches!(step.phase, StepPhase::Succeeded | StepPhase::Handled | StepPhase::Skipped);
    let (done, begun) = (top().filter(over).count(), top().count());
    Progress { steps: format!("{done}/{}", known.max(begun)), nodes: nodes(steps) }
}

/// Nodes that succeeded in everything they did, of the nodes that were reached; while a step runs on nodes, those of it. Lists are cut at 50 nodes a step: beyond that
/// the counts of the largest step stand for the rest.
fn nodes(steps: &[StepStatus]) -> Option<String> {
    // While a step runs, how far it is with its nodes is what people look for.
    let running = steps.iter().rev().find(|step| step.phase == StepPhase::Running);
    if let Some(counts) = running.and_then(|step| step.node_counts).filter(|counts| counts.total > 0) {
        return Some(format!("{}/{}", counts.succeeded, counts.total));
    }
    let mut well: HashMap<&str, bool> = HashMap::new();
    let (mut most, mut most_failed) = (0, 0);
    for step in steps {
        let counts = step.node_counts.unwrap_or_default();
        most = most.max(counts.total);
        most_failed = most_failed.max(counts.failed);
        for node in &step.nodes {
            *well.entry(node.id.as_str()).or_insert(true) &= succeeded(&node.status);
        }
    }
    let seen = i32::try_from(well.len()).unwrap_or(i32::MAX).max(most);
    let failed = i32::try_from(well.values().filter(|well| !**well).count()).unwrap_or(i32::MAX).max(most_failed);
    (seen > 0).then(|| format!("{}/{seen}", seen.saturating_sub(failed)))
}

/// Whether an invocation's status is the one that means that all went well.
#[must_use]
pub fn succeeded(invocation_status: &str) -> bool {
    invocation_status == "Success"
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
