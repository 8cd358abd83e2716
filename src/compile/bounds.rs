//! How many events of history a run can come to.
//!
//! Step Functions ends an execution at its 25,000th event, whatever it was doing: a workflow that could get there is refused.

use super::asl::HISTORY_LIMIT;
use super::problem::Problem;
use super::steps::{call, fail, notify, pass, powershell, wait};
use super::tree::{Action, Step};

/// Execution started and ended, `start` and `end`.
const FRAME: u64 = 6;
/// `failed`, `route`, `again` between two tries.
const BETWEEN: u64 = 6;
/// `when` and `skipped`.
const CONDITION: u64 = 4;
/// How many steps an error names.
const NAMED: usize = 5;

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

/// Refuses a workflow that could have more events than Step Functions keeps.
#[must_use]
pub fn check(steps: &[Step<'_>]) -> Option<Problem> {
    let all = events(steps) + FRAME;
    if all <= HISTORY_LIMIT {
        return None;
    }
    let mut parts: Vec<(u64, String)> = steps.iter().map(total).collect();
    parts.sort_by_key(|(events, _)| std::cmp::Reverse(*events));
    let rest: u64 = parts.iter().skip(NAMED).map(|(events, _)| events).sum();
    let mut sum: Vec<String> = parts.into_iter().take(NAMED).map(|(_, text)| text).collect();
    if rest > 0 {
        sum.push(format!("other steps {rest}"));
    }
    Some(Problem::new(
        "spec.steps",
        format!(
            "one run could come to {all} history events, and Step Functions ends it at {HISTORY_LIMIT}: {}; use fewer retries, shorter timeouts, or several workflows",
            sum.join("; ")
        ),
    ))
}
