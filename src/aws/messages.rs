//! Messages of a queue: receive and delete.

use std::fmt;

use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, MessageSystemAttributeName};

use super::error::AwsError;
use super::session::Session;

const SERVICE: &str = "sqs";
/// Most messages of one receive, and of one delete (`ReceiveMessage`, `MaxNumberOfMessages`).
const BATCH: i32 = 10;

/// A message as it was received. Its body may hold a task token, so it shows none of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Letter {
    /// The message's id: the same at each receive.
    pub id: String,
    /// What deletes it, until it is received again.
    pub receipt: String,
    /// What stands in it.
    pub body: String,
    /// How often it was received by now.
    pub received: u32,
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter").field("id", &self.id).field("received", &self.received).finish_non_exhaustive()
    }
}

/// Receives messages, ten at most. With `wait`, it waits for them as long as the queue's own setting says.
///
/// # Errors
/// [`AwsError`]; class Gone when there is no such queue.
pub async fn receive(session: &Session, queue_url: &str, wait: bool) -> Result<Vec<Letter>, AwsError> {
    let request = || {
        let call = session.sqs.receive_message().queue_url(queue_url).max_number_of_messages(BATCH);
        let call = call.set_wait_time_seconds((!wait).then_some(0));
        call.message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount).send()
    };
    let answer = session.call(SERVICE, "ReceiveMessage", Some(queue_url), request).await?;
    let letters = answer.messages.unwrap_or_default().into_iter().filter_map(|message| {
        let received = message
            .attributes
            .and_then(|mut all| all.remove(&MessageSystemAttributeName::ApproximateReceiveCount))
            .and_then(|count| count.parse().ok());
        Some(Letter {
            id: message.message_id?,
            receipt: message.receipt_handle?,
            body: message.body.unwrap_or_default(),
            received: received.unwrap_or(1),
        })
    });
    Ok(letters.collect())
}

/// Deletes messages that were received together.
///
/// # Errors
/// [`AwsError`] of the call, or of the first message that could not be deleted; the others were.
pub async fn delete(session: &Session, queue_url: &str, letters: &[&Letter]) -> Result<(), AwsError> {
    const OPERATION: &str = "DeleteMessageBatch";
    let entry = |(index, letter): (usize, &&Letter)| {
        DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(&letter.receipt).build()
    };
    let entries: Result<Vec<_>, _> = letters.iter().enumerate().map(entry).collect();
    let entries = entries.map_err(|error| AwsError::unbuildable(SERVICE, OPERATION, queue_url, &error))?;
    let request = || session.sqs.delete_message_batch().queue_url(queue_url).set_entries(Some(entries)).send();
    let answer = session.call(SERVICE, OPERATION, Some(queue_url), request).await?;
    match answer.failed.into_iter().next() {
        Some(failed) => Err(AwsError::in_batch(SERVICE, OPERATION, queue_url, Some(failed.code), failed.message)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_never_shown() {
        let letter = Letter { id: "1".into(), receipt: "secret".into(), body: "secret".into(), received: 2 };
        assert_eq!(format!("{letter:?}"), "Letter { id: \"1\", received: 2, .. }");
    }
}
