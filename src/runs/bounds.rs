//! Keeps a run's status small: 200 steps, 50 nodes a step, 128 KiB in all, failures first.
//!
//! etcd takes objects of 1.5 MiB and every watch carries each write of them. The execution's history keeps everything for 90 days.

use crate::api::run::{NodeStatus, StepPhase, StepStatus, WorkflowRunStatus};

use super::history::succeeded;
use super::report::NODE_LIMIT;
use super::text::cut;

/// Most steps.
const STEP_LIMIT: usize = 200;
/// Most bytes of all steps together as JSON.
const SIZE_LIMIT: usize = 128 * 1024;
/// Most characters of a failure's cause.
const CAUSE_LIMIT: usize = 4096;
/// Most characters of a hint.
const HINT_LIMIT: usize = 2048;
/// Most characters of the one line for people.
const MESSAGE_LIMIT: usize = 512;
/// What stands where a node's output was left out.
const LEFT_OUT: &str = "…";

/// Brings a status within its bounds. `left_out` says how many steps and nodes that cost.
pub fn bound(status: &mut WorkflowRunStatus) {
    let listed: usize = status.steps.iter().map(|step| step.nodes.len() + 1).sum();
    // Nodes that the report itself left out count too.
    let unlisted: usize = status.steps.iter().map(unlisted).sum();
    for step in &mut status.steps {
        step.nodes.sort_by_key(|node| succeeded(&node.status));
        step.nodes.truncate(NODE_LIMIT);
    }
    if status.steps.len() > STEP_LIMIT {
        failures_first(&mut status.steps);
        status.steps.truncate(STEP_LIMIT);
    }
    shed(&mut status.steps);
    let kept: usize = status.steps.iter().map(|step| step.nodes.len() + 1).sum();
    let left_out = listed - kept + unlisted;
    status.left_out = (left_out > 0).then(|| i32::try_from(left_out).unwrap_or(i32::MAX));
    if let Some(failure) = &mut status.failure {
        failure.cause = cut(&failure.cause, CAUSE_LIMIT);
        failure.hint = cut(&failure.hint, HINT_LIMIT);
    }
    status.message = status.message.take().map(|message| cut(&message, MESSAGE_LIMIT));
}

fn unlisted(step: &StepStatus) -> usize {
    let total = step.node_counts.map_or(0, |counts| usize::try_from(counts.total).unwrap_or(0));
    if step.nodes.is_empty() { 0 } else { total.saturating_sub(step.nodes.len()) }
}

fn failures_first(steps: &mut [StepStatus]) {
    steps.sort_by_key(|step| match step.phase {
        StepPhase::Failed => 0,
        StepPhase::Cancelled => 1,
        StepPhase::Handled => 2,
        StepPhase::Running => 3,
        StepPhase::Succeeded => 4,
        StepPhase::Skipped => 5,
    });
}

/// Leaves things out until the steps fit: first what well nodes printed, then well nodes, then what failed nodes printed, then whole steps, each
/// time the steps that matter least first.
fn shed(steps: &mut Vec<StepStatus>) {
    if size(steps) <= SIZE_LIMIT {
        return;
    }
    failures_first(steps);
    let measures: [fn(&mut StepStatus); 3] = [
        |step| step.nodes.iter_mut().filter(|node| succeeded(&node.status)).for_each(silence),
        |step| step.nodes.retain(|node| !succeeded(&node.status)),
        |step| step.nodes.iter_mut().for_each(silence),
    ];
    let mut sizes: Vec<usize> = steps.iter().map(step_size).collect();
    let mut total: usize = sizes.iter().sum();
    for measure in measures {
        for (step, size) in steps.iter_mut().zip(&mut sizes).rev() {
            if total <= SIZE_LIMIT {
                return;
            }
            measure(step);
            let now = step_size(step);
            total = total - *size + now;
            *size = now;
        }
    }
    while total > SIZE_LIMIT {
        let Some(size) = sizes.pop() else { return };
        steps.pop();
        total -= size;
    }
}

fn silence(node: &mut NodeStatus) {
    for text in [&mut node.output, &mut node.error_output].into_iter().flatten() {
        LEFT_OUT.clone_into(text);
    }
}

fn size(steps: &[StepStatus]) -> usize {
    steps.iter().map(step_size).sum()
}

/// Bytes of a step as JSON, with the comma behind it.
fn step_size(step: &StepStatus) -> usize {
    serde_json::to_vec(step).map_or(0, |bytes| bytes.len() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::run::{Failure, Layer, NodeCounts};

    fn node(id: usize, status: &str, output: &str) -> NodeStatus {
        NodeStatus {
            id: format!("i-{id:017x}"),
            computer_name: Some(format!("WEB-{id}")),
            status: status.into(),
            exit_code: Some(0),
            output: (!output.is_empty()).then(|| output.to_owned()),
            error_output: None,
        }
    }

    fn step(path: &str, phase: StepPhase, nodes: Vec<NodeStatus>) -> StepStatus {
        StepStatus { path: path.into(), phase, nodes, ..StepStatus::default() }
    }

    fn bounded(steps: Vec<StepStatus>) -> WorkflowRunStatus {
        let mut status = WorkflowRunStatus { steps, ..WorkflowRunStatus::default() };
        bound(&mut status);
        assert!(serde_json::to_vec(&status.steps).unwrap().len() <= SIZE_LIMIT + 2);
        status
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let steps = vec![
            step("a", StepPhase::Succeeded, vec![node(1, "Success", "x")]),
            step("b", StepPhase::Failed, vec![node(1, "Failed", "y")]),
        ];
        let status = bounded(steps.clone());
        assert_eq!((status.steps, status.left_out), (steps, None));
    }

    #[test]
    fn of_too_many_nodes_the_failed_ones_stay() {
        let mut nodes: Vec<NodeStatus> = (0..60).map(|id| node(id, "Success", "")).collect();
        nodes.push(node(60, "Undeliverable", ""));
        let status = bounded(vec![step("a", StepPhase::Failed, nodes)]);
        let kept = &status.steps[0].nodes;
        assert_eq!((kept.len(), kept[0].status.as_str(), status.left_out), (50, "Undeliverable", Some(11)));
    }

    #[test]
    fn nodes_that_the_report_left_out_are_counted() {
        let mut one = step("a", StepPhase::Succeeded, (0..50).map(|id| node(id, "Success", "")).collect());
        one.node_counts = Some(NodeCounts { total: 400, succeeded: 400, failed: 0 });
        assert_eq!(bounded(vec![one]).left_out, Some(350));
    }

    #[test]
    fn of_too_many_steps_the_failed_ones_stay_and_come_first() {
        let mut steps: Vec<StepStatus> =
            (0..250).map(|n| step(&format!("s{n}"), StepPhase::Succeeded, Vec::new())).collect();
        steps.push(step("last", StepPhase::Failed, Vec::new()));
        let status = bounded(steps);
        assert_eq!((status.steps.len(), status.left_out), (200, Some(51)));
        assert_eq!((status.steps[0].path.as_str(), status.steps[1].path.as_str()), ("last", "s0"));
    }

    #[test]
    fn too_much_output_goes_before_nodes_and_nodes_before_steps() {
        // Quotes double in JSON: what counts is bytes as written.
        let loud = "\"".repeat(512);
        let many = |status: &str| (0..50).map(|id| node(id, status, &loud)).collect::<Vec<_>>();
        let mut steps: Vec<StepStatus> =
            (0..4).map(|n| step(&format!("well-{n}"), StepPhase::Succeeded, many("Success"))).collect();
        steps.push(step("bad", StepPhase::Failed, many("Failed")));
        let status = bounded(steps);
        assert_eq!(status.left_out, None, "leaving output out was enough");
        assert_eq!((status.steps.len(), status.steps[0].path.as_str()), (5, "bad"));
        assert_eq!(status.steps[0].nodes[0].output.as_deref(), Some(loud.as_str()), "failures keep their words");
        assert_eq!(status.steps[4].nodes[0].output.as_deref(), Some("…"));

        let steps = (0..200).map(|n| step(&format!("s{n}"), StepPhase::Failed, many("Failed"))).collect();
        let status = bounded(steps);
        assert!(status.left_out.unwrap() > 0 && !status.steps.is_empty());
    }

    #[test]
    fn texts_are_cut() {
        let mut status = WorkflowRunStatus {
            message: Some("m".repeat(9999)),
            failure: Some(Failure {
                step: None,
                node: None,
                layer: Layer::Script,
                error: "e".into(),
                cause: "c".repeat(9999),
                hint: "h".repeat(9999),
            }),
            ..WorkflowRunStatus::default()
        };
        bound(&mut status);
        let failure = status.failure.unwrap();
        assert_eq!(
            (status.message.unwrap().len(), failure.cause.chars().count(), failure.hint.chars().count()),
            (MESSAGE_LIMIT + 2, CAUSE_LIMIT, HINT_LIMIT)
        );
    }
}
