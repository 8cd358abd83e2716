//! Blueprints as people and tools read them: `windlass render`.

use serde::Serialize;
use serde_json::{Value, json};

use super::blueprint::{Blueprint, Body, Object};

/// An AWS object, printed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rendered {
    /// CloudFormation's name for the type.
    #[serde(rename = "type")]
    pub type_: String,
    /// Name in its service.
    pub name: String,
    /// What it consists of, in the words of the service's API. Definitions and policies are objects, not texts.
    pub body: Value,
}

/// Every object of a Blueprint, in dependency order. A value that only AWS can give stands as `${document.version}`.
#[must_use]
pub fn render(blueprint: &Blueprint) -> Vec<Rendered> {
    blueprint.objects.iter().map(rendered).collect()
}

fn rendered(object: &Object) -> Rendered {
    let mut body = match &object.body {
        Body::Role(role) => {
            let policies: Vec<Value> = role
                .policies
                .iter()
                .map(|(name, policy)| json!({ "PolicyName": name, "PolicyDocument": policy }))
                .collect();
            json!({
                "RoleName": role.name,
                "Path": role.path,
                "Description": role.description,
                "AssumeRolePolicyDocument": role.trust,
                "PermissionsBoundary": role.boundary_arn,
                "Policies": policies,
            })
        }
        Body::Document(document) => json!({
            "Name": document.name,
            "DocumentType": "Command",
            "DocumentFormat": "JSON",
            "Content": document.content,
        }),
        Body::StateMachine(machine) => json!({
            "StateMachineName": machine.name,
            "StateMachineType": "STANDARD",
            "RoleArn": machine.role_arn,
            "Definition": machine.definition,
        }),
        Body::Queue(queue) => json!({
            "QueueName": queue.name,
            "SqsManagedSseEnabled": true,
            "MessageRetentionPeriod": queue.retention_seconds,
            "VisibilityTimeout": queue.visibility_seconds,
            "ReceiveMessageWaitTimeSeconds": queue.wait_seconds,
            // CloudFormation has a resource of its own for it.
            "Policy": queue.policy,
        }),
        Body::Rule(rule) => json!({
            "Name": rule.name,
            "Description": rule.description,
            "State": "ENABLED",
            "EventPattern": rule.pattern,
            "Targets": [{
                "Id": rule.target.id,
                "Arn": rule.target.arn,
                "InputTransformer": { "InputPathsMap": rule.target.paths, "InputTemplate": rule.target.template },
            }],
        }),
    };
    if let Some(fields) = body.as_object_mut() {
        let tags: Vec<Value> = object.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
        fields.insert("Tags".into(), json!(tags));
    }
    Rendered { type_: object.type_name().to_owned(), name: object.name().to_owned(), body }
}
