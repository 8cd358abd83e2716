//! Laying out a workflow's steps: which blocks are called from where, what is in scope, which scripts there are, and then the states.

use std::collections::BTreeMap;

use crate::api::WindowsWorkflowSpec;
use crate::api::names::Owner;
use crate::api::refs::Targets;
use crate::api::steps::{Block, BlockStep, ErrorName, HandlerBody, LeafStep, NotOneStepType, Step, StepKind, StepView};

use super::check::{Checker, Place};
use super::flow::{Exits, Flow, Scope, state_name};
use super::grants::{self, Nodes};
use super::problem::Problem;
use super::ssm::{SCRIPT_TIMEOUT, Script};
use super::steps::{call, fail, pass, powershell, wait};
use super::workflow::Account;

/// How deep calls may nest.
pub const DEPTH: usize = 5;

/// A workflow on its way from manifest to states.
pub struct Layout<'a> {
    /// The manifest.
    pub spec: &'a WindowsWorkflowSpec,
    /// For whom and where, when that is known.
    pub target: Option<(&'a Owner, &'a Account<'a>)>,
    /// What is wrong so far.
    pub problems: Vec<Problem>,
    /// The scripts, by plugin.
    pub scripts: Vec<Script>,
    /// The nodes that steps are for.
    pub nodes: Vec<Nodes>,
    /// Upper bound of the events of one run.
    pub events: u64,
}

/// A list of steps of any of the three structs.
#[derive(Clone, Copy)]
pub enum Steps<'a> {
    /// Directly in `spec.steps`.
    Top(&'a [Step]),
    /// Inline in a handler.
    Inline(&'a [LeafStep]),
    /// In a block.
    Block(&'a [BlockStep]),
}

impl<'a> Steps<'a> {
    /// The steps, seen alike.
    pub fn views(self) -> Vec<Result<StepView<'a>, NotOneStepType>> {
        match self {
            Self::Top(steps) => steps.iter().map(Step::view).collect(),
            Self::Inline(steps) => steps.iter().map(LeafStep::view).collect(),
            Self::Block(steps) => steps.iter().map(BlockStep::view).collect(),
        }
    }
}

impl<'a> Layout<'a> {
    /// Nothing laid out yet.
    pub fn new(spec: &'a WindowsWorkflowSpec, target: Option<(&'a Owner, &'a Account<'a>)>) -> Self {
        Self { spec, target, problems: Vec::new(), scripts: Vec::new(), nodes: Vec::new(), events: 0 }
    }

    /// Checks everything, and finds the scripts.
    pub fn check(&mut self) {
        let mut checker = Checker::new(self.spec);
        checker.run();
        self.problems.append(&mut checker.problems);
        for (place, view) in checker.scripts {
            if let StepKind::Powershell(shell) = view.kind {
                self.scripts.push(Script {
                    plugin: place.plugin.clone(),
                    text: shell.script.clone(),
                    error_action: shell.error_action,
                    timeout_seconds: timeout(&view).clamp(SCRIPT_TIMEOUT.0, SCRIPT_TIMEOUT.1),
                });
                self.resolve_nodes(&place, &view);
            }
        }
    }

    fn resolve_nodes(&mut self, place: &Place, view: &StepView<'_>) {
        let (targets, path) = match (view.targets, &self.spec.targets) {
            (Some(own), _) => (own, format!("{}.targets", place.path)),
            (None, Some(shared)) => (shared, "spec.targets".to_owned()),
            (None, None) => {
                let message = "this step has no nodes: name them under spec.targets, or under targets of the step";
                self.problems.push(Problem::new(place.path.clone(), message));
                return;
            }
        };
        match self.nodes_of(targets, &path) {
            Some(Ok(nodes)) => self.nodes.push(nodes),
            Some(Err(problem)) if !self.problems.contains(&problem) => self.problems.push(problem),
            _ => {}
        }
    }

    fn nodes_of(&self, targets: &Targets, path: &str) -> Option<Result<Nodes, Problem>> {
        let (owner, account) = self.target?;
        Some(grants::nodes(account.name, account.spec, &owner.namespace, targets, path))
    }

    fn block(&self, name: &str) -> Option<&'a Block> {
        self.spec.blocks.iter().find(|block| block.name.0 == name)
    }

    /// Lays out the whole workflow; gives its first state. To be called after [`Layout::check`] found nothing.
    pub fn workflow(&mut self, flow: &mut Flow, exits: &Exits) -> String {
        let spec = self.spec;
        self.list(flow, Steps::Top(&spec.steps), &Scope::default(), None, exits)
    }

    /// Lays out a list of steps, last one first; gives its first state.
    fn list(&mut self, flow: &mut Flow, steps: Steps<'a>, scope: &Scope, block: Option<&str>, exits: &Exits) -> String {
        let mut next = exits.next.clone();
        for view in steps.views().into_iter().rev().flatten() {
            let exits = Exits { next: next.clone(), failed: exits.failed.clone() };
            next = self.step(flow, &view, scope, block, &exits);
        }
        next
    }

    fn step(&mut self, flow: &mut Flow, view: &StepView<'a>, scope: &Scope, block: Option<&str>, exits: &Exits) -> String {
        let name = view.name.0.as_str();
        // What a handler runs goes on where the step would have gone on, and fails where the step would have failed.
        let inside = scope.inside(name);
        let handlers: Vec<(&[ErrorName], String)> = view
            .handlers
            .iter()
            .map(|handler| {
                let entry = match handler.body {
                    HandlerBody::Block(called) => self.called(flow, &called.0, &inside, exits),
                    HandlerBody::Steps(steps) => self.list(flow, Steps::Inline(steps), &inside, None, exits),
                };
                (handler.errors, entry)
            })
            .collect();
        let entry = match view.kind {
            StepKind::Wait(step) => wait::lay_out(flow, scope, name, step, &exits.next),
            StepKind::Pass(step) => pass::lay_out(flow, scope, name, step, &exits.next),
            StepKind::Fail(step) => fail::lay_out(flow, scope, name, step, exits),
            StepKind::Call(step) => {
                let path = scope.path(name);
                let begin = state_name(&path, "begin");
                let done = call::done(flow, scope, name, &exits.next);
                let failed = flow.failed(scope, name, &[], view.retry, &begin, &handlers, exits);
                let within = Exits { next: done, failed };
                let before = flow.events;
                let entry = self.called(flow, &step.block.0, &inside, &within);
                // Each further try runs the whole block again.
                let more: u64 = view.retry.iter().map(|retry| u64::try_from(retry.attempts).unwrap_or(0)).sum();
                flow.events += (flow.events - before) * more + 2;
                flow.begin_anew(&path, &entry)
            }
            StepKind::Powershell(shell) => {
                let plugin = plugin(block, scope, name);
                let targets = view.targets.or(self.spec.targets.as_ref());
                let nodes = targets.and_then(|targets| self.nodes_of(targets, "")).and_then(Result::ok);
                let Some(nodes) = nodes else {
                    return exits.next.clone();
                };
                let step = powershell::Step {
                    name,
                    powershell: shell,
                    plugin: &plugin,
                    plugins: self.scripts.len(),
                    nodes: &nodes,
                    timeout: timeout(view),
                    retry: view.retry,
                    handlers: &handlers,
                };
                powershell::lay_out(flow, scope, &step, exits)
            }
        };
        match view.when {
            Some(when) => {
                let condition = super::expressions::inner(&when.0).to_owned();
                flow.when(scope, name, &condition, &entry, &exits.next)
            }
            None => entry,
        }
    }

    /// The states of a block, called from inside a step.
    fn called(&mut self, flow: &mut Flow, name: &str, inside: &Scope, exits: &Exits) -> String {
        match self.block(name) {
            Some(block) => self.list(flow, Steps::Block(&block.steps), inside, Some(name), exits),
            None => exits.next.clone(),
        }
    }
}

/// Seconds that one try of a step may take.
fn timeout(view: &StepView<'_>) -> u64 {
    view.timeout.map_or(powershell::TIMEOUT, crate::api::duration::Span::as_secs)
}

/// Name of a script's plugin: a block's script is one plugin, from wherever it is called.
pub fn plugin(block: Option<&str>, scope: &Scope, step: &str) -> String {
    match block {
        Some(block) => format!("{block}.{step}"),
        None => scope.path(step).replace('/', "."),
    }
}

/// Counts by name: for names that stand twice.
pub fn repeated<'n>(names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| *count > 1).map(|(name, _)| name.to_owned()).collect()
}
