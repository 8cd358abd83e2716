//! What others changed in AWS is found by a full look, named and mended.

use aws_sdk_ssm::types::ResourceTypeForTagging;
use windlass::aws::engine::{Action, Cause, Depth};

use super::bed::{World, calls, entry};
use super::declared::Declared;

/// Looks, expects one change for one reason, and expects none after it.
async fn mends(
    world: &World,
    declared: &Declared,
    owned: &[windlass::api::owned::OwnedObject],
    change: &str,
    writes: &[&str],
) {
    world.counter.take();
    let blueprint = declared.blueprint();
    let (changes, after) = world.mended(&blueprint, owned).await;
    assert_eq!(changes.first().map(String::as_str), Some(change), "{changes:?}");
    let made = world.counter.take();
    let read = |name: &str| ["Get", "List", "Describe"].iter().any(|verb| name.contains(&format!(":{verb}")));
    let written: Vec<&str> = made.keys().map(String::as_str).filter(|name| !read(name)).collect();
    assert_eq!(written, writes, "for: {change}");
    assert_eq!(world.mended(&blueprint, &after).await.0, [""; 0], "after: {change}");
}

#[tokio::test]
async fn a_role_that_was_changed_is_mended() {
    let (world, declared) = (World::new().await, Declared::new());
    let owned = world.made(&declared.blueprint()).await;
    let (iam, role) = (&world.admin.iam, declared.role_name());
    let update = format!("update role {role}");

    let open = declared.trust().to_string().replace("states.amazonaws.com", "ec2.amazonaws.com");
    iam.update_assume_role_policy().role_name(&role).policy_document(open).send().await.unwrap();
    mends(&world, &declared, &owned, &format!("{update} (trust policy)"), &["iam:UpdateAssumeRolePolicy"]).await;

    iam.delete_role_permissions_boundary().role_name(&role).send().await.unwrap();
    mends(&world, &declared, &owned, &format!("{update} (permissions boundary)"), &["iam:PutRolePermissionsBoundary"])
        .await;

    let wide = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    iam.put_role_policy().role_name(&role).policy_name(&declared.policy).policy_document(wide).send().await.unwrap();
    let change = format!("{update} (policy {} changed)", declared.policy);
    mends(&world, &declared, &owned, &change, &["iam:PutRolePolicy"]).await;

    iam.delete_role_policy().role_name(&role).policy_name(&declared.policy).send().await.unwrap();
    let change = format!("{update} (policy {} added)", declared.policy);
    mends(&world, &declared, &owned, &change, &["iam:PutRolePolicy"]).await;

    iam.put_role_policy().role_name(&role).policy_name("admin").policy_document(wide).send().await.unwrap();
    let change = format!("{update} (policy admin, which is not declared, removed)");
    mends(&world, &declared, &owned, &change, &["iam:DeleteRolePolicy"]).await;
    let left = iam.list_role_policies().role_name(&role).send().await.unwrap();
    assert_eq!(left.policy_names, [declared.policy.as_str()]);
}

#[tokio::test]
async fn a_policy_that_iam_gives_in_another_form_is_no_drift() {
    let (world, declared) = (World::new().await, Declared::new());
    let owned = world.made(&declared.blueprint()).await;
    let same = format!(
        r#"{{"Statement": {{"Resource": "{}", "Action": "ssm:SendCommand", "Effect": "Allow", "Sid": "Send"}}, "Version": "2012-10-17"}}"#,
        declared.document_arn()
    );
    let put = world.admin.iam.put_role_policy().role_name(declared.role_name()).policy_name(&declared.policy);
    put.policy_document(same).send().await.unwrap();
    assert_eq!(world.mended(&declared.blueprint(), &owned).await.0, [""; 0]);
}

#[tokio::test]
async fn a_policy_of_an_older_version_that_is_not_recorded_is_found_and_pruned() {
    let (world, declared) = (World::new().await, Declared::new());
    let owned = world.made(&declared.blueprint()).await;
    let put = world.admin.iam.put_role_policy().role_name(declared.role_name()).policy_name("windlass-9999999999");
    put.policy_document(declared.policy_document().to_string()).send().await.unwrap();
    let full = world.sync(&declared.blueprint(), &owned, Depth::Full).await.unwrap();
    assert!(full.stale_policies && full.changes.is_empty());
    let pruned = world.prune(&declared.blueprint(), &full.owned, Depth::Full).await;
    assert!(!pruned.stale_policies);
    let left = world.admin.iam.list_role_policies().role_name(declared.role_name()).send().await.unwrap();
    assert_eq!(left.policy_names, [declared.policy.as_str()]);
}

#[tokio::test]
async fn tags_that_others_added_stay_and_declared_ones_come_back() {
    let (world, mut declared) = (World::new().await, Declared::new());
    declared.cost_centre = Some("42".into());
    let owned = world.made(&declared.blueprint()).await;
    let (role, document) = (declared.role_name(), declared.document_name());
    let tag = aws_sdk_iam::types::Tag::builder().key("Backup").value("no").build().unwrap();
    world.admin.iam.tag_role().role_name(&role).tags(tag).send().await.unwrap();
    assert_eq!(world.mended(&declared.blueprint(), &owned).await.0, [""; 0]);

    world.admin.iam.untag_role().role_name(&role).tag_keys("CostCentre").send().await.unwrap();
    mends(&world, &declared, &owned, &format!("update role {role} (tags CostCentre)"), &["iam:TagRole"]).await;
    let untag = world.admin.ssm.remove_tags_from_resource().resource_type(ResourceTypeForTagging::Document);
    untag.resource_id(&document).tag_keys("CostCentre").send().await.unwrap();
    let change = format!("update document {document} (tags CostCentre)");
    mends(&world, &declared, &owned, &change, &["ssm:AddTagsToResource"]).await;
    let tags = world.admin.iam.list_role_tags().role_name(&role).send().await.unwrap();
    assert!(tags.tags.iter().any(|tag| tag.key == "Backup"));
}

#[tokio::test]
async fn an_object_that_lost_our_tags_is_not_touched() {
    let (world, declared) = (World::new().await, Declared::new());
    let owned = world.made(&declared.blueprint()).await;
    let role = declared.role_name();
    world.admin.iam.untag_role().role_name(&role).tag_keys("windlass.dev/cluster").send().await.unwrap();
    world.admin.iam.delete_role_policy().role_name(&role).policy_name(&declared.policy).send().await.unwrap();
    let error = world.sync(&declared.blueprint(), &owned, Depth::Full).await.unwrap_err();
    let Cause::Foreign { arn, why } = &error.cause else { panic!("{error}") };
    assert_eq!((arn.as_str(), why.as_str()), (declared.role_arn().as_str(), "windlass.dev/cluster=prod is missing"));
    assert_eq!(error.owned, owned, "what is recorded stays recorded");
}

#[tokio::test]
async fn a_document_version_that_others_made_is_superseded() {
    let (world, declared) = (World::new().await, Declared::new());
    let owned = world.made(&declared.blueprint()).await;
    let other = declared.content().to_string().replace("Get-Date", "Stop-Computer");
    let document = declared.document_name();
    let update = world.admin.ssm.update_document().name(&document).content(other).document_version("$LATEST");
    update.send().await.unwrap();
    let change = format!("update document {document} (a version that others made)");
    mends(&world, &declared, &owned, &change, &["ssm:UpdateDocument", "states:UpdateStateMachine"]).await;
    let latest = world.admin.ssm.get_document().name(&document).document_version("$LATEST").send().await.unwrap();
    assert_eq!((latest.document_version(), latest.content().unwrap().contains("Get-Date")), (Some("3"), true));
}

#[tokio::test]
async fn a_definition_that_others_changed_is_mended() {
    let (world, declared) = (World::new().await, Declared::new());
    let owned = world.made(&declared.blueprint()).await;
    let other = r#"{"StartAt":"a","States":{"a":{"Type":"Succeed"}}}"#;
    let update = world.admin.states.update_state_machine().state_machine_arn(declared.machine_arn());
    update.definition(other).send().await.unwrap();
    let change = format!("update state machine {} (definition)", declared.machine_name());
    mends(&world, &declared, &owned, &change, &["states:UpdateStateMachine"]).await;
}

#[tokio::test]
async fn what_was_deleted_is_made_again() {
    let (world, declared) = (World::new().await, Declared::new());
    let mut owned = world.made(&declared.blueprint()).await;
    let (role, document, machine) = (declared.role_name(), declared.document_name(), declared.machine_name());

    world.admin.states.delete_state_machine().state_machine_arn(declared.machine_arn()).send().await.unwrap();
    let (changes, after) = world.mended(&declared.blueprint(), &owned).await;
    assert_eq!(changes, [format!("create state machine {machine} (it was gone)")]);
    owned = after;

    world.admin.ssm.delete_document().name(&document).send().await.unwrap();
    let (changes, after) = world.mended(&declared.blueprint(), &owned).await;
    assert_eq!(changes, [format!("create document {document} (it was gone)")]);
    owned = after;

    world.admin.iam.delete_role_policy().role_name(&role).policy_name(&declared.policy).send().await.unwrap();
    world.admin.iam.delete_role().role_name(&role).send().await.unwrap();
    let (changes, after) = world.mended(&declared.blueprint(), &owned).await;
    assert_eq!(changes, [format!("create role {role} (it was gone)")]);
    assert_eq!(world.mended(&declared.blueprint(), &after).await.0, [""; 0]);
}

#[tokio::test]
async fn an_edit_of_what_was_deleted_makes_it_again() {
    let (world, mut declared) = (World::new().await, Declared::new());
    let owned = world.made(&declared.blueprint()).await;
    world.admin.ssm.delete_document().name(declared.document_name()).send().await.unwrap();
    world.admin.states.delete_state_machine().state_machine_arn(declared.machine_arn()).send().await.unwrap();
    declared.script = "Get-Process".into();
    let edited = world.sync(&declared.blueprint(), &owned, Depth::Recorded).await.unwrap();
    assert!(edited.changes.iter().all(|change| change.action == Action::Create), "{:?}", edited.changes);
    assert_eq!(entry(&edited.owned, "Document").attributes["version"], "1");
    world.counter.take();
    assert_eq!(world.sync(&declared.blueprint(), &edited.owned, Depth::Recorded).await.unwrap().changes, []);
    assert_eq!(world.counter.take(), calls(&[]));
}
