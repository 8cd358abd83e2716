//! Cancelling what an execution left behind on nodes: stopping an execution does not stop the command that it waits for.

use crate::aws::{AwsError, Session, commands};

/// Cancels the commands of a run that still execute, and says how many there were. Zero: there is nothing left.
///
/// # Errors
/// [`AwsError`] when they cannot be listed or one cannot be cancelled.
pub async fn sweep(session: &Session, document: &str, run_id: &str) -> Result<usize, AwsError> {
    let executing = commands::executing(session, document).await?;
    let ours: Vec<_> = executing.iter().filter(|command| belongs(command.comment.as_deref(), run_id)).collect();
    for command in &ours {
        if command.status == "Cancelling" {
            continue;
        }
        commands::cancel(session, &command.id).await?;
    }
    Ok(ours.len())
}

/// Whether a command's comment says that a run sent it.
fn belongs(comment: Option<&str>, run_id: &str) -> bool {
    let rest = comment.and_then(|comment| comment.strip_prefix("windlass:")).and_then(|rest| rest.strip_prefix(run_id));
    rest.is_some_and(|rest| rest.starts_with(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_known_by_their_comment() {
        for (comment, ours) in [
            (Some("windlass:0123456789abcdef:drain#1"), true),
            (Some("windlass:0123456789abcdef0:drain#1"), false),
            (Some("windlass:0123456789abcde:drain#1"), false),
            (Some("0123456789abcdef:drain#1"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(belongs(comment, "0123456789abcdef"), ours, "{comment:?}");
        }
    }
}
