//! `powershell`: send → wait → poll → check → collect → judge.
//!
//! Systems Manager's own counts never prove success: a command that reaches nobody ends as Success, and nodes that are offline or refuse count as
//! nothing. So the invocations are read and judged here. A step that ends early cancels its command, since stopping to look does not stop it.
//!
//! Nodes that were listed when the run started (see `targets`) are sent to by id, 50 a command, one command after the other; after one that failed no further
//! one is sent, as Systems Manager does with nodes by tags. The step's timeout is that of all of them together.
//!
//! While a step runs, `$work` holds: `left`, the listed nodes that were not sent to yet; `past`, what the commands before this one came to; `commandId`; `started` (milliseconds) and `elapsed` (seconds); `status` and `targets` as `ListCommands` gives
//! them; `nodes` (50 at most, failed ones first), `total`, `succeeded`, `failed` as they are added up from the invocations; `next`, the token of the
//! page after; `lags`, how often the invocations were behind; `raw`, whether output is no longer parsed; and, for one node alone, its whole `text`
//! and the `value` that this is as JSON.

mod collect;
mod needs;
mod poll;
mod send;
mod verdict;

use serde_json::{Value, json};

use crate::api::steps::{Output, Powershell};

use super::super::asl::{Assign, Catch, Retry, Rule, State, assign, expression, quoted};
use super::super::expressions::{self, Entry};
use super::super::flow::{Exits, Flow};
use super::super::grants::Nodes;
use super::super::names;
use super::super::powershell as language;
use super::super::ssm::{SCRIPT_TIMEOUT, Script};
use super::super::targets::listed_for;
use super::super::tree::{Action, Context, Reach, Reader, Step};

pub(in super::super) use needs::needs;

/// Seconds that a step may take when it says nothing.
const TIMEOUT: u64 = 3600;
/// Seconds beyond the timeout before the command is cancelled from here: Systems Manager's own verdict tells more, node by node.
const GRACE: u64 = 30;
/// Pages of invocations that the bound on history allows for.
const PAGES: u64 = 45;
/// Events of `begin`, `due`, `send`, `judge`, `blame`, `done` or `failed`, and of cancelling.
const FIXED: u64 = 2 + 2 + 5 + 2 + 2 + 2 + 7;
/// Events that calls which are tried again may add.
const TROUBLE: u64 = 100;
/// Commands that the bound on history allows for where nodes are listed: 4,000 nodes fill the 256 KiB of an execution's input.
const CHUNKS: u64 = 80;
/// Events that each of them adds: a send of 5, a last poll of 9, two pages of 7.
const CHUNK: u64 = 5 + 9 + 2 * 7;
/// Events of one poll: Wait 2, Task 5, Choice 2.
const POLL: u64 = 9;
/// Events of one page: Task 5, Choice 2.
const PAGE: u64 = 7;

/// A `powershell` step, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Its plugin in the document.
    pub(in super::super) plugin: String,
    /// Where it runs.
    pub(in super::super) nodes: Nodes,
    /// Key of their set in the run's input.
    key: String,
    /// Whether every run has them listed there.
    frozen: bool,
    /// The script's arguments as JSONata that gives an object; none when it takes none.
    arguments: Option<String>,
    /// Whether the script takes `-WhatIf`.
    what_if: bool,
    output: Output,
    /// Longest time of one try, in seconds.
    timeout: u64,
}

pub(in super::super) fn read<'a>(
    reader: &mut Reader<'a>,
    context: &Context<'_, 'a>,
    step: &'a Powershell,
) -> (Option<Action<'a>>, Entry) {
    let timeout = context.view.timeout.map_or(TIMEOUT, crate::api::duration::Span::as_secs);
    let (least, most) = SCRIPT_TIMEOUT;
    if !(least..=most).contains(&timeout) {
        reader.problem(
            format!("{}.timeout", context.at),
            format!("a powershell step takes a timeout of {least}s to 2d, the bounds of aws:runPowerShellScript"),
        );
    }
    let (declared, what_if) = script(reader, context, step);
    let arguments = arguments(reader, context, step, declared.as_deref());
    let reach = reader.reach(context);
    let plugin = reader.script(context, |plugin| Script {
        plugin,
        text: step.script.clone(),
        error_action: step.error_action,
        timeout_seconds: timeout,
    });
    let plan = reach.zip(arguments).map(|(reach, arguments)| {
        let Reach { nodes, key, frozen } = reach;
        Action::Powershell(Plan { plugin, nodes, key, frozen, arguments, what_if, output: step.output, timeout })
    });
    (plan, entry(step.output))
}

fn entry(output: Output) -> Entry {
    let mut fields = vec!["succeeded", "failed", "nodes", "exitCode"];
    if output != Output::None {
        fields.extend(["stdout", "output"]);
    }
    fields.extend(["error", "cause", "skipped"]);
    let no_output = (output == Output::None).then_some("the step says output: None");
    Entry { fields, no_output, ..Entry::default() }
}

/// Checks the script; gives the names of its parameters, where they are known, and whether it takes `-WhatIf`.
fn script(reader: &mut Reader<'_>, context: &Context<'_, '_>, step: &Powershell) -> (Option<Vec<String>>, bool) {
    let path = format!("{}.powershell.script", context.at);
    let found = language::look(&step.script);
    for fault in found.findings {
        reader.problems.push(super::super::Problem::new(&path, fault.message).at(fault.line, fault.column));
    }
    (found.parameters, found.what_if)
}

/// The arguments as JSONata. The outer None is for faults that were noted.
#[allow(clippy::option_option)]
fn arguments(
    reader: &mut Reader<'_>,
    context: &Context<'_, '_>,
    step: &Powershell,
    declared: Option<&[String]>,
) -> Option<Option<String>> {
    let path = format!("{}.powershell.parameters", context.at);
    for name in step.parameters.keys() {
        if let Some(declared) = declared
            && !declared.iter().any(|parameter| parameter.eq_ignore_ascii_case(name))
        {
            let message = if declared.is_empty() {
                format!(
                    "the script has no param() block, so it cannot take {name}: begin it with param([string] ${name})"
                )
            } else {
                format!("the script's param() block has no ${name}; it has: {}", declared.join(", "))
            };
            reader.problem(format!("{path}.{name}"), message);
        }
    }
    if step.parameters.is_empty() {
        return Some(None);
    }
    let mut pairs = Vec::new();
    let mut sound = true;
    for (name, given) in &step.parameters {
        let result = expressions::argument(given, context.scope, &format!("parameter {name}"));
        match reader.sound(&format!("{path}.{name}"), result) {
            Some(code) => pairs.push(format!("{}: {code}", quoted(name))),
            None => sound = false,
        }
    }
    sound.then(|| Some(format!("{{{}}}", pairs.join(", "))))
}

/// Lays out the states.
pub(in super::super) fn lay_out(flow: &mut Flow, step: &Step<'_>, plan: &Plan, exits: &Exits<'_>) {
    let states = States { step, plan };
    let send = states.name(if plan.frozen { "aim" } else { "send" });
    let first = if step.deadlines.is_empty() { send.clone() } else { names::state(&step.path, "due") };
    flow.begin(step, states.fresh(), &first);
    if !step.deadlines.is_empty() {
        flow.due(step, &send);
    }
    states.aim(flow);
    states.send(flow);
    states.poll(flow);
    states.collect(flow);
    states.judge(flow);
    let fields = [
        ("commandId", json!("{% $exists($work.commandId) ? $work.commandId : null %}")),
        ("plugin", json!(plan.plugin)),
        (
            "counts",
            json!(
                "{% $exists($work.total) ? {\"total\": $work.past.total + $work.total + $count($work.left), \"succeeded\": $work.past.succeeded + $work.succeeded, \"failed\": $work.failed} : null %}"
            ),
        ),
        ("succeeded", json!("{% $exists($work.succeeded) ? $work.past.succeeded + $work.succeeded : 0 %}")),
        ("failed", json!("{% $exists($work.failed) ? $work.failed : 0 %}")),
        ("nodes", json!(expression(NODES_SHOWN))),
    ];
    flow.failed_again(step, &fields, &first, &|_| states.fresh(), exits);
    states.done(flow, exits.next);
}

/// The nodes of all commands of a step so far, failed ones first, as reports and results list them; in JSONata.
const NODES_SHOWN: &str = "[$append($work.nodes, $work.past.nodes)[[0..49]]]";

struct States<'s> {
    step: &'s Step<'s>,
    plan: &'s Plan,
}

impl States<'_> {
    fn name(&self, part: &str) -> String {
        names::state(&self.step.path, part)
    }

    /// Whether a try may take several commands. Ids that the manifest itself names are fifty at most.
    fn chunked(&self) -> bool {
        self.step.node.is_none() && (self.plan.frozen || matches!(self.plan.nodes, Nodes::Tagged(_)))
    }

    /// `$work` before the first call.
    fn fresh(&self) -> Assign {
        let left = match &self.step.node {
            // The one node that this runs for.
            Some(node) => format!("[${node}]"),
            None => format!("[{}.id]", listed_for(&self.step.path, &self.plan.key)),
        };
        assign([(
            "work",
            json!({
                "began": "{% $millis() %}",
                "held": 0,
                "sought": 0,
                "left": expression(&left),
                "past": { "nodes": [], "total": 0, "succeeded": 0, "started": null },
            }),
        )])
    }

    /// A fleet of which nothing was listed is no reason to send to whatever carries its tags now: such an execution was started past Windlass.
    fn aim(&self, flow: &mut Flow) {
        if !self.plan.frozen {
            return;
        }
        let nothing = merged("{\"nodes\": [], \"total\": 0, \"succeeded\": 0, \"failed\": 0, \"raw\": false}");
        let rule = Rule::new("$count($work.left) = 0", self.name("judge")).assigning(assign([("work", nothing)]));
        flow.add(&self.step.path, "aim", State::Choice { rules: vec![rule], default: self.name("send") });
    }

    fn done(&self, flow: &mut Flow, next: &str) {
        let one = |value: &str| {
            json!(expression(&format!("$work.past.total + $work.total = 1 and $exists({value}) ? {value} : null")))
        };
        let mut kept = json!({
            "skipped": false,
            "succeeded": "{% $work.past.succeeded + $work.succeeded %}",
            "failed": "{% $work.failed %}",
            "nodes": expression(NODES_SHOWN),
            "exitCode": one("$work.nodes[0].exitCode"),
        });
        if let Some(fields) = kept.as_object_mut().filter(|_| self.plan.output != Output::None) {
            let output = if self.plan.output == Output::Json { "$work.value" } else { "$work.text" };
            fields.insert("stdout".into(), one("$work.text"));
            fields.insert("output".into(), one(output));
        }
        let nodes = if self.plan.output == Output::Json {
            expression(&format!(
                "[$map({NODES_SHOWN}, function($n) {{ $sift($n, function($v, $k) {{ $k != \"output\" }}) }})]"
            ))
        } else {
            expression(NODES_SHOWN)
        };
        let counts = json!({
            "total": "{% $work.past.total + $work.total %}",
            "succeeded": "{% $work.past.succeeded + $work.succeeded %}",
            "failed": "{% $work.failed %}",
        });
        let reported = [
            ("commandId", json!("{% $work.commandId %}")),
            ("plugin", json!(self.plan.plugin)),
            ("counts", counts),
            ("nodes", json!(nodes)),
        ];
        flow.done(self.step, kept, &reported, next);
    }

    /// `$work.failure` from what a task raised, in JSONata.
    fn raised(&self) -> String {
        let path = quoted(&self.step.path);
        format!(
            "{{\"step\": {path}, \"error\": $states.errorOutput.Error, \"cause\": $exists($states.errorOutput.Cause) ? $states.errorOutput.Cause : \"\"}}"
        )
    }

    /// What to do with whatever a task raises. A failure that stands in `$work` already is why the step fails, and stays.
    fn caught(&self, next: &str) -> Catch {
        let code = format!("$merge([{{\"failure\": {}}}, $work])", self.raised());
        Catch {
            errors: vec!["States.ALL"],
            assign: assign([("work", json!(expression(&code)))]),
            next: self.name(next),
        }
    }
}

/// Reads are repeated on anything but an expression that failed, which would fail again: a minute of trouble must not end a step.
pub(super) fn patience() -> Vec<Retry> {
    vec![
        Retry { errors: vec!["States.QueryEvaluationError"], interval: 0, attempts: 0 },
        Retry { errors: vec!["States.ALL"], interval: 2, attempts: 5 },
    ]
}

fn merged(fields: &str) -> Value {
    json!(expression(&format!("$merge([$work, {fields}])")))
}

/// Most events of history of one try, and how they come about.
pub(in super::super) fn events(step: &Step<'_>, plan: &Plan) -> (u64, String) {
    let polls = poll::polls(plan.timeout + GRACE);
    if plan.frozen && step.node.is_none() {
        let all = FIXED + TROUBLE + polls * POLL + CHUNKS * CHUNK;
        return (all, format!("{polls} polls x {POLL}, {CHUNKS} commands x {CHUNK}"));
    }
    let pages = match &plan.nodes {
        _ if step.node.is_some() => 2,
        Nodes::Ids { .. } => 2,
        Nodes::Tagged(_) => PAGES,
    };
    let all = FIXED + TROUBLE + polls * POLL + pages * PAGE;
    (all, format!("{polls} polls x {POLL}, {pages} pages x {PAGE}"))
}
