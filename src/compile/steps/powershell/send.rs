//! Sending the command.
//!
//! `SendCommand` has no client token: after an unknown outcome it is never sent again, the command is looked for by its comment instead.

use serde_json::{Map, Value, json};

use super::super::super::asl::{Catch, Rule, State, Task, assign, expression, quoted};
use super::super::super::flow::{Flow, comment};
use super::super::super::grants::Nodes;
use super::{States, merged, patience};

/// The fewest seconds that `SendCommand` takes for delivery (`TimeoutSeconds`).
const DELIVERY_LEAST: u64 = 30;
/// Nodes of one command where it names them (`SendCommand`, `InstanceIds` and `Targets`).
const AT_ONCE: usize = 50;
/// The argument of a run that only asks what would happen.
const WHAT_IF: &str = "{\"WhatIf\": true}";
/// How often a throttled send is made again: for six minutes in all.
const HOLDS: u64 = 10;
/// How often a command whose sending gave no answer is looked for, and the seconds before each look.
const SEARCHES: u64 = 3;
const SEARCH_PAUSE: u64 = 5;

impl States<'_> {
    pub(super) fn send(&self, flow: &mut Flow) {
        let path = &self.step.path;
        let code = format!(
            "{{\"began\": $work.began, \"held\": $work.held, \"sought\": 0, \"left\": $work.left, \"past\": $work.past, \"failure\": {}}}",
            self.raised()
        );
        let refused = Catch {
            errors: vec!["States.ALL"],
            assign: assign([("work", json!(expression(&code)))]),
            next: self.name("refused"),
        };
        let task = Task {
            resource: flow.systems_manager("sendCommand"),
            arguments: self.arguments(),
            assign: assign([("work", sent("$states.result.Command.CommandId"))]),
            // The plugin is for whoever reads the history: output of a command is asked for by plugin.
            output: json!({ "commandId": "{% $states.result.Command.CommandId %}", "plugin": self.plan.plugin }),
            timeout: None,
            retry: Vec::new(),
            catch: vec![refused],
            next: self.name("wait"),
        };
        flow.add(path, "send", State::Task(task));
        self.refused(flow);
        self.search(flow);
    }

    fn arguments(&self) -> Value {
        let plan = self.plan;
        let mut arguments = Map::new();
        arguments.insert("DocumentName".into(), json!("{% $document.name %}"));
        arguments.insert("DocumentVersion".into(), json!("{% $document.version %}"));
        arguments.insert("DocumentHash".into(), json!("{% $document.hash %}"));
        arguments.insert("DocumentHashType".into(), json!("Sha256"));
        // Systems Manager's own defaults, said out loud: after the first failure no further node is sent to.
        arguments.insert("MaxConcurrency".into(), json!("50"));
        arguments.insert("MaxErrors".into(), json!("0"));
        // A node takes the command within the step's timeout or is unreachable. Less would fail nodes that are only waiting for their turn: a
        // command by tags goes to one node first, then to two, four and so on as those end (user guide, "Using concurrency controls").
        arguments.insert("TimeoutSeconds".into(), json!(plan.timeout.max(DELIVERY_LEAST)));
        arguments.insert("Comment".into(), json!(expression(&self.comment())));
        let mut parameters = Map::from_iter([("step".to_owned(), json!([plan.plugin]))]);
        // $base64encode takes Latin-1 only, so the JSON is percent-encoded first.
        let encoded = |object: &str| format!("$base64encode($encodeUrlComponent($string({object})))");
        let given = match &plan.arguments {
            Some(object) if plan.what_if => {
                Some(encoded(&format!("$merge([{object}, $run.whatIf = true ? {WHAT_IF} : {{}}])")))
            }
            Some(object) => Some(encoded(object)),
            None if plan.what_if => Some(format!("$run.whatIf = true ? {} : \"\"", encoded(WHAT_IF))),
            None => None,
        };
        if let Some(code) = given {
            parameters.insert("arguments".into(), json!([expression(&code)]));
        }
        arguments.insert("Parameters".into(), Value::Object(parameters));
        arguments.extend([self.aimed()]);
        Value::Object(arguments)
    }

    /// The comment of the step's try, with how many commands the try has sent before: no two may share one.
    fn comment(&self) -> String {
        if self.chunked() {
            let before = format!("$work.past.total > 0 ? \"+\" & $string($floor($work.past.total / {AT_ONCE})) : \"\"");
            format!("{} & ({before})", comment(self.step))
        } else {
            comment(self.step)
        }
    }

    /// The nodes that the command is for: the next of those that were listed, else what the manifest says. Listed ones are Targets too, where nodes by
    /// tags could stand: Systems Manager then treats both alike, one node first and none after a failure; and one that is not managed any more is
    /// Undeliverable by itself, and does not refuse the whole command.
    fn aimed(&self) -> (String, Value) {
        let list = |values: &[String]| {
            let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            format!("[{}]", values.join(", "))
        };
        let listed = format!("[{{\"Key\": \"InstanceIds\", \"Values\": [$work.left[[0..{}]]]}}]", AT_ONCE - 1);
        let (argument, code) = match &self.plan.nodes {
            _ if self.plan.frozen || self.step.node.is_some() => ("Targets", listed),
            // Fifty at most: they fit into one command.
            Nodes::Ids { ids, .. } => ("InstanceIds", format!("$count($work.left) > 0 ? [$work.left] : {}", list(ids))),
            Nodes::Tagged(tags) => {
                let tag = |(key, values): (&String, &Vec<String>)| {
                    format!("{{\"Key\": {}, \"Values\": {}}}", quoted(&format!("tag:{key}")), list(values))
                };
                let declared: Vec<String> = tags.iter().map(tag).collect();
                ("Targets", format!("$count($work.left) > 0 ? {listed} : [{}]", declared.join(", ")))
            }
        };
        (argument.to_owned(), json!(expression(&code)))
    }

    /// What becomes of a send that failed: a throttled one is made again, one with an unknown outcome is looked for.
    fn refused(&self, flow: &mut Flow) {
        let path = &self.step.path;
        // Ssm.SsmException is throttling as well as access denied: only its text tells.
        let throttled = format!(
            "($contains($work.failure.cause, \"Rate exceeded\") or $contains($work.failure.error, \"Throttl\")) and $work.held < {HOLDS}"
        );
        let unknown = "$work.failure.error in [\"States.Timeout\", \"Ssm.SdkClientException\", \"Ssm.InternalServerErrorException\"] \
                       or $contains($work.failure.cause, \"Status Code: 5\")";
        let counted = assign([("work", merged("{\"held\": $work.held + 1}"))]);
        let rules =
            vec![Rule::new(&throttled, self.name("hold")).assigning(counted), Rule::new(unknown, self.name("seek"))];
        flow.add(path, "refused", State::Choice { rules, default: self.name("failed") });
        let hold = json!("{% $min([60, $power(2, $work.held)]) %}");
        flow.add(path, "hold", State::Wait { seconds: hold, next: self.name("send") });
    }

    fn search(&self, flow: &mut Flow) {
        let path = &self.step.path;
        flow.add(path, "seek", State::Wait { seconds: json!(SEARCH_PAUSE), next: self.name("find") });
        let code = format!(
            "( $comment := {}; $ids := $states.result.Commands[Comment = $comment].CommandId; \
             $merge([$work, {{\"sought\": $work.sought + 1, \"commandId\": $exists($ids) ? $ids[0] : null}}]) )",
            self.comment()
        );
        let unread = merged("{\"sought\": $work.sought + 1, \"commandId\": null}");
        let task = Task {
            resource: flow.systems_manager("listCommands"),
            arguments: json!({
                "Filters": [
                    { "Key": "DocumentName", "Value": "{% $document.name %}" },
                    { "Key": "InvokedAfter", "Value": "{% $substring($fromMillis($work.began - 60000), 0, 19) & \"Z\" %}" },
                ],
                "MaxResults": 50,
            }),
            assign: assign([("work", json!(expression(&code)))]),
            output: json!({}),
            timeout: None,
            retry: patience(),
            catch: vec![Catch {
                errors: vec!["States.ALL"],
                assign: assign([("work", unread)]),
                next: self.name("found"),
            }],
            next: self.name("found"),
        };
        flow.add(path, "find", State::Task(task));
        let rules = vec![
            Rule::new("$work.commandId != null", self.name("wait"))
                .assigning(assign([("work", sent("$work.commandId"))])),
            Rule::new(&format!("$work.sought < {SEARCHES}"), self.name("seek")),
        ];
        flow.add(path, "found", State::Choice { rules, default: self.name("lost") });
        let cause = "\"SendCommand gave no answer that says whether the command was sent (\" & $work.failure.cause & \"), and no command with its comment was found; \
                     it was not sent again, since it would then run twice\"";
        let lost = merged(&format!("{{\"failure\": $merge([$work.failure, {{\"cause\": {cause}}}])}}"));
        let lost = State::Pass { assign: assign([("work", lost)]), output: json!({}), next: self.name("failed") };
        flow.add(path, "lost", lost);
    }
}

/// `$work` once a command was sent: whatever came before is gone.
fn sent(command_id: &str) -> Value {
    json!({
        "commandId": expression(command_id),
        // The timeout is that of all commands of a try together.
        "started": "{% $work.past.started != null ? $work.past.started : $millis() %}",
        "elapsed": 0,
        "left": expression(&format!(
            "$count($work.left) > {AT_ONCE} ? [$work.left[[{AT_ONCE}..$count($work.left) - 1]]] : []"
        )),
        "past": "{% $work.past %}",
        "targets": 0,
        "nodes": [],
        "total": 0,
        "succeeded": 0,
        "failed": 0,
        "next": null,
        "lags": 0,
        "raw": false,
    })
}
