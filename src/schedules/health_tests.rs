use serde_json::{Value, json};

use super::*;

fn spec(template: &Value) -> WorkflowScheduleSpec {
    serde_json::from_value(json!({ "workflowRef": { "name": "w" }, "schedule": "0 3 * * *", "runTemplate": template }))
        .unwrap()
}

fn workflow(ready: &str) -> Sight {
    let manifest = json!({
        "apiVersion": "windlass.dev/v1alpha1", "kind": "WindowsWorkflow",
        "metadata": { "name": "w", "generation": 2 },
        "spec": { "steps": [{ "name": "a", "pass": {} }], "parameters": [{ "name": "kb", "type": "String", "pattern": "^KB" }] },
        "status": { "observedGeneration": 2, "conditions": [
            { "type": "Ready", "status": ready, "reason": "AccessDenied", "message": "AWS said no", "lastTransitionTime": "2026-01-01T00:00:00Z" },
        ] },
    });
    Sight::Found(Box::new(serde_json::from_value(manifest).unwrap()))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn plan(turn: Turn) -> Plan {
    let next = Some(at("2026-11-11T03:00:00Z"));
    Plan { turn, passed: None, next, look_again: next }
}

#[test]
fn what_is_said_of_a_schedule() {
    let due = at("2026-11-10T03:00:00Z");
    let sound = spec(&json!({}));
    let cases = [
        (
            &sound,
            Sight::Missing,
            plan(Turn::Rest),
            None,
            (
                false,
                false,
                "WorkflowNotFound",
                "WindowsWorkflow w does not exist in this namespace: create it, or name another under spec.workflowRef; runs that become due wait for it",
            ),
        ),
        (
            &sound,
            Sight::Unreadable("bad".into()),
            plan(Turn::Rest),
            None,
            (false, false, "WorkflowInvalid", "WindowsWorkflow w cannot be read: bad"),
        ),
        (
            &sound,
            workflow("False"),
            plan(Turn::Rest),
            None,
            (
                false,
                false,
                "WorkflowNotReady",
                "WindowsWorkflow w is not Ready: AccessDenied: AWS said no; runs that become due wait for it",
            ),
        ),
        (
            &sound,
            workflow("True"),
            plan(Turn::Rest),
            None,
            (true, false, "Scheduled", "the next run is due at 2026-11-11T03:00:00Z"),
        ),
        (
            &sound,
            workflow("True"),
            plan(Turn::Hold(due, "r".into())),
            None,
            (
                true,
                false,
                "Waiting",
                "the run due at 2026-11-10T03:00:00Z waits for run r, which has not ended; after 2026-11-10T04:00:00Z it is missed",
            ),
        ),
        (
            &sound,
            workflow("True"),
            plan(Turn::Cancel(due, vec!["r".into()])),
            None,
            (
                true,
                false,
                "Waiting",
                "the run due at 2026-11-10T03:00:00Z waits for run r, which it replaces; after 2026-11-10T04:00:00Z it is missed",
            ),
        ),
        (
            &sound,
            workflow("True"),
            plan(Turn::Start(due)),
            Some("quota"),
            (false, false, "RunRefused", "the API server refuses the run that is due: quota"),
        ),
        (
            &sound,
            workflow("True"),
            Plan { next: None, look_again: None, ..plan(Turn::Rest) },
            None,
            (true, false, "Suspended", "suspended by spec.suspend: nothing becomes due"),
        ),
    ];
    for (spec, sight, plan, refused, (ready, stalled, reason, message)) in cases {
        let expected = Health { ready, stalled, reason, message: message.to_owned() };
        assert_eq!(health(spec, &sight, &plan, refused), expected);
    }
}

#[test]
fn parameters_that_no_run_could_use() {
    let found =
        health(&spec(&json!({ "parameters": { "kb": "7", "site": "x" } })), &workflow("True"), &plan(Turn::Rest), None);
    assert_eq!((found.ready, found.stalled, found.reason), (false, true, "InvalidParameters"));
    assert!(
        found.message.contains("spec.runTemplate.parameters.site: the workflow has no parameter site; it has: kb"),
        "{}",
        found.message
    );
    assert!(found.message.contains("spec.runTemplate.parameters.kb: "), "{}", found.message);
}
