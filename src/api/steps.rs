//! The steps of a workflow.
//!
//! A CRD schema cannot recurse, so there are three structs that share one list of step types: [`Step`] stands directly in
//! `spec.steps`, [`LeafStep`] inline inside a top-level step's handler, [`BlockStep`] in a named block. Which types each may
//! hold is written down once, in the `steps!` call below; a new type is a field there and a struct beside it.
//!
//! Exactly one type per step is a CEL rule of the schema. [`Step::kind`] and its siblings are the same rule for code that
//! did not go through an API server.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::containers::{BlockParallel, BlockSwitch, Parallel, ParallelView, Switch, SwitchView};
use super::duration::Span;
use super::iteration::{BlockForEach, BlockForEachNode, ForEach, ForEachNode, IterationView};
pub use super::leaves::{Notify, Wait};
use super::refs::Targets;
use super::schema;

/// Name of a step or block: lower-case letters, digits and dashes, 40 characters at most. It becomes part of state names, which Step
/// Functions limits to 80 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct StepName(#[schemars(regex(pattern = "^[a-z]([a-z0-9-]*[a-z0-9])?$"), length(max = 40))] pub String);

impl std::fmt::Display for StepName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the API server asks of an expression.
pub const EXPRESSION_PATTERN: &str = r"^\{%[\s\S]*%\}$";

/// An expression: `{% … %}`, with JSONata between.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Expression(#[schemars(regex(pattern = EXPRESSION_PATTERN), length(max = 8192))] pub String);

/// Name of an error: `Windlass.ExitCode`, `Windlass.NoTargets`, `Windlass.NodeUnreachable`, `Windlass.TimedOut`,
/// `Windlass.Cancelled`, `Windlass.AccessDenied`, `Windlass.InvalidOutput`, one that a `fail` step raises, one of AWS's own
/// (`Ssm.ThrottlingException`), or `States.ALL` for any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ErrorName(#[schemars(regex(pattern = r"^[A-Za-z][A-Za-z0-9_.-]*$"), length(max = 256))] pub String);

/// When and how often a failed step is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// The errors that this entry is for. The first entry that names the error is used.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub errors: Vec<ErrorName>,
    /// How many more times to try, 1 to 20.
    #[schemars(range(min = 1, max = 20))]
    pub attempts: i32,
    /// How long to wait before each further try. Default 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Span>,
}

/// What to do when a step fails with one of some errors: run a block, or steps written here. Afterwards the workflow goes on
/// with the next step; end the handler with a `fail` step to stop it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = schema::exactly_one("'an onError entry'", &["block", "steps"]))]
pub struct OnError {
    /// The errors that this entry is for. The first entry that names the error is used.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub errors: Vec<ErrorName>,
    /// Name of the block to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<StepName>,
    /// Steps to run, 16 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub steps: Option<Vec<LeafStep>>,
}

/// What to do when a step inside a handler or a block fails with one of some errors: run a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OnErrorBlock {
    /// The errors that this entry is for. The first entry that names the error is used.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub errors: Vec<ErrorName>,
    /// Name of the block to run.
    pub block: StepName,
}

/// Runs a PowerShell script on the targets, as SYSTEM, through the workflow's own Systems Manager document.
///
/// The script runs in Windows PowerShell 5.1 under `$ErrorActionPreference = 'Stop'`. A thrown or uncaught error, `exit N` with N
/// other than 0, or a failing native command as the last one makes the node fail; 3010 and 1641 count as success that asks for a reboot. The step
/// succeeds when every node does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Powershell {
    /// The script. Parsed before anything is deployed. Text of the form `{{ name }}` is refused, since the agent on the node would replace it.
    #[schemars(length(min = 1, max = 60_000))]
    pub script: String,
    /// Arguments for the script's `param()` block, by name. Values are JSON or `{% … %}` expressions; they reach the script as data, never as
    /// text pasted into it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::any_json_map")]
    pub parameters: BTreeMap<String, Value>,
    /// What later steps and the run's status get of what the script prints: nothing, its text, or the value of the JSON that it prints. Default Text.
    #[serde(default)]
    pub output: Output,
    /// `$ErrorActionPreference` of the script. Default Stop.
    #[serde(default)]
    pub error_action: ErrorAction,
}

/// What is taken of a script's output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Output {
    /// Nothing.
    None,
    /// The text.
    #[default]
    Text,
    /// The JSON that the text is; anything else fails the step with `Windlass.InvalidOutput`.
    Json,
}

/// A script's `$ErrorActionPreference`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ErrorAction {
    /// The first error ends the script with exit code 1.
    #[default]
    Stop,
    /// Errors are written and the script goes on.
    Continue,
}

/// Does nothing but give a result that later steps can read as `$steps.<name>.output`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pass {
    /// Any JSON; strings of the form `{% … %}` in it are expressions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any_json")]
    pub result: Option<Value>,
}

/// Ends the workflow, or the try of the step that handles it, as failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fail {
    /// Name of the error, for `onError`, `retry` and the run's status.
    pub error: ErrorName,
    /// Why, for people. Text or a `{% … %}` expression that gives text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub cause: Option<String>,
}

/// Runs a block. Its steps' results are `$steps.<this step>.steps.<inner step>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// Name of the block.
    pub block: StepName,
}

/// The one type that a step has.
#[derive(Clone, Debug, PartialEq)]
pub enum StepKind<'a> {
    /// Runs a script on nodes.
    Powershell(&'a Powershell),
    /// Publishes a message.
    Notify(&'a Notify),
    /// Waits.
    Wait(&'a Wait),
    /// Gives a result.
    Pass(&'a Pass),
    /// Fails.
    Fail(&'a Fail),
    /// Runs a block.
    Call(&'a Call),
    /// Runs branches.
    Parallel(ParallelView<'a>),
    /// Runs one of several cases.
    Switch(SwitchView<'a>),
    /// Runs steps for each node or item.
    Iteration(IterationView<'a>),
}

/// A step with no type, or with several.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("step {step} needs exactly one type, found: {}", if found.is_empty() { "none".to_owned() } else { found.join(" ") })]
pub struct NotOneStepType {
    /// Name of the step.
    pub step: String,
    /// The types that are set.
    pub found: Vec<&'static str>,
}

/// A handler of a step's errors, whichever of the three structs it stands on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Handler<'a> {
    /// The errors that it is for.
    pub errors: &'a [ErrorName],
    /// What runs.
    pub body: Body<'a>,
}

/// What a handler, a branch or a case runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Body<'a> {
    /// A named block.
    Block(&'a StepName),
    /// Steps written in place.
    Steps(&'a [LeafStep]),
}

/// A step of any of the three structs, seen alike.
#[derive(Clone, Debug, PartialEq)]
pub struct StepView<'a> {
    /// Name.
    pub name: &'a StepName,
    /// Condition.
    pub when: Option<&'a Expression>,
    /// Longest time that it may take.
    pub timeout: Option<Span>,
    /// Further tries.
    pub retry: &'a [Retry],
    /// Handlers, in order.
    pub handlers: Vec<Handler<'a>>,
    /// Nodes other than the workflow's.
    pub targets: Option<&'a Targets>,
    /// What it does.
    pub kind: StepKind<'a>,
}

impl OnError {
    fn handler(&self) -> Handler<'_> {
        let body = Body::of(self.block.as_ref(), self.steps.as_deref());
        Handler { errors: &self.errors, body }
    }
}

impl OnErrorBlock {
    fn handler(&self) -> Handler<'_> {
        Handler { errors: &self.errors, body: Body::Block(&self.block) }
    }
}

/// Emits the three step structs: `field "manifest name" Type => Variant`. First the types that all of them have, then, by struct, the ones that only it
/// has: containers, which hold steps in place at the top level and blocks alone in a block. Of a `Type`, the variant holds `&Type`, or what is
/// `From<&Type>`: that is how the two shapes of a container are seen alike.
macro_rules! steps {
    (types $types:tt structs { $( $(#[$struct_doc:meta])* $struct:ident, $handler:ident $own:tt )+ }) => {
        $( steps!(@one [$(#[$struct_doc])*] $struct $handler $types $own); )+
    };
    (
        @one [$(#[$struct_doc:meta])*] $struct:ident $handler:ident
        { $( $(#[$doc:meta])* $field:ident $key:literal $type:ty => $variant:ident, )+ }
        { $( $(#[$own_doc:meta])* $own_field:ident $own_key:literal $own_type:ty => $own_variant:ident, )* }
    ) => {
        $(#[$struct_doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
        #[serde(rename_all = "camelCase")]
        #[x_kube(validation = schema::exactly_one("'step ' + self.name", &[$($key,)+ $($own_key,)*]))]
        pub struct $struct {
            /// Name, unique in its list; in expressions `$steps.<name>`.
            pub name: StepName,
            /// The step is skipped unless this expression gives true.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub when: Option<Expression>,
            /// The longest time that one try of the step may take; a command that still runs then is cancelled. Default 1h and at most 2d for `powershell`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub timeout: Option<Span>,
            /// When and how often to try again after a failure. 8 entries at most.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            #[schemars(length(max = 8))]
            pub retry: Vec<Retry>,
            /// What to do after a failure that no retry mended. 8 entries at most.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            #[schemars(length(max = 8))]
            pub on_error: Vec<$handler>,
            /// Nodes for this step, in place of the workflow's.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub targets: Option<Targets>,
            $(
                $(#[$doc])*
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $field: Option<$type>,
            )+
            $(
                $(#[$own_doc])*
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $own_field: Option<$own_type>,
            )*
        }

        impl $struct {
            /// The one type of this step.
            ///
            /// # Errors
            /// [`NotOneStepType`] when none or several are set.
            pub fn kind(&self) -> Result<StepKind<'_>, NotOneStepType> {
                let mut kind = None;
                let mut found = Vec::new();
                $(
                    if let Some(value) = &self.$field {
                        kind = Some(StepKind::$variant(value));
                        found.push($key);
                    }
                )+
                $(
                    if let Some(value) = &self.$own_field {
                        kind = Some(StepKind::$own_variant(value.into()));
                        found.push($own_key);
                    }
                )*
                match kind {
                    Some(kind) if found.len() == 1 => Ok(kind),
                    _ => Err(NotOneStepType { step: self.name.0.clone(), found }),
                }
            }

            /// The step, seen alike whichever struct it is.
            ///
            /// # Errors
            /// [`NotOneStepType`] when none or several types are set.
            pub fn view(&self) -> Result<StepView<'_>, NotOneStepType> {
                Ok(StepView {
                    name: &self.name,
                    when: self.when.as_ref(),
                    timeout: self.timeout,
                    retry: &self.retry,
                    handlers: self.on_error.iter().map($handler::handler).collect(),
                    targets: self.targets.as_ref(),
                    kind: self.kind()?,
                })
            }
        }
    };
}

steps! {
    types {
        /// Runs a PowerShell script on the targets, as SYSTEM, through the workflow's own Systems Manager document.
        ///
        /// The script runs in Windows PowerShell 5.1 under `$ErrorActionPreference = 'Stop'`. A thrown or uncaught error, `exit N` with N other than 0, or
        /// a failing native command as the last one makes the node fail; 3010 and 1641 count as success that asks for a reboot. The step succeeds when every node does.
        powershell "powershell" Powershell => Powershell,
        /// Publishes a message to an SNS topic.
        notify "notify" Notify => Notify,
        /// Waits, for a time or until a moment.
        wait "wait" Wait => Wait,
        /// Gives a result that later steps can read.
        pass "pass" Pass => Pass,
        /// Ends the workflow as failed.
        fail "fail" Fail => Fail,
        /// Runs a block.
        call "call" Call => Call,
    }
    structs {
        /// A step of the workflow. It has exactly one type.
        Step, OnError {
            /// Runs branches at the same time.
            parallel "parallel" Parallel => Parallel,
            /// Runs one of several cases.
            switch "switch" Switch => Switch,
            /// Runs steps on each node by itself.
            for_each_node "forEachNode" ForEachNode => Iteration,
            /// Runs steps for each item of a list.
            for_each "forEach" ForEach => Iteration,
        }
        /// A step inside of a handler or container. It has exactly one type, and is no container.
        LeafStep, OnErrorBlock {}
        /// A step of a block. It has exactly one type; containers in a block name other blocks.
        BlockStep, OnErrorBlock {
            /// Runs branches at the same time.
            parallel "parallel" BlockParallel => Parallel,
            /// Runs one of several cases.
            switch "switch" BlockSwitch => Switch,
            /// Runs steps on each node by itself.
            for_each_node "forEachNode" BlockForEachNode => Iteration,
            /// Runs steps for each item of a list.
            for_each "forEach" BlockForEach => Iteration,
        }
    }
}

/// Steps under a name, to be called from several places or to nest deeper than one level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Block {
    /// Name of the block.
    pub name: StepName,
    /// Its steps, in order; 32 at most.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub steps: Vec<BlockStep>,
}
