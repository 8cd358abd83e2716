use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::super::fixtures::{History, at};
use super::*;
use crate::api::run::{NodeCounts, NodeStatus};

fn phases(story: &Story) -> Vec<(&str, StepPhase)> {
    story.steps.iter().map(|step| (step.status.path.as_str(), step.status.phase)).collect()
}

fn failed_at(story: &Story) -> Option<&str> {
    story.failed_at.map(|place| story.steps[place].status.path.as_str())
}

fn statuses(story: &Story) -> Vec<StepStatus> {
    story.steps.iter().map(|step| step.status.clone()).collect()
}

fn one_node(status: &str, exit_code: i32) -> serde_json::Value {
    json!({
        "attempt": 1,
        "commandId": "c-1",
        "counts": { "total": 1, "succeeded": i32::from(status == "Success"), "failed": i32::from(status != "Success") },
        "nodes": [{ "id": "i-1", "name": "WEB-01", "status": status, "exitCode": exit_code, "stdout": "hello\r\n" }]
    })
}

#[test]
fn a_step_that_succeeds() {
    let story = fold(&History::new().sent("report", "c-1").done("report", one_node("Success", 0)).succeeded().events());
    let step = &story.steps[0].status;
    assert_eq!(
        *step,
        StepStatus {
            path: "report".into(),
            phase: StepPhase::Succeeded,
            started_at: Some(Time(at(4))),
            finished_at: Some(Time(at(15))),
            attempts: Some(1),
            command_id: Some("c-1".into()),
            node_counts: Some(NodeCounts { total: 1, succeeded: 1, failed: 0 }),
            nodes: vec![NodeStatus {
                id: "i-1".into(),
                computer_name: Some("WEB-01".into()),
                status: "Success".into(),
                exit_code: Some(0),
                output: Some("hello".into()),
                error_output: None,
            }],
            message: None,
            output: None,
            error: None,
        }
    );
    assert_eq!((story.started_at, story.end.as_ref().map(|end| end.status)), (Some(at(1)), Some(Status::Succeeded)));
    assert_eq!(progress(&statuses(&story), 3), Progress { steps: "1/3".into(), nodes: Some("1/1".into()) });
}

#[test]
fn a_step_that_waits_long_says_for_what_until_it_has_ended() {
    let said = json!({ "message": "waits until 2026-12-01T22:00:00Z" });
    let waiting = History::new().state("Pass", "settle: until", &said).enter("Wait", "settle: wait");
    assert_eq!(fold(&waiting.events()).steps[0].status.message.as_deref(), Some("waits until 2026-12-01T22:00:00Z"));
    let over = History::new().state("Pass", "settle: until", &said).done("settle", json!({}));
    assert_eq!(fold(&over.events()).steps[0].status.message, None);
}

#[test]
fn a_step_that_waits_for_its_command() {
    let story = fold(&History::new().sent("report", "c-1").enter("Wait", "report: wait").events());
    let step = &story.steps[0].status;
    assert_eq!(
        (step.phase, step.command_id.as_deref(), step.finished_at.as_ref()),
        (StepPhase::Running, Some("c-1"), None)
    );
    assert_eq!(progress(&statuses(&story), 1), Progress { steps: "0/1".into(), nodes: None });
}

#[test]
fn a_step_that_fails_ends_the_run() {
    let report = json!({ "attempt": 1, "error": "Windlass.ExitCode", "cause": "1 of 1 nodes failed", "nodes": [] });
    let story = fold(
        &History::new()
            .sent("report", "c-1")
            .failed("report", report)
            .fatal("Windlass.ExitCode", "1 of 1 nodes failed")
            .events(),
    );
    assert_eq!(phases(&story), [("report", StepPhase::Failed)]);
    assert_eq!((failed_at(&story), story.steps[0].cause.as_deref()), (Some("report"), Some("1 of 1 nodes failed")));
    assert_eq!(story.steps[0].status.error.as_deref(), Some("Windlass.ExitCode"));
}

#[test]
fn a_skipped_step_and_one_that_gives_a_result() {
    let story = fold(
        &History::new()
            .state("Choice", "maybe: when", &json!({}))
            .state("Pass", "maybe: skipped", &json!({}))
            .state("Pass", "say: pass", &json!({}))
            .done("say", json!({ "attempt": 1, "output": { "site": "dc1" } }))
            .succeeded()
            .events(),
    );
    assert_eq!(phases(&story), [("maybe", StepPhase::Skipped), ("say", StepPhase::Succeeded)]);
    assert_eq!(story.steps[1].status.output.as_deref(), Some(r#"{"site":"dc1"}"#));
    assert!(story.steps[0].status.finished_at.is_some());
    assert_eq!(progress(&statuses(&story), 2).steps, "2/2");
}

#[test]
fn a_failed_try_is_under_way_again_until_the_next_one_ends() {
    let first = History::new()
        .sent("install", "c-1")
        .failed("install", json!({ "attempt": 1, "commandId": "c-1", "error": "Windlass.ExitCode" }))
        .enter("Wait", "install: again");
    let story = fold(&first.events());
    assert_eq!(phases(&story), [("install", StepPhase::Running)]);
    let step = &story.steps[0].status;
    assert_eq!((step.error.as_deref(), step.finished_at.as_ref()), (Some("Windlass.ExitCode"), None));

    let second = History::new()
        .sent("install", "c-1")
        .failed("install", json!({ "attempt": 1, "commandId": "c-1", "error": "Windlass.ExitCode" }))
        .state("Wait", "install: again", &json!({}))
        .sent("install", "c-2")
        .done("install", json!({ "attempt": 2, "commandId": "c-2" }))
        .succeeded();
    let story = fold(&second.events());
    let step = &story.steps[0].status;
    assert_eq!(
        (step.phase, step.attempts, step.command_id.as_deref(), step.error.as_deref(), step.started_at.clone()),
        (StepPhase::Succeeded, Some(2), Some("c-2"), None, Some(Time(at(4))))
    );
}

#[test]
fn a_handled_failure_does_not_end_the_run() {
    let story = fold(
        &History::new()
            .sent("drain", "c-1")
            .failed("drain", json!({ "error": "Windlass.ExitCode" }))
            .state("Pass", "drain: handled", &json!({}))
            .sent("drain/undo", "c-2")
            .done("drain/undo", one_node("Success", 0))
            .succeeded()
            .events(),
    );
    assert_eq!(phases(&story), [("drain", StepPhase::Handled), ("drain/undo", StepPhase::Succeeded)]);
    assert_eq!((failed_at(&story), progress(&statuses(&story), 1).steps), (None, "1/1".to_owned()));
}

#[test]
fn a_handler_that_fails_is_what_ended_the_run() {
    let story = fold(
        &History::new()
            .sent("drain", "c-1")
            .failed("drain", json!({ "error": "Windlass.ExitCode" }))
            .state("Pass", "drain: handled", &json!({}))
            .sent("drain/undo", "c-2")
            .failed("drain/undo", json!({ "error": "Windlass.NodeUnreachable" }))
            .fatal("Windlass.NodeUnreachable", "")
            .events(),
    );
    assert_eq!(phases(&story), [("drain", StepPhase::Handled), ("drain/undo", StepPhase::Failed)]);
    assert_eq!(failed_at(&story), Some("drain/undo"));
}

#[test]
fn a_failure_inside_a_block_is_found_under_the_call_that_it_ended() {
    let inner_fails = || {
        History::new()
            .state("Pass", "move: begin", &json!({}))
            .sent("move/fail-over", "c-1")
            .failed("move/fail-over", json!({ "error": "Windlass.ExitCode", "cause": "1 of 2" }))
            .failed("move", json!({ "error": "Windlass.ExitCode" }))
    };
    let story = fold(&inner_fails().fatal("Windlass.ExitCode", "1 of 2").events());
    assert_eq!(phases(&story), [("move", StepPhase::Failed), ("move/fail-over", StepPhase::Failed)]);
    assert_eq!(failed_at(&story), Some("move/fail-over"));

    let story = fold(&inner_fails().state("Pass", "move: handled", &json!({})).succeeded().events());
    assert_eq!(phases(&story), [("move", StepPhase::Handled), ("move/fail-over", StepPhase::Handled)]);

    // The call is tried again: what is inside of it begins anew.
    let again = inner_fails()
        .state("Wait", "move: again", &json!({}))
        .state("Pass", "move: begin", &json!({}))
        .sent("move/fail-over", "c-2");
    let story = fold(&again.events());
    assert_eq!(phases(&story), [("move", StepPhase::Running), ("move/fail-over", StepPhase::Running)]);
    let inner = &story.steps[1].status;
    assert_eq!((inner.command_id.as_deref(), inner.error.as_deref()), (Some("c-2"), None));
}

#[test]
fn where_step_functions_itself_gave_up_the_state_says_which_step() {
    let story = fold(
        &History::new()
            .state("Pass", "move: begin", &json!({}))
            .enter("Pass", "move/say: pass")
            .ended("ExecutionFailed", Some("States.QueryEvaluationError"), Some("…"))
            .events(),
    );
    assert_eq!(phases(&story), [("move", StepPhase::Failed), ("move/say", StepPhase::Failed)]);
    assert_eq!(failed_at(&story), Some("move/say"));
    assert!(story.steps.iter().all(|step| step.status.finished_at == Some(Time(at(7)))));
}

#[test]
fn what_runs_when_the_run_is_stopped_is_cancelled() {
    for (type_, status) in [("ExecutionAborted", Status::Aborted), ("ExecutionTimedOut", Status::TimedOut)] {
        let history =
            History::new().sent("a", "c-1").done("a", one_node("Success", 0)).sent("b", "c-2").ended(type_, None, None);
        let story = fold(&history.events());
        assert_eq!(phases(&story), [("a", StepPhase::Succeeded), ("b", StepPhase::Cancelled)]);
        assert_eq!((story.end.as_ref().map(|end| end.status), failed_at(&story)), (Some(status), None));
        assert!(story.steps[1].status.finished_at.is_some());
    }
}

#[test]
fn a_report_names_the_path_that_the_states_name_has_cut() {
    let long = "a-very-long-step-name-of-forty-characters/another-very-long-step-name-inside";
    let story = fold(
        &History::new()
            .sent("a-very-long-step-name-of-forty-characters/another-_1a2b", "c-1")
            .done("a-very-long-step-name-of-forty-characters/another-_1a2b", json!({ "step": long }))
            .events(),
    );
    assert_eq!(phases(&story), [(long, StepPhase::Succeeded)]);
}

#[test]
fn states_that_are_nobodys_step_are_passed_over() {
    let story = fold(&History::new().state("Pass", "Snapshot", &json!({})).succeeded().events());
    assert_eq!((story.steps.len(), story.end.is_some()), (0, true));
    assert_eq!(fold(&[]), Story::default());
}

#[test]
fn nodes_are_counted_once_over_all_steps() {
    let step = |nodes: &[(&str, &str)], counts: (i32, i32)| StepStatus {
        nodes: nodes
            .iter()
            .map(|(id, status)| NodeStatus { id: (*id).into(), status: (*status).into(), ..NodeStatus::default() })
            .collect(),
        node_counts: Some(NodeCounts { total: counts.0, succeeded: counts.0 - counts.1, failed: counts.1 }),
        phase: StepPhase::Succeeded,
        ..StepStatus::default()
    };
    let (well, bad) = ("Success", "Undeliverable");
    for (steps, shown) in [
        (vec![], None),
        (vec![step(&[("a", well), ("b", well)], (2, 0)), step(&[("a", bad), ("b", well)], (2, 1))], Some("1/2")),
        (vec![step(&[("a", well)], (1, 0)), step(&[("b", well)], (1, 0))], Some("2/2")),
        // Lists are cut at 50 nodes; counts are not.
        (vec![step(&[("a", bad)], (400, 3))], Some("397/400")),
    ] {
        assert_eq!(progress(&steps, 1).nodes.as_deref(), shown);
    }
}

#[test]
fn what_runs_after_a_failure_does_not_hide_it() {
    let failed = json!({ "attempt": 1, "error": "Windlass.ExitCode", "cause": "1 of 1 nodes failed" });
    let after = |failure: &serde_json::Value| {
        History::new()
            .sent("drain", "c-1")
            .failed("drain", failed.clone())
            .state("Choice", "outcome", &json!({}))
            .state("Pass", "failure", &json!({ "failure": failure }))
            .sent("mend", "c-2")
            .failed("mend", failed.clone())
            .sent("tidy", "c-3")
            .done("tidy", one_node("Success", 0))
            .fatal("Windlass.ExitCode", "1 of 1 nodes failed")
            .events()
    };
    for failure in [json!({ "step": "drain" }), json!({ "step": "", "error": "States.QueryEvaluationError" })] {
        let story = fold(&after(&failure));
        assert_eq!(failed_at(&story), Some("drain"));
        assert_eq!(
            phases(&story),
            [("drain", StepPhase::Failed), ("mend", StepPhase::Failed), ("tidy", StepPhase::Succeeded)]
        );
    }
}

#[test]
fn while_a_step_runs_its_own_nodes_are_counted() {
    let poll = json!({ "status": "InProgress", "counts": { "total": 4, "succeeded": 1, "failed": 0 } });
    let story = fold(&History::new().sent("a", "c-1").state("Task", "a: poll", &poll).events());
    let steps: Vec<StepStatus> = story.steps.into_iter().map(|step| step.status).collect();
    assert_eq!(progress(&steps, 1).nodes.as_deref(), Some("1/4"));
}
