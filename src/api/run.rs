//! WorkflowRun: one execution of a workflow.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::duration::Span;
use super::refs::{NodeId, WorkflowRef};
use super::schema;

/// One execution of a WindowsWorkflow. It starts once, whatever happens to the controller or the cluster.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "windlass.dev",
    version = "v1alpha1",
    kind = "WorkflowRun",
    plural = "workflowruns",
    shortname = "wrun",
    category = "windlass",
    namespaced,
    status = "WorkflowRunStatus",
    derive = "PartialEq",
    doc = "One execution of a WindowsWorkflow. It starts once, whatever happens to the controller or the cluster.",
    selectable = ".spec.workflowRef.name",
    printcolumn(json_path = ".spec.workflowRef.name", name = "Workflow", type_ = "string"),
    printcolumn(json_path = ".status.phase", name = "Phase", type_ = "string"),
    printcolumn(json_path = ".status.progress.steps", name = "Steps", type_ = "string"),
    printcolumn(json_path = ".status.progress.nodes", name = "Nodes", type_ = "string"),
    printcolumn(json_path = ".status.failure.step", name = "Failed-At", type_ = "string"),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date"),
    printcolumn(json_path = ".status.message", name = "Message", type_ = "string")
)]
#[kube(cel)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.workflowRef == oldSelf.workflowRef").message("a run's workflowRef cannot change: make a new run"),
    validation = Rule::new("has(self.targets) == has(oldSelf.targets) && (!has(self.targets) || self.targets == oldSelf.targets)").message("a run's targets cannot change: make a new run"),
    validation = Rule::new("self.mode == oldSelf.mode").message("a run's mode cannot change: make a new run"),
    validation = Rule::new("has(self.notAfter) == has(oldSelf.notAfter) && (!has(self.notAfter) || self.notAfter == oldSelf.notAfter)").message("a run's notAfter cannot change: make a new run"),
    validation = Rule::new("has(self.reason) == has(oldSelf.reason) && (!has(self.reason) || self.reason == oldSelf.reason)").message("a run's reason cannot change: make a new run"),
    validation = Rule::new("has(self.ttlAfterFinished) == has(oldSelf.ttlAfterFinished) && (!has(self.ttlAfterFinished) || self.ttlAfterFinished == oldSelf.ttlAfterFinished)").message("a run's ttlAfterFinished cannot change: make a new run"),
    validation = Rule::new("self.onDelete == oldSelf.onDelete").message("a run's onDelete cannot change: make a new run"),
    validation = Rule::new("oldSelf.desiredState != 'Cancelled' || self.desiredState == 'Cancelled'").message("a cancelled run stays cancelled: make a new run"),
)]
pub struct WorkflowRunSpec {
    /// The workflow to run. Cannot change.
    pub workflow_ref: WorkflowRef,
    /// Values for the workflow's parameters, by name. Cannot change.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::any_json_map")]
    pub parameters: BTreeMap<String, Value>,
    /// The nodes to run on, of those that the workflow targets. They are listed when the run starts. Left out: all of them. Cannot change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Subset>,
    /// `Run` runs the workflow. `WhatIf` calls its scripts with `-WhatIf`, and is refused where a step would act all the same. `Preview` runs nothing: its status says
    /// which nodes there are and which steps would run on them. Cannot change. Default Run.
    #[serde(default)]
    pub mode: Mode,
    /// The run is not started after this time. Cannot change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
    /// Why it runs, for the record. Cannot change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// `Cancelled` stops the run, and on the nodes the commands that it sent. The one field that may change. Default Running.
    #[serde(default)]
    pub desired_state: DesiredState,
    /// What deleting the object does to an execution that still runs. Default Cancel.
    #[serde(default)]
    pub on_delete: OnDelete,
    /// The object is deleted this long after the run has ended. Left out: it stays. Cannot change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_after_finished: Option<Span>,
}

/// A part of the nodes that a workflow targets: by tags or by id. It holds for every step; one that would be left without any node refuses the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = schema::exactly_one("'targets'", &["tags", "nodeIds"]))]
pub struct Subset {
    /// Nodes that also carry every one of these tag keys with one of the values given for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::node_tags")]
    pub tags: Option<BTreeMap<String, Vec<String>>>,
    /// Managed node ids; 100 at most. An id that the workflow does not target refuses the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub node_ids: Option<Vec<NodeId>>,
}

/// What a run does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Runs the workflow.
    #[default]
    Run,
    /// Runs it with `-WhatIf`: scripts say what they would do.
    WhatIf,
    /// Runs nothing.
    Preview,
}

/// What a run should do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DesiredState {
    /// Go on to its end.
    #[default]
    Running,
    /// Stop, for good.
    Cancelled,
}

/// What becomes of a running execution when its object is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnDelete {
    /// It is cancelled, with its commands, before the object goes.
    #[default]
    Cancel,
    /// It goes on unwatched.
    Orphan,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Not started: `status.message` says what it waits for.
    #[default]
    Pending,
    /// Its execution runs.
    Running,
    /// It is being cancelled.
    Cancelling,
    /// Ended well.
    Succeeded,
    /// Ended with a failure, or was never started because it cannot be: `status.failure` says why.
    Failed,
    /// Ended by its own timeout.
    TimedOut,
    /// Ended by a person or by deletion.
    Cancelled,
    /// Ended without having run anything, as `mode: Preview` asks: `status.targets` and `status.preview` say what would run.
    Previewed,
    /// An earlier object of this name ran already; nothing was started, the result shown is that run's.
    AlreadyRan,
}

impl Phase {
    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Running | Self::Cancelling)
    }
}

/// What became of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowRunStatus {
    /// The generation that the rest of this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Started and Succeeded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Where the run stands.
    #[serde(default)]
    pub phase: Phase,
    /// One line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Generation of the workflow that this run is pinned to: the one first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_generation: Option<i64>,
    /// UID of that workflow: one that is deleted and made again begins at generation 1 once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_uid: Option<String>,
    /// The account that it runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The state machine version that was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_machine_version_arn: Option<String>,
    /// Name of the document that carries the run's scripts: what a sweep looks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_name: Option<String>,
    /// The nodes that were listed when it started, and that it keeps to: by set. Left out where Systems Manager finds the nodes of each command by their tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["set".into()]))]
    pub targets: Vec<ListedTargets>,
    /// What would run, of a run with `mode: Preview`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
    /// The execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_arn: Option<String>,
    /// When the execution started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// How far it is, for the printer columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// The steps that have begun, keyed by path. Failed ones first where not all fit; 200 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["path".into()]))]
    pub steps: Vec<StepStatus>,
    /// How many steps and nodes were left out of this status to keep it small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<i32>,
    /// What failed, where, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// A set of nodes as it was when the run started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListedTargets {
    /// `workflow` for the targets of the workflow, else the path of the step that names its own.
    pub set: String,
    /// The WindowsFleet that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<String>,
    /// How many Windows nodes it has.
    pub count: i32,
    /// How many of them were offline then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offline: Option<i32>,
    /// Digest over the ids: the same nodes give the same.
    pub digest: String,
    /// The nodes, as computer name and id; 100 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub nodes: Vec<String>,
}

/// What would run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// The parameters, with the defaults of those that were left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::any_json_map")]
    pub parameters: BTreeMap<String, Value>,
    /// The steps, in order, with the ones inside of them; 200 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub steps: Vec<PreviewStep>,
    /// How many steps were left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<i32>,
}

/// A step that would run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreviewStep {
    /// Its name, behind the names of the steps that it is inside of.
    pub path: String,
    /// Its type, as in `powershell`.
    #[serde(rename = "type")]
    pub type_: String,
    /// The condition that it stands under. It is not evaluated: that needs what earlier steps give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// How many Windows nodes it would go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<i32>,
    /// It would run only after something had failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub after_failure: bool,
}

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Steps done of steps known, as in `2/3`.
    pub steps: String,
    /// Nodes that succeeded of nodes reached, over the steps with nodes, as in `5/5`. Left out while no node was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<String>,
}

/// Where a step of a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StepPhase {
    /// It runs.
    #[default]
    Running,
    /// It ended well.
    Succeeded,
    /// It failed, and that ended the run.
    Failed,
    /// It failed, and its `onError` dealt with that.
    Handled,
    /// Its `when` was not true.
    Skipped,
    /// The run was cancelled or timed out while it ran.
    Cancelled,
}

/// A step of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// Its name, behind the names of the steps that it is inside of: `undo/restore`.
    pub path: String,
    /// Where it stands.
    pub phase: StepPhase,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// How many times it was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i32>,
    /// The Systems Manager command of its last try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<String>,
    /// Counts over its nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_counts: Option<NodeCounts>,
    /// Its nodes: failed ones first, 50 at most a step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub nodes: Vec<NodeStatus>,
    /// What it waits for, where it can say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Its result where it has no nodes, as JSON, cut at 1,024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Name of the error that it failed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Counts over the nodes of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeCounts {
    /// Nodes that the command was sent to.
    pub total: i32,
    /// Nodes that ended well.
    pub succeeded: i32,
    /// Nodes that did not.
    pub failed: i32,
}

/// What a step did on one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Managed node id.
    pub id: String,
    /// Computer name, where Systems Manager knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computer_name: Option<String>,
    /// Systems Manager's own word for how the invocation stands: `Success`, `Failed`, `Undeliverable`, `AccessDenied`, …
    pub status: String,
    /// The script's exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// What the script printed, cut at 512 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// What it wrote to its error stream, cut at 1,024 characters. Failed nodes only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_output: Option<String>,
}

/// The layer that a failure arose in, which is to say: whose it is to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[allow(clippy::upper_case_acronyms)]
pub enum Layer {
    /// The manifest: parameters, expressions, targets.
    Manifest,
    /// Permissions in AWS.
    IAM,
    /// Systems Manager itself: throttling, its own faults.
    SSM,
    /// The node: offline, unmanaged, denied.
    Node,
    /// The script.
    Script,
    /// Step Functions: timeouts, limits.
    StepFunctions,
    /// Another AWS service that a step called: throttling, its own faults.
    AWS,
}

/// What failed, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Path of the step, where it was a step's failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The first node that failed: computer name and id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Whose failure it is.
    pub layer: Layer,
    /// Name of the error.
    pub error: String,
    /// What happened.
    pub cause: String,
    /// What to do.
    pub hint: String,
}
