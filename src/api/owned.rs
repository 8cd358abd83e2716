//! What an object owns in AWS, as its status remembers it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One AWS object that belongs to this resource.
///
/// Written before the object is created, so that a crash between the two leaves nothing unknown behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwnedObject {
    /// CloudFormation's name for the type, as in `AWS::IAM::Role`.
    #[serde(rename = "type")]
    pub type_: String,
    /// Name of the object in its service.
    pub name: String,
    /// ARN, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// Digest of what was last applied to it. Absent until the object has been created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// What AWS answered and other objects refer to: a document's `version` and `hash`, a state machine's `versionArn`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}
