//! Waiting until the command has ended, and cancelling it when it takes too long.

use serde_json::json;

use super::super::super::asl::{Catch, Rule, State, Task, assign, expression};
use super::super::super::flow::{Flow, soonest};
use super::{GRACE, States, merged, patience};

/// Seconds between cancelling and reading what became of it, or between two looks at invocations that are not all there yet.
const LAG: u64 = 5;

impl States<'_> {
    pub(super) fn poll(&self, flow: &mut Flow) {
        let path = &self.step.path;
        let limit = self.plan.timeout + GRACE;
        let mut bounds = vec![longest_pause(limit).to_string(), "$floor($work.elapsed / 8)".to_owned()];
        bounds.push(format!("{limit} - $work.elapsed"));
        if !self.step.deadlines.is_empty() {
            bounds.push(format!("$ceil(({} - $millis()) / 1000)", soonest(&self.step.deadlines)));
        }
        let seconds = expression(&format!("$max([2, $min([{}])])", bounds.join(", ")));
        flow.add(path, "wait", State::Wait { seconds: json!(seconds), next: self.name("poll") });

        let seen = "( $c := $states.result.Commands[0]; $merge([$work, {\
                    \"elapsed\": $floor(($millis() - $work.started) / 1000), \
                    \"status\": $exists($c.Status) ? $c.Status : \"Pending\", \
                    \"targets\": $exists($c.TargetCount) ? $c.TargetCount : 0}]) )";
        // For whoever looks on: ended nodes are no proof of anything, and only shown while the step runs.
        let counts = "( $c := $states.result.Commands[0]; $n := function($v) { $exists($v) ? $v : 0 }; \
                      $bad := $n($c.ErrorCount) + $n($c.DeliveryTimedOutCount); \
                      {\"total\": $work.past.total + $n($c.TargetCount) + $count($work.left), \
                      \"succeeded\": $work.past.succeeded + $max([0, $n($c.CompletedCount) - $bad]), \"failed\": $bad} )";
        let shown = json!({
            "status": "{% $exists($states.result.Commands[0].Status) ? $states.result.Commands[0].Status : null %}",
            "counts": expression(counts),
        });
        let task = Task {
            resource: flow.systems_manager("listCommands"),
            arguments: json!({ "CommandId": "{% $work.commandId %}" }),
            assign: assign([("work", json!(expression(seen)))]),
            output: shown,
            timeout: None,
            retry: patience(),
            // A command that cannot be watched must not run on unwatched.
            catch: vec![self.caught("cancel")],
            next: self.name("check"),
        };
        flow.add(path, "poll", State::Task(task));
        self.check(flow, limit);
        self.cancel(flow);
        flow.add(path, "lag", State::Wait { seconds: json!(LAG), next: self.name("collect") });
    }

    fn check(&self, flow: &mut Flow, limit: u64) {
        let ended = "$not($work.status in [\"Pending\", \"InProgress\", \"Delayed\", \"Cancelling\"])";
        let mut rules = vec![Rule::new(ended, self.name("collect"))];
        let mut late = |condition: &str, cause: &str| {
            let failure = json!({ "step": self.step.path, "error": "Windlass.TimedOut", "cause": cause });
            let failure = expression(&format!("$merge([$work, {{\"failure\": {failure}}}])"));
            rules.push(Rule::new(condition, self.name("cancel")).assigning(assign([("work", json!(failure))])));
        };
        let own = format!("the command had not ended {} s after it was sent, and was cancelled", self.plan.timeout);
        late(&format!("$work.elapsed >= {limit}"), &own);
        if !self.step.deadlines.is_empty() {
            late(
                &format!("$millis() >= {}", soonest(&self.step.deadlines)),
                "the call that this step is inside of has run longer than its timeout, and the command was cancelled",
            );
        }
        flow.add(&self.step.path, "check", State::Choice { rules, default: self.name("wait") });
    }

    /// Stops what still runs on nodes. What became of it is read all the same.
    fn cancel(&self, flow: &mut Flow) {
        let lag = self.name("lag");
        let task = Task {
            resource: flow.systems_manager("cancelCommand"),
            arguments: json!({ "CommandId": "{% $work.commandId %}" }),
            assign: assign([("work", merged("{\"cancelled\": true}"))]),
            output: json!({}),
            timeout: None,
            retry: patience(),
            catch: vec![Catch {
                errors: vec!["States.ALL"],
                assign: assign([("work", merged("{\"cancelled\": false}"))]),
                next: lag.clone(),
            }],
            next: lag,
        };
        flow.add(&self.step.path, "cancel", State::Task(task));
    }
}

/// Most polls within some seconds.
pub(super) fn polls(limit: u64) -> u64 {
    let (mut elapsed, mut count) = (0, 1);
    while elapsed < limit {
        // An eighth of what has passed, two seconds at least, and never so few that the history runs out.
        elapsed += (elapsed / 8).clamp(2, longest_pause(limit));
        count += 1;
    }
    count
}

fn longest_pause(limit: u64) -> u64 {
    (limit / 240).max(60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_are_few_and_bounded() {
        for (seconds, count) in [(60, 25), (600, 42), (3600, 92), (12 * 3600, 282), (48 * 3600, 294)] {
            let polls = polls(seconds + GRACE);
            assert!(polls.abs_diff(count) <= 2, "{seconds} s: {polls}");
        }
    }
}
