//! The steps as they will run: blocks put in where they are called, handlers where they are needed, expressions compiled, targets resolved, names given.
//!
//! Reading a manifest finds everything that is wrong with it. What comes out has nothing left to check.

mod nesting;
mod step;

use std::collections::{BTreeMap, BTreeSet};

use crate::api::WindowsWorkflowSpec;
use crate::api::refs::Targets;
use crate::api::steps::{Block, Body, Expression, NotOneStepType, StepKind, StepView};

use super::Account;
use super::expressions::{self, Entry, Scope, Uses};
use super::fleets;
use super::grants::{self, Nodes};
use super::names;
use super::place;
use super::problem::Problem;
use super::ssm::Script;
use super::steps::{call, fail, iteration, notify, parallel, pass, powershell, switch, wait};
use super::targets::{self, TargetSet};

pub(super) use nesting::{Limit, over_nodes};
pub(super) use step::unset;
pub use step::{Action, Handler, Program, Step};

/// How deep blocks may call blocks.
const DEPTH: usize = 5;

/// Where a list of steps stands.
#[derive(Clone)]
pub(super) struct Place<'a> {
    /// The list in the manifest: `spec.steps`.
    at: String,
    /// Path of the step that the list is inside of.
    inside: Option<String>,
    /// What the plugins of its scripts are named behind: a block with a dot, a step that a handler belongs to with an underscore.
    plugins: String,
    /// What expressions may refer to.
    scope: Scope,
    deadlines: Vec<String>,
    retried: Vec<String>,
    items: Vec<String>,
    node: Option<String>,
    targets: Option<Targeted<'a>>,
    /// The blocks that are being called.
    blocks: Vec<&'a str>,
}

/// Targets that a manifest names.
#[derive(Clone)]
pub(super) struct Targeted<'a> {
    targets: &'a Targets,
    /// Where: `spec.targets`, `spec.steps[2].targets`.
    at: String,
    /// Key of the set.
    key: String,
}

/// The nodes of a step.
pub(super) struct Reach {
    /// The nodes.
    pub(super) nodes: Nodes,
    /// Key of their set in the run's input.
    pub(super) key: String,
    /// Whether every run has them listed in its input.
    pub(super) frozen: bool,
}

/// A step's surroundings, for the file of its type.
pub(super) struct Context<'p, 'a> {
    pub(super) view: &'p StepView<'a>,
    pub(super) at: &'p str,
    pub(super) path: &'p str,
    pub(super) scope: &'p Scope,
    place: &'p Place<'a>,
}

impl<'a> Context<'_, 'a> {
    /// Whether the step is inside of a `forEachNode` or `forEach`.
    pub(super) fn in_a_child(&self) -> bool {
        !self.place.items.is_empty()
    }

    /// The targets that count for the step: its own, else those around it.
    fn targeted(&self) -> Option<Targeted<'a>> {
        let own = self.view.targets.map(|targets| Targeted {
            targets,
            at: format!("{}.targets", self.at),
            key: self.path.to_owned(),
        });
        own.or_else(|| self.place.targets.clone())
    }
}

/// Reads a workflow.
pub struct Reader<'a> {
    spec: &'a WindowsWorkflowSpec,
    account: Option<(&'a Account<'a>, &'a str)>,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// The sets of nodes by key, with those among them that every run has listed when it starts.
    pub listed: BTreeMap<String, TargetSet>,
    /// What expressions use of results.
    pub uses: Uses,
    /// The scripts by where they stand, in the order in which they were met.
    pub scripts: Vec<(String, Script)>,
    reached: BTreeSet<&'a str>,
    /// False while blocks are read that nothing calls: they are checked and give nothing.
    keeping: bool,
}

impl<'a> Reader<'a> {
    /// A reader. Without an account (and a namespace in it) targets are not held against grants.
    #[must_use]
    pub fn new(spec: &'a WindowsWorkflowSpec, account: Option<(&'a Account<'a>, &'a str)>) -> Self {
        Self {
            spec,
            account,
            problems: Vec::new(),
            listed: BTreeMap::new(),
            uses: Uses::default(),
            scripts: Vec::new(),
            reached: BTreeSet::new(),
            keeping: true,
        }
    }

    /// Reads the steps, and checks the blocks that none of them leads to.
    pub fn read(&mut self) -> Program<'a> {
        let spec = self.spec;
        self.unique(spec.parameters.iter().map(|parameter| parameter.name.0.as_str()), "spec.parameters", "parameter");
        self.unique(spec.blocks.iter().map(|block| block.name.0.as_str()), "spec.blocks", "block");
        let scope = Scope {
            uses: self.uses.clone(),
            parameters: spec.parameters.iter().map(|parameter| parameter.name.0.clone()).collect(),
            ..Scope::default()
        };
        let place = Place {
            at: "spec.steps".into(),
            inside: None,
            plugins: String::new(),
            scope,
            deadlines: Vec::new(),
            retried: Vec::new(),
            items: Vec::new(),
            node: None,
            targets: spec.targets.as_ref().map(|targets| Targeted {
                targets,
                at: "spec.targets".into(),
                key: targets::WORKFLOW.into(),
            }),
            blocks: Vec::new(),
        };
        let (steps, entries) = self.list(spec.steps.iter().map(crate::api::steps::Step::view).collect(), &place);
        let mut program = Program { steps, entries, ..Program::default() };
        self.ends(&mut program, &place);
        self.keeping = false;
        for block in &spec.blocks {
            if !self.reached.contains(block.name.0.as_str()) {
                let mut place = place.clone();
                place.scope.open = true;
                self.block(&block.name.0, "", &place);
            }
        }
        nesting::hand_down(&program, &self.uses);
        self.settle();
        program
    }

    /// Each problem once, in the manifest's order.
    fn settle(&mut self) {
        let mut seen: Vec<Problem> = Vec::new();
        for problem in self.problems.drain(..) {
            if !seen.contains(&problem) {
                seen.push(problem);
            }
        }
        seen.sort_by_key(|problem| names::manifest_order(&problem.path));
        self.problems = seen;
    }

    pub(super) fn problem(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::new(path, message));
    }

    /// Notes what is wrong with an expression at `path`, and gives it where nothing is.
    pub(super) fn sound<T>(&mut self, path: &str, result: Result<T, Vec<String>>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(faults) => {
                for fault in faults {
                    self.problem(path, fault);
                }
                None
            }
        }
    }

    pub(super) fn unique<'n>(&mut self, names: impl Iterator<Item = &'n str>, at: &str, what: &str) {
        let mut seen = BTreeSet::new();
        for (index, name) in names.enumerate() {
            if !seen.insert(name) {
                self.problem(
                    format!("{at}[{index}].name"),
                    format!("there is a {what} {name} before this one: names are unique"),
                );
            }
        }
    }

    /// Reads a list of steps; gives them and what expressions behind them see of them.
    fn list(
        &mut self,
        views: Vec<Result<StepView<'a>, NotOneStepType>>,
        place: &Place<'a>,
    ) -> (Vec<Step<'a>>, BTreeMap<String, Entry>) {
        let names: Vec<String> = views
            .iter()
            .map(|view| match view {
                Ok(view) => view.name.0.clone(),
                Err(error) => error.step.clone(),
            })
            .collect();
        self.unique(names.iter().map(String::as_str), &place.at, "step");
        let mut scope = place.scope.clone();
        // The list's own steps hide outer ones of the same name from the beginning: which one is meant must not depend on the order.
        for name in &names {
            scope.steps.remove(name);
        }
        scope.later.extend(names);
        let (mut steps, mut entries) = (Vec::new(), BTreeMap::new());
        for (index, view) in views.into_iter().enumerate() {
            let at = format!("{}[{index}]", place.at);
            let (name, entry) = match view {
                Ok(view) => {
                    let (step, entry) = self.step(&view, &at, &scope, place);
                    steps.extend(step);
                    (view.name.0.clone(), entry)
                }
                Err(error) => {
                    let name = error.step.clone();
                    self.problem(at, error.to_string());
                    // What refers to it is not wrong on top of that.
                    (name, Entry::default())
                }
            };
            scope.later.remove(&name);
            scope.steps.insert(name.clone(), entry.clone());
            entries.insert(name, entry);
        }
        (steps, entries)
    }

    fn step(&mut self, view: &StepView<'a>, at: &str, scope: &Scope, place: &Place<'a>) -> (Option<Step<'a>>, Entry) {
        let path = place.inside.as_ref().map_or_else(|| view.name.0.clone(), |outer| format!("{outer}/{}", view.name));
        let when = view.when.and_then(|when| self.condition(when, &format!("{at}.when"), scope));
        let context = Context { view, at, path: &path, scope, place };
        let (action, mut entry) = match &view.kind {
            StepKind::Powershell(step) => powershell::read(self, &context, step),
            StepKind::Notify(step) => notify::read(self, &context, step),
            StepKind::Wait(step) => wait::read(self, &context, step),
            StepKind::Pass(step) => pass::read(self, &context, step),
            StepKind::Fail(step) => fail::read(self, &context, step),
            StepKind::Call(step) => call::read(self, &context, step),
            StepKind::Parallel(step) => parallel::read(self, &context, step),
            StepKind::Switch(step) => switch::read(self, &context, step),
            StepKind::Iteration(step) => iteration::read(self, &context, step),
        };
        entry.variable = names::variable("steps", &path);
        let handlers = self.handlers(&context, &mut entry);
        let step = action.map(|action| Step {
            path,
            at: at.to_owned(),
            when,
            retry: view.retry,
            deadlines: place.deadlines.clone(),
            retried: place.retried.clone(),
            items: place.items.clone(),
            node: place.node.clone().filter(|_| view.targets.is_none()),
            handlers,
            action,
        });
        (step, entry)
    }

    /// The JSONata of a condition.
    pub(super) fn condition(&mut self, when: &Expression, at: &str, scope: &Scope) -> Option<String> {
        let result = match expressions::code(&when.0) {
            Some(code) => expressions::compile(code, scope),
            None => Err(vec!["a condition is an expression: write {% … %}".to_owned()]),
        };
        self.sound(at, result)
    }

    fn handlers(&mut self, context: &Context<'_, 'a>, entry: &mut Entry) -> Vec<Handler<'a>> {
        let name = &context.view.name.0;
        let mut scope = context.scope.clone();
        scope.later.remove(name);
        scope.steps.insert(name.clone(), entry.clone());
        scope.failure = Some(entry.variable.clone());
        let mut blocks: Vec<(&str, usize)> = Vec::new();
        let mut handlers = Vec::new();
        for (index, handler) in context.view.handlers.iter().enumerate() {
            let at = format!("{}.onError[{index}]", context.at);
            if let Body::Block(block) = handler.body {
                if let Some((_, earlier)) = blocks.iter().find(|(name, _)| *name == block.0) {
                    handlers.push(Handler { errors: handler.errors, body: Err(*earlier) });
                    continue;
                }
                blocks.push((&block.0, index));
            }
            let mut place = context.place.clone();
            place.scope = scope.clone();
            place.inside = Some(context.path.to_owned());
            let (steps, inner) = self.body(context, handler.body, &at, place);
            self.join(context, &at, &mut entry.inner, inner);
            handlers.push(Handler { errors: handler.errors, body: Ok(steps) });
        }
        handlers
    }

    /// Reads a block at a place that calls it. `at` is where it is named; empty when nothing does.
    pub(super) fn block(
        &mut self,
        name: &'a str,
        at: &str,
        place: &Place<'a>,
    ) -> (Vec<Step<'a>>, BTreeMap<String, Entry>) {
        let spec: &'a WindowsWorkflowSpec = self.spec;
        let found: Option<(usize, &'a Block)> = spec.blocks.iter().enumerate().find(|(_, block)| block.name.0 == name);
        let Some((index, block)) = found else {
            let known: Vec<&str> = spec.blocks.iter().map(|block| block.name.0.as_str()).collect();
            let known = if known.is_empty() {
                "the workflow has no blocks".to_owned()
            } else {
                format!("there is: {}", known.join(", "))
            };
            self.problem(at, format!("there is no block {name}; {known}"));
            return Default::default();
        };
        self.reached.insert(name);
        if place.blocks.contains(&name) {
            let round: Vec<&str> = place.blocks.iter().skip_while(|other| **other != name).copied().collect();
            self.problem(at, format!("blocks call each other in a circle: {} → {name}", round.join(" → ")));
            return Default::default();
        }
        if place.blocks.len() >= DEPTH {
            self.problem(at, format!("calls nest more than {DEPTH} deep: {} → {name}", place.blocks.join(" → ")));
            return Default::default();
        }
        let mut place = place.clone();
        place.at = format!("spec.blocks[{index}].steps");
        place.plugins = format!("{name}.");
        place.blocks.push(name);
        self.list(block.steps.iter().map(crate::api::steps::BlockStep::view).collect(), &place)
    }

    /// The nodes that a step is for, noted as a set of the workflow's.
    pub(super) fn reach(&mut self, context: &Context<'_, 'a>) -> Option<Reach> {
        let Some(targeted) = context.targeted() else {
            self.problem(
                context.at,
                format!("step {} has no targets: set spec.targets for all steps, or targets here", context.view.name),
            );
            return None;
        };
        let fleet = targeted.targets.fleet_ref.as_ref();
        let nodes = match (self.account, fleet) {
            (Some((account, namespace)), Some(fleet)) => fleets::targets(account, fleet, &targeted.at)
                .and_then(|targets| grants::nodes(account, namespace, targets, &targeted.at)),
            (Some((account, namespace)), None) => grants::nodes(account, namespace, targeted.targets, &targeted.at),
            // Which nodes a fleet's are is not known here, and nothing of what is checked depends on it.
            (None, Some(_)) => Ok(Nodes::Tagged(grants::NodeTags::new())),
            (None, None) => grants::ungranted(targeted.targets, &targeted.at),
        };
        let nodes = nodes.map_err(|problem| self.problems.push(problem)).ok()?;
        let frozen = fleet.is_some();
        if self.keeping {
            let set = self.listed.entry(targeted.key.clone()).or_insert_with(|| TargetSet {
                key: targeted.key.clone(),
                at: targeted.at.clone(),
                nodes: nodes.clone(),
                fleet: fleet.map(|fleet| fleet.name.clone()),
                frozen,
            });
            set.frozen |= frozen;
        }
        Some(Reach { nodes, key: targeted.key, frozen })
    }

    /// Takes a script into the workflow's document; gives the name of its plugin.
    pub(super) fn script(&mut self, context: &Context<'_, 'a>, script: impl FnOnce(String) -> Script) -> String {
        let plugin = names::plugin(&context.place.plugins, &context.view.name.0);
        if self.keeping && !self.scripts.iter().any(|(at, _)| at == context.at) {
            self.scripts.push((context.at.to_owned(), script(plugin.clone())));
        }
        plugin
    }

    /// Holds something against the account, where there is one, and notes what is wrong.
    pub(super) fn granted(&mut self, check: impl FnOnce(&Account<'_>, &str, &place::Place<'_>) -> Result<(), Problem>) {
        if let Some((account, namespace)) = self.account {
            let place = place::Place::of(account.spec);
            self.problems.extend(check(account, namespace, &place).err());
        }
    }

    /// Refuses targets on a step that reaches no nodes.
    pub(super) fn refuse_targets(&mut self, context: &Context<'_, 'a>, what: &str) {
        if context.view.targets.is_some() {
            self.problem(
                format!("{}.targets", context.at),
                format!("a {what} step has no use for targets: it reaches no nodes"),
            );
        }
    }

    /// Refuses what a step of this type has no use for.
    pub(super) fn refuse_unused(&mut self, context: &Context<'_, 'a>, what: &str, why: &str) {
        let view = context.view;
        let given = [
            ("timeout", view.timeout.is_some()),
            ("retry", !view.retry.is_empty()),
            ("onError", !view.handlers.is_empty()),
            ("targets", view.targets.is_some()),
        ];
        for (field, _) in given.iter().filter(|(_, given)| *given) {
            self.problem(format!("{}.{field}", context.at), format!("a {what} step has no use for {field}: {why}"));
        }
    }
}
