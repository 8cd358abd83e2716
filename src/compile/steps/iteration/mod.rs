//! `forEachNode` and `forEach`: a Distributed Map, whose children are executions of their own.
//!
//! A child sees nothing of its parent's variables. What its expressions use of them, and who the run is, is its input, which it keeps in one variable, `given_<path>`.
//! It ends as failed when one of its steps did: so Step Functions counts it, lists it and shows it. What it puts out otherwise is small, since all children's
//! outputs together are one state's result: `{"id", "status"}`, status one of `Succeeded`, `Skipped` and `NotStarted`.
//!
//! Step Functions stops the children that run when more have failed than are tolerated. Nodes must not be left half done, so it is told to tolerate all failures, and each child
//! looks at the count of failures before it begins. Where one node follows the other there is nothing to stop, and Step Functions' own count is exact: there it is told the number.
//!
//! While the step runs, `$work` holds: `total`; `ends`, the numbers of nodes with which each wave ends; `wave`, from 0; `allowed`, the number of failures; `width`, how
//! many run at the same time; `succeeded`, `failed`, `skipped`, `held` (not started); `failing`, ten nodes that failed; `results` of the wave.

mod child;
mod parent;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::duration::Span;
use crate::api::iteration::{CONCURRENCY_LIMIT, Count, IterationView, Offline, Over, Share};

use super::super::asl::{Assign, expression};
use super::super::expressions::{self, Entry, export, key};
use super::super::flow::{Exits, Flow};
use super::super::grants::Nodes;
use super::super::iam::Statement;
use super::super::names;
use super::super::place::Place;
use super::super::rights::allow;
use super::super::targets::listed_for;
use super::super::tree::{Action, Context, Limit, Program, Reach, Reader, Step};
use super::super::{bounds, finish};

/// A `forEachNode` or `forEach` step, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan<'a> {
    over: Items,
    /// What runs for each, and at its end.
    pub(in super::super) program: Program<'a>,
    /// What a child is given beside what all are: JSONata by key.
    handed: BTreeMap<String, String>,
    /// How many at the same time, in JSONata.
    width: String,
    /// How many may fail, in JSONata over `$total`.
    allowed: String,
    limit: Limit,
}

#[derive(Clone, Debug, PartialEq)]
enum Items {
    Nodes {
        nodes: Nodes,
        /// Key of their set in the run's input.
        key: String,
        offline: Offline,
        /// Sizes of waves, in JSONata over `$total`.
        waves: Vec<String>,
        pause: Option<u64>,
    },
    /// JSONata that gives an array.
    List(String),
}

pub(in super::super) fn read<'a>(
    reader: &mut Reader<'a>,
    context: &Context<'_, 'a>,
    step: &IterationView<'a>,
) -> (Option<Action<'a>>, Entry) {
    let field = if matches!(step.over, Over::Nodes { .. }) { "forEachNode" } else { "forEach" };
    let at = format!("{}.{field}", context.at);
    if context.in_a_child() {
        // How the ARNs of map runs of child executions are made is not published: a role could name them by a wildcard alone.
        let message = format!(
            "step {} is inside of a forEachNode or forEach, and neither goes into another: run it before or after that, or in a workflow of its own",
            context.view.name
        );
        reader.problem(context.at, message);
    }
    let over = match &step.over {
        Over::Nodes { offline, waves, pause_between } => nodes(reader, context).map(|(nodes, key)| Items::Nodes {
            nodes,
            key,
            offline: *offline,
            waves: waves.iter().map(share).collect(),
            pause: pause_between.map(Span::as_secs),
        }),
        Over::Items(items) => {
            let code = expressions::argument(items, context.scope, "items");
            reader.sound(&format!("{at}.items"), code).map(Items::List)
        }
    };
    let width = match step.max_concurrency {
        None => Some("1".to_owned()),
        Some(Count::Number(number)) => Some(number.to_string()),
        Some(Count::Expression(text)) => {
            let compiled = match expressions::code(text) {
                Some(code) => expressions::compile(code, context.scope),
                None => Err(vec!["this is a number or an expression: write 2 or {% … %}".to_owned()]),
            };
            let code = reader.sound(&format!("{at}.maxConcurrency"), compiled);
            code.map(|code| format!("$max([1, $min([{CONCURRENCY_LIMIT}, {code}])])"))
        }
    };
    let (program, handed) = reader.child(context, step, &at, matches!(step.over, Over::Nodes { .. }));
    let allowed = step.max_errors.map_or_else(|| "0".to_owned(), share);
    let plan = over.zip(width).map(|(over, width)| {
        Action::Iteration(Box::new(Plan { over, program, handed, width, allowed, limit: context.limit() }))
    });
    let fields = vec!["succeeded", "failed", "left", "nodes", "error", "cause", "skipped"];
    (plan, Entry { fields, ..Entry::default() })
}

/// The set of nodes that the step goes over; they are listed when a run starts.
fn nodes<'a>(reader: &mut Reader<'a>, context: &Context<'_, 'a>) -> Option<(Nodes, String)> {
    let Reach { nodes, key, .. } = reader.reach(context)?;
    if let Some(set) = reader.listed.get_mut(&key) {
        set.frozen = true;
    }
    Some((nodes, key))
}

fn share(share: &Share) -> String {
    match share {
        Share::Number(number) => number.to_string(),
        Share::Percent(text) => format!("$ceil($total * {} / 100)", text.trim_end_matches('%')),
    }
}

impl Plan<'_> {
    /// The word for what it goes over.
    fn word(&self) -> &'static str {
        if matches!(self.over, Items::Nodes { .. }) { "node" } else { "item" }
    }

    /// The items, in JSONata. Those of a list come with their numbers.
    fn items(&self, path: &str) -> String {
        match &self.over {
            Items::Nodes { key, .. } => format!("[{}]", listed_for(path, key)),
            Items::List(code) => {
                format!("[$map([{code}], function($v, $i) {{ {{\"id\": $string($i), \"item\": $v}} }})]")
            }
        }
    }

    /// Whether no two ever run at the same time, whatever the parameters.
    fn one_by_one(&self) -> bool {
        self.width == "1"
    }
}

/// Lays out the states.
pub(in super::super) fn lay_out(flow: &mut Flow, step: &Step<'_>, plan: &Plan<'_>, exits: &Exits<'_>) {
    parent::States { step, plan }.lay_out(flow, exits);
}

/// Most events of history of one try, in the execution that the step is in: for each wave the Map, `tally`, `check` and a pause, and once what is asked about a failure.
pub(in super::super) fn events(plan: &Plan<'_>) -> u64 {
    let waves = match &plan.over {
        Items::Nodes { waves, .. } => waves.len() + 1,
        Items::List(_) => 1,
    };
    4 + 14 * u64::try_from(waves).unwrap_or(1) + 4 * 10 + 8
}

/// Most events of a child beside its steps.
pub(in super::super) fn child_events(plan: &Plan<'_>) -> u64 {
    let waits = match &plan.over {
        Items::Nodes { offline: Offline::Wait, .. } => child::LOOKS * 9,
        Items::Nodes { offline: Offline::Skip, .. } => 20,
        _ => 0,
    };
    let gate = if plan.one_by_one() { 0 } else { 30 };
    6 + 20 + waits + gate
}

/// What the execution role must be allowed: starting children of its own state machine, and looking at them.
pub(in super::super) fn needs(paths: &[&str], waits: bool, place: &Place<'_>, machine: &str) -> Vec<Statement> {
    if paths.is_empty() {
        return Vec::new();
    }
    let labels: Vec<String> = paths.iter().map(|path| names::label(path)).collect();
    let children = labels.iter().map(|label| place.execution_arn(&format!("{machine}/{label}")));
    let executions: Vec<String> = std::iter::once(place.execution_arn(machine)).chain(children).collect();
    let runs: Vec<String> = labels.iter().map(|label| place.map_run_arn(&format!("{machine}/{label}"))).collect();
    // The first two are what a Distributed Map needs (Step Functions developer guide, "IAM policies for using Distributed Map states").
    let mut all = vec![
        allow("StartChildren", &["states:StartExecution"], vec![place.state_machine_arn(machine)]),
        allow("WatchChildren", &["states:DescribeExecution", "states:StopExecution", "states:ListMapRuns"], executions),
        allow("WatchMapRuns", &["states:DescribeMapRun", "states:ListExecutions"], runs),
    ];
    if waits {
        // Supports no resource.
        all.push(allow("WatchNodes", &["ssm:DescribeInstanceInformation"], vec!["*".to_owned()]));
    }
    all
}

impl Plan<'_> {
    /// Whether it goes over nodes.
    pub(in super::super) fn goes_over_nodes(&self) -> bool {
        matches!(self.over, Items::Nodes { .. })
    }

    /// Whether it asks Systems Manager for the state of nodes.
    pub(in super::super) fn asks_for_nodes(&self) -> bool {
        matches!(self.over, Items::Nodes { offline: Offline::Skip | Offline::Wait, .. })
    }
}

/// What a child gets of its parent's results: the fields that its expressions use, with the most bytes that they can have. Tells the parent's own expressions that they are used.
pub(in super::super) fn handed(
    entries: &[(Entry, String)],
    uses: &expressions::Uses,
    given: &str,
) -> (BTreeMap<String, String>, u64) {
    let mut all = BTreeMap::new();
    let mut size = 0;
    for (entry, variable) in entries {
        let used = uses.of(&format!("{given}.{}", key(variable)));
        if used.is_empty() {
            continue;
        }
        for fields in &used {
            uses.note(variable, fields);
        }
        // The steps inside of it have variables of their own, unless they are in its own.
        let own = if entry.embedded { entry.clone() } else { Entry { inner: BTreeMap::new(), ..entry.clone() } };
        size += bounds::bytes(&own, &used);
        all.insert(key(variable), export(&format!("${variable}"), &own, &used));
    }
    (all, size)
}

fn merged(fields: &str) -> Value {
    json!(expression(&format!("$merge([$work, {fields}])")))
}

fn nothing() -> Assign {
    Assign::new()
}

/// Names that the ends of a child use.
pub(in super::super) fn ends<'e, 'a>(step: &'e Step<'a>, plan: &'e Plan<'a>) -> finish::Ends<'e, 'a> {
    finish::of_child(&plan.program, &step.path, plan.word())
}
