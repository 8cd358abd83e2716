//! A step at its place, and the steps of a workflow.

use std::collections::BTreeMap;

use serde_json::json;

use crate::api::steps::{ErrorName, Retry};

use super::super::asl::Assign;
use super::super::expressions::Entry;
use super::super::names;
use super::super::steps::{call, fail, iteration, notify, parallel, powershell, switch, wait};

/// One step at one place. A block that is called twice gives its steps twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Step<'a> {
    /// The names of the steps that it is inside of and its own: `undo/restore`.
    pub path: String,
    /// Where it stands in the manifest: `spec.blocks[0].steps[1]`.
    pub at: String,
    /// The JSONata that decides whether it runs.
    pub when: Option<String>,
    /// Further tries.
    pub retry: &'a [Retry],
    /// The deadlines of the calls that it is inside of, as variables.
    pub deadlines: Vec<String>,
    /// The counts of tries of those that are tried again, as variables.
    pub retried: Vec<String>,
    /// What tells the items that it runs for from each other, as variables: the node's id inside of `forEachNode`.
    pub items: Vec<String>,
    /// The id of the one node that it is for, as a variable, inside of `forEachNode`.
    pub node: Option<String>,
    /// What is done about which errors.
    pub handlers: Vec<Handler<'a>>,
    /// What it does.
    pub action: Action<'a>,
}

/// What is done about some errors.
#[derive(Clone, Debug, PartialEq)]
pub struct Handler<'a> {
    /// The errors.
    pub errors: &'a [ErrorName],
    /// The steps that run. None: those of an earlier handler of the same step, which names the same block; its position.
    pub body: Result<Vec<Step<'a>>, usize>,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action<'a> {
    /// Runs a script.
    Powershell(powershell::Plan),
    /// Publishes a message.
    Notify(notify::Plan),
    /// Waits.
    Wait(wait::Plan),
    /// Gives a result.
    Pass(serde_json::Value),
    /// Fails.
    Fail(fail::Plan),
    /// Runs a block.
    Call(call::Plan<'a>),
    /// Runs branches.
    Parallel(parallel::Plan<'a>),
    /// Runs one of several cases.
    Switch(switch::Plan<'a>),
    /// Runs steps for each node or item.
    Iteration(Box<iteration::Plan<'a>>),
}

impl<'a> Action<'a> {
    /// The lists of steps inside of it.
    #[must_use]
    pub fn inner(&self) -> Vec<&[Step<'a>]> {
        match self {
            Self::Call(plan) => vec![plan.steps.as_slice()],
            Self::Parallel(plan) => plan.branches.iter().map(|branch| branch.steps.as_slice()).collect(),
            Self::Switch(plan) => plan.lists().collect(),
            Self::Iteration(plan) => plan.program.lists().to_vec(),
            _ => Vec::new(),
        }
    }

    /// Whether the steps inside of it have variables of their own: what they gave is in the variable of the step around them.
    fn scoped(&self) -> bool {
        matches!(self, Self::Parallel(_) | Self::Iteration(_))
    }
}

impl Step<'_> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// What the results of steps, and of the steps inside of them, are before these have run: as variables to assign.
pub(in super::super) fn unset(steps: &[Step<'_>]) -> Assign {
    let mut variables = Assign::new();
    for step in steps {
        variables.insert(names::variable("steps", &step.path), nothing(step));
        if !step.action.scoped() {
            variables.extend(step.action.inner().into_iter().flat_map(unset));
        }
        for handler in step.handlers.iter().filter_map(|handler| handler.body.as_ref().ok()) {
            variables.extend(unset(handler));
        }
    }
    variables
}

/// The result of a step that has not run.
fn nothing(step: &Step<'_>) -> serde_json::Value {
    if !matches!(step.action, Action::Parallel(_)) {
        return json!({ "skipped": true });
    }
    let inner = step.action.inner().into_iter().flatten();
    let inner: serde_json::Map<_, _> = inner.map(|step| (step.name().to_owned(), nothing(step))).collect();
    json!({ "skipped": true, "steps": inner })
}

/// The steps of a workflow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program<'a> {
    /// The steps.
    pub steps: Vec<Step<'a>>,
    /// What their results have.
    pub(in super::super) entries: BTreeMap<String, Entry>,
    /// What runs after a failure.
    pub on_failure: Vec<Step<'a>>,
    /// What runs at the end.
    pub finally: Vec<Step<'a>>,
}

impl<'a> Program<'a> {
    /// The lists of steps.
    #[must_use]
    pub fn lists(&self) -> [&[Step<'a>]; 3] {
        [&self.steps, &self.on_failure, &self.finally]
    }
}
