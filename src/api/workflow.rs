//! WindowsWorkflow: steps that run on Windows nodes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::containers::StepsOrBlock;
use super::duration::Span;
use super::owned::OwnedObject;
use super::parameters::Parameter;
use super::refs::{AccountRef, Targets};
use super::steps::{Block, Step};

/// Steps that run on Windows nodes, as one Step Functions state machine, its execution role and one Systems Manager document.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "windlass.dev",
    version = "v1alpha1",
    kind = "WindowsWorkflow",
    plural = "windowsworkflows",
    shortname = "wwf",
    category = "windlass",
    namespaced,
    status = "WindowsWorkflowStatus",
    derive = "PartialEq",
    doc = "Steps that run on Windows nodes, as one Step Functions state machine, its execution role and one Systems Manager document.",
    printcolumn(json_path = ".status.conditions[?(@.type==\"Ready\")].status", name = "Ready", type_ = "string"),
    printcolumn(json_path = ".status.conditions[?(@.type==\"Ready\")].reason", name = "Reason", type_ = "string"),
    printcolumn(json_path = ".status.accountRef.name", name = "Account", type_ = "string"),
    printcolumn(json_path = ".status.version", name = "Version", type_ = "integer"),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date"),
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
    .message("accountRef cannot change: delete the workflow and make a new one, or its objects in the old account would be left behind"))]
pub struct WindowsWorkflowSpec {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
    /// The account to work in. Left out: the one account that grants this namespace something. Cannot change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_ref: Option<AccountRef>,
    /// The nodes that steps run on, unless a step names its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Targets>,
    /// What a run may hand over; 32 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub parameters: Vec<Parameter>,
    /// The longest time that a run may take. Default: one year, the longest that Step Functions allows; each step has its own timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// The steps, in order; 64 at most.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub steps: Vec<Step>,
    /// What runs after the workflow has failed: when a step has, and nothing around it handled that. `$failure` says which and why. The run fails all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<StepsOrBlock>,
    /// What runs at the end, whether the workflow failed or not, after `onFailure`; `$failure` is there where it failed. Nothing runs any more after the
    /// workflow's own timeout, or when the run is cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finally: Option<StepsOrBlock>,
    /// Steps under a name, for `call`, handlers and containers; 32 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub blocks: Vec<Block>,
}

/// What Windlass made of a workflow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WindowsWorkflowStatus {
    /// The generation that the rest of this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The account that this workflow is in. Written once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_ref: Option<AccountRef>,
    /// ARN of the state machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_machine_arn: Option<String>,
    /// ARN of the version that was published for `observedGeneration`; runs start this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_machine_version_arn: Option<String>,
    /// Number of that version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// The fleets that it targets, as they were when it was compiled: its role allows what they named then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub fleets: Vec<FleetSeen>,
    /// Executions of the state machine that were started past Windlass (in the console, by EventBridge), as far as the account's inbox was told of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_elsewhere: Option<StartedElsewhere>,
    /// What exists in AWS on behalf of this workflow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owned_objects: Vec<OwnedObject>,
}

/// A fleet as it was when a workflow was compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FleetSeen {
    /// Its name.
    pub name: String,
    /// Its UID: one that is deleted and made again begins at generation 1 once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Its generation.
    pub generation: i64,
}

/// Executions that were started past Windlass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StartedElsewhere {
    /// How many there were.
    pub count: i64,
    /// The last ones, by their start; 10 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last: Vec<ElsewhereExecution>,
}

/// An execution that was started past Windlass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ElsewhereExecution {
    /// Its name in Step Functions.
    pub name: String,
    /// Its status there: `RUNNING`, `SUCCEEDED`, `FAILED`, `TIMED_OUT`, `ABORTED`.
    pub status: String,
    /// When it started.
    pub started_at: Time,
    /// When it came to this status.
    pub changed_at: Time,
}
