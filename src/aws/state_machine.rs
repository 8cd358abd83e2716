//! Standard state machines, with a version published at every change.
//!
//! Tags have an API of their own here, of one call per second and account: they are read only to prove whose a machine is.

use std::fmt;

use aws_sdk_sfn::types::{StateMachineStatus, StateMachineType, Tag};
use serde_json::{Value, json};

use crate::compile::blueprint::StateMachine;

use super::digest::Parts;
use super::error::{AwsError, Class};
use super::resource::{Attributes, Created, Found, Novelty, Resource, Tags, tags_to_write};
use super::session::Session;

const SERVICE: &str = "states";
/// Attribute: ARN of the version that was published last.
const VERSION_ARN: &str = "versionArn";
/// Attribute: its number.
const VERSION: &str = "version";

const DEFINITION: &str = "definition";
const ROLE: &str = "role";
const TAGS: &str = "tags";

/// A state machine as it is declared, AWS's answers filled in.
pub(super) struct StateMachineResource<'a> {
    pub(super) machine: &'a StateMachine,
    pub(super) definition: &'a Value,
    pub(super) tags: &'a Tags,
    /// What was answered when it was last published; none when it is not known to have been.
    pub(super) published: Option<&'a Attributes>,
}

/// What is read of a state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    definition: Option<Value>,
    role_arn: String,
}

/// How a state machine can differ.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Difference {
    Definition,
    Role,
    /// Which version has this definition is not known.
    Version,
    Tags(Vec<String>),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Definition => write!(f, "definition"),
            Self::Role => write!(f, "role"),
            Self::Version => write!(f, "version not recorded"),
            Self::Tags(keys) => write!(f, "tags {}", keys.join(" ")),
        }
    }
}

impl Resource for StateMachineResource<'_> {
    type State = State;
    type Difference = Difference;

    fn parts(&self) -> Parts {
        Parts::default()
            .with(DEFINITION, self.definition)
            .with(ROLE, &json!(self.machine.role_arn))
            .with(TAGS, &json!(self.tags))
    }

    /// `CreateStateMachine` answers as if it had made something when there is a machine of that name and definition, whatever its role and tags (API reference, "idempotent").
    async fn create(&self, session: &Session) -> Result<Created, AwsError> {
        const OPERATION: &str = "CreateStateMachine";
        let machine = self.machine;
        let tags = tags(self.tags.iter());
        let request = || {
            let call = session.states.create_state_machine().name(&machine.name).role_arn(&machine.role_arn);
            let call = call.definition(self.definition.to_string()).r#type(StateMachineType::Standard);
            call.publish(true).set_tags(Some(tags)).send()
        };
        let answer = session.call(SERVICE, OPERATION, Some(&machine.arn), request).await?;
        let attributes = attributes(OPERATION, &machine.arn, answer.state_machine_version_arn)?;
        let first = attributes.get(VERSION).is_some_and(|version| version == "1");
        Ok(Created { attributes, novelty: if first { Novelty::Likely } else { Novelty::Old } })
    }

    async fn observe(&self, session: &Session, prove: bool) -> Result<Option<Found<State>>, AwsError> {
        const OPERATION: &str = "DescribeStateMachine";
        let arn = &self.machine.arn;
        let request = || session.states.describe_state_machine().state_machine_arn(arn).send();
        let found = match session.call(SERVICE, OPERATION, Some(arn), request).await {
            Ok(found) => found,
            Err(error) if error.class == Class::Gone => return Ok(None),
            Err(error) => return Err(error),
        };
        if found.status == Some(StateMachineStatus::Deleting) {
            return Err(AwsError::being_deleted(SERVICE, OPERATION, arn));
        }
        let tags = if prove { read_tags(session, arn).await? } else { None };
        if prove && tags.is_none() {
            return Ok(None);
        }
        let state = State { definition: serde_json::from_str(&found.definition).ok(), role_arn: found.role_arn };
        let attributes = self.published.cloned().unwrap_or_default();
        Ok(Some(Found { arn: found.state_machine_arn, tags, attributes, state }))
    }

    fn compare(&self, found: &Found<State>, recorded: Option<&Parts>) -> Vec<Difference> {
        let mut differences = Vec::new();
        if found.state.definition.as_ref() != Some(self.definition) {
            differences.push(Difference::Definition);
        }
        if found.state.role_arn != self.machine.role_arn {
            differences.push(Difference::Role);
        }
        if differences.is_empty() && !self.knows_version(found, recorded) {
            differences.push(Difference::Version);
        }
        let missing = tags_to_write(self.tags, found.tags.as_ref(), &self.parts(), recorded, TAGS);
        if !missing.is_empty() {
            differences.push(Difference::Tags(missing));
        }
        differences
    }

    fn since(&self, recorded: &Parts) -> Vec<Difference> {
        let now = self.parts();
        let mut differences = Vec::new();
        if now.changed(recorded, DEFINITION) {
            differences.push(Difference::Definition);
        }
        if now.changed(recorded, ROLE) {
            differences.push(Difference::Role);
        }
        if now.changed(recorded, TAGS) {
            differences.push(Difference::Tags(self.tags.keys().cloned().collect()));
        }
        differences
    }

    async fn update(
        &self,
        session: &Session,
        differences: Vec<Difference>,
        mut attributes: Attributes,
    ) -> Result<Attributes, AwsError> {
        if differences.iter().any(|difference| !matches!(difference, Difference::Tags(_))) {
            attributes = self.publish(session).await?;
        }
        for difference in differences {
            if let Difference::Tags(keys) = difference {
                self.put_tags(session, &keys).await?;
            }
        }
        Ok(attributes)
    }
}

impl StateMachineResource<'_> {
    /// Whether the version that is known is the declared definition's: what is recorded may be older than what a call made whose answer was lost.
    fn knows_version(&self, found: &Found<State>, recorded: Option<&Parts>) -> bool {
        let now = self.parts();
        let same = |recorded: &Parts| !now.changed(recorded, DEFINITION) && !now.changed(recorded, ROLE);
        found.attributes.contains_key(VERSION_ARN) && (self.published.is_none() || recorded.is_some_and(same))
    }

    /// One call writes and publishes. For what is there already it changes nothing and answers the version that it has (API reference, "publish").
    async fn publish(&self, session: &Session) -> Result<Attributes, AwsError> {
        const OPERATION: &str = "UpdateStateMachine";
        let machine = self.machine;
        let request = || {
            let call = session.states.update_state_machine().state_machine_arn(&machine.arn);
            let call = call.definition(self.definition.to_string()).role_arn(&machine.role_arn);
            call.publish(true).send()
        };
        let answer = session.call(SERVICE, OPERATION, Some(&machine.arn), request).await?;
        attributes(OPERATION, &machine.arn, answer.state_machine_version_arn)
    }

    async fn put_tags(&self, session: &Session, keys: &[String]) -> Result<(), AwsError> {
        let arn = &self.machine.arn;
        let tags = tags(self.tags.iter().filter(|(key, _)| keys.contains(key)));
        let request = || session.states.tag_resource().resource_arn(arn).set_tags(Some(tags)).send();
        session.call(SERVICE, "TagResource", Some(arn), request).await.map(drop)
    }
}

async fn read_tags(session: &Session, arn: &str) -> Result<Option<Tags>, AwsError> {
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
    read_tags(session, arn).await
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
    let missing = || AwsError::incomplete(SERVICE, operation, arn, "stateMachineVersionArn");
    let version_arn = version_arn.ok_or_else(missing)?;
    let number = version_arn.rsplit(':').next().unwrap_or_default().to_owned();
    Ok([(VERSION_ARN.to_owned(), version_arn), (VERSION.to_owned(), number)].into())
}

fn tags<'t>(pairs: impl Iterator<Item = (&'t String, &'t String)>) -> Vec<Tag> {
    pairs.map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_differ_is_found_alone() {
        let definition = json!({ "StartAt": "start", "States": {} });
        let machine = StateMachine {
            name: "m".into(),
            arn: "arn:aws:states:eu-west-1:111122223333:stateMachine:m".into(),
            role_arn: "r".into(),
            definition: definition.clone(),
            fills: Vec::new(),
        };
        let tags: Tags = [("windlass.dev/name".to_owned(), "x".to_owned())].into();
        let published = attributes("", "", Some(format!("{}:3", machine.arn))).unwrap();
        assert_eq!(published.get(VERSION).map(String::as_str), Some("3"));
        let resource =
            StateMachineResource { machine: &machine, definition: &definition, tags: &tags, published: None };
        let recorded = resource.parts();
        let all = || Difference::Tags(vec!["windlass.dev/name".into()]);
        let state = |definition: Value, role: &str| State { definition: Some(definition), role_arn: role.into() };
        for (state, tags_found, attributes, recorded, expected) in [
            (state(definition.clone(), "r"), Some(&tags), &published, None, None),
            (state(json!({}), "r"), Some(&tags), &published, None, Some(Difference::Definition)),
            (state(definition.clone(), "other"), Some(&tags), &published, None, Some(Difference::Role)),
            (state(definition.clone(), "r"), Some(&tags), &Attributes::new(), None, Some(Difference::Version)),
            (state(definition.clone(), "r"), Some(&Tags::new()), &published, None, Some(all())),
            (state(definition.clone(), "r"), None, &published, Some(&recorded), None),
            (state(definition.clone(), "r"), None, &published, None, Some(all())),
        ] {
            let found =
                Found { arn: machine.arn.clone(), tags: tags_found.cloned(), attributes: attributes.clone(), state };
            assert_eq!(resource.compare(&found, recorded), expected.into_iter().collect::<Vec<_>>(), "{found:?}");
        }
        let edited = json!({});
        let edited = StateMachineResource { definition: &edited, published: Some(&published), ..resource };
        assert_eq!(edited.since(&recorded), [Difference::Definition]);
        // The update was made and its answer lost: the recorded version is the one before.
        let found = Found {
            arn: machine.arn.clone(),
            tags: Some(tags.clone()),
            attributes: published.clone(),
            state: state(json!({}), "r"),
        };
        assert_eq!(edited.compare(&found, Some(&recorded)), [Difference::Version]);
        assert_eq!(edited.compare(&found, None), [Difference::Version]);
        assert_eq!(edited.compare(&found, Some(&edited.parts())), []);
    }
}
