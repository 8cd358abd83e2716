//! What the verbs know of each kind without a cluster: its schema and its CEL rules.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps as Schema,
};
use kube::core::cel::{CompiledSchema, ErrorKind, Validator, compile_schema};
use serde_json::{Value, json};

use crate::api;

use super::output::Failure;
use super::schema::{self, Issue};
use super::yaml::Marked;

/// A kind of Windlass's.
pub struct Kind {
    /// As in `WorkflowRun`.
    pub name: String,
    /// Whether its objects stand in a namespace.
    pub namespaced: bool,
    schema: Schema,
    rules: CompiledSchema,
}

/// All kinds.
///
/// # Errors
/// [`Failure::Text`], which a test rules out.
pub fn all() -> Result<Vec<Kind>, Failure> {
    api::crds().iter().map(kind).collect()
}

fn kind(crd: &CustomResourceDefinition) -> Result<Kind, Failure> {
    let unreadable = |error: serde_json::Error| Failure::Text(error.to_string());
    let declared = crd.spec.versions.first().and_then(|version| version.schema.as_ref());
    let declared = declared.and_then(|validation| validation.open_api_v3_schema.clone());
    let mut schema = declared.ok_or_else(|| Failure::Text(format!("{} has no schema", crd.spec.names.kind)))?;
    let rules = compile_schema(&serde_json::to_value(&schema).map_err(unreadable)?);
    let properties = schema.properties.get_or_insert_default();
    for (name, shape) in [
        ("apiVersion", json!({ "type": "string" })),
        ("kind", json!({ "type": "string" })),
        ("metadata", metadata()),
        // What a manifest says there the API server does not take.
        ("status", json!({ "x-kubernetes-preserve-unknown-fields": true })),
    ] {
        properties.insert(name.to_owned(), serde_json::from_value(shape).map_err(unreadable)?);
    }
    schema.required.get_or_insert_default().push("metadata".to_owned());
    Ok(Kind { name: crd.spec.names.kind.clone(), namespaced: crd.spec.scope == "Namespaced", schema, rules })
}

/// `ObjectMeta`, as far as a manifest may set it or an exported one carries it.
fn metadata() -> Value {
    // RFC 1123 names, as the API server asks for.
    let label = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
    let texts = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let free = json!({ "x-kubernetes-preserve-unknown-fields": true });
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": 253, "pattern": format!(r"^{label}(\.{label})*$") },
            "generateName": { "type": "string", "maxLength": 248 },
            "namespace": { "type": "string", "maxLength": 63, "pattern": format!("^{label}$") },
            "labels": texts,
            "annotations": texts,
            "finalizers": { "type": "array", "items": { "type": "string" } },
            "ownerReferences": { "type": "array" },
            "creationTimestamp": free, "deletionGracePeriodSeconds": free, "deletionTimestamp": free, "generation": free,
            "managedFields": free, "resourceVersion": free, "selfLink": free, "uid": free,
        }
    })
}

impl Kind {
    /// What is wrong with a document of this kind by its schema and rules, and the document as JSON.
    #[must_use]
    pub fn check(&self, document: &Marked) -> (Vec<Issue>, Value) {
        let mut issues = Vec::new();
        let object = schema::check(&self.schema, document, "", &mut issues);
        let sound = issues.is_empty();
        if let Err(errors) = Validator::new().validate_compiled(&self.rules, &object, None) {
            for error in errors.into_vec() {
                // A rule that cannot be evaluated says nothing that the schema has not said already.
                if sound || error.kind == ErrorKind::ValidationFailure {
                    issues.push(Issue {
                        line: document.line_of(&error.field_path),
                        path: error.field_path,
                        message: error.message,
                    });
                }
            }
        }
        let named = document.get("metadata").is_none_or(|meta| meta.get("name").or(meta.get("generateName")).is_some());
        if !named {
            let line = document.line_of("metadata");
            issues.push(Issue { line, path: "metadata".to_owned(), message: "\"name\" is required".to_owned() });
        }
        (issues, object)
    }
}
