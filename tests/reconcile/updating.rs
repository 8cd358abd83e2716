//! Edits: exactly what changed is written, and nothing is read.

use windlass::aws::engine::Depth;

use super::bed::{World, calls, entry};
use super::declared::Declared;

#[tokio::test]
async fn an_edited_script_costs_one_call_for_the_document_and_one_for_the_machine() {
    let (world, mut declared) = (World::new().await, Declared::new());
    let owned = world.made(&declared.blueprint()).await;
    declared.script = "Get-Process".into();

    let edited = world.sync(&declared.blueprint(), &owned, Depth::Recorded).await.unwrap();
    assert_eq!(world.counter.take(), calls(&[("ssm:UpdateDocument", 1), ("states:UpdateStateMachine", 1)]));
    let changes: Vec<String> = edited.changes.iter().map(ToString::to_string).collect();
    let (document, machine) = (declared.document_name(), declared.machine_name());
    assert_eq!(
        changes,
        [format!("update document {document} (content)"), format!("update state machine {machine} (definition)")]
    );

    let attributes = &entry(&edited.owned, "Document").attributes;
    assert_eq!(attributes["version"], "2");
    let version = &entry(&edited.owned, "StateMachine").attributes["versionArn"];
    assert_eq!(*version, format!("{}:2", declared.machine_arn()));
    let filled = world.admin.definition(version).await["States"]["start"]["Assign"]["document"].clone();
    assert_eq!((filled["version"].as_str(), filled["hash"].as_str()), (Some("2"), Some(attributes["hash"].as_str())));
    // The version that a running execution has keeps its own document version.
    let before = world.admin.definition(&format!("{}:1", declared.machine_arn())).await;
    assert_eq!(before["States"]["start"]["Assign"]["document"]["version"], "1");
    assert_eq!(world.mended(&declared.blueprint(), &edited.owned).await.0, [""; 0]);
}

#[tokio::test]
async fn going_back_to_an_earlier_script_makes_a_version_of_its_own() {
    let (world, declared) = (World::new().await, Declared::new());
    let owned = world.made(&declared.blueprint()).await;
    let edited = Declared { script: "Get-Process".into(), ..declared.clone() };
    let edited = world.sync(&edited.blueprint(), &owned, Depth::Recorded).await.unwrap();
    let back = world.sync(&declared.blueprint(), &edited.owned, Depth::Recorded).await.unwrap();
    assert_eq!(entry(&back.owned, "Document").attributes["version"], "3");
    assert_eq!(entry(&back.owned, "Document").attributes["hash"], entry(&owned, "Document").attributes["hash"]);
}

#[tokio::test]
async fn a_new_policy_stands_beside_the_old_one_until_that_may_go() {
    let (world, mut declared) = (World::new().await, Declared::new());
    let owned = world.made(&declared.blueprint()).await;
    declared.policy = "windlass-0000000002".into();
    let blueprint = declared.blueprint();

    let edited = world.sync(&blueprint, &owned, Depth::Recorded).await.unwrap();
    assert_eq!(world.counter.take(), calls(&[("iam:PutRolePolicy", 1)]));
    assert!(edited.stale_policies);
    assert_eq!(entry(&edited.owned, "Role").attributes["policies"], "windlass-0000000001,windlass-0000000002");
    assert!(world.sync(&blueprint, &edited.owned, Depth::Recorded).await.unwrap().stale_policies);
    assert_eq!(world.counter.take(), calls(&[]));
    let (changes, kept) = world.mended(&blueprint, &edited.owned).await;
    assert_eq!((changes, kept), (vec![], edited.owned.clone()), "a full look keeps it, too");
    world.counter.take();

    let pruned = world.prune(&blueprint, &edited.owned, Depth::Recorded).await;
    assert_eq!(world.counter.take(), calls(&[("iam:DeleteRolePolicy", 1)]));
    assert!(!pruned.stale_policies);
    let changes: Vec<String> = pruned.changes.iter().map(ToString::to_string).collect();
    let role = declared.role_name();
    assert_eq!(changes, [format!("update role {role} (policy windlass-0000000001 of an older version removed)")]);
    let left = world.admin.iam.list_role_policies().role_name(&role).send().await.unwrap();
    assert_eq!(left.policy_names, ["windlass-0000000002"]);
    assert_eq!(world.prune(&blueprint, &pruned.owned, Depth::Recorded).await.changes, []);
}

#[tokio::test]
async fn rights_stay_while_a_new_version_is_published() {
    let (world, mut declared) = (World::new().await, Declared::new());
    let owned = world.made(&declared.blueprint()).await;
    declared.policy = "windlass-0000000002".into();
    declared.script = "Get-Process".into();
    let edited = world.prune(&declared.blueprint(), &owned, Depth::Recorded).await;
    assert!(edited.stale_policies, "who starts the version before this one still needs them");
    assert_eq!(world.counter.take().get("iam:DeleteRolePolicy"), None);
    assert!(!world.prune(&declared.blueprint(), &edited.owned, Depth::Recorded).await.stale_policies);
}

#[tokio::test]
async fn changed_tags_cost_one_call_for_each_object() {
    let (world, mut declared) = (World::new().await, Declared::new());
    let owned = world.made(&declared.blueprint()).await;
    declared.cost_centre = Some("42".into());
    let tagged = world.sync(&declared.blueprint(), &owned, Depth::Recorded).await.unwrap();
    let expected = [("iam:TagRole", 1), ("ssm:AddTagsToResource", 1), ("states:TagResource", 1)];
    assert_eq!(world.counter.take(), calls(&expected));
    assert_eq!(world.admin.machine_tags(&declared.machine_arn()).await["CostCentre"], "42");
    assert_eq!(entry(&tagged.owned, "StateMachine").attributes["version"], "1", "tags publish no version");
    assert_eq!(world.mended(&declared.blueprint(), &tagged.owned).await.0, [""; 0]);
}

#[tokio::test]
async fn what_is_recorded_in_another_form_is_looked_at_once() {
    let (world, declared) = (World::new().await, Declared::new());
    let mut owned = world.made(&declared.blueprint()).await;
    let expected = owned.clone();
    for entry in &mut owned {
        entry.digest = Some("sha256:00".into());
    }
    let found = world.sync(&declared.blueprint(), &owned, Depth::Recorded).await.unwrap();
    assert_eq!(found.owned, expected);
    let writes = ["ssm:UpdateDocument", "states:UpdateStateMachine", "iam:PutRolePolicy"];
    let made = world.counter.take();
    assert!(made.contains_key("iam:GetRole"));
    // Which content a recorded version has is not known then: it is written once more, and turns out to be there.
    assert_eq!(writes.map(|write| made.get(write).copied()), [Some(1), Some(1), None]);
}
