//! Starting, following and stopping executions.

use serde_json::{Value, json};
use windlass::aws::Class;
use windlass::aws::executions::{self, Start, Status};

use super::bed::{World, ended, entry};
use super::declared::Declared;

async fn version(world: &World, declared: &Declared) -> String {
    entry(&world.made(&declared.blueprint()).await, "StateMachine").attributes["versionArn"].clone()
}

fn then(name: &str, state: Value) -> Vec<(String, Value)> {
    vec![(name.to_owned(), state)]
}

#[tokio::test]
async fn an_execution_is_started_once_and_followed_to_its_end() {
    let (world, mut declared) = (World::new().await, Declared::new());
    declared.then = then(
        "step: done",
        json!({ "Type": "Pass", "Output": { "step": "step", "version": "{% $document.version %}" } }),
    );
    let version = version(&world, &declared).await;
    let arn = executions::execution_arn(&version, "run-1").unwrap();
    let missing = executions::describe(&world.session, &arn).await.unwrap_err();
    assert_eq!(missing.class, Class::Gone, "{missing}");
    assert_eq!(executions::history(&world.session, &arn).await.unwrap_err().class, Class::Gone);

    let input = r#"{"run":{"uid":"u"}}"#;
    let Start::Started { arn: started, at } =
        executions::start(&world.session, &version, "run-1", input).await.unwrap()
    else {
        panic!("the name is free")
    };
    assert_eq!(started, arn);
    let execution = ended(&world, &arn).await;
    assert_eq!(execution.status, Status::Succeeded, "{execution:?}");
    assert_eq!((execution.started_at, execution.version_arn.as_deref()), (at, Some(version.as_str())));
    assert!(execution.stopped_at.unwrap() >= at);
    let read = |text: Option<&str>| serde_json::from_str::<Value>(text.unwrap()).unwrap();
    assert_eq!(read(execution.input.as_deref()), json!({ "run": { "uid": "u" } }));
    assert_eq!(read(execution.output.as_deref()), json!({ "step": "step", "version": "1" }));

    let history = executions::history(&world.session, &arn).await.unwrap();
    assert_eq!(history.pages, 1);
    let ids: Vec<i64> = history.events.iter().map(|event| event.id).collect();
    assert_eq!(ids, (1..=i64::try_from(ids.len()).unwrap()).collect::<Vec<_>>());
    let done = history
        .events
        .iter()
        .find(|event| event.type_ == "PassStateExited" && event.name.as_deref() == Some("step: done"));
    assert_eq!(read(done.unwrap().output.as_deref()), json!({ "step": "step", "version": "1" }));

    let again = executions::start(&world.session, &version, "run-1", input).await.unwrap();
    assert_eq!(again, Start::Exists, "a name that ended is taken");
}

#[tokio::test]
async fn while_it_runs_the_same_start_is_the_same_execution_and_another_is_refused() {
    let (world, mut declared) = (World::new().await, Declared::new());
    declared.then = then("wait", json!({ "Type": "Wait", "Seconds": 99_999_999 }));
    let version = version(&world, &declared).await;
    let first = executions::start(&world.session, &version, "run-1", "{}").await.unwrap();
    assert_eq!(executions::start(&world.session, &version, "run-1", "{}").await.unwrap(), first);
    let other = executions::start(&world.session, &version, "run-1", r#"{"a":1}"#).await.unwrap();
    assert_eq!(other, Start::Exists);

    let Start::Started { arn, .. } = first else { panic!("the name is free") };
    assert_eq!(executions::running(&world.session, &declared.machine_arn()).await.unwrap(), [arn.as_str()]);
    executions::stop(&world.session, &arn, "Windlass.Cancelled", "asked for").await.unwrap();
    let stopped = ended(&world, &arn).await;
    assert_eq!(stopped.status, Status::Aborted);
    assert_eq!((stopped.error.as_deref(), stopped.cause.as_deref()), (Some("Windlass.Cancelled"), Some("asked for")));
    executions::stop(&world.session, &arn, "Windlass.Cancelled", "again").await.unwrap();
    assert_eq!(executions::running(&world.session, &declared.machine_arn()).await.unwrap(), [""; 0]);
    let last = executions::history(&world.session, &arn).await.unwrap().events.pop().unwrap();
    assert_eq!((last.type_.as_str(), last.error.as_deref()), ("ExecutionAborted", Some("Windlass.Cancelled")));
}

#[tokio::test]
async fn an_execution_that_fails_says_why() {
    let (world, mut declared) = (World::new().await, Declared::new());
    let state = json!({ "Type": "Task", "Resource": "arn:aws:states:::aws-sdk:ssm:getParameter", "Arguments": { "Name": "none" } });
    declared.then = then("read", state);
    let version = version(&world, &declared).await;
    executions::start(&world.session, &version, "run-1", "{}").await.unwrap();
    let arn = executions::execution_arn(&version, "run-1").unwrap();
    let failed = ended(&world, &arn).await;
    assert_eq!(failed.status, Status::Failed);
    assert!(
        failed.cause.unwrap().contains("is not authorized to perform: ssm:GetParameter"),
        "the role may send its document and nothing else"
    );
    let history = executions::history(&world.session, &arn).await.unwrap();
    let task = history.events.iter().find(|event| event.type_ == "TaskFailed").unwrap();
    assert!(task.error.is_some() && task.cause.as_deref().unwrap().contains("ssm:GetParameter"), "{task:?}");
    assert!(
        history.events.iter().any(|event| event.type_ == "TaskStateEntered" && event.name.as_deref() == Some("read"))
    );
}

#[tokio::test]
async fn a_long_history_is_read_whole() {
    let (world, mut declared) = (World::new().await, Declared::new());
    let pass = |_: &usize| json!({ "Type": "Pass" });
    declared.then = (0..520).map(|n| (format!("pass {n}"), pass(&n))).collect();
    let version = version(&world, &declared).await;
    executions::start(&world.session, &version, "run-1", "{}").await.unwrap();
    let arn = executions::execution_arn(&version, "run-1").unwrap();
    assert_eq!(ended(&world, &arn).await.status, Status::Succeeded);
    let history = executions::history(&world.session, &arn).await.unwrap();
    assert_eq!((history.pages, history.events.len()), (2, 2 * 521 + 2));
    assert!(history.events.is_sorted_by_key(|event| event.id));
}

#[tokio::test]
async fn a_machine_that_is_gone_runs_nothing() {
    let (world, declared) = (World::new().await, Declared::new());
    assert_eq!(executions::running(&world.session, &declared.machine_arn()).await.unwrap(), [""; 0]);
    let version = format!("{}:1", declared.machine_arn());
    let error = executions::start(&world.session, &version, "run-1", "{}").await.unwrap_err();
    assert_eq!(error.class, Class::Gone, "{error}");
}
