//! Checking a workflow's manifest: names, blocks, expressions, scripts, and options that a step type has no use for.
//!
//! Blocks are checked at each place that they are called from, since what is in scope differs; one that is never called is checked by itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::api::WindowsWorkflowSpec;
use crate::api::steps::{Handler, HandlerBody, Powershell, StepKind, StepView};

use super::expressions::{self, Names};
use super::flow::Scope;
use super::layout::{DEPTH, Steps, plugin, repeated};
use super::parameters;
use super::powershell as script;
use super::problem::Problem;
use super::ssm::SCRIPT_TIMEOUT;

/// Where a step stands in the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Path of its fields: `spec.steps[0]`.
    pub path: String,
    /// Its plugin, where it has a script.
    pub plugin: String,
}

/// Looks through a manifest.
pub struct Checker<'a> {
    spec: &'a WindowsWorkflowSpec,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// Steps with scripts, each once.
    pub scripts: Vec<(Place, StepView<'a>)>,
    called: BTreeSet<String>,
}

/// Where the checker is.
#[derive(Clone)]
struct At {
    path: String,
    scope: Scope,
    block: Option<String>,
    /// Blocks that are being called, outermost first.
    calls: Vec<String>,
    names: Names,
}

impl<'a> Checker<'a> {
    /// Nothing looked at yet.
    pub fn new(spec: &'a WindowsWorkflowSpec) -> Self {
        Self { spec, problems: Vec::new(), scripts: Vec::new(), called: BTreeSet::new() }
    }

    /// Looks at everything.
    pub fn run(&mut self) {
        let spec = self.spec;
        self.problems.extend(parameters::check_declared(&spec.parameters));
        for name in repeated(spec.parameters.iter().map(|parameter| parameter.name.0.as_str())) {
            self.problem("spec.parameters", format!("parameter {name} stands twice"));
        }
        for name in repeated(spec.blocks.iter().map(|block| block.name.0.as_str())) {
            self.problem("spec.blocks", format!("block {name} stands twice"));
        }
        let params = spec.parameters.iter().map(|parameter| parameter.name.0.clone()).collect();
        let start = At {
            path: "spec.steps".into(),
            scope: Scope::default(),
            block: None,
            calls: Vec::new(),
            names: Names { params, ..Names::default() },
        };
        self.list(Steps::Top(&spec.steps), &start);
        for (index, block) in spec.blocks.iter().enumerate() {
            if !self.called.contains(&block.name.0) {
                let path = format!("spec.blocks[{index}].steps");
                let names = Names { handler: true, ..start.names.clone() };
                let calls = vec![block.name.0.clone()];
                let at = At { path, block: Some(block.name.0.clone()), calls, names, ..start.clone() };
                self.list(Steps::Block(&block.steps), &at);
            }
        }
        let mut seen = BTreeSet::new();
        self.problems.retain(|problem| seen.insert(problem.to_string()));
    }

    fn problem(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::new(path, message));
    }

    fn list(&mut self, steps: Steps<'a>, at: &At) {
        let views = steps.views();
        let names: Vec<&str> = views.iter().map(|view| view.as_ref().map_or_else(|none| none.step.as_str(), |view| view.name.0.as_str())).collect();
        for name in repeated(names.iter().copied()) {
            self.problem(at.path.clone(), format!("step {name} stands twice: step names are unique in their list"));
        }
        let mut later: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut here = at.clone();
        for (index, view) in views.iter().enumerate() {
            let path = format!("{}[{index}]", at.path);
            match view {
                Ok(view) => {
                    later.remove(&view.name.0);
                    here.names.later = later.iter().cloned().chain([view.name.0.clone()]).collect();
                    self.step(view, &At { path, ..here.clone() });
                    here.names.ran.insert(view.name.0.clone());
                }
                Err(none) => self.problem(path, none.to_string()),
            }
        }
    }

    fn step(&mut self, view: &StepView<'a>, at: &At) {
        let name = &view.name.0;
        if let Some(when) = view.when {
            self.expression(&when.0, &format!("{}.when", at.path), &at.names);
        }
        match view.kind {
            StepKind::Powershell(shell) => self.powershell(view, shell, at),
            StepKind::Wait(_) => self.no_use(view, at, "wait", true),
            StepKind::Pass(step) => {
                self.no_use(view, at, "pass", true);
                self.json(&json!(step.result), &format!("{}.pass.result", at.path), &at.names);
            }
            StepKind::Fail(step) => {
                self.no_use(view, at, "fail", true);
                if let Some(cause) = &step.cause {
                    self.json(&json!(cause), &format!("{}.fail.cause", at.path), &at.names);
                }
            }
            StepKind::Call(step) => {
                self.no_use(view, at, "call", false);
                self.call(&step.block.0, &format!("{}.call.block", at.path), name, &at.names, at);
            }
        }
        for (index, handler) in view.handlers.iter().enumerate() {
            self.handler(handler, index, name, at);
        }
    }

    fn handler(&mut self, handler: &Handler<'a>, index: usize, step: &str, at: &At) {
        let path = format!("{}.onError[{index}]", at.path);
        let mut names = Names { handler: true, ..at.names.clone() };
        // The failed step's own report can be read.
        names.ran.insert(step.to_owned());
        match handler.body {
            HandlerBody::Block(block) => self.call(&block.0, &format!("{path}.block"), step, &names, at),
            HandlerBody::Steps(steps) => {
                let inner = At { path: format!("{path}.steps"), scope: at.scope.inside(step), block: None, names, calls: at.calls.clone() };
                self.list(Steps::Inline(steps), &inner);
            }
        }
    }

    fn call(&mut self, name: &str, path: &str, step: &str, names: &Names, at: &At) {
        let spec = self.spec;
        let Some((index, block)) = spec.blocks.iter().enumerate().find(|(_, block)| block.name.0 == name) else {
            let known: Vec<&str> = spec.blocks.iter().map(|block| block.name.0.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return self.problem(path, format!("there is no block {name}; there is: {known}"));
        };
        self.called.insert(name.to_owned());
        if at.calls.iter().any(|caller| caller == name) {
            let round: Vec<&str> = at.calls.iter().map(String::as_str).chain([name]).collect();
            return self.problem(path, format!("blocks call each other in a circle: {}", round.join(" → ")));
        }
        if at.calls.len() >= DEPTH {
            let chain: Vec<&str> = at.calls.iter().map(String::as_str).chain([name]).collect();
            return self.problem(path, format!("calls nest more than {DEPTH} deep: {}", chain.join(" → ")));
        }
        let inner = At {
            path: format!("spec.blocks[{index}].steps"),
            scope: at.scope.inside(step),
            block: Some(name.to_owned()),
            calls: at.calls.iter().cloned().chain([name.to_owned()]).collect(),
            names: names.clone(),
        };
        self.list(Steps::Block(&block.steps), &inner);
    }

    fn powershell(&mut self, view: &StepView<'a>, shell: &'a Powershell, at: &At) {
        let path = format!("{}.powershell", at.path);
        let place = Place { path: at.path.clone(), plugin: plugin(at.block.as_deref(), &at.scope, &view.name.0) };
        if let Some(timeout) = view.timeout.filter(|timeout| timeout.as_secs() > SCRIPT_TIMEOUT.1) {
            self.problem(format!("{}.timeout", at.path), format!("a script runs for 2d at most, not {timeout}"));
        }
        for (name, value) in &shell.parameters {
            self.json(value, &format!("{path}.parameters.{name}"), &at.names);
        }
        if self.scripts.iter().any(|(known, _)| known.plugin == place.plugin) {
            return;
        }
        let found = script::look(&shell.script);
        for finding in found.findings {
            self.problems.push(Problem::new(format!("{path}.script"), finding.message).at(finding.line, finding.column));
        }
        self.parameters(shell, found.parameters.as_deref(), &path);
        self.scripts.push((place, view.clone()));
    }

    /// Arguments that the script does not take would fail it on every node.
    fn parameters(&mut self, shell: &Powershell, declared: Option<&[String]>, path: &str) {
        let names: BTreeMap<String, &String> =
            declared.unwrap_or_default().iter().map(|name| (name.to_lowercase(), name)).collect();
        for name in shell.parameters.keys() {
            if names.contains_key(&name.to_lowercase()) {
                continue;
            }
            let message = match declared {
                None => format!("the script has no param() block, so it cannot take {name}: begin it with param([string] ${name})"),
                Some(_) => {
                    let list: Vec<&str> = names.values().map(|name| name.as_str()).collect();
                    format!("the script's param() block has no ${name}; it has: {}", list.join(", "))
                }
            };
            self.problem(format!("{path}.parameters.{name}"), message);
        }
    }

    /// Options that this type of step has no use for are refused, since whoever wrote them expects something.
    fn no_use(&mut self, view: &StepView<'a>, at: &At, kind: &str, cannot_fail: bool) {
        let mut refuse = |set: bool, option: &str, why: &str| {
            if set {
                self.problems.push(Problem::new(format!("{}.{option}", at.path), format!("{why}: leave {option} out")));
            }
        };
        refuse(view.targets.is_some(), "targets", &format!("a {kind} step runs on no nodes of its own"));
        refuse(view.timeout.is_some(), "timeout", &format!("a {kind} step has no timeout of its own"));
        if cannot_fail {
            let why = if kind == "fail" { "a fail step is there to fail".to_owned() } else { format!("a {kind} step does not fail") };
            refuse(!view.retry.is_empty(), "retry", &why);
            refuse(!view.handlers.is_empty(), "onError", &why);
        }
    }

    fn expression(&mut self, text: &str, path: &str, names: &Names) {
        match expressions::code(text) {
            Some(code) => {
                for message in expressions::check(code, names) {
                    self.problem(path, message);
                }
            }
            None => self.problem(path, "an expression begins with {% and ends with %}"),
        }
    }

    fn json(&mut self, value: &serde_json::Value, path: &str, names: &Names) {
        for (below, message) in expressions::check_json(value, names) {
            self.problem(format!("{path}{below}"), message);
        }
    }
}
