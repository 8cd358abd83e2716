use serde_json::json;

use super::*;

const NOW: &str = "2026-11-24T10:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// A run with parts of its spec, metadata and status put over the least that one has.
#[allow(clippy::needless_pass_by_value)]
fn run(spec: Value, metadata: Value, status: Value) -> WorkflowRun {
    let mut whole = json!({
        "apiVersion": "windlass.dev/v1alpha1",
        "kind": "WorkflowRun",
        "metadata": { "name": "disk-report-1", "namespace": "ops", "uid": "run-1", "generation": 1 },
        "spec": { "workflowRef": { "name": "disk-report" } },
        "status": status,
    });
    for (part, over) in [("spec", spec), ("metadata", metadata)] {
        for (key, value) in over.as_object().unwrap() {
            whole[part][key] = value.clone();
        }
    }
    serde_json::from_value(whole).unwrap()
}

fn plain() -> WorkflowRun {
    run(json!({}), json!({}), json!({}))
}

fn workflow(generation: i64, uid: &str, ready: Option<(&str, &str)>) -> WindowsWorkflow {
    let conditions = ready.map(|(status, message)| {
        json!([{ "type": "Ready", "status": status, "reason": "Because", "message": message, "lastTransitionTime": NOW }])
    });
    serde_json::from_value(json!({
        "apiVersion": "windlass.dev/v1alpha1",
        "kind": "WindowsWorkflow",
        "metadata": { "name": "disk-report", "namespace": "ops", "uid": uid, "generation": generation },
        "spec": { "steps": [{ "name": "report", "powershell": { "script": "Get-PSDrive" } }] },
        "status": {
            "observedGeneration": 3,
            "conditions": conditions.unwrap_or(json!([])),
            "accountRef": { "name": "prod" },
            "stateMachineVersionArn": "arn:aws:states:eu-west-1:111122223333:stateMachine:m:7",
            "ownedObjects": [{ "type": "AWS::IAM::Role", "name": "r" }, { "type": "AWS::SSM::Document", "name": "d" }],
        },
    }))
    .unwrap()
}

/// Generation 3 of the workflow with UID `wf-1`, Ready.
fn good() -> WindowsWorkflow {
    workflow(3, "wf-1", Some(("True", "")))
}

fn found(workflow: WindowsWorkflow) -> Sight {
    Sight::Found(Box::new(workflow))
}

fn pinned(generation: i64) -> Value {
    json!({ "phase": "Pending", "workflowGeneration": generation, "workflowUid": "wf-1" })
}

fn condition(status: &str) -> Value {
    json!([{ "type": "Started", "status": status, "reason": "R", "message": "", "lastTransitionTime": NOW }])
}

fn begun(started: &str, phase: &str) -> Value {
    json!({ "phase": phase, "workflowGeneration": 3, "executionArn": "arn", "conditions": condition(started) })
}

fn deleted(finalizers: &[&str]) -> Value {
    json!({ "deletionTimestamp": NOW, "finalizers": finalizers })
}

fn reason(action: &Action) -> (&'static str, String) {
    match action {
        Action::Wait(wait) => (wait.reason, wait.message.clone()),
        Action::Refuse(refusal) => (refusal.reason, refusal.message.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_run_starts_once_its_workflow_is_ready() {
    for status in [json!({}), pinned(3)] {
        let action = decide(&run(json!({}), json!({}), status), &found(good()), now());
        assert_eq!(
            action,
            Action::Start(Box::new(Start {
                pin: Pin { generation: 3, uid: Some("wf-1".into()) },
                account: "prod".into(),
                version_arn: "arn:aws:states:eu-west-1:111122223333:stateMachine:m:7".into(),
                document: Some("d".into()),
                parameters: Map::new(),
                steps: 1,
                spec: good().spec,
                fleets: Vec::new(),
            }))
        );
    }
}

#[test]
fn the_generation_first_seen_is_read_from_the_api_server_itself() {
    assert_eq!(decide(&plain(), &Sight::Unread, now()), Action::Read { direct: true });
    let known = run(json!({}), json!({}), pinned(3));
    assert_eq!(decide(&known, &Sight::Unread, now()), Action::Read { direct: false });
    assert_eq!(
        decide(&known, &found(workflow(2, "wf-1", None)), now()),
        Action::Read { direct: true },
        "the watch is behind"
    );
}

#[test]
fn what_a_run_waits_for() {
    let mut going = good();
    going.metadata.deletion_timestamp = serde_json::from_value(json!(NOW)).unwrap();
    let mut unobserved = good();
    unobserved.metadata.generation = Some(4);
    let mut unpublished = good();
    unpublished.status.as_mut().unwrap().state_machine_version_arn = None;
    let mut untouched = good();
    untouched.status = None;
    let pin = |generation| Some(Pin { generation, uid: Some("wf-1".into()) });
    for (sight, expected, says, pin) in [
        (Sight::Missing, "WorkflowNotFound", "WindowsWorkflow disk-report, which does not exist", None),
        (Sight::Unreadable("bad span".into()), "WorkflowInvalid", "cannot be read: bad span", None),
        (found(going), "WorkflowDeleted", "is being deleted and starts nothing new", None),
        (found(unobserved), "WorkflowNotReady", "generation 4", pin(4)),
        (found(untouched), "WorkflowNotReady", "has not dealt with it yet", pin(3)),
        (found(unpublished), "WorkflowNotReady", "no published version", pin(3)),
        (found(workflow(3, "wf-1", None)), "WorkflowNotReady", "has not dealt with it yet", pin(3)),
        (
            found(workflow(3, "wf-1", Some(("False", "role denied")))),
            "WorkflowNotReady",
            "Because: role denied",
            pin(3),
        ),
    ] {
        let action = decide(&plain(), &sight, now());
        let (reason, message) = reason(&action);
        assert_eq!(reason, expected);
        assert!(message.contains(says), "{message}");
        let Action::Wait(wait) = action else { panic!("{reason} is waited for") };
        assert_eq!(wait.pin, pin, "{reason}");
    }
}

#[test]
fn what_keeps_a_run_from_ever_starting() {
    let expires = |at: &str| json!({ "notAfter": at });
    let old =
        run(expires("2026-11-24T10:00:00Z"), json!({}), json!({ "message": "waits for WindowsWorkflow disk-report" }));
    let pinned = |generation| run(json!({}), json!({}), pinned(generation));
    let mut demanding = good();
    demanding.spec.parameters =
        serde_json::from_value(json!([{ "name": "kb", "type": "String", "required": true }])).unwrap();
    for (run, sight, expected, says) in [
        (old.clone(), found(good()), "Expired", "2026-11-24T10:00:00Z"),
        (old, Sight::Unread, "Expired", "waits for WindowsWorkflow disk-report"),
        (pinned(2), found(good()), "WorkflowChanged", "generation 2 is now 3"),
        (pinned(3), found(workflow(3, "wf-2", Some(("True", "")))), "WorkflowChanged", "deleted and made again"),
        (pinned(5), found(workflow(1, "wf-2", Some(("True", "")))), "WorkflowChanged", "deleted and made again"),
        (pinned(3), Sight::Missing, "WorkflowChanged", "it was deleted"),
        (plain(), found(demanding), "InvalidParameters", "spec.parameters.kb"),
    ] {
        let action = decide(&run, &sight, now());
        let (reason, message) = reason(&action);
        assert_eq!(reason, expected);
        assert!(message.contains(says) && message.contains("nothing was run"), "{message}");
        let Action::Refuse(refusal) = action else { panic!("{reason} is final") };
        let failure = refusal.failure.unwrap();
        assert_eq!((refusal.phase, failure.layer, failure.error.as_str()), (Phase::Failed, Layer::Manifest, expected));
    }
    let later = run(expires("2026-11-24T10:00:01Z"), json!({}), json!({}));
    assert!(matches!(decide(&later, &found(good()), now()), Action::Start(_)));
    let Action::Wait(wait) = decide(&later, &Sight::Missing, now()) else { panic!() };
    assert_eq!(wait.until, Some("2026-11-24T10:00:01Z".parse().unwrap()));
}

#[test]
fn a_started_run_is_followed_whatever_became_of_its_workflow() {
    for sight in [Sight::Missing, Sight::Unread, found(workflow(9, "wf-9", None))] {
        let overdue = json!({ "notAfter": "2020-01-01T00:00:00Z" });
        assert_eq!(decide(&run(overdue, json!({}), begun("True", "Running")), &sight, now()), Action::Follow);
    }
}

#[test]
fn a_run_that_may_have_been_started_is_looked_up() {
    for started in ["Unknown", "False"] {
        assert_eq!(
            decide(&run(json!({}), json!({}), begun(started, "Pending")), &Sight::Missing, now()),
            Action::FindOut
        );
    }
}

#[test]
fn cancelling() {
    let cancelled = json!({ "desiredState": "Cancelled" });
    for (status, stop) in [
        (begun("True", "Running"), true),
        (begun("True", "Cancelling"), true),
        (begun("Unknown", "Pending"), true),
        (json!({}), false),
        (pinned(3), false),
    ] {
        let action = decide(&run(cancelled.clone(), json!({}), status), &found(good()), now());
        if stop {
            assert_eq!(action, Action::Stop(Why::Requested));
        } else {
            let Action::Refuse(refusal) = action else { panic!("{action:?}") };
            assert_eq!((refusal.phase, refusal.failure), (Phase::Cancelled, None));
        }
    }
    let ended = run(cancelled, json!({}), begun("True", "Succeeded"));
    assert_eq!(decide(&ended, &Sight::Unread, now()), Action::Rest(None));
}

#[test]
fn deleting() {
    let ours: &[&str] = &[FINALIZER];
    let orphan = json!({ "onDelete": "Orphan" });
    for (spec, finalizers, status, action) in [
        (json!({}), &["other/finalizer"] as &[&str], begun("True", "Running"), Action::Rest(None)),
        (json!({}), ours, json!({}), Action::Release(Release::NeverStarted)),
        (json!({}), ours, pinned(3), Action::Release(Release::NeverStarted)),
        (json!({}), ours, begun("True", "Succeeded"), Action::Release(Release::Ended)),
        (json!({}), ours, begun("True", "Running"), Action::Stop(Why::Deleted)),
        (json!({}), ours, begun("Unknown", "Pending"), Action::Stop(Why::Deleted)),
        (orphan.clone(), ours, begun("True", "Running"), Action::Release(Release::Orphaned)),
        (orphan, ours, begun("True", "Cancelling"), Action::Release(Release::Orphaned)),
    ] {
        assert_eq!(decide(&run(spec, deleted(finalizers), status), &Sight::Missing, now()), action);
    }
}

#[test]
fn an_ended_run_is_deleted_when_its_time_is_over() {
    let ended = |finished: &str| json!({ "phase": "Failed", "finishedAt": finished });
    let ttl = || json!({ "ttlAfterFinished": "10m" });
    let due = "2026-11-24T10:00:01Z".parse().unwrap();
    for (spec, finished, action) in [
        (ttl(), "2026-11-24T09:50:00Z", Action::Remove),
        (ttl(), "2026-11-24T09:50:01Z", Action::Rest(Some(due))),
        (json!({}), "2020-01-01T00:00:00Z", Action::Rest(None)),
    ] {
        assert_eq!(decide(&run(spec, json!({}), ended(finished)), &Sight::Unread, now()), action);
    }
}
