//! Steps inside of steps: the place that they stand at, and the names that they have there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::api::duration::Span;
use crate::api::iteration::IterationView;
use crate::api::steps::{Body, LeafStep};

use super::super::asl::{PAYLOAD_LIMIT, expression};
use super::super::expressions::{Entry, Uses, key};
use super::super::steps::{iteration, parallel};
use super::super::{finish, names};
use super::{Action, Context, Place, Program, Reader, Step};

/// The most seconds that a container may take, and the variable that says until when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Limit {
    /// Seconds.
    pub(in super::super) seconds: Option<u64>,
}

impl Limit {
    /// Until when the container at `path` may take from now on, and `extra` seconds more: as a variable to assign.
    pub(in super::super) fn until(&self, path: &str, extra: u64) -> Option<(String, Value)> {
        let seconds = self.seconds?;
        let until = expression(&format!("$millis() + {}", (seconds + extra) * 1000));
        Some((names::variable("deadline", path), json!(until)))
    }
}

impl<'a> Context<'_, 'a> {
    /// The container's own limit.
    pub(in super::super) fn limit(&self) -> Limit {
        Limit { seconds: self.view.timeout.map(Span::as_secs) }
    }

    /// The place inside of the step. What stands there has until `deadline`, a variable.
    pub(in super::super) fn within(&self, deadline: Option<String>) -> Place<'a> {
        let mut place = self.place.clone();
        place.inside = Some(self.path.to_owned());
        place.scope = self.scope.clone();
        place.deadlines.extend(deadline);
        if !self.view.retry.is_empty() {
            place.retried.push(names::variable("tries", self.path));
        }
        if self.view.targets.is_some() {
            place.node = None;
        }
        place.targets = self.targeted();
        place
    }

    /// The place inside of a container that has a timeout as its deadline.
    pub(in super::super) fn inside(&self) -> Place<'a> {
        self.within(self.limit().seconds.map(|_| names::variable("deadline", self.path)))
    }
}

impl<'a> Reader<'a> {
    /// Reads what runs in a child execution; gives it with what the child has to be given beside what all are, JSONata by key.
    pub(in super::super) fn child(
        &mut self,
        context: &Context<'_, 'a>,
        step: &IterationView<'a>,
        at: &str,
        nodes: bool,
    ) -> (Program<'a>, BTreeMap<String, String>) {
        let given = names::variable("given", context.path);
        let mut place = context.inside();
        let mut handed = BTreeMap::new();
        let variables = place.deadlines.iter_mut().chain(&mut place.retried).chain(&mut place.items);
        for variable in variables.chain(&mut place.node) {
            let own = key(variable);
            handed.insert(own.clone(), format!("${variable}"));
            *variable = format!("{given}.{own}");
        }
        let mut outer = Vec::new();
        if let Some(failure) = &mut place.scope.failure {
            outer.push((Entry::default(), failure.clone()));
            *failure = format!("{given}.{}", key(failure));
        }
        place.scope.steps.values().for_each(|entry| entry.all(&mut outer));
        for entry in place.scope.steps.values_mut() {
            *entry = entry.handed(&given);
        }
        let item = if nodes { format!("{given}.node.id") } else { format!("{given}.index") };
        if nodes {
            place.node = Some(item.clone());
        }
        place.items.push(item);
        place.scope.node |= nodes;
        place.scope.item |= !nodes;
        let (steps, entries) = self.body(context, step.body, at, place.clone());
        let mut program = Program { steps, entries, ..Program::default() };
        if let Some(finally) = step.finally {
            let at = format!("{at}.finally");
            let guarded = names::variable(finish::GUARDED, context.path);
            let entries = program.entries.iter();
            place.scope.steps.extend(entries.map(|(name, entry)| (name.clone(), entry.within(&guarded, name))));
            place.scope.failure = Some(names::variable(finish::OUTCOME, context.path));
            let (steps, entries) = self.body(context, finally, &at, place);
            self.join(context, &at, &mut program.entries.clone(), entries);
            program.finally = steps;
        }
        let (results, size) = iteration::handed(&outer, &self.uses, &given);
        if size > PAYLOAD_LIMIT {
            self.problem(context.at, format!(
                "what the steps in here use of earlier results can come to {size} bytes, and Step Functions hands {PAYLOAD_LIMIT} to a child execution: use fewer outputs of earlier steps in it"
            ));
        }
        handed.extend(results);
        if program.lists().into_iter().any(over_nodes) {
            handed.insert("nodes".to_owned(), "$nodes".to_owned());
        }
        (program, handed)
    }

    /// Reads what runs after a failure and at the end.
    pub(super) fn ends(&mut self, program: &mut Program<'a>, place: &Place<'a>) {
        let mut place = place.clone();
        let entries = program.entries.iter();
        place.scope.steps = entries.map(|(name, entry)| (name.clone(), entry.within(finish::GUARDED, name))).collect();
        place.scope.failure = Some(finish::OUTCOME.to_owned());
        let mut taken: BTreeSet<String> = program.entries.keys().cloned().collect();
        let ends = [("onFailure", &self.spec.on_failure), ("finally", &self.spec.finally)];
        for (field, end) in ends {
            let Some(end) = end else { continue };
            let at = format!("spec.{field}");
            let (steps, entries) = match end.body() {
                Body::Block(block) => self.block(&block.0, &format!("{at}.block"), &place),
                Body::Steps(steps) => {
                    place.at = format!("{at}.steps");
                    self.list(steps.iter().map(LeafStep::view).collect(), &place)
                }
            };
            for name in entries.keys() {
                if !taken.insert(name.clone()) {
                    self.problem(
                        &at,
                        format!("there is another step {name} in the workflow or its onFailure: names are unique in all of them"),
                    );
                }
            }
            place.scope.steps.extend(entries);
            if field == "finally" { program.finally = steps } else { program.on_failure = steps }
        }
    }

    /// Reads what a part of a step runs; `at` is that part in the manifest: `spec.steps[0].onError[1]`.
    pub(in super::super) fn body(
        &mut self,
        context: &Context<'_, 'a>,
        body: Body<'a>,
        at: &str,
        mut place: Place<'a>,
    ) -> (Vec<Step<'a>>, BTreeMap<String, Entry>) {
        match body {
            Body::Block(block) => self.block(&block.0, &format!("{at}.block"), &place),
            Body::Steps(steps) => {
                place.at = format!("{at}.steps");
                place.plugins = format!("{}_", context.view.name);
                self.list(steps.iter().map(LeafStep::view).collect(), &place)
            }
        }
    }

    /// Puts what a part of a step has beside what its other parts have.
    pub(in super::super) fn join(
        &mut self,
        context: &Context<'_, 'a>,
        at: &str,
        all: &mut BTreeMap<String, Entry>,
        part: BTreeMap<String, Entry>,
    ) {
        let name = &context.view.name;
        for (inner_name, inner) in part {
            if all.insert(inner_name.clone(), inner).is_some() {
                self.problem(
                    at,
                    format!(
                        "step {name} has another step {inner_name} inside of it: rename one, since both would be {}/{inner_name}",
                        context.path
                    ),
                );
            }
        }
    }
}

/// Tells the steps inside of others what is used of their results outside.
pub(super) fn hand_down(program: &Program<'_>, uses: &Uses) {
    for (name, entry) in &program.entries {
        for used in uses.of(&entry.within(finish::GUARDED, name).variable) {
            uses.hand_down(entry, &used);
        }
    }
    program.lists().into_iter().for_each(|steps| inward(steps, uses));
}

/// Whether any of some steps, or of those inside of them, reads the nodes that were listed.
pub(in super::super) fn over_nodes(steps: &[Step<'_>]) -> bool {
    steps.iter().any(|step| {
        let own = match &step.action {
            Action::Iteration(plan) => plan.goes_over_nodes(),
            Action::Powershell(_) => step.node.is_none(),
            _ => false,
        };
        let handlers = step.handlers.iter().filter_map(|handler| handler.body.as_deref().ok());
        own || step.action.inner().into_iter().chain(handlers).any(over_nodes)
    })
}

fn inward(steps: &[Step<'_>], uses: &Uses) {
    for step in steps {
        if let Action::Parallel(plan) = &step.action {
            let used = uses.of(&names::variable("steps", &step.path));
            for (name, entry) in plan.branches.iter().flat_map(|branch| &branch.entries) {
                for used in parallel::used_of(name, &used) {
                    uses.hand_down(entry, &used);
                }
            }
        }
        if let Action::Iteration(plan) = &step.action {
            let guarded = names::variable(finish::GUARDED, &step.path);
            for (name, entry) in &plan.program.entries {
                for used in uses.of(&entry.within(&guarded, name).variable) {
                    uses.hand_down(entry, &used);
                }
            }
        }
        step.action.inner().into_iter().for_each(|steps| inward(steps, uses));
        for steps in step.handlers.iter().filter_map(|handler| handler.body.as_ref().ok()) {
            inward(steps, uses);
        }
    }
}
