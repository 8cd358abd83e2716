//! Starting a run once: what is about to happen is in the status before it happens, and the execution's name is taken once and for all.

use std::time::Duration;

use k8s_openapi::jiff::SignedDuration;
use kube::ResourceExt;
use kube::runtime::controller::Action;

use crate::api::AwsAccount;
use crate::api::conditions::{self, STARTED};
use crate::api::names::execution_name;
use crate::api::run::{Failure, Layer, ListedTargets, Mode, Phase};
use crate::aws::executions::{Execution, Status, execution_arn};
use crate::aws::{AwsError, Class, Session};
use crate::compile::execution::{RunIdentity, input};
use crate::resolve;
use crate::runs::decide::{self, Refusal, Start, Wait, admit};
use crate::runs::execution::{self, Begun, Found, Launch};
use crate::runs::pace::Pace;
use crate::runs::preview::previewed;
use crate::runs::status as turn;
use crate::runs::targets::{self, Listed};
use crate::runs::words;

use super::Error;
use super::run::{Trouble, Work};
use super::run_follow::rest;
use super::run_targets::{self, Unlisted};

/// How long after a start was written down AWS's answer that there is no such execution is not yet believed: reads there are eventually consistent.
pub(super) const SETTLE: SignedDuration = SignedDuration::from_secs(30);
/// How often an execution that is not known to exist is looked for.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// How often another run's execution under the same name is looked at.
const EARLIER: Duration = Duration::from_secs(15);

/// Starts a run that was not started.
pub(super) async fn start(work: &mut Work<'_>, start: Start) -> Result<Action, Error> {
    let (account, session) = match resolve::account(work.ctx, &start.account).await {
        Ok(found) => found,
        Err(why) => {
            let wait = Wait { reason: why.reason, message: why.message, pin: Some(start.pin), until: not_after(work) };
            return work.wait(&wait).await;
        }
    };
    let name = execution_name(&work.ctx.cluster_id, &work.namespace(), &work.run.name_any());
    let Some(arn) = execution_arn(&start.version_arn, &name) else {
        let message = format!(
            "the workflow's status has {} for a state machine version, which is no ARN of one",
            start.version_arn
        );
        return work
            .wait(&Wait { reason: "WorkflowNotReady", message, pin: Some(start.pin), until: not_after(work) })
            .await;
    };
    let input = match prepare(work, &session, &account, &start).await {
        Ok(input) => input,
        Err(why) => return unlisted(work, &start, why).await,
    };
    if work.run.spec.mode == Mode::Preview {
        let after = previewed(work.status(), work.now(), &start, input.targets);
        let message = after.message.clone().unwrap_or_default();
        return work.end(after, "Previewed", &message).await;
    }
    super::finalize::add(work.ctx, work.api, &work.run).await?;
    work.write(turn::prepared(work.status(), work.now(), &start, &arn, input.targets.clone())).await?;
    // From here on the deletion of the workflow waits for this run. If it began before, this read shows it, and nothing is started.
    let workflow = work.workflow(true).await?;
    match admit(&work.run, &workflow, work.ctx.clock.now()) {
        decide::Action::Start(again) if *again == start => {
            launch(work, &session, &start, &name, &arn, &input.value).await
        }
        other => Box::pin(work.act(other)).await,
    }
}

/// What an execution is given, and what the run's status says of it.
struct Prepared {
    value: serde_json::Value,
    targets: Vec<ListedTargets>,
}

/// Lists the nodes that the run needs listed, and puts its input together.
async fn prepare(
    work: &Work<'_>,
    session: &Session,
    account: &AwsAccount,
    start: &Start,
) -> Result<Prepared, Unlisted> {
    let (namespace, run, uid) = (work.namespace(), work.run.name_any(), work.uid());
    let mode = work.run.spec.mode;
    let sets = run_targets::sets_of(work, account, start)?;
    if mode == Mode::WhatIf {
        run_targets::only_asks(start)?;
    }
    let listed = run_targets::list(work, session, sets, mode == Mode::Preview).await?;
    let identity = RunIdentity { cluster_id: &work.ctx.cluster_id, namespace: &namespace, name: &run, uid: &uid };
    let value = input(&identity, mode == Mode::WhatIf, &start.parameters, &targets::input(&listed));
    if let Some(sum) = targets::too_large(&value) {
        let hint = "run on a part of the nodes at a time (spec.targets of the run), or hand over smaller parameters";
        let refusal = run_targets::refusal("InputTooLarge", "InputTooLarge", format!("nothing was run: {sum}"), hint);
        return Err(Unlisted::Refuse(Box::new(refusal)));
    }
    Ok(Prepared { value, targets: listed.iter().map(Listed::status).collect() })
}

/// The nodes could not be listed, or nothing can be run on them.
async fn unlisted(work: &mut Work<'_>, start: &Start, why: Unlisted) -> Result<Action, Error> {
    match why {
        Unlisted::Wait(reason, message) => {
            let wait = Wait { reason, message, pin: Some(start.pin.clone()), until: not_after(work) };
            work.wait(&wait).await
        }
        Unlisted::Refuse(refusal) => work.refuse(&refusal).await,
        Unlisted::Aws(error) => {
            let delay = work.ctx.backoff.failed(&work.key());
            let reason = error.reason();
            let message = format!("{}; it is tried again", Trouble::List(error));
            work.wait(&Wait { reason, message, pin: Some(start.pin.clone()), until: not_after(work) }).await?;
            Ok(Action::requeue(work.ctx.clock.real(delay)))
        }
    }
}

async fn launch(
    work: &mut Work<'_>,
    session: &Session,
    start: &Start,
    name: &str,
    arn: &str,
    input: &serde_json::Value,
) -> Result<Action, Error> {
    let uid = work.uid();
    let launch = Launch { version_arn: &start.version_arn, name, execution_arn: arn, input, uid: &uid };
    match execution::begin(session, launch).await {
        Ok(Begun::Now(at)) => started(work, at).await,
        Ok(Begun::Taken(found)) => taken(work, session, found).await,
        Err(error) => refused(work, start, error).await,
    }
}

async fn started(work: &mut Work<'_>, at: k8s_openapi::jiff::Timestamp) -> Result<Action, Error> {
    let after = turn::running(work.status(), work.now(), at);
    let arn = after.execution_arn.clone().unwrap_or_default();
    if work.write(after).await? {
        work.tell("Start", "Started", &format!("started execution {arn}")).await;
    }
    Ok(rest(work, Pace::default(), work.ctx.settings.poll_interval))
}

/// Something stands under the run's name in AWS already.
async fn taken(work: &mut Work<'_>, session: &Session, found: Found) -> Result<Action, Error> {
    match found {
        Found::Ours(execution) => {
            own_targets(work, &execution).await?;
            started(work, execution.started_at).await
        }
        Found::Earlier(execution) => earlier(work, session, &execution).await,
        // It exists for the one call and not yet for the other.
        Found::Nothing => Ok(Action::requeue(work.ctx.clock.real(LOOK_AGAIN))),
    }
}

/// The execution was started before its start could be written down, by a listing of its own: the nodes in its input are the run's, whatever was listed since.
pub(super) async fn own_targets(work: &mut Work<'_>, execution: &Execution) -> Result<(), Error> {
    let mut status = work.status();
    let own = targets::of_input(execution.input.as_deref().unwrap_or_default());
    if targets::same(&own, &status.targets) {
        return Ok(());
    }
    status.targets = own;
    let note = "the nodes were listed again after the execution had been started: it keeps to those of its own input, which status.targets shows now";
    if work.write(status).await? {
        work.warn("Start", "TargetsOfExecution", note).await;
    }
    Ok(())
}

/// An earlier run of the same name was started: nothing is, and its result is shown once there is one.
async fn earlier(work: &mut Work<'_>, session: &Session, execution: &Execution) -> Result<Action, Error> {
    let uid = execution::uid_in(execution.input.as_deref());
    if execution.status == Status::Running || execution.status == Status::PendingRedrive {
        let by = uid.map_or_else(
            || "something else than Windlass".to_owned(),
            |uid| format!("an earlier WorkflowRun of this name (UID {uid})"),
        );
        let message = format!(
            "nothing was started: an execution of {by} still runs under this name, {}; its result will be shown when it has ended",
            execution.arn
        );
        let after = turn::earlier_runs(work.status(), work.now(), &message);
        if work.write(after).await? {
            work.warn("Start", "EarlierRunActive", &message).await;
        }
        return Ok(Action::requeue(work.ctx.clock.real(EARLIER)));
    }
    let mut story = match execution::story(session, &execution.arn).await {
        Ok(story) => story.map(|(story, _)| story).unwrap_or_default(),
        Err(error) => return work.retry(&Trouble::Follow(error)).await,
    };
    words::fetch(session, &mut story).await;
    let after = turn::already_ran(work.status(), work.now(), &story, uid.as_deref());
    let message = after.message.clone().unwrap_or_default();
    work.end(after, "AlreadyRan", &message).await
}

/// `StartExecution` failed.
async fn refused(work: &mut Work<'_>, start: &Start, error: AwsError) -> Result<Action, Error> {
    let trouble = |error| Trouble::Start(error);
    match error.class {
        // It may have been started all the same: the next pass asks.
        Class::Transient | Class::Throttled | Class::Conflict => work.retry(&trouble(error)).await,
        Class::Denied | Class::Gone => {
            let reason = if error.class == Class::Denied { "AccessDenied" } else { "StateMachineNotFound" };
            let delay = work.ctx.backoff.failed(&work.key());
            let message = format!("{}; it is tried again", trouble(error));
            let pin = Some(start.pin.clone());
            work.wait(&Wait { reason, message, pin, until: not_after(work) }).await?;
            Ok(Action::requeue(work.ctx.clock.real(delay)))
        }
        Class::Invalid => {
            let code = error.code.clone().unwrap_or_else(|| "InvalidRequest".to_owned());
            let cause = trouble(error).to_string();
            let failure = Failure {
                step: None,
                node: None,
                layer: Layer::StepFunctions,
                error: code,
                cause: cause.clone(),
                hint: "if the parameters are large, hand over less (an execution's input has 256 KiB at most); then create a new WorkflowRun".to_owned(),
            };
            let refusal =
                Refusal { phase: Phase::Failed, reason: "StartRefused", message: cause, failure: Some(failure) };
            work.refuse(&refusal).await
        }
    }
}

/// A start was written down, and what came of it was not: asks AWS.
pub(super) async fn find_out(work: &mut Work<'_>) -> Result<Action, Error> {
    let recorded = work.status().account.unwrap_or_default();
    let (account, session) = match resolve::account(work.ctx, &recorded).await {
        Ok(found) => found,
        Err(why) => return work.without_account(&why).await,
    };
    let arn = work.status().execution_arn.unwrap_or_default();
    match execution::find(&session, &arn, &work.uid()).await {
        Ok(Found::Nothing) => {}
        Ok(found) => return taken(work, &session, found).await,
        Err(error) => return work.retry(&Trouble::Follow(error)).await,
    }
    let workflow = work.workflow(true).await?;
    match admit(&work.run, &workflow, work.ctx.clock.now()) {
        decide::Action::Start(again) => {
            let input = match prepare(work, &session, &account, &again).await {
                Ok(input) => input,
                Err(why) if settled(work) => return unlisted(work, &again, why).await,
                Err(_) => return Ok(Action::requeue(work.ctx.clock.real(LOOK_AGAIN))),
            };
            // The same name gives the same execution, should the answer above have come too early: then its input counts, and not this one.
            work.write(turn::prepared(work.status(), work.now(), &again, &arn, input.targets.clone())).await?;
            let name = execution_name(&work.ctx.cluster_id, &work.namespace(), &work.run.name_any());
            launch(work, &session, &again, &name, &arn, &input.value).await
        }
        other if settled(work) => Box::pin(work.act(other)).await,
        _ => Ok(Action::requeue(work.ctx.clock.real(LOOK_AGAIN))),
    }
}

/// Whether the start was written down long enough ago for AWS's answer that there is nothing to be believed.
pub(super) fn settled(work: &Work<'_>) -> bool {
    let status = work.status();
    let since = conditions::get(&status.conditions, STARTED).map(|condition| condition.last_transition_time.0);
    since.is_none_or(|since| work.ctx.clock.now().duration_since(since) >= SETTLE)
}

fn not_after(work: &Work<'_>) -> Option<k8s_openapi::jiff::Timestamp> {
    work.run.spec.not_after.as_ref().map(|limit| limit.0)
}
