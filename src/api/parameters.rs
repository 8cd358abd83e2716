//! Parameters of a workflow: what a run may hand over.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::schema;

/// Name of a parameter; in expressions `$params.<name>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ParameterName(#[schemars(regex(pattern = "^[A-Za-z][A-Za-z0-9_]*$"), length(max = 63))] pub String);

/// Type of a parameter's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ParameterType {
    /// Text.
    String,
    /// A whole number between -2^53 and 2^53, the range that JSON carries exactly.
    Integer,
    /// `true` or `false`.
    Boolean,
}

/// A value that a run hands to the workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("self.type == 'String' || !(has(self.pattern) || has(self.minLength) || has(self.maxLength))", "pattern, minLength and maxLength are for type String"),
    validation = ("self.type == 'Integer' || !(has(self.minimum) || has(self.maximum))", "minimum and maximum are for type Integer"),
    validation = ("!(has(self.minimum) && has(self.maximum)) || self.minimum <= self.maximum", "minimum must not be above maximum"),
    validation = ("!(has(self.minLength) && has(self.maxLength)) || self.minLength <= self.maxLength", "minLength must not be above maxLength"),
)]
pub struct Parameter {
    /// Name; in expressions `$params.<name>`.
    pub name: ParameterName,
    /// Type of the value.
    #[serde(rename = "type")]
    pub type_: ParameterType,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
    /// Whether a run must give it. One that is not required and has no default is `null` in expressions when it is left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// Value when a run gives none. Not beside `required: true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any_json")]
    pub default: Option<Value>,
    /// The values that are accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any_json_list")]
    pub allowed: Option<Vec<Value>>,
    /// Regular expression that must match somewhere in the text: anchor it with `^` and `$`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub pattern: Option<String>,
    /// Fewest characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4096))]
    pub min_length: Option<i32>,
    /// Most characters, 4096 at most and by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4096))]
    pub max_length: Option<i32>,
    /// Smallest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<i64>,
    /// Largest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<i64>,
}
