//! Standard SQS queues.
//!
//! `CreateQueue` answers as if it had made something when a queue of that name with those attributes is there, whatever its tags, and `QueueAlreadyExists` when its
//! attributes are others (API reference, `CreateQueue`). The URL that it answers is what every other call takes.

use std::collections::HashMap;
use std::fmt;

use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};

use crate::api::owned::OwnedObject;
use crate::compile::blueprint::Queue;
use crate::compile::iam::same_meaning;

use super::digest::Parts;
use super::error::{AwsError, Class};
use super::resource::{Attributes, Created, Found, Novelty, Resource, Tags, tags_to_write};
use super::session::Session;

const SERVICE: &str = "sqs";
/// Attribute: the queue's URL.
pub(super) const URL: &str = "url";

const SETTINGS: &str = "settings";
const POLICY: &str = "policy";
const TAGS: &str = "tags";

/// A queue as it is declared.
pub(super) struct QueueResource<'a> {
    pub(super) queue: &'a Queue,
    pub(super) tags: &'a Tags,
    /// What was answered when it was made; none when it is not known to have been.
    pub(super) made: Option<&'a Attributes>,
}

/// What is read of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// Attributes by name, the policy not among them.
    settings: HashMap<QueueAttributeName, String>,
    policy: Option<Value>,
}

/// How a queue can differ.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Difference {
    Setting(QueueAttributeName),
    Policy,
    Tags(Vec<String>),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(name) => write!(f, "{}", name.as_str()),
            Self::Policy => write!(f, "policy"),
            Self::Tags(keys) => write!(f, "tags {}", keys.join(" ")),
        }
    }
}

impl Resource for QueueResource<'_> {
    type State = State;
    type Difference = Difference;

    fn parts(&self) -> Parts {
        let settings: Vec<(String, String)> =
            self.settings().into_iter().map(|(name, value)| (name.as_str().to_owned(), value)).collect();
        Parts::default().with(SETTINGS, &json!(settings)).with(POLICY, &self.queue.policy).with(TAGS, &json!(self.tags))
    }

    async fn create(&self, session: &Session) -> Result<Created, AwsError> {
        const OPERATION: &str = "CreateQueue";
        let queue = self.queue;
        let attributes = self.settings().into_iter().chain([self.policy()]).collect();
        let request = || {
            let call = session.sqs.create_queue().queue_name(&queue.name).set_attributes(Some(attributes));
            call.set_tags(Some(self.tags.clone().into_iter().collect())).send()
        };
        let answer = session.call(SERVICE, OPERATION, Some(&queue.arn), request).await?;
        let url = answer.queue_url.ok_or_else(|| AwsError::incomplete(SERVICE, OPERATION, &queue.arn, "QueueUrl"))?;
        Ok(Created { attributes: attributes_of(url), novelty: Novelty::Likely })
    }

    async fn observe(&self, session: &Session, prove: bool) -> Result<Option<Found<State>>, AwsError> {
        const OPERATION: &str = "GetQueueAttributes";
        let arn = &self.queue.arn;
        let Some(url) = find(session, &self.queue.name, arn, self.made).await? else { return Ok(None) };
        let mut names: Vec<QueueAttributeName> = self.settings().into_iter().map(|(name, _)| name).collect();
        names.extend([QueueAttributeName::Policy, QueueAttributeName::QueueArn]);
        let request = || session.sqs.get_queue_attributes().queue_url(&url).set_attribute_names(Some(names)).send();
        let mut settings = match session.call(SERVICE, OPERATION, Some(arn), request).await {
            Ok(answer) => answer.attributes.unwrap_or_default(),
            Err(error) if error.class == Class::Gone => return Ok(None),
            Err(error) => return Err(error),
        };
        let policy = settings.remove(&QueueAttributeName::Policy).and_then(|text| serde_json::from_str(&text).ok());
        let found_arn = settings.remove(&QueueAttributeName::QueueArn);
        let found_arn = found_arn.ok_or_else(|| AwsError::incomplete(SERVICE, OPERATION, arn, "QueueArn"))?;
        let tags = if prove { read_tags(session, &url, arn).await? } else { None };
        if prove && tags.is_none() {
            return Ok(None);
        }
        Ok(Some(Found { arn: found_arn, tags, attributes: attributes_of(url), state: State { settings, policy } }))
    }

    fn compare(&self, found: &Found<State>, recorded: Option<&Parts>) -> Vec<Difference> {
        let state = &found.state;
        let differs = |(name, value): (QueueAttributeName, String)| {
            (state.settings.get(&name) != Some(&value)).then_some(Difference::Setting(name))
        };
        let mut differences: Vec<Difference> = self.settings().into_iter().filter_map(differs).collect();
        if !state.policy.as_ref().is_some_and(|policy| same_meaning(policy, &self.queue.policy)) {
            differences.push(Difference::Policy);
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
        if now.changed(recorded, SETTINGS) {
            differences.extend(self.settings().into_iter().map(|(name, _)| Difference::Setting(name)));
        }
        if now.changed(recorded, POLICY) {
            differences.push(Difference::Policy);
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
        attributes: Attributes,
    ) -> Result<Attributes, AwsError> {
        let arn = &self.queue.arn;
        let Some(url) = find(session, &self.queue.name, arn, Some(&attributes)).await? else {
            return Err(AwsError::gone(SERVICE, "GetQueueUrl", arn));
        };
        let mut changed = HashMap::new();
        let mut tags = Vec::new();
        for difference in differences {
            match difference {
                Difference::Setting(name) => {
                    changed.extend(self.settings().into_iter().filter(|(declared, _)| *declared == name));
                }
                Difference::Policy => changed.extend([self.policy()]),
                Difference::Tags(keys) => tags = keys,
            }
        }
        if !changed.is_empty() {
            let request = || session.sqs.set_queue_attributes().queue_url(&url).set_attributes(Some(changed)).send();
            session.call(SERVICE, "SetQueueAttributes", Some(arn), request).await?;
        }
        if !tags.is_empty() {
            let declared = self.tags.iter().filter(|(key, _)| tags.contains(key));
            let declared: HashMap<String, String> = declared.map(|(key, value)| (key.clone(), value.clone())).collect();
            let request = || session.sqs.tag_queue().queue_url(&url).set_tags(Some(declared)).send();
            session.call(SERVICE, "TagQueue", Some(arn), request).await?;
        }
        Ok(attributes_of(url))
    }
}

impl QueueResource<'_> {
    /// Attributes as `CreateQueue` takes them, the policy not among them.
    fn settings(&self) -> Vec<(QueueAttributeName, String)> {
        let queue = self.queue;
        vec![
            (QueueAttributeName::MessageRetentionPeriod, queue.retention_seconds.to_string()),
            (QueueAttributeName::ReceiveMessageWaitTimeSeconds, queue.wait_seconds.to_string()),
            (QueueAttributeName::SqsManagedSseEnabled, "true".to_owned()),
            (QueueAttributeName::VisibilityTimeout, queue.visibility_seconds.to_string()),
        ]
    }

    fn policy(&self) -> (QueueAttributeName, String) {
        (QueueAttributeName::Policy, self.queue.policy.to_string())
    }
}

fn attributes_of(url: String) -> Attributes {
    [(URL.to_owned(), url)].into()
}

/// The URL of a queue: what is known, else what AWS says. None when there is no such queue.
async fn find(
    session: &Session,
    name: &str,
    arn: &str,
    known: Option<&Attributes>,
) -> Result<Option<String>, AwsError> {
    const OPERATION: &str = "GetQueueUrl";
    if let Some(url) = known.and_then(|known| known.get(URL)) {
        return Ok(Some(url.clone()));
    }
    let request = || session.sqs.get_queue_url().queue_name(name).send();
    match session.call(SERVICE, OPERATION, Some(arn), request).await {
        Ok(answer) => {
            answer.queue_url.ok_or_else(|| AwsError::incomplete(SERVICE, OPERATION, arn, "QueueUrl")).map(Some)
        }
        Err(error) if error.class == Class::Gone => Ok(None),
        Err(error) => Err(error),
    }
}

async fn read_tags(session: &Session, url: &str, arn: &str) -> Result<Option<Tags>, AwsError> {
    let request = || session.sqs.list_queue_tags().queue_url(url).send();
    match session.call(SERVICE, "ListQueueTags", Some(arn), request).await {
        Ok(answer) => Ok(Some(answer.tags.unwrap_or_default().into_iter().collect())),
        Err(error) if error.class == Class::Gone => Ok(None),
        Err(error) => Err(error),
    }
}

/// The tags that prove whose a queue is; none when there is no such queue.
pub(super) async fn proof(session: &Session, object: &OwnedObject, arn: &str) -> Result<Option<Tags>, AwsError> {
    match find(session, &object.name, arn, Some(&object.attributes)).await? {
        Some(url) => read_tags(session, &url, arn).await,
        None => Ok(None),
    }
}

/// Deletes a queue with the messages in it.
pub(super) async fn delete(session: &Session, object: &OwnedObject, arn: &str) -> Result<(), AwsError> {
    let Some(url) = find(session, &object.name, arn, Some(&object.attributes)).await? else { return Ok(()) };
    let request = || session.sqs.delete_queue().queue_url(&url).send();
    match session.call(SERVICE, "DeleteQueue", Some(arn), request).await {
        Err(error) if error.class != Class::Gone => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> Queue {
        Queue {
            name: "q".into(),
            arn: "arn:aws:sqs:eu-west-1:111122223333:q".into(),
            retention_seconds: 1_209_600,
            visibility_seconds: 30,
            wait_seconds: 20,
            policy: json!({ "Statement": [{ "Action": ["sqs:SendMessage"] }] }),
        }
    }

    #[test]
    fn each_way_to_differ_is_found_alone() {
        type Change = fn(&mut Found<State>);
        let (queue, tags) = (queue(), Tags::from([("windlass.dev/name".to_owned(), "x".to_owned())]));
        let resource = QueueResource { queue: &queue, tags: &tags, made: None };
        let visibility = || Difference::Setting(QueueAttributeName::VisibilityTimeout);
        let encryption = || Difference::Setting(QueueAttributeName::SqsManagedSseEnabled);
        let all = || Difference::Tags(vec!["windlass.dev/name".into()]);
        let cases: [(Change, bool, Option<Difference>); 7] = [
            // As SQS gives it: a list of one may be collapsed.
            (|found| found.state.policy = Some(json!({ "Statement": { "Action": "sqs:SendMessage" } })), false, None),
            (|found| found.state.policy = None, false, Some(Difference::Policy)),
            (
                |found| drop(found.state.settings.insert(QueueAttributeName::VisibilityTimeout, "1".into())),
                false,
                Some(visibility()),
            ),
            (
                |found| drop(found.state.settings.remove(&QueueAttributeName::SqsManagedSseEnabled)),
                false,
                Some(encryption()),
            ),
            (|found| found.tags.as_mut().unwrap().clear(), false, Some(all())),
            (|found| found.tags = None, true, None),
            (|found| found.tags = None, false, Some(all())),
        ];
        for (index, (change, recorded, expected)) in cases.into_iter().enumerate() {
            let state =
                State { settings: resource.settings().into_iter().collect(), policy: Some(queue.policy.clone()) };
            let mut found =
                Found { arn: queue.arn.clone(), tags: Some(tags.clone()), attributes: Attributes::new(), state };
            change(&mut found);
            let recorded = recorded.then(|| resource.parts());
            let differences = resource.compare(&found, recorded.as_ref());
            assert_eq!(differences, expected.into_iter().collect::<Vec<_>>(), "case {index}");
        }
    }

    #[test]
    fn what_changed_in_a_declaration_is_known_without_reading() {
        let (old, tags) = (queue(), Tags::new());
        let recorded = QueueResource { queue: &old, tags: &tags, made: None }.parts();
        let since = |queue: &Queue| QueueResource { queue, tags: &tags, made: None }.since(&recorded);
        assert_eq!(since(&old), []);
        assert_eq!(since(&Queue { policy: json!({}), ..queue() }), [Difference::Policy]);
        assert_eq!(since(&Queue { wait_seconds: 1, ..queue() }).len(), 4, "settings are written together");
    }
}
