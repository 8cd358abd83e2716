//! Reading the invocations, page by page.

use serde_json::{Value, json};

use crate::api::steps::Output;

use super::super::super::asl::{Catch, Rule, State, Task, assign, expression, quoted};
use super::super::super::flow::Flow;
use super::super::super::ssm::REBOOT_REQUIRED;
use super::{NODES_SHOWN, States, merged, patience};

/// Nodes that reports and results list.
const NODES: usize = 50;
/// Characters of a node's output that are listed.
const SHOWN: usize = 512;
/// Bytes of one page of invocations: within the 256 KiB that a task may answer (Step Functions quotas).
const PAGE_BYTES: usize = 240_000;
/// Bytes of an invocation: 2,500 characters of the chosen plugin's output in UTF-8 and JSON, and everything else.
const INVOCATION_BYTES: usize = 2_500 * 3 + 800;
/// Bytes of a plugin that was skipped.
const PLUGIN_BYTES: usize = 500;
/// How often invocations that are not all there yet are looked at again.
const LAGS: u64 = 6;
/// Between standard output and error output where Systems Manager gives both in one text (agent source, iohandler).
const ERROR_TITLE: &str = "\n----------ERROR-------\n";
/// What looks like one JSON value. Most of what is not JSON is told from it here, with the node that printed it.
const JSON: &str = r#"/^\s*(\{[\s\S]*\}|\[[\s\S]*\]|"[\s\S]*"|-?[0-9][0-9.eE+-]*|true|false|null)\s*$/"#;
/// Nothing added up yet.
const NOTHING: &str = "\"nodes\": [], \"total\": 0, \"succeeded\": 0, \"failed\": 0, \"next\": null";

impl States<'_> {
    pub(super) fn collect(&self, flow: &mut Flow) {
        let path = &self.step.path;
        let page = PAGE_BYTES / (INVOCATION_BYTES + PLUGIN_BYTES * flow.plugins);
        let mut catch = vec![self.caught("failed")];
        if self.plan.output == Output::Json {
            // Something that looks like JSON is none, and which node's it is cannot be told: read again without parsing.
            let broken = assign([("work", merged("{\"broken\": true}"))]);
            let errors = vec!["States.QueryEvaluationError"];
            catch.insert(0, Catch { errors, assign: broken, next: self.name("reread") });
            self.reread(flow);
        }
        let arguments = format!(
            "$merge([{{\"CommandId\": $work.commandId, \"Details\": true, \"MaxResults\": {}}}, \
             $work.next != null ? {{\"NextToken\": $work.next}} : {{}}])",
            page.clamp(1, 50)
        );
        let task = Task {
            resource: flow.systems_manager("listCommandInvocations"),
            arguments: json!(expression(&arguments)),
            assign: assign([("work", json!(expression(&self.added_up())))]),
            output: json!({}),
            timeout: None,
            retry: patience(),
            catch,
            next: self.name("more"),
        };
        flow.add(path, "collect", State::Task(task));
        self.more(flow);
    }

    fn reread(&self, flow: &mut Flow) {
        let again = merged(&format!("{{\"raw\": true, {NOTHING}}}"));
        let rule = Rule::new("$work.raw = false", self.name("collect")).assigning(assign([("work", again)]));
        flow.add(&self.step.path, "reread", State::Choice { rules: vec![rule], default: self.name("judge") });
    }

    /// `$work` with a page of invocations in it, in JSONata.
    fn added_up(&self) -> String {
        let plugin = quoted(&self.plan.plugin);
        let (title, reboot) = (quoted(ERROR_TITLE), quoted(REBOOT_REQUIRED));
        let printed = match self.plan.output {
            Output::None => String::new(),
            Output::Text => format!(", {{\"stdout\": $substring($text, 0, {SHOWN})}}"),
            // One node's output is read whole, and parsed, further on.
            Output::Json => format!(
                ", {{\"stdout\": $substring($text, 0, {SHOWN})}}, \
                 $status != \"Success\" or $work.past.total + $work.targets + $count($work.left) = 1 or $work.raw ? {{}} : \
                 $contains($text, {JSON}) ? {{\"output\": $parse($text)}} : {{\"invalid\": true}}"
            ),
        };
        format!(
            "( $page := [$map([$states.result.CommandInvocations], function($i) {{( \
             $p := $i.CommandPlugins[Name = {plugin}]; \
             $all := $exists($p.Output) ? $p.Output : \"\"; \
             $text := $substringBefore($all, {title}); \
             $status := $replace($i.StatusDetails, \" \", \"\"); \
             $merge([{{\"id\": $i.InstanceId, \"name\": $i.InstanceName, \"status\": $status}}, \
             $status in [\"Success\", \"Failed\"] and $exists($p.ResponseCode) ? {{\"exitCode\": $p.ResponseCode}} : {{}}, \
             $contains($all, {reboot}) ? {{\"rebootRequired\": true}} : {{}}{printed}]) )}})]; \
             $bad := function($nodes) {{ [$nodes[status != \"Success\" or invalid = true]] }}; \
             $good := function($nodes) {{ [$nodes[$not(status != \"Success\" or invalid = true)]] }}; \
             $before := [$work.nodes]; \
             $ranked := $append($append($bad($before), $bad($page)), $append($good($before), $good($page))); \
             $merge([$work, {{\"nodes\": [$ranked[[0..{last}]]], \
             \"total\": $work.total + $count($page), \
             \"succeeded\": $work.succeeded + $count($good($page)), \
             \"failed\": $work.failed + $count($bad($page)), \
             \"next\": $exists($states.result.NextToken) and $states.result.NextToken != \"\" ? $states.result.NextToken : null}}]) )",
            last = NODES - 1
        )
    }

    fn more(&self, flow: &mut Flow) {
        let behind = format!("$work.total < $work.targets and $work.lags < {LAGS}");
        let again = merged(&format!("{{\"lags\": $work.lags + 1, {NOTHING}}}"));
        let mut rules = vec![
            Rule::new("$work.next != null", self.name("collect")),
            Rule::new(&behind, self.name("lag")).assigning(assign([("work", again)])),
        ];
        if let Some(onward) = self.onward() {
            rules.push(onward);
        }
        if self.plan.output != Output::None {
            let one = "$work.past.total + $work.total = 1 and $work.succeeded = 1";
            rules.push(Rule::new(one, self.name("read")));
            self.read(flow);
        }
        flow.add(&self.step.path, "more", State::Choice { rules, default: self.name("judge") });
    }

    /// On to the listed nodes that were not sent to yet, unless one failed: Systems Manager sends no further ones by tags then either.
    fn onward(&self) -> Option<Rule> {
        if !self.chunked() {
            return None;
        }
        let well = "$count($work.left) > 0 and $work.total > 0 and $work.failed = 0 and $work.raw = false and $not($exists($work.failure))";
        let past = format!(
            "{{\"nodes\": {NODES_SHOWN}, \"total\": $work.past.total + $work.total, \"succeeded\": $work.past.succeeded + $work.succeeded, \"started\": $work.started}}"
        );
        let work = json!({
            "began": "{% $millis() %}",
            "held": 0,
            "sought": 0,
            "left": "{% $work.left %}",
            "past": expression(&past),
        });
        Some(Rule::new(well, self.name("send")).assigning(assign([("work", work)])))
    }

    /// Reads a single node's output: 24,000 characters in place of 2,500.
    fn read(&self, flow: &mut Flow) {
        let text = "$states.result.StandardOutputContent";
        let mut catch = vec![self.caught("failed")];
        let mut read = format!("{{\"text\": $exists({text}) ? {text} : \"\"}}");
        if self.plan.output == Output::Json {
            read = format!("{{\"text\": {text}, \"value\": $parse({text})}}");
            let invalid: Value = merged(
                "{\"raw\": true, \"succeeded\": 0, \"failed\": 1, \"nodes\": [$merge([$work.nodes[0], {\"invalid\": true}])]}",
            );
            let errors = vec!["States.QueryEvaluationError"];
            catch.insert(0, Catch { errors, assign: assign([("work", invalid)]), next: self.name("judge") });
        }
        let task = Task {
            resource: flow.systems_manager("getCommandInvocation"),
            arguments: json!({
                "CommandId": "{% $work.commandId %}",
                "InstanceId": "{% $work.nodes[0].id %}",
                "PluginName": self.plan.plugin,
            }),
            assign: assign([("work", merged(&read))]),
            output: json!({}),
            timeout: None,
            retry: patience(),
            catch,
            next: self.name("judge"),
        };
        flow.add(&self.step.path, "read", State::Task(task));
    }
}
