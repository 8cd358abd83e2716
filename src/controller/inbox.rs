//! The inboxes of all accounts: one loop for each, for as long as this process leads, and what a message does in Kubernetes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;
use tokio::task::AbortHandle;
use tracing::{Instrument, info_span, warn};

use crate::api::{AwsAccount, WorkflowRun};
use crate::aws::messages::{self, Letter};
use crate::aws::tasks::{self, Answer, Answered};
use crate::aws::{AwsError, Session};
use crate::inbox::listen::{Desk, Health, Mailbox, Pulse, listen};
use crate::inbox::message::{self, Message, StatusEvent, TokenRequest, Whose};

use super::context::Context;
use super::elsewhere::{self, Noted};
use super::tokens::{self, Kept};

/// How often an execution that an event calls ended is looked at in quick succession, should AWS not show the end yet.
const LOOKS: u8 = 10;

/// A run, as the watch's store names it.
type RunRef = ObjectRef<DeserializeGuard<WorkflowRun>>;
/// An account, as the watch's store names it.
type AccountRef = ObjectRef<DeserializeGuard<AwsAccount>>;

/// Objects that a message concerns, to be reconciled.
pub struct Wakes {
    /// Runs whose execution has news.
    pub runs: UnboundedReceiver<RunRef>,
    /// Accounts whose inbox has begun or ceased to bring something.
    pub accounts: UnboundedReceiver<AccountRef>,
}

/// All loops, and what they have said so far.
pub struct Inboxes {
    loops: Mutex<HashMap<String, Loop>>,
    ends: Mutex<HashMap<String, End>>,
    runs: UnboundedSender<RunRef>,
    accounts: UnboundedSender<AccountRef>,
    /// Held while executions that were started past Windlass are written down.
    pub(super) elsewhere: tokio::sync::Mutex<()>,
}

/// One account's loop.
struct Loop {
    queue_url: String,
    session: Arc<Session>,
    pulse: Arc<Pulse>,
    task: AbortHandle,
}

/// An event said that a run's execution has ended.
#[derive(Clone, Copy)]
struct End {
    at: Timestamp,
    looks: u8,
}

impl Inboxes {
    /// No loops yet.
    #[must_use]
    pub fn new() -> (Self, Wakes) {
        let (runs, runs_receiver) = unbounded();
        let (accounts, accounts_receiver) = unbounded();
        let inboxes = Self {
            loops: Mutex::default(),
            ends: Mutex::default(),
            runs,
            accounts,
            elsewhere: tokio::sync::Mutex::default(),
        };
        (inboxes, Wakes { runs: runs_receiver, accounts: accounts_receiver })
    }

    /// Sees to it that an account's queue is listened to, and says how that goes.
    pub fn listen(&self, ctx: &Arc<Context>, account: &str, session: &Arc<Session>, queue_url: &str) -> Health {
        let mut loops = self.loops();
        if let Some(running) = loops.get(account)
            && running.queue_url == queue_url
            && Arc::ptr_eq(&running.session, session)
            && !running.task.is_finished()
        {
            return running.pulse.get();
        }
        let pulse = Arc::new(Pulse::default());
        let mailbox = Queue { session: session.clone(), url: queue_url.to_owned() };
        let desk = AccountDesk { ctx: ctx.clone(), account: account.to_owned() };
        let heard = pulse.clone();
        let work = async move { listen(&mailbox, &desk, &heard).await };
        let task = tokio::spawn(work.instrument(info_span!("inbox", account))).abort_handle();
        let new = Loop { queue_url: queue_url.to_owned(), session: session.clone(), pulse, task };
        if let Some(old) = loops.insert(account.to_owned(), new) {
            old.task.abort();
        }
        Health::Starting
    }

    /// Stops listening to an account's queue.
    pub fn stop(&self, account: &str) {
        if let Some(old) = self.loops().remove(account) {
            old.task.abort();
        }
    }

    /// Stops all loops: another process may lead from now on.
    pub fn close(&self) {
        for (_, old) in self.loops().drain() {
            old.task.abort();
        }
    }

    /// Whether status events of an account's executions arrive.
    #[must_use]
    pub fn receives(&self, account: &str) -> bool {
        self.loops().get(account).is_some_and(|running| running.pulse.get() == Health::Receiving)
    }

    /// Whether what an account's loop tried last failed.
    #[must_use]
    pub fn is_failing(&self, account: &str) -> bool {
        self.loops().get(account).is_some_and(|running| matches!(running.pulse.get(), Health::Failing(_)))
    }

    /// Whether an event said that a run's execution has ended, and it is worth while to look again soon although AWS does not show it yet.
    pub fn expects_end(&self, run: &str) -> bool {
        let mut ends = self.ends();
        let Some(end) = ends.get_mut(run) else { return false };
        end.looks = end.looks.saturating_add(1);
        if end.looks > LOOKS {
            ends.remove(run);
            return false;
        }
        true
    }

    /// The run's end is in its status, or the run is gone. Gives when the event was made that told of it.
    pub fn settled(&self, run: &str) -> Option<Timestamp> {
        self.ends().remove(run).map(|end| end.at)
    }

    fn loops(&self) -> MutexGuard<'_, HashMap<String, Loop>> {
        self.loops.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ends(&self) -> MutexGuard<'_, HashMap<String, End>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, run: RunRef) {
        // The receiver lives as long as the controllers; after them nobody need be woken.
        let _ = self.runs.unbounded_send(run);
    }
}

/// A queue in an account.
struct Queue {
    session: Arc<Session>,
    url: String,
}

impl Mailbox for Queue {
    async fn receive(&self, wait: bool) -> Result<Vec<Letter>, AwsError> {
        messages::receive(&self.session, &self.url, wait).await
    }

    async fn delete(&self, letters: &[&Letter]) -> Result<(), AwsError> {
        messages::delete(&self.session, &self.url, letters).await
    }
}

/// What becomes of a message. Its name is the metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Its run is looked at.
    Woken,
    /// It said what was known.
    Known,
    /// There is no such run, or it belongs to no run of ours.
    NoRun,
    /// Somebody started the execution past Windlass.
    Elsewhere,
    /// It is about another cluster's state machine.
    Foreign,
    /// The token is kept.
    Kept,
    /// The step was told that nobody will answer.
    Refused,
    /// It cannot be acted upon now, and comes again.
    Deferred,
    /// It is none of ours; why.
    Unknown(&'static str),
}

impl Outcome {
    fn label(self) -> &'static str {
        match self {
            Self::Woken => "Woken",
            Self::Known => "Known",
            Self::NoRun => "NoRun",
            Self::Elsewhere => "Elsewhere",
            Self::Foreign => "Foreign",
            Self::Kept => "Kept",
            Self::Refused => "Refused",
            Self::Deferred => "Deferred",
            Self::Unknown(why) => why,
        }
    }
}

/// Acts upon the messages of one account.
struct AccountDesk {
    ctx: Arc<Context>,
    account: String,
}

impl Desk for AccountDesk {
    async fn act(&self, letters: &[Letter]) -> Vec<bool> {
        // Before the watches have shown everything, no run would seem to be there.
        self.ctx.stores.ready().await;
        let mut done = Vec::with_capacity(letters.len());
        for letter in letters {
            done.push(self.take(letter).await);
        }
        done
    }

    fn changed(&self) {
        let _ = self.ctx.inboxes.accounts.unbounded_send(ObjectRef::new(&self.account));
    }

    fn real(&self, span: Duration) -> Duration {
        self.ctx.clock.real(span)
    }
}

impl AccountDesk {
    async fn take(&self, letter: &Letter) -> bool {
        let (kind, outcome) = match message::read(&letter.body) {
            Message::Status(event) => ("status", self.status(&event).await),
            Message::Token(request) => ("token", self.token(&request).await),
            Message::Unknown(why) => {
                warn!(message = %letter.id, why, "a message that is none of Windlass's is deleted");
                ("unknown", Outcome::Unknown(why))
            }
        };
        self.ctx.metrics.message(&self.account, kind, outcome.label());
        outcome != Outcome::Deferred
    }

    /// A step waits for an answer: its token is kept, and its run looked at. One that no run stands behind is told so: nobody could be asked.
    async fn token(&self, request: &TokenRequest) -> Outcome {
        let run = &request.run;
        let reference = ObjectRef::new(&run.name).within(&run.namespace);
        let guard = self.ctx.stores.runs.get(&reference);
        let known = guard.as_ref().and_then(|guard| guard.0.as_ref().ok()).filter(|found| {
            let execution = found.status.as_ref().and_then(|status| status.execution_arn.as_ref());
            found.metadata.uid.as_ref() == Some(&run.uid) && execution == Some(&request.execution_arn)
        });
        let Some(found) = known else { return self.refuse(request).await };
        if found.status.as_ref().is_some_and(|status| status.phase.is_final()) {
            return Outcome::Known;
        }
        match tokens::keep(&self.ctx, request).await {
            Ok(Kept::Now) => {
                self.ctx.inboxes.wake(reference);
                Outcome::Kept
            }
            Ok(Kept::Already) => Outcome::Known,
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "a task token could not be kept; its message comes again"
                );
                Outcome::Deferred
            }
        }
    }

    async fn refuse(&self, request: &TokenRequest) -> Outcome {
        let answer = Answer::Failure {
            error: "Windlass.Rejected".to_owned(),
            cause: "no WorkflowRun of this cluster stands behind this execution, so nobody can be asked: start the workflow by a WorkflowRun".to_owned(),
        };
        let Some(session) = self.session() else { return Outcome::Deferred };
        match tasks::answer(&session, &request.token, &request.execution_arn, &answer).await {
            Ok(Answered::Accepted) => Outcome::Refused,
            Ok(Answered::Late) => Outcome::Known,
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "a step that nobody will answer could not be told so; its message comes again"
                );
                Outcome::Deferred
            }
        }
    }

    /// The session of the account's loop, which is this one.
    fn session(&self) -> Option<Arc<Session>> {
        self.ctx.inboxes.loops().get(&self.account).map(|running| running.session.clone())
    }

    async fn status(&self, event: &StatusEvent) -> Outcome {
        match event.whose(&self.ctx.cluster_id) {
            Whose::Foreign => Outcome::Foreign,
            Whose::Elsewhere => match elsewhere::record(&self.ctx, event).await {
                Ok(Noted::Written) => Outcome::Elsewhere,
                Ok(Noted::Known) => Outcome::Known,
                Ok(Noted::NoWorkflow) => Outcome::NoRun,
                Err(error) => {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "an execution could not be written down; its message comes again"
                    );
                    Outcome::Deferred
                }
            },
            Whose::Run { namespace, name } => self.run(event, &ObjectRef::new(&name).within(&namespace)),
            Whose::LongRun => {
                let has = |guard: &DeserializeGuard<WorkflowRun>| {
                    let status = guard.0.as_ref().ok().and_then(|run| run.status.as_ref());
                    status.and_then(|status| status.execution_arn.as_ref()) == Some(&event.execution_arn)
                };
                match self.ctx.stores.runs.find(has) {
                    Some(run) => self.run(event, &ObjectRef::from_obj(run.as_ref())),
                    None => Outcome::NoRun,
                }
            }
        }
    }

    fn run(&self, event: &StatusEvent, reference: &RunRef) -> Outcome {
        let Some(guard) = self.ctx.stores.runs.get(reference) else { return Outcome::NoRun };
        let status = guard.0.as_ref().ok().and_then(|run| run.status.as_ref());
        // That it runs is known to whoever started it, who asks again should the answer have been lost.
        if !event.is_end() || status.is_some_and(|status| status.phase.is_final()) {
            return Outcome::Known;
        }
        let key = super::run::key(guard.as_ref());
        self.ctx.inboxes.ends().entry(key).or_insert(End { at: event.at, looks: 0 });
        self.ctx.inboxes.wake(reference.clone());
        Outcome::Woken
    }
}
