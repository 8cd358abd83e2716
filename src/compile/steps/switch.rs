//! `switch`: a Choice, and the states of its cases behind it.

use serde_json::{Value, json};

use crate::api::containers::SwitchView;
use crate::api::steps::Body;

use super::super::asl::{Assign, Rule, State, assign};
use super::super::expressions::Entry;
use super::super::flow::{Exits, Flow};
use super::super::names;
use super::super::tree::{Action, Context, Limit, Reader, Step, unset};

/// A `switch` step, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan<'a> {
    cases: Vec<Case<'a>>,
    limit: Limit,
}

#[derive(Clone, Debug, PartialEq)]
struct Case<'a> {
    /// None: what runs when no other does.
    name: Option<&'a str>,
    /// The JSONata that decides.
    when: String,
    /// The steps that run. None: those of an earlier case, which names the same block; its position.
    steps: Result<Vec<Step<'a>>, usize>,
}

impl<'a> Plan<'a> {
    /// The steps of each case.
    pub(in super::super) fn lists(&self) -> impl Iterator<Item = &[Step<'a>]> {
        self.cases.iter().filter_map(|case| case.steps.as_deref().ok())
    }
}

pub(in super::super) fn read<'a>(
    reader: &mut Reader<'a>,
    context: &Context<'_, 'a>,
    step: &SwitchView<'a>,
) -> (Option<Action<'a>>, Entry) {
    let mut entry = Entry { fields: vec!["case", "error", "cause", "skipped"], ..Entry::default() };
    let names: Vec<&str> = step.cases.iter().map(|(name, ..)| name.0.as_str()).collect();
    reader.unique(names.iter().copied(), &format!("{}.switch.cases", context.at), "case");
    let mut sound = true;
    let mut bodies = Vec::new();
    for (index, (name, when, body)) in step.cases.iter().enumerate() {
        let at = format!("{}.switch.cases[{index}]", context.at);
        let when = reader.condition(when, &format!("{at}.when"), context.scope);
        sound &= when.is_some();
        bodies.push((Some(name.0.as_str()), when.unwrap_or_default(), at, *body));
    }
    let default = step.default.map(|body| (None, "true".to_owned(), format!("{}.switch.default", context.at), body));
    let mut blocks: Vec<(&str, usize)> = Vec::new();
    let mut cases = Vec::new();
    for (index, (name, when, at, body)) in bodies.into_iter().chain(default).enumerate() {
        if let Body::Block(block) = body {
            if let Some((_, earlier)) = blocks.iter().find(|(name, _)| *name == block.0) {
                cases.push(Case { name, when, steps: Err(*earlier) });
                continue;
            }
            blocks.push((&block.0, index));
        }
        let (steps, inner) = reader.body(context, body, &at, context.inside());
        reader.join(context, &at, &mut entry.inner, inner);
        cases.push(Case { name, when, steps: Ok(steps) });
    }
    (sound.then(|| Action::Switch(Plan { cases, limit: context.limit() })), entry)
}

/// Lays out the states.
pub(in super::super) fn lay_out(flow: &mut Flow, step: &Step<'_>, plan: &Plan<'_>, exits: &Exits<'_>) {
    let (done, failed) = (names::state(&step.path, "done"), names::state(&step.path, "failed"));
    let choose = names::state(&step.path, "choose");
    let fresh = |extra: u64| -> Assign {
        let mut variables: Assign = plan.lists().flat_map(unset).collect();
        variables.extend(plan.limit.until(&step.path, extra));
        variables
    };
    flow.begin(step, fresh(0), &choose);
    let variable = names::variable("steps", &step.path);
    let chosen = |name: Option<&str>| assign([(&variable, json!({ "skipped": false, "case": name }))]);
    let mut firsts: Vec<String> = Vec::new();
    let mut rules = Vec::new();
    for case in &plan.cases {
        let first = match &case.steps {
            Ok(steps) => steps.first().map_or_else(|| done.clone(), Flow::entry),
            Err(earlier) => firsts.get(*earlier).cloned().unwrap_or_else(|| done.clone()),
        };
        firsts.push(first.clone());
        rules.push(Rule::new(&format!("({}) = true", case.when), first).assigning(chosen(case.name)));
    }
    // Where no case is for it, nothing runs.
    let none = names::state(&step.path, "none");
    flow.add(&step.path, "choose", State::Choice { rules, default: none });
    flow.add(&step.path, "none", State::Pass { assign: chosen(None), output: json!({}), next: done.clone() });
    for steps in plan.lists() {
        flow.list(steps, &Exits { next: &done, failed: Some(&failed) });
    }
    let case: Value = json!(format!("{{% ${variable}.case %}}"));
    flow.failed_again(step, &[("case", case.clone())], &choose, &fresh, exits);
    flow.done(step, json!({ "skipped": false, "case": case }), &[("case", case.clone())], exits.next);
}

/// Most events of history of one try, without the steps inside of it.
pub(in super::super) const EVENTS: u64 = 8;
