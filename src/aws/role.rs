//! IAM roles with inline policies.
//!
//! Read whole by `GetRole` (trust, boundary, tags), `ListRolePolicies` and a `GetRolePolicy` for each policy that should be there. The description is written once and
//! not compared: it says nothing that the tags do not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use aws_sdk_iam::types::Tag;
use aws_smithy_types::error::operation::BuildError;
use serde_json::{Value, json};

use crate::compile::blueprint::Role;
use crate::compile::iam::same_meaning;

use super::digest::Parts;
use super::error::{AwsError, Class};
use super::resource::{Attributes, Created, Found, Novelty, Resource, Tags, missing_tags};
use super::session::Session;

const SERVICE: &str = "iam";
/// Prefix of the names of inline policies made by Windlass.
const OURS: &str = "windlass-";
/// Attribute: the names of Windlass's inline policies that the role has, separated by commas.
const POLICIES: &str = "policies";

const TRUST: &str = "trust";
const BOUNDARY: &str = "boundary";
const TAGS: &str = "tags";

/// A role as it is declared.
pub(super) struct RoleResource<'a> {
    pub(super) role: &'a Role,
    pub(super) tags: &'a Tags,
}

/// What is read of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    trust: Option<Value>,
    boundary: Option<String>,
    /// All inline policies by name; with their documents where they are declared.
    policies: BTreeMap<String, Option<Value>>,
}

/// How a role can differ.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Difference {
    Trust,
    Boundary,
    Tags(Vec<String>),
    PolicyMissing(String),
    PolicyChanged(String),
    PolicyOfOthers(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trust => write!(f, "trust policy"),
            Self::Boundary => write!(f, "permissions boundary"),
            Self::Tags(keys) => write!(f, "tags {}", keys.join(" ")),
            Self::PolicyMissing(name) => write!(f, "policy {name} added"),
            Self::PolicyChanged(name) => write!(f, "policy {name} changed"),
            Self::PolicyOfOthers(name) => write!(f, "policy {name}, which is not declared, removed"),
        }
    }
}

impl Resource for RoleResource<'_> {
    type State = State;
    type Difference = Difference;

    fn parts(&self) -> Parts {
        let role = self.role;
        let parts = Parts::default()
            .with(TRUST, &role.trust)
            .with(BOUNDARY, &json!(role.boundary_arn))
            .with(TAGS, &json!(self.tags));
        role.policies.iter().fold(parts, |parts, (name, policy)| parts.with(part(name), policy))
    }

    async fn create(&self, session: &Session) -> Result<Created, AwsError> {
        let role = self.role;
        let tags = tags(self.tags.iter(), &role.arn)?;
        let request = || {
            let call = session.iam.create_role().path(&role.path).role_name(&role.name);
            let call = call.assume_role_policy_document(role.trust.to_string()).description(&role.description);
            call.permissions_boundary(&role.boundary_arn).set_tags(Some(tags)).send()
        };
        session.call(SERVICE, "CreateRole", Some(&role.arn), request).await?;
        for (name, policy) in &role.policies {
            self.put_policy(session, name, policy).await?;
        }
        Ok(Created { attributes: attributes(role.policies.keys().cloned()), novelty: Novelty::New })
    }

    async fn observe(&self, session: &Session, _prove: bool) -> Result<Option<Found<State>>, AwsError> {
        let role = self.role;
        let Some(found) = get(session, &role.name).await? else {
            return Ok(None);
        };
        let mut policies = BTreeMap::new();
        for name in policy_names(session, &role.name).await? {
            let declared = role.policies.contains_key(&name);
            let document = if declared { get_policy(session, &role.name, &name).await? } else { None };
            policies.insert(name, document);
        }
        let attributes = attributes(policies.keys().cloned());
        let state = State { trust: found.trust, boundary: found.boundary, policies };
        Ok(Some(Found { arn: found.arn, tags: Some(found.tags), attributes, state }))
    }

    fn compare(&self, found: &Found<State>, _recorded: Option<&Parts>) -> Vec<Difference> {
        let (role, state) = (self.role, &found.state);
        let same = |one: Option<&Value>, other| one.is_some_and(|one| same_meaning(one, other));
        let mut differences = Vec::new();
        if !same(state.trust.as_ref(), &role.trust) {
            differences.push(Difference::Trust);
        }
        if state.boundary.as_deref() != Some(role.boundary_arn.as_str()) {
            differences.push(Difference::Boundary);
        }
        let missing = missing_tags(self.tags, found.tags.as_ref().unwrap_or(&Tags::new()));
        if !missing.is_empty() {
            differences.push(Difference::Tags(missing));
        }
        for (name, declared) in &role.policies {
            match state.policies.get(name) {
                None => differences.push(Difference::PolicyMissing(name.clone())),
                Some(document) if same(document.as_ref(), declared) => {}
                Some(_) => differences.push(Difference::PolicyChanged(name.clone())),
            }
        }
        let others = state.policies.keys().filter(|name| !name.starts_with(OURS) && !role.policies.contains_key(*name));
        differences.extend(others.cloned().map(Difference::PolicyOfOthers));
        differences
    }

    fn since(&self, recorded: &Parts) -> Vec<Difference> {
        let now = self.parts();
        let mut differences = Vec::new();
        if now.changed(recorded, TRUST) {
            differences.push(Difference::Trust);
        }
        if now.changed(recorded, BOUNDARY) {
            differences.push(Difference::Boundary);
        }
        if now.changed(recorded, TAGS) {
            differences.push(Difference::Tags(self.tags.keys().cloned().collect()));
        }
        let policies = self.role.policies.keys().filter(|name| now.changed(recorded, &part(name)));
        differences.extend(policies.cloned().map(Difference::PolicyMissing));
        differences
    }

    async fn update(
        &self,
        session: &Session,
        differences: Vec<Difference>,
        known: Attributes,
    ) -> Result<Attributes, AwsError> {
        let mut names: BTreeSet<String> = names(&known).map(str::to_owned).collect();
        for difference in differences {
            match difference {
                Difference::Trust => self.put_trust(session).await?,
                Difference::Boundary => self.put_boundary(session).await?,
                Difference::Tags(keys) => self.put_tags(session, &keys).await?,
                Difference::PolicyMissing(name) | Difference::PolicyChanged(name) => {
                    if let Some(policy) = self.role.policies.get(&name) {
                        self.put_policy(session, &name, policy).await?;
                        names.insert(name);
                    }
                }
                Difference::PolicyOfOthers(name) => delete_policy(session, &self.role.name, &name).await?,
            }
        }
        Ok(attributes(names))
    }
}

impl RoleResource<'_> {
    async fn put_trust(&self, session: &Session) -> Result<(), AwsError> {
        let role = self.role;
        let request = || {
            let call = session.iam.update_assume_role_policy().role_name(&role.name);
            call.policy_document(role.trust.to_string()).send()
        };
        session.call(SERVICE, "UpdateAssumeRolePolicy", Some(&role.arn), request).await.map(drop)
    }

    async fn put_boundary(&self, session: &Session) -> Result<(), AwsError> {
        let role = self.role;
        let request = || {
            let call = session.iam.put_role_permissions_boundary().role_name(&role.name);
            call.permissions_boundary(&role.boundary_arn).send()
        };
        session.call(SERVICE, "PutRolePermissionsBoundary", Some(&role.arn), request).await.map(drop)
    }

    async fn put_tags(&self, session: &Session, keys: &[String]) -> Result<(), AwsError> {
        let role = self.role;
        let tags = tags(self.tags.iter().filter(|(key, _)| keys.contains(key)), &role.arn)?;
        let request = || session.iam.tag_role().role_name(&role.name).set_tags(Some(tags)).send();
        session.call(SERVICE, "TagRole", Some(&role.arn), request).await.map(drop)
    }

    async fn put_policy(&self, session: &Session, name: &str, policy: &Value) -> Result<(), AwsError> {
        let role = self.role;
        let request = || {
            let call = session.iam.put_role_policy().role_name(&role.name).policy_name(name);
            call.policy_document(policy.to_string()).send()
        };
        session.call(SERVICE, "PutRolePolicy", Some(&role.arn), request).await.map(drop)
    }
}

fn part(policy: &str) -> String {
    format!("policy/{policy}")
}

/// Names of Windlass's policies, out of a role's attributes.
fn names(attributes: &Attributes) -> impl Iterator<Item = &str> {
    attributes.get(POLICIES).map_or("", String::as_str).split(',').filter(|name| !name.is_empty())
}

/// Windlass's policies that a role has and that are not declared any more.
pub(super) fn stale<'a>(role: &Role, attributes: &'a Attributes) -> Vec<&'a str> {
    names(attributes).filter(|name| !role.policies.contains_key(*name)).collect()
}

/// Takes one of Windlass's policies away from a role, and gives the attributes after that.
pub(super) async fn prune(
    session: &Session,
    role: &Role,
    attributes_: &Attributes,
    policy: &str,
) -> Result<Attributes, AwsError> {
    delete_policy(session, &role.name, policy).await?;
    Ok(attributes(names(attributes_).filter(|name| *name != policy).map(str::to_owned)))
}

fn attributes(names: impl IntoIterator<Item = String>) -> Attributes {
    let names: BTreeSet<String> = names.into_iter().filter(|name| name.starts_with(OURS)).collect();
    let names: Vec<String> = names.into_iter().collect();
    [(POLICIES.to_owned(), names.join(","))].into()
}

struct Got {
    arn: String,
    trust: Option<Value>,
    boundary: Option<String>,
    tags: Tags,
}

async fn get(session: &Session, name: &str) -> Result<Option<Got>, AwsError> {
    const OPERATION: &str = "GetRole";
    let request = || session.iam.get_role().role_name(name).send();
    let answer = match session.call(SERVICE, OPERATION, Some(name), request).await {
        Ok(answer) => answer,
        Err(error) if error.class == Class::Gone => return Ok(None),
        Err(error) => return Err(error),
    };
    let role = answer.role.ok_or_else(|| AwsError::incomplete(SERVICE, OPERATION, name, "Role"))?;
    Ok(Some(Got {
        arn: role.arn,
        trust: role.assume_role_policy_document.as_deref().and_then(document),
        boundary: role.permissions_boundary.and_then(|boundary| boundary.permissions_boundary_arn),
        tags: role.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect(),
    }))
}

/// The tags that prove whose a role is; none when there is no such role.
pub(super) async fn proof(session: &Session, name: &str) -> Result<Option<Tags>, AwsError> {
    Ok(get(session, name).await?.map(|found| found.tags))
}

/// Deletes a role, its inline policies first.
pub(super) async fn delete(session: &Session, name: &str) -> Result<(), AwsError> {
    for policy in policy_names(session, name).await? {
        delete_policy(session, name, &policy).await?;
    }
    let request = || session.iam.delete_role().role_name(name).send();
    match session.call(SERVICE, "DeleteRole", Some(name), request).await {
        Err(error) if error.class != Class::Gone => Err(error),
        _ => Ok(()),
    }
}

async fn policy_names(session: &Session, role: &str) -> Result<Vec<String>, AwsError> {
    let mut names = Vec::new();
    let mut next = None;
    loop {
        let marker = next.take();
        let request = || session.iam.list_role_policies().role_name(role).set_marker(marker).send();
        let page = match session.call(SERVICE, "ListRolePolicies", Some(role), request).await {
            Ok(page) => page,
            Err(error) if error.class == Class::Gone => return Ok(names),
            Err(error) => return Err(error),
        };
        names.extend(page.policy_names);
        match page.marker.filter(|_| page.is_truncated) {
            Some(marker) => next = Some(marker),
            None => return Ok(names),
        }
    }
}

async fn get_policy(session: &Session, role: &str, name: &str) -> Result<Option<Value>, AwsError> {
    let request = || session.iam.get_role_policy().role_name(role).policy_name(name).send();
    match session.call(SERVICE, "GetRolePolicy", Some(role), request).await {
        Ok(answer) => Ok(document(&answer.policy_document)),
        Err(error) if error.class == Class::Gone => Ok(None),
        Err(error) => Err(error),
    }
}

async fn delete_policy(session: &Session, role: &str, name: &str) -> Result<(), AwsError> {
    let request = || session.iam.delete_role_policy().role_name(role).policy_name(name).send();
    match session.call(SERVICE, "DeleteRolePolicy", Some(role), request).await {
        Err(error) if error.class != Class::Gone => Err(error),
        _ => Ok(()),
    }
}

fn tags<'t>(pairs: impl Iterator<Item = (&'t String, &'t String)>, object: &str) -> Result<Vec<Tag>, AwsError> {
    pairs
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect::<Result<_, BuildError>>()
        .map_err(|error| AwsError::unbuildable(SERVICE, "TagRole", object, &error))
}

/// A policy document as IAM answers it: percent-encoded by RFC 3986 (`GetRole`, API reference).
fn document(text: &str) -> Option<Value> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            plain.push(byte);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            plain.push(*first);
            rest = tail;
        }
    }
    serde_json::from_slice(&plain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "windlass-0000000000";
    const NOW: &str = "windlass-1111111111";

    fn role() -> Role {
        Role {
            path: "/windlass/c/".into(),
            name: "r".into(),
            arn: "arn:aws:iam::111122223333:role/windlass/c/r".into(),
            description: "d".into(),
            trust: json!({ "Statement": [{ "Effect": "Allow", "Action": ["sts:AssumeRole"] }] }),
            boundary_arn: "b".into(),
            policies: [(NOW.to_owned(), json!({ "Statement": [] }))].into(),
        }
    }

    fn tags() -> Tags {
        [("windlass.dev/name", "x"), ("Team", "ops")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }

    fn as_declared(role: &Role) -> Found<State> {
        let policies = role.policies.iter().map(|(name, policy)| (name.clone(), Some(policy.clone())));
        let state = State {
            // As IAM gives it: a list of one is collapsed.
            trust: Some(json!({ "Statement": { "Action": "sts:AssumeRole", "Effect": "Allow" } })),
            boundary: Some(role.boundary_arn.clone()),
            policies: policies.collect(),
        };
        Found { arn: role.arn.clone(), tags: Some(tags()), attributes: Attributes::new(), state }
    }

    #[test]
    fn each_way_to_differ_is_found_alone() {
        type Change = fn(&mut Found<State>);
        let (role, tags) = (role(), tags());
        let resource = RoleResource { role: &role, tags: &tags };
        let cases: [(Change, Option<Difference>); 10] = [
            (|_| {}, None),
            (|found| found.state.trust = Some(json!({ "Statement": [] })), Some(Difference::Trust)),
            (|found| found.state.boundary = None, Some(Difference::Boundary)),
            (|found| found.state.boundary = Some("c".into()), Some(Difference::Boundary)),
            (|found| drop(found.tags.as_mut().unwrap().remove("Team")), Some(Difference::Tags(vec!["Team".into()]))),
            (|found| drop(found.tags.as_mut().unwrap().insert("Cost".into(), "1".into())), None),
            (|found| found.state.policies.clear(), Some(Difference::PolicyMissing(NOW.into()))),
            (
                |found| drop(found.state.policies.insert(NOW.into(), Some(json!({ "Statement": [{}] })))),
                Some(Difference::PolicyChanged(NOW.into())),
            ),
            (|found| drop(found.state.policies.insert(OLD.into(), None)), None),
            (
                |found| drop(found.state.policies.insert("admin".into(), None)),
                Some(Difference::PolicyOfOthers("admin".into())),
            ),
        ];
        for (index, (change, expected)) in cases.into_iter().enumerate() {
            let mut found = as_declared(&role);
            change(&mut found);
            assert_eq!(resource.compare(&found, None), expected.into_iter().collect::<Vec<_>>(), "case {index}");
        }
    }

    #[test]
    fn what_changed_in_a_declaration_is_known_without_reading() {
        let (old, tags) = (role(), tags());
        let recorded = RoleResource { role: &old, tags: &tags }.parts();
        let mut new = role();
        new.policies = [("windlass-2222222222".to_owned(), json!({}))].into();
        let since = |role, tags| RoleResource { role, tags }.since(&recorded);
        assert_eq!(since(&old, &tags), []);
        assert_eq!(since(&new, &tags), [Difference::PolicyMissing("windlass-2222222222".into())]);
        let other = [("Team".to_owned(), "dba".to_owned())].into();
        assert_eq!(since(&old, &other), [Difference::Tags(vec!["Team".into()])]);
        let boundary = Role { boundary_arn: "other".into(), ..role() };
        assert_eq!(since(&boundary, &tags), [Difference::Boundary]);
    }

    #[test]
    fn policies_of_older_versions_are_stale_and_others_are_no_concern() {
        let found = attributes(["windlass-b", "windlass-a", NOW, "admin"].map(str::to_owned));
        assert_eq!(found, Attributes::from([("policies".to_owned(), format!("{NOW},windlass-a,windlass-b"))]));
        assert_eq!(stale(&role(), &found), ["windlass-a", "windlass-b"]);
        assert_eq!(stale(&role(), &attributes([NOW.to_owned()])), [""; 0]);
    }

    #[test]
    fn documents_are_decoded() {
        assert_eq!(document("%7B%22a%22%3A%20%22%C3%A9%22%7D"), Some(json!({ "a": "é" })));
        assert_eq!(document("{\"a\":1}"), Some(json!({ "a": 1 })));
        assert_eq!(document("%7"), None);
    }
}
