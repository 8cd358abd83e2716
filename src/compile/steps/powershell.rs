//! `powershell`: send → wait → poll → check → collect → judge.
//!
//! Systems Manager's own counts never prove success: a command that reaches nobody ends as Success, and nodes that are offline or refuse count as
//! nothing. So the invocations are read and judged here. A step that ends early cancels its command, since stopping to look does not stop it.
//!
//! `SendCommand` has no client token and is never repeated after an unknown outcome: the command is looked for by its Comment instead.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::api::steps::{ErrorName, Output, Powershell, Retry};

use super::super::asl::{Catch, Retry as TaskRetry, State, Task};
use super::super::expressions;
use super::super::flow::{Exits, Flow, Scope, attempt, quoted};
use super::super::grants::Nodes;

/// Seconds that a step may take when it says nothing.
pub const TIMEOUT: u64 = 3600;
/// Seconds within which a node must have taken the command. A node that does not is unreachable.
const DELIVERY: u64 = 600;
/// The fewest seconds that `SendCommand` takes for that (`TimeoutSeconds`).
const DELIVERY_LEAST: u64 = 30;
/// Seconds beyond the timeout before the command is cancelled from here: Systems Manager's own verdict tells more, node by node.
const GRACE: u64 = 30;
/// Bytes of one page of invocations: within the 256 KiB that a task may answer.
const PAGE_BYTES: usize = 240_000;
/// Nodes that reports list.
const NODES_LISTED: usize = 50;
/// Pages that the bound on history allows for: 2,000 nodes.
const PAGES_COUNTED: u64 = 40;

/// A step to lay out.
pub struct Step<'a> {
    /// Name.
    pub name: &'a str,
    /// What it runs.
    pub powershell: &'a Powershell,
    /// Its plugin in the document, of how many.
    pub plugin: &'a str,
    /// How many plugins the document has.
    pub plugins: usize,
    /// Where.
    pub nodes: &'a Nodes,
    /// Longest time of one try, in seconds.
    pub timeout: u64,
    /// Further tries.
    pub retry: &'a [Retry],
    /// Handlers.
    pub handlers: &'a [(&'a [ErrorName], String)],
}

/// Lays out the step; gives its first state.
pub fn lay_out(flow: &mut Flow, scope: &Scope, step: &Step<'_>, exits: &Exits) -> String {
    let path = scope.path(step.name);
    let states = States { path: &path, step };
    let done = flow.done(scope, step.name, &reported(step.powershell.output), &exits.next);
    // The way back to the first state is a name: the states between do not exist yet.
    let send = super::super::flow::state_name(&path, "send");
    let wait = super::super::flow::state_name(&path, "wait");
    let collect = super::super::flow::state_name(&path, "collect");
    let fields = failed_fields();
    let failed = flow.failed(scope, step.name, &fields, step.retry, &send, step.handlers, exits);

    let judge = states.judge(flow, &done, &failed);
    let read = states.read(flow, &judge, &failed);
    let more = states.more(flow, &collect, &read, &judge);
    states.collect(flow, &more, &failed);
    let cancelled = states.cancel(flow, &failed);
    let late = states.late(flow, &cancelled);
    let check = states.check(flow, &collect, &late, &wait);
    let poll = states.poll(flow, &check, &cancelled);
    states.wait(flow, &poll);
    let refused = states.refused(flow, scope, &failed, &wait);
    states.send(flow, scope, &wait, &refused);

    let tries = 1 + step.retry.iter().map(|retry| u64::try_from(retry.attempts).unwrap_or(0)).sum::<u64>();
    let one = 5 + 9 * polls(step.timeout + GRACE) + 7 * PAGES_COUNTED.min(pages_at_most(step.nodes)) + 7 + 6 + 4;
    flow.events += 2 + tries * (one + 10);
    flow.begin(&path, &send)
}

/// How many polls fit into some seconds.
fn polls(seconds: u64) -> u64 {
    let (mut elapsed, mut count) = (0, 0);
    while elapsed < seconds {
        elapsed += pause(elapsed, seconds);
        count += 1;
    }
    count + 1
}

/// Seconds until the next poll: an eighth of what has passed, two at least, and never so few that the history runs out.
fn pause(elapsed: u64, deadline: u64) -> u64 {
    (elapsed / 8).clamp(2, longest_pause(deadline))
}

fn longest_pause(deadline: u64) -> u64 {
    (deadline / 240).max(60)
}

fn pages_at_most(nodes: &Nodes) -> u64 {
    match nodes {
        Nodes::Ids { .. } => 50,
        Nodes::Tagged(_) => PAGES_COUNTED,
    }
}

/// What `$steps.<name>` has after success.
fn reported(output: Output) -> Vec<(&'static str, String)> {
    let single = "$count($work.nodes) = 1 and $work.total = 1";
    let mut fields = vec![
        ("commandId", "$work.commandId".to_owned()),
        ("counts", "{\"total\": $work.total, \"succeeded\": $work.succeeded, \"failed\": $work.failed}".to_owned()),
        ("succeeded", "$work.succeeded".to_owned()),
        ("failed", "$work.failed".to_owned()),
        ("nodes", "[$work.nodes]".to_owned()),
        ("exitCode", format!("{single} ? $work.nodes[0].exitCode : null")),
    ];
    if output != Output::None {
        fields.push(("stdout", format!("{single} ? $work.nodes[0].stdout : null")));
        fields.push(("output", format!("{single} ? $work.nodes[0].output : null")));
    }
    fields
}

fn failed_fields() -> Vec<(&'static str, String)> {
    let known = |field: &str, otherwise: &str| format!("$exists($work.{field}) ? $work.{field} : {otherwise}");
    vec![
        ("commandId", known("commandId", "null")),
        (
            "counts",
            format!(
                "{{\"total\": {}, \"succeeded\": {}, \"failed\": {}}}",
                known("total", "0"),
                known("succeeded", "0"),
                known("failed", "0")
            ),
        ),
        ("succeeded", known("succeeded", "0")),
        ("failed", known("failed", "0")),
        ("nodes", "[$work.nodes]".to_owned()),
    ]
}

struct States<'a> {
    path: &'a str,
    step: &'a Step<'a>,
}

impl States<'_> {
    fn send(&self, flow: &mut Flow, scope: &Scope, next: &str, refused: &str) {
        let step = self.step;
        let mut arguments = Map::new();
        arguments.insert("DocumentName".into(), json!("{% $document.name %}"));
        arguments.insert("DocumentVersion".into(), json!("{% $document.version %}"));
        arguments.insert("DocumentHash".into(), json!("{% $document.hash %}"));
        arguments.insert("DocumentHashType".into(), json!("Sha256"));
        match step.nodes {
            Nodes::Ids { ids, .. } => {
                arguments.insert("InstanceIds".into(), json!(ids));
            }
            Nodes::Tagged(tags) => {
                let targets: Vec<Value> =
                    tags.iter().map(|(key, values)| json!({ "Key": format!("tag:{key}"), "Values": values })).collect();
                arguments.insert("Targets".into(), json!(targets));
            }
        }
        arguments.insert("MaxConcurrency".into(), json!("50"));
        arguments.insert("MaxErrors".into(), json!("0"));
        arguments.insert("TimeoutSeconds".into(), json!(step.timeout.min(DELIVERY).max(DELIVERY_LEAST)));
        arguments.insert("Comment".into(), json!(format!("{{% {} %}}", self.comment())));
        let mut parameters = Map::new();
        parameters.insert("step".into(), json!([step.plugin]));
        if !step.powershell.parameters.is_empty() {
            let object: BTreeMap<&String, &Value> = step.powershell.parameters.iter().collect();
            let object = expressions::to_jsonata(&json!(object));
            let encoded = format!("$base64encode($encodeUrlComponent($string({object})))");
            parameters.insert("arguments".into(), json!([scope.expression(&encoded)]));
        }
        arguments.insert("Parameters".into(), Value::Object(parameters));
        let task = Task {
            resource: "arn:aws:states:::aws-sdk:ssm:sendCommand".into(),
            arguments: Value::Object(arguments),
            // The plugin is for whoever reads the history: output of a command is asked for by plugin.
            output: json!({ "commandId": "{% $states.result.Command.CommandId %}", "plugin": step.plugin }),
            assign: sent("$states.result.Command.CommandId"),
            retry: Vec::new(),
            catch: vec![self.caught(refused)],
            next: next.to_owned(),
        };
        flow.add(self.path, "send", State::Task(task));
    }

    /// The comment by which a command is found again: run, step, attempt; 100 characters at most.
    fn comment(&self) -> String {
        let path = super::super::flow::state_name(self.path, "");
        let path = path.trim_end_matches([':', ' ']);
        format!("$substring(\"windlass:\" & $run.id & \":\" & {} & \"#\" & $string({}), 0, 100)", quoted(path), attempt(self.path))
    }

    /// What becomes of a send that failed: throttled ones are sent again, those with an unknown outcome are looked for.
    fn refused(&self, flow: &mut Flow, scope: &Scope, failed: &str, wait: &str) -> String {
        let send = super::super::flow::state_name(self.path, "send");
        let held = flow.add(
            self.path,
            "hold",
            State::Wait { seconds: json!("{% $min([60, $power(2, $work.throttled)]) %}"), next: send },
        );
        let comment = format!("{{% $states.result.Commands[Comment = {}][0].CommandId %}}", self.comment());
        let mut assign = Map::new();
        assign.insert(
            "work".into(),
            json!(format!("{{% {{\"commandId\": {}, \"started\": $millis(), \"elapsed\": 0}} %}}", expressions::inner(&comment))),
        );
        let _ = scope;
        let found = flow.add(
            self.path,
            "found",
            State::Choice {
                choices: vec![("{% $exists($work.commandId) and $work.commandId != null %}".into(), wait.to_owned())],
                default: failed.to_owned(),
            },
        );
        let find = Task {
            resource: "arn:aws:states:::aws-sdk:ssm:listCommands".into(),
            arguments: json!({ "Filters": [{ "Key": "DocumentName", "Value": "{% $document.name %}" }], "MaxResults": 50 }),
            output: json!({}),
            assign,
            retry: patience(),
            catch: vec![Catch { errors: vec!["States.ALL".into()], assign: Map::new(), next: failed.to_owned() }],
            next: found,
        };
        let find = flow.add(self.path, "find", State::Task(find));
        let throttled = "($contains($failure.cause, \"Rate exceeded\") or $contains($failure.error, \"Throttling\")) and $work.throttled <= 10";
        let unknown = "$failure.error = \"States.Timeout\" or $contains($failure.error, \"InternalServerError\") or $contains($failure.error, \"SdkClient\")";
        flow.events += 20;
        flow.add(
            self.path,
            "refused",
            State::Choice {
                choices: vec![(format!("{{% {throttled} %}}"), held), (format!("{{% {unknown} %}}"), find)],
                default: failed.to_owned(),
            },
        )
    }

    fn wait(&self, flow: &mut Flow, poll: &str) {
        let longest = longest_pause(self.step.timeout + GRACE);
        let seconds = format!("{{% $max([2, $min([{longest}, $floor($work.elapsed / 8)])]) %}}");
        flow.add(self.path, "wait", State::Wait { seconds: json!(seconds), next: poll.to_owned() });
    }

    fn poll(&self, flow: &mut Flow, check: &str, cancel: &str) -> String {
        let mut assign = Map::new();
        assign.insert(
            "work".into(),
            json!(
                "{% $merge([$work, {\"elapsed\": $floor(($millis() - $work.started) / 1000), \"status\": $states.result.Commands[0].Status, \"targets\": $states.result.Commands[0].TargetCount}]) %}"
            ),
        );
        let task = Task {
            resource: "arn:aws:states:::aws-sdk:ssm:listCommands".into(),
            arguments: json!({ "CommandId": "{% $work.commandId %}" }),
            output: json!("{% {\"status\": $states.result.Commands[0].Status, \"targets\": $states.result.Commands[0].TargetCount, \"completed\": $states.result.Commands[0].CompletedCount, \"errors\": $states.result.Commands[0].ErrorCount} %}"),
            assign,
            retry: patience(),
            catch: vec![self.caught(cancel)],
            next: check.to_owned(),
        };
        flow.add(self.path, "poll", State::Task(task))
    }

    fn check(&self, flow: &mut Flow, collect: &str, late: &str, wait: &str) -> String {
        let ended = "{% $not($work.status in [\"Pending\", \"InProgress\", \"Cancelling\"]) %}";
        let over = format!("{{% $work.elapsed >= {} %}}", self.step.timeout + GRACE);
        let choices = vec![(ended.to_owned(), collect.to_owned()), (over, late.to_owned())];
        flow.add(self.path, "check", State::Choice { choices, default: wait.to_owned() })
    }

    /// The step took too long.
    fn late(&self, flow: &mut Flow, cancel: &str) -> String {
        let cause = format!("the command still ran after {} s and was cancelled", self.step.timeout);
        let mut assign = Map::new();
        assign.insert(
            "failure".into(),
            json!({ "step": self.path, "error": "Windlass.TimedOut", "cause": cause }),
        );
        flow.add(self.path, "late", State::Pass { output: json!({}), assign, next: cancel.to_owned() })
    }

    /// Stops what still runs on nodes, then reports the failure that `$failure` holds.
    fn cancel(&self, flow: &mut Flow, failed: &str) -> String {
        let task = Task {
            resource: "arn:aws:states:::aws-sdk:ssm:cancelCommand".into(),
            arguments: json!({ "CommandId": "{% $work.commandId %}" }),
            output: json!({}),
            assign: Map::new(),
            retry: patience(),
            catch: vec![Catch { errors: vec!["States.ALL".into()], assign: Map::new(), next: failed.to_owned() }],
            next: failed.to_owned(),
        };
        flow.add(self.path, "cancel", State::Task(task))
    }

    /// Reads a page of invocations and adds it up.
    fn collect(&self, flow: &mut Flow, more: &str, failed: &str) {
        let plugins = self.step.plugins;
        // What an invocation can come to: the chosen plugin's 2,500 characters with their escapes, and a line for each skipped one.
        let page = (PAGE_BYTES / (2_500 * 3 / 2 + 500 * plugins + 700)).clamp(1, 50);
        let mut assign = Map::new();
        assign.insert("work".into(), json!(format!("{{% {} %}}", self.added_up())));
        let task = Task {
            resource: "arn:aws:states:::aws-sdk:ssm:listCommandInvocations".into(),
            // The first page has no token, and a state's argument cannot be left out by an expression of its own.
            arguments: json!(format!(
                "{{% $merge([{{\"CommandId\": $work.commandId, \"Details\": true, \"MaxResults\": {page}}}, $exists($work.next) and $work.next != null ? {{\"NextToken\": $work.next}} : {{}}]) %}}"
            )),
            output: json!("{% {\"read\": $count($states.result.CommandInvocations)} %}"),
            assign,
            retry: patience(),
            catch: self.caught_reading(failed),
            next: more.to_owned(),
        };
        flow.add(self.path, "collect", State::Task(task));
    }

    /// `$work` with a page of invocations in it.
    fn added_up(&self) -> String {
        let plugin = quoted(self.step.plugin);
        let output = match self.step.powershell.output {
            Output::None => "",
            Output::Text => ", \"stdout\": $substring($text, 0, 512), \"output\": $substring($text, 0, 512)",
            // A longer text is cut by Systems Manager and no JSON any more, which fails the step below.
            Output::Json => {
                ", \"stdout\": $substring($text, 0, 512), \"output\": $i.StatusDetails = \"Success\" and $work.targets != 1 ? $parse($text) : null"
            }
        };
        format!(
            "( $page := $map([$states.result.CommandInvocations], function($i) {{( \
             $p := $i.CommandPlugins[Name = {plugin}][0]; $text := $exists($p.Output) ? $p.Output : \"\"; \
             {{\"id\": $i.InstanceId, \"name\": $exists($i.InstanceName) ? $i.InstanceName : \"\", \"status\": $i.StatusDetails, \"exitCode\": $exists($p.ResponseCode) ? $p.ResponseCode : -1{output}}} )}}); \
             $ok := [$page[status = \"Success\"]]; $bad := [$page[status != \"Success\"]]; \
             $before := $exists($work.nodes) ? [$work.nodes] : []; \
             $badBefore := [$before[status != \"Success\"]]; $okBefore := [$before[status = \"Success\"]]; \
             $ranked := $append($append($badBefore, $bad), $append($okBefore, $ok)); \
             $sum := function($field, $more) {{ ($exists($lookup($work, $field)) ? $lookup($work, $field) : 0) + $more }}; \
             $merge([$work, {{\"nodes\": [$ranked[[0..{last}]]], \"total\": $sum(\"total\", $count($page)), \"succeeded\": $sum(\"succeeded\", $count($ok)), \"failed\": $sum(\"failed\", $count($bad)), \
             \"next\": $exists($states.result.NextToken) ? $states.result.NextToken : null}}]) )",
            last = NODES_LISTED - 1
        )
    }

    fn more(&self, flow: &mut Flow, collect: &str, read: &str, judge: &str) -> String {
        let choices = vec![
            ("{% $work.next != null and $work.next != \"\" %}".to_owned(), collect.to_owned()),
            ("{% $work.total = 1 %}".to_owned(), read.to_owned()),
        ];
        flow.add(self.path, "more", State::Choice { choices, default: judge.to_owned() })
    }

    /// Reads a single node's output: 24,000 characters in place of 2,500.
    fn read(&self, flow: &mut Flow, judge: &str, failed: &str) -> String {
        let text = "$states.result.StandardOutputContent";
        let output = match self.step.powershell.output {
            Output::None => String::new(),
            Output::Text => format!(", {{\"stdout\": {text}, \"output\": {text}}}"),
            Output::Json => format!(
                ", {{\"stdout\": {text}, \"output\": $states.result.StatusDetails = \"Success\" ? $parse({text}) : null}}"
            ),
        };
        let mut assign = Map::new();
        assign.insert(
            "work".into(),
            json!(format!("{{% $merge([$work, {{\"nodes\": [$merge([$work.nodes[0]{output}])]}}]) %}}")),
        );
        let task = Task {
            resource: "arn:aws:states:::aws-sdk:ssm:getCommandInvocation".into(),
            arguments: json!({
                "CommandId": "{% $work.commandId %}",
                "InstanceId": "{% $work.nodes[0].id %}",
                "PluginName": self.step.plugin,
            }),
            output: json!({}),
            assign,
            retry: patience(),
            catch: self.caught_reading(failed),
            next: judge.to_owned(),
        };
        flow.add(self.path, "read", State::Task(task))
    }

    fn judge(&self, flow: &mut Flow, done: &str, failed: &str) -> String {
        let verdict = flow.add(
            self.path,
            "verdict",
            State::Choice { choices: vec![("{% $work.error = null %}".into(), done.to_owned())], default: failed.to_owned() },
        );
        let path = quoted(self.path);
        let work = "{% ( $bad := [$work.nodes[status != \"Success\"]]; \
            $has := function($words) { $count($bad[status in $words]) > 0 }; \
            $merge([$work, {\"error\": $work.total = 0 ? \"Windlass.NoTargets\" : $work.failed = 0 ? null : \
            $has([\"Failed\", \"Success with errors\"]) ? \"Windlass.ExitCode\" : \
            $has([\"ExecutionTimedOut\", \"Execution Timed Out\", \"TimedOut\"]) ? \"Windlass.TimedOut\" : \
            $has([\"AccessDenied\", \"Access Denied\"]) ? \"Windlass.AccessDenied\" : \
            $has([\"Cancelled\", \"Canceled\"]) ? \"Windlass.Cancelled\" : \"Windlass.NodeUnreachable\"}]) ) %}";
        let mut assign = Map::new();
        assign.insert("work".into(), json!(work));
        let nobody = quoted(&format!("the command reached no node: none has {}", describe(self.step.nodes)));
        let judged = flow.add(self.path, "judged", {
            let failure = format!(
                "{{% ( $bad := [$work.nodes[status != \"Success\"]]; $first := $bad[0]; {{\"step\": {path}, \"error\": $work.error, \
                 \"node\": $exists($first) ? $first.id : null, \
                 \"cause\": $work.error = null ? null : $work.total = 0 ? {nobody} : \
                 $string($work.failed) & \" of \" & $string($work.total) & \" nodes failed: \" & $join($map($bad[[0..4]], function($n) {{ \
                 $n.name & \" (\" & $n.id & \"): \" & $n.status & ($n.exitCode >= 0 ? \", exit code \" & $string($n.exitCode) : \"\") }}), \"; \") & ($work.failed > 5 ? \"; …\" : \"\")}} ) %}}"
            );
            let mut assign = Map::new();
            assign.insert("failure".into(), json!(failure));
            State::Pass { output: json!({}), assign, next: verdict }
        });
        flow.add(self.path, "judge", State::Pass { output: json!({}), assign, next: judged })
    }

    /// Sets `$failure` from what a task raised, and counts throttled sends.
    fn caught(&self, next: &str) -> Catch {
        let mut assign = Map::new();
        assign.insert("failure".into(), json!(self.raised()));
        assign.insert(
            "work".into(),
            json!("{% $merge([$work, {\"throttled\": ($exists($work.throttled) ? $work.throttled : 0) + 1}]) %}"),
        );
        Catch { errors: vec!["States.ALL".into()], assign, next: next.to_owned() }
    }

    fn raised(&self) -> String {
        format!(
            "{{% {{\"step\": {}, \"error\": $states.errorOutput.Error, \"cause\": $exists($states.errorOutput.Cause) ? $states.errorOutput.Cause : \"\"}} %}}",
            quoted(self.path)
        )
    }

    /// An output that does not parse is the script's; anything else is what the task raised.
    fn caught_reading(&self, failed: &str) -> Vec<Catch> {
        let mut all = Vec::new();
        if self.step.powershell.output == Output::Json {
            let cause = "the script's output is not JSON, or is longer than Systems Manager passes on (24,000 characters from one node, 2,500 from each of several): print one JSON value, or use output: Text";
            let mut assign = Map::new();
            assign.insert("failure".into(), json!({ "step": self.path, "error": "Windlass.InvalidOutput", "cause": cause }));
            all.push(Catch { errors: vec!["States.QueryEvaluationError".into()], assign, next: failed.to_owned() });
        }
        let mut assign = Map::new();
        assign.insert("failure".into(), json!(self.raised()));
        all.push(Catch { errors: vec!["States.ALL".into()], assign, next: failed.to_owned() });
        all
    }
}

fn describe(nodes: &Nodes) -> String {
    match nodes {
        Nodes::Ids { ids, .. } => format!("one of the ids {}", ids.join(", ")),
        Nodes::Tagged(tags) => {
            let each: Vec<String> = tags.iter().map(|(key, values)| format!("tag {key} in [{}]", values.join(", "))).collect();
            each.join(" and ")
        }
    }
}

/// `$work` after a send: whatever an earlier try left is gone.
fn sent(command_id: &str) -> Map<String, Value> {
    let mut assign = Map::new();
    assign.insert(
        "work".into(),
        json!(format!("{{% {{\"commandId\": {command_id}, \"started\": $millis(), \"elapsed\": 0}} %}}")),
    );
    assign
}

/// Reads are repeated on anything: a minute of trouble must not end a step.
fn patience() -> Vec<TaskRetry> {
    vec![TaskRetry { errors: vec!["States.TaskFailed".into(), "States.Timeout".into()], interval: 2, attempts: 5 }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_are_few_and_bounded() {
        // Facts of the pattern: 10 minutes 37 polls, an hour 87, 12 hours 276, 48 hours 288.
        assert!((35..=45).contains(&polls(600)), "{}", polls(600));
        assert!((80..=95).contains(&polls(3600)), "{}", polls(3600));
        assert!((260..=300).contains(&polls(12 * 3600)), "{}", polls(12 * 3600));
        assert!((270..=310).contains(&polls(48 * 3600)), "{}", polls(48 * 3600));
    }
}
