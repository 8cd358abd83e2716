//! The states around the Map.

use serde_json::{Map, Value, json};

use super::super::super::asl::{Assign, Catch, DistributedMap, Rule, State, Task, assign, expression, quoted};
use super::super::super::flow::{Exits, Flow, soonest, told};
use super::super::super::names;
use super::super::super::tree::Step;
use super::super::powershell::patience;
use super::{Items, Plan, merged, nothing};

/// Failed nodes that results and causes name.
const NAMED: usize = 10;

pub(super) struct States<'s> {
    pub(super) step: &'s Step<'s>,
    pub(super) plan: &'s Plan<'s>,
}

impl States<'_> {
    pub(super) fn name(&self, part: &str) -> String {
        names::state(&self.step.path, part)
    }

    pub(super) fn lay_out(&self, flow: &mut Flow, exits: &Exits<'_>) {
        let fresh = |extra: u64| -> Assign {
            let mut variables = assign([("work", json!(expression(&self.fresh())))]);
            variables.extend(self.plan.limit.until(&self.step.path, extra));
            variables
        };
        let check = self.name("check");
        flow.begin(self.step, fresh(0), &check);
        self.check(flow);
        self.map(flow);
        self.tally(flow);
        self.blame(flow);
        let counts = json!(expression(
            "$exists($work.total) ? {\"total\": $work.total, \"succeeded\": $work.succeeded, \"failed\": $work.failed} : null"
        ));
        let succeeded = json!("{% $exists($work.succeeded) ? $work.succeeded : 0 %}");
        let failed = json!("{% $exists($work.failed) ? $work.failed : 0 %}");
        let failing = json!("{% [$work.failing] %}");
        let fields = [
            ("counts", counts.clone()),
            ("succeeded", succeeded.clone()),
            ("failed", failed.clone()),
            ("nodes", failing.clone()),
        ];
        flow.failed_again(self.step, &fields, &check, &fresh, exits);
        let kept = json!({
            "skipped": false, "succeeded": succeeded, "failed": failed,
            "left": "{% $work.skipped + $work.held %}", "nodes": failing
        });
        flow.done(self.step, kept, &[("counts", counts), ("nodes", failing)], exits.next);
    }

    /// `$work` before the first wave, in JSONata.
    fn fresh(&self) -> String {
        let plan = self.plan;
        let waves = match &plan.over {
            Items::Nodes { waves, .. } => waves.join(", "),
            Items::List(_) => String::new(),
        };
        format!(
            "( $total := $count({items}); \
             $ends := $reduce([{waves}], function($all, $size) {{ $append($all, ($count($all) = 0 ? 0 : $all[-1]) + $max([1, $size])) }}, []); \
             {{\"total\": $total, \"ends\": [$append([$ends[$ < $total]], $total)], \"wave\": 0, \"allowed\": {allowed}, \"width\": {width}, \
             \"succeeded\": 0, \"failed\": 0, \"skipped\": 0, \"held\": 0, \"failing\": []}} )",
            items = plan.items(&self.step.path),
            allowed = plan.allowed,
            width = plan.width,
        )
    }

    /// Where the next wave begins, in JSONata.
    const FROM: &'static str = "$from := $work.wave = 0 ? 0 : $work.ends[$work.wave - 1]";

    /// Whether there is anything to do at all.
    fn check(&self, flow: &mut Flow) {
        let none = match &self.plan.over {
            Items::Nodes { nodes, .. } => {
                let cause = format!(
                    "no managed node was listed for this step when the run started: none has {}, or the execution was not started by Windlass",
                    nodes.describe()
                );
                let failure = json!({ "step": self.step.path, "error": "Windlass.NoTargets", "cause": cause });
                let failure = expression(&format!("$merge([$work, {{\"failure\": {failure}}}])"));
                Rule::new("$work.total = 0", self.name("failed")).assigning(assign([("work", json!(failure))]))
            }
            Items::List(_) => Rule::new("$work.total = 0", self.name("done")),
        };
        flow.add(&self.step.path, "check", State::Choice { rules: vec![none], default: self.map_name() });
    }

    fn map_name(&self) -> String {
        self.name(&format!("{}s", self.plan.word()))
    }

    fn map(&self, flow: &mut Flow) {
        let plan = self.plan;
        let items = format!(
            "( {}; $all := {}; [$all[[$from..$work.ends[$work.wave] - 1]]] )",
            Self::FROM,
            plan.items(&self.step.path)
        );
        let mut selector = Map::new();
        for (name, code) in [("params", "$params"), ("run", "$run")] {
            selector.insert(name.into(), json!(expression(code)));
        }
        if flow.plugins > 0 {
            selector.insert("document".into(), json!("{% $document %}"));
        }
        match plan.over {
            Items::Nodes { .. } => selector.insert("node".into(), json!("{% $states.context.Map.Item.Value %}")),
            Items::List(_) => {
                selector.insert("index".into(), json!("{% $states.context.Map.Item.Value.id %}"));
                selector.insert("item".into(), json!("{% $states.context.Map.Item.Value.item %}"))
            }
        };
        if !plan.one_by_one() {
            let limit = "$work.width = 1 ? null : $work.allowed - $work.failed";
            selector.insert("limit".into(), json!(expression(limit)));
        }
        selector.extend(plan.handed.iter().map(|(key, code)| (key.clone(), json!(expression(code)))));
        let raised = format!("{{\"failure\": {}}}", told(&self.step.path, "$states.errorOutput"));
        let catch = vec![
            Catch {
                errors: vec!["States.ExceedToleratedFailureThreshold"],
                assign: assign([("work", merged("{\"exceeded\": true}"))]),
                next: self.name("ask"),
            },
            Catch {
                errors: vec!["States.ALL"],
                assign: assign([("work", merged(&raised))]),
                next: self.name("failed"),
            },
        ];
        let processor = self.child(flow);
        let state = DistributedMap {
            label: names::label(&self.step.path),
            items: expression(&items),
            selector: Value::Object(selector),
            max_concurrency: json!(expression("$work.width")),
            tolerated_failures: json!(expression(
                "$work.width = 1 ? $max([0, $work.allowed - $work.failed]) : $work.total"
            )),
            processor,
            assign: assign([("work", merged("{\"results\": [$states.result]}"))]),
            output: json!({}),
            catch,
            next: self.name("tally"),
        };
        flow.states.push((self.map_name(), State::Map(Box::new(state))));
    }

    /// Adds a wave up. A child that failed has put nothing out.
    fn tally(&self, flow: &mut Flow) {
        let named = if self.plan.word() == "node" {
            "{\"id\": $n.id, \"name\": $n.name, \"status\": \"Failed\"}"
        } else {
            "{\"id\": $n.id, \"name\": \"item \" & $n.id, \"status\": \"Failed\"}"
        };
        let code = format!(
            "( {from}; $all := {items}; $these := [$all[[$from..$work.ends[$work.wave] - 1]]]; \
             $of := function($status) {{ $count($work.results[status = $status]) }}; \
             $ended := $count($work.results) = 0 ? {{}} : $merge([$map($work.results, function($r) {{ {{$r.id: true}} }})]); \
             $lost := [$filter($these, function($n) {{ $not($exists($lookup($ended, $n.id))) }})]; \
             $merge([$work, {{\"results\": [], \"succeeded\": $work.succeeded + $of(\"Succeeded\"), \"skipped\": $work.skipped + $of(\"Skipped\"), \
             \"held\": $work.held + $of(\"NotStarted\"), \"failed\": $work.failed + $count($lost), \
             \"failing\": [$append($work.failing, [$map($lost, function($n) {{ {named} }})])[[0..{last}]]]}}]) )",
            from = Self::FROM,
            items = self.plan.items(&self.step.path),
            last = NAMED - 1
        );
        let tally = State::Pass {
            assign: assign([("work", json!(expression(&code)))]),
            output: json!({}),
            next: self.name("next"),
        };
        flow.add(&self.step.path, "tally", tally);
        let further = assign([("work", merged("{\"wave\": $work.wave + 1}"))]);
        let mut rules = vec![Rule::new("$work.failed > $work.allowed", self.name("ask"))];
        let mut late = self.step.deadlines.clone();
        late.extend(self.plan.limit.seconds.map(|_| names::variable("deadline", &self.step.path)));
        if !late.is_empty() {
            let cause = "the step's time had run out before all were done";
            let failure = json!({ "step": self.step.path, "error": "Windlass.TimedOut", "cause": cause });
            let failure = expression(&format!("$merge([$work, {{\"failure\": {failure}}}])"));
            let condition =
                format!("$millis() >= {} and ($work.held > 0 or $work.wave + 1 < $count($work.ends))", soonest(&late));
            rules.push(Rule::new(&condition, self.name("failed")).assigning(assign([("work", json!(failure))])));
        }
        let pause = match &self.plan.over {
            Items::Nodes { pause, .. } => *pause,
            Items::List(_) => None,
        };
        let next = if pause.is_some() { self.name("pause") } else { self.map_name() };
        rules.push(Rule::new("$work.wave + 1 < $count($work.ends)", next).assigning(further));
        flow.add(&self.step.path, "next", State::Choice { rules, default: self.name("done") });
        if let Some(seconds) = pause {
            flow.add(&self.step.path, "pause", State::Wait { seconds: json!(seconds), next: self.map_name() });
        }
    }

    /// Asks what failed, for the one error that the step has. Where that cannot be had it fails without.
    fn blame(&self, flow: &mut Flow) {
        let label = names::label(&self.step.path);
        let newest = format!(
            "( $mine := [$states.result.MapRuns[$contains(MapRunArn, {})]]; \
             $merge([$work, {{\"mapRun\": $sort($mine, function($a, $b) {{ $a.StartDate < $b.StartDate }})[0].MapRunArn}}]) )",
            quoted(&format!("/{label}:"))
        );
        let counted = "$work.exceeded ? $merge([$work, {\"failed\": $work.failed + $states.result.ItemCounts.Failed + $states.result.ItemCounts.TimedOut, \
                       \"succeeded\": $work.succeeded + $states.result.ItemCounts.Succeeded}]) : $work";
        let first = "$merge([$work, {\"child\": $states.result.Executions[0].ExecutionArn}])";
        let told = format!(
            "( $node := $parse($states.result.Input).node; $merge([$work, {{\"why\": $merge([$exists($node) ? {{\"node\": $node.name & \" (\" & $node.id & \")\"}} : {{}}, {}])}}]) )",
            told_of(&self.step.path)
        );
        let steps = [
            (
                "ask",
                "listMapRuns",
                json!({ "ExecutionArn": "{% $states.context.Execution.Id %}" }),
                newest.as_str(),
                "count",
            ),
            ("count", "describeMapRun", json!({ "MapRunArn": "{% $work.mapRun %}" }), counted, "find"),
            (
                "find",
                "listExecutions",
                json!({ "MapRunArn": "{% $work.mapRun %}", "StatusFilter": "FAILED", "MaxResults": 1 }),
                first,
                "why",
            ),
            ("why", "describeExecution", json!({ "ExecutionArn": "{% $work.child %}" }), told.as_str(), "blame"),
        ];
        for (part, action, arguments, code, next) in steps {
            let task = Task {
                resource: flow.integration(&format!("aws-sdk:sfn:{action}")),
                arguments,
                assign: assign([("work", json!(expression(code)))]),
                output: json!({}),
                timeout: None,
                retry: patience(),
                catch: vec![Catch { errors: vec!["States.ALL"], assign: nothing(), next: self.name("blame") }],
                next: self.name(next),
            };
            flow.add(&self.step.path, part, State::Task(task));
        }
        let word = self.plan.word();
        let cause = format!(
            "$string($work.failed) & \" of \" & $string($work.total) & \" {word}s failed, \" & $string($work.allowed) & \" may\" \
             & ($exists($w.cause) ? \"; \" & ($exists($w.node) ? $w.node & \": \" : \"\") & $w.error & \": \" & $w.cause : \"\")"
        );
        let failure = format!(
            "( $w := $exists($work.why) ? $work.why : {{}}; $merge([$work, {{\"failure\": $merge([\
             {{\"step\": {path}, \"error\": \"States.ExceedToleratedFailureThreshold\"}}, $w, {{\"cause\": {cause}}}])}}]) )",
            path = quoted(&self.step.path)
        );
        let blame = State::Pass {
            assign: assign([("work", json!(expression(&failure)))]),
            output: json!({}),
            next: self.name("failed"),
        };
        flow.add(&self.step.path, "blame", blame);
    }
}

/// What failed in a child, from its description.
fn told_of(path: &str) -> String {
    told(path, "$states.result")
}
