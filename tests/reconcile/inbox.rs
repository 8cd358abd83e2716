//! The inbox of an account: queue and rule made, taken over, mended, taken away; messages received and deleted.

use aws_sdk_eventbridge::types::{Tag, Target};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;
use windlass::api::AwsAccountSpec;
use windlass::api::names::Owner;
use windlass::aws::engine::{self, Cause, Depth};
use windlass::aws::executions::{self, Start, Status};
use windlass::aws::tasks::{self, Answer, Answered, TaskToken};
use windlass::aws::{Class, messages};
use windlass::compile::inbox::Inbox;
use windlass::compile::{self, Blueprint};
use windlass::inbox::message::{self, Message, TokenRequest};

use super::bed::{ACCOUNT, REGION, World, calls, ended, entry, variable};
use super::declared::Declared;

const NAME: &str = "windlass_prod__main";

fn owner() -> Owner {
    Owner {
        cluster_id: "prod".parse().unwrap(),
        kind: "AwsAccount".into(),
        namespace: String::new(),
        name: "main".into(),
    }
}

fn blueprint(tags: &serde_json::Value) -> Blueprint {
    let spec: AwsAccountSpec = serde_json::from_value(json!({
        "accountId": ACCOUNT, "region": REGION, "tags": tags,
        "permissionsBoundaryArn": variable("WINDLASS_TEST_BOUNDARY_ARN"),
        "assumeRole": { "roleArn": variable("WINDLASS_TEST_ROLE_ARN") },
    }))
    .unwrap();
    compile::account(&owner(), &spec, &compile::receivers(&spec, None))
}

#[tokio::test]
async fn queue_and_rule_are_made_and_then_cost_nothing() {
    let (world, blueprint) = (World::new().await, blueprint(&json!({})));
    let made = world.sync(&blueprint, &[], Depth::Recorded).await.unwrap();
    let expected =
        [("sqs:CreateQueue", 1), ("events:DescribeRule", 1), ("events:PutRule", 1), ("events:PutTargets", 1)];
    assert_eq!(world.counter.take(), calls(&expected));
    assert!(entry(&made.owned, "Queue").attributes["url"].ends_with(NAME));
    assert_eq!(world.sync(&blueprint, &made.owned, Depth::Recorded).await.unwrap().changes, []);
    assert_eq!(world.counter.take(), calls(&[]));
    assert_eq!(world.mended(&blueprint, &made.owned).await.0, [""; 0]);
    let reads = [("sqs:GetQueueAttributes", 1), ("events:DescribeRule", 1), ("events:ListTargetsByRule", 1)];
    assert_eq!(world.counter.take(), calls(&reads));
}

#[tokio::test]
async fn after_status_was_lost_they_are_taken_over() {
    let (world, first) = (World::new().await, blueprint(&json!({})));
    let owned = world.made(&first).await;
    let found = world.sync(&first, &[], Depth::Recorded).await.unwrap();
    assert_eq!(found.owned, owned);
    // With an edit: the queue's name is taken now, by a queue with other attributes.
    let mut edited = first.clone();
    let Some(windlass::compile::blueprint::Body::Queue(queue)) =
        edited.objects.first_mut().map(|object| &mut object.body)
    else {
        panic!("a queue")
    };
    queue.visibility_seconds = 60;
    let found = world.sync(&edited, &[], Depth::Recorded).await.unwrap();
    let changes: Vec<String> = found.changes.iter().map(ToString::to_string).collect();
    assert_eq!(changes, [format!("take over queue {NAME} (VisibilityTimeout)"), format!("take over rule {NAME}")]);
    assert_eq!(world.mended(&edited, &found.owned).await.0, [""; 0]);
}

#[tokio::test]
async fn what_was_changed_is_mended() {
    let (world, blueprint) = (World::new().await, blueprint(&json!({})));
    let owned = world.made(&blueprint).await;
    let (sqs, events) = (&world.admin.sqs, &world.admin.events);
    let url = entry(&owned, "Queue").attributes["url"].clone();
    let open = json!({ "Statement": [{ "Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": "*" }] });
    let write = sqs.set_queue_attributes().queue_url(&url).attributes(QueueAttributeName::Policy, open.to_string());
    write.attributes(QueueAttributeName::VisibilityTimeout, "1").send().await.unwrap();
    events.disable_rule().name(NAME).send().await.unwrap();
    let mine = Target::builder().id("mine").arn(format!("arn:aws:sqs:{REGION}:{ACCOUNT}:mine")).build().unwrap();
    events.put_targets().rule(NAME).targets(mine).send().await.unwrap();

    let (changes, after) = world.mended(&blueprint, &owned).await;
    let expected = [
        format!("update queue {NAME} (VisibilityTimeout, policy)"),
        format!("update rule {NAME} (disabled, target mine, which is not declared, removed)"),
    ];
    assert_eq!(changes, expected);
    assert_eq!(world.mended(&blueprint, &after).await.0, [""; 0]);

    events.remove_targets().rule(NAME).ids("inbox").send().await.unwrap();
    events.delete_rule().name(NAME).send().await.unwrap();
    sqs.delete_queue().queue_url(&url).send().await.unwrap();
    let (changes, after) = world.mended(&blueprint, &after).await;
    assert_eq!(changes, [format!("create queue {NAME} (it was gone)"), format!("create rule {NAME} (it was gone)")]);
    assert_eq!(world.mended(&blueprint, &after).await.0, [""; 0]);
}

#[tokio::test]
async fn tags_follow_the_account() {
    let world = World::new().await;
    let owned = world.made(&blueprint(&json!({}))).await;
    let tagged = blueprint(&json!({ "CostCentre": "42" }));
    let written = world.sync(&tagged, &owned, Depth::Recorded).await.unwrap();
    assert_eq!(world.counter.take(), calls(&[("sqs:TagQueue", 1), ("events:TagResource", 1)]));
    let url = &entry(&written.owned, "Queue").attributes["url"];
    let tags = world.admin.sqs.list_queue_tags().queue_url(url).send().await.unwrap().tags.unwrap();
    assert_eq!(tags["CostCentre"], "42");
}

#[tokio::test]
async fn a_rule_of_others_is_left_alone() {
    let (world, blueprint) = (World::new().await, blueprint(&json!({})));
    let tag = Tag::builder().key("windlass.dev/cluster").value("other").build().unwrap();
    let pattern = r#"{"source":["aws.ec2"]}"#;
    world.admin.events.put_rule().name(NAME).event_pattern(pattern).tags(tag).send().await.unwrap();
    let refused = world.sync(&blueprint, &[], Depth::Recorded).await.unwrap_err();
    assert!(
        matches!(&refused.cause, Cause::Foreign { why, .. } if why.contains("windlass.dev/cluster is other")),
        "{refused}"
    );
    assert_eq!(refused.class(), Some(Class::Conflict));
    let found = world.admin.events.describe_rule().name(NAME).send().await.unwrap();
    assert_eq!(found.event_pattern.as_deref(), Some(pattern));
    // Nor is it deleted.
    let left = engine::delete(&world.session, &owner().tags(), &refused.owned).await.unwrap();
    assert_eq!(left.left.len(), 1, "{left}");
    world.admin.events.describe_rule().name(NAME).send().await.unwrap();
}

#[tokio::test]
async fn a_queue_of_others_is_left_alone() {
    let (world, blueprint) = (World::new().await, blueprint(&json!({})));
    let url =
        world.admin.sqs.create_queue().queue_name(NAME).tags("windlass.dev/cluster", "other").send().await.unwrap();
    let refused = world.sync(&blueprint, &[], Depth::Recorded).await.unwrap_err();
    assert!(matches!(&refused.cause, Cause::Foreign { .. }), "{refused}");
    let left = engine::delete(&world.session, &owner().tags(), &refused.owned).await.unwrap();
    assert_eq!(left.left.len(), 1, "{left}");
    world.admin.sqs.list_queue_tags().queue_url(url.queue_url.unwrap()).send().await.unwrap();
}

#[tokio::test]
async fn everything_goes_and_a_second_time_is_fine() {
    let (world, blueprint) = (World::new().await, blueprint(&json!({})));
    let owned = world.made(&blueprint).await;
    let deleted = engine::delete(&world.session, &owner().tags(), &owned).await.unwrap();
    assert_eq!(deleted.to_string(), format!("deleted {NAME}, {NAME}"));
    let expected = [
        ("events:ListTagsForResource", 1),
        ("events:ListTargetsByRule", 1),
        ("events:RemoveTargets", 1),
        ("events:DeleteRule", 1),
        ("sqs:ListQueueTags", 1),
        ("sqs:DeleteQueue", 1),
    ];
    assert_eq!(world.counter.take(), calls(&expected));
    assert!(world.admin.sqs.list_queues().send().await.unwrap().queue_urls.unwrap_or_default().is_empty());
    assert!(world.admin.events.list_rules().send().await.unwrap().rules.unwrap_or_default().is_empty());
    let again = engine::delete(&world.session, &owner().tags(), &owned).await.unwrap();
    assert_eq!(again.to_string(), "nothing was left to delete");
}

/// Starts an execution that asks through the inbox, and gives its ARN and what it asked with.
async fn asking(world: &World, url: &str, name: &str, heartbeat: Option<u32>) -> (String, TokenRequest) {
    let mut declared = Declared::new();
    let queue = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{NAME}");
    declared.statements = vec![json!({ "Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue })];
    let inbox = Inbox { queue_url: url.to_owned(), queue_arn: String::new() };
    let mut task = json!({
        "Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "TimeoutSeconds": 86400,
        "Arguments": inbox.ask("Pause", "drain", &json!({})), "End": true,
    });
    // What a compiled workflow has in a variable.
    task["Arguments"]["MessageBody"]["Run"] = json!("{% $states.input.run %}");
    if let Some(seconds) = heartbeat {
        task["HeartbeatSeconds"] = json!(seconds);
    }
    declared.then = vec![("drain: ask".to_owned(), task)];
    let owned = world.made(&declared.blueprint()).await;
    let version = &entry(&owned, "StateMachine").attributes["versionArn"];
    let input = json!({ "run": { "uid": "u-1", "namespace": "ops", "name": "a" } }).to_string();
    let Start::Started { arn, .. } = executions::start(&world.session, version, name, &input).await.unwrap() else {
        panic!("the name is free")
    };
    loop {
        for letter in messages::receive(&world.session, url, true).await.unwrap() {
            messages::delete(&world.session, url, &[&letter]).await.unwrap();
            if let Message::Token(request) = message::read(&letter.body) {
                assert_eq!(request.execution_arn, arn);
                return (arn, request);
            }
        }
    }
}

#[tokio::test]
async fn a_step_that_asks_is_answered_once() {
    let world = World::new().await;
    let owned = world.made(&blueprint(&json!({}))).await;
    let url = &entry(&owned, "Queue").attributes["url"];
    let (arn, request) = asking(&world, url, "one", Some(3600)).await;
    assert_eq!((request.purpose.as_str(), request.step.as_str(), request.run.uid.as_str()), ("Pause", "drain", "u-1"));
    let token = &request.token;
    assert_eq!(tasks::heartbeat(&world.session, token, "run a").await.unwrap(), Answered::Accepted);
    let go = Answer::Success(json!({ "go": true }));
    assert_eq!(tasks::answer(&world.session, token, "run a", &go).await.unwrap(), Answered::Accepted);
    let execution = ended(&world, &arn).await;
    assert_eq!((execution.status, execution.output.as_deref()), (Status::Succeeded, Some(r#"{"go":true}"#)));
    assert_eq!(tasks::answer(&world.session, token, "run a", &go).await.unwrap(), Answered::Late);
    assert_eq!(tasks::heartbeat(&world.session, token, "run a").await.unwrap(), Answered::Late);

    let (arn, request) = asking(&world, url, "two", None).await;
    let no = Answer::Failure { error: "Windlass.Rejected".into(), cause: "ada says no".into() };
    assert_eq!(tasks::answer(&world.session, &request.token, "run a", &no).await.unwrap(), Answered::Accepted);
    let execution = ended(&world, &arn).await;
    assert_eq!((execution.status, execution.error.as_deref()), (Status::Failed, Some("Windlass.Rejected")));
    let never = TaskToken::new("AQCEAAAAKgAAAAMAAAAA".into()).unwrap();
    assert_eq!(tasks::answer(&world.session, &never, "run a", &no).await.unwrap(), Answered::Late);
}

#[tokio::test]
async fn messages_are_received_and_deleted() {
    let (world, blueprint) = (World::new().await, blueprint(&json!({})));
    let owned = world.made(&blueprint).await;
    let url = &entry(&owned, "Queue").attributes["url"];
    assert_eq!(messages::receive(&world.session, url, false).await.unwrap(), []);
    for body in ["one", "two"] {
        world.admin.sqs.send_message().queue_url(url).message_body(body).send().await.unwrap();
    }
    let mut letters = messages::receive(&world.session, url, true).await.unwrap();
    while letters.len() < 2 {
        letters.extend(messages::receive(&world.session, url, true).await.unwrap());
    }
    assert!(letters.iter().all(|letter| letter.received == 1), "{letters:?}");
    messages::delete(&world.session, url, &letters.iter().collect::<Vec<_>>()).await.unwrap();
    let depth = QueueAttributeName::ApproximateNumberOfMessagesNotVisible;
    let left =
        world.admin.sqs.get_queue_attributes().queue_url(url).attribute_names(depth.clone()).send().await.unwrap();
    assert_eq!(left.attributes.unwrap()[&depth], "0");

    world.admin.sqs.delete_queue().queue_url(url).send().await.unwrap();
    assert_eq!(messages::receive(&world.session, url, false).await.unwrap_err().class, Class::Gone);
}
