//! What the execution role must be allowed for `powershell` steps.

use std::collections::{BTreeMap, BTreeSet};

use super::super::super::grants::{NodeTags, Nodes};
use super::super::super::iam::{Condition, Statement};
use super::super::super::place::Place;
use super::Plan;

/// The statements: sending the workflow's own document, to nodes only under the tags that the steps are held to, and watching commands.
pub(in super::super::super) fn needs(plans: &[&Plan], place: &Place<'_>, document_arn: &str) -> Vec<Statement> {
    if plans.is_empty() {
        return Vec::new();
    }
    let allow = |sid: String, actions: Vec<&str>, resources: Vec<String>, condition: Condition| Statement {
        sid,
        service: None,
        actions: actions.into_iter().map(str::to_owned).collect(),
        resources,
        condition,
    };
    let send = || vec!["ssm:SendCommand"];
    // In two statements, since a document carries none of the nodes' tags.
    let mut statements =
        vec![allow("SendDocument".into(), send(), vec![document_arn.to_owned()], Condition::default())];
    for (index, (tags, ids)) in by_tags(plans).into_iter().enumerate() {
        let condition = tags.iter().fold(Condition::default(), |condition, (key, values)| {
            condition.equals(format!("ssm:resourceTag/{key}"), values.iter().map(|value| literal(value)))
        });
        let resources = match ids {
            None => vec![place.instance_arn("*"), place.managed_instance_arn("*")],
            Some(ids) => ids
                .into_iter()
                .map(|id| if id.starts_with("mi-") { place.managed_instance_arn(id) } else { place.instance_arn(id) })
                .collect(),
        };
        statements.push(allow(format!("SendNodes{}", index + 1), send(), resources, condition));
    }
    // These support no resource (Service Authorization Reference, "Actions defined by AWS Systems Manager").
    let watch = vec!["ssm:ListCommands", "ssm:ListCommandInvocations", "ssm:GetCommandInvocation", "ssm:CancelCommand"];
    statements.push(allow("Watch".into(), watch, vec!["*".to_owned()], Condition::default()));
    statements
}

/// A value that means itself: `${` begins a policy variable (IAM user guide, "Policy variables and tags").
fn literal(value: &str) -> String {
    value.replace("${", "${$}{")
}

/// Nodes by the tags that they must carry: any, or the ids that are named.
fn by_tags<'p>(plans: &[&'p Plan]) -> BTreeMap<&'p NodeTags, Option<BTreeSet<&'p str>>> {
    let mut all: BTreeMap<&NodeTags, Option<BTreeSet<&str>>> = BTreeMap::new();
    for plan in plans {
        match &plan.nodes {
            Nodes::Tagged(tags) => {
                all.insert(tags, None);
            }
            Nodes::Ids { ids, tags } => {
                let known = all.entry(tags).or_insert_with(|| Some(BTreeSet::new()));
                if let Some(known) = known {
                    known.extend(ids.iter().map(String::as_str));
                }
            }
        }
    }
    all
}
