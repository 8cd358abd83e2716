//! Systems Manager documents of type Command.
//!
//! A version of a document never changes, and commands name the version and the hash that their state machine was compiled with. So one `DescribeDocument` of the recorded
//! version proves that what is sent is what was declared: its content is read only when no version is recorded. The default version stays what it was: nobody is
//! meant to send the document without naming a version, and moving it would cost a call that changes nothing.
//!
//! A document has at most 1,000 versions (Systems Manager quotas). Versions that no state machine version names any more are not pruned yet; the thousandth edit is refused
//! with a message that says so.

use std::fmt;

use aws_sdk_ssm::types::{DocumentFormat, DocumentStatus, DocumentType, ResourceTypeForTagging, Tag};
use aws_smithy_types::error::operation::BuildError;
use serde_json::{Value, json};

use crate::compile::blueprint::Document;

use super::digest::Parts;
use super::error::{AwsError, Class};
use super::plan::Observed;
use super::resource::{Attributes, Created, Found, Novelty, Resource, Tags, missing_tags};
use super::session::Session;

const SERVICE: &str = "ssm";
const LATEST: &str = "$LATEST";
/// Attribute: the version that Systems Manager assigned.
pub(super) const VERSION: &str = "version";
/// Attribute: the Sha256 hash over that version.
pub(super) const HASH: &str = "hash";

const CONTENT: &str = "content";
const TAGS: &str = "tags";

/// A document as it is declared.
pub(super) struct DocumentResource<'a> {
    pub(super) document: &'a Document,
    pub(super) tags: &'a Tags,
    /// What was answered when it was last written; none when it is not known to have been.
    pub(super) written: Option<&'a Attributes>,
}

/// What is read of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The version that was written last is there, unchanged, and the latest.
    Intact,
    /// The latest version is another one than the one that was written last.
    Superseded,
    /// Content of the latest version; none when it is no JSON.
    Latest(Option<Value>),
}

/// How a document can differ.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Difference {
    Content,
    Superseded,
    Tags(Vec<String>),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content => write!(f, "content"),
            Self::Superseded => write!(f, "a version that others made"),
            Self::Tags(keys) => write!(f, "tags {}", keys.join(" ")),
        }
    }
}

impl Resource for DocumentResource<'_> {
    type State = State;
    type Difference = Difference;

    fn parts(&self) -> Parts {
        Parts::default().with(CONTENT, &self.document.content).with(TAGS, &json!(self.tags))
    }

    async fn create(&self, session: &Session) -> Result<Created, AwsError> {
        const OPERATION: &str = "CreateDocument";
        let document = self.document;
        let tags = tags(self.tags.iter(), &document.name)?;
        let request = || {
            let call = session.ssm.create_document().name(&document.name).content(document.content.to_string());
            let call = call.document_type(DocumentType::Command).document_format(DocumentFormat::Json);
            call.set_tags(Some(tags)).send()
        };
        let answer = session.call(SERVICE, OPERATION, Some(&document.name), request).await?;
        let missing = || AwsError::incomplete(SERVICE, OPERATION, &document.name, "DocumentDescription");
        let made = answer.document_description.ok_or_else(missing)?;
        let attributes = attributes(OPERATION, &document.name, made.document_version, made.hash)?;
        Ok(Created { attributes, novelty: Novelty::New })
    }

    async fn observe(&self, session: &Session, _prove: bool) -> Result<Option<Found<State>>, AwsError> {
        let name = &self.document.name;
        let written = self.written.and_then(|written| Some((written.get(VERSION)?, written.get(HASH)?)));
        let mut found = None;
        if let Some((version, hash)) = written {
            match describe(session, name, version).await {
                Ok(None) => return Ok(None),
                Ok(Some(seen)) => {
                    let intact = seen.attributes.get(HASH) == Some(hash) && seen.latest.is_none_or(|n| n == *version);
                    found = Some((seen.tags, seen.attributes, if intact { State::Intact } else { State::Superseded }));
                }
                Err(error) if is_no_version(&error) => {}
                Err(error) => return Err(error),
            }
        }
        if found.is_none() {
            let Some(seen) = describe(session, name, LATEST).await? else {
                return Ok(None);
            };
            let Some((_, content)) = content(session, name, LATEST).await? else {
                return Ok(None);
            };
            found = Some((seen.tags, seen.attributes, State::Latest(content)));
        }
        let arn = self.document.arn.clone();
        Ok(found.map(|(tags, attributes, state)| Found { arn, tags: Some(tags), attributes, state }))
    }

    fn compare(&self, found: &Found<State>, recorded: Option<&Parts>) -> Vec<Difference> {
        let mut differences = Vec::new();
        match &found.state {
            State::Superseded => differences.push(Difference::Superseded),
            State::Intact if recorded.is_some_and(|recorded| !self.parts().changed(recorded, CONTENT)) => {}
            State::Latest(Some(content)) if *content == self.document.content => {}
            State::Intact | State::Latest(_) => differences.push(Difference::Content),
        }
        let missing = missing_tags(self.tags, found.tags.as_ref().unwrap_or(&Tags::new()));
        if !missing.is_empty() {
            differences.push(Difference::Tags(missing));
        }
        differences
    }

    fn since(&self, recorded: &Parts) -> Vec<Difference> {
        let now = self.parts();
        let mut differences = Vec::new();
        if now.changed(recorded, CONTENT) {
            differences.push(Difference::Content);
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
        for difference in differences {
            match difference {
                Difference::Content | Difference::Superseded => attributes = self.put_content(session).await?,
                Difference::Tags(keys) => self.put_tags(session, &keys).await?,
            }
        }
        Ok(attributes)
    }
}

impl DocumentResource<'_> {
    /// Makes a new version. When there is one with this content already (the answer to an earlier try was lost), finds it.
    async fn put_content(&self, session: &Session) -> Result<Attributes, AwsError> {
        const OPERATION: &str = "UpdateDocument";
        let document = self.document;
        let request = || {
            let call = session.ssm.update_document().name(&document.name).content(document.content.to_string());
            call.document_version(LATEST).document_format(DocumentFormat::Json).send()
        };
        match session.call(SERVICE, OPERATION, Some(&document.name), request).await {
            Ok(answer) => {
                let missing = || AwsError::incomplete(SERVICE, OPERATION, &document.name, "DocumentDescription");
                let made = answer.document_description.ok_or_else(missing)?;
                attributes(OPERATION, &document.name, made.document_version, made.hash)
            }
            Err(error) if error.code.as_deref() == Some("DuplicateDocumentContent") => {
                self.find_same(session).await?.ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    /// The newest version with the declared content. The API reference does not say which version a duplicate is a duplicate of, so the older ones are looked at, too.
    async fn find_same(&self, session: &Session) -> Result<Option<Attributes>, AwsError> {
        let name = &self.document.name;
        let mut wanted = LATEST.to_owned();
        loop {
            let found = match content(session, name, &wanted).await {
                Ok(None) => return Ok(None),
                Ok(Some(found)) => Some(found),
                // A version that was deleted leaves a gap in the numbers.
                Err(error) if is_no_version(&error) => None,
                Err(error) => return Err(error),
            };
            let version = match found {
                Some((version, Some(content))) if content == self.document.content => {
                    return Ok(describe(session, name, &version).await?.map(|found| found.attributes));
                }
                Some((version, _)) => version,
                None => wanted,
            };
            match version.parse::<u32>() {
                Ok(number) if number > 1 => wanted = (number - 1).to_string(),
                _ => return Ok(None),
            }
        }
    }

    async fn put_tags(&self, session: &Session, keys: &[String]) -> Result<(), AwsError> {
        let name = &self.document.name;
        let tags = tags(self.tags.iter().filter(|(key, _)| keys.contains(key)), name)?;
        let request = || {
            let call = session.ssm.add_tags_to_resource().resource_type(ResourceTypeForTagging::Document);
            call.resource_id(name).set_tags(Some(tags)).send()
        };
        session.call(SERVICE, "AddTagsToResource", Some(name), request).await.map(drop)
    }
}

/// Whether what was found leads to a new version.
pub(super) fn is_written_anew(observed: &Observed) -> bool {
    match observed {
        Observed::Absent => true,
        Observed::Present { differences, .. } => {
            let anew = [Difference::Content.to_string(), Difference::Superseded.to_string()];
            differences.iter().any(|difference| anew.contains(difference))
        }
    }
}

struct Described {
    tags: Tags,
    attributes: Attributes,
    latest: Option<String>,
}

fn is_no_version(error: &AwsError) -> bool {
    error.code.as_deref() == Some("InvalidDocumentVersion")
}

async fn describe(session: &Session, name: &str, version: &str) -> Result<Option<Described>, AwsError> {
    const OPERATION: &str = "DescribeDocument";
    let request = || session.ssm.describe_document().name(name).document_version(version).send();
    let answer = match session.call(SERVICE, OPERATION, Some(name), request).await {
        Ok(answer) => answer,
        Err(error) if error.class == Class::Gone => return Ok(None),
        Err(error) => return Err(error),
    };
    let found = answer.document.ok_or_else(|| AwsError::incomplete(SERVICE, OPERATION, name, "Document"))?;
    if found.status == Some(DocumentStatus::Deleting) {
        return Err(AwsError::being_deleted(SERVICE, OPERATION, name));
    }
    let tags = found.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect();
    let attributes = attributes(OPERATION, name, found.document_version, found.hash)?;
    Ok(Some(Described { tags, attributes, latest: found.latest_version }))
}

/// Number and content of a version; the content is none when it is no JSON. None when there is no such document.
async fn content(session: &Session, name: &str, version: &str) -> Result<Option<(String, Option<Value>)>, AwsError> {
    const OPERATION: &str = "GetDocument";
    let request = || {
        let call = session.ssm.get_document().name(name).document_version(version);
        call.document_format(DocumentFormat::Json).send()
    };
    match session.call(SERVICE, OPERATION, Some(name), request).await {
        Ok(answer) => {
            let missing = || AwsError::incomplete(SERVICE, OPERATION, name, "DocumentVersion");
            let content = answer.content.as_deref().and_then(|text| serde_json::from_str(text).ok());
            Ok(Some((answer.document_version.ok_or_else(missing)?, content)))
        }
        Err(error) if error.class == Class::Gone => Ok(None),
        Err(error) => Err(error),
    }
}

/// The tags that prove whose a document is; none when there is no such document.
pub(super) async fn proof(session: &Session, name: &str) -> Result<Option<Tags>, AwsError> {
    Ok(describe(session, name, LATEST).await?.map(|found| found.tags))
}

/// Deletes a document with all its versions.
pub(super) async fn delete(session: &Session, name: &str) -> Result<(), AwsError> {
    let request = || session.ssm.delete_document().name(name).send();
    match session.call(SERVICE, "DeleteDocument", Some(name), request).await {
        Err(error) if error.class != Class::Gone => Err(error),
        _ => Ok(()),
    }
}

fn attributes(
    operation: &'static str,
    name: &str,
    version: Option<String>,
    hash: Option<String>,
) -> Result<Attributes, AwsError> {
    let missing = |what| AwsError::incomplete(SERVICE, operation, name, what);
    let version = version.ok_or_else(|| missing("DocumentVersion"))?;
    let hash = hash.ok_or_else(|| missing("Hash"))?;
    Ok([(VERSION.to_owned(), version), (HASH.to_owned(), hash)].into())
}

fn tags<'t>(pairs: impl Iterator<Item = (&'t String, &'t String)>, object: &str) -> Result<Vec<Tag>, AwsError> {
    pairs
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect::<Result<_, BuildError>>()
        .map_err(|error| AwsError::unbuildable(SERVICE, "AddTagsToResource", object, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(content: Value) -> Document {
        Document { name: "d".into(), arn: "arn:aws:ssm:eu-west-1:111122223333:document/d".into(), content }
    }

    fn tags() -> Tags {
        [("windlass.dev/name".to_owned(), "x".to_owned())].into()
    }

    #[test]
    fn content_is_compared_by_meaning_and_an_intact_version_by_its_record() {
        let (declared, tags) = (document(json!({ "a": 1, "b": [2] })), tags());
        let resource = DocumentResource { document: &declared, tags: &tags, written: None };
        let recorded = resource.parts();
        let older = DocumentResource { document: &document(json!({})), tags: &tags, written: None }.parts();
        for (state, recorded, expected) in [
            (State::Latest(serde_json::from_str(r#"{"b": [2], "a": 1}"#).ok()), None, None),
            (State::Latest(Some(json!({ "a": 1 }))), None, Some(Difference::Content)),
            (State::Latest(None), None, Some(Difference::Content)),
            (State::Latest(Some(declared.content.clone())), Some(&older), None),
            (State::Intact, Some(&recorded), None),
            (State::Intact, Some(&older), Some(Difference::Content)),
            (State::Intact, None, Some(Difference::Content)),
            (State::Superseded, Some(&recorded), Some(Difference::Superseded)),
        ] {
            let found =
                Found { arn: declared.arn.clone(), tags: Some(tags.clone()), attributes: Attributes::new(), state };
            assert_eq!(resource.compare(&found, recorded), expected.into_iter().collect::<Vec<_>>(), "{found:?}");
        }
    }

    #[test]
    fn what_changed_in_a_declaration_is_known_without_reading() {
        let (declared, edited, tags) = (document(json!({ "a": 1 })), document(json!({ "a": 2 })), tags());
        let recorded = DocumentResource { document: &declared, tags: &tags, written: None }.parts();
        let other = [("windlass.dev/name".to_owned(), "y".to_owned())].into();
        let since = |document, tags| DocumentResource { document, tags, written: None }.since(&recorded);
        assert_eq!(since(&declared, &tags), []);
        assert_eq!(since(&edited, &tags), [Difference::Content]);
        assert_eq!(since(&declared, &other), [Difference::Tags(vec!["windlass.dev/name".into()])]);
    }
}
