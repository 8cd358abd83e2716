//! `WorkflowRun`: decides what to do next ([`decide`]) and has it done. No step depends on memory: any process goes on where another one was
//! killed.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Preconditions};
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource, ResourceExt};
use tracing::{debug, info, warn};

use crate::api::{WindowsWorkflow, WorkflowRun, WorkflowRunStatus};
use crate::aws::{AwsError, Class, Session};
use crate::resolve::{self, Unavailable};
use crate::runs::decide::{self, Refusal, Release, Sight, Wait, decide};
use crate::runs::status::{self as turn, Now};

use super::context::Context;
use super::{CATCH_UP, Error, finalize, run_follow, run_start, run_stop, run_unreadable, status};

/// Name of the kind.
pub const KIND: &str = "WorkflowRun";
/// How often a run that waits is looked at when no event comes.
const WAITING: Duration = Duration::from_mins(1);
/// How often a run whose account is not Ready looks again.
const ACCOUNT: Duration = Duration::from_secs(15);
/// A failing call is spoken of in the status once it has failed for this long.
const PATIENCE: Duration = Duration::from_secs(4);
/// Longest time that an ended run is left alone before its own deletion: timers are not made for a year.
const LONGEST_REST: Duration = Duration::from_hours(24);
/// How often one reconciliation decides: read the workflow, read it again from the API server, act.
const DECISIONS: usize = 4;

/// What could not be done in AWS.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// `DescribeInstanceInformation`.
    #[error("the nodes could not be listed: {0}")]
    List(#[source] AwsError),
    /// `StartExecution`.
    #[error("the execution could not be started: {0}")]
    Start(#[source] AwsError),
    /// `DescribeExecution`, `GetExecutionHistory`.
    #[error("the execution could not be looked at: {0}")]
    Follow(#[source] AwsError),
    /// `StopExecution`.
    #[error("the execution could not be stopped: {0}")]
    Stop(#[source] AwsError),
    /// `ListCommands`, `CancelCommand`.
    #[error("the commands that the run sent could not be cancelled: {0}")]
    Sweep(#[source] AwsError),
}

impl Trouble {
    /// CamelCase reason, for Events.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::List(_) => "ListFailed",
            Self::Start(_) => "StartFailed",
            Self::Follow(_) => "FollowFailed",
            Self::Stop(_) => "StopFailed",
            Self::Sweep(_) => "SweepFailed",
        }
    }

    /// What AWS said.
    #[must_use]
    pub fn aws(&self) -> &AwsError {
        match self {
            Self::List(error) | Self::Start(error) | Self::Follow(error) | Self::Stop(error) | Self::Sweep(error) => {
                error
            }
        }
    }
}

/// Brings one `WorkflowRun` a step further.
///
/// # Errors
/// [`Error`] when the API server does not do its part; what AWS says goes into the status.
pub async fn reconcile(guard: Arc<DeserializeGuard<WorkflowRun>>, ctx: Arc<Context>) -> Result<Action, Error> {
    ctx.stores.ready().await;
    let api: Api<WorkflowRun> = status::namespaced(&ctx, guard.as_ref());
    if ctx.freshness.is_behind(guard.as_ref()) {
        return Ok(Action::requeue(CATCH_UP));
    }
    match &guard.0 {
        Ok(run) => Box::pin(Work::new(&ctx, &api, run.clone()).advance()).await,
        Err(broken) => Box::pin(run_unreadable::reconcile(&ctx, &api, broken)).await,
    }
}

/// The object in maps of this process.
#[must_use]
pub fn key(run: &impl ResourceExt) -> String {
    format!("{KIND}/{}/{}", run.namespace().unwrap_or_default(), run.name_any())
}

/// One pass over one run. `run` has the status that the API server has.
pub(super) struct Work<'a> {
    pub(super) ctx: &'a Context,
    pub(super) api: &'a Api<WorkflowRun>,
    pub(super) run: WorkflowRun,
}

impl<'a> Work<'a> {
    pub(super) fn new(ctx: &'a Context, api: &'a Api<WorkflowRun>, run: WorkflowRun) -> Self {
        Self { ctx, api, run }
    }

    /// Decides and acts.
    pub(super) async fn advance(&mut self) -> Result<Action, Error> {
        let mut workflow = Sight::Unread;
        for _ in 0..DECISIONS {
            match decide(&self.run, &workflow, self.ctx.clock.now()) {
                decide::Action::Read { direct } => workflow = self.workflow(direct).await?,
                action => return self.act(action).await,
            }
        }
        debug!(run = %self.key(), "the workflow that the watch shows is older than one seen before");
        Ok(Action::requeue(CATCH_UP))
    }

    /// Does what was decided.
    pub(super) async fn act(&mut self, action: decide::Action) -> Result<Action, Error> {
        match action {
            decide::Action::Rest(until) => Ok(self.rest(until)),
            decide::Action::Remove => self.remove().await,
            decide::Action::Release(why) => self.release(why).await,
            decide::Action::Wait(wait) => self.wait(&wait).await,
            decide::Action::Refuse(refusal) => self.refuse(&refusal).await,
            decide::Action::Start(start) => run_start::start(self, *start).await,
            decide::Action::FindOut => run_start::find_out(self).await,
            decide::Action::Follow => run_follow::follow(self).await,
            decide::Action::Stop(why) => run_stop::stop(self, why).await,
            decide::Action::Read { .. } => Ok(Action::requeue(CATCH_UP)),
        }
    }

    /// The workflow of the run, from the API server itself or from the watch.
    pub(super) async fn workflow(&self, direct: bool) -> Result<Sight, Error> {
        let (name, namespace) = (&self.run.spec.workflow_ref.name, self.namespace());
        let guard = if direct {
            let api: Api<DeserializeGuard<WindowsWorkflow>> = Api::namespaced(self.ctx.client.clone(), &namespace);
            api.get_opt(name).await?
        } else {
            let reference = ObjectRef::new(name).within(&namespace);
            self.ctx.stores.workflows.get(&reference).map(|guard| guard.as_ref().clone())
        };
        Ok(match guard {
            None => Sight::Missing,
            Some(DeserializeGuard(Err(broken))) => Sight::Unreadable(broken.error),
            Some(DeserializeGuard(Ok(workflow))) => Sight::Found(Box::new(workflow)),
        })
    }

    fn rest(&self, until: Option<Timestamp>) -> Action {
        self.forget();
        until.map_or_else(Action::await_change, |until| {
            Action::requeue(self.ctx.clock.until(until).clamp(CATCH_UP, LONGEST_REST))
        })
    }

    /// Deletes the object when its time is over; another one of the same name is left alone.
    async fn remove(&self) -> Result<Action, Error> {
        let preconditions = Preconditions { uid: self.run.uid(), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match self.api.delete(&self.run.name_any(), &params).await {
            Err(kube::Error::Api(refusal)) if refusal.code == 404 || refusal.code == 409 => {}
            Err(error) => return Err(error.into()),
            Ok(_) => info!(run = %self.key(), "deleted: ttlAfterFinished is over"),
        }
        Ok(Action::await_change())
    }

    async fn release(&self, why: Release) -> Result<Action, Error> {
        if why == Release::Orphaned {
            let arn = self.status().execution_arn.unwrap_or_default();
            self.tell("Delete", "Orphaned", &format!("onDelete is Orphan: execution {arn} goes on unwatched")).await;
        }
        self.let_go().await
    }

    /// Takes the finalizer off.
    pub(super) async fn let_go(&self) -> Result<Action, Error> {
        finalize::remove(self.ctx, self.api, &self.run).await?;
        self.forget();
        self.ctx.freshness.forget(&self.run);
        Ok(Action::await_change())
    }

    /// Nothing was started, and something must happen first.
    pub(super) async fn wait(&mut self, wait: &Wait) -> Result<Action, Error> {
        let after = turn::waiting(self.status(), self.now(), wait);
        if self.write(after).await? {
            info!(run = %self.key(), reason = wait.reason, detail = %wait.message, "run waits");
        }
        let pause = wait.until.map_or(WAITING, |until| {
            Duration::try_from(until.duration_since(self.ctx.clock.now())).unwrap_or_default().min(WAITING)
        });
        Ok(Action::requeue(self.ctx.clock.real(pause).max(CATCH_UP)))
    }

    /// Nothing was started, and nothing will be.
    pub(super) async fn refuse(&mut self, refusal: &Refusal) -> Result<Action, Error> {
        let after = turn::refused(self.status(), self.now(), refusal);
        self.end(after, refusal.reason, &refusal.message).await
    }

    /// Writes a last status, tells people, and waits for the object's own end.
    pub(super) async fn end(&mut self, after: WorkflowRunStatus, reason: &str, note: &str) -> Result<Action, Error> {
        let (phase, well) = (format!("{:?}", after.phase), after.failure.is_none());
        if self.write(after).await? {
            info!(run = %self.key(), %phase, detail = %note, "run ended");
            self.ctx.metrics.run_finished(&phase);
            if let Some(told) = self.ctx.inboxes.settled(&self.key()) {
                self.ctx.metrics.end_written(self.ctx.clock.now().duration_since(told));
            }
            if well {
                self.tell("Finish", reason, note).await;
            } else {
                self.warn("Finish", reason, note).await;
            }
        }
        self.forget();
        match decide(&self.run, &Sight::Unread, self.ctx.clock.now()) {
            decide::Action::Rest(until) => Ok(self.rest(until)),
            // Its time is over at once, or it is being deleted: another pass.
            _ => Ok(Action::requeue(CATCH_UP)),
        }
    }

    /// The session of the run's account, once it was started or is about to be.
    pub(super) async fn session(&self) -> Result<Arc<Session>, Unavailable> {
        let account = self.status().account.unwrap_or_default();
        resolve::account(self.ctx, &account).await.map(|(_, session)| session)
    }

    /// The account cannot be used now: everything stays as it is, and the status says why.
    pub(super) async fn without_account(&mut self, why: &Unavailable) -> Result<Action, Error> {
        let after = turn::held_up(self.status(), self.now(), &why.message);
        if self.write(after).await? {
            self.warn("Follow", why.reason, &why.message).await;
        }
        Ok(Action::requeue(self.ctx.clock.real(ACCOUNT)))
    }

    /// A call failed: it is made again, ever more seldom; the status says so unless it is likely to pass by itself.
    pub(super) async fn retry(&mut self, trouble: &Trouble) -> Result<Action, Error> {
        let delay = self.ctx.backoff.failed(&self.key());
        warn!(run = %self.key(), error = trouble as &dyn std::error::Error, "retrying");
        let passing = matches!(trouble.aws().class, Class::Transient | Class::Throttled);
        if !passing || delay >= PATIENCE {
            let message = format!("{trouble}; it is tried again");
            let after = turn::held_up(self.status(), self.now(), &message);
            if self.write(after).await? {
                self.warn("Run", trouble.reason(), &message).await;
            }
        }
        Ok(Action::requeue(self.ctx.clock.real(delay)))
    }

    /// Writes the status if it changed, and goes on from it.
    pub(super) async fn write(&mut self, after: WorkflowRunStatus) -> Result<bool, Error> {
        let changed = status::write(self.ctx, self.api, KIND, &self.run, self.run.status.as_ref(), &after).await?;
        self.run.status = Some(after);
        Ok(changed)
    }

    pub(super) async fn tell(&self, action: &str, reason: &str, note: &str) {
        self.ctx.reporter.normal(&self.run.object_ref(&()), action, reason, note).await;
    }

    pub(super) async fn warn(&self, action: &str, reason: &str, note: &str) {
        self.ctx.reporter.warning(&self.run.object_ref(&()), action, reason, note).await;
    }

    pub(super) fn status(&self) -> WorkflowRunStatus {
        self.run.status.clone().unwrap_or_default()
    }

    pub(super) fn now(&self) -> Now {
        Now { at: self.ctx.clock.now(), generation: self.run.metadata.generation }
    }

    pub(super) fn namespace(&self) -> String {
        self.run.namespace().unwrap_or_default()
    }

    pub(super) fn uid(&self) -> String {
        self.run.uid().unwrap_or_default()
    }

    /// The object in maps of this process.
    pub(super) fn key(&self) -> String {
        key(&self.run)
    }

    /// Drops what this process remembers of the run.
    fn forget(&self) {
        self.ctx.backoff.forget(&self.key());
        self.ctx.paces.forget(&self.uid());
        self.ctx.inboxes.settled(&self.key());
    }
}
