//! Checking manifests together: each by the schema and rules of its kind, then what they say about each other.
//!
//! [`check`] is what `windlass validate` prints and what `windlass render` goes on with.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::names::{ClusterId, Owner};
use crate::api::{AwsAccount, GROUP, VERSION, WindowsFleet, WindowsWorkflow, WorkflowRun, WorkflowSchedule};
use crate::compile::{self, Account, Blueprint, Fleet, Fleets, Problem, grants, parameters};
use crate::schedules::timing::Timing;

use super::kinds::{self, Kind};
use super::manifests::Source;
use super::output::Failure;
use super::suggest;
use super::yaml::{self, Marked};

/// The cluster id that stands for any.
pub const ANY_CLUSTER: &str = "example";
/// The namespace of a manifest that names none, as kubectl has it.
const DEFAULT_NAMESPACE: &str = "default";

/// One thing that is wrong, ready to be printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// File.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Path of the field; empty where the text is no YAML.
    pub path: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// What came of checking manifests.
#[derive(Debug, Default)]
pub struct Checked {
    /// What is wrong, in the order of the files and their lines.
    pub findings: Vec<Finding>,
    /// How many manifests of Windlass's there were.
    pub manifests: usize,
    /// What each account compiles to, and each workflow whose account is among the manifests, in their order.
    pub blueprints: Vec<Blueprint>,
    /// Workflows that were not compiled for want of an account among the manifests.
    pub without_account: Vec<Finding>,
}

/// Checks manifests together. `cluster_id` goes into the names of what they compile to.
///
/// # Errors
/// [`Failure::Text`] for a defect of ours; what is wrong with the manifests is in the answer.
pub fn check(sources: &[Source], cluster_id: &ClusterId) -> Result<Checked, Failure> {
    Ok(check_with(&kinds::all()?, sources, cluster_id))
}

fn check_with(kinds: &[Kind], sources: &[Source], cluster_id: &ClusterId) -> Checked {
    let mut reading = Reading::default();
    for source in sources {
        reading.source(source, kinds);
    }
    let Reading { findings, manifests, accounts, fleets, workflows, runs, schedules, .. } = reading;
    let mut checked = Checked { findings, manifests, ..Checked::default() };
    checked.blueprints.extend(accounts.sound.iter().map(|account| compile_account(account, cluster_id)));
    for workflow in &workflows {
        compile_workflow(workflow, &accounts, &fleets_of(&fleets, &workflow.namespace), cluster_id, &mut checked);
    }
    for run in &runs {
        checked.findings.extend(check_run(run, &workflows));
    }
    for schedule in &schedules {
        checked.findings.extend(check_schedule(schedule, &workflows));
    }
    let order: HashMap<&str, usize> =
        sources.iter().enumerate().map(|(index, source)| (source.name.as_str(), index)).collect();
    let place = |finding: &Finding| (order.get(finding.file.as_str()).copied(), finding.line);
    checked.findings.sort_by_key(place);
    checked.without_account.sort_by_key(place);
    checked
}

/// A document that is sound by its schema and rules, and where it stands.
struct Found<'s, T> {
    source: &'s Source,
    document: Marked,
    namespace: String,
    name: String,
    object: T,
}

impl<T> Found<'_, T> {
    fn finding(&self, problem: &Problem) -> Finding {
        let mut line = self.document.line_of(&problem.path);
        let mut path = problem.path.clone();
        if let Some((within, column)) = problem.at {
            path = format!("{path} (line {within}, column {column})");
            // Of text in other forms than a literal block, lines of the text are no lines of the file.
            if is_literal_block(self.source, line) {
                line += within;
            }
        }
        Finding { file: self.source.name.clone(), line, path, message: problem.message.clone() }
    }
}

/// Whether the value in a line is text that begins in the next one, each line as it stands: `script: |`.
fn is_literal_block(source: &Source, line: usize) -> bool {
    let text = source.text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let text = text.split_once(" #").map_or(text, |(before, _)| before).trim_end();
    let header = text.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-' || c == '+');
    header.ends_with(": |")
}

/// What was read so far.
#[derive(Default)]
struct Reading<'s> {
    findings: Vec<Finding>,
    manifests: usize,
    /// Kind, namespace and name of each manifest, and where it stands.
    seen: HashMap<(String, String, String), String>,
    accounts: Accounts<'s>,
    fleets: Vec<Found<'s, WindowsFleet>>,
    workflows: Vec<Found<'s, WindowsWorkflow>>,
    runs: Vec<Found<'s, WorkflowRun>>,
    schedules: Vec<Found<'s, WorkflowSchedule>>,
}

/// The AwsAccounts among the manifests.
#[derive(Default)]
struct Accounts<'s> {
    sound: Vec<Found<'s, AwsAccount>>,
    /// Whether there are others, of which nothing is known.
    broken: bool,
}

impl<'s> Reading<'s> {
    fn source(&mut self, source: &'s Source, kinds: &[Kind]) {
        match yaml::parse(&source.text) {
            Ok(documents) => {
                for document in documents {
                    self.document(source, document, kinds);
                }
            }
            Err(error) => {
                let (line, message) = (error.line, error.message);
                self.findings.push(Finding { file: source.name.clone(), line, path: String::new(), message });
            }
        }
    }

    fn document(&mut self, source: &'s Source, document: Marked, kinds: &[Kind]) {
        let (version, kind) = (text(&document, "apiVersion"), text(&document, "kind"));
        if version == "v1" && kind == "List" {
            let items = document.get("items").map(Marked::items).unwrap_or_default();
            for item in items {
                self.document(source, item.clone(), kinds);
            }
            return;
        }
        let mut refuse = |path: &str, message: String| {
            self.findings.push(Finding {
                file: source.name.clone(),
                line: document.line_of(path),
                path: path.to_owned(),
                message,
            });
        };
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let known = kinds.iter().find(|known| known.name == kind);
        if group != GROUP && known.is_none() && suggest::nearest(group, [GROUP]).is_none() {
            return;
        }
        self.manifests += 1;
        let ours = format!("{GROUP}/{VERSION}");
        if version != ours {
            refuse("apiVersion", format!("\"{version}\" is not served by this version of Windlass: write {ours}"));
            return;
        }
        let Some(known) = known else {
            let names: Vec<&str> = kinds.iter().map(|known| known.name.as_str()).collect();
            refuse("kind", format!("unknown kind \"{kind}\"{}", suggest::hint(&kind, names)));
            return;
        };
        let (issues, object) = known.check(&document);
        let sound = issues.is_empty();
        let findings = issues.into_iter().map(|issue| {
            let (line, path, message) = (issue.line, issue.path, issue.message);
            Finding { file: source.name.clone(), line, path, message }
        });
        self.findings.extend(findings);
        let meta = |field: &str| document.get("metadata").and_then(|meta| meta.get(field)).and_then(Marked::as_text);
        let name = meta("name").unwrap_or_default().to_owned();
        let namespace = if known.namespaced { meta("namespace").unwrap_or(DEFAULT_NAMESPACE) } else { "" }.to_owned();
        self.unique(source, &document, (kind.clone(), namespace.clone(), name.clone()));
        let found = Found { source, document, namespace, name, object };
        match kind.as_str() {
            "AwsAccount" => match self.typed(found, sound) {
                Some(found) => self.accounts.sound.push(found),
                None => self.accounts.broken = true,
            },
            "WindowsFleet" => {
                let found = self.typed(found, sound);
                self.fleets.extend(found);
            }
            "WindowsWorkflow" => {
                let found = self.typed(found, sound);
                self.workflows.extend(found);
            }
            "WorkflowRun" => {
                let found = self.typed(found, sound);
                self.runs.extend(found);
            }
            "WorkflowSchedule" => {
                let found = self.typed(found, sound);
                self.schedules.extend(found);
            }
            _ => {}
        }
    }

    fn unique(&mut self, source: &Source, document: &Marked, id: (String, String, String)) {
        let (file, line) = (source.name.clone(), document.line_of("metadata.name"));
        if id.2.is_empty() {
            return;
        }
        match self.seen.get(&id) {
            Some(first) => {
                let (kind, _, name) = id;
                let message = format!(
                    "{kind} {name} stands in these files twice, first in {first}: the later would overwrite the earlier"
                );
                self.findings.push(Finding { file, line, path: "metadata.name".to_owned(), message });
            }
            None => drop(self.seen.insert(id, format!("{file}:{line}"))),
        }
    }

    /// The object in its type, unless it is known to be unsound.
    fn typed<T: DeserializeOwned>(&mut self, found: Found<'s, Value>, sound: bool) -> Option<Found<'s, T>> {
        let Found { source, document, namespace, name, object } = found;
        if !sound {
            return None;
        }
        match serde_json::from_value(object) {
            Ok(object) => Some(Found { source, document, namespace, name, object }),
            Err(error) => {
                let (file, line, message) = (source.name.clone(), document.line, error.to_string());
                self.findings.push(Finding { file, line, path: "spec".to_owned(), message });
                None
            }
        }
    }
}

fn text(document: &Marked, key: &str) -> String {
    document.get(key).and_then(Marked::as_text).unwrap_or_default().to_owned()
}

/// The fleets of a namespace among the manifests.
fn fleets_of(fleets: &[Found<'_, WindowsFleet>], namespace: &str) -> Fleets {
    let here = fleets.iter().filter(|fleet| fleet.namespace == namespace);
    here.map(|fleet| {
        let spec = &fleet.object.spec;
        let account = spec.account_ref.as_ref().map(|account| account.name.clone());
        (fleet.name.clone(), Fleet { targets: spec.systems_manager.targets(), account })
    })
    .collect()
}

/// Compiles an account. Who the controller is there is not known here, unless the account names its role.
fn compile_account(account: &Found<'_, AwsAccount>, cluster_id: &ClusterId) -> Blueprint {
    let owner = Owner {
        cluster_id: cluster_id.clone(),
        kind: "AwsAccount".to_owned(),
        namespace: String::new(),
        name: account.name.clone(),
    };
    let spec = &account.object.spec;
    compile::account(&owner, spec, &compile::receivers(spec, None))
}

/// Compiles a workflow for its account where that is among the manifests, else checks what can be known without one.
fn compile_workflow(
    workflow: &Found<'_, WindowsWorkflow>,
    accounts: &Accounts<'_>,
    fleets: &Fleets,
    cluster_id: &ClusterId,
    checked: &mut Checked,
) {
    let spec = &workflow.object.spec;
    let account = match account_of(workflow, accounts) {
        Ok(account) => account,
        Err(Unknown::Problem(problem)) => {
            checked.findings.push(workflow.finding(&problem));
            None
        }
        Err(Unknown::Elsewhere(problem)) => {
            checked.without_account.push(workflow.finding(&problem));
            None
        }
    };
    let problems = match account {
        None => compile::check(spec),
        Some(account) => {
            let owner = Owner {
                cluster_id: cluster_id.clone(),
                kind: "WindowsWorkflow".to_owned(),
                namespace: workflow.namespace.clone(),
                name: workflow.name.clone(),
            };
            match compile::workflow(&owner, spec, &Account { name: &account.name, spec: &account.object.spec, fleets })
            {
                Ok(blueprint) => {
                    checked.blueprints.push(blueprint);
                    return;
                }
                Err(problems) => problems,
            }
        }
    };
    checked.findings.extend(problems.iter().map(|problem| workflow.finding(problem)));
}

/// Why the account of a workflow is not known.
enum Unknown {
    /// The manifests say enough to know that something is wrong.
    Problem(Problem),
    /// It may be in the cluster.
    Elsewhere(Problem),
}

fn account_of<'a, 's>(
    workflow: &Found<'_, WindowsWorkflow>,
    accounts: &'a Accounts<'s>,
) -> Result<Option<&'a Found<'s, AwsAccount>>, Unknown> {
    let namespace = &workflow.namespace;
    let named = |name: &str| accounts.sound.iter().find(|account| account.name == name);
    let elsewhere = |message: String| Err(Unknown::Elsewhere(Problem::new("spec.accountRef", message)));
    if let Some(account) = &workflow.object.spec.account_ref {
        return match named(&account.name) {
            Some(found) => Ok(Some(found)),
            None => elsewhere(format!("AwsAccount {} is not among these manifests: give its file too", account.name)),
        };
    }
    let all = accounts.sound.iter().map(|account| (account.name.as_str(), &account.object.spec));
    match grants::granting(all, namespace).as_slice() {
        [one] => Ok(named(one)),
        [] if accounts.sound.is_empty() || accounts.broken => elsewhere(
            "no AwsAccount is among these manifests that grants its namespace something: give its file too".to_owned(),
        ),
        [] => Err(Unknown::Problem(Problem::new(
            "spec.accountRef",
            format!(
                "no AwsAccount among these manifests grants namespace {namespace} anything: it needs an entry under spec.grants with namespaces: [{namespace}]"
            ),
        ))),
        several => Err(Unknown::Problem(Problem::new(
            "spec.accountRef",
            format!(
                "several AwsAccounts grant namespace {namespace} something ({}): name one, as in accountRef: {{name: {}}}",
                several.join(", "),
                several.first().unwrap_or(&"")
            ),
        ))),
    }
}

/// Checks a run against its workflow where that is among the manifests.
fn check_run(run: &Found<'_, WorkflowRun>, workflows: &[Found<'_, WindowsWorkflow>]) -> Vec<Finding> {
    let spec = &run.object.spec;
    against_workflow(run, &spec.workflow_ref.name, &spec.parameters, "spec.parameters", workflows)
}

/// Checks a schedule's times, and what its runs will be given.
fn check_schedule(schedule: &Found<'_, WorkflowSchedule>, workflows: &[Found<'_, WindowsWorkflow>]) -> Vec<Finding> {
    let spec = &schedule.object.spec;
    let (given, path) = (&spec.run_template.parameters, "spec.runTemplate.parameters");
    let mut findings = against_workflow(schedule, &spec.workflow_ref.name, given, path, workflows);
    findings.extend(Timing::of(spec).err().map(|problem| schedule.finding(&problem)));
    findings
}

/// Checks parameters against a workflow where that is among the manifests. One that is not may be in the cluster, unless its name looks like a slip.
fn against_workflow<T>(
    from: &Found<'_, T>,
    wanted: &str,
    given: &BTreeMap<String, Value>,
    path: &str,
    workflows: &[Found<'_, WindowsWorkflow>],
) -> Vec<Finding> {
    let near = workflows.iter().filter(|workflow| workflow.namespace == from.namespace);
    if let Some(workflow) = near.clone().find(|workflow| workflow.name == wanted) {
        let problems = parameters::resolve(&workflow.object.spec.parameters, given).err().unwrap_or_default();
        let placed = problems
            .into_iter()
            .map(|problem| Problem { path: problem.path.replacen("spec.parameters", path, 1), ..problem });
        return placed.map(|problem| from.finding(&problem)).collect();
    }
    let Some(meant) = suggest::nearest(wanted, near.map(|workflow| workflow.name.as_str())) else {
        return Vec::new();
    };
    let message = format!(
        "namespace {} has no WindowsWorkflow {wanted} in these manifests, did you mean \"{meant}\"?",
        from.namespace
    );
    vec![from.finding(&Problem::new("spec.workflowRef.name", message))]
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
