//! The states of a child.

use serde_json::json;

use crate::api::iteration::Offline;

use super::super::super::asl::{Assign, Catch, Inner, Names, Rule, State, Task, assign, expression, quoted};
use super::super::super::flow::{Exits, Flow, soonest, tell};
use super::super::super::names;
use super::super::super::tree::unset;
use super::super::powershell::patience;
use super::parent::States;
use super::{Items, merged};

/// The longest that a node is waited for, in seconds.
const PATIENCE: u64 = 86_400;
/// Most looks within that time: an eighth of what has passed apart, 15 seconds at least, five minutes at most.
pub(super) const LOOKS: u64 = 320;

impl States<'_> {
    fn part(&self, part: &str) -> String {
        self.name(&format!("{} {part}", self.plan.word()))
    }

    pub(super) fn child(&self, flow: &mut Flow) -> Inner {
        let (path, plan) = (&self.step.path, self.plan);
        let given = names::variable("given", path);
        let read = |names: Names, name: &'static str| names.reading(name, format!("${given}.{name}"));
        let mut names = Names::default().owning("work", names::variable("work", path));
        for name in ["params", "run", "document", "nodes"] {
            names = read(names, name);
        }
        // What is there around it, too, is handed on.
        for name in ["node", "item"] {
            names = read(names, name);
        }
        let first = self.name(plan.word());
        flow.inner(first.clone(), names, |flow| {
            let mut fresh = if plan.program.finally.is_empty() {
                unset(&plan.program.steps)
            } else {
                super::ends(self.step, plan).fresh()
            };
            fresh.insert(given.clone(), json!("{% $states.input %}"));
            fresh.insert("work".into(), json!(expression("{\"began\": $millis()}")));
            let shown = match plan.over {
                Items::Nodes { .. } => {
                    json!({ "node": "{% {\"id\": $states.input.node.id, \"name\": $states.input.node.name} %}" })
                }
                Items::List(_) => json!({ "item": "{% $states.input.index %}" }),
            };
            let steps = self.entry();
            let reach = self.reach(flow, &given, &steps);
            let next = self.gate(flow, &given, &reach);
            flow.states.push((first, State::Pass { assign: fresh, output: shown, next }));
            self.steps(flow, &given);
        })
    }

    /// The state that the steps begin with.
    fn entry(&self) -> String {
        if self.plan.program.finally.is_empty() {
            self.plan.program.steps.first().map_or_else(|| self.part("ended"), Flow::entry)
        } else {
            super::ends(self.step, self.plan).entry()
        }
    }

    fn steps(&self, flow: &mut Flow, given: &str) {
        let (ended, failed) = (self.part("ended"), self.part("failed"));
        flow.states.push((ended.clone(), self.output(given, "Succeeded")));
        if self.plan.program.finally.is_empty() {
            flow.list(&self.plan.program.steps, &Exits { next: &ended, failed: Some(&failed) });
            flow.states.push((failed, tell("$work.failure")));
        } else {
            let ends = super::ends(self.step, self.plan);
            ends.lay_out(flow);
            flow.states.push((failed, tell(&ends.failure())));
        }
    }

    fn output(&self, given: &str, status: &str) -> State {
        let id = if self.plan.word() == "node" { format!("${given}.node.id") } else { format!("${given}.index") };
        State::Succeed { output: json!({ "id": expression(&id), "status": status }) }
    }

    /// Lets no child begin once too many have failed, or the time has run out; gives the state to begin with.
    fn gate(&self, flow: &mut Flow, given: &str, next: &str) -> String {
        let plan = self.plan;
        let held = self.part("held");
        let deadlines = plan.program.steps.first().map_or_else(Vec::new, |step| step.deadlines.clone());
        let late =
            (!deadlines.is_empty()).then(|| Rule::new(&format!("$millis() >= {}", soonest(&deadlines)), held.clone()));
        if plan.one_by_one() && late.is_none() {
            return next.to_owned();
        }
        let gate = self.part("gate");
        flow.states.push((held.clone(), self.output(given, "NotStarted")));
        let mut rules: Vec<Rule> = late.into_iter().collect();
        if plan.one_by_one() {
            flow.states.push((gate.clone(), State::Choice { rules, default: next.to_owned() }));
            return gate;
        }
        rules.push(Rule::new(&format!("${given}.limit = null"), next));
        flow.states.push((gate.clone(), State::Choice { rules, default: self.part("asks") }));
        let failed = "$merge([$work, {\"failed\": $states.result.ItemCounts.Failed + $states.result.ItemCounts.TimedOut + $states.result.ItemCounts.Aborted}])";
        let asks = [
            (
                "asks",
                "describeExecution",
                json!({ "ExecutionArn": "{% $states.context.Execution.Id %}" }),
                "$merge([$work, {\"mapRun\": $states.result.MapRunArn}])",
                "counts",
            ),
            ("counts", "describeMapRun", json!({ "MapRunArn": "{% $work.mapRun %}" }), failed, "may"),
        ];
        for (part, action, arguments, code, next) in asks {
            let task = Task {
                resource: flow.integration(&format!("aws-sdk:sfn:{action}")),
                arguments,
                assign: assign([("work", json!(expression(code)))]),
                output: json!({}),
                timeout: None,
                retry: patience(),
                catch: vec![self.raised()],
                next: self.part(next),
            };
            flow.states.push((self.part(part), State::Task(task)));
        }
        let over = Rule::new(&format!("$work.failed > ${given}.limit"), held);
        flow.states.push((self.part("may"), State::Choice { rules: vec![over], default: next.to_owned() }));
        gate
    }

    /// What a call before the steps raised fails the child.
    fn raised(&self) -> Catch {
        let failure = format!(
            "{{\"failure\": {{\"step\": {}, \"error\": $states.errorOutput.Error, \"cause\": $exists($states.errorOutput.Cause) ? $states.errorOutput.Cause : \"\"}}}}",
            quoted(&self.step.path)
        );
        Catch { errors: vec!["States.ALL"], assign: assign([("work", merged(&failure))]), next: self.part("unable") }
    }

    /// Looks whether the node is there, where the manifest says what else to do; gives the state to begin with.
    fn reach(&self, flow: &mut Flow, given: &str, next: &str) -> String {
        let offline = match &self.plan.over {
            Items::Nodes { offline, .. } => *offline,
            Items::List(_) => Offline::Fail,
        };
        if !self.plan.one_by_one() || offline != Offline::Fail {
            // Before the steps have begun there is nothing to put right at the end.
            flow.states.push((self.part("unable"), tell("$work.failure")));
        }
        if offline == Offline::Fail {
            return next.to_owned();
        }
        let look = self.part("look");
        let seen = "$merge([$work, {\"ping\": $exists($states.result.InstanceInformationList[0].PingStatus) ? $states.result.InstanceInformationList[0].PingStatus : \"none\"}])";
        let task = Task {
            resource: flow.systems_manager("describeInstanceInformation"),
            arguments: json!({ "Filters": [{ "Key": "InstanceIds", "Values": [expression(&format!("${given}.node.id"))] }] }),
            assign: assign([("work", json!(expression(seen)))]),
            output: json!({}),
            timeout: None,
            retry: patience(),
            catch: vec![self.raised()],
            next: self.part("seen"),
        };
        flow.states.push((look.clone(), State::Task(task)));
        let mut rules = vec![Rule::new("$work.ping = \"Online\"", next)];
        let otherwise = if offline == Offline::Skip {
            flow.states.push((self.part("skipped"), self.output(given, "Skipped")));
            self.part("skipped")
        } else {
            rules.push(self.given_up());
            let seconds = "$max([15, $min([300, $floor(($millis() - $work.began) / 8000)])])";
            let wait = State::Wait { seconds: json!(expression(seconds)), next: look.clone() };
            flow.states.push((self.part("waits"), wait));
            self.part("waits")
        };
        flow.states.push((self.part("seen"), State::Choice { rules, default: otherwise }));
        look
    }

    fn given_up(&self) -> Rule {
        let cause = "the node did not come back in the time that there was";
        let failure = json!({ "step": self.step.path, "error": "Windlass.NodeUnreachable", "cause": cause });
        let failure = expression(&format!("$merge([$work, {{\"failure\": {failure}}}])"));
        let mut late = format!("$millis() - $work.began >= {}", PATIENCE * 1000);
        if let Some(step) = self.plan.program.steps.first().filter(|step| !step.deadlines.is_empty()) {
            late = format!("{late} or $millis() >= {}", soonest(&step.deadlines));
        }
        Rule::new(&late, self.part("unable")).assigning(Assign::from_iter([("work".to_owned(), json!(failure))]))
    }
}
