//! WindowsWorkflow → Blueprint: its role, its document, its state machine.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::api::names::{DOCUMENT_NAME_LIMIT, Owner, ROLE_NAME_LIMIT, STATES_NAME_LIMIT, partition};
use crate::api::parameters::Parameter;
use crate::api::{AwsAccountSpec, WindowsWorkflowSpec};

use super::asl::{DEFINITION_LIMIT, HISTORY_LIMIT, Machine, State};
use super::blueprint::{Answer, Blueprint, Body, Document, Fill, Object, Role, StateMachine};
use super::flow::{Exits, Flow};
use super::grants::Nodes;
use super::layout::Layout;
use super::problem::Problem;
use super::{role, ssm};

/// Names of the states that belong to no step.
const START: &str = "start";
const END: &str = "end";
const FAILED: &str = "failed";

/// The account that a manifest is compiled for.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// Name of the AwsAccount.
    pub name: &'a str,
    /// Its spec.
    pub spec: &'a AwsAccountSpec,
}

/// Compiles a workflow.
///
/// # Errors
/// Everything that is wrong with it, not just the first.
pub fn workflow(owner: &Owner, spec: &WindowsWorkflowSpec, account: &Account<'_>) -> Result<Blueprint, Vec<Problem>> {
    let mut layout = Layout::new(spec, Some((owner, account)));
    layout.check();
    let problems = std::mem::take(&mut layout.problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let arns = Arns::new(owner, account.spec);
    let document = (!layout.scripts.is_empty()).then(|| document(owner, spec, &layout, &arns));
    let machine = machine(owner, spec, &mut layout, document.as_ref().map(|document| document.name.as_str()));
    let mut problems = std::mem::take(&mut layout.problems);
    problems.extend(document.as_ref().and_then(too_large));
    let definition = machine.to_value();
    problems.extend(over_limits(&definition, layout.events));
    if !problems.is_empty() {
        return Err(problems);
    }
    let nodes: Vec<&Nodes> = layout.nodes.iter().collect();
    let policy = role::policy(&arns, document.as_ref().map(|document| document.arn.as_str()), &nodes);
    let policies = policy.map(|policy| (policy_name(&policy), policy)).into_iter().collect();
    let tags: BTreeMap<String, String> =
        account.spec.tags.iter().map(|(key, value)| (key.clone(), value.clone())).chain(owner.tags()).collect();
    let role = Role {
        path: owner.role_path(),
        name: arns.role_name.clone(),
        arn: arns.role.clone(),
        description: format!("Execution role of WindowsWorkflow {}/{}, made by Windlass", owner.namespace, owner.name),
        trust: role::trust(&arns, &account.spec.account_id),
        boundary_arn: account.spec.permissions_boundary_arn.clone(),
        policies,
    };
    let fills = document.as_ref().map(|document| fills(&document.name)).unwrap_or_default();
    let machine = StateMachine {
        name: arns.machine_name.clone(),
        arn: arns.machine.clone(),
        role_arn: arns.role.clone(),
        definition,
        fills,
    };
    let bodies = [Some(Body::Role(role)), document.map(Body::Document), Some(Body::StateMachine(machine))];
    let objects = bodies.into_iter().flatten().map(|body| Object { tags: tags.clone(), body }).collect();
    Ok(Blueprint { objects })
}

/// What can be known to be wrong with a workflow without an account.
#[must_use]
pub fn check(spec: &WindowsWorkflowSpec) -> Vec<Problem> {
    let mut layout = Layout::new(spec, None);
    layout.check();
    layout.problems
}

/// ARNs and names that follow from owner and account.
pub struct Arns {
    /// Partition, Region and account.
    pub partition: &'static str,
    /// Region.
    pub region: String,
    /// Account id.
    pub account: String,
    /// ARN of the execution role.
    pub role: String,
    /// ARN of the state machine.
    pub machine: String,
    role_name: String,
    machine_name: String,
}

impl Arns {
    fn new(owner: &Owner, account: &AwsAccountSpec) -> Self {
        let partition = partition(&account.region);
        let (region, id) = (account.region.clone(), account.account_id.clone());
        let (role_name, machine_name) = (owner.aws_name(ROLE_NAME_LIMIT), owner.aws_name(STATES_NAME_LIMIT));
        Self {
            partition,
            role: format!("arn:{partition}:iam::{id}:role{}{role_name}", owner.role_path()),
            machine: format!("arn:{partition}:states:{region}:{id}:stateMachine:{machine_name}"),
            region,
            account: id,
            role_name,
            machine_name,
        }
    }
}

fn document(owner: &Owner, spec: &WindowsWorkflowSpec, layout: &Layout<'_>, arns: &Arns) -> Document {
    let name = owner.aws_name(DOCUMENT_NAME_LIMIT);
    let what = spec.description.as_deref().unwrap_or("Scripts of its steps.");
    let description = format!("WindowsWorkflow {}/{}, made by Windlass. {what}", owner.namespace, owner.name);
    Document {
        arn: format!("arn:{}:ssm:{}:{}:document/{name}", arns.partition, arns.region, arns.account),
        content: ssm::document(&description, &layout.scripts),
        name,
    }
}

fn machine(owner: &Owner, spec: &WindowsWorkflowSpec, layout: &mut Layout<'_>, document: Option<&str>) -> Machine {
    let mut flow = Flow::default();
    let output = json!("{% {\"steps\": $count($keys($steps))} %}");
    // Steps' states have a colon in their names: these meet none of them.
    let end = END.to_owned();
    flow.states.push((end.clone(), State::Succeed { output }));
    let failed = FAILED.to_owned();
    let fail = State::Fail { error: "{% $failure.error %}".into(), cause: "{% $substring($failure.cause, 0, 32000) %}".into() };
    flow.states.push((failed.clone(), fail));
    let exits = Exits { next: end, failed };
    let first = layout.workflow(&mut flow, &exits);
    let first = start(spec, document, &first);
    let start = START.to_owned();
    flow.states.push((start.clone(), first));
    layout.events = flow.events + 4;
    flow.states.reverse();
    // A workflow in which nothing can fail has no use for the state that says so.
    let reachable: BTreeSet<String> = reachable(&flow.states);
    flow.states.retain(|(name, _)| name == &start || reachable.contains(name));
    let timeout_seconds = spec.timeout.map(crate::api::duration::Span::as_secs);
    Machine {
        comment: format!("WindowsWorkflow {}/{} of cluster {}, made by Windlass", owner.namespace, owner.name, owner.cluster_id),
        start_at: start,
        timeout_seconds,
        states: flow.states,
    }
}

/// Names that some state goes to.
fn reachable(states: &[(String, State)]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, state) in states {
        match state {
            State::Pass { next, .. } | State::Wait { next, .. } => {
                names.insert(next.clone());
            }
            State::Choice { choices, default } => {
                names.extend(choices.iter().map(|(_, next)| next.clone()));
                names.insert(default.clone());
            }
            State::Task(task) => {
                names.insert(task.next.clone());
                names.extend(task.catch.iter().map(|catch| catch.next.clone()));
            }
            State::Fail { .. } | State::Succeed { .. } => {}
        }
    }
    names
}

/// The first state: puts what the others read into variables.
fn start(spec: &WindowsWorkflowSpec, document: Option<&str>, next: &str) -> State {
    let defaults: Map<String, Value> =
        spec.parameters.iter().map(|parameter| (parameter.name.0.clone(), default(parameter))).collect();
    let defaults = Value::Object(defaults);
    let mut assign = Map::new();
    // An execution that was started without Windlass has no run, and perhaps no parameters.
    assign.insert("params".into(), json!(format!("{{% $merge([{defaults}, $states.input.params]) %}}")));
    assign.insert(
        "run".into(),
        json!("{% $merge([{\"id\": $states.context.Execution.Name, \"name\": $states.context.Execution.Name, \"namespace\": \"\", \"uid\": \"\", \"started\": $states.context.Execution.StartTime}, $states.input.run]) %}"),
    );
    assign.insert("steps".into(), json!({}));
    assign.insert("tries".into(), json!({}));
    assign.insert("work".into(), json!({}));
    if let Some(name) = document {
        assign.insert("document".into(), json!({ "name": name, "version": "${document.version}", "hash": "${document.hash}" }));
    }
    State::Pass { output: json!({}), assign, next: next.to_owned() }
}

fn default(parameter: &Parameter) -> Value {
    parameter.default.clone().unwrap_or(Value::Null)
}

fn fills(document: &str) -> Vec<Fill> {
    let place = |field: &str| format!("/States/{START}/Assign/document/{field}");
    vec![
        Fill { pointer: place("version"), answer: Answer::DocumentVersion(document.to_owned()) },
        Fill { pointer: place("hash"), answer: Answer::DocumentHash(document.to_owned()) },
    ]
}

/// A name that changes with the content: the rights of a new version stand beside the old ones until no execution needs those.
fn policy_name(policy: &Value) -> String {
    let hex: String = Sha256::digest(policy.to_string().as_bytes()).iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    format!("windlass-{hex}")
}

fn too_large(document: &Document) -> Option<Problem> {
    let bytes = document.content.to_string().len();
    (bytes > ssm::DOCUMENT_LIMIT).then(|| {
        Problem::new(
            "spec.steps",
            format!(
                "the scripts of this workflow come to a document of {bytes} bytes, and Systems Manager takes {}: shorten them, or keep shared code in a module on the nodes",
                ssm::DOCUMENT_LIMIT
            ),
        )
    })
}

fn over_limits(definition: &Value, events: u64) -> Vec<Problem> {
    let mut problems = Vec::new();
    let bytes = definition.to_string().len();
    if bytes > DEFINITION_LIMIT {
        problems.push(Problem::new(
            "spec.steps",
            format!("the state machine's definition comes to {bytes} bytes, and Step Functions takes {DEFINITION_LIMIT}: call blocks in fewer places"),
        ));
    }
    if events > HISTORY_LIMIT {
        problems.push(Problem::new(
            "spec.steps",
            format!(
                "a run could come to {events} events of history (each try of a powershell step: 9 for each poll within its timeout, 7 for each page of nodes, about 30 beside), and Step Functions ends an execution at {HISTORY_LIMIT}: use shorter timeouts, fewer attempts or fewer steps"
            ),
        ));
    }
    problems
}
