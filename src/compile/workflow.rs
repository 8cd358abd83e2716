//! `WindowsWorkflow` → role, document, state machine.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::api::WindowsWorkflowSpec;
use crate::api::duration::Span;
use crate::api::names::{DOCUMENT_NAME_LIMIT, Owner, ROLE_NAME_LIMIT, STATES_NAME_LIMIT};

use super::asl::{Assign, DEFINITION_LIMIT, Machine, State, assign, expression};
use super::blueprint::{Answer, Blueprint, Body, Document, Fill, Object, Role, StateMachine};
use super::expressions::Uses;
use super::flow::{Exits, Flow};
use super::iam::{Condition, Policy, Statement};
use super::place::Place;
use super::problem::Problem;
use super::ssm::{self, DOCUMENT_LIMIT, Script};
use super::tree::{Action, Program, Reader, Step};
use super::{Account, bounds, finish, grants, names, parameters, rights, tree};

/// Most characters of a role's inline policies in sum, white space not counted (IAM quotas).
const POLICY_LIMIT: usize = 10_240;
const START: &str = "start";
const END: &str = "end";

/// What can be known of a workflow without an account: everything but its reach.
#[must_use]
pub fn check(spec: &WindowsWorkflowSpec) -> Vec<Problem> {
    let mut reader = Reader::new(spec, None);
    let program = read(&mut reader, spec);
    reader.problems.extend(bounds::check(&program, &reader.uses));
    reader.problems.extend(document_problem(&content(&reader.scripts), &reader.scripts));
    reader.problems
}

/// Compiles a workflow.
///
/// # Errors
/// Everything that is wrong with it, in the manifest's order.
pub fn workflow(owner: &Owner, spec: &WindowsWorkflowSpec, account: &Account<'_>) -> Result<Blueprint, Vec<Problem>> {
    let mut reader = Reader::new(spec, Some((account, &owner.namespace)));
    let program = read(&mut reader, spec);
    let mut problems = std::mem::take(&mut reader.problems);
    // Where there are scripts, their targets were held against the grants already.
    if reader.scripts.is_empty() {
        problems.extend(grants::any(account, &owner.namespace, "metadata.namespace").err());
    }
    problems.extend(bounds::check(&program, &reader.uses));

    let place = Place::of(account.spec);
    let document = (!reader.scripts.is_empty()).then(|| {
        let name = owner.aws_name(DOCUMENT_NAME_LIMIT);
        Document { arn: place.document_arn(&name), name, content: content(&reader.scripts) }
    });
    problems.extend(document.as_ref().and_then(|document| document_problem(&document.content, &reader.scripts)));

    let role = role(owner, account, &place, &program, document.as_ref());
    problems.extend(policy_problem(&role));
    let machine = machine(owner, spec, &place, &program, &reader.uses, document.as_ref(), &role.arn);
    let size = machine.definition.to_string().len();
    if size > DEFINITION_LIMIT {
        problems.push(Problem::new(
            "spec.steps",
            format!(
                "the state machine's definition comes to {size} bytes, and Step Functions takes {DEFINITION_LIMIT}: call large blocks from fewer places, or use several workflows"
            ),
        ));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut tags = account.spec.tags.clone();
    tags.extend(owner.tags());
    let bodies = [Some(Body::Role(role)), document.map(Body::Document), Some(Body::StateMachine(machine))];
    let objects = bodies.into_iter().flatten().map(|body| Object { tags: tags.clone(), body }).collect();
    Ok(Blueprint { objects })
}

fn read<'a>(reader: &mut Reader<'a>, spec: &'a WindowsWorkflowSpec) -> Program<'a> {
    reader.problems.extend(parameters::check_declared(&spec.parameters));
    reader.read()
}

fn content(scripts: &[(String, Script)]) -> Value {
    let scripts: Vec<&Script> = scripts.iter().map(|(_, script)| script).collect();
    ssm::document("The scripts of a WindowsWorkflow's steps, made by Windlass.", &scripts)
}

fn document_problem(content: &Value, scripts: &[(String, Script)]) -> Option<Problem> {
    let size = content.to_string().len();
    if size <= DOCUMENT_LIMIT {
        return None;
    }
    let mut largest: Vec<&Script> = scripts.iter().map(|(_, script)| script).collect();
    largest.sort_by_key(|script| std::cmp::Reverse(script.text.len()));
    let largest: Vec<String> = largest
        .iter()
        .take(3)
        .map(|script| format!("{} {}", script.plugin.trim_end_matches('_'), script.text.len()))
        .collect();
    Some(Problem::new(
        "spec.steps",
        format!(
            "the scripts of this workflow come to a document of {size} bytes, and Systems Manager takes {DOCUMENT_LIMIT} (the largest: {}): shorten them, or keep shared code in a module on the nodes",
            largest.join(", ")
        ),
    ))
}

fn role(
    owner: &Owner,
    account: &Account<'_>,
    place: &Place<'_>,
    program: &Program<'_>,
    document: Option<&Document>,
) -> Role {
    let (path, name) = (owner.role_path(), owner.aws_name(ROLE_NAME_LIMIT));
    let machine = place.state_machine_arn(&owner.aws_name(STATES_NAME_LIMIT));
    let trust = Statement {
        sid: "Execution".into(),
        service: Some("states.amazonaws.com"),
        actions: vec!["sts:AssumeRole".into()],
        resources: Vec::new(),
        // Step Functions acts for every account: only this machine's executions are meant (confused deputy).
        condition: Condition::default()
            .equals("aws:SourceAccount", [place.account_id])
            .arn_like("aws:SourceArn", [machine]),
    };
    let statements = rights::statements(program, place, &owner.aws_name(STATES_NAME_LIMIT), document);
    let policies = if statements.is_empty() {
        BTreeMap::new()
    } else {
        let policy = Policy { statements }.to_value();
        // A name that changes with the content: the rights of a new version stand beside the old ones until no execution needs those.
        let hash = names::hex(&Sha256::digest(policy.to_string().as_bytes()), 5);
        BTreeMap::from([(format!("windlass-{hash}"), policy)])
    };
    Role {
        arn: place.role_arn(&path, &name),
        path,
        name,
        description: format!("Execution role of WindowsWorkflow {}/{}, made by Windlass", owner.namespace, owner.name),
        trust: Policy { statements: vec![trust] }.to_value(),
        boundary_arn: account.spec.permissions_boundary_arn.clone(),
        policies,
    }
}

fn policy_problem(role: &Role) -> Option<Problem> {
    let size: usize = role.policies.values().map(|policy| policy.to_string().len()).sum();
    (size > POLICY_LIMIT).then(|| {
        Problem::new(
            "spec.steps",
            format!(
                "the execution role's policy comes to {size} characters, and IAM takes {POLICY_LIMIT}: name nodes by tags in place of ids, or use several workflows"
            ),
        )
    })
}

fn machine(
    owner: &Owner,
    spec: &WindowsWorkflowSpec,
    place: &Place<'_>,
    program: &Program<'_>,
    uses: &Uses,
    document: Option<&Document>,
    role_arn: &str,
) -> StateMachine {
    let plugins =
        document.and_then(|document| document.content.get("mainSteps")?.as_array().map(Vec::len)).unwrap_or(0);
    let mut flow = Flow::new(plugins, uses.clone(), place.partition());
    let mut fixed = fixed(spec, document, program);
    if program.on_failure.is_empty() && program.finally.is_empty() {
        let first = program.steps.first().map_or_else(|| END.to_owned(), Flow::entry);
        fixed.extend(tree::unset(&program.steps));
        flow.states.push((START.to_owned(), State::Pass { assign: fixed, output: json!({}), next: first }));
        flow.list(&program.steps, &Exits { next: END, failed: None });
        let output = json!({ "steps": summary(&program.steps) });
        flow.states.push((END.to_owned(), State::Succeed { output }));
    } else {
        let ends = finish::of_workflow(program, summary(&program.steps));
        let first = ends.entry();
        fixed.extend(ends.fresh());
        flow.states.push((START.to_owned(), State::Pass { assign: fixed, output: json!({}), next: first }));
        ends.lay_out(&mut flow);
        flow.states.push((END.to_owned(), State::Succeed { output: ends.summary() }));
        flow.states.push(("failed".to_owned(), ends.fail()));
    }
    let name = owner.aws_name(STATES_NAME_LIMIT);
    let machine = Machine {
        comment: spec
            .description
            .clone()
            .unwrap_or_else(|| format!("WindowsWorkflow {}/{}", owner.namespace, owner.name)),
        start_at: START.into(),
        timeout_seconds: spec.timeout.map(Span::as_secs),
        states: flow.states,
    };
    let fills = document.map_or_else(Vec::new, |document| {
        let place = |field: &str| format!("/States/{START}/Assign/document/{field}");
        vec![
            Fill { pointer: place("version"), answer: Answer::DocumentVersion(document.name.clone()) },
            Fill { pointer: place("hash"), answer: Answer::DocumentHash(document.name.clone()) },
        ]
    });
    StateMachine {
        arn: place.state_machine_arn(&name),
        name,
        role_arn: role_arn.to_owned(),
        definition: machine.to_value(),
        fills,
    }
}

/// Sets the variables that last for the whole run. An execution that was started past Windlass may lack any part of the input.
fn fixed(spec: &WindowsWorkflowSpec, document: Option<&Document>, program: &Program<'_>) -> Assign {
    let defaults: Map<String, Value> = spec
        .parameters
        .iter()
        .map(|parameter| (parameter.name.0.clone(), parameter.default.clone().unwrap_or(Value::Null)))
        .collect();
    let params = format!("$merge([{}, $states.input.params])", Value::Object(defaults));
    // The same for every command of the execution, and as long as the id that Windlass gives.
    let run = "$merge([{\"id\": $substring($hash($states.context.Execution.Id, \"SHA-256\"), 0, 16), \"uid\": null, \
               \"name\": $states.context.Execution.Name, \"namespace\": null}, $states.input.run, \
               {\"started\": $states.context.Execution.StartTime}])";
    let mut variables = assign([("params", json!(expression(&params))), ("run", json!(expression(run)))]);
    if let Some(document) = document {
        let answer = |field: &str| format!("${{document.{field}}}");
        variables.insert(
            "document".into(),
            json!({ "name": document.name, "version": answer("version"), "hash": answer("hash") }),
        );
    }
    if document.is_some() || program.lists().into_iter().any(tree::over_nodes) {
        // What Windlass listed before it started the execution: see `targets`.
        variables.insert("nodes".into(), json!("{% $exists($states.input.nodes) ? $states.input.nodes : {} %}"));
    }
    variables.insert("work".into(), json!({}));
    variables
}

/// What the execution puts out: on how many nodes each top-level step succeeded and failed.
fn summary(steps: &[Step<'_>]) -> Value {
    let scripts = steps.iter().filter(|step| matches!(step.action, Action::Powershell(_) | Action::Iteration(_)));
    let counts = scripts.map(|step| {
        let variable = names::variable("steps", &step.path);
        let counts = format!("{{\"succeeded\": ${variable}.succeeded, \"failed\": ${variable}.failed}}");
        (step.path.clone(), json!(expression(&counts)))
    });
    Value::Object(counts.collect())
}
