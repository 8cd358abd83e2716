use serde_json::{Value, json};

use super::super::fixtures::History;
use super::super::history::fold;
use super::*;

fn node(id: u32, status: &str, exit_code: i32) -> Value {
    json!({ "id": format!("i-{id}"), "name": format!("WEB-{id:02}"), "status": status, "exitCode": exit_code, "stdout": "" })
}

/// A run whose one step failed with a report.
fn failure(report: Value) -> Failure {
    let error = report["error"].as_str().unwrap().to_owned();
    let cause = report["cause"].as_str().unwrap_or_default().to_owned();
    let history = History::new().sent("drain", "c-1").failed("drain", report).fatal(&error, &cause);
    attribute(&fold(&history.events())).unwrap()
}

/// A run that failed with an error and no nodes.
fn plain(error: &str, cause: &str) -> Failure {
    failure(json!({ "error": error, "cause": cause }))
}

#[test]
fn a_step_that_ran_nothing_on_nodes_and_took_too_long_is_no_scripts_failure() {
    let report = json!({ "error": "Windlass.TimedOut", "cause": "it had not answered after 60 s" });
    let history = History::new().state("Pass", "tell: begin", &json!({})).failed("tell", report);
    let failure =
        attribute(&fold(&history.fatal("Windlass.TimedOut", "it had not answered after 60 s").events())).unwrap();
    assert_eq!((failure.layer, failure.cause.as_str()), (Layer::StepFunctions, "it had not answered after 60 s"));
    assert!(failure.hint.starts_with("find what step tell waited for"), "{}", failure.hint);
}

#[test]
fn every_error_has_its_layer_and_says_what_to_do() {
    let denied = "User: arn:aws:sts::111122223333:assumed-role/windlass_prod_ops_x/y is not authorized to perform: ssm:SendCommand on resource: arn:aws:ec2:eu-west-1:111122223333:instance/i-1 because no identity-based policy allows the ssm:SendCommand action (Service: Ssm, Status Code: 400)";
    for (error, cause, layer, hint) in [
        (
            "Ssm.SsmException",
            denied,
            Layer::IAM,
            "may not perform ssm:SendCommand on arn:aws:ec2:eu-west-1:111122223333:instance/i-1",
        ),
        ("Ssm.AccessDeniedException", "no", Layer::IAM, "the execution role may not perform"),
        ("States.Permissions", "no", Layer::IAM, "the execution role may not perform"),
        (
            "States.TaskFailed",
            "Neither the global service principal states.amazonaws.com, nor the regional one is authorized to assume the provided role.",
            Layer::IAM,
            "trust policy",
        ),
        (
            "Ssm.SsmException",
            "Rate exceeded (Service: Ssm, Status Code: 400)",
            Layer::SSM,
            "more calls than Systems Manager takes",
        ),
        ("Ssm.ThrottlingException", "", Layer::SSM, "more calls than Systems Manager takes"),
        (
            "Ssm.InternalServerErrorException",
            "An error occurred on the server side.",
            Layer::SSM,
            "Systems Manager itself failed",
        ),
        (
            "Ssm.InvalidInstanceIdException",
            "Instances [[i-1]] not in a valid state for account 111122223333",
            Layer::Node,
            "not a managed node",
        ),
        (
            "Ssm.InvalidDocumentException",
            "Document with name x does not exist.",
            Layer::Manifest,
            "changed or deleted outside Windlass",
        ),
        ("Ssm.InvalidDocumentVersionException", "", Layer::Manifest, "changed or deleted outside Windlass"),
        ("Ssm.InvalidParametersException", "", Layer::Manifest, "correct the step's parameters"),
        ("Ssm.MaxDocumentSizeExceededException", "", Layer::Manifest, "correct the step's parameters"),
        ("States.Timeout", "", Layer::StepFunctions, "raise spec.timeout"),
        (
            "States.QueryEvaluationError",
            "The JSONata expression '$x.y.z' threw an error",
            Layer::Manifest,
            "correct the expression in step drain",
        ),
        ("States.DataLimitExceeded", "", Layer::StepFunctions, "256 KiB"),
        (
            "States.Runtime",
            "The execution reached the maximum number of history events (25000).",
            Layer::StepFunctions,
            "25,000",
        ),
        ("States.Runtime", "The choice state has no match", Layer::StepFunctions, "defect of Windlass"),
        (
            "Ssm.SsmException",
            "1 validation error detected: Value 'a' at 'pluginName' …",
            Layer::StepFunctions,
            "defect of Windlass",
        ),
        ("Windlass.ExitCode", "", Layer::Script, "correct the script"),
        ("Windlass.NodeUnreachable", "", Layer::Node, "AmazonSSMAgent"),
        ("Windlass.NoTargets", "", Layer::Manifest, "no managed node carries all the tags"),
        ("Windlass.TimedOut", "", Layer::Script, "raise the step's timeout"),
        ("Windlass.Cancelled", "", Layer::SSM, "CancelCommand"),
        ("Windlass.AccessDenied", "", Layer::Node, "AmazonSSMManagedInstanceCore"),
        ("Windlass.AccessDenied", denied, Layer::IAM, "may not perform ssm:SendCommand"),
        ("Windlass.InvalidOutput", "", Layer::Script, "ConvertTo-Json"),
        (
            "SNS.AuthorizationErrorException",
            "User: r is not authorized to perform: SNS:Publish on resource: arn:aws:sns:eu-west-1:111122223333:t because no identity-based policy allows the SNS:Publish action (Service: AmazonSNS; Status Code: 403)",
            Layer::IAM,
            "may not perform SNS:Publish on arn:aws:sns:eu-west-1:111122223333:t",
        ),
        (
            "SNS.NotFoundException",
            "Topic does not exist (Service: AmazonSNS; Status Code: 404; Error Code: NotFound)",
            Layer::Manifest,
            "correct the step's arguments",
        ),
        ("Ec2.Ec2Exception", "Rate exceeded (Service: Ec2, Status Code: 503)", Layer::AWS, "too busy"),
        ("Ec2.Ec2Exception", "Unavailable (Service: Ec2, Status Code: 500)", Layer::AWS, "a fault of its own"),
        ("Ops.MyException", "as a fail step says", Layer::Manifest, "on purpose"),
        ("Web.Unhealthy", "health answered 503", Layer::Manifest, "on purpose"),
    ] {
        let found = plain(error, cause);
        assert_eq!(
            (found.layer, found.error.as_str(), found.step.as_deref()),
            (layer, error, Some("drain")),
            "{error}: {cause}"
        );
        assert!(found.hint.contains(hint), "{error}: {}", found.hint);
        assert!(!found.cause.is_empty(), "{error}");
    }
}

#[test]
fn a_refusal_says_which_policy_to_mend() {
    let cause = |why: &str| {
        format!(
            "User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: ssm:SendCommand on resource: arn:aws:ssm:eu-west-1:1:document/d {why}"
        )
    };
    for (why, hint) in [
        ("because no permissions boundary allows the ssm:SendCommand action", "have the platform team add it"),
        ("with an explicit deny in a service control policy", "runs the organization"),
        ("with an explicit deny in an identity-based policy", "find the Deny statement"),
        ("because no session policy allows the ssm:SendCommand action", "session's policy"),
        (
            "because no identity-based policy allows the ssm:SendCommand action",
            "no policy of the workflow's execution role",
        ),
    ] {
        let hinted = plain("Ssm.SsmException", &cause(why)).hint;
        assert!(
            hinted.contains(hint) && hinted.contains("ssm:SendCommand on arn:aws:ssm:eu-west-1:1:document/d:"),
            "{hinted}"
        );
    }
}

#[test]
fn actions_and_resources_are_read_out_of_refusals() {
    for (cause, found) in [
        ("x is not authorized to perform: ssm:ListCommands because …", Some(("ssm:ListCommands", None))),
        ("is not authorized to perform: ssm:A on resource: arn:aws:ssm:::b.", Some(("ssm:A", Some("arn:aws:ssm:::b")))),
        ("not authorized to perform", None),
        ("all is well", None),
    ] {
        let found =
            found.map(|(action, resource): (&str, Option<&str>)| (action.to_owned(), resource.map(str::to_owned)));
        assert_eq!(not_authorized(cause), found, "{cause}");
    }
}

#[test]
fn a_failing_script_is_told_with_node_exit_code_and_what_it_wrote() {
    let report = json!({
        "error": "Windlass.ExitCode", "cause": "2 of 3 nodes failed", "commandId": "c-1", "attempt": 1,
        "counts": { "total": 3, "succeeded": 1, "failed": 2 },
        "nodes": [node(1, "Undeliverable", -1), node(2, "Failed", 5), node(3, "Success", 0)],
    });
    let history = History::new().sent("drain", "c-1").failed("drain", report).fatal("Windlass.ExitCode", "");
    let mut story = fold(&history.events());
    story.steps[0].status.nodes[1].error_output = Some("\r\ndisk is full\r\nat line 3".into());
    let found = attribute(&story).unwrap();
    assert_eq!(found.node.as_deref(), Some("WEB-02 (i-2)"), "the node that the error is about");
    assert_eq!(
        found.cause,
        "the script of step drain ended with exit code 5 on WEB-02 (i-2) (2 of 3 nodes failed; also WEB-01 (i-1): Undeliverable); its error stream says: disk is full\r\nat line 3"
    );
    assert!(found.hint.contains("aws ssm get-command-invocation --command-id c-1 --instance-id i-2"), "{}", found.hint);
    assert_eq!(
        headline(&found),
        "the script of step drain ended with exit code 5 on WEB-02 (i-2) (2 of 3 nodes failed; also WEB-01 (i-1): Undeliverable); its error stream says: disk is full"
    );
}

#[test]
fn what_a_node_is_called_when_systems_manager_does_not_know_its_name() {
    let report = json!({
        "error": "Windlass.ExitCode", "counts": { "total": 1, "succeeded": 0, "failed": 1 },
        "nodes": [{ "id": "mi-9", "status": "Failed", "exitCode": 1, "stdout": "half way" }],
    });
    let found = failure(report);
    assert_eq!(found.node.as_deref(), Some("mi-9"));
    assert_eq!(found.cause, "the script of step drain ended with exit code 1 on mi-9; it printed: half way");
}

#[test]
fn nodes_that_were_not_reached() {
    for (status, cause, hint) in [
        ("Undeliverable", "did not reach WEB-01 (i-1): Systems Manager reports Undeliverable", "AmazonSSMAgent"),
        ("Delivery Timed Out", "reports Delivery Timed Out", "AmazonSSMAgent"),
        ("InvalidPlatform", "is not a Windows node", "only Windows nodes carry"),
        ("Terminated", "reports Terminated", "look at those first"),
    ] {
        let report = json!({
            "error": "Windlass.NodeUnreachable", "counts": { "total": 5, "succeeded": 4, "failed": 1 },
            "nodes": [node(1, status, -1)],
        });
        let found = failure(report);
        assert!(
            found.cause.contains(cause) && found.cause.contains("the other 4 of 5 nodes did not fail"),
            "{}",
            found.cause
        );
        assert!(found.hint.contains(hint), "{}", found.hint);
        assert_eq!((found.layer, found.node.as_deref()), (Layer::Node, Some("WEB-01 (i-1)")));
    }
}

#[test]
fn output_that_is_no_json_on_nodes_that_are_well() {
    let report = json!({
        "error": "Windlass.InvalidOutput", "counts": { "total": 3, "succeeded": 3, "failed": 0 },
        "nodes": [{ "id": "i-1", "name": "WEB-01", "status": "Success", "exitCode": 0, "stdout": "hello" }, node(2, "Success", 0)],
    });
    let found = failure(report);
    assert_eq!(found.node.as_deref(), Some("WEB-01 (i-1)"));
    assert_eq!(
        found.cause,
        "what the script of step drain printed on WEB-01 (i-1) is not JSON, and the step says output: Json; it printed: hello"
    );
}

#[test]
fn more_failed_nodes_than_a_line_holds() {
    let nodes: Vec<Value> = (1..=9).map(|id| node(id, "Failed", 1)).collect();
    let counts = json!({ "total": 400, "succeeded": 391, "failed": 9 });
    let found = failure(json!({ "error": "Windlass.ExitCode", "counts": counts, "nodes": nodes }));
    assert!(
        found.cause.contains("9 of 400 nodes failed; also WEB-02 (i-2)") && found.cause.contains("WEB-06 (i-6), …)"),
        "{}",
        found.cause
    );
    assert!(!found.cause.contains("WEB-07"), "{}", found.cause);
}

#[test]
fn a_run_that_took_too_long_names_the_step_that_it_was_at() {
    let history = History::new().sent("drain", "c-1").ended("ExecutionTimedOut", None, None);
    let found = attribute(&fold(&history.events())).unwrap();
    assert_eq!(
        (found.layer, found.step.as_deref(), found.error.as_str()),
        (Layer::StepFunctions, Some("drain"), "States.Timeout")
    );
    assert!(found.cause.contains("while it was at step drain"), "{}", found.cause);
}

#[test]
fn the_step_inside_the_block_is_named_and_not_the_call() {
    let history = History::new()
        .state("Pass", "move: begin", &json!({}))
        .sent("move/copy", "c-1")
        .failed("move/copy", json!({ "error": "Windlass.NoTargets" }))
        .failed("move", json!({ "error": "Windlass.NoTargets" }))
        .fatal("Windlass.NoTargets", "");
    let found = attribute(&fold(&history.events())).unwrap();
    assert_eq!(found.step.as_deref(), Some("move/copy"));
    assert_eq!(headline(&found), "step move/copy: no managed node matches the step's targets");
}

#[test]
fn a_failure_of_no_step_is_attributed_all_the_same() {
    let history = History::new().ended("ExecutionFailed", Some("States.Runtime"), None);
    let found = attribute(&fold(&history.events())).unwrap();
    assert_eq!(
        (found.step, found.layer, found.cause.as_str()),
        (None, Layer::StepFunctions, "Step Functions gave no cause")
    );
}

#[test]
fn what_did_not_fail_is_not_attributed() {
    for history in [
        History::new(),
        History::new().succeeded(),
        History::new().sent("drain", "c-1").ended("ExecutionAborted", Some("x"), None),
    ] {
        assert_eq!(attribute(&fold(&history.events())), None);
    }
}
