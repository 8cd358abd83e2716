//! How many events of history a run can come to, and how much its steps hand over.
//!
//! Step Functions ends an execution at its 25,000th event, whatever it was doing, and fails a state that puts out more than 256 KiB: a workflow that could get
//! there is refused.

use super::asl::{HISTORY_LIMIT, PAYLOAD_LIMIT};
use super::expressions::{Entry, Uses};
use super::problem::Problem;
use super::steps::{call, fail, iteration, notify, parallel, pass, powershell, switch, wait};
use super::tree::{Action, Program, Step};
use super::{finish, names};

/// Execution started and ended, `start` and `end`.
const FRAME: u64 = 6;
/// `failed`, `route`, `again` between two tries.
const BETWEEN: u64 = 6;
/// `when` and `skipped`.
const CONDITION: u64 = 4;
/// How many steps an error names.
const NAMED: usize = 5;
/// Bytes of a text that a script printed: 24,000 characters (`GetCommandInvocation`).
const OUTPUT_BYTES: u64 = 24_000;
/// Bytes of the 50 nodes of a result, with 512 characters of output each.
const NODES_BYTES: u64 = 35_000;
/// Bytes of any other field.
const FIELD_BYTES: u64 = 300;

/// Most events of steps that run one after the other.
fn events(steps: &[Step<'_>]) -> u64 {
    steps.iter().map(|step| total(step).0).sum()
}

/// Most events of a step, and how they come about.
fn total(step: &Step<'_>) -> (u64, String) {
    let tries = 1 + step.retry.iter().map(|retry| u64::try_from(retry.attempts).unwrap_or(0)).sum::<u64>();
    let (one, how) = match &step.action {
        Action::Powershell(plan) => powershell::events(step, plan),
        Action::Notify(_) => (notify::EVENTS, String::new()),
        Action::Wait(plan) => (wait::events(step, plan), String::new()),
        Action::Pass(_) => (pass::EVENTS, String::new()),
        Action::Fail(_) => (fail::EVENTS, String::new()),
        Action::Call(plan) => {
            let inner = events(&plan.steps);
            (call::EVENTS + inner, format!("{inner} inside of it"))
        }
        Action::Parallel(plan) => {
            let inner: u64 = plan.branches.iter().map(|branch| events(&branch.steps)).sum();
            (parallel::events(plan) + inner, format!("{inner} in its branches"))
        }
        // Its children have histories of their own.
        Action::Iteration(plan) => (iteration::events(plan), String::new()),
        // The cases exclude each other.
        Action::Switch(plan) => {
            let inner = plan.lists().map(events).max().unwrap_or(0);
            (switch::EVENTS + inner, format!("{inner} in its largest case"))
        }
    };
    // The handlers exclude each other.
    let handlers = step.handlers.iter().filter_map(|handler| handler.body.as_ref().ok()).map(|steps| events(steps));
    let handling = handlers.max().map_or(0, |most| most + 2);
    let condition = if step.when.is_some() { CONDITION } else { 0 };
    let all = tries * (one + BETWEEN) + handling + condition;
    let how = if how.is_empty() { how } else { format!(" ({how})") };
    let tries = if tries == 1 { String::new() } else { format!("{tries} tries x ") };
    (all, format!("step {} {all} = {tries}{}{how}", step.path, one + BETWEEN))
}

/// Events of what stands around `onFailure` and `finally`.
const ENDS: u64 = 20;

/// Refuses a workflow that could have more events than Step Functions keeps, or in which more results come together than it carries.
pub(super) fn check(program: &Program<'_>, uses: &Uses) -> Vec<Problem> {
    let ends = if program.on_failure.is_empty() && program.finally.is_empty() { 0 } else { ENDS };
    let all = program.lists().map(events).iter().sum::<u64>() + FRAME + ends;
    let mut problems: Vec<Problem> = Vec::new();
    if all > HISTORY_LIMIT {
        let parts = program.lists().into_iter().flatten().map(total).collect();
        problems.push(too_many("spec.steps", all, "one run", parts));
    }
    let kept: u64 = program
        .entries
        .iter()
        .map(|(name, entry)| bytes(entry, &uses.of(&entry.within(finish::GUARDED, name).variable)))
        .sum();
    if kept > PAYLOAD_LIMIT {
        problems.push(too_large("spec.steps", kept, "what onFailure and finally use of steps' results"));
    }
    program.lists().into_iter().for_each(|steps| inside(steps, uses, &mut problems));
    problems
}

fn too_many(at: &str, all: u64, what: &str, mut parts: Vec<(u64, String)>) -> Problem {
    parts.sort_by_key(|(events, _)| std::cmp::Reverse(*events));
    let rest: u64 = parts.iter().skip(NAMED).map(|(events, _)| events).sum();
    let mut sum: Vec<String> = parts.into_iter().take(NAMED).map(|(_, text)| text).collect();
    if rest > 0 {
        sum.push(format!("other steps {rest}"));
    }
    Problem::new(
        at,
        format!(
            "{what} could come to {all} history events, and Step Functions ends it at {HISTORY_LIMIT}: {}; use fewer retries, shorter timeouts, or several workflows",
            sum.join("; ")
        ),
    )
}

/// Bounds of what is inside of steps.
fn inside(steps: &[Step<'_>], uses: &Uses, problems: &mut Vec<Problem>) {
    for step in steps {
        if let Action::Parallel(plan) = &step.action {
            let used = uses.of(&names::variable("steps", &step.path));
            let handed = |branch: &parallel::Branch<'_>| -> u64 {
                branch.entries.iter().map(|(name, entry)| bytes(entry, &parallel::used_of(name, &used))).sum()
            };
            let all = plan.branches.iter().map(handed).sum();
            if all > PAYLOAD_LIMIT {
                problems.push(too_large(&step.at, all, "what later steps use of this step's branches"));
            }
        }
        if let Action::Iteration(plan) = &step.action {
            let all = iteration::child_events(plan) + plan.program.lists().map(events).iter().sum::<u64>();
            if all > HISTORY_LIMIT {
                let parts = plan.program.lists().into_iter().flatten().map(total).collect();
                problems.push(too_many(&step.at, all, "what runs for one of them", parts));
            }
        }
        step.action.inner().into_iter().for_each(|steps| inside(steps, uses, problems));
        for steps in step.handlers.iter().filter_map(|handler| handler.body.as_ref().ok()) {
            inside(steps, uses, problems);
        }
    }
}

fn too_large(at: &str, all: u64, what: &str) -> Problem {
    Problem::new(
        at,
        format!(
            "{what} can come to {all} bytes, and Step Functions carries {PAYLOAD_LIMIT}: an output or stdout counts {OUTPUT_BYTES}, nodes {NODES_BYTES}; use fewer of them, or have scripts print less and say output: None"
        ),
    )
}

/// Most bytes of what is used of a result, see [`Uses::of`].
pub(super) fn bytes(entry: &Entry, used: &[Vec<String>]) -> u64 {
    let whole = used.iter().any(Vec::is_empty);
    let mut sum = FIELD_BYTES;
    for field in &entry.fields {
        if whole || used.iter().any(|used| used.first().is_some_and(|first| first == field)) {
            sum += match *field {
                "output" | "stdout" => OUTPUT_BYTES,
                "nodes" => NODES_BYTES,
                _ => FIELD_BYTES,
            };
        }
    }
    for (name, inner) in &entry.inner {
        let mut inner_used = parallel::used_of(name, used);
        if whole {
            inner_used.push(Vec::new());
        }
        if !inner_used.is_empty() {
            sum += bytes(inner, &inner_used);
        }
    }
    sum
}
