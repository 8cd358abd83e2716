//! Judging: whether the step succeeded, and if not, with which error.

use serde_json::json;

use super::super::super::asl::{Rule, State, assign, quoted};
use super::super::super::flow::Flow;
use super::{States, merged};

/// Failed nodes that a cause names.
const NAMED: usize = 5;

impl States<'_> {
    pub(super) fn judge(&self, flow: &mut Flow) {
        let well = "$work.past.total + $work.total > 0 and $work.failed = 0 and $work.raw = false and $not($exists($work.failure))";
        let rules = vec![Rule::new(well, self.name("done"))];
        flow.add(&self.step.path, "judge", State::Choice { rules, default: self.name("blame") });
        // A failure that stands already is why the step fails; what the nodes tell only adds the node.
        let failure =
            format!("{{\"failure\": $merge([{}, $exists($work.failure) ? $work.failure : {{}}])}}", self.blame());
        let blame =
            State::Pass { assign: assign([("work", merged(&failure))]), output: json!({}), next: self.name("failed") };
        flow.add(&self.step.path, "blame", blame);
    }

    fn blame(&self) -> String {
        let path = quoted(&self.step.path);
        let nobody = if self.plan.frozen {
            quoted("no nodes were listed when the run started")
        } else {
            quoted(&format!("no managed node has {}", self.plan.nodes.describe()))
        };
        format!(
            "( $bad := [$work.nodes[status != \"Success\" or invalid = true]]; \
             $has := function($words) {{ $count($bad[status in $words]) > 0 }}; \
             $called := function($n) {{ $n.name != \"\" ? $n.name & \" (\" & $n.id & \")\" : $n.id }}; \
             $said := function($n) {{ $called($n) & \": \" & ($n.invalid = true ? \"not JSON\" : $n.status) \
             & ($n.status = \"Failed\" and $exists($n.exitCode) ? \", exit code \" & $string($n.exitCode) : \"\") }}; \
             $named := $join([$map([$bad[[0..{last}]]], $said)], \"; \") & ($work.failed > {NAMED} ? \"; …\" : \"\"); \
             $all := $work.past.total + $work.total; $unsent := $count($work.left); \
             $e := $all = 0 ? \"Windlass.NoTargets\" \
             : $has([\"Failed\"]) ? \"Windlass.ExitCode\" \
             : $work.raw or $count($bad[invalid = true]) > 0 ? \"Windlass.InvalidOutput\" \
             : $has([\"ExecutionTimedOut\", \"TimedOut\"]) ? \"Windlass.TimedOut\" \
             : $has([\"AccessDenied\"]) ? \"Windlass.AccessDenied\" \
             : $has([\"Cancelled\", \"Canceled\", \"Cancelling\"]) ? \"Windlass.Cancelled\" \
             : \"Windlass.NodeUnreachable\"; \
             $c := $all = 0 ? {nobody} \
             : $work.failed = 0 ? \"the output of one of \" & $string($all) & \" nodes is not JSON\" \
             : $string($work.failed) & \" of \" & $string($all + $unsent) & \" nodes failed: \" & $named \
             & ($unsent > 0 ? \"; \" & $string($unsent) & \" of them were not sent to after that\" : \"\"); \
             $merge([{{\"step\": {path}, \"error\": $e, \"cause\": $c}}, \
             $count($bad) > 0 ? {{\"node\": $called($bad[0])}} : $work.total = 1 ? {{\"node\": $called($work.nodes[0])}} : {{}}]) )",
            last = NAMED - 1
        )
    }
}
