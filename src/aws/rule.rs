//! EventBridge rules on the default bus, with one target.
//!
//! `PutRule` overwrites a rule of the same name, whoever made it, and puts tags on new ones only (API reference). So a rule is looked for before it is made.

use std::collections::BTreeMap;
use std::fmt;

use aws_sdk_eventbridge::types::{InputTransformer, RuleState, Tag, Target};
use aws_smithy_types::error::operation::BuildError;
use serde_json::{Value, json};

use crate::compile::blueprint::{Rule, RuleTarget};

use super::digest::Parts;
use super::error::{AwsError, Class};
use super::resource::{Attributes, Created, Found, Novelty, Resource, Tags, tags_to_write};
use super::session::Session;

const SERVICE: &str = "events";

const RULE: &str = "rule";
const TARGET: &str = "target";
const TAGS: &str = "tags";

/// A rule as it is declared.
pub(super) struct RuleResource<'a> {
    pub(super) rule: &'a Rule,
    pub(super) tags: &'a Tags,
}

/// What is read of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    enabled: bool,
    pattern: Option<Value>,
    targets: BTreeMap<String, Aim>,
}

/// What is compared of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Aim {
    arn: String,
    paths: BTreeMap<String, String>,
    template: Option<String>,
}

/// How a rule can differ.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Difference {
    Disabled,
    Pattern,
    Target,
    TargetOfOthers(String),
    Tags(Vec<String>),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled => write!(f, "disabled"),
            Self::Pattern => write!(f, "event pattern"),
            Self::Target => write!(f, "target"),
            Self::TargetOfOthers(id) => write!(f, "target {id}, which is not declared, removed"),
            Self::Tags(keys) => write!(f, "tags {}", keys.join(" ")),
        }
    }
}

impl Resource for RuleResource<'_> {
    type State = State;
    type Difference = Difference;

    fn parts(&self) -> Parts {
        let rule = self.rule;
        Parts::default()
            .with(RULE, &json!([rule.pattern, rule.description]))
            .with(TARGET, &json!(rule.target))
            .with(TAGS, &json!(self.tags))
    }

    async fn create(&self, session: &Session) -> Result<Created, AwsError> {
        let rule = self.rule;
        if describe(session, rule).await?.is_some() {
            return Err(AwsError::taken(SERVICE, "PutRule", &rule.arn));
        }
        self.put_rule(session, true).await?;
        self.put_target(session).await?;
        Ok(Created { attributes: Attributes::new(), novelty: Novelty::New })
    }

    async fn observe(&self, session: &Session, prove: bool) -> Result<Option<Found<State>>, AwsError> {
        let rule = self.rule;
        let Some(found) = describe(session, rule).await? else { return Ok(None) };
        let tags = if prove { read_tags(session, &found.arn).await? } else { None };
        if prove && tags.is_none() {
            return Ok(None);
        }
        let targets = targets(session, &rule.name, &rule.arn).await?;
        let targets = targets.into_iter().map(|target| (target.id.clone(), Aim::of(target))).collect();
        let state = State { enabled: found.enabled, pattern: found.pattern, targets };
        Ok(Some(Found { arn: found.arn, tags, attributes: Attributes::new(), state }))
    }

    fn compare(&self, found: &Found<State>, recorded: Option<&Parts>) -> Vec<Difference> {
        let (rule, state) = (self.rule, &found.state);
        let mut differences = Vec::new();
        if !state.enabled {
            differences.push(Difference::Disabled);
        }
        if state.pattern.as_ref() != Some(&rule.pattern) {
            differences.push(Difference::Pattern);
        }
        if state.targets.get(&rule.target.id) != Some(&Aim::declared(&rule.target)) {
            differences.push(Difference::Target);
        }
        let others = state.targets.keys().filter(|id| **id != rule.target.id);
        differences.extend(others.cloned().map(Difference::TargetOfOthers));
        let missing = tags_to_write(self.tags, found.tags.as_ref(), &self.parts(), recorded, TAGS);
        if !missing.is_empty() {
            differences.push(Difference::Tags(missing));
        }
        differences
    }

    fn since(&self, recorded: &Parts) -> Vec<Difference> {
        let now = self.parts();
        let mut differences = Vec::new();
        if now.changed(recorded, RULE) {
            differences.push(Difference::Pattern);
        }
        if now.changed(recorded, TARGET) {
            differences.push(Difference::Target);
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
        if differences.iter().any(|difference| matches!(difference, Difference::Disabled | Difference::Pattern)) {
            self.put_rule(session, false).await?;
        }
        for difference in differences {
            match difference {
                Difference::Disabled | Difference::Pattern => {}
                Difference::Target => self.put_target(session).await?,
                Difference::TargetOfOthers(id) => {
                    remove_targets(session, &self.rule.name, &self.rule.arn, vec![id]).await?;
                }
                Difference::Tags(keys) => self.put_tags(session, &keys).await?,
            }
        }
        Ok(attributes)
    }
}

impl RuleResource<'_> {
    async fn put_rule(&self, session: &Session, new: bool) -> Result<(), AwsError> {
        const OPERATION: &str = "PutRule";
        let rule = self.rule;
        let tags = if new { Some(tags(self.tags.iter(), OPERATION, &rule.arn)?) } else { None };
        let request = || {
            let call = session.events.put_rule().name(&rule.name).description(&rule.description);
            call.event_pattern(rule.pattern.to_string()).state(RuleState::Enabled).set_tags(tags).send()
        };
        session.call(SERVICE, OPERATION, Some(&rule.arn), request).await.map(drop)
    }

    async fn put_target(&self, session: &Session) -> Result<(), AwsError> {
        const OPERATION: &str = "PutTargets";
        let (rule, aim) = (self.rule, &self.rule.target);
        let unbuildable = |error: BuildError| AwsError::unbuildable(SERVICE, OPERATION, &rule.arn, &error);
        let paths = aim.paths.iter().map(|(name, path)| (name.clone(), path.clone())).collect();
        let transformer = InputTransformer::builder().set_input_paths_map(Some(paths)).input_template(&aim.template);
        let transformer = transformer.build().map_err(unbuildable)?;
        let target = Target::builder().id(&aim.id).arn(&aim.arn).input_transformer(transformer);
        let target = target.build().map_err(unbuildable)?;
        let request = || session.events.put_targets().rule(&rule.name).targets(target).send();
        let answer = session.call(SERVICE, OPERATION, Some(&rule.arn), request).await?;
        match answer.failed_entries.unwrap_or_default().into_iter().next() {
            Some(failed) => {
                Err(AwsError::in_batch(SERVICE, OPERATION, &rule.arn, failed.error_code, failed.error_message))
            }
            None => Ok(()),
        }
    }

    async fn put_tags(&self, session: &Session, keys: &[String]) -> Result<(), AwsError> {
        const OPERATION: &str = "TagResource";
        let arn = &self.rule.arn;
        let tags = tags(self.tags.iter().filter(|(key, _)| keys.contains(key)), OPERATION, arn)?;
        let request = || session.events.tag_resource().resource_arn(arn).set_tags(Some(tags)).send();
        session.call(SERVICE, OPERATION, Some(arn), request).await.map(drop)
    }
}

impl Aim {
    fn of(target: Target) -> Self {
        let transformer = target.input_transformer;
        let template = transformer.as_ref().map(|transformer| transformer.input_template.clone());
        let paths = transformer.and_then(|transformer| transformer.input_paths_map).unwrap_or_default();
        Self { arn: target.arn, paths: paths.into_iter().collect(), template }
    }

    fn declared(target: &RuleTarget) -> Self {
        Self { arn: target.arn.clone(), paths: target.paths.clone(), template: Some(target.template.clone()) }
    }
}

struct Described {
    arn: String,
    enabled: bool,
    pattern: Option<Value>,
}

async fn describe(session: &Session, rule: &Rule) -> Result<Option<Described>, AwsError> {
    const OPERATION: &str = "DescribeRule";
    let request = || session.events.describe_rule().name(&rule.name).send();
    let found = match session.call(SERVICE, OPERATION, Some(&rule.arn), request).await {
        Ok(found) => found,
        Err(error) if error.class == Class::Gone => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some(Described {
        arn: found.arn.ok_or_else(|| AwsError::incomplete(SERVICE, OPERATION, &rule.arn, "Arn"))?,
        enabled: found.state == Some(RuleState::Enabled),
        pattern: found.event_pattern.and_then(|text| serde_json::from_str(&text).ok()),
    }))
}

async fn targets(session: &Session, name: &str, arn: &str) -> Result<Vec<Target>, AwsError> {
    let mut found = Vec::new();
    let mut next = None;
    loop {
        let token = next.take();
        let request = || session.events.list_targets_by_rule().rule(name).set_next_token(token).send();
        let page = match session.call(SERVICE, "ListTargetsByRule", Some(arn), request).await {
            Ok(page) => page,
            Err(error) if error.class == Class::Gone => return Ok(found),
            Err(error) => return Err(error),
        };
        found.extend(page.targets.unwrap_or_default());
        match page.next_token {
            Some(token) => next = Some(token),
            None => return Ok(found),
        }
    }
}

async fn remove_targets(session: &Session, name: &str, arn: &str, ids: Vec<String>) -> Result<(), AwsError> {
    const OPERATION: &str = "RemoveTargets";
    let request = || session.events.remove_targets().rule(name).set_ids(Some(ids)).send();
    match session.call(SERVICE, OPERATION, Some(arn), request).await {
        Ok(answer) => match answer.failed_entries.unwrap_or_default().into_iter().next() {
            Some(failed) => Err(AwsError::in_batch(SERVICE, OPERATION, arn, failed.error_code, failed.error_message)),
            None => Ok(()),
        },
        Err(error) if error.class == Class::Gone => Ok(()),
        Err(error) => Err(error),
    }
}

async fn read_tags(session: &Session, arn: &str) -> Result<Option<Tags>, AwsError> {
    let request = || session.events.list_tags_for_resource().resource_arn(arn).send();
    match session.call(SERVICE, "ListTagsForResource", Some(arn), request).await {
        Ok(answer) => Ok(Some(answer.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect())),
        Err(error) if error.class == Class::Gone => Ok(None),
        Err(error) => Err(error),
    }
}

/// The tags that prove whose a rule is; none when there is no such rule.
pub(super) async fn proof(session: &Session, arn: &str) -> Result<Option<Tags>, AwsError> {
    read_tags(session, arn).await
}

/// Deletes a rule, its targets first.
pub(super) async fn delete(session: &Session, name: &str, arn: &str) -> Result<(), AwsError> {
    let ids: Vec<String> = targets(session, name, arn).await?.into_iter().map(|target| target.id).collect();
    if !ids.is_empty() {
        remove_targets(session, name, arn, ids).await?;
    }
    let request = || session.events.delete_rule().name(name).send();
    match session.call(SERVICE, "DeleteRule", Some(arn), request).await {
        Err(error) if error.class != Class::Gone => Err(error),
        _ => Ok(()),
    }
}

fn tags<'t>(
    pairs: impl Iterator<Item = (&'t String, &'t String)>,
    operation: &'static str,
    object: &str,
) -> Result<Vec<Tag>, AwsError> {
    pairs
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect::<Result<_, BuildError>>()
        .map_err(|error| AwsError::unbuildable(SERVICE, operation, object, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> Rule {
        let target = RuleTarget {
            id: "inbox".into(),
            arn: "arn:aws:sqs:eu-west-1:111122223333:q".into(),
            paths: [("id".to_owned(), "$.id".to_owned())].into(),
            template: "{\"id\": <id>}".into(),
        };
        let arn = "arn:aws:events:eu-west-1:111122223333:rule/r".into();
        let pattern = json!({ "source": ["aws.states"] });
        Rule { name: "r".into(), arn, description: "d".into(), pattern, target }
    }

    #[test]
    fn each_way_to_differ_is_found_alone() {
        type Change = fn(&mut Found<State>);
        let (rule, tags) = (rule(), Tags::from([("windlass.dev/name".to_owned(), "x".to_owned())]));
        let resource = RuleResource { rule: &rule, tags: &tags };
        let other = || Aim { arn: "a".into(), paths: BTreeMap::new(), template: None };
        let cases: [(Change, Vec<Difference>); 7] = [
            (|_| {}, vec![]),
            (|found| found.state.enabled = false, vec![Difference::Disabled]),
            (|found| found.state.pattern = None, vec![Difference::Pattern]),
            (|found| found.state.targets.clear(), vec![Difference::Target]),
            (|found| found.state.targets.values_mut().for_each(|aim| aim.template = None), vec![Difference::Target]),
            (|found| found.tags = Some(Tags::new()), vec![Difference::Tags(vec!["windlass.dev/name".into()])]),
            (|found| found.tags = None, vec![Difference::Tags(vec!["windlass.dev/name".into()])]),
        ];
        let as_declared = || {
            let targets = [(rule.target.id.clone(), Aim::declared(&rule.target))].into();
            let state = State { enabled: true, pattern: Some(rule.pattern.clone()), targets };
            Found { arn: rule.arn.clone(), tags: Some(tags.clone()), attributes: Attributes::new(), state }
        };
        for (index, (change, expected)) in cases.into_iter().enumerate() {
            let mut found = as_declared();
            change(&mut found);
            assert_eq!(resource.compare(&found, None), expected, "case {index}");
        }
        let mut found = as_declared();
        found.state.targets.insert("mine".into(), other());
        assert_eq!(resource.compare(&found, None), [Difference::TargetOfOthers("mine".into())]);
        found = as_declared();
        found.tags = None;
        assert_eq!(resource.compare(&found, Some(&resource.parts())), [], "tags are as they were written");
    }

    #[test]
    fn what_changed_in_a_declaration_is_known_without_reading() {
        let (old, tags) = (rule(), Tags::new());
        let recorded = RuleResource { rule: &old, tags: &tags }.parts();
        let since = |rule: &Rule, tags: &Tags| RuleResource { rule, tags }.since(&recorded);
        assert_eq!(since(&old, &tags), []);
        assert_eq!(since(&Rule { pattern: json!({}), ..rule() }, &tags), [Difference::Pattern]);
        let elsewhere = RuleTarget { arn: "other".into(), ..rule().target };
        assert_eq!(since(&Rule { target: elsewhere, ..rule() }, &tags), [Difference::Target]);
        let team = Tags::from([("Team".to_owned(), "ops".to_owned())]);
        assert_eq!(since(&old, &team), [Difference::Tags(vec!["Team".into()])]);
    }
}
