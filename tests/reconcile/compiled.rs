//! What the compiler gives, through the engine: the example as a user applies it, made, looked at, edited, and taken away.

use windlass::api::{AwsAccountSpec, WindowsWorkflowSpec};
use windlass::aws::engine::{self, Depth};
use windlass::compile::{self, Blueprint};

use super::bed::{World, calls};
use super::declared::Declared;

/// The spec of the first manifest of a kind in a file of the examples.
fn spec<T: serde::de::DeserializeOwned>(file: &str, kind: &str) -> T {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let manifests: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).unwrap();
    let found = manifests.into_iter().find(|manifest| manifest["kind"] == kind).unwrap();
    serde_json::from_value(found["spec"].clone()).unwrap()
}

fn blueprint(workflow: &WindowsWorkflowSpec) -> Blueprint {
    let account: AwsAccountSpec = spec("account.yaml", "AwsAccount");
    compile::workflow(
        &Declared::new().owner,
        workflow,
        &compile::Account { name: "prod", spec: &account, fleets: &compile::NO_FLEETS },
    )
    .unwrap()
}

#[tokio::test]
async fn the_examples_are_made_in_one_call_each_and_are_as_declared_then() {
    for file in ["hello/hello.yaml", "restart-iis/restart-iis.yaml"] {
        let world = World::new().await;
        let workflow: WindowsWorkflowSpec = spec(file, "WindowsWorkflow");
        let made = world.sync(&blueprint(&workflow), &[], Depth::Recorded).await.unwrap();
        let one_each = [
            ("iam:CreateRole", 1),
            ("iam:PutRolePolicy", 1),
            ("ssm:CreateDocument", 1),
            ("states:CreateStateMachine", 1),
        ];
        assert_eq!(world.counter.take(), calls(&one_each), "{file}");
        assert_eq!(
            world.mended(&blueprint(&workflow), &made.owned).await.0,
            [""; 0],
            "{file}: what AWS gives back means the same"
        );
        // With its status lost everything is compared by its content, too.
        let found = world.sync(&blueprint(&workflow), &[], Depth::Recorded).await.unwrap();
        assert_eq!(found.owned, made.owned, "{file}");
        let left = engine::delete(&world.session, &Declared::new().owner.tags(), &found.owned).await.unwrap().left;
        assert_eq!((left, world.admin.inventory().await), (vec![], vec![]), "{file}");
    }
}

#[tokio::test]
async fn an_edited_script_of_an_example_changes_document_and_machine_alone() {
    let world = World::new().await;
    let mut workflow: WindowsWorkflowSpec = spec("hello/hello.yaml", "WindowsWorkflow");
    let owned = world.made(&blueprint(&workflow)).await;
    let step = workflow.steps.first_mut().and_then(|step| step.powershell.as_mut()).unwrap();
    step.script.push_str("Get-Date\n");
    let edited = world.sync(&blueprint(&workflow), &owned, Depth::Recorded).await.unwrap();
    assert_eq!(world.counter.take(), calls(&[("ssm:UpdateDocument", 1), ("states:UpdateStateMachine", 1)]));
    assert!(!edited.stale_policies);
}
