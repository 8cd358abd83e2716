//! What runs whatever happens: `onFailure` and `finally` of a workflow, `finally` of each node.
//!
//! The steps run as the only branch of a Parallel state, since a Parallel state has what no state machine has: a Catch for whatever goes wrong in it, an
//! expression that fails among it. The branch itself ends well when a step has failed, so that what its steps gave is not lost.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::asl::{Assign, Catch, Parallel, Rule, State, assign, expression, quoted};
use super::expressions::{Entry, Uses, export};
use super::flow::{Exits, Flow, raisable, told};
use super::names;
use super::tree::{Program, Step, unset};

/// The variable that the results of a workflow's steps are in, once they have ended.
pub(super) const GUARDED: &str = "guarded";
/// The variable whose field `failure` says what failed, when something did.
pub(super) const OUTCOME: &str = "outcome";

/// Steps, and what runs after them whatever they did.
pub(super) struct Ends<'e, 'a> {
    steps: &'e [Step<'a>],
    entries: &'e BTreeMap<String, Entry>,
    on_failure: &'e [Step<'a>],
    finally: &'e [Step<'a>],
    /// The step that all this is inside of, and what its states' names begin with; none for a workflow.
    around: Option<(&'e str, &'static str)>,
    /// What the branch puts out beside results.
    summary: Value,
    /// The states that follow.
    next: String,
    failed: String,
}

/// The ends of a workflow: they lead to `end` or `failed`.
pub(super) fn of_workflow<'e, 'a>(program: &'e Program<'a>, summary: Value) -> Ends<'e, 'a> {
    Ends {
        steps: &program.steps,
        entries: &program.entries,
        on_failure: &program.on_failure,
        finally: &program.finally,
        around: None,
        summary,
        next: "end".into(),
        failed: "failed".into(),
    }
}

/// The ends of a child of the step at `path`, for one `word`: they lead to its states `ended` and `failed`.
pub(super) fn of_child<'e, 'a>(program: &'e Program<'a>, path: &'e str, word: &'static str) -> Ends<'e, 'a> {
    Ends {
        steps: &program.steps,
        entries: &program.entries,
        on_failure: &[],
        finally: &program.finally,
        around: Some((path, word)),
        summary: json!({}),
        next: names::state(path, &format!("{word} ended")),
        failed: names::state(path, &format!("{word} failed")),
    }
}

impl Ends<'_, '_> {
    /// What failed, in JSONata.
    pub(super) fn failure(&self) -> String {
        format!("${}.failure", self.variable(OUTCOME))
    }

    fn name(&self, part: &str) -> String {
        self.around.map_or_else(|| part.to_owned(), |(path, word)| names::state(path, &format!("{word} {part}")))
    }

    fn variable(&self, kind: &str) -> String {
        self.around.map_or_else(|| kind.to_owned(), |(path, _)| names::variable(kind, path))
    }

    /// The state to begin with.
    pub(super) fn entry(&self) -> String {
        self.name("steps")
    }

    /// Variables to assign before.
    pub(super) fn fresh(&self) -> Assign {
        let mut fresh = unset(self.on_failure);
        fresh.extend(unset(self.finally));
        fresh.insert(self.variable(OUTCOME), json!({}));
        fresh.insert(self.variable(GUARDED), json!({}));
        fresh
    }

    /// What the steps came to, for the output.
    pub(super) fn summary(&self) -> Value {
        let guarded = self.variable(GUARDED);
        json!({ "steps": expression(&format!("$exists(${guarded}.summary) ? ${guarded}.summary : {{}}")) })
    }

    /// The state that ends the execution with what failed.
    pub(super) fn fail(&self) -> State {
        let outcome = self.variable(OUTCOME);
        State::Fail {
            error: expression(&raisable(&format!("${outcome}.failure"))),
            cause: expression(&format!("$substring(${outcome}.failure.cause, 0, 32000)")),
        }
    }

    /// Lays out the states.
    pub(super) fn lay_out(&self, flow: &mut Flow) {
        self.guard(flow);
        let outcome = self.variable(OUTCOME);
        let entry = |steps: &[Step<'_>], else_: &str| steps.first().map_or_else(|| else_.to_owned(), Flow::entry);
        let verdict = self.name("verdict");
        let finally = entry(self.finally, &verdict);
        let failing = format!("$exists(${outcome}.failure)");
        let rule = Rule::new(&failing, self.name("failure"));
        flow.states.push((self.name("outcome"), State::Choice { rules: vec![rule], default: finally.clone() }));
        // Whoever reads the history sees here which step the failure is of, whatever fails after it.
        let failure = State::Pass {
            assign: Assign::new(),
            output: json!({ "failure": expression(&format!("${outcome}.failure")) }),
            next: entry(self.on_failure, &finally),
        };
        flow.states.push((self.name("failure"), failure));
        // What fails in onFailure is reported and changes nothing: the workflow has failed already.
        flow.list(self.on_failure, &Exits { next: &finally, failed: Some(&finally) });
        let broken = self.name("finally failed");
        flow.list(self.finally, &Exits { next: &verdict, failed: Some(&broken) });
        let kept = expression(&format!("$merge([{{\"failure\": $work.failure}}, ${outcome}])"));
        let broken_off =
            State::Pass { assign: assign([(&outcome, json!(kept))]), output: json!({}), next: verdict.clone() };
        flow.states.push((broken, broken_off));
        let rule = Rule::new(&failing, self.failed.clone());
        flow.states.push((verdict, State::Choice { rules: vec![rule], default: self.next.clone() }));
    }

    fn guard(&self, flow: &mut Flow) {
        let (outcome, guarded) = (self.variable(OUTCOME), self.variable(GUARDED));
        let work = self.around.map_or_else(|| "work0".to_owned(), |(path, _)| names::variable("work0", path));
        let names = flow.names.clone().owning("work", work);
        let branch = flow.inner(self.name("begin"), names, |flow| {
            let (ended, broken) = (self.name("steps ended"), self.name("broken off"));
            let mut fresh = unset(self.steps);
            fresh.insert("work".into(), json!({}));
            let first = self.steps.first().map_or_else(|| ended.clone(), Flow::entry);
            flow.states.push((self.name("begin"), State::Pass { assign: fresh, output: json!({}), next: first }));
            flow.list(self.steps, &Exits { next: &ended, failed: Some(&broken) });
            let steps = kept(&guarded, self.entries, &flow.uses);
            let well = json!({ "steps": steps, "summary": self.summary });
            let failed = json!({ "steps": steps, "summary": self.summary, "failure": "{% $work.failure %}" });
            flow.states.push((ended, State::Succeed { output: well }));
            flow.states.push((broken, State::Succeed { output: failed }));
        });
        let raised = expression(&format!("{{\"failure\": {}}}", told("", "$states.errorOutput")));
        let state = Parallel {
            branches: vec![branch],
            assign: assign([
                (
                    &outcome,
                    json!(expression(
                        "$exists($states.result[0].failure) ? {\"failure\": $states.result[0].failure} : {}"
                    )),
                ),
                (
                    &guarded,
                    json!({ "steps": "{% $states.result[0].steps %}", "summary": "{% $states.result[0].summary %}" }),
                ),
            ]),
            output: json!({}),
            catch: vec![Catch {
                errors: vec!["States.ALL"],
                assign: assign([(&outcome, json!(raised))]),
                next: self.name("outcome"),
            }],
            next: self.name("outcome"),
        };
        flow.states.push((self.name("steps"), State::Parallel(state)));
    }
}

/// What is used of results once the steps have ended, in a variable.
fn kept(variable: &str, entries: &BTreeMap<String, Entry>, uses: &Uses) -> Value {
    let steps: Vec<String> = entries
        .iter()
        .filter_map(|(name, entry)| {
            let used = uses.of(&entry.within(variable, name).variable);
            let own = format!("${}", entry.variable);
            (!used.is_empty()).then(|| format!("{}: {}", quoted(name), export(&own, entry, &used)))
        })
        .collect();
    json!(expression(&format!("{{{}}}", steps.join(", "))))
}
