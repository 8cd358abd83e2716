//! The nodes of a run: which are listed when it starts, and how the execution's input carries them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::api::run::{ListedTargets, Subset};
use crate::aws::nodes::Node;
use crate::compile::grants::{NodeTags, Nodes};
use crate::compile::targets::TargetSet;

/// Largest input of an execution, in bytes (Step Functions quotas, "Maximum input or output size").
pub const INPUT_LIMIT: usize = 262_144;
/// Most nodes of a set that a status names.
const NAMED: usize = 100;
/// Digits of the digest over a set's node ids.
const DIGEST: usize = 12;

/// What to list for a set: nodes with these tags that are, where there are ids, among those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Tags.
    pub tags: NodeTags,
    /// Ids.
    pub ids: Option<BTreeSet<String>>,
}

/// What to list for a set of which a run names a part. None when nothing of it can be left.
#[must_use]
pub fn wanted(nodes: &Nodes, subset: Option<&Subset>) -> Option<Wanted> {
    let (mut tags, mut ids) = match nodes {
        Nodes::Tagged(tags) => (tags.clone(), None),
        Nodes::Ids { ids, tags } => (tags.clone(), Some(ids.iter().cloned().collect::<BTreeSet<String>>())),
    };
    for (key, values) in subset.and_then(|subset| subset.tags.as_ref()).into_iter().flatten() {
        let kept = tags.entry(key.clone()).or_insert_with(|| values.clone());
        kept.retain(|value| values.contains(value));
        if kept.is_empty() {
            return None;
        }
    }
    if let Some(named) = subset.and_then(|subset| subset.node_ids.as_ref()) {
        let named: BTreeSet<String> = named.iter().map(|id| id.0.clone()).collect();
        let left: BTreeSet<String> = match ids {
            Some(ids) => ids.intersection(&named).cloned().collect(),
            None => named,
        };
        if left.is_empty() {
            return None;
        }
        ids = Some(left);
    }
    Some(Wanted { tags, ids })
}

/// A set with the Windows nodes that were found for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The set.
    pub set: TargetSet,
    /// Its nodes, by id.
    pub nodes: Vec<Node>,
}

impl Listed {
    /// For the run's status.
    #[must_use]
    pub fn status(&self) -> ListedTargets {
        let offline = self.nodes.iter().filter(|node| !node.online()).count();
        let nodes = self.nodes.iter().map(|node| (node.id.as_str(), node.computer_name.as_deref()));
        ListedTargets {
            fleet: self.set.fleet.clone(),
            offline: Some(number(offline)),
            ..described(&self.set.key, &nodes.collect::<Vec<_>>())
        }
    }
}

/// `nodes` of an execution's input.
#[must_use]
pub fn input(listed: &[Listed]) -> Map<String, Value> {
    let entry = |node: &Node| {
        let mut entry = Map::from_iter([("id".to_owned(), json!(node.id))]);
        // Expressions may show it: a node without a name goes by its id.
        entry.insert("name".to_owned(), json!(node.computer_name.as_deref().unwrap_or(&node.id)));
        Value::Object(entry)
    };
    listed.iter().map(|one| (one.set.key.clone(), one.nodes.iter().map(entry).collect())).collect()
}

/// The sets that an execution's input carries, for the run's status.
#[must_use]
pub fn of_input(input: &str) -> Vec<ListedTargets> {
    let input: Value = serde_json::from_str(input).unwrap_or_default();
    let sets: BTreeMap<&String, &Value> = input.get("nodes").and_then(Value::as_object).into_iter().flatten().collect();
    sets.into_iter()
        .map(|(key, nodes)| {
            let text = |node: &'_ Value, field: &str| node.get(field).and_then(Value::as_str).map(str::to_owned);
            let nodes: Vec<(String, Option<String>)> = nodes
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|node| Some((text(node, "id")?, text(node, "name"))))
                .collect();
            let nodes: Vec<(&str, Option<&str>)> =
                nodes.iter().map(|(id, name)| (id.as_str(), name.as_deref())).collect();
            described(key, &nodes)
        })
        .collect()
}

/// Whether two accounts of the sets are about the same nodes.
#[must_use]
pub fn same(one: &[ListedTargets], other: &[ListedTargets]) -> bool {
    let digests = |all: &[ListedTargets]| -> BTreeMap<String, String> {
        all.iter().map(|one| (one.set.clone(), one.digest.clone())).collect()
    };
    digests(one) == digests(other)
}

fn described(key: &str, nodes: &[(&str, Option<&str>)]) -> ListedTargets {
    let mut hash = Sha256::new();
    for (id, _) in nodes {
        hash.update(id.as_bytes());
        hash.update([0]);
    }
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let label = |(id, name): &(&str, Option<&str>)| match name {
        Some(name) if name != id => format!("{name} ({id})"),
        _ => (*id).to_owned(),
    };
    ListedTargets {
        set: key.to_owned(),
        fleet: None,
        count: number(nodes.len()),
        offline: None,
        digest: digest.chars().take(DIGEST).collect(),
        nodes: nodes.iter().take(NAMED).map(label).collect(),
    }
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Why an input is too large, with the sum. None when it is not.
#[must_use]
pub fn too_large(input: &Value) -> Option<String> {
    let size = input.to_string().len();
    if size <= INPUT_LIMIT {
        return None;
    }
    let part = |field: &str| input.get(field).map_or(0, |part| part.to_string().len());
    let sets = input.get("nodes").and_then(Value::as_object);
    let counts: Vec<String> = sets
        .into_iter()
        .flatten()
        .map(|(key, nodes)| format!("{key} {}", nodes.as_array().map_or(0, Vec::len)))
        .collect();
    Some(format!(
        "the execution's input comes to {size} bytes, and Step Functions takes {INPUT_LIMIT}: {} for the nodes ({}), {} for the parameters, {} for the rest",
        part("nodes"),
        counts.join(", "),
        part("params"),
        size.saturating_sub(part("nodes") + part("params"))
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(json: Value) -> NodeTags {
        serde_json::from_value(json).unwrap()
    }

    fn subset(json: Value) -> Subset {
        serde_json::from_value(json).unwrap()
    }

    fn node(number: usize, online: bool) -> Node {
        Node {
            id: format!("i-{number:017x}"),
            computer_name: Some(format!("WEB-{number}")),
            ping: if online { "Online" } else { "ConnectionLost" }.into(),
            last_seen: None,
            windows: true,
        }
    }

    fn set(key: &str) -> TargetSet {
        TargetSet {
            key: key.into(),
            at: "spec.targets".into(),
            nodes: Nodes::Tagged(tags(json!({ "Role": ["web"] }))),
            fleet: Some("iis".into()),
            frozen: true,
        }
    }

    #[test]
    fn a_run_narrows_what_its_workflow_targets() {
        let by_tags = Nodes::Tagged(tags(json!({ "OS": ["Windows"], "Role": ["web", "sql"] })));
        assert_eq!(
            wanted(&by_tags, None).unwrap(),
            Wanted { tags: tags(json!({ "OS": ["Windows"], "Role": ["web", "sql"] })), ids: None }
        );
        let narrowed = wanted(&by_tags, Some(&subset(json!({ "tags": { "Role": ["web", "dc"], "Site": ["a"] } }))));
        assert_eq!(narrowed.unwrap().tags, tags(json!({ "OS": ["Windows"], "Role": ["web"], "Site": ["a"] })));
        assert_eq!(wanted(&by_tags, Some(&subset(json!({ "tags": { "Role": ["dc"] } })))), None);
        let one = wanted(&by_tags, Some(&subset(json!({ "nodeIds": ["i-01234567"] })))).unwrap();
        assert_eq!((one.tags.len(), one.ids), (2, Some(BTreeSet::from(["i-01234567".to_owned()]))));
        let by_ids = Nodes::Ids { ids: vec!["i-01234567".into(), "i-01234568".into()], tags: NodeTags::new() };
        let both = wanted(&by_ids, Some(&subset(json!({ "nodeIds": ["i-01234568", "i-01234569"] })))).unwrap();
        assert_eq!(both.ids, Some(BTreeSet::from(["i-01234568".to_owned()])));
        assert_eq!(wanted(&by_ids, Some(&subset(json!({ "nodeIds": ["i-01234569"] })))), None);
    }

    #[test]
    fn an_input_tells_the_nodes_that_went_into_it() {
        let listed = Listed { set: set("workflow"), nodes: vec![node(1, true), node(2, false)] };
        let given = json!({ "params": {}, "nodes": input(std::slice::from_ref(&listed)) });
        assert_eq!(given["nodes"]["workflow"][1], json!({ "id": "i-00000000000000002", "name": "WEB-2" }));
        let (before, after) = (listed.status(), of_input(&given.to_string()));
        assert_eq!((before.count, before.offline, before.fleet.as_deref()), (2, Some(1), Some("iis")));
        assert_eq!(after[0].nodes, before.nodes);
        assert!(same(&after, std::slice::from_ref(&before)));
        let fewer = Listed { set: set("workflow"), nodes: vec![node(1, true)] };
        assert!(!same(&after, &[fewer.status()]));
        assert!(of_input("no JSON").is_empty());
    }

    #[test]
    fn an_input_that_is_too_large_is_refused_with_the_sum() {
        let many =
            |count| Listed { set: set("workflow"), nodes: (0..count).map(|number| node(number, true)).collect() };
        let given = |count| json!({ "run": {}, "params": {}, "nodes": input(&[many(count)]) });
        assert_eq!(too_large(&given(4000)), None);
        let message = too_large(&given(9000)).unwrap();
        assert!(message.contains("and Step Functions takes 262144: "), "{message}");
        assert!(message.contains("(workflow 9000), 2 for the parameters"), "{message}");
    }
}
