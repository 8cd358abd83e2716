//! Histories that real executions of compiled workflows left on the test bed (`tests/histories/capture.py`), folded and attributed.

use super::attribution::attribute;
use super::fixtures::captured;
use super::history::{Story, fold, progress};
use crate::api::run::{Layer, NodeCounts, StepPhase, StepStatus};
use crate::aws::executions::Status;

fn story(name: &str) -> Story {
    fold(&captured(name))
}

fn phases(story: &Story) -> Vec<(&str, StepPhase, Option<i32>)> {
    let all = story.steps.iter().map(|step| &step.status);
    all.map(|step| (step.path.as_str(), step.phase, step.attempts)).collect()
}

fn statuses(story: &Story) -> Vec<StepStatus> {
    story.steps.iter().map(|step| step.status.clone()).collect()
}

#[test]
fn every_kind_of_step_is_told_apart() {
    use StepPhase::{Failed, Handled, Skipped, Succeeded};
    let story = story("all-kinds");
    assert_eq!(
        phases(&story),
        [
            ("probe", Succeeded, Some(1)),
            ("verify", Skipped, None),
            ("pause", Succeeded, Some(1)),
            ("say", Succeeded, Some(1)),
            ("flaky", Succeeded, Some(2)),
            ("drain", Handled, Some(1)),
            ("drain/undo", Succeeded, Some(1)),
            ("move", Failed, Some(1)),
            ("move/check", Succeeded, Some(1)),
            ("move/verdict", Failed, Some(1)),
        ]
    );
    let steps = statuses(&story);
    assert_eq!(steps[3].output.as_deref(), Some(r#"{"site":"dc1"}"#));
    assert!(steps.iter().all(|step| step.started_at <= step.finished_at && step.finished_at.is_some()));
    let progress = progress(&steps, 7);
    assert_eq!((progress.steps.as_str(), progress.nodes.as_deref()), ("6/7", Some("1/3")));
    let failure = attribute(&story).unwrap();
    assert_eq!(
        (failure.step.as_deref(), failure.layer, failure.error.as_str(), failure.cause.as_str()),
        (Some("move/verdict"), Layer::Manifest, "Web.Unhealthy", "health answered 503")
    );
}

#[test]
fn a_failing_script_names_its_node() {
    let story = story("exit-code");
    let steps = statuses(&story);
    assert_eq!(steps[0].node_counts, Some(NodeCounts { total: 2, succeeded: 2, failed: 0 }));
    assert_eq!(steps[1].node_counts, Some(NodeCounts { total: 2, succeeded: 0, failed: 2 }));
    let first = &steps[1].nodes[0];
    assert_eq!(
        (first.computer_name.as_deref(), first.status.as_str(), first.exit_code),
        (Some("WEB-01"), "Failed", Some(5))
    );
    assert_eq!(first.output.as_deref(), Some("before"));
    assert_eq!(
        first.error_output, None,
        "the state machine carries what was printed; `words::fetch` asks for the rest"
    );
    assert_eq!(story.steps[1].plugin.as_deref(), Some("boom"), "whose error output to ask for");
    let failure = attribute(&story).unwrap();
    assert_eq!((failure.layer, failure.step.as_deref()), (Layer::Script, Some("boom")));
    assert!(failure.cause.contains("exit code 5 on WEB-01 (i-00000000000000001)"), "{}", failure.cause);
}

#[test]
fn a_script_that_hangs_is_the_scripts_failure_and_a_slow_run_the_workflows() {
    let failure = attribute(&story("step-timeout")).unwrap();
    assert_eq!((failure.layer, failure.error.as_str()), (Layer::Script, "Windlass.TimedOut"));
    let story = story("run-timeout");
    assert_eq!(phases(&story)[0].1, StepPhase::Cancelled);
    let failure = attribute(&story).unwrap();
    assert_eq!((failure.layer, failure.error.as_str()), (Layer::StepFunctions, "States.Timeout"));
}

#[test]
fn a_stopped_execution_says_who_stopped_it() {
    let story = story("stopped");
    let end = story.end.as_ref().unwrap();
    assert_eq!((end.status, end.error.as_deref()), (Status::Aborted, Some(super::status::CANCELLED)));
    assert_eq!(phases(&story), [("work", StepPhase::Cancelled, None)]);
    assert!(story.steps[0].status.command_id.is_some(), "what the sweep cancels");
}

#[test]
fn an_expression_that_fails_is_the_manifests() {
    let story = story("bad-expression");
    assert_eq!(phases(&story), [("say", StepPhase::Failed, None)]);
    let failure = attribute(&story).unwrap();
    assert_eq!((failure.layer, failure.step.as_deref()), (Layer::Manifest, Some("say")));
    assert!(failure.cause.contains("$number($params.site)"), "{}", failure.cause);
}
