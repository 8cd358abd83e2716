//! Standard state machines, with a version published at every change.

use std::fmt;

use aws_sdk_sfn::types::{StateMachineStatus, StateMachineType, Tag};
use serde_json::Value;

use crate::compile::blueprint::StateMachine;

use super::error::{AwsError, Class};
use super::resource::{Attributes, Resource, Seen, Tags, missing_tags};
use super::session::Session;

const SERVICE: &str = "states";
/// Attribute: ARN of the version that was published last.
pub(super) const VERSION_ARN: &str = "versionArn";
/// Attribute: its number.
pub(super) const VERSION: &str = "version";

/// A state machine as it is declared, AWS's answers filled in.
pub(super) struct StateMachineResource<'a> {
    pub(super) machine: &'a StateMachine,
    pub(super) definition: &'a Value,
    pub(super) tags: &'a Tags,
    /// What was answered when it was last published.
    pub(super) published: Option<&'a Attributes>,
}

/// How a state machine can differ.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Difference {
    Definition,
    Role,
    Tags(Vec<String>),
    /// The version for this definition is not known: status was lost.
    Version,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Definition => write!(f, "definition"),
            Self::Role => write!(f, "role"),
            Self::Tags(keys) => write!(f, "tags {}", keys.join(" ")),
            Self::Version => write!(f, "version not recorded"),
        }
    }
}

impl Resource for StateMachineResource<'_> {
    type Difference = Difference;

    async fn create(&self, session: &Session) -> Result<Attributes, AwsError> {
        const OPERATION: &str = "CreateStateMachine";
        let machine = self.machine;
        let tags: Vec<Tag> =
            self.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
        let request = || {
            let call = session.states.create_state_machine().name(&machine.name).role_arn(&machine.role_arn);
            let call = call.definition(self.definition.to_string()).r#type(StateMachineType::Standard);
            call.publish(true).set_tags(Some(tags)).send()
        };
        let answer = session.call(SERVICE, OPERATION, Some(&machine.arn), request).await?;
        let version = answer.state_machine_version_arn;
        attributes(OPERATION, &machine.arn, version)
    }

    async fn look(&self, session: &Session, prove: bool) -> Result<Option<Seen<Difference>>, AwsError> {
        let machine = self.machine;
        let request = || session.states.describe_state_machine().state_machine_arn(&machine.arn).send();
        let found = match session.call(SERVICE, "DescribeStateMachine", Some(&machine.arn), request).await {
            Ok(found) => found,
            Err(error) if error.class == Class::Gone => return Ok(None),
            Err(error) => return Err(error),
        };
        if found.status == Some(StateMachineStatus::Deleting) {
            return Err(AwsError::being_deleted(SERVICE, "DescribeStateMachine", &machine.arn));
        }
        let mut differences = Vec::new();
        let definition: Option<Value> = serde_json::from_str(&found.definition).ok();
        if definition.as_ref() != Some(self.definition) {
            differences.push(Difference::Definition);
        }
        if found.role_arn != machine.role_arn {
            differences.push(Difference::Role);
        }
        // Tags have an API of their own here, of one call per second and account: read only to prove whose the machine is.
        let tags = if prove { Some(tags(session, &machine.arn).await?.unwrap_or_default()) } else { None };
        if let Some(found) = &tags {
            let missing = missing_tags(self.tags, found);
            if !missing.is_empty() {
                differences.push(Difference::Tags(missing.into_iter().map(|(key, _)| key.clone()).collect()));
            }
        }
        if differences.is_empty() && self.published.is_none_or(|published| !published.contains_key(VERSION_ARN)) {
            differences.push(Difference::Version);
        }
        let attributes = self.published.cloned().unwrap_or_default();
        Ok(Some(Seen { arn: found.state_machine_arn, tags, differences, attributes }))
    }

    async fn mend(&self, session: &Session, seen: Seen<Difference>) -> Result<Attributes, AwsError> {
        const OPERATION: &str = "UpdateStateMachine";
        let machine = self.machine;
        let mut attributes_now = seen.attributes;
        let publish = seen.differences.iter().any(|difference| !matches!(difference, Difference::Tags(_)));
        if publish || !attributes_now.contains_key(VERSION_ARN) {
            // For an unchanged definition this changes nothing and answers the version that it has (API reference, "publish").
            let request = || {
                let call = session.states.update_state_machine().state_machine_arn(&machine.arn);
                let call = call.definition(self.definition.to_string()).role_arn(&machine.role_arn);
                call.publish(true).send()
            };
            let answer = session.call(SERVICE, OPERATION, Some(&machine.arn), request).await?;
            attributes_now = attributes(OPERATION, &machine.arn, answer.state_machine_version_arn)?;
        }
        for difference in &seen.differences {
            if let Difference::Tags(keys) = difference {
                let wanted = self.tags.iter().filter(|(key, _)| keys.contains(key));
                let tags: Vec<Tag> = wanted.map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
                let request = || session.states.tag_resource().resource_arn(&machine.arn).set_tags(Some(tags)).send();
                session.call(SERVICE, "TagResource", Some(&machine.arn), request).await?;
            }
        }
        Ok(attributes_now)
    }
}

async fn tags(session: &Session, arn: &str) -> Result<Option<Tags>, AwsError> {
    let request = || session.states.list_tags_for_resource().resource_arn(arn).send();
    match session.call(SERVICE, "ListTagsForResource", Some(arn), request).await {
        Ok(answer) => {
            let tags = answer.tags.unwrap_or_default().into_iter();
            Ok(Some(tags.filter_map(|tag| Some((tag.key?, tag.value?))).collect()))
        }
        Err(error) if error.class == Class::Gone => Ok(None),
        Err(error) => Err(error),
    }
}

/// The tags that prove whose a state machine is; none when there is no such machine.
pub(super) async fn proof(session: &Session, arn: &str) -> Result<Option<Tags>, AwsError> {
    tags(session, arn).await
}

/// Deletes a state machine with all its versions.
pub(super) async fn delete(session: &Session, arn: &str) -> Result<(), AwsError> {
    let request = || session.states.delete_state_machine().state_machine_arn(arn).send();
    match session.call(SERVICE, "DeleteStateMachine", Some(arn), request).await {
        Err(error) if error.class != Class::Gone => Err(error),
        _ => Ok(()),
    }
}

fn attributes(operation: &'static str, arn: &str, version_arn: Option<String>) -> Result<Attributes, AwsError> {
    let version_arn =
        version_arn.ok_or_else(|| AwsError::incomplete(SERVICE, operation, arn, "stateMachineVersionArn"))?;
    let number = version_arn.rsplit(':').next().unwrap_or_default().to_owned();
    Ok([(VERSION_ARN.to_owned(), version_arn), (VERSION.to_owned(), number)].into())
}
