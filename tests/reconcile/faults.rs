//! Calls that fail, before their effect and after it: whatever happens, the next sync ends where it should, and nothing is there twice.

use windlass::aws::engine::{self, Cause, Depth, Request};
use windlass::aws::{Class, Denied};

use super::bed::{World, calls, entry};
use super::declared::Declared;

const CREATES: [&str; 4] = ["iam:CreateRole", "iam:PutRolePolicy", "ssm:CreateDocument", "states:CreateStateMachine"];

#[tokio::test]
async fn a_create_that_fails_in_any_way_ends_well_at_the_next_sync() {
    for kind in ["ErrorBefore", "ErrorAfter", "ResetBefore", "ResetAfter", "Throttle"] {
        for operation in CREATES {
            let (world, declared) = (World::new().await, Declared::new());
            let blueprint = declared.blueprint();
            world.control.fault(kind, operation);
            let error = world.sync(&blueprint, &[], Depth::Recorded).await.unwrap_err();
            let expected = if kind == "Throttle" { Class::Throttled } else { Class::Transient };
            assert_eq!(error.class(), Some(expected), "{kind} at {operation}: {error}");
            assert_eq!(error.owned.len(), 3, "all names stay recorded");

            let made = world.sync(&blueprint, &error.owned, Depth::Recorded).await;
            let made = made.unwrap_or_else(|error| panic!("{kind} at {operation}: {error}"));
            assert_eq!(world.admin.inventory().await.len(), 3, "{kind} at {operation}");
            assert_eq!(entry(&made.owned, "Document").attributes["version"], "1", "{kind} at {operation}");
            assert_eq!(entry(&made.owned, "StateMachine").attributes["version"], "1", "{kind} at {operation}");
            assert_eq!(entry(&made.owned, "Role").attributes["policies"], declared.policy, "{kind} at {operation}");
            assert_eq!(world.mended(&blueprint, &made.owned).await.0, [""; 0], "{kind} at {operation}");
            world.counter.take();
            assert_eq!(world.sync(&blueprint, &made.owned, Depth::Recorded).await.unwrap().changes, []);
            assert_eq!(world.counter.take(), calls(&[]));
        }
    }
}

#[tokio::test]
async fn a_create_after_which_the_controller_died_is_found_again() {
    for operation in CREATES {
        for depth in [Depth::Recorded, Depth::Full] {
            let (world, declared) = (World::new().await, Declared::new());
            let blueprint = declared.blueprint();
            world.control.fault("ResetAfter", operation);
            let mut memory = world.memory();
            let request = Request { blueprint: &blueprint, owned: &[], depth, prune_policies: false };
            engine::sync(&world.session, request, &mut memory).await.unwrap_err();

            // Nothing but the names was written to status.
            let made = world.sync(&blueprint, &memory.writes[0], depth).await;
            let made = made.unwrap_or_else(|error| panic!("{operation}: {error}"));
            assert_eq!(world.admin.inventory().await.len(), 3, "{operation}");
            assert_eq!(entry(&made.owned, "StateMachine").attributes["version"], "1", "{operation}");
            assert_eq!(world.mended(&blueprint, &made.owned).await.0, [""; 0], "{operation}");
        }
    }
}

#[tokio::test]
async fn an_edit_that_fails_in_any_way_ends_well_at_the_next_sync() {
    let operations =
        ["iam:PutRolePolicy", "iam:TagRole", "ssm:UpdateDocument", "states:UpdateStateMachine", "states:TagResource"];
    for operation in operations {
        // Whoever saw the error records how far it got; whoever died there finds what was recorded before.
        for (kind, died, depth) in [
            ("ErrorBefore", false, Depth::Recorded),
            ("ErrorAfter", false, Depth::Recorded),
            ("ResetAfter", true, Depth::Recorded),
            ("ResetAfter", true, Depth::Full),
        ] {
            let case = format!("{kind} at {operation}, died: {died}, {depth:?}");
            let (world, mut declared) = (World::new().await, Declared::new());
            let owned = world.made(&declared.blueprint()).await;
            declared.script = "Get-Process".into();
            declared.policy = "windlass-0000000002".into();
            declared.cost_centre = Some("42".into());
            let blueprint = declared.blueprint();
            world.control.fault(kind, operation);
            let error = world.sync(&blueprint, &owned, Depth::Recorded).await.unwrap_err();
            assert_eq!(error.class(), Some(Class::Transient), "{case}: {error}");

            let after = if died { &owned } else { &error.owned };
            let edited = world.sync(&blueprint, after, depth).await.unwrap_or_else(|error| panic!("{case}: {error}"));
            let version = &entry(&edited.owned, "StateMachine").attributes["versionArn"];
            let started = world.admin.definition(version).await["States"]["start"]["Assign"]["document"].clone();
            let document = &entry(&edited.owned, "Document").attributes;
            assert_eq!((&document["version"], &started["version"]), (&"2".to_owned(), &"2".into()), "{case}");
            assert_eq!(*version, format!("{}:2", declared.machine_arn()), "{case}");
            assert_eq!(world.mended(&blueprint, &edited.owned).await.0, [""; 0], "{case}");
        }
    }
}

#[tokio::test]
async fn a_mend_that_stops_half_way_is_not_taken_for_done() {
    let (world, declared) = (World::new().await, Declared::new());
    let blueprint = declared.blueprint();
    let owned = world.made(&blueprint).await;
    let role = declared.role_name();
    world.admin.iam.delete_role_policy().role_name(&role).policy_name(&declared.policy).send().await.unwrap();
    world.admin.iam.delete_role().role_name(&role).send().await.unwrap();
    world.control.fault("ErrorBefore", "iam:PutRolePolicy");
    let error = world.sync(&blueprint, &owned, Depth::Full).await.unwrap_err();
    assert_eq!(error.class(), Some(Class::Transient), "{error}");

    // The role is there again and has no rights. Whoever trusts the record now must not stop here.
    let mended = world.sync(&blueprint, &error.owned, Depth::Recorded).await.unwrap();
    assert_eq!(mended.owned, owned);
    let found = world.admin.iam.list_role_policies().role_name(&role).send().await.unwrap();
    assert_eq!(found.policy_names, [declared.policy.as_str()]);
}

#[tokio::test]
async fn rights_of_an_edit_that_was_lost_and_taken_back_are_found_and_pruned() {
    let (world, declared) = (World::new().await, Declared::new());
    let owned = world.made(&declared.blueprint()).await;
    let edited = Declared { policy: "windlass-0000000002".into(), ..declared.clone() };
    world.control.fault("ErrorAfter", "iam:PutRolePolicy");
    let error = world.sync(&edited.blueprint(), &owned, Depth::Recorded).await.unwrap_err();
    let back = world.sync(&declared.blueprint(), &error.owned, Depth::Recorded).await.unwrap();
    assert!(back.stale_policies, "{:?}", back.owned);
    let pruned = world.prune(&declared.blueprint(), &back.owned, Depth::Recorded).await;
    assert_eq!(pruned.owned, owned);
    let found = world.admin.iam.list_role_policies().role_name(declared.role_name()).send().await.unwrap();
    assert_eq!(found.policy_names, [declared.policy.as_str()]);
}

#[tokio::test]
async fn a_refusal_names_action_and_resource_and_what_to_do() {
    let declared = Declared::new();
    let expected = [
        ("iam:CreateRole", declared.role_arn()),
        ("iam:PutRolePolicy", declared.role_arn()),
        ("ssm:CreateDocument", declared.document_arn()),
        ("states:CreateStateMachine", declared.machine_arn()),
    ];
    for (operation, resource) in expected {
        let world = World::new().await;
        world.control.fault("Denied", operation);
        let error = world.sync(&declared.blueprint(), &[], Depth::Recorded).await.unwrap_err();
        let Cause::Aws(refused) = &error.cause else { panic!("{error}") };
        let denied = Denied { action: operation.to_owned(), resource: Some(resource.clone()) };
        assert_eq!((refused.class, refused.denied.as_deref()), (Class::Denied, Some(&denied)), "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("{operation} on {resource} is not allowed; allow it in the policy")), "{text}");
        assert_eq!(error.reason(), "AccessDenied");
        world.sync(&declared.blueprint(), &error.owned, Depth::Recorded).await.unwrap();
    }
}

#[tokio::test]
async fn a_throttled_operation_rests_and_the_others_go_on() {
    let (world, declared) = (World::new().await, Declared::new());
    let owned = world.made(&declared.blueprint()).await;
    world.control.fault("Throttle", "ssm:DescribeDocument");
    let error = world.sync(&declared.blueprint(), &owned, Depth::Full).await.unwrap_err();
    assert_eq!(error.class(), Some(Class::Throttled));
    assert_eq!(world.counter.take_waits(), [""; 0]);
    world.sync(&declared.blueprint(), &owned, Depth::Full).await.unwrap();
    assert_eq!(world.counter.take_waits(), ["ssm:DescribeDocument"]);
}
