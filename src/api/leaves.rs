//! Step types that hold no other steps and run no script of the manifest's: waiting, telling people, calling AWS.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::Span;
use super::schema;

/// What the API server asks of a moment: RFC 3339 with its offset, or an expression. That the day exists is asked when it is read.
pub const MOMENT_PATTERN: &str = r"^(\{%[\s\S]*%\}|[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][0-2][0-9]:[0-5][0-9]))$";

/// A moment: RFC 3339, as in `2026-12-01T22:00:00+01:00`, or a `{% … %}` expression that gives such a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Moment(#[schemars(regex(pattern = MOMENT_PATTERN), length(max = 8192))] pub String);

impl Moment {
    /// Whether a text names a moment that exists: the 30th of February does not.
    #[must_use]
    pub fn exists(text: &str) -> bool {
        text.parse::<k8s_openapi::jiff::Timestamp>().is_ok()
    }
}

/// Waits, for a time or until a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = schema::exactly_one("'wait'", &["for", "until"]))]
pub struct Wait {
    /// How long, as in `2m`.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    pub for_: Option<Span>,
    /// Until when: RFC 3339, as in `2026-12-01T22:00:00+01:00`, or a `{% … %}` expression that gives such a text. A moment that has passed is not waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
}

/// Publishes a message to an SNS topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notify {
    /// The topic, in the account's Region; a grant of the account must allow it (`topicArns`). No FIFO topic.
    #[schemars(regex(pattern = "^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}$"), length(max = 512))]
    pub topic_arn: String,
    /// Subject of the mails that the topic sends: text or a `{% … %}` expression. What is longer than 99 characters is cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8192))]
    pub subject: Option<String>,
    /// The message: text or a `{% … %}` expression; what is no text is sent as JSON.
    #[schemars(length(min = 1, max = 8192))]
    pub message: String,
}
