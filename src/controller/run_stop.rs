//! Stopping a run: its execution first, then what that left on nodes.

use std::time::Duration;

use kube::runtime::controller::Action;
use tracing::warn;

use crate::api::run::{Phase, WorkflowRunStatus};
use crate::aws::Session;
use crate::aws::executions::{self, Status};
use crate::resolve::Unavailable;
use crate::runs::decide::{Refusal, Why, is_started};
use crate::runs::execution::{self, Found};
use crate::runs::status::{self as turn, CANCELLED};

use super::Error;
use super::run::{Trouble, Work};
use super::run_follow::{gone, settle, sweep};
use super::run_start::settled;

/// How soon after `StopExecution` its effect is looked for.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// How long, on Windlass's clock, AWS or the account may keep a deleted object from going.
const DELETION_LIMIT: Duration = Duration::from_mins(15);

/// Stops a run that was started, or may have been.
pub(super) async fn stop(work: &mut Work<'_>, why: Why) -> Result<Action, Error> {
    let session = match work.session().await {
        Ok(session) => session,
        Err(unavailable) => return without_account(work, why, &unavailable).await,
    };
    let result = if !is_started(&work.status()) {
        look_for(work, &session, why).await?
    } else if work.status().phase == Phase::Cancelling {
        verify(work, &session, why).await?
    } else {
        begin(work, &session, why).await?
    };
    match result {
        Ok(action) => {
            work.ctx.backoff.forget(&work.key());
            Ok(action)
        }
        Err(trouble) if overdue(work, why) => leave_behind(work, &trouble.to_string()).await,
        Err(trouble) => work.retry(&trouble).await,
    }
}

type Step = Result<Result<Action, Trouble>, Error>;

/// It may or may not have been started.
async fn look_for(work: &mut Work<'_>, session: &Session, why: Why) -> Step {
    let arn = arn(&work.status());
    let found = match execution::find(session, &arn, &work.uid()).await {
        Ok(found) => found,
        Err(error) => return Ok(Err(Trouble::Follow(error))),
    };
    let message = match found {
        Found::Ours(execution) => {
            let after = turn::running(work.status(), work.now(), execution.started_at);
            work.write(after).await?;
            return begin(work, session, why).await;
        }
        Found::Nothing if !settled(work) => return Ok(Ok(Action::requeue(work.ctx.clock.real(LOOK_AGAIN)))),
        Found::Nothing => "cancelled before it had started; nothing was run".to_owned(),
        Found::Earlier(_) => {
            format!("cancelled; nothing was started by it, and {arn}, which is another's execution, was left alone")
        }
    };
    match why {
        Why::Deleted => work.let_go().await,
        Why::Requested => {
            let reason = "CancelledBeforeStart";
            work.refuse(&Refusal { phase: Phase::Cancelled, reason, message, failure: None }).await
        }
    }
    .map(Ok)
}

/// Says that it is being stopped, and does it.
async fn begin(work: &mut Work<'_>, session: &Session, why: Why) -> Step {
    let after = turn::cancelling(work.status(), work.now(), why);
    if work.write(after).await? {
        work.tell("Cancel", "Cancelling", why.cause()).await;
    }
    Ok(halt(work, session, why).await)
}

/// Stops the execution, and right away what it has running on nodes.
async fn halt(work: &Work<'_>, session: &Session, why: Why) -> Result<Action, Trouble> {
    executions::stop(session, &arn(&work.status()), CANCELLED, why.cause()).await.map_err(Trouble::Stop)?;
    sweep(work, session).await?;
    Ok(Action::requeue(work.ctx.clock.real(LOOK_AGAIN)))
}

/// It was stopped before, by this process or another: has it ended, and does nothing of it run any more?
async fn verify(work: &mut Work<'_>, session: &Session, why: Why) -> Step {
    let story = match execution::story(session, &arn(&work.status())).await {
        Ok(Some((story, _))) => story,
        Ok(None) => return gone(work).await.map(Ok),
        Err(error) => return Ok(Err(Trouble::Follow(error))),
    };
    match story.end.as_ref().map(|end| end.status) {
        None | Some(Status::Running) => Ok(halt(work, session, why).await),
        Some(_) => settle(work, session, story).await,
    }
}

async fn without_account(work: &mut Work<'_>, why: Why, unavailable: &Unavailable) -> Result<Action, Error> {
    let for_good = why == Why::Deleted && unavailable.reason == "AccountNotFound";
    if for_good || overdue(work, why) {
        return leave_behind(work, &unavailable.message).await;
    }
    work.without_account(unavailable).await
}

/// Whether a deletion has been held up for long enough: it always ends.
fn overdue(work: &Work<'_>, why: Why) -> bool {
    let since = work.run.metadata.deletion_timestamp.as_ref().map(|since| since.0);
    why == Why::Deleted && since.is_some_and(|since| work.ctx.clock.passed_since(since) >= DELETION_LIMIT)
}

async fn leave_behind(work: &Work<'_>, cause: &str) -> Result<Action, Error> {
    let arn = arn(&work.status());
    let note = format!(
        "{cause}; the object goes, but execution {arn} and its commands may still run: stop them by hand with aws stepfunctions stop-execution"
    );
    warn!(run = %work.key(), execution = %arn, cause, "deleted without having been stopped");
    work.warn("Delete", "LeftBehind", &note).await;
    work.let_go().await
}

fn arn(status: &WorkflowRunStatus) -> String {
    status.execution_arn.clone().unwrap_or_default()
}
