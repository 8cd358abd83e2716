//! IAM roles with inline policies.

use std::fmt;

use aws_sdk_iam::types::Tag;
use aws_smithy_types::error::operation::BuildError;
use serde_json::Value;

use crate::compile::blueprint::Role;
use crate::compile::iam::same_meaning;

use super::error::{AwsError, Class};
use super::resource::{Attributes, Resource, Seen, Tags, missing_tags};
use super::session::Session;

const SERVICE: &str = "iam";
/// Prefix of the names of inline policies made by Windlass.
const OURS: &str = "windlass-";
/// Attribute that holds the names of the inline policies that the role has, separated by commas.
pub(super) const POLICIES: &str = "policies";

/// A role as it is declared.
pub(super) struct RoleResource<'a> {
    pub(super) role: &'a Role,
    pub(super) tags: &'a Tags,
    /// Whether inline policies of older versions go: no execution needs them any more.
    pub(super) prune: bool,
}

/// How a role can differ.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Difference {
    Trust,
    Boundary,
    Tags(Vec<String>),
    PolicyMissing(String),
    PolicyChanged(String),
    PolicyOfOlderVersion(String),
    PolicyOfOthers(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trust => write!(f, "trust policy"),
            Self::Boundary => write!(f, "permissions boundary"),
            Self::Tags(keys) => write!(f, "tags {}", keys.join(" ")),
            Self::PolicyMissing(name) => write!(f, "policy {name} missing"),
            Self::PolicyChanged(name) => write!(f, "policy {name} changed"),
            Self::PolicyOfOlderVersion(name) => write!(f, "policy {name} of an older version removed"),
            Self::PolicyOfOthers(name) => write!(f, "policy {name}, which is not declared, removed"),
        }
    }
}

impl Resource for RoleResource<'_> {
    type Difference = Difference;

    async fn create(&self, session: &Session) -> Result<Attributes, AwsError> {
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
        Ok(attributes(role.policies.keys().cloned()))
    }

    async fn look(&self, session: &Session, _prove: bool) -> Result<Option<Seen<Difference>>, AwsError> {
        let role = self.role;
        let Some(found) = get(session, &role.name).await? else {
            return Ok(None);
        };
        let mut differences = Vec::new();
        if !found.trust.is_some_and(|trust| same_meaning(&trust, &role.trust)) {
            differences.push(Difference::Trust);
        }
        if found.boundary.as_deref() != Some(role.boundary_arn.as_str()) {
            differences.push(Difference::Boundary);
        }
        let missing = missing_tags(self.tags, &found.tags);
        if !missing.is_empty() {
            differences.push(Difference::Tags(missing.into_iter().map(|(key, _)| key.clone()).collect()));
        }
        let names = policy_names(session, &role.name).await?;
        for (name, declared) in &role.policies {
            if !names.contains(name) {
                differences.push(Difference::PolicyMissing(name.clone()));
            } else if !get_policy(session, &role.name, name)
                .await?
                .is_some_and(|policy| same_meaning(&policy, declared))
            {
                differences.push(Difference::PolicyChanged(name.clone()));
            }
        }
        for name in names.iter().filter(|name| !role.policies.contains_key(*name)) {
            if !name.starts_with(OURS) {
                differences.push(Difference::PolicyOfOthers(name.clone()));
            } else if self.prune {
                differences.push(Difference::PolicyOfOlderVersion(name.clone()));
            }
        }
        Ok(Some(Seen { arn: found.arn, tags: Some(found.tags), differences, attributes: attributes(names) }))
    }

    async fn mend(&self, session: &Session, seen: Seen<Difference>) -> Result<Attributes, AwsError> {
        let role = self.role;
        let mut names: std::collections::BTreeSet<String> =
            seen.attributes.get(POLICIES).map(|list| split(list).map(str::to_owned).collect()).unwrap_or_default();
        // Rights are added before they are taken away.
        for difference in &seen.differences {
            match difference {
                Difference::Trust => {
                    let request = || {
                        let call = session.iam.update_assume_role_policy().role_name(&role.name);
                        call.policy_document(role.trust.to_string()).send()
                    };
                    session.call(SERVICE, "UpdateAssumeRolePolicy", Some(&role.arn), request).await?;
                }
                Difference::Boundary => {
                    let request = || {
                        let call = session.iam.put_role_permissions_boundary().role_name(&role.name);
                        call.permissions_boundary(&role.boundary_arn).send()
                    };
                    session.call(SERVICE, "PutRolePermissionsBoundary", Some(&role.arn), request).await?;
                }
                Difference::Tags(keys) => {
                    let tags = tags(self.tags.iter().filter(|(key, _)| keys.contains(key)), &role.arn)?;
                    let request = || session.iam.tag_role().role_name(&role.name).set_tags(Some(tags)).send();
                    session.call(SERVICE, "TagRole", Some(&role.arn), request).await?;
                }
                Difference::PolicyMissing(name) | Difference::PolicyChanged(name) => {
                    if let Some(policy) = role.policies.get(name) {
                        self.put_policy(session, name, policy).await?;
                        names.insert(name.clone());
                    }
                }
                Difference::PolicyOfOlderVersion(_) | Difference::PolicyOfOthers(_) => {}
            }
        }
        for difference in &seen.differences {
            if let Difference::PolicyOfOlderVersion(name) | Difference::PolicyOfOthers(name) = difference {
                delete_policy(session, &role.name, name).await?;
                names.remove(name);
            }
        }
        Ok(attributes(names))
    }
}

impl RoleResource<'_> {
    async fn put_policy(&self, session: &Session, name: &str, policy: &Value) -> Result<(), AwsError> {
        let role = self.role;
        let request = || {
            let call = session.iam.put_role_policy().role_name(&role.name).policy_name(name);
            call.policy_document(policy.to_string()).send()
        };
        session.call(SERVICE, "PutRolePolicy", Some(&role.arn), request).await.map(drop)
    }
}

/// Names in a `policies` attribute.
pub(super) fn split(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').filter(|name| !name.is_empty())
}

fn attributes(names: impl IntoIterator<Item = String>) -> Attributes {
    let mut names: Vec<String> = names.into_iter().filter(|name| name.starts_with(OURS)).collect();
    names.sort();
    [(POLICIES.to_owned(), names.join(","))].into()
}

struct Found {
    arn: String,
    trust: Option<Value>,
    boundary: Option<String>,
    tags: Tags,
}

async fn get(session: &Session, name: &str) -> Result<Option<Found>, AwsError> {
    const OPERATION: &str = "GetRole";
    let request = || session.iam.get_role().role_name(name).send();
    let answer = match session.call(SERVICE, OPERATION, Some(name), request).await {
        Ok(answer) => answer,
        Err(error) if error.class == Class::Gone => return Ok(None),
        Err(error) => return Err(error),
    };
    let role = answer.role.ok_or_else(|| AwsError::incomplete(SERVICE, OPERATION, name, "Role"))?;
    Ok(Some(Found {
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
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        let decoded = if *first == b'%' { tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()) } else { None };
        match decoded.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    serde_json::from_slice(&plain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_decoded() {
        assert_eq!(document("%7B%22a%22%3A%20%22%C3%A9%22%7D"), Some(serde_json::json!({ "a": "é" })));
        assert_eq!(document("{\"a\":1}"), Some(serde_json::json!({ "a": 1 })));
        assert_eq!(document("%7"), None);
    }
}
