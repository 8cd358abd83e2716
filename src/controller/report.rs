//! Events.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter as Source};
use tracing::warn;

/// Longest note that the API server takes in an Event.
const NOTE_LIMIT: usize = 1024;

/// Writes Events on objects.
#[derive(Clone)]
pub struct Reporter(Recorder);

impl Reporter {
    /// A reporter for this process.
    #[must_use]
    pub fn new(client: Client, instance: &str) -> Self {
        Self(Recorder::new(client, Source { controller: "windlass".to_owned(), instance: Some(instance.to_owned()) }))
    }

    /// Something went as it should.
    pub async fn normal(&self, object: &ObjectReference, action: &str, reason: &str, note: &str) {
        self.publish(EventType::Normal, object, action, reason, note).await;
    }

    /// Somebody should look.
    pub async fn warning(&self, object: &ObjectReference, action: &str, reason: &str, note: &str) {
        self.publish(EventType::Warning, object, action, reason, note).await;
    }

    /// An Event that cannot be written is logged and harms nothing: what it says stands in the status too.
    async fn publish(&self, type_: EventType, object: &ObjectReference, action: &str, reason: &str, note: &str) {
        let note: String = if note.chars().count() > NOTE_LIMIT {
            note.chars().take(NOTE_LIMIT - 1).chain(['…']).collect()
        } else {
            note.to_owned()
        };
        let event =
            Event { type_, reason: reason.to_owned(), note: Some(note), action: action.to_owned(), secondary: None };
        if let Err(error) = self.0.publish(&event, object).await {
            warn!(object = ?object.name, %reason, %error, "the Event could not be written");
        }
    }
}
