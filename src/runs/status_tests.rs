use serde_json::json;

use super::super::fixtures::{History, at, start as began};
use super::super::history::fold;
use super::*;

fn now() -> Now {
    Now { at: at(500), generation: Some(2) }
}

fn start() -> Start {
    Start {
        pin: Pin { generation: 3, uid: Some("wf-1".into()) },
        account: "prod".into(),
        version_arn: "arn:version".into(),
        document: Some("d".into()),
        parameters: serde_json::Map::new(),
        steps: 2,
        spec: serde_json::from_value(json!({ "steps": [] })).unwrap(),
        fleets: Vec::new(),
    }
}

fn started_run() -> WorkflowRunStatus {
    let prepared = prepared(WorkflowRunStatus::default(), now(), &start(), "arn:execution", Vec::new());
    running(prepared, now(), began())
}

/// Status and reason of the two conditions.
fn verdicts(status: &WorkflowRunStatus) -> [(String, String); 2] {
    [STARTED, SUCCEEDED].map(|type_| {
        let condition = conditions::get(&status.conditions, type_).unwrap();
        assert_eq!(condition.observed_generation, Some(2));
        (condition.status.clone(), condition.reason.clone())
    })
}

fn pair(one: (&str, &str), two: (&str, &str)) -> [(String, String); 2] {
    [one, two].map(|(status, reason)| (status.to_owned(), reason.to_owned()))
}

#[test]
fn what_is_about_to_be_started_is_written_down_first() {
    let status = prepared(WorkflowRunStatus::default(), now(), &start(), "arn:execution", Vec::new());
    assert_eq!(status.execution_arn.as_deref(), Some("arn:execution"));
    assert_eq!((status.workflow_generation, status.workflow_uid.as_deref()), (Some(3), Some("wf-1")));
    assert_eq!(
        (status.phase, status.document_name.as_deref(), status.account.as_deref()),
        (Phase::Pending, Some("d"), Some("prod"))
    );
    assert_eq!(status.progress.as_ref().unwrap().steps, "0/2");
    assert_eq!(verdicts(&status), pair(("Unknown", "Starting"), ("Unknown", "Pending")));
}

#[test]
fn a_start_that_did_not_come_about_leaves_nothing_of_itself() {
    let prepared = prepared(WorkflowRunStatus::default(), now(), &start(), "arn:execution", Vec::new());
    let wait = Wait { reason: "WorkflowDeleted", message: "w".into(), pin: None, until: None };
    let status = waiting(prepared.clone(), now(), &wait);
    assert_eq!(
        (status.execution_arn.as_ref(), status.document_name.as_ref(), status.workflow_generation),
        (None, None, Some(3))
    );
    assert_eq!(
        (status.phase, verdicts(&status)),
        (Phase::Pending, pair(("False", "WorkflowDeleted"), ("Unknown", "Pending")))
    );
    let refusal = Refusal { phase: Phase::Failed, reason: "Expired", message: "m".into(), failure: None };
    let status = refused(prepared, now(), &refusal);
    assert_eq!((status.execution_arn.as_ref(), status.finished_at.is_some()), (None, true));
    assert_eq!((status.phase, verdicts(&status)), (Phase::Failed, pair(("False", "Expired"), ("False", "Expired"))));
}

#[test]
fn a_running_run_says_where_it_is_of_how_many_steps() {
    let story = fold(&History::new().sent("drain", "c-1").events());
    let status = progressed(started_run(), now(), &story);
    assert_eq!((status.phase, status.message.as_deref()), (Phase::Running, Some("at step drain")));
    assert_eq!(status.progress.as_ref().unwrap().steps, "0/2");
    assert_eq!(verdicts(&status), pair(("True", "Started"), ("Unknown", "Running")));
    assert_eq!(progressed(status.clone(), now(), &story), status, "nothing new, nothing written");
    let retried = History::new()
        .sent("drain", "c-1")
        .failed("drain", json!({ "error": "Windlass.ExitCode" }))
        .enter("Wait", "drain: again");
    let status = progressed(status, now(), &fold(&retried.events()));
    assert_eq!(
        status.message.as_deref(),
        Some("at step drain, which failed with Windlass.ExitCode and is tried again")
    );
    let cancelling = progressed(cancelling(status, now(), Why::Requested), now(), &story);
    assert_eq!(cancelling.phase, Phase::Cancelling);
    assert!(cancelling.message.unwrap().contains("spec.desiredState"));
}

#[test]
fn every_end_has_its_phase_conditions_and_words() {
    let failed = || History::new().sent("drain", "c-1").failed("drain", json!({ "error": "Windlass.NoTargets" }));
    for (history, phase, says, failure) in [
        (History::new().sent("a", "c").done("a", json!({})).succeeded(), Phase::Succeeded, "1/2 steps done", false),
        (failed().fatal("Windlass.NoTargets", ""), Phase::Failed, "step drain: no managed node", true),
        (History::new().sent("a", "c").ended("ExecutionTimedOut", None, None), Phase::TimedOut, "spec.timeout", true),
        (
            History::new().ended("ExecutionAborted", Some(CANCELLED), Some(Why::Requested.cause())),
            Phase::Cancelled,
            "cancelled by spec.desiredState",
            false,
        ),
        (
            History::new().ended("ExecutionAborted", Some("Me"), Some("why")),
            Phase::Cancelled,
            "stopped from outside of Windlass, with: Me: why",
            false,
        ),
        (History::new().ended("ExecutionAborted", None, None), Phase::Cancelled, "without a reason given", false),
    ] {
        let story = fold(&history.events());
        let status = finished(started_run(), now(), &story, 0).unwrap();
        assert_eq!((status.phase, status.failure.is_some()), (phase, failure));
        assert!(status.message.as_ref().unwrap().contains(says), "{:?}", status.message);
        let well = if phase == Phase::Succeeded { "True" } else { "False" };
        assert_eq!(verdicts(&status), pair(("True", "Started"), (well, &format!("{phase:?}"))));
        assert_eq!(status.finished_at, Some(seconds(story.end.unwrap().at)));
    }
    assert_eq!(
        finished(started_run(), now(), &fold(&History::new().events()), 0),
        None,
        "what has not ended is not finished"
    );
}

#[test]
fn a_run_that_was_being_cancelled_ends_as_its_execution_did() {
    let cancelling = || cancelling(started_run(), now(), Why::Deleted);
    let aborted = fold(&History::new().ended("ExecutionAborted", Some("other"), None).events());
    assert_eq!(finished(cancelling(), now(), &aborted, 0).unwrap().message.as_deref(), Some("cancelled"));
    let succeeded = fold(&History::new().succeeded().events());
    assert_eq!(finished(cancelling(), now(), &succeeded, 0).unwrap().phase, Phase::Succeeded);
}

#[test]
fn commands_that_could_not_be_cancelled_are_spoken_of() {
    let story = fold(&History::new().ended("ExecutionAborted", Some(CANCELLED), None).events());
    let status = finished(started_run(), now(), &story, 2).unwrap();
    assert_eq!(
        status.message.as_deref(),
        Some("cancelled; 2 of its commands could not be cancelled and may still run on nodes")
    );
    assert!(sweeping(started_run(), now(), &story, 1).message.unwrap().contains("one command"));
}

#[test]
fn an_earlier_runs_result_is_shown() {
    let failed = History::new()
        .sent("drain", "c-1")
        .failed("drain", json!({ "error": "Windlass.NoTargets" }))
        .fatal("Windlass.NoTargets", "");
    for (history, well, says) in [
        (
            History::new().sent("a", "c").done("a", json!({})).succeeded(),
            "True",
            "(UID u-0) ran under this name, and succeeded",
        ),
        (failed, "False", "and failed: step drain: no managed node"),
        (History::new().ended("ExecutionAborted", None, None), "False", "and was cancelled"),
        (History::new().ended("ExecutionTimedOut", None, None), "False", "and timed out"),
    ] {
        let story = fold(&history.events());
        let steps = story.steps.len();
        let prepared = prepared(WorkflowRunStatus::default(), now(), &start(), "arn", Vec::new());
        let status = already_ran(prepared, now(), &story, Some("u-0"));
        assert_eq!((status.phase, status.steps.len()), (Phase::AlreadyRan, steps));
        assert_eq!(verdicts(&status), pair(("False", "AlreadyRan"), (well, "AlreadyRan")));
        assert!(status.message.as_ref().unwrap().contains(says), "{:?}", status.message);
        assert_eq!(status.failure.is_some(), matches!(story.end.unwrap().status, Status::Failed | Status::TimedOut));
    }
}

#[test]
fn an_execution_that_vanished_is_a_failure() {
    let story = fold(&History::new().sent("a", "c").events());
    let status = lost(progressed(started_run(), now(), &story), now());
    assert_eq!((status.phase, status.steps[0].phase), (Phase::Failed, StepPhase::Cancelled));
    assert_eq!(status.failure.as_ref().unwrap().layer, Layer::StepFunctions);
    assert_eq!(verdicts(&status), pair(("True", "Started"), ("False", "Failed")));
}
