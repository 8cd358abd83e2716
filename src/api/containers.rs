//! Steps that hold steps.
//!
//! At the top level a container holds steps in place or names a block; in a block it names blocks alone, since a CRD schema cannot recurse. So each container
//! has two shapes, which code sees alike through its view.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use super::steps::{Body, Expression, LeafStep, StepName};

/// Steps to run: written here, or a block of the workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = schema::exactly_one("'this'", &["block", "steps"]))]
pub struct StepsOrBlock {
    /// Name of the block to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<StepName>,
    /// Steps to run, 16 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub steps: Option<Vec<LeafStep>>,
}

/// A block to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlockOnly {
    /// Name of the block to run.
    pub block: StepName,
}

/// What becomes of a `parallel` step when a branch fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnBranchFailure {
    /// The other branches are stopped, and the step fails at once.
    #[default]
    Stop,
    /// The other branches run to their end, and then the step fails.
    Continue,
}

/// Runs branches at the same time. Their steps' results are `$steps.<this step>.steps.<inner step>`.
///
/// Steps of different branches have different names. A branch sees the results of steps before this one, not those of other branches. The step fails with the
/// failure of the first branch that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Parallel {
    /// The branches; 8 at most.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub branches: Vec<Branch>,
    /// What happens to the other branches when one fails. A command that still runs on nodes when its branch is stopped is cancelled when the run ends.
    /// Default Stop.
    #[serde(default)]
    pub on_branch_failure: OnBranchFailure,
}

/// A branch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = schema::exactly_one("'branch ' + self.name", &["block", "steps"]))]
pub struct Branch {
    /// Name, unique in the step.
    pub name: StepName,
    /// Name of the block to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<StepName>,
    /// Steps to run, 16 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub steps: Option<Vec<LeafStep>>,
}

/// `parallel` in a block: branches name blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlockParallel {
    /// The branches; 8 at most.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub branches: Vec<BlockBranch>,
    /// What happens to the other branches when one fails. Default Stop.
    #[serde(default)]
    pub on_branch_failure: OnBranchFailure,
}

/// A branch that is a block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlockBranch {
    /// Name, unique in the step.
    pub name: StepName,
    /// Name of the block to run.
    pub block: StepName,
}

/// Runs the first case whose condition holds, or `default`; nothing when there is neither. Steps' results are `$steps.<this step>.steps.<inner step>`,
/// and `$steps.<this step>.case` is the name of the case that ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Switch {
    /// The cases, tried in order; 8 at most.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub cases: Vec<Case>,
    /// What runs when no case does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<StepsOrBlock>,
}

/// A case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = schema::exactly_one("'case ' + self.name", &["block", "steps"]))]
pub struct Case {
    /// Name, unique in the step.
    pub name: StepName,
    /// The case runs when this expression gives true.
    pub when: Expression,
    /// Name of the block to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<StepName>,
    /// Steps to run, 16 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub steps: Option<Vec<LeafStep>>,
}

/// `switch` in a block: cases name blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlockSwitch {
    /// The cases, tried in order; 8 at most.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub cases: Vec<BlockCase>,
    /// What runs when no case does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<BlockOnly>,
}

/// A case that is a block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlockCase {
    /// Name, unique in the step.
    pub name: StepName,
    /// The case runs when this expression gives true.
    pub when: Expression,
    /// Name of the block to run.
    pub block: StepName,
}

/// A `parallel` step of either shape.
#[derive(Clone, Debug, PartialEq)]
pub struct ParallelView<'a> {
    /// The branches by name.
    pub branches: Vec<(&'a StepName, Body<'a>)>,
    /// What happens to the others when one fails.
    pub on_branch_failure: OnBranchFailure,
}

/// A `switch` step of either shape.
#[derive(Clone, Debug, PartialEq)]
pub struct SwitchView<'a> {
    /// The cases in order.
    pub cases: Vec<(&'a StepName, &'a Expression, Body<'a>)>,
    /// What runs when no case does.
    pub default: Option<Body<'a>>,
}

impl<'a> Body<'a> {
    pub(super) fn of(block: Option<&'a StepName>, steps: Option<&'a [LeafStep]>) -> Self {
        match block {
            Some(block) => Self::Block(block),
            None => Self::Steps(steps.unwrap_or_default()),
        }
    }
}

impl StepsOrBlock {
    /// What runs.
    #[must_use]
    pub fn body(&self) -> Body<'_> {
        Body::of(self.block.as_ref(), self.steps.as_deref())
    }
}

impl<'a> From<&'a Parallel> for ParallelView<'a> {
    fn from(step: &'a Parallel) -> Self {
        let branches =
            step.branches.iter().map(|one| (&one.name, Body::of(one.block.as_ref(), one.steps.as_deref()))).collect();
        Self { branches, on_branch_failure: step.on_branch_failure }
    }
}

impl<'a> From<&'a BlockParallel> for ParallelView<'a> {
    fn from(step: &'a BlockParallel) -> Self {
        let branches = step.branches.iter().map(|one| (&one.name, Body::Block(&one.block))).collect();
        Self { branches, on_branch_failure: step.on_branch_failure }
    }
}

impl<'a> From<&'a Switch> for SwitchView<'a> {
    fn from(step: &'a Switch) -> Self {
        let cases = step.cases.iter();
        let cases =
            cases.map(|one| (&one.name, &one.when, Body::of(one.block.as_ref(), one.steps.as_deref()))).collect();
        Self { cases, default: step.default.as_ref().map(StepsOrBlock::body) }
    }
}

impl<'a> From<&'a BlockSwitch> for SwitchView<'a> {
    fn from(step: &'a BlockSwitch) -> Self {
        let cases = step.cases.iter().map(|one| (&one.name, &one.when, Body::Block(&one.block))).collect();
        Self { cases, default: step.default.as_ref().map(|default| Body::Block(&default.block)) }
    }
}
