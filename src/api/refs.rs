//! References and targets.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// The AwsAccount to work in. Cluster-scoped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountRef {
    /// Name of the AwsAccount.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A WindowsWorkflow of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowRef {
    /// Name of the WindowsWorkflow.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A WindowsFleet of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FleetRef {
    /// Name of the WindowsFleet.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Which Windows nodes: by Systems Manager tags, by id, or those of a fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = schema::exactly_one("'targets'", &["tags", "nodeIds", "fleetRef"]))]
pub struct Targets {
    /// Nodes that carry every one of these tag keys with one of the values given for it. The account's grant is and-ed into
    /// it: keys that both name keep the values they share. 5 keys at most, the grant's among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::node_tags")]
    pub tags: Option<BTreeMap<String, Vec<String>>>,

    /// Managed node ids: `i-…` for EC2 instances, `mi-…` for hybrid nodes. 50 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 50))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub node_ids: Option<Vec<NodeId>>,

    /// A WindowsFleet of this namespace, in the same account. Its Windows nodes are listed when a run starts, and the run keeps to these: a node that joins later
    /// is not part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet_ref: Option<FleetRef>,
}

/// Id of a managed node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct NodeId(#[schemars(regex(pattern = "^m?i-[0-9a-f]{8}([0-9a-f]{9})?$"), length(max = 20))] pub String);
