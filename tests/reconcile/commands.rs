//! Finding, cancelling and reading Systems Manager commands.

use aws_sdk_ssm::types::Target;
use serde_json::json;
use windlass::aws::Class;
use windlass::aws::commands::{self, Invocation};

use super::bed::{self, World};
use super::declared::Declared;

const NODE: &str = "i-0123456789abcdef0";

/// Sends the workflow's document to all nodes tagged for it, as its execution would.
async fn send(world: &World, declared: &Declared, comment: &str) -> String {
    let target = Target::builder().key("tag:Role").values("web").build();
    let send = world.admin.ssm.send_command().document_name(declared.document_name()).targets(target).comment(comment);
    send.send().await.unwrap().command.unwrap().command_id.unwrap()
}

async fn until(world: &World, id: &str, expected: &str) -> Invocation {
    let look = async || match commands::invocation(&world.session, id, NODE, None).await {
        Ok(found) if found.status_details == expected => Ok(found),
        Ok(found) => Err(found.status_details),
        Err(error) => Err(error.to_string()),
    };
    bed::until(&format!("{id} on {NODE} to be {expected}"), look).await
}

#[tokio::test]
async fn what_a_node_wrote_is_read() {
    let (world, declared) = (World::new().await, Declared::new());
    let rule = json!([{ "match": ".", "exitCode": 5, "stdout": "out", "stderr": "err", "duration": 0 }]);
    world.control.node(NODE, &json!({ "Role": "web" }), &rule);
    world.made(&declared.blueprint()).await;
    let id = send(&world, &declared, "windlass:1:work#1").await;
    let found = until(&world, &id, "Failed").await;
    assert_eq!(found.exit_code, Some(5));
    assert!(found.stdout.starts_with("out") && found.stderr.starts_with("err"), "{found:?}");
    let plugin = commands::invocation(&world.session, &id, NODE, Some("work")).await.unwrap();
    assert_eq!(plugin, found);
    let error = commands::invocation(&world.session, &id, "i-0123456789abcdef1", None).await.unwrap_err();
    assert_eq!(error.class, Class::Gone, "{error}");
    assert_eq!(commands::executing(&world.session, &declared.document_name()).await.unwrap(), []);
}

#[tokio::test]
async fn what_still_executes_is_found_by_its_document_and_cancelled() {
    let (world, declared) = (World::new().await, Declared::new());
    world.control.node(NODE, &json!({ "Role": "web" }), &json!([{ "match": ".", "outcome": "Hang" }]));
    world.made(&declared.blueprint()).await;
    let id = send(&world, &declared, "windlass:1:work#1").await;
    let found = until(&world, &id, "InProgress").await;
    assert_eq!(found.exit_code, None);

    let other = Declared {
        owner: windlass::api::names::Owner { name: "other".into(), ..declared.owner.clone() },
        ..declared.clone()
    };
    assert_eq!(commands::executing(&world.session, &other.document_name()).await.unwrap(), []);
    let executing = commands::executing(&world.session, &declared.document_name()).await.unwrap();
    let [command] = executing.as_slice() else { panic!("{executing:?}") };
    assert_eq!((command.id.as_str(), command.comment.as_deref()), (id.as_str(), Some("windlass:1:work#1")));

    commands::cancel(&world.session, &id).await.unwrap();
    until(&world, &id, "Cancelled").await;
    commands::cancel(&world.session, &id).await.unwrap();
    commands::cancel(&world.session, "00000000-0000-4000-8000-000000000000").await.unwrap();
    assert_eq!(commands::executing(&world.session, &declared.document_name()).await.unwrap(), []);
}

#[tokio::test]
async fn all_pages_of_what_executes_are_read() {
    let (world, declared) = (World::new().await, Declared::new());
    world.control.node(NODE, &json!({ "Role": "web" }), &json!([{ "match": ".", "outcome": "Hang" }]));
    world.made(&declared.blueprint()).await;
    for number in 0..52 {
        send(&world, &declared, &format!("windlass:1:work#{number}")).await;
    }
    assert_eq!(commands::executing(&world.session, &declared.document_name()).await.unwrap().len(), 52);
    assert_eq!(world.counter.take()["ssm:ListCommands"], 2);
}
