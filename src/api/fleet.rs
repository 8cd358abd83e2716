//! WindowsFleet: a set of Windows nodes under a name.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::refs::{AccountRef, NodeId, Targets};
use super::schema;

/// A set of Windows nodes under a name, by Systems Manager tags or by id. It owns nothing in AWS; its status counts the nodes and names the ones that
/// are not reachable.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "windlass.dev",
    version = "v1alpha1",
    kind = "WindowsFleet",
    plural = "windowsfleets",
    shortname = "wfleet",
    category = "windlass",
    namespaced,
    status = "WindowsFleetStatus",
    derive = "PartialEq",
    doc = "A set of Windows nodes under a name, by Systems Manager tags or by id. It owns nothing in AWS; its status counts the nodes and names the ones that are not reachable.",
    printcolumn(json_path = ".status.matched", name = "Matched", type_ = "integer"),
    printcolumn(json_path = ".status.online", name = "Online", type_ = "integer"),
    printcolumn(json_path = ".status.offline", name = "Offline", type_ = "integer"),
    printcolumn(json_path = ".status.notWindows", name = "Not-Windows", type_ = "integer"),
    printcolumn(json_path = ".status.conditions[?(@.type==\"Ready\")].status", name = "Ready", type_ = "string"),
    printcolumn(json_path = ".status.conditions[?(@.type==\"Ready\")].reason", name = "Reason", type_ = "string"),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date"),
    printcolumn(json_path = ".status.accountRef.name", name = "Account", type_ = "string", priority = 1),
    printcolumn(
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        name = "Message",
        type_ = "string",
        priority = 1
    )
)]
#[kube(cel)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.accountRef) == has(oldSelf.accountRef) && (!has(self.accountRef) || self.accountRef == oldSelf.accountRef)")
    .message("accountRef cannot change: make another fleet, or the workflows that name this one would lose its nodes"))]
pub struct WindowsFleetSpec {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
    /// The account that the nodes are in. Left out: the one account that grants this namespace something. Cannot change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_ref: Option<AccountRef>,
    /// Which nodes.
    pub systems_manager: SystemsManagerNodes,
}

/// Nodes that Systems Manager manages: by tags, or by id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = schema::exactly_one("'systemsManager'", &["tags", "instanceIds"]))]
pub struct SystemsManagerNodes {
    /// Nodes that carry every one of these tag keys with one of the values given for it. The account's grant is and-ed into it: keys that both name
    /// keep the values they share. 5 keys at most, the grant's among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::node_tags")]
    pub tags: Option<BTreeMap<String, Vec<String>>>,
    /// Managed node ids: `i-…` for EC2 instances, `mi-…` for hybrid nodes. They must carry the tags of the account's grant. 100 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub instance_ids: Option<Vec<NodeId>>,
}

impl SystemsManagerNodes {
    /// The same nodes as a workflow's targets name them.
    #[must_use]
    pub fn targets(&self) -> Targets {
        Targets { tags: self.tags.clone(), node_ids: self.instance_ids.clone(), fleet_ref: None }
    }
}

/// What Windlass found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WindowsFleetStatus {
    /// The generation that the rest of this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The account that the nodes are in. Written once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_ref: Option<AccountRef>,
    /// Managed nodes that match: online, offline and not Windows together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched: Option<i32>,
    /// Windows nodes that Systems Manager can reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub online: Option<i32>,
    /// Windows nodes that it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offline: Option<i32>,
    /// Nodes that match and are not Windows: nothing is sent to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_windows: Option<i32>,
    /// Windows nodes that are offline, by name; 20 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub unreachable: Vec<UnreachableNode>,
}

/// A node that Systems Manager does not reach.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnreachableNode {
    /// Managed node id.
    pub id: String,
    /// Computer name, where Systems Manager knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computer_name: Option<String>,
    /// Systems Manager's own word: `ConnectionLost`, `Inactive`.
    pub ping_status: String,
    /// When its agent was last heard of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Time>,
}
