//! A workflow's AWS objects, as a Blueprint declares them.

use serde_json::{Value, json};
use windlass::api::names::{DOCUMENT_NAME_LIMIT, Owner, ROLE_NAME_LIMIT, STATES_NAME_LIMIT};
use windlass::compile::Blueprint;
use windlass::compile::blueprint::{Answer, Body, Document, Fill, Object, Role, StateMachine};

use super::bed::{ACCOUNT, REGION, variable};

pub const ROLE: &str = "AWS::IAM::Role";
pub const DOCUMENT: &str = "AWS::SSM::Document";
pub const STATE_MACHINE: &str = "AWS::StepFunctions::StateMachine";

/// What a test declares.
#[derive(Clone)]
pub struct Declared {
    pub owner: Owner,
    pub script: String,
    /// Name of the inline policy.
    pub policy: String,
    pub cost_centre: Option<String>,
    /// Statements of the inline policy beside the first.
    pub statements: Vec<Value>,
    /// States beside the first, by name.
    pub then: Vec<(String, Value)>,
}

impl Declared {
    pub fn new() -> Self {
        let owner = Owner {
            cluster_id: "prod".parse().unwrap(),
            kind: "WindowsWorkflow".into(),
            namespace: "ops".into(),
            name: "patch".into(),
        };
        Self {
            owner,
            script: "Get-Date".into(),
            policy: "windlass-0000000001".into(),
            cost_centre: None,
            statements: Vec::new(),
            then: Vec::new(),
        }
    }

    pub fn role_name(&self) -> String {
        self.owner.aws_name(ROLE_NAME_LIMIT)
    }

    pub fn document_name(&self) -> String {
        self.owner.aws_name(DOCUMENT_NAME_LIMIT)
    }

    pub fn machine_name(&self) -> String {
        self.owner.aws_name(STATES_NAME_LIMIT)
    }

    pub fn role_arn(&self) -> String {
        format!("arn:aws:iam::{ACCOUNT}:role{}{}", self.owner.role_path(), self.role_name())
    }

    pub fn document_arn(&self) -> String {
        format!("arn:aws:ssm:{REGION}:{ACCOUNT}:document/{}", self.document_name())
    }

    pub fn machine_arn(&self) -> String {
        format!("arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{}", self.machine_name())
    }

    pub fn content(&self) -> Value {
        json!({
            "schemaVersion": "2.2",
            "description": "test",
            "mainSteps": [{ "action": "aws:runPowerShellScript", "name": "work", "inputs": { "runCommand": [self.script] } }],
        })
    }

    pub fn policy_document(&self) -> Value {
        let send = json!({ "Sid": "Send", "Effect": "Allow", "Action": ["ssm:SendCommand"], "Resource": [self.document_arn()] });
        let statements: Vec<Value> = [send].into_iter().chain(self.statements.clone()).collect();
        json!({ "Version": "2012-10-17", "Statement": statements })
    }

    pub fn trust(&self) -> Value {
        json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": { "Service": "states.amazonaws.com" },
                "Action": "sts:AssumeRole",
                "Condition": {
                    "StringEquals": { "aws:SourceAccount": ACCOUNT },
                    "ArnEquals": { "aws:SourceArn": self.machine_arn() },
                },
            }],
        })
    }

    /// The definition, but for what AWS answers.
    pub fn definition(&self) -> Value {
        let mut states = json!({
            "start": { "Type": "Pass", "Assign": { "document": { "name": self.document_name(), "version": "", "hash": "" } } },
        });
        let mut last = "start".to_owned();
        for (name, state) in &self.then {
            states[&last]["Next"] = json!(name);
            states[name] = state.clone();
            last.clone_from(name);
        }
        states[&last]["End"] = json!(true);
        json!({ "QueryLanguage": "JSONata", "StartAt": "start", "States": states })
    }

    pub fn blueprint(&self) -> Blueprint {
        let mut tags = self.owner.tags();
        if let Some(cost_centre) = &self.cost_centre {
            tags.insert("CostCentre".into(), cost_centre.clone());
        }
        let fill = |field: &str, answer| Fill { pointer: format!("/States/start/Assign/document/{field}"), answer };
        let role = Role {
            path: self.owner.role_path(),
            name: self.role_name(),
            arn: self.role_arn(),
            description: "test".into(),
            trust: self.trust(),
            boundary_arn: variable("WINDLASS_TEST_BOUNDARY_ARN"),
            policies: [(self.policy.clone(), self.policy_document())].into(),
        };
        let document = Document { name: self.document_name(), arn: self.document_arn(), content: self.content() };
        let machine = StateMachine {
            name: self.machine_name(),
            arn: self.machine_arn(),
            role_arn: self.role_arn(),
            definition: self.definition(),
            fills: vec![
                fill("version", Answer::DocumentVersion(self.document_name())),
                fill("hash", Answer::DocumentHash(self.document_name())),
            ],
        };
        let bodies = [Body::Role(role), Body::Document(document), Body::StateMachine(machine)];
        Blueprint { objects: bodies.into_iter().map(|body| Object { tags: tags.clone(), body }).collect() }
    }
}
