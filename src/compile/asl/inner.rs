//! States that hold states: Parallel and Map, and the variables of the scopes inside of them.
//!
//! States in a Parallel state read the variables around it and cannot assign them; those of a Distributed Map do not even see them. No variable of an inner scope
//! may have the name of one around it (Step Functions developer guide, "Variable scope"). [`Names`] lets whoever writes states forget about that.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Assign, Catch, State, put_assign, reachable};

/// States of a scope of their own.
#[derive(Clone, Debug, PartialEq)]
pub struct Inner {
    /// Name of the first state.
    pub start_at: String,
    /// The states, in the order in which they are written.
    pub states: Vec<(String, State)>,
}

/// Runs branches at the same time. Fails as soon as one does, and stops the others.
#[derive(Clone, Debug, PartialEq)]
pub struct Parallel {
    /// The branches.
    pub branches: Vec<Inner>,
    /// Variables to assign, from `$states.result`: an array of what the branches put out.
    pub assign: Assign,
    /// Output.
    pub output: Value,
    /// What to do with errors, tried in order.
    pub catch: Vec<Catch>,
    /// Next state.
    pub next: String,
}

/// Runs a child execution for each item. Standard child executions: each has a history of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct DistributedMap {
    /// Part of the children's ARNs: 40 characters at most.
    pub label: String,
    /// The items, an expression that gives an array.
    pub items: String,
    /// Input of a child.
    pub selector: Value,
    /// Most children at the same time, a number or an expression; 0 for as many as there are items.
    pub max_concurrency: Value,
    /// Failed children that do not fail the state, a number or an expression.
    pub tolerated_failures: Value,
    /// What a child runs.
    pub processor: Inner,
    /// Variables to assign, from `$states.result`: an array of what the children that succeeded put out.
    pub assign: Assign,
    /// Output.
    pub output: Value,
    /// What to do with errors, tried in order.
    pub catch: Vec<Catch>,
    /// Next state.
    pub next: String,
}

impl Inner {
    fn to_map(&self) -> Map<String, Value> {
        let mut inner = Map::new();
        inner.insert("StartAt".into(), json!(self.start_at));
        inner.insert("States".into(), reachable(&self.start_at, &self.states));
        inner
    }
}

impl Parallel {
    pub(super) fn to_value(&self) -> Value {
        let branches: Vec<Value> = self.branches.iter().map(|branch| Value::Object(branch.to_map())).collect();
        let mut state = super::of_type("Parallel");
        state.insert("Branches".into(), json!(branches));
        close(state, &self.assign, &self.output, &self.catch, &self.next)
    }
}

impl DistributedMap {
    pub(super) fn to_value(&self) -> Value {
        let mut processor =
            Map::from_iter([("ProcessorConfig".into(), json!({ "Mode": "DISTRIBUTED", "ExecutionType": "STANDARD" }))]);
        processor.extend(self.processor.to_map());
        let mut state = super::of_type("Map");
        state.insert("Label".into(), json!(self.label));
        state.insert("Items".into(), json!(self.items));
        state.insert("ItemSelector".into(), self.selector.clone());
        state.insert("MaxConcurrency".into(), self.max_concurrency.clone());
        state.insert("ToleratedFailureCount".into(), self.tolerated_failures.clone());
        state.insert("ItemProcessor".into(), Value::Object(processor));
        close(state, &self.assign, &self.output, &self.catch, &self.next)
    }
}

fn close(mut state: Map<String, Value>, assign: &Assign, output: &Value, catch: &[Catch], next: &str) -> Value {
    put_assign(&mut state, assign);
    state.insert("Output".into(), output.clone());
    if !catch.is_empty() {
        state.insert("Catch".into(), catch.iter().map(Catch::to_value).collect());
    }
    state.insert("Next".into(), json!(next));
    Value::Object(state)
}

/// The names that states of a scope use, and what stands behind them there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Variables of the scope, by the name that states read and assign them under.
    own: BTreeMap<&'static str, String>,
    /// What else is read under a name, in JSONata.
    read: BTreeMap<&'static str, String>,
}

impl Names {
    /// The same, with a variable of the scope's own.
    #[must_use]
    pub fn owning(mut self, name: &'static str, variable: String) -> Self {
        self.own.insert(name, variable);
        self
    }

    /// The same, with something that is read alone.
    #[must_use]
    pub fn reading(mut self, name: &'static str, code: String) -> Self {
        self.read.insert(name, code);
        self
    }

    /// Puts what names mean in front of every expression of a state that has them. What authors wrote is left as it is: a name that only stands in one of their
    /// texts is bound in vain. States of a scope further inside have their own names already.
    pub fn bind(&self, state: &mut State) {
        match state {
            State::Pass { assign, output, .. } => {
                self.assigned(assign);
                self.value(output);
            }
            State::Choice { rules, .. } => {
                for rule in rules {
                    self.text(&mut rule.condition);
                    self.assigned(&mut rule.assign);
                }
            }
            State::Wait { seconds, .. } => self.value(seconds),
            State::Task(task) => {
                self.value(&mut task.arguments);
                task.timeout.iter_mut().for_each(|timeout| self.value(timeout));
                self.end(&mut task.assign, &mut task.output, &mut task.catch);
            }
            State::Fail { error, cause } => {
                self.text(error);
                self.text(cause);
            }
            State::Succeed { output } => self.value(output),
            State::Parallel(parallel) => self.end(&mut parallel.assign, &mut parallel.output, &mut parallel.catch),
            State::Map(map) => {
                self.text(&mut map.items);
                self.value(&mut map.selector);
                self.value(&mut map.max_concurrency);
                self.value(&mut map.tolerated_failures);
                self.end(&mut map.assign, &mut map.output, &mut map.catch);
            }
        }
    }

    fn end(&self, assign: &mut Assign, output: &mut Value, catch: &mut [Catch]) {
        self.assigned(assign);
        self.value(output);
        for catch in catch {
            self.assigned(&mut catch.assign);
        }
    }

    fn assigned(&self, assign: &mut Assign) {
        let renamed = std::mem::take(assign).into_iter().map(|(name, mut value)| {
            self.value(&mut value);
            (self.own.get(name.as_str()).cloned().unwrap_or(name), value)
        });
        *assign = renamed.collect();
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.value(field)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn text(&self, text: &mut String) {
        let Some(code) = text.strip_prefix("{%").and_then(|rest| rest.strip_suffix("%}")).map(str::trim) else {
            return;
        };
        let own = self.own.iter().map(|(name, variable)| (*name, format!("${variable}")));
        let read = self.read.iter().map(|(name, code)| (*name, code.clone()));
        let front: String = own
            .chain(read)
            .filter(|(name, _)| mentions(code, name))
            .map(|(name, code)| format!("${name} := {code}; "))
            .collect();
        if !front.is_empty() {
            *text = super::expression(&format!("( {front}{code} )"));
        }
    }
}

/// Whether a variable's name stands anywhere in some JSONata.
fn mentions(code: &str, name: &str) -> bool {
    let named = format!("${name}");
    code.match_indices(&named).any(|(at, found)| {
        let after = code.get(at + found.len()..).and_then(|rest| rest.chars().next());
        !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::super::{assign, expression};
    use super::*;

    #[test]
    fn states_of_an_inner_scope_work_on_their_own_variables() {
        let names = Names::default().owning("work", "work1_a".into()).reading("params", "$given_a.params".into());
        let mut state = State::Pass {
            assign: assign([("work", json!("{% $merge([$work, {\"a\": $params.b}]) %}")), ("other", json!("$work"))]),
            output: json!({ "a": ["{% $workers & $parameters %}", "{% 'params' %}"], "b": "{% $work.x %}" }),
            next: "b".into(),
        };
        names.bind(&mut state);
        let State::Pass { assign, output, .. } = state else { unreachable!() };
        assert_eq!(
            Value::Object(assign),
            json!({
                "work1_a": "{% ( $work := $work1_a; $params := $given_a.params; $merge([$work, {\"a\": $params.b}]) ) %}",
                "other": "$work"
            })
        );
        assert_eq!(
            output,
            json!({ "a": ["{% $workers & $parameters %}", "{% 'params' %}"], "b": "{% ( $work := $work1_a; $work.x ) %}" })
        );
        assert_eq!(expression("1"), "{% 1 %}");
    }
}
