//! A Blueprint as people review it: each object in CloudFormation's words.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::blueprint::{Blueprint, Body};

/// One AWS object, rendered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rendered {
    /// CloudFormation's name for the type.
    #[serde(rename = "type")]
    pub type_: &'static str,
    /// Name of the object.
    pub name: String,
    /// Its properties, in CloudFormation's names. Where a value is AWS's to give it stands as `${document.version}`.
    pub body: Value,
}

/// Renders every object, in dependency order.
#[must_use]
pub fn render(blueprint: &Blueprint) -> Vec<Rendered> {
    blueprint
        .objects
        .iter()
        .map(|object| {
            let tags = tags(&object.tags);
            let body = match &object.body {
                Body::Role(role) => {
                    let policies: Vec<Value> = role
                        .policies
                        .iter()
                        .map(|(name, document)| json!({ "PolicyName": name, "PolicyDocument": document }))
                        .collect();
                    json!({
                        "RoleName": role.name,
                        "Path": role.path,
                        "Description": role.description,
                        "AssumeRolePolicyDocument": role.trust,
                        "PermissionsBoundary": role.boundary_arn,
                        "Policies": policies,
                        "Tags": tags,
                    })
                }
                Body::Document(document) => json!({
                    "Name": document.name,
                    "DocumentType": "Command",
                    "DocumentFormat": "JSON",
                    "Content": document.content,
                    "Tags": tags,
                }),
                Body::StateMachine(machine) => json!({
                    "StateMachineName": machine.name,
                    "StateMachineType": "STANDARD",
                    "RoleArn": machine.role_arn,
                    "Definition": machine.definition,
                    "Tags": tags,
                }),
            };
            Rendered { type_: object.type_name(), name: object.name().to_owned(), body }
        })
        .collect()
}

fn tags(tags: &BTreeMap<String, String>) -> Vec<Value> {
    tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
}
