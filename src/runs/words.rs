//! What the scripts of failed nodes wrote to their error streams, of which the state machine carries only a beginning, if that.

use tracing::warn;

use super::history::{Story, succeeded};
use super::redact;
use super::report::ERROR_OUTPUT_LIMIT;
use super::text::cut;
use crate::aws::{Session, commands};

/// Most nodes that are asked about.
const NODES: usize = 5;

/// Fetches the error output of the first failed nodes of the step that the run failed at. Best effort: without it the failure says less, and is no other.
pub async fn fetch(session: &Session, story: &mut Story) {
    let Some(step) = story.failed_at.and_then(|place| story.steps.get_mut(place)) else { return };
    let Some(command) = step.status.command_id.clone() else { return };
    for node in step.status.nodes.iter_mut().filter(|node| worth_asking(&node.status)).take(NODES) {
        match commands::invocation(session, &command, &node.id, step.plugin.as_deref()).await {
            Ok(invocation) => {
                let text = redact::redact(invocation.stderr.trim());
                if !text.is_empty() {
                    node.error_output = Some(cut(&text, ERROR_OUTPUT_LIMIT));
                }
                node.exit_code = node.exit_code.or(invocation.exit_code);
            }
            Err(error) => {
                warn!(%command, node = %node.id, %error, "the error output of a failed node could not be read");
            }
        }
    }
}

/// A node that was never reached wrote nothing.
fn worth_asking(status: &str) -> bool {
    !succeeded(status) && !matches!(status, "Undeliverable" | "AccessDenied" | "InvalidPlatform" | "Terminated")
}
