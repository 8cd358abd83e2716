//! Systems Manager documents of type Command.

use std::fmt;

use aws_sdk_ssm::types::{DocumentFormat, DocumentType, ResourceTypeForTagging, Tag};
use aws_smithy_types::error::operation::BuildError;
use serde_json::Value;

use crate::compile::blueprint::Document;

use super::error::{AwsError, Class};
use super::resource::{Attributes, Resource, Seen, Tags, missing_tags};
use super::session::Session;

const SERVICE: &str = "ssm";
const LATEST: &str = "$LATEST";
/// Attribute: the version that Systems Manager assigned.
pub(super) const VERSION: &str = "version";
/// Attribute: the Sha256 hash over that version.
pub(super) const HASH: &str = "hash";

/// A document as it is declared.
pub(super) struct DocumentResource<'a> {
    pub(super) document: &'a Document,
    pub(super) tags: &'a Tags,
}

/// How a document can differ.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Difference {
    Content,
    Tags(Vec<String>),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content => write!(f, "content"),
            Self::Tags(keys) => write!(f, "tags {}", keys.join(" ")),
        }
    }
}

impl Resource for DocumentResource<'_> {
    type Difference = Difference;

    async fn create(&self, session: &Session) -> Result<Attributes, AwsError> {
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
        let description = answer.document_description.ok_or_else(missing)?;
        attributes(OPERATION, &document.name, description.document_version, description.hash)
    }

    async fn look(&self, session: &Session, _prove: bool) -> Result<Option<Seen<Difference>>, AwsError> {
        let document = self.document;
        let Some(found) = describe(session, &document.name).await? else {
            return Ok(None);
        };
        let mut differences = Vec::new();
        if content(session, &document.name).await?.as_ref() != Some(&document.content) {
            differences.push(Difference::Content);
        }
        let missing = missing_tags(self.tags, &found.tags);
        if !missing.is_empty() {
            differences.push(Difference::Tags(missing.into_iter().map(|(key, _)| key.clone()).collect()));
        }
        let arn = document.arn.clone();
        Ok(Some(Seen { arn, tags: Some(found.tags), differences, attributes: found.attributes }))
    }

    async fn mend(&self, session: &Session, seen: Seen<Difference>) -> Result<Attributes, AwsError> {
        let document = self.document;
        let mut attributes = seen.attributes;
        for difference in &seen.differences {
            match difference {
                Difference::Content => attributes = self.update(session).await?,
                Difference::Tags(keys) => {
                    let tags = tags(self.tags.iter().filter(|(key, _)| keys.contains(key)), &document.name)?;
                    let request = || {
                        let call = session.ssm.add_tags_to_resource().resource_type(ResourceTypeForTagging::Document);
                        call.resource_id(&document.name).set_tags(Some(tags)).send()
                    };
                    session.call(SERVICE, "AddTagsToResource", Some(&document.name), request).await?;
                }
            }
        }
        Ok(attributes)
    }
}

impl DocumentResource<'_> {
    /// A new version. The default version stays where it is: commands name the version that their state machine was compiled with, and
    /// nobody else is meant to send this document.
    async fn update(&self, session: &Session) -> Result<Attributes, AwsError> {
        const OPERATION: &str = "UpdateDocument";
        let document = self.document;
        let request = || {
            let call = session.ssm.update_document().name(&document.name).content(document.content.to_string());
            call.document_version(LATEST).document_format(DocumentFormat::Json).send()
        };
        match session.call(SERVICE, OPERATION, Some(&document.name), request).await {
            Ok(answer) => {
                let missing = || AwsError::incomplete(SERVICE, OPERATION, &document.name, "DocumentDescription");
                let description = answer.document_description.ok_or_else(missing)?;
                attributes(OPERATION, &document.name, description.document_version, description.hash)
            }
            // An earlier try whose answer was lost.
            Err(error) if error.code.as_deref() == Some("DuplicateDocumentContent") => {
                let found = describe(session, &document.name).await?;
                found.map(|found| found.attributes).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }
}

struct Found {
    tags: Tags,
    attributes: Attributes,
}

async fn describe(session: &Session, name: &str) -> Result<Option<Found>, AwsError> {
    const OPERATION: &str = "DescribeDocument";
    let request = || session.ssm.describe_document().name(name).document_version(LATEST).send();
    let answer = match session.call(SERVICE, OPERATION, Some(name), request).await {
        Ok(answer) => answer,
        Err(error) if error.class == Class::Gone => return Ok(None),
        Err(error) => return Err(error),
    };
    let description = answer.document.ok_or_else(|| AwsError::incomplete(SERVICE, OPERATION, name, "Document"))?;
    let tags = description.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect();
    let attributes = attributes(OPERATION, name, description.document_version, description.hash)?;
    Ok(Some(Found { tags, attributes }))
}

async fn content(session: &Session, name: &str) -> Result<Option<Value>, AwsError> {
    let request = || {
        let call = session.ssm.get_document().name(name).document_version(LATEST);
        call.document_format(DocumentFormat::Json).send()
    };
    match session.call(SERVICE, "GetDocument", Some(name), request).await {
        Ok(answer) => Ok(answer.content.as_deref().and_then(|text| serde_json::from_str(text).ok())),
        Err(error) if error.class == Class::Gone => Ok(None),
        Err(error) => Err(error),
    }
}

/// The tags that prove whose a document is; none when there is no such document.
pub(super) async fn proof(session: &Session, name: &str) -> Result<Option<Tags>, AwsError> {
    Ok(describe(session, name).await?.map(|found| found.tags))
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
