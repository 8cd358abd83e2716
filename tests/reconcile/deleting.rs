//! Taking away what was owned.

use std::collections::BTreeMap;

use windlass::api::owned::OwnedObject;
use windlass::aws::Class;
use windlass::aws::engine::{self, Depth};

use super::bed::{World, calls};
use super::declared::{DOCUMENT, Declared, ROLE, STATE_MACHINE};

#[tokio::test]
async fn everything_goes_and_a_second_time_is_fine() {
    let (world, declared) = (World::new().await, Declared::new());
    let owned = world.made(&declared.blueprint()).await;
    let deleted = engine::delete(&world.session, &declared.owner.tags(), &owned).await.unwrap();
    let expected = [
        ("states:ListTagsForResource", 1),
        ("states:DeleteStateMachine", 1),
        ("ssm:DescribeDocument", 1),
        ("ssm:DeleteDocument", 1),
        ("iam:GetRole", 1),
        ("iam:ListRolePolicies", 1),
        ("iam:DeleteRolePolicy", 1),
        ("iam:DeleteRole", 1),
    ];
    assert_eq!(world.counter.take(), calls(&expected));
    let order: Vec<&str> = deleted.changes.iter().map(|change| change.type_.as_str()).collect();
    assert_eq!((order, deleted.left.len()), (vec![STATE_MACHINE, DOCUMENT, ROLE], 0));
    assert_eq!(world.admin.inventory().await, [""; 0]);

    let again = engine::delete(&world.session, &declared.owner.tags(), &owned).await.unwrap();
    assert_eq!(again.to_string(), "nothing was left to delete");
    let proofs = [("states:ListTagsForResource", 1), ("ssm:DescribeDocument", 1), ("iam:GetRole", 1)];
    assert_eq!(world.counter.take(), calls(&proofs));
}

#[tokio::test]
async fn what_is_anothers_is_left_alone_and_named() {
    let (world, declared) = (World::new().await, Declared::new());
    let mut owned = world.made(&declared.blueprint()).await;
    let mut other = declared.owner.tags();
    other.insert("windlass.dev/cluster".into(), "other".into());
    let deleted = engine::delete(&world.session, &other, &owned).await.unwrap();
    assert_eq!((deleted.changes.len(), deleted.left.len()), (0, 3));
    assert!(deleted.to_string().contains("windlass.dev/cluster is prod and not other"), "{deleted}");
    assert_eq!(world.admin.inventory().await.len(), 3);

    owned.push(unknown());
    let deleted = engine::delete(&world.session, &declared.owner.tags(), &owned).await.unwrap();
    assert_eq!(deleted.changes.len(), 3);
    let why: Vec<&str> = deleted.left.iter().map(|left| left.why.as_str()).collect();
    assert_eq!(why, ["this version of Windlass does not know AWS::SNS::Topic"]);
}

fn unknown() -> OwnedObject {
    OwnedObject {
        type_: "AWS::SNS::Topic".into(),
        name: "q".into(),
        arn: None,
        digest: None,
        attributes: BTreeMap::new(),
    }
}

#[tokio::test]
async fn a_deletion_that_fails_anywhere_ends_well_at_the_next_try() {
    let operations = ["states:DeleteStateMachine", "ssm:DeleteDocument", "iam:DeleteRolePolicy", "iam:DeleteRole"];
    for kind in ["ErrorAfter", "ResetAfter", "Throttle"] {
        for operation in operations {
            let (world, declared) = (World::new().await, Declared::new());
            let owned = world.made(&declared.blueprint()).await;
            let tags = declared.owner.tags();
            world.control.fault(kind, operation);
            let error = engine::delete(&world.session, &tags, &owned).await.unwrap_err();
            let expected = if kind == "Throttle" { Class::Throttled } else { Class::Transient };
            assert_eq!(error.class(), expected, "{kind} at {operation}: {error}");
            engine::delete(&world.session, &tags, &owned)
                .await
                .unwrap_or_else(|error| panic!("{kind} at {operation}: {error}"));
            assert_eq!(world.admin.inventory().await, [""; 0], "{kind} at {operation}");
        }
    }
}

#[tokio::test]
async fn what_is_not_declared_any_more_is_deleted_by_the_sync() {
    let (world, declared) = (World::new().await, Declared::new());
    let owned = world.made(&declared.blueprint()).await;
    let mut blueprint = declared.blueprint();
    blueprint.objects.truncate(1);
    let synced = world.sync(&blueprint, &owned, Depth::Recorded).await.unwrap();
    let changes: Vec<String> = synced.changes.iter().map(ToString::to_string).collect();
    let reason = "(not declared any more)";
    let (document, machine) = (declared.document_name(), declared.machine_name());
    assert_eq!(
        changes,
        [format!("delete state machine {machine} {reason}"), format!("delete document {document} {reason}")]
    );
    assert_eq!(synced.owned.len(), 1);
    assert_eq!(world.admin.inventory().await, [format!("role {}", declared.role_name())]);
}
