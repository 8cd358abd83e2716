//! The status of a run at each turn of its life. Pure: each function takes the status as it is and gives it as it should be.

use k8s_openapi::jiff::Timestamp;

use super::attribution::{attribute, headline};
use super::bounds::bound;
use super::decide::{Pin, Refusal, Start, Wait, Why};
use super::history::{Story, progress};
use super::text::seconds;
use crate::api::WorkflowRunStatus;
use crate::api::conditions::{self, STARTED, SUCCEEDED, Verdict};
use crate::api::run::{Failure, Layer, ListedTargets, NodeCounts, Phase, Progress, StepPhase, StepStatus};
use crate::aws::executions::Status;

/// The moment and generation that a status is about.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// On Windlass's clock.
    pub at: Timestamp,
    /// Of the run.
    pub generation: Option<i64>,
}

/// The error that Windlass stops executions with.
pub const CANCELLED: &str = "Windlass.Cancelled";

impl Now {
    fn say(self, status: &mut WorkflowRunStatus, started: Verdict, succeeded: Verdict) {
        status.observed_generation = self.generation;
        for verdict in [started, succeeded] {
            conditions::set(&mut status.conditions, self.generation, self.at, verdict);
        }
    }
}

fn started(value: Option<bool>, reason: &str, message: &str) -> Verdict {
    Verdict::new(STARTED, value, reason, message)
}

fn succeeded(value: Option<bool>, reason: &str, message: &str) -> Verdict {
    Verdict::new(SUCCEEDED, value, reason, message)
}

fn pin(status: &mut WorkflowRunStatus, pin: &Pin) {
    status.workflow_generation = Some(pin.generation);
    status.workflow_uid.clone_from(&pin.uid);
}

/// Forgets a start that did not come about.
fn unprepare(status: &mut WorkflowRunStatus) {
    status.execution_arn = None;
    status.state_machine_version_arn = None;
    status.document_name = None;
    status.account = None;
    status.progress = None;
    status.targets = Vec::new();
}

/// It waits, and nothing was started.
#[must_use]
pub fn waiting(mut status: WorkflowRunStatus, now: Now, wait: &Wait) -> WorkflowRunStatus {
    unprepare(&mut status);
    if let Some(seen) = &wait.pin {
        pin(&mut status, seen);
    }
    status.phase = Phase::Pending;
    status.message = Some(wait.message.clone());
    now.say(&mut status, started(Some(false), wait.reason, &wait.message), succeeded(None, "Pending", ""));
    bound(&mut status);
    status
}

/// It ends without having started.
#[must_use]
pub fn refused(mut status: WorkflowRunStatus, now: Now, refusal: &Refusal) -> WorkflowRunStatus {
    unprepare(&mut status);
    status.phase = refusal.phase;
    status.message = Some(refusal.message.clone());
    status.failure.clone_from(&refusal.failure);
    status.finished_at = Some(seconds(now.at));
    let verdicts = (
        started(Some(false), refusal.reason, &refusal.message),
        succeeded(Some(false), refusal.reason, &refusal.message),
    );
    now.say(&mut status, verdicts.0, verdicts.1);
    bound(&mut status);
    status
}

/// It is about to be started: what this says is known before anything happens in AWS.
#[must_use]
pub fn prepared(
    mut status: WorkflowRunStatus,
    now: Now,
    start: &Start,
    execution_arn: &str,
    targets: Vec<ListedTargets>,
) -> WorkflowRunStatus {
    pin(&mut status, &start.pin);
    status.phase = Phase::Pending;
    status.message = Some("about to start".to_owned());
    status.account = Some(start.account.clone());
    status.state_machine_version_arn = Some(start.version_arn.clone());
    status.document_name.clone_from(&start.document);
    status.targets = targets;
    status.execution_arn = Some(execution_arn.to_owned());
    status.progress = Some(Progress { steps: format!("0/{}", start.steps), nodes: None });
    now.say(
        &mut status,
        started(None, "Starting", "the execution is about to be started"),
        succeeded(None, "Pending", ""),
    );
    status
}

/// Its execution runs since `at`.
#[must_use]
pub fn running(mut status: WorkflowRunStatus, now: Now, at: Timestamp) -> WorkflowRunStatus {
    status.phase = Phase::Running;
    status.message = Some("started".to_owned());
    status.started_at = Some(seconds(at));
    now.say(&mut status, started(Some(true), "Started", ""), succeeded(None, "Running", ""));
    status
}

/// It is as far as its history tells. The phase stays: Running or Cancelling.
#[must_use]
pub fn progressed(mut status: WorkflowRunStatus, now: Now, story: &Story) -> WorkflowRunStatus {
    show(&mut status, story);
    if status.phase != Phase::Cancelling {
        status.message = Some(underway(&status.steps));
    }
    status.observed_generation = now.generation;
    bound(&mut status);
    status
}

/// It is being stopped.
#[must_use]
pub fn cancelling(mut status: WorkflowRunStatus, now: Now, why: Why) -> WorkflowRunStatus {
    status.phase = Phase::Cancelling;
    status.message = Some(format!("being {}; its commands on the nodes are cancelled too", why.cause()));
    status.observed_generation = now.generation;
    conditions::set(&mut status.conditions, now.generation, now.at, succeeded(None, "Cancelling", why.cause()));
    status
}

/// Its execution has ended; what is left of it on nodes is being cancelled.
#[must_use]
pub fn sweeping(mut status: WorkflowRunStatus, now: Now, story: &Story, left: usize) -> WorkflowRunStatus {
    show(&mut status, story);
    status.message = Some(match left {
        0 => "the execution has ended; making sure that no command of it still runs on nodes".to_owned(),
        1 => "the execution has ended; one command of it is being cancelled on nodes".to_owned(),
        more => format!("the execution has ended; {more} commands of it are being cancelled on nodes"),
    });
    status.observed_generation = now.generation;
    bound(&mut status);
    status
}

/// Something keeps Windlass from going on; everything else stays as it was.
#[must_use]
pub fn held_up(mut status: WorkflowRunStatus, now: Now, message: &str) -> WorkflowRunStatus {
    status.message = Some(message.to_owned());
    status.observed_generation = now.generation;
    bound(&mut status);
    status
}

/// It has ended, and so has everything that it caused but for `left` commands. None while the story has no end.
#[must_use]
pub fn finished(mut status: WorkflowRunStatus, now: Now, story: &Story, left: usize) -> Option<WorkflowRunStatus> {
    let end = story.end.as_ref()?;
    let by_us = status.phase == Phase::Cancelling || end.error.as_deref() == Some(CANCELLED);
    show(&mut status, story);
    let (phase, message) = match end.status {
        Status::Succeeded => (Phase::Succeeded, well(&status)),
        Status::TimedOut => (Phase::TimedOut, String::new()),
        Status::Aborted if by_us => (Phase::Cancelled, end.cause.clone().unwrap_or_else(|| "cancelled".to_owned())),
        Status::Aborted => (Phase::Cancelled, aborted_outside(end.error.as_deref(), end.cause.as_deref())),
        Status::Failed | Status::Running | Status::PendingRedrive => (Phase::Failed, String::new()),
    };
    status.phase = phase;
    status.failure = attribute(story);
    let mut message = status.failure.as_ref().map_or(message, headline);
    if left > 0 {
        message = format!("{message}; {left} of its commands could not be cancelled and may still run on nodes");
    }
    close(&mut status, now, story, message);
    Some(status)
}

/// An earlier run of the same name was started in its place; this one shows how that one ended.
#[must_use]
pub fn already_ran(mut status: WorkflowRunStatus, now: Now, story: &Story, uid: Option<&str>) -> WorkflowRunStatus {
    show(&mut status, story);
    status.phase = Phase::AlreadyRan;
    status.failure = attribute(story);
    let how = match story.end.as_ref().map(|end| end.status) {
        Some(Status::Succeeded) => "succeeded".to_owned(),
        Some(Status::Failed) => match &status.failure {
            Some(failure) => format!("failed: {}", headline(failure)),
            None => "failed".to_owned(),
        },
        Some(Status::TimedOut) => "timed out".to_owned(),
        Some(Status::Aborted) => "was cancelled".to_owned(),
        _ => "has ended".to_owned(),
    };
    let by = uid.map_or_else(
        || "something else than Windlass".to_owned(),
        |uid| format!("an earlier WorkflowRun of this name (UID {uid})"),
    );
    let message = format!(
        "nothing was started: {by} ran under this name, and {how}; its result is shown. To run again, create a WorkflowRun with another name"
    );
    close(&mut status, now, story, message.clone());
    let reason = "AlreadyRan";
    let verdict = conditions::is_true(&status.conditions, SUCCEEDED);
    now.say(&mut status, started(Some(false), reason, &message), succeeded(Some(verdict), reason, &message));
    status
}

/// An earlier run of the same name still runs in its place.
#[must_use]
pub fn earlier_runs(mut status: WorkflowRunStatus, now: Now, message: &str) -> WorkflowRunStatus {
    status.phase = Phase::Pending;
    status.message = Some(message.to_owned());
    now.say(&mut status, started(Some(false), "EarlierRunActive", message), succeeded(None, "Pending", ""));
    status
}

/// Its execution is not there any more, although it was started.
#[must_use]
pub fn lost(mut status: WorkflowRunStatus, now: Now) -> WorkflowRunStatus {
    let cause = "the execution is not there any more: its state machine was deleted, or it ended more than 90 days ago";
    status.phase = Phase::Failed;
    for step in &mut status.steps {
        if step.phase == StepPhase::Running {
            step.phase = StepPhase::Cancelled;
        }
    }
    status.failure = Some(Failure {
        step: None,
        node: None,
        layer: Layer::StepFunctions,
        error: "ExecutionGone".to_owned(),
        cause: cause.to_owned(),
        hint: "find out who deleted the state machine (CloudTrail shows DeleteStateMachine), and whether its scripts still run on the nodes".to_owned(),
    });
    close(&mut status, now, &Story::default(), cause.to_owned());
    status
}

/// Steps and times.
fn show(status: &mut WorkflowRunStatus, story: &Story) {
    status.steps = story.steps.iter().map(|step| step.status.clone()).collect();
    status.progress = Some(progress(&status.steps, known_steps(status)));
    if let Some(at) = story.started_at {
        status.started_at = Some(seconds(at));
    }
}

/// How many steps the workflow has, as the start wrote it down: by now it may have been edited.
fn known_steps(status: &WorkflowRunStatus) -> usize {
    let known = status.progress.as_ref().and_then(|progress| progress.steps.rsplit_once('/'));
    known.and_then(|(_, known)| known.parse().ok()).unwrap_or(0)
}

fn close(status: &mut WorkflowRunStatus, now: Now, story: &Story, message: String) {
    status.finished_at = Some(seconds(story.end.as_ref().map_or(now.at, |end| end.at)));
    let well = matches!(story.end.as_ref().map(|end| end.status), Some(Status::Succeeded));
    let reason = format!("{:?}", status.phase);
    now.say(status, started(Some(true), "Started", ""), succeeded(Some(well), &reason, &message));
    status.message = Some(message);
    bound(status);
}

fn underway(steps: &[StepStatus]) -> String {
    let current = steps.iter().rev().find(|step| step.phase == StepPhase::Running);
    current.map_or_else(
        || "running".to_owned(),
        |step| match &step.error {
            Some(error) => format!("at step {}, which failed with {error} and is tried again", step.path),
            None => match &step.message {
                Some(message) => format!("at step {}, which {message}", step.path),
                None => match step.node_counts.filter(|counts| counts.total > 0) {
                    Some(counts) => format!("at step {}: {}", step.path, how_far(counts)),
                    None => format!("at step {}", step.path),
                },
            },
        },
    )
}

/// `3 of 5 nodes done, 1 of them failed`.
fn how_far(counts: NodeCounts) -> String {
    let done = counts.succeeded.saturating_add(counts.failed);
    let failed = if counts.failed > 0 { format!(", {} of them failed", counts.failed) } else { String::new() };
    format!("{done} of {} nodes done{failed}", counts.total)
}

fn well(status: &WorkflowRunStatus) -> String {
    let Some(progress) = &status.progress else { return "succeeded".to_owned() };
    let steps = format!("{} steps done", progress.steps);
    progress.nodes.as_ref().map_or_else(|| steps.clone(), |nodes| format!("{steps}, {nodes} nodes well"))
}

fn aborted_outside(error: Option<&str>, cause: Option<&str>) -> String {
    let said: Vec<&str> = [error, cause].into_iter().flatten().filter(|text| !text.is_empty()).collect();
    let said = if said.is_empty() { "without a reason given".to_owned() } else { format!("with: {}", said.join(": ")) };
    format!("stopped from outside of Windlass, {said}; CloudTrail shows who called StopExecution")
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
