//! What a namespace may reach: the account's grants, and-ed into a manifest's targets.

use std::collections::BTreeMap;

use crate::api::account::Grant;
use crate::api::refs::{NodeId, Targets};
use crate::api::AwsAccountSpec;

use super::problem::Problem;

/// Most keys in the targets of one command (`SendCommand`, "Targets").
const KEYS: usize = 5;

/// Tag keys and the values accepted for each.
pub type NodeTags = BTreeMap<String, Vec<String>>;

/// The nodes of one step: what is sent to, and what its role is held to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nodes {
    /// Nodes by tags.
    Tagged(NodeTags),
    /// Nodes by id, which must carry the tags all the same (no tags: any node).
    Ids {
        /// The ids.
        ids: Vec<String>,
        /// The grant's tags.
        tags: NodeTags,
    },
}

/// Names of the accounts that grant a namespace something.
pub fn granting<'a>(accounts: impl Iterator<Item = (&'a str, &'a AwsAccountSpec)>, namespace: &str) -> Vec<&'a str> {
    let mut names: Vec<&str> = accounts.filter(|(_, spec)| of(spec, namespace).next().is_some()).map(|(name, _)| name).collect();
    names.sort_unstable();
    names
}

fn of<'a>(account: &'a AwsAccountSpec, namespace: &str) -> impl Iterator<Item = &'a Grant> {
    let namespace = namespace.to_owned();
    account.grants.iter().filter(move |grant| grant.namespaces.contains(&namespace))
}

/// The nodes that targets come to under the account's grants.
///
/// # Errors
/// [`Problem`] at `path` when no grant allows them, several do in different ways, or too many tag keys come together.
pub fn nodes(
    account_name: &str,
    account: &AwsAccountSpec,
    namespace: &str,
    targets: &Targets,
    path: &str,
) -> Result<Nodes, Problem> {
    let refuse = |message: String| Err(Problem::new(path, message));
    let grants: Vec<&Grant> = of(account, namespace).collect();
    if grants.is_empty() {
        return refuse(format!(
            "AwsAccount {account_name} grants namespace {namespace} nothing: ask the platform team for an entry under spec.grants with namespaces: [{namespace}]"
        ));
    }
    let reaching: Vec<&Grant> = grants.iter().copied().filter(|grant| grant.any_node || grant.node_tags.is_some()).collect();
    if reaching.is_empty() {
        return refuse(format!(
            "no grant of AwsAccount {account_name} lets namespace {namespace} reach nodes: ask the platform team for nodeTags in grant {}",
            names(&grants)
        ));
    }
    let within: Vec<(&Grant, Nodes)> = reaching.iter().filter_map(|grant| Some((*grant, intersect(grant, targets)?))).collect();
    match within.as_slice() {
        [] => refuse(format!(
            "these targets are outside of what namespace {namespace} may reach: {}; target nodes within that, or ask the platform team to widen spec.grants[].nodeTags of AwsAccount {account_name}",
            reaching.iter().map(|grant| describe(grant)).collect::<Vec<_>>().join("; ")
        )),
        [(_, nodes)] => limit(nodes.clone(), path),
        [(_, nodes), rest @ ..] if rest.iter().all(|(_, other)| other == nodes) => limit(nodes.clone(), path),
        several => refuse(format!(
            "several grants of AwsAccount {account_name} reach these targets in different ways ({}): add the tags of the one that you mean",
            several.iter().map(|(grant, _)| describe(grant)).collect::<Vec<_>>().join("; ")
        )),
    }
}

fn names(grants: &[&Grant]) -> String {
    grants.iter().map(|grant| grant.name.0.as_str()).collect::<Vec<_>>().join(", ")
}

fn describe(grant: &Grant) -> String {
    let tags = grant.node_tags.iter().flatten();
    let tags: Vec<String> = tags.map(|(key, values)| format!("{key} in [{}]", values.join(", "))).collect();
    let reach = if grant.any_node { "any node".to_owned() } else { tags.join(" and ") };
    format!("grant {} allows {reach}", grant.name.0)
}

/// And-s a grant into targets; none when nothing is left.
fn intersect(grant: &Grant, targets: &Targets) -> Option<Nodes> {
    let granted = grant.node_tags.clone().unwrap_or_default();
    if let Some(ids) = &targets.node_ids {
        let mut ids: Vec<String> = ids.iter().map(|NodeId(id)| id.clone()).collect();
        ids.sort();
        return Some(Nodes::Ids { ids, tags: sorted(granted) });
    }
    let mut tags = granted;
    for (key, wanted) in targets.tags.iter().flatten() {
        match tags.get_mut(key) {
            Some(values) => {
                values.retain(|value| wanted.contains(value));
                if values.is_empty() {
                    return None;
                }
            }
            None => {
                tags.insert(key.clone(), wanted.clone());
            }
        }
    }
    Some(Nodes::Tagged(sorted(tags)))
}

fn sorted(mut tags: NodeTags) -> NodeTags {
    for values in tags.values_mut() {
        values.sort();
        values.dedup();
    }
    tags
}

fn limit(nodes: Nodes, path: &str) -> Result<Nodes, Problem> {
    match &nodes {
        Nodes::Tagged(tags) if tags.len() > KEYS => Err(Problem::new(
            path,
            format!(
                "with the grant's tags these targets name {} tag keys ({}), and Systems Manager takes {KEYS}: use fewer",
                tags.len(),
                tags.keys().cloned().collect::<Vec<_>>().join(", ")
            ),
        )),
        _ => Ok(nodes),
    }
}
