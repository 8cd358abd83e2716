//! From nothing, again, after status was lost, and where something else has the name.

use aws_sdk_iam::types::Tag as RoleTag;
use aws_sdk_sfn::types::Tag as MachineTag;
use aws_sdk_ssm::types::{DocumentType, Tag as DocumentTag};
use windlass::aws::Class;
use windlass::aws::engine::{self, Action, Cause, Depth, Request};

use super::bed::{World, calls, entry};
use super::declared::{DOCUMENT, Declared, ROLE, STATE_MACHINE};

#[tokio::test]
async fn a_workflow_is_made_with_one_call_for_each_object_and_no_read() {
    let (world, declared) = (World::new().await, Declared::new());
    let blueprint = declared.blueprint();
    let mut memory = world.memory();
    let request = Request { blueprint: &blueprint, owned: &[], depth: Depth::Recorded, prune_policies: false };
    let made = engine::sync(&world.session, request, &mut memory).await.unwrap();

    let one_each =
        [("iam:CreateRole", 1), ("iam:PutRolePolicy", 1), ("ssm:CreateDocument", 1), ("states:CreateStateMachine", 1)];
    assert_eq!(world.counter.take(), calls(&one_each));
    assert!(
        made.changes.iter().all(|change| change.action == Action::Create) && made.changes.len() == 3,
        "{:?}",
        made.changes
    );
    assert!(!made.stale_policies);

    let [names] = memory.writes.as_slice() else { panic!("names are recorded once: {:?}", memory.writes) };
    assert_eq!(memory.calls_before, calls(&[]), "names are recorded before the first call");
    let recorded: Vec<(&str, bool)> =
        names.iter().map(|entry| (entry.type_.as_str(), entry.digest.is_none())).collect();
    assert_eq!(recorded, [(ROLE, true), (DOCUMENT, true), (STATE_MACHINE, true)]);

    let [role, document, machine] = made.owned.as_slice() else { panic!("{:?}", made.owned) };
    assert_eq!(role.attributes["policies"], declared.policy);
    assert_eq!(document.attributes["version"], "1");
    assert_eq!(machine.attributes["version"], "1");
    assert_eq!(machine.attributes["versionArn"], format!("{}:1", declared.machine_arn()));
    let definition = world.admin.definition(&machine.attributes["versionArn"]).await;
    let filled = &definition["States"]["start"]["Assign"]["document"];
    assert_eq!(
        (filled["version"].as_str(), filled["hash"].as_str()),
        (Some("1"), Some(document.attributes["hash"].as_str()))
    );
    assert_eq!(world.admin.machine_tags(&declared.machine_arn()).await, declared.owner.tags());
}

#[tokio::test]
async fn what_is_recorded_costs_no_call_and_a_full_look_only_reads() {
    let (world, declared) = (World::new().await, Declared::new());
    let blueprint = declared.blueprint();
    let owned = world.made(&blueprint).await;

    let again = world.sync(&blueprint, &owned, Depth::Recorded).await.unwrap();
    assert_eq!(world.counter.take(), calls(&[]));
    assert_eq!((again.owned, again.changes), (owned.clone(), vec![]));

    let full = world.sync(&blueprint, &owned, Depth::Full).await.unwrap();
    let reads = [
        ("iam:GetRole", 1),
        ("iam:ListRolePolicies", 1),
        ("iam:GetRolePolicy", 1),
        ("ssm:DescribeDocument", 1),
        ("states:DescribeStateMachine", 1),
    ];
    assert_eq!(world.counter.take(), calls(&reads));
    assert_eq!((full.owned, full.changes), (owned, vec![]));
}

#[tokio::test]
async fn after_status_was_lost_everything_is_taken_over_by_its_tags() {
    let (world, declared) = (World::new().await, Declared::new());
    let blueprint = declared.blueprint();
    let owned = world.made(&blueprint).await;

    let found = world.sync(&blueprint, &[], Depth::Recorded).await.unwrap();
    assert_eq!(found.owned, owned);
    assert!(found.changes.iter().all(|change| change.action == Action::TakeOver), "{:?}", found.changes);
    let mut calls_made = world.counter.take();
    for write in ["iam:PutRolePolicy", "ssm:UpdateDocument", "states:UpdateStateMachine"] {
        assert_eq!(calls_made.remove(write), None, "nothing differed");
    }
    assert_eq!(world.sync(&blueprint, &found.owned, Depth::Recorded).await.unwrap().changes, []);
    assert_eq!(world.counter.take(), calls(&[]));
}

#[tokio::test]
async fn after_status_was_lost_an_edit_is_carried_out_too() {
    let (world, mut declared) = (World::new().await, Declared::new());
    world.made(&declared.blueprint()).await;
    declared.script = "Get-Process".into();
    declared.policy = "windlass-0000000002".into();
    declared.cost_centre = Some("42".into());

    let found = world.sync(&declared.blueprint(), &[], Depth::Recorded).await.unwrap();
    assert!(found.changes.iter().all(|change| change.action == Action::TakeOver), "{:?}", found.changes);
    assert_eq!(entry(&found.owned, "Document").attributes["version"], "2");
    assert_eq!(entry(&found.owned, "StateMachine").attributes["version"], "2");
    assert_eq!(entry(&found.owned, "Role").attributes["policies"], "windlass-0000000001,windlass-0000000002");
    assert!(found.stale_policies);
    assert_eq!(world.admin.machine_tags(&declared.machine_arn()).await["CostCentre"], "42");
    let (changes, _) = world.mended(&declared.blueprint(), &found.owned).await;
    assert_eq!(changes, [""; 0]);
}

#[tokio::test]
async fn a_role_of_others_is_left_alone() {
    let (world, declared) = (World::new().await, Declared::new());
    let create = world.admin.iam.create_role().role_name(declared.role_name()).path(declared.owner.role_path());
    let tag = RoleTag::builder().key("windlass.dev/cluster").value("other").build().unwrap();
    create.assume_role_policy_document(declared.trust().to_string()).tags(tag).send().await.unwrap();
    refused(&world, &declared, &declared.role_arn(), "windlass.dev/cluster is other and not prod").await;
    let found = world.admin.iam.list_role_policies().role_name(declared.role_name()).send().await.unwrap();
    assert_eq!(found.policy_names, [""; 0]);
}

#[tokio::test]
async fn a_role_of_that_name_in_another_place_is_left_alone() {
    let (world, declared) = (World::new().await, Declared::new());
    let create = world.admin.iam.create_role().role_name(declared.role_name());
    create.assume_role_policy_document(declared.trust().to_string()).send().await.unwrap();
    let arn = format!("arn:aws:iam::{}:role/{}", super::bed::ACCOUNT, declared.role_name());
    refused(&world, &declared, &arn, "the name belongs to").await;
}

#[tokio::test]
async fn a_document_of_others_is_left_alone() {
    let (world, declared) = (World::new().await, Declared::new());
    let create =
        world.admin.ssm.create_document().name(declared.document_name()).content(declared.content().to_string());
    let tag = DocumentTag::builder().key("windlass.dev/name").value("other").build().unwrap();
    create.document_type(DocumentType::Command).tags(tag).send().await.unwrap();
    refused(&world, &declared, &declared.document_arn(), "windlass.dev/name is other and not patch").await;
}

#[tokio::test]
async fn a_state_machine_of_others_is_left_alone_even_when_it_has_the_same_definition() {
    let (world, declared) = (World::new().await, Declared::new());
    let owned = world.made(&declared.blueprint()).await;
    // Exactly what would be made, but another's: a create answers as if it had made it.
    let remove = world.admin.states.untag_resource().resource_arn(declared.machine_arn());
    remove.tag_keys("windlass.dev/name").send().await.unwrap();
    let tag = MachineTag::builder().key("windlass.dev/name").value("other").build();
    world.admin.states.tag_resource().resource_arn(declared.machine_arn()).tags(tag).send().await.unwrap();
    refused(&world, &declared, &declared.machine_arn(), "windlass.dev/name is other and not patch").await;

    // The same when the sync before died before it recorded the machine.
    let mut begun = owned;
    let machine = begun.iter_mut().find(|entry| entry.type_ == STATE_MACHINE).unwrap();
    (machine.digest, machine.attributes) = (None, std::collections::BTreeMap::new());
    let error = world.sync(&declared.blueprint(), &begun, Depth::Recorded).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Foreign { .. }), "{error}");
}

async fn refused(world: &World, declared: &Declared, arn: &str, why: &str) {
    let error = world.sync(&declared.blueprint(), &[], Depth::Recorded).await.unwrap_err();
    assert_eq!((error.class(), error.reason()), (Some(Class::Conflict), "NameTaken"), "{error}");
    let text = error.to_string();
    assert!(text.starts_with(&format!("{arn} exists already")) && text.contains(why), "{text}");
}

#[tokio::test]
async fn nothing_is_made_when_its_name_cannot_be_recorded() {
    let (world, declared) = (World::new().await, Declared::new());
    let blueprint = declared.blueprint();
    let mut memory = world.memory();
    memory.fail = true;
    let request = Request { blueprint: &blueprint, owned: &[], depth: Depth::Recorded, prune_policies: false };
    let error = engine::sync(&world.session, request, &mut memory).await.unwrap_err();
    assert_eq!(error.to_string(), "what is owned could not be recorded: the API server is away");
    assert_eq!(world.counter.take(), calls(&[]));
}

#[tokio::test]
async fn a_role_that_iam_does_not_know_everywhere_yet_is_waited_for() {
    let (world, declared) = (World::new().await, Declared::new());
    let blueprint = declared.blueprint();
    world.control.eventual("newRoleSeconds", 1e6);
    let error = world.sync(&blueprint, &[], Depth::Recorded).await.unwrap_err();
    assert_eq!(error.class(), Some(Class::Transient), "{error}");
    assert!(error.to_string().contains("is authorized to assume the provided role"), "{error}");
    assert!(entry(&error.owned, "Document").digest.is_some() && entry(&error.owned, "StateMachine").digest.is_none());

    world.control.eventual("newRoleSeconds", 0.0);
    world.counter.take();
    let made = world.sync(&blueprint, &error.owned, Depth::Recorded).await.unwrap();
    let changes: Vec<String> = made.changes.iter().map(ToString::to_string).collect();
    assert_eq!(changes, [format!("create state machine {}", declared.machine_name())]);
    // It cannot be told from the answer alone whether the earlier create had an effect, so tags and role are looked at.
    let expected =
        [("states:CreateStateMachine", 1), ("states:DescribeStateMachine", 1), ("states:ListTagsForResource", 1)];
    assert_eq!(world.counter.take(), calls(&expected));
}

#[tokio::test]
async fn a_preview_says_what_a_sync_would_do_and_does_nothing() {
    let (world, mut declared) = (World::new().await, Declared::new());
    let preview = engine::preview(&world.session, &declared.blueprint(), &[]).await.unwrap();
    assert!(preview.iter().all(|change| change.action == Action::Create) && preview.len() == 3, "{preview:?}");
    assert_eq!(world.admin.inventory().await, [""; 0]);

    let owned = world.made(&declared.blueprint()).await;
    assert_eq!(engine::preview(&world.session, &declared.blueprint(), &owned).await.unwrap(), []);
    assert_eq!(engine::preview(&world.session, &declared.blueprint(), &[]).await.unwrap().len(), 3, "taken over");
    declared.script = "Get-Process".into();
    let preview = engine::preview(&world.session, &declared.blueprint(), &owned).await.unwrap();
    let preview: Vec<String> = preview.iter().map(ToString::to_string).collect();
    let (document, machine) = (declared.document_name(), declared.machine_name());
    assert_eq!(
        preview,
        [format!("update document {document} (content)"), format!("update state machine {machine} (definition)")]
    );
}
