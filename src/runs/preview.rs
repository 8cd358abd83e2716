//! A run that only looks: which nodes there are, and what would run on them.

use super::bounds::bound;
use super::decide::Start;
use super::outline::outline;
use super::status::Now;
use super::text::{cut, seconds};
use crate::api::WorkflowRunStatus;
use crate::api::conditions::{self, STARTED, SUCCEEDED, Verdict};
use crate::api::run::{ListedTargets, Phase, Preview, PreviewStep, Progress};

/// Most steps that a preview lists.
const STEPS: usize = 200;
/// Most characters of a condition.
const WHEN: usize = 256;

/// The status of a run that was previewed: it has ended, and nothing was started.
#[must_use]
pub fn previewed(
    mut status: WorkflowRunStatus,
    now: Now,
    start: &Start,
    targets: Vec<ListedTargets>,
) -> WorkflowRunStatus {
    let planned = outline(&start.spec);
    let nodes = |set: &String| targets.iter().find(|listed| &listed.set == set).map(|listed| listed.count);
    let steps: Vec<PreviewStep> = planned
        .iter()
        .take(STEPS)
        .map(|step| PreviewStep {
            path: step.path.clone(),
            type_: step.type_.clone(),
            when: step.when.as_ref().map(|when| cut(when, WHEN)),
            nodes: step.set.as_ref().and_then(nodes),
            after_failure: step.after_failure,
        })
        .collect();
    let offline: i32 = targets.iter().filter_map(|listed| listed.offline).max().unwrap_or(0);
    let most = targets.iter().map(|listed| listed.count).max();
    let on = most.map_or_else(String::new, |most| {
        let offline = if offline > 0 { format!(", {offline} of them offline now") } else { String::new() };
        format!(" on {most} nodes{offline}")
    });
    let message = format!("{} steps would run{on}; nothing was run", start.steps);
    status.workflow_generation = Some(start.pin.generation);
    status.workflow_uid.clone_from(&start.pin.uid);
    status.account = Some(start.account.clone());
    status.state_machine_version_arn = Some(start.version_arn.clone());
    status.preview = Some(Preview {
        parameters: start.parameters.clone().into_iter().collect(),
        left_out: i32::try_from(planned.len().saturating_sub(STEPS)).ok().filter(|left| *left > 0),
        steps,
    });
    status.targets = targets;
    status.progress =
        Some(Progress { steps: format!("0/{}", start.steps), nodes: most.map(|most| format!("0/{most}")) });
    status.phase = Phase::Previewed;
    status.message = Some(message.clone());
    status.finished_at = Some(seconds(now.at));
    status.observed_generation = now.generation;
    for (type_, value) in [(STARTED, false), (SUCCEEDED, true)] {
        let verdict = Verdict::new(type_, Some(value), "Previewed", message.as_str());
        conditions::set(&mut status.conditions, now.generation, now.at, verdict);
    }
    bound(&mut status);
    status
}
