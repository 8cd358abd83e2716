//! What a namespace may reach: the account's grants, and-ed into a manifest's targets.

use std::collections::BTreeMap;

use crate::api::AwsAccountSpec;
use crate::api::account::Grant;
use crate::api::refs::{NodeId, Targets};

use super::Account;
use super::problem::Problem;

/// Most keys in the targets of one command (`SendCommand`, "Targets").
const KEYS: usize = 5;
/// Most values of one tag key there (Systems Manager user guide, "Using targets and rate controls").
const VALUES: usize = 5;

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

impl Nodes {
    /// In words: `these tags: OS in [Windows] and Role in [web]`.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Tagged(tags) => format!("these tags: {}", in_words(tags)),
            Self::Ids { ids, .. } => format!("one of these ids: {}", ids.join(", ")),
        }
    }
}

/// Names of the accounts that grant a namespace something.
pub fn granting<'a>(accounts: impl Iterator<Item = (&'a str, &'a AwsAccountSpec)>, namespace: &str) -> Vec<&'a str> {
    let granting = accounts.filter(|(_, spec)| of(spec, namespace).next().is_some());
    let mut names: Vec<&str> = granting.map(|(name, _)| name).collect();
    names.sort_unstable();
    names
}

fn of<'a>(account: &'a AwsAccountSpec, namespace: &str) -> impl Iterator<Item = &'a Grant> {
    account.grants.iter().filter(move |grant| grant.namespaces.iter().any(|granted| granted == namespace))
}

/// What is wrong with an account for a namespace, whatever its manifest targets.
///
/// # Errors
/// [`Problem`] at `path` when the account grants the namespace nothing.
pub fn any(account: &Account<'_>, namespace: &str, path: &str) -> Result<(), Problem> {
    if of(account.spec, namespace).next().is_some() {
        return Ok(());
    }
    Err(Problem::new(
        path,
        format!(
            "AwsAccount {} grants namespace {namespace} nothing: ask the platform team for an entry under spec.grants with namespaces: [{namespace}]",
            account.name
        ),
    ))
}

/// Refuses what no grant of a namespace allows. `what` is what it may not, as in `publish to arn:…`; `field` the field of a grant that would allow
/// it, and `value` what would have to stand there.
///
/// # Errors
/// [`Problem`] at `path`, which names the grants.
pub fn allowed(
    account: &Account<'_>,
    namespace: &str,
    path: &str,
    asked: &Asked<'_>,
    allows: impl Fn(&Grant) -> bool,
) -> Result<(), Problem> {
    any(account, namespace, path)?;
    if of(account.spec, namespace).any(allows) {
        return Ok(());
    }
    let grants: Vec<&str> = of(account.spec, namespace).map(|grant| grant.name.0.as_str()).collect();
    Err(Problem::new(
        path,
        format!(
            "no grant of AwsAccount {} lets namespace {namespace} {}: ask the platform team for {} under {} of grant {}",
            account.name,
            asked.what,
            asked.value,
            asked.field,
            grants.join(" or ")
        ),
    ))
}

/// What a manifest asks for that a grant must allow.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'q> {
    /// In words, behind "may": `publish to arn:…`.
    pub what: &'q str,
    /// The field of a grant that would allow it.
    pub field: &'q str,
    /// What would have to stand there.
    pub value: &'q str,
}

/// Whether a text matches a pattern in which `*` stands for any characters, also none.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    true
}

/// The nodes that targets name, where there is no account to hold them against.
///
/// # Errors
/// [`Problem`] at `path` when Systems Manager would not take them.
pub fn ungranted(targets: &Targets, path: &str) -> Result<Nodes, Problem> {
    let free = Grant { any_node: true, ..Grant::default() };
    let nodes = intersect(&free, targets).ok_or_else(|| Problem::new(path, "a tag of these targets has no values"))?;
    limited(nodes, path, None)
}

/// The nodes that targets come to under the account's grants.
///
/// # Errors
/// [`Problem`] at `path` when no grant allows them, several do in different ways, or more tags come together than Systems Manager takes.
pub fn nodes(account: &Account<'_>, namespace: &str, targets: &Targets, path: &str) -> Result<Nodes, Problem> {
    let refuse = |message: String| Err(Problem::new(path, message));
    any(account, namespace, path)?;
    let grants: Vec<&Grant> = of(account.spec, namespace).collect();
    let account = account.name;
    let reaching: Vec<&Grant> =
        grants.iter().copied().filter(|grant| grant.any_node || grant.node_tags.is_some()).collect();
    if reaching.is_empty() {
        return refuse(format!(
            "no grant of AwsAccount {account} lets namespace {namespace} reach nodes: ask the platform team for nodeTags in grant {}",
            grants.iter().map(|grant| grant.name.0.as_str()).collect::<Vec<_>>().join(" or ")
        ));
    }
    let within: Vec<(&Grant, Nodes)> =
        reaching.iter().filter_map(|grant| Some((*grant, intersect(grant, targets)?))).collect();
    match within.as_slice() {
        [] => refuse(format!(
            "these targets are outside of what namespace {namespace} may reach: {}; target nodes within that, or ask the platform team to widen spec.grants[].nodeTags of AwsAccount {account}",
            reaching.iter().map(|grant| describe(grant)).collect::<Vec<_>>().join("; ")
        )),
        [(grant, nodes)] => limited(nodes.clone(), path, Some(grant)),
        [(grant, nodes), rest @ ..] if rest.iter().all(|(_, other)| other == nodes) => {
            limited(nodes.clone(), path, Some(grant))
        }
        several => refuse(format!(
            "several grants of AwsAccount {account} reach these targets, each other nodes of them ({}): add the tags of the one that you mean",
            several.iter().map(|(grant, _)| describe(grant)).collect::<Vec<_>>().join("; ")
        )),
    }
}

fn describe(grant: &Grant) -> String {
    let reach = match &grant.node_tags {
        Some(tags) => in_words(tags),
        None => "any node".to_owned(),
    };
    format!("grant {} allows {reach}", grant.name.0)
}

fn in_words(tags: &NodeTags) -> String {
    let tags: Vec<String> = tags.iter().map(|(key, values)| format!("{key} in [{}]", values.join(", "))).collect();
    tags.join(" and ")
}

/// And-s a grant into targets; none when no value of some key is left.
fn intersect(grant: &Grant, targets: &Targets) -> Option<Nodes> {
    let granted = grant.node_tags.clone().unwrap_or_default();
    if let Some(ids) = &targets.node_ids {
        let mut ids: Vec<String> = ids.iter().map(|NodeId(id)| id.clone()).collect();
        ids.sort();
        ids.dedup();
        return Some(Nodes::Ids { ids, tags: sorted(granted) });
    }
    let mut tags = granted;
    for (key, wanted) in targets.tags.iter().flatten() {
        let values = tags.entry(key.clone()).or_insert_with(|| wanted.clone());
        values.retain(|value| wanted.contains(value));
        if values.is_empty() {
            return None;
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

fn limited(nodes: Nodes, path: &str, grant: Option<&Grant>) -> Result<Nodes, Problem> {
    let Nodes::Tagged(tags) = &nodes else { return Ok(nodes) };
    let with = grant
        .filter(|grant| grant.node_tags.is_some())
        .map_or_else(String::new, |grant| format!("with the nodeTags of grant {} ", grant.name.0));
    if tags.is_empty() {
        return Err(Problem::new(path, "targets need a tag or a node id"));
    }
    if tags.len() > KEYS {
        let keys = tags.keys().cloned().collect::<Vec<_>>().join(", ");
        return Err(Problem::new(
            path,
            format!(
                "{with}these targets name {} tag keys ({keys}), and Systems Manager takes {KEYS}: use fewer",
                tags.len()
            ),
        ));
    }
    if let Some((key, values)) = tags.iter().find(|(_, values)| values.len() > VALUES) {
        return Err(Problem::new(
            path,
            format!(
                "{with}these targets name {} values of tag {key}, and Systems Manager takes {VALUES}: use fewer, or a tag that they share",
                values.len()
            ),
        ));
    }
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn account(grants: &Value) -> AwsAccountSpec {
        serde_json::from_value(json!({
            "accountId": "111122223333", "region": "eu-west-1",
            "permissionsBoundaryArn": "arn:aws:iam::111122223333:policy/org-boundary", "grants": grants
        }))
        .unwrap()
    }

    fn reach(grants: &Value, targets: Value) -> Result<Nodes, String> {
        let spec = account(grants);
        let targets: Targets = serde_json::from_value(targets).unwrap();
        nodes(&Account { name: "prod", spec: &spec, fleets: &super::super::NO_FLEETS }, "ops", &targets, "spec.targets")
            .map_err(|problem| problem.message)
    }

    #[allow(clippy::unnecessary_wraps)] // compared with what `reach` gives
    fn tagged(tags: Value) -> Result<Nodes, String> {
        Ok(Nodes::Tagged(serde_json::from_value(tags).unwrap()))
    }

    #[test]
    fn grants_are_anded_into_targets() {
        let grants =
            json!([{ "name": "ops", "namespaces": ["ops"], "nodeTags": { "OS": ["Windows"], "Role": ["web", "db"] } }]);
        assert_eq!(
            reach(&grants, json!({ "tags": { "Role": ["web", "mail"] } })),
            tagged(json!({ "OS": ["Windows"], "Role": ["web"] }))
        );
        assert_eq!(
            reach(&grants, json!({ "nodeIds": ["i-0123456789abcdef0"] })),
            Ok(Nodes::Ids {
                ids: vec!["i-0123456789abcdef0".into()],
                tags: serde_json::from_value(json!({ "OS": ["Windows"], "Role": ["db", "web"] })).unwrap()
            })
        );
        assert_eq!(
            reach(&grants, json!({ "tags": { "Role": ["dc"] } })).unwrap_err(),
            "these targets are outside of what namespace ops may reach: grant ops allows OS in [Windows] and Role in [web, db]; target nodes within that, or ask the platform team to widen spec.grants[].nodeTags of AwsAccount prod"
        );
    }

    #[test]
    fn any_node_must_be_said() {
        let silent = json!([{ "name": "ops", "namespaces": ["ops"] }]);
        assert_eq!(
            reach(&silent, json!({ "tags": { "Role": ["web"] } })).unwrap_err(),
            "no grant of AwsAccount prod lets namespace ops reach nodes: ask the platform team for nodeTags in grant ops"
        );
        let loud = json!([{ "name": "ops", "namespaces": ["ops"], "anyNode": true }]);
        assert_eq!(reach(&loud, json!({ "tags": { "Role": ["web"] } })), tagged(json!({ "Role": ["web"] })));
    }

    #[test]
    fn two_grants_must_agree() {
        let grants = json!([
            { "name": "one", "namespaces": ["ops"], "nodeTags": { "Site": ["dc1"] } },
            { "name": "two", "namespaces": ["ops"], "nodeTags": { "Site": ["dc2"] } }
        ]);
        assert_eq!(reach(&grants, json!({ "tags": { "Site": ["dc2"] } })), tagged(json!({ "Site": ["dc2"] })));
        assert_eq!(
            reach(&grants, json!({ "tags": { "Role": ["web"] } })).unwrap_err(),
            "several grants of AwsAccount prod reach these targets, each other nodes of them (grant one allows Site in [dc1]; grant two allows Site in [dc2]): add the tags of the one that you mean"
        );
    }

    #[test]
    fn systems_manager_takes_five_of_each() {
        let grants = json!([{ "name": "ops", "namespaces": ["ops"], "nodeTags": { "OS": ["Windows"] } }]);
        let keys: Value = (0..5).map(|n| (format!("k{n}"), json!(["v"]))).collect::<serde_json::Map<_, _>>().into();
        assert_eq!(
            reach(&grants, json!({ "tags": keys })).unwrap_err(),
            "with the nodeTags of grant ops these targets name 6 tag keys (OS, k0, k1, k2, k3, k4), and Systems Manager takes 5: use fewer"
        );
        assert_eq!(
            reach(&grants, json!({ "tags": { "Role": ["a", "b", "c", "d", "e", "f"] } })).unwrap_err(),
            "with the nodeTags of grant ops these targets name 6 values of tag Role, and Systems Manager takes 5: use fewer, or a tag that they share"
        );
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text) in
            [("a", "a"), ("a*", "a"), ("a*", "abc"), ("*", ""), ("a*c*e", "abcde"), ("a*b*b", "abb"), ("*b", "ab")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", "ab"), ("a*", "b"), ("a*b*b", "ab"), ("a*c", "abcd"), ("", "a"), ("ab*ba", "aba")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn granting_names_accounts() {
        let (one, other) = (account(&json!([{ "name": "g", "namespaces": ["ops", "web"] }])), account(&json!([])));
        let all = [("b", &one), ("a", &one), ("c", &other)];
        assert_eq!(granting(all.into_iter(), "ops"), ["a", "b"]);
        assert!(granting(all.into_iter(), "data").is_empty());
    }
}
