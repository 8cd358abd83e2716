//! `parallel`: a Parallel state.
//!
//! Steps of a branch have variables of their own, which end with it: a branch puts out what later expressions use of its steps' results. A branch that fails says so
//! in the cause of a Fail state, which stops the others, or in what it puts out, which does not.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::containers::{OnBranchFailure, ParallelView};

use super::super::asl::{Assign, Catch, Inner, Parallel, Rule, State, assign, expression, quoted};
use super::super::expressions::{Entry, export};
use super::super::flow::{Exits, Flow, told};
use super::super::names;
use super::super::tree::{Action, Context, Limit, Reader, Step, unset};

/// A `parallel` step, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan<'a> {
    /// The branches.
    pub(in super::super) branches: Vec<Branch<'a>>,
    on_failure: OnBranchFailure,
    limit: Limit,
}

/// A branch.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Branch<'a> {
    /// Its steps.
    pub(in super::super) steps: Vec<Step<'a>>,
    /// What their results have.
    pub(in super::super) entries: BTreeMap<String, Entry>,
}

pub(in super::super) fn read<'a>(
    reader: &mut Reader<'a>,
    context: &Context<'_, 'a>,
    step: &ParallelView<'a>,
) -> (Option<Action<'a>>, Entry) {
    let names = step.branches.iter().map(|(name, _)| name.0.as_str());
    reader.unique(names, &format!("{}.parallel.branches", context.at), "branch");
    let fields = vec!["error", "cause", "skipped"];
    let mut entry = Entry { fields, embedded: true, ..Entry::default() };
    let mut branches = Vec::new();
    for (index, (_, body)) in step.branches.iter().enumerate() {
        let at = format!("{}.parallel.branches[{index}]", context.at);
        let (steps, entries) = reader.body(context, *body, &at, context.inside());
        reader.join(context, &at, &mut entry.inner, entries.clone());
        branches.push(Branch { steps, entries });
    }
    (Some(Action::Parallel(Plan { branches, on_failure: step.on_branch_failure, limit: context.limit() })), entry)
}

/// Lays out the states.
pub(in super::super) fn lay_out(flow: &mut Flow, step: &Step<'_>, plan: &Plan<'_>, exits: &Exits<'_>) {
    let name = |part: &str| names::state(&step.path, part);
    let fresh = |extra: u64| -> Assign { plan.limit.until(&step.path, extra).into_iter().collect() };
    let run = name("branches");
    flow.begin(step, fresh(0), &run);
    let goes_on = plan.on_failure == OnBranchFailure::Continue;
    let branches =
        plan.branches.iter().enumerate().map(|(index, branch)| self::branch(flow, step, plan, index + 1, branch));
    let branches: Vec<Inner> = branches.collect();
    let raised = expression(&format!("{{\"failure\": {}}}", told(&step.path, "$states.errorOutput")));
    let state = Parallel {
        branches,
        assign: assign([("work", json!({ "branches": "{% [$states.result] %}" }))]),
        output: json!({}),
        catch: vec![Catch {
            errors: vec!["States.ALL"],
            assign: assign([("work", json!(raised))]),
            next: name("failed"),
        }],
        next: if goes_on { name("judge") } else { name("done") },
    };
    flow.add(&step.path, "branches", State::Parallel(state));
    if goes_on {
        let blame = assign([(
            "work",
            json!("{% $merge([$work, {\"failure\": $work.branches[$exists(failure)][0].failure}]) %}"),
        )]);
        let rule = Rule::new("$exists($work.branches.failure)", name("failed")).assigning(blame);
        flow.add(&step.path, "judge", State::Choice { rules: vec![rule], default: name("done") });
    }
    let steps = json!("{% $exists($work.branches) ? $merge($work.branches.steps) : {} %}");
    flow.failed_again(step, &[("steps", steps.clone())], &run, &fresh, exits);
    flow.done(step, json!({ "skipped": false, "steps": steps }), &[], exits.next);
}

fn branch(flow: &mut Flow, step: &Step<'_>, plan: &Plan<'_>, number: usize, branch: &Branch<'_>) -> Inner {
    let name = |part: &str| names::state(&step.path, &format!("branch {number}{part}"));
    let names = flow.names.clone().owning("work", names::variable(&format!("work{number}"), &step.path));
    flow.inner(name(""), names, |flow| {
        let (ended, failed) = (name(" ended"), name(" failed"));
        let mut fresh = unset(&branch.steps);
        fresh.insert("work".into(), json!({}));
        let first = branch.steps.first().map_or_else(|| ended.clone(), Flow::entry);
        flow.states.push((name(""), State::Pass { assign: fresh, output: json!({}), next: first }));
        flow.list(&branch.steps, &Exits { next: &ended, failed: Some(&failed) });
        let used = flow.uses.of(&names::variable("steps", &step.path));
        let steps = handed_out(&branch.entries, &used);
        flow.states.push((ended, State::Succeed { output: json!({ "steps": steps }) }));
        let end = match plan.on_failure {
            OnBranchFailure::Continue => {
                State::Succeed { output: json!({ "steps": steps, "failure": "{% $work.failure %}" }) }
            }
            OnBranchFailure::Stop => super::super::flow::tell("$work.failure"),
        };
        flow.states.push((failed, end));
    })
}

/// What is used of the results of a branch's steps. `used` is what is used of the step around them.
fn handed_out(entries: &BTreeMap<String, Entry>, used: &[Vec<String>]) -> Value {
    let steps = entries.iter().map(|(name, entry)| {
        let inner = used_of(name, used);
        format!("{}: {}", quoted(name), export(&format!("${}", entry.variable), entry, &inner))
    });
    json!(expression(&format!("{{{}}}", steps.collect::<Vec<_>>().join(", "))))
}

/// What is used of the step `name` inside of a step, from what is used of that.
pub(in super::super) fn used_of(name: &str, used: &[Vec<String>]) -> Vec<Vec<String>> {
    let inner = used.iter().filter_map(|used| match used.as_slice() {
        [] => Some(Vec::new()),
        [steps] if steps == "steps" => Some(Vec::new()),
        [steps, first, rest @ ..] if steps == "steps" && first == name => Some(rest.to_vec()),
        _ => None,
    });
    inner.collect()
}

/// Most events of history of one try, without the steps inside of it: `begin`, the Parallel state, `judge`, `done`, and two for each branch.
pub(in super::super) fn events(plan: &Plan<'_>) -> u64 {
    10 + 4 * u64::try_from(plan.branches.len()).unwrap_or(0)
}
