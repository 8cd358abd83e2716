//! The execution role of a workflow: what its steps need, and nothing else.

use serde_json::Value;

use super::grants::Nodes;
use super::iam::{Condition, Policy, Statement};
use super::workflow::Arns;

/// Step Functions may assume the role, for this state machine alone (developer guide, "Prevent cross-service confused deputy issue").
pub fn trust(arns: &Arns, account_id: &str) -> Value {
    let condition = Condition::default()
        .equals("aws:SourceAccount", [account_id])
        .arn_like("aws:SourceArn", [arns.machine.clone()]);
    let statement = Statement {
        sid: "StateMachine",
        service: Some("states.amazonaws.com"),
        actions: vec!["sts:AssumeRole"],
        resources: Vec::new(),
        condition,
    };
    Policy { statements: vec![statement] }.to_value()
}

/// The inline policy of a workflow's role; none where its steps call nothing.
pub fn policy(arns: &Arns, document_arn: Option<&str>, nodes: &[&Nodes]) -> Option<Value> {
    let document_arn = document_arn?;
    let mut statements = vec![
        Statement {
            sid: "OwnDocument",
            service: None,
            actions: vec!["ssm:SendCommand"],
            resources: vec![document_arn.to_owned()],
            condition: Condition::default(),
        },
        // None of these supports a resource (service authorization reference, "AWS Systems Manager").
        Statement {
            sid: "FollowCommands",
            service: None,
            actions: vec!["ssm:CancelCommand", "ssm:GetCommandInvocation", "ssm:ListCommandInvocations", "ssm:ListCommands"],
            resources: vec!["*".to_owned()],
            condition: Condition::default(),
        },
    ];
    let mut seen: Vec<&Nodes> = Vec::new();
    for nodes in nodes {
        if !seen.contains(nodes) {
            seen.push(nodes);
        }
    }
    let instances = |id: &str| format!("arn:{}:ec2:{}:{}:instance/{id}", arns.partition, arns.region, arns.account);
    let hybrid = |id: &str| format!("arn:{}:ssm:{}:{}:managed-instance/{id}", arns.partition, arns.region, arns.account);
    for (index, nodes) in seen.into_iter().enumerate() {
        let (resources, tags) = match nodes {
            Nodes::Tagged(tags) => (vec![instances("*"), hybrid("*")], tags),
            Nodes::Ids { ids, tags } => {
                let each = ids.iter().map(|id| if id.starts_with("mi-") { hybrid(id) } else { instances(id) });
                (each.collect(), tags)
            }
        };
        let condition = tags
            .iter()
            .fold(Condition::default(), |condition, (key, values)| condition.equals(format!("ssm:resourceTag/{key}"), values.clone()));
        let statement =
            Statement { sid: sid(index), service: None, actions: vec!["ssm:SendCommand"], resources, condition };
        statements.push(statement);
    }
    Some(Policy { statements }.to_value())
}

/// Statements have names of letters and digits (IAM reference, "Sid").
fn sid(index: usize) -> &'static str {
    const NAMES: &[&str] = &["Nodes", "Nodes2", "Nodes3", "Nodes4", "Nodes5", "Nodes6", "Nodes7", "Nodes8"];
    NAMES.get(index).copied().unwrap_or("")
}
