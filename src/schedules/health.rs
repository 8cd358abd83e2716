//! Whether a schedule will do what it is for, so that people hear of it by day.

use jiff::Timestamp;

use crate::api::conditions::{self, READY};
use crate::api::{WindowsWorkflow, WorkflowScheduleSpec};
use crate::compile::parameters;

use super::decide::{Plan, Turn, deadline};

/// The workflow of a schedule.
#[derive(Clone, Debug)]
pub enum Sight {
    /// It does not exist.
    Missing,
    /// It is there and does not parse; the parser's message.
    Unreadable(String),
    /// It is there.
    Found(Box<WindowsWorkflow>),
}

/// What the conditions say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Runs would be made now, and could start.
    pub ready: bool,
    /// Nothing changes until a person does something about the schedule.
    pub stalled: bool,
    /// CamelCase.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

impl Health {
    /// A person must change the schedule.
    #[must_use]
    pub fn stalled(reason: &'static str, message: String) -> Self {
        Self { ready: false, stalled: true, reason, message }
    }

    fn well(reason: &'static str, message: String) -> Self {
        Self { ready: true, stalled: false, reason, message }
    }

    fn waiting(reason: &'static str, message: String) -> Self {
        Self { ready: false, stalled: false, reason, message }
    }
}

/// Judges. `refused`: why the API server does not take the run that is due.
#[must_use]
pub fn health(spec: &WorkflowScheduleSpec, workflow: &Sight, plan: &Plan, refused: Option<&str>) -> Health {
    let name = &spec.workflow_ref.name;
    if let Some(refused) = refused {
        return Health::waiting("RunRefused", format!("the API server refuses the run that is due: {refused}"));
    }
    let workflow = match workflow {
        Sight::Missing => {
            let message = format!(
                "WindowsWorkflow {name} does not exist in this namespace: create it, or name another under spec.workflowRef; runs that become due wait for it"
            );
            return Health::waiting("WorkflowNotFound", message);
        }
        Sight::Unreadable(message) => {
            return Health::waiting("WorkflowInvalid", format!("WindowsWorkflow {name} cannot be read: {message}"));
        }
        Sight::Found(workflow) => workflow,
    };
    if let Err(problems) = parameters::resolve(&workflow.spec.parameters, &spec.run_template.parameters) {
        let listed: Vec<String> = problems
            .iter()
            .map(|problem| problem.to_string().replacen("spec.parameters", "spec.runTemplate.parameters", 1))
            .collect();
        let message = format!(
            "the parameters do not suit WindowsWorkflow {name}, so that every run would fail: {}",
            listed.join("; ")
        );
        return Health::stalled("InvalidParameters", message);
    }
    let status = workflow.status.clone().unwrap_or_default();
    if status.observed_generation == workflow.metadata.generation
        && let Some(ready) = conditions::get(&status.conditions, READY).filter(|ready| ready.status != "True")
    {
        let message = format!(
            "WindowsWorkflow {name} is not Ready: {}: {}; runs that become due wait for it",
            ready.reason, ready.message
        );
        return Health::waiting("WorkflowNotReady", message);
    }
    match (&plan.turn, plan.next) {
        (Turn::Hold(due, other), _) => {
            Health::well("Waiting", held(spec, *due, &format!("run {other}, which has not ended")))
        }
        (Turn::Cancel(due, replaced), _) => {
            Health::well("Waiting", held(spec, *due, &format!("run {}, which it replaces", replaced.join(", "))))
        }
        (_, Some(next)) => Health::well("Scheduled", format!("the next run is due at {next}")),
        (_, None) => Health::well("Suspended", "suspended by spec.suspend: nothing becomes due".to_owned()),
    }
}

fn held(spec: &WorkflowScheduleSpec, due: Timestamp, what: &str) -> String {
    format!("the run due at {due} waits for {what}; after {} it is missed", deadline(spec, due))
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
