//! What would run: the steps of a workflow with everything inside of them, for previews and for runs that only ask what would happen.
//!
//! Read off the manifest's own form, so that a new type of step or container is there without being named here.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::api::WindowsWorkflowSpec;
use crate::compile::powershell;
use crate::compile::targets::WORKFLOW;

/// What stands on every step beside its type.
const COMMON: [&str; 6] = ["name", "when", "timeout", "retry", "onError", "targets"];
/// Types that change nothing by themselves.
const HARMLESS: [&str; 9] =
    ["wait", "pass", "fail", "call", "switch", "parallel", "forEach", "forEachNode", "calendar"];
/// Types that go to nodes.
const ON_NODES: [&str; 5] = ["powershell", "document", "reboot", "patch", "forEachNode"];
/// How deep containers and blocks are followed; the compiler refuses more.
const DEPTH: usize = 12;
/// Most steps that are listed.
const LIMIT: usize = 2_000;

/// A step that may run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// Its name, behind the names of the steps that it is inside of.
    pub path: String,
    /// Its type, as in `powershell`.
    pub type_: String,
    /// The condition that it stands under.
    pub when: Option<String>,
    /// Key of the set of nodes that it goes to, where it goes to nodes.
    pub set: Option<String>,
    /// Whether it runs only after something has failed.
    pub after_failure: bool,
    /// Why it cannot take part in a run that only asks what would happen.
    pub acts: Option<String>,
}

/// The steps of a workflow, in order.
#[must_use]
pub fn outline(spec: &WindowsWorkflowSpec) -> Vec<Planned> {
    let spec = serde_json::to_value(spec).unwrap_or_default();
    let blocks =
        list(spec.get("blocks")).iter().filter_map(|block| Some((text(block, "name")?, list(block.get("steps")))));
    let mut walk = Walk { blocks: blocks.collect(), found: Vec::new() };
    let place = Place { inside: None, set: WORKFLOW.to_owned(), after_failure: false, depth: 0 };
    walk.steps(list(spec.get("steps")), &place);
    walk.body(spec.get("onFailure"), &Place { after_failure: true, ..place.clone() });
    walk.body(spec.get("finally"), &place);
    walk.found
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'v>(value: &'v Value, field: &str) -> Option<&'v str> {
    value.get(field).and_then(Value::as_str)
}

#[derive(Clone)]
struct Place {
    inside: Option<String>,
    set: String,
    after_failure: bool,
    depth: usize,
}

struct Walk<'v> {
    blocks: BTreeMap<&'v str, &'v [Value]>,
    found: Vec<Planned>,
}

impl<'v> Walk<'v> {
    fn steps(&mut self, steps: &'v [Value], place: &Place) {
        if place.depth > DEPTH {
            return;
        }
        for step in steps {
            let Some(fields) = step.as_object().filter(|_| self.found.len() < LIMIT) else { continue };
            self.step(step, fields, place);
        }
    }

    fn step(&mut self, step: &'v Value, fields: &'v Map<String, Value>, place: &Place) {
        let Some((type_, body)) = fields.iter().find(|(key, _)| !COMMON.contains(&key.as_str())) else { return };
        let name = text(step, "name").unwrap_or_default();
        let path = place.inside.as_ref().map_or_else(|| name.to_owned(), |outer| format!("{outer}/{name}"));
        let set = if fields.contains_key("targets") { path.clone() } else { place.set.clone() };
        self.found.push(Planned {
            path: path.clone(),
            type_: type_.clone(),
            when: text(step, "when").map(str::to_owned),
            set: ON_NODES.contains(&type_.as_str()).then(|| set.clone()),
            after_failure: place.after_failure,
            acts: acts(type_, body),
        });
        let inner = Place { inside: Some(path), set, depth: place.depth + 1, ..place.clone() };
        self.body(Some(body), &inner);
        for part in ["branches", "cases"] {
            for each in list(body.get(part)) {
                self.body(Some(each), &inner);
            }
        }
        for part in ["default", "finally"] {
            self.body(body.get(part), &inner);
        }
        let handler = Place { after_failure: true, ..inner };
        for each in list(step.get("onError")) {
            self.body(Some(each), &handler);
        }
    }

    /// What holds `steps` in place or names a `block`.
    fn body(&mut self, body: Option<&'v Value>, place: &Place) {
        let Some(body) = body else { return };
        self.steps(list(body.get("steps")), place);
        if let Some(steps) = text(body, "block").and_then(|block| self.blocks.get(block)).copied() {
            self.steps(steps, &Place { depth: place.depth + 1, ..place.clone() });
        }
    }
}

/// Why a step of a type would really do something.
fn acts(type_: &str, body: &Value) -> Option<String> {
    match type_ {
        "powershell" => {
            let script = text(body, "script").unwrap_or_default();
            let supports = powershell::look(script).what_if;
            (!supports).then(|| "its script does not say [CmdletBinding(SupportsShouldProcess)]".to_owned())
        }
        "patch" if text(body, "operation") == Some("Scan") => None,
        harmless if HARMLESS.contains(&harmless) => None,
        other => Some(format!("a {other} step would really act")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: Value) -> WindowsWorkflowSpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn steps_are_listed_with_what_is_inside_of_them() {
        let script = json!({ "script": "[CmdletBinding(SupportsShouldProcess)]\nparam()\nGet-Date" });
        let spec = spec(json!({
            "steps": [
                { "name": "a", "powershell": script, "when": "{% $params.x %}",
                  "onError": [{ "errors": ["States.ALL"], "block": "undo" }] },
                { "name": "b", "call": { "block": "undo" }, "targets": { "tags": { "Role": ["db"] } } },
            ],
            "blocks": [{ "name": "undo", "steps": [{ "name": "r", "powershell": { "script": "Get-Date" } }] }],
        }));
        let found: Vec<_> = outline(&spec)
            .into_iter()
            .map(|step| (step.path, step.type_, step.set, step.after_failure, step.acts.is_some()))
            .collect();
        let expect = |path: &str, type_: &str, set: Option<&str>, after, acts| {
            (path.to_owned(), type_.to_owned(), set.map(str::to_owned), after, acts)
        };
        assert_eq!(
            found,
            [
                expect("a", "powershell", Some("workflow"), false, false),
                expect("a/r", "powershell", Some("workflow"), true, true),
                expect("b", "call", None, false, false),
                expect("b/r", "powershell", Some("b"), false, true),
            ]
        );
    }

    #[test]
    fn what_would_really_act_says_so() {
        let script = |text: &str| acts("powershell", &json!({ "script": text }));
        assert_eq!(script("[cmdletbinding( supportsshouldprocess = $true )]\nparam([string] $A)\nGet-Date"), None);
        assert_eq!(
            script("Get-Date").as_deref(),
            Some("its script does not say [CmdletBinding(SupportsShouldProcess)]")
        );
        assert_eq!(acts("notify", &json!({})).as_deref(), Some("a notify step would really act"));
        assert_eq!(acts("patch", &json!({ "operation": "Scan" })), None);
        assert!(acts("patch", &json!({ "operation": "Install" })).is_some());
    }
}
