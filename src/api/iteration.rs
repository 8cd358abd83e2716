//! Steps that run the same steps many times: for each node, for each item of a list.

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::containers::{BlockOnly, StepsOrBlock};
use super::duration::Span;
use super::schema;
use super::steps::{Body, EXPRESSION_PATTERN, LeafStep, StepName};

/// Most nodes or items at the same time.
pub const CONCURRENCY_LIMIT: i64 = 1000;

/// A whole number, or an expression that gives one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Count {
    /// A number.
    Number(i64),
    /// An expression.
    Expression(String),
}

impl JsonSchema for Count {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Count".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "minimum": 1, "maximum": CONCURRENCY_LIMIT, "pattern": EXPRESSION_PATTERN, "maxLength": 1024
        })
    }
}

/// A whole number, or a percentage: `2`, `10%`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Share {
    /// A number.
    Number(i64),
    /// `0%` to `100%`.
    Percent(String),
}

impl JsonSchema for Share {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "minimum": 0, "maximum": 100_000, "pattern": "^(100|[1-9]?[0-9])%$", "maxLength": 4
        })
    }
}

/// What becomes of a node that Systems Manager does not reach when its turn comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Offline {
    /// Its first script fails with `Windlass.NodeUnreachable`.
    #[default]
    Fail,
    /// It is left out, and counts neither as succeeded nor as failed.
    Skip,
    /// It is waited for, as long as the step's timeout allows, a day at most.
    Wait,
}

/// Runs steps on each node by itself. The nodes are those that were there when the run started. In the steps `$node` is the node (`id`, `name`, `tags`), and
/// scripts run on that node alone.
///
/// Each node has a child execution of its own. A node fails when one of its steps does, and no further node begins once more nodes than `maxErrors` have failed; those under way
/// go on to their end. Then the step fails with the error of one of the nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = schema::exactly_one("'forEachNode'", &["block", "steps"]),
    validation = ("!has(self.pauseBetween) || has(self.waves)", "pauseBetween is the pause between waves: give waves, too")
)]
pub struct ForEachNode {
    /// How many nodes at the same time, 1 to 1000, or an expression. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<Count>,
    /// How many nodes may fail, a number or a percentage of all of them. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_errors: Option<Share>,
    /// What becomes of nodes that are not reached. Default Fail.
    #[serde(default)]
    pub offline: Offline,
    /// Sizes of waves, numbers or percentages of all nodes, as in `[1, 10%, 50%]`; what is left is the last wave. A wave begins when the one before has ended. 16 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub waves: Option<Vec<Share>>,
    /// How long to wait between two waves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_between: Option<Span>,
    /// Name of the block to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<StepName>,
    /// Steps to run, 16 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub steps: Option<Vec<LeafStep>>,
    /// What runs at the end on each node, whether its steps failed or not; `$failure` is there where they did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finally: Option<StepsOrBlock>,
}

/// `forEachNode` in a block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!has(self.pauseBetween) || has(self.waves)", "pauseBetween is the pause between waves: give waves, too"))]
pub struct BlockForEachNode {
    /// How many nodes at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<Count>,
    /// How many nodes may fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_errors: Option<Share>,
    /// What becomes of nodes that are not reached.
    #[serde(default)]
    pub offline: Offline,
    /// Sizes of waves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub waves: Option<Vec<Share>>,
    /// How long to wait between two waves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_between: Option<Span>,
    /// Name of the block to run.
    pub block: StepName,
    /// What runs at the end on each node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finally: Option<BlockOnly>,
}

/// Runs steps for each item of a list. In the steps `$item` is the item.
///
/// Each item has a child execution of its own. An item fails when one of its steps does, and no further item begins once more items than `maxErrors` have failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = schema::exactly_one("'forEach'", &["block", "steps"]))]
pub struct ForEach {
    /// The items: a list with expressions in it, or an expression that gives a list.
    #[schemars(schema_with = "schema::any_json")]
    pub items: Value,
    /// How many items at the same time, 1 to 1000, or an expression. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<Count>,
    /// How many items may fail, a number or a percentage of all of them. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_errors: Option<Share>,
    /// Name of the block to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<StepName>,
    /// Steps to run, 16 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub steps: Option<Vec<LeafStep>>,
    /// What runs at the end for each item, whether its steps failed or not; `$failure` is there where they did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finally: Option<StepsOrBlock>,
}

/// `forEach` in a block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlockForEach {
    /// The items: a list with expressions in it, or an expression that gives a list.
    #[schemars(schema_with = "schema::any_json")]
    pub items: Value,
    /// How many items at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<Count>,
    /// How many items may fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_errors: Option<Share>,
    /// Name of the block to run.
    pub block: StepName,
    /// What runs at the end for each item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finally: Option<BlockOnly>,
}

/// `forEachNode` and `forEach`, in either shape.
#[derive(Clone, Debug, PartialEq)]
pub struct IterationView<'a> {
    /// What it goes over.
    pub over: Over<'a>,
    /// How many at the same time.
    pub max_concurrency: Option<&'a Count>,
    /// How many may fail.
    pub max_errors: Option<&'a Share>,
    /// What runs for each.
    pub body: Body<'a>,
    /// What runs at the end of each.
    pub finally: Option<Body<'a>>,
}

/// What an iteration goes over.
#[derive(Clone, Debug, PartialEq)]
pub enum Over<'a> {
    /// Nodes.
    Nodes {
        /// What becomes of those that are not reached.
        offline: Offline,
        /// Sizes of waves.
        waves: &'a [Share],
        /// Pause between waves.
        pause_between: Option<Span>,
    },
    /// Items.
    Items(&'a Value),
}

impl<'a> From<&'a ForEachNode> for IterationView<'a> {
    fn from(step: &'a ForEachNode) -> Self {
        Self {
            over: Over::Nodes {
                offline: step.offline,
                waves: step.waves.as_deref().unwrap_or_default(),
                pause_between: step.pause_between,
            },
            max_concurrency: step.max_concurrency.as_ref(),
            max_errors: step.max_errors.as_ref(),
            body: Body::of(step.block.as_ref(), step.steps.as_deref()),
            finally: step.finally.as_ref().map(StepsOrBlock::body),
        }
    }
}

impl<'a> From<&'a BlockForEachNode> for IterationView<'a> {
    fn from(step: &'a BlockForEachNode) -> Self {
        Self {
            over: Over::Nodes {
                offline: step.offline,
                waves: step.waves.as_deref().unwrap_or_default(),
                pause_between: step.pause_between,
            },
            max_concurrency: step.max_concurrency.as_ref(),
            max_errors: step.max_errors.as_ref(),
            body: Body::Block(&step.block),
            finally: step.finally.as_ref().map(|finally| Body::Block(&finally.block)),
        }
    }
}

impl<'a> From<&'a ForEach> for IterationView<'a> {
    fn from(step: &'a ForEach) -> Self {
        Self {
            over: Over::Items(&step.items),
            max_concurrency: step.max_concurrency.as_ref(),
            max_errors: step.max_errors.as_ref(),
            body: Body::of(step.block.as_ref(), step.steps.as_deref()),
            finally: step.finally.as_ref().map(StepsOrBlock::body),
        }
    }
}

impl<'a> From<&'a BlockForEach> for IterationView<'a> {
    fn from(step: &'a BlockForEach) -> Self {
        Self {
            over: Over::Items(&step.items),
            max_concurrency: step.max_concurrency.as_ref(),
            max_errors: step.max_errors.as_ref(),
            body: Body::Block(&step.block),
            finally: step.finally.as_ref().map(|finally| Body::Block(&finally.block)),
        }
    }
}
