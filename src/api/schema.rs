//! What the derived schemas need beside the derive: free-form JSON fields, and the last pass over a definition.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::core::{Message, Rule};
use schemars::{Schema, SchemaGenerator, json_schema};

/// Any JSON value. CEL cannot see such a field: what may stand in it is the compiler's to check.
pub fn any_json(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}

/// An object with any JSON values under keys of the user's choice.
pub fn any_json_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// A list of any JSON values, 64 at most.
pub fn any_json_list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "maxItems": 64, "items": { "x-kubernetes-preserve-unknown-fields": true } })
}

/// A map from tag key to the values that are accepted for it.
///
/// Keys and values follow the limits of Systems Manager targets: 5 keys, 50 values (`SendCommand`, "Targets").
pub fn node_tags(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 5,
        "additionalProperties": {
            "type": "array",
            "minItems": 1,
            "maxItems": 50,
            "items": { "type": "string", "maxLength": 256 }
        }
    })
}

/// The rule that exactly one of some optional fields is set, with a message that lists what was found.
///
/// `what` is a CEL expression for the name of the thing, as in `'step ' + self.name`. Concatenation, because
/// `join` and `filter` cost a hundred times as much of the API server's CEL budget.
pub fn exactly_one(what: &str, fields: &[&str]) -> Rule {
    // What is a word of CEL's own is written with two underscores around it (Kubernetes, "Escaping" of CRD validation rules).
    let has = |field: &str| {
        let name = if field == "for" { "__for__" } else { field };
        format!("has(self.{name})")
    };
    let sum = fields.iter().map(|field| format!("({} ? 1 : 0)", has(field))).collect::<Vec<_>>().join(" + ");
    let found =
        fields.iter().map(|field| format!("({} ? ' {field}' : '')", has(field))).collect::<Vec<_>>().join(" + ");
    let choice = fields.join(", ");
    let message =
        format!("{what} + ' needs exactly one of: {choice}; found:' + {found} + (({sum}) == 0 ? ' none' : '')");
    Rule::new(format!("{sum} == 1")).message(Message::Expression(message))
}

/// The last pass over a generated definition.
///
/// Joins the lines of each paragraph of a description: they are broken where the source code is, which `kubectl explain` would show.
/// Takes `nullable` off everything but free-form fields (a `null` in a manifest is then dropped by the API server instead
/// of reaching us), and takes off integer formats that Kubernetes does not know and warns about.
///
/// Steps stand in many places. Their fields are explained at length in `spec.steps`, and in a line everywhere else: client-side apply puts the whole definition
/// into an annotation, which holds 256 KiB.
pub fn finish(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()) {
            tidy(schema);
            shorten(schema, false);
        }
    }
    crd
}

/// Shortens descriptions in lists of steps, but for those of the outermost list.
fn shorten(schema: &mut JSONSchemaProps, within: bool) {
    // Beside the workflow's own steps, everything else that has steps is explained by them.
    let of_workflow = schema.properties.as_ref().is_some_and(|fields| fields.contains_key("blocks"));
    for (name, property) in schema.properties.iter_mut().flatten() {
        let within = within || (of_workflow && name != "steps");
        let Some(JSONSchemaPropsOrArray::Schema(item)) = property.items.as_mut() else {
            shorten(property, within);
            continue;
        };
        let fields = item.properties.as_ref();
        let of_steps = fields.is_some_and(|fields| fields.contains_key("when") && fields.contains_key("retry"));
        if of_steps && within {
            for field in item.properties.iter_mut().flat_map(|all| all.values_mut()) {
                let line = field.description.as_deref().map(first_line);
                silence(field);
                field.description = line;
            }
        } else {
            shorten(item, within || of_steps);
        }
    }
    if let Some(JSONSchemaPropsOrArray::Schema(item)) = schema.items.as_mut() {
        shorten(item, within);
    }
}

fn first_line(text: &str) -> String {
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    paragraph.split_inclusive(". ").next().unwrap_or_default().trim_end().to_owned()
}

fn silence(schema: &mut JSONSchemaProps) {
    schema.description = None;
    for property in schema.properties.iter_mut().flat_map(|all| all.values_mut()) {
        silence(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(item)) = schema.items.as_mut() {
        silence(item);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(inner)) = schema.additional_properties.as_mut() {
        silence(inner);
    }
}

fn tidy(schema: &mut JSONSchemaProps) {
    if schema.x_kubernetes_preserve_unknown_fields != Some(true) {
        schema.nullable = None;
    }
    if schema.format.as_deref().is_some_and(|format| format.starts_with("uint")) {
        schema.format = None;
    }
    if let Some(description) = &mut schema.description {
        let paragraphs = description.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
        *description = paragraphs.collect::<Vec<_>>().join("\n\n");
    }
    for property in schema.properties.iter_mut().flat_map(|all| all.values_mut()) {
        tidy(property);
    }
    match schema.items.as_mut() {
        Some(JSONSchemaPropsOrArray::Schema(inner)) => tidy(inner),
        Some(JSONSchemaPropsOrArray::Schemas(all)) => all.iter_mut().for_each(tidy),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(inner)) = schema.additional_properties.as_mut() {
        tidy(inner);
    }
}
