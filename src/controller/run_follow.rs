//! Following a run to its end, and its end.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::runtime::controller::Action;

use crate::aws::Session;
use crate::aws::executions::Status;
use crate::compile::execution::{RunIdentity, run_id};
use crate::runs::execution::{self, Found};
use crate::runs::history::Story;
use crate::runs::pace::{self, Pace};
use crate::runs::status as turn;
use crate::runs::{sweep, words};

use super::run::{Trouble, Work};
use super::run_start::SETTLE;
use super::{CATCH_UP, Error};

/// How often the commands of an ended execution are looked for.
const SWEEP_AGAIN: Duration = Duration::from_secs(2);
/// A command that was being sent when the execution was stopped shows up in `ListCommands` within this time.
const LATE_COMMANDS: SignedDuration = SignedDuration::from_secs(5);
/// Commands that cannot be cancelled hold up the end of a run for this long, and no longer.
const SWEEP_LIMIT: SignedDuration = SignedDuration::from_mins(10);

/// Looks how far a started run is.
pub(super) async fn follow(work: &mut Work<'_>) -> Result<Action, Error> {
    let session = match work.session().await {
        Ok(session) => session,
        Err(why) => return work.without_account(&why).await,
    };
    let arn = work.status().execution_arn.unwrap_or_default();
    let uid = work.uid();
    let pace = work.ctx.paces.get(&uid);
    // An event told of its end: the history has it, or will have it soon.
    let expected = work.ctx.inboxes.expects_end(&work.key());
    // Whatever else woke the run, its own finalizer for example, is no reason to call where an event will come.
    if let Some(due) = pace.waits_until(work.ctx.clock.now()).filter(|_| !expected && receives(work)) {
        return Ok(Action::requeue(work.ctx.clock.until(due).max(CATCH_UP)));
    }
    if !expected && !pace.wants_history() {
        match execution::find(&session, &arn, &uid).await {
            Ok(Found::Ours(found)) if found.status == Status::Running => {
                work.ctx.backoff.forget(&work.key());
                return Ok(next(work, pace.described(), false));
            }
            Ok(_) => {}
            Err(error) => return work.retry(&Trouble::Follow(error)).await,
        }
    }
    let (story, pages) = match execution::story(&session, &arn).await {
        Ok(Some(found)) => found,
        Ok(None) => return gone(work).await,
        Err(error) => return work.retry(&Trouble::Follow(error)).await,
    };
    if story.end.is_some() {
        return match settle(work, &session, story).await? {
            Ok(action) => Ok(action),
            Err(trouble) => work.retry(&trouble).await,
        };
    }
    work.ctx.backoff.forget(&work.key());
    let after = turn::progressed(work.status(), work.now(), &story);
    let changed = work.write(after).await?;
    Ok(next(work, pace.read(pages, changed), expected))
}

/// When to look again. Where status events arrive one will come at the end, and this is for what it does not tell, or should it be lost.
fn next(work: &Work<'_>, pace: Pace, expected: bool) -> Action {
    let (ctx, status) = (work.ctx, work.status());
    let first = ctx.settings.poll_interval;
    let interval = if expected {
        first
    } else if receives(work) {
        let age = status
            .started_at
            .map_or(Duration::ZERO, |at| Duration::try_from(ctx.clock.now().duration_since(at.0)).unwrap_or_default());
        pace::relaxed(age, first, ctx.settings.repair_interval)
    } else {
        pace.interval(first)
    };
    rest(work, pace, interval)
}

/// Leaves a running execution alone for `interval`.
pub(super) fn rest(work: &Work<'_>, pace: Pace, interval: Duration) -> Action {
    let span = SignedDuration::try_from(interval).unwrap_or(SignedDuration::MAX);
    let due = work.ctx.clock.now().checked_add(span).unwrap_or(Timestamp::MAX);
    work.ctx.paces.set(&work.uid(), pace.due(due));
    Action::requeue(work.ctx.clock.real(interval))
}

/// Whether status events of the run's execution arrive.
fn receives(work: &Work<'_>) -> bool {
    work.ctx.inboxes.receives(work.status().account.as_deref().unwrap_or_default())
}

/// There is no such execution, although it was started.
pub(super) async fn gone(work: &mut Work<'_>) -> Result<Action, Error> {
    let started = work.status().started_at.map(|at| at.0);
    if started.is_some_and(|at| work.ctx.clock.now().duration_since(at) < SETTLE) {
        return Ok(Action::requeue(work.ctx.clock.real(work.ctx.settings.poll_interval)));
    }
    let after = turn::lost(work.status(), work.now());
    let message = after.message.clone().unwrap_or_default();
    work.end(after, "ExecutionGone", &message).await
}

/// The execution has ended: what it left on nodes is cancelled, then the run ends as it did. The caller tries again what failed, and counts that.
pub(super) async fn settle(
    work: &mut Work<'_>,
    session: &Session,
    mut story: Story,
) -> Result<Result<Action, Trouble>, Error> {
    let again = Action::requeue(work.ctx.clock.real(SWEEP_AGAIN));
    let Some(end) = story.end.clone() else { return Ok(Ok(again)) };
    let passed = work.ctx.clock.now().duration_since(end.at);
    let left = match end.status {
        Status::Succeeded => 0,
        _ => match sweep(work, session).await {
            Ok(left) => left,
            // Who may not look for commands never learns whether there are any: that must not keep the run from ending.
            Err(trouble) if passed >= SWEEP_LIMIT => {
                work.warn("Cancel", trouble.reason(), &trouble.to_string()).await;
                0
            }
            Err(trouble) => return Ok(Err(trouble)),
        },
    };
    // An execution that failed by itself was sending nothing; one that was stopped may have been.
    let stopped = matches!(end.status, Status::Aborted | Status::TimedOut);
    let clean = left == 0 && (!stopped || passed >= LATE_COMMANDS);
    if !clean && passed < SWEEP_LIMIT {
        let after = turn::sweeping(work.status(), work.now(), &story, left);
        work.write(after).await?;
        return Ok(Ok(again));
    }
    words::fetch(session, &mut story).await;
    let Some(after) = turn::finished(work.status(), work.now(), &story, left) else {
        return Ok(Ok(again));
    };
    let (reason, message) = (format!("{:?}", after.phase), after.message.clone().unwrap_or_default());
    work.end(after, &reason, &message).await.map(Ok)
}

/// Cancels the run's commands. Gives how many there were.
pub(super) async fn sweep(work: &Work<'_>, session: &Session) -> Result<usize, Trouble> {
    let Some(document) = work.status().document_name else { return Ok(0) };
    let (namespace, name, uid) = (work.namespace(), work.run.name_any(), work.uid());
    let identity = RunIdentity { cluster_id: &work.ctx.cluster_id, namespace: &namespace, name: &name, uid: &uid };
    sweep::sweep(session, &document, &run_id(&identity)).await.map_err(Trouble::Sweep)
}
