//! What to do next about a run: decided here from the objects alone, done elsewhere.
//!
//! Where a run stands follows from its status, so that any process can go on where another one was killed:
//!
//! | `executionArn` | condition Started | it |
//! |---|---|---|
//! | absent | | was not started: nothing was, anywhere |
//! | set | not True | may or may not have been started: AWS must be asked |
//! | set | True | was started |

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use serde_json::{Map, Value};

use crate::api::conditions::{self, READY, STARTED};
use crate::api::run::{DesiredState, Failure, Layer, OnDelete, Phase};
use crate::api::workflow::FleetSeen;
use crate::api::{FINALIZER, WindowsWorkflow, WindowsWorkflowSpec, WorkflowRun, WorkflowRunStatus};
use crate::compile::parameters;

/// The workflow of a run, as far as it was looked at.
#[derive(Clone, Debug)]
pub enum Sight {
    /// Not looked at.
    Unread,
    /// It does not exist.
    Missing,
    /// It is there and does not parse; the parser's message.
    Unreadable(String),
    /// It is there.
    Found(Box<WindowsWorkflow>),
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Nothing, until something changes or that time has come.
    Rest(Option<Timestamp>),
    /// Delete the object: its time is over.
    Remove,
    /// Take the finalizer off.
    Release(Release),
    /// Read the workflow and decide again: from the API server itself, or from the watch.
    Read {
        /// From the API server itself.
        direct: bool,
    },
    /// It cannot start yet.
    Wait(Wait),
    /// It ends without having started.
    Refuse(Box<Refusal>),
    /// Start it.
    Start(Box<Start>),
    /// Ask AWS whether it was started.
    FindOut,
    /// See how far it is.
    Follow,
    /// Stop it.
    Stop(Why),
}

/// Why nothing holds a deleted object any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// It has ended.
    Ended,
    /// It never started.
    NeverStarted,
    /// Its execution goes on without it.
    Orphaned,
}

/// Why a run is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// `spec.desiredState: Cancelled`.
    Requested,
    /// The object is being deleted.
    Deleted,
}

impl Why {
    /// For the execution's own record, and for people.
    #[must_use]
    pub fn cause(self) -> &'static str {
        match self {
            Self::Requested => "cancelled by spec.desiredState",
            Self::Deleted => "cancelled because the WorkflowRun is being deleted",
        }
    }
}

/// The workflow that a run belongs to, for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Its generation.
    pub generation: i64,
    /// Its UID.
    pub uid: Option<String>,
}

/// What a run waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// CamelCase.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// The workflow, once it was seen.
    pub pin: Option<Pin>,
    /// Something will be different then.
    pub until: Option<Timestamp>,
}

/// Why a run ends without having started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Failed or Cancelled.
    pub phase: Phase,
    /// CamelCase.
    pub reason: &'static str,
    /// One line for people.
    pub message: String,
    /// Whose failure it is, where it is one.
    pub failure: Option<Failure>,
}

/// Everything that a start needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// The workflow.
    pub pin: Pin,
    /// Name of the account.
    pub account: String,
    /// The state machine version.
    pub version_arn: String,
    /// Name of the document, where the workflow has scripts.
    pub document: Option<String>,
    /// The parameters, defaults filled in.
    pub parameters: Map<String, Value>,
    /// How many steps the workflow has at its top level.
    pub steps: usize,
    /// What the workflow says.
    pub spec: WindowsWorkflowSpec,
    /// The fleets that it targets, as they were when it was compiled.
    pub fleets: Vec<FleetSeen>,
}

/// Decides.
#[must_use]
pub fn decide(run: &WorkflowRun, workflow: &Sight, now: Timestamp) -> Action {
    let none = WorkflowRunStatus::default();
    let status = run.status.as_ref().unwrap_or(&none);
    if run.metadata.deletion_timestamp.is_some() {
        return on_deletion(run, status);
    }
    if status.phase.is_final() {
        return at_end(run, status, now);
    }
    let cancel = run.spec.desired_state == DesiredState::Cancelled;
    match (&status.execution_arn, is_started(status)) {
        (None, _) if cancel => Action::Refuse(Box::new(Refusal {
            phase: Phase::Cancelled,
            reason: "CancelledBeforeStart",
            message: "cancelled by spec.desiredState before it had started; nothing was run".to_owned(),
            failure: None,
        })),
        (None, _) => admit(run, workflow, now),
        (Some(_), _) if cancel => Action::Stop(Why::Requested),
        (Some(_), false) => Action::FindOut,
        (Some(_), true) => Action::Follow,
    }
}

/// Whether its execution is known to have been started.
#[must_use]
pub fn is_started(status: &WorkflowRunStatus) -> bool {
    conditions::is_true(&status.conditions, STARTED)
}

fn on_deletion(run: &WorkflowRun, status: &WorkflowRunStatus) -> Action {
    if !run.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
        Action::Rest(None)
    } else if status.phase.is_final() {
        Action::Release(Release::Ended)
    } else if status.execution_arn.is_none() {
        Action::Release(Release::NeverStarted)
    } else if run.spec.on_delete == OnDelete::Orphan {
        Action::Release(Release::Orphaned)
    } else {
        Action::Stop(Why::Deleted)
    }
}

fn at_end(run: &WorkflowRun, status: &WorkflowRunStatus, now: Timestamp) -> Action {
    let due = run.spec.ttl_after_finished.zip(status.finished_at.as_ref()).map(|(ttl, finished)| {
        let ttl = SignedDuration::try_from(ttl.to_duration()).unwrap_or(SignedDuration::MAX);
        finished.0.checked_add(ttl).unwrap_or(Timestamp::MAX)
    });
    if due.is_some_and(|due| due <= now) { Action::Remove } else { Action::Rest(due) }
}

/// Whether a run that was not started may start now: [`Action::Read`], [`Action::Wait`], [`Action::Refuse`] or [`Action::Start`].
#[must_use]
pub fn admit(run: &WorkflowRun, workflow: &Sight, now: Timestamp) -> Action {
    let none = WorkflowRunStatus::default();
    let status = run.status.as_ref().unwrap_or(&none);
    if let Some(limit) = run.spec.not_after.as_ref().filter(|limit| limit.0 <= now) {
        return expired(limit.0, status);
    }
    let pinned = status.workflow_generation.map(|generation| Pin { generation, uid: status.workflow_uid.clone() });
    let name = &run.spec.workflow_ref.name;
    let wait = |reason, message, pin: Option<Pin>| {
        let until = run.spec.not_after.as_ref().map(|limit| limit.0);
        Action::Wait(Wait { reason, message, pin, until })
    };
    let workflow = match workflow {
        Sight::Unread => return Action::Read { direct: pinned.is_none() },
        Sight::Missing => {
            return match &pinned {
                Some(_) => changed(name, "it was deleted"),
                None => wait(
                    "WorkflowNotFound",
                    format!(
                        "waits for WindowsWorkflow {name}, which does not exist in this namespace: create it, or delete this run and name another under spec.workflowRef"
                    ),
                    None,
                ),
            };
        }
        Sight::Unreadable(message) => {
            return wait(
                "WorkflowInvalid",
                format!("waits for WindowsWorkflow {name}, which cannot be read: {message}"),
                pinned,
            );
        }
        Sight::Found(workflow) => workflow,
    };
    let found = Pin { generation: workflow.metadata.generation.unwrap_or_default(), uid: workflow.uid() };
    let pin = pinned.clone().unwrap_or_else(|| found.clone());
    if pin.uid.is_some() && pin.uid != found.uid {
        return changed(name, "it was deleted and made again");
    }
    if found.generation < pin.generation {
        // The watch is behind what a direct read has seen before.
        return Action::Read { direct: true };
    }
    if found.generation > pin.generation {
        return changed(name, &format!("it was edited (generation {} is now {})", pin.generation, found.generation));
    }
    if workflow.metadata.deletion_timestamp.is_some() {
        let message = format!("WindowsWorkflow {name} is being deleted and starts nothing new");
        // A run that comes while its workflow goes belongs to the next one of that name.
        return wait("WorkflowDeleted", message, pinned);
    }
    let parameters = match parameters::resolve(&workflow.spec.parameters, &run.spec.parameters) {
        Ok(parameters) => parameters,
        Err(problems) => return wrong_parameters(name, &problems),
    };
    match ready(workflow) {
        Ok((account, version_arn)) => Action::Start(Box::new(Start {
            pin,
            account: account.to_owned(),
            version_arn: version_arn.to_owned(),
            document: document(workflow),
            parameters,
            steps: workflow.spec.steps.len(),
            spec: workflow.spec.clone(),
            fleets: workflow.status.as_ref().map(|status| status.fleets.clone()).unwrap_or_default(),
        })),
        Err(why) => {
            let message =
                format!("waits until generation {} of WindowsWorkflow {name} is Ready: {why}", pin.generation);
            wait("WorkflowNotReady", message, Some(pin))
        }
    }
}

/// Account and version of a workflow whose present generation is Ready, or why it is not.
fn ready(workflow: &WindowsWorkflow) -> Result<(&str, &str), String> {
    let unseen = || "Windlass has not dealt with it yet".to_owned();
    let status = workflow.status.as_ref().ok_or_else(unseen)?;
    if status.observed_generation != workflow.metadata.generation {
        return Err(unseen());
    }
    let condition = conditions::get(&status.conditions, READY).ok_or_else(unseen)?;
    if condition.status != "True" {
        return Err(format!("{}: {}", condition.reason, condition.message));
    }
    let account = status.account_ref.as_ref().map(|account| account.name.as_str());
    account.zip(status.state_machine_version_arn.as_deref()).ok_or_else(|| "it has no published version yet".to_owned())
}

fn document(workflow: &WindowsWorkflow) -> Option<String> {
    let mut owned = workflow.status.iter().flat_map(|status| &status.owned_objects);
    owned.find(|object| object.type_ == "AWS::SSM::Document").map(|object| object.name.clone())
}

fn refuse(reason: &'static str, cause: String, hint: &str) -> Action {
    Action::Refuse(Box::new(Refusal {
        phase: Phase::Failed,
        reason,
        message: cause.clone(),
        failure: Some(Failure {
            step: None,
            node: None,
            layer: Layer::Manifest,
            error: reason.to_owned(),
            cause,
            hint: hint.to_owned(),
        }),
    }))
}

fn expired(limit: Timestamp, status: &WorkflowRunStatus) -> Action {
    let waited = status
        .message
        .as_ref()
        .map_or_else(String::new, |message| format!("; until then it had this to say: {message}"));
    refuse(
        "Expired",
        format!("spec.notAfter ({limit}) passed before the run had started; nothing was run{waited}"),
        "create a new WorkflowRun with a later notAfter, once what it waited for is there",
    )
}

fn changed(workflow: &str, how: &str) -> Action {
    refuse(
        "WorkflowChanged",
        format!(
            "WindowsWorkflow {workflow} is not the one that this run was made for: {how} before the run had started; nothing was run"
        ),
        "create a new WorkflowRun if the workflow as it stands now is what should run",
    )
}

fn wrong_parameters(workflow: &str, problems: &[crate::compile::Problem]) -> Action {
    let listed: Vec<String> = problems.iter().map(ToString::to_string).collect();
    refuse(
        "InvalidParameters",
        format!("the parameters do not suit WindowsWorkflow {workflow}; nothing was run: {}", listed.join("; ")),
        "create a new WorkflowRun with parameters as the workflow's spec.parameters describes them",
    )
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
