//! What an execution role must be allowed: the needs of its workflow's steps, each statement once.

use super::blueprint::Document;
use super::iam::{Condition, Statement};
use super::place::Place;
use super::steps::{iteration, notify, powershell};
use super::tree::{Action, Program, Step};

/// The statements of a workflow's role.
#[must_use]
pub fn statements(
    program: &Program<'_>,
    place: &Place<'_>,
    machine: &str,
    document: Option<&Document>,
) -> Vec<Statement> {
    let mut found = Vec::new();
    program.lists().into_iter().for_each(|steps| actions(steps, &mut found));
    let scripts: Vec<&powershell::Plan> = found
        .iter()
        .filter_map(|action| match action {
            Action::Powershell(plan) => Some(plan),
            _ => None,
        })
        .collect();
    let mut all = document.map_or_else(Vec::new, |document| powershell::needs(&scripts, place, &document.arn));
    for action in found {
        match action {
            Action::Notify(plan) => add(&mut all, notify::needs(plan)),
            Action::Powershell(_)
            | Action::Wait(_)
            | Action::Pass(_)
            | Action::Fail(_)
            | Action::Call(_)
            | Action::Parallel(_)
            | Action::Switch(_)
            | Action::Iteration(_) => {}
        }
    }
    let mut maps = Vec::new();
    program.lists().into_iter().for_each(|steps| iterations(steps, &mut maps));
    let paths: Vec<&str> = maps.iter().map(|(path, _)| *path).collect();
    let asks = maps.iter().any(|(_, plan)| plan.asks_for_nodes());
    add(&mut all, iteration::needs(&paths, asks, place, machine));
    all
}

/// The steps that have child executions, wherever they are, with their paths.
fn iterations<'s, 'a>(steps: &'s [Step<'a>], found: &mut Vec<(&'s str, &'s iteration::Plan<'a>)>) {
    for step in steps {
        if let Action::Iteration(plan) = &step.action {
            found.push((&step.path, plan));
        }
        step.action.inner().into_iter().for_each(|steps| iterations(steps, found));
        for handler in step.handlers.iter().filter_map(|handler| handler.body.as_ref().ok()) {
            iterations(handler, found);
        }
    }
}

/// What the steps do, wherever they are.
fn actions<'s, 'a>(steps: &'s [Step<'a>], found: &mut Vec<&'s Action<'a>>) {
    for step in steps {
        found.push(&step.action);
        for steps in step.action.inner() {
            actions(steps, found);
        }
        for handler in step.handlers.iter().filter_map(|handler| handler.body.as_ref().ok()) {
            actions(handler, found);
        }
    }
}

/// Adds statements; one that is there already under its name takes the new one's resources.
fn add(all: &mut Vec<Statement>, needs: Vec<Statement>) {
    for need in needs {
        let same = |known: &&mut Statement| known.sid == need.sid;
        if let Some(known) = all.iter_mut().find(same) {
            known.resources.extend(need.resources);
            known.resources.sort();
            known.resources.dedup();
        } else {
            all.push(need);
        }
    }
}

/// A statement without a condition. Its name stands for its actions: statements of one name have the same.
#[must_use]
pub fn allow(sid: impl Into<String>, actions: &[&str], resources: Vec<String>) -> Statement {
    Statement {
        sid: sid.into(),
        service: None,
        actions: actions.iter().map(|action| (*action).to_owned()).collect(),
        resources,
        condition: Condition::default(),
    }
}
