//! Systems Manager commands that executions sent: find, cancel, read.

use aws_sdk_ssm::types::{CommandFilter, CommandFilterKey};

use super::error::{AwsError, Class};
use super::session::Session;

const SERVICE: &str = "ssm";
/// Commands per page: the most that `ListCommands` gives.
const PAGE: i32 = 50;

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Id.
    pub id: String,
    /// Comment: a workflow's commands say here which run, step and attempt they belong to.
    pub comment: Option<String>,
    /// Status, as in `InProgress`.
    pub status: String,
    /// The finer word for it.
    pub status_details: String,
}

/// A command on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The finer word for its status, as in `ExecutionTimedOut`.
    pub status_details: String,
    /// Exit code; none while there is none.
    pub exit_code: Option<i32>,
    /// Standard output, its first 24,000 characters.
    pub stdout: String,
    /// Standard error, its first 8,000 characters.
    pub stderr: String,
}

/// Commands with a document that still execute.
///
/// # Errors
/// [`AwsError`].
pub async fn executing(session: &Session, document_name: &str) -> Result<Vec<Command>, AwsError> {
    let filter = |key, value: &str| CommandFilter::builder().key(key).value(value).build();
    let build = |error| AwsError::unbuildable(SERVICE, "ListCommands", document_name, &error);
    let by_document = filter(CommandFilterKey::DocumentName, document_name).map_err(build)?;
    let by_stage = filter(CommandFilterKey::ExecutionStage, "Executing").map_err(build)?;
    let mut found = Vec::new();
    let mut next = None;
    loop {
        let token = next.take();
        let request = || {
            let call = session.ssm.list_commands().filters(by_document.clone()).filters(by_stage.clone());
            call.max_results(PAGE).set_next_token(token).send()
        };
        let page = session.call(SERVICE, "ListCommands", Some(document_name), request).await?;
        found.extend(page.commands.unwrap_or_default().into_iter().filter_map(|command| {
            Some(Command {
                id: command.command_id?,
                comment: command.comment,
                status: command.status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
                status_details: command.status_details.unwrap_or_default(),
            })
        }));
        match page.next_token.filter(|token| !token.is_empty()) {
            Some(token) => next = Some(token),
            None => return Ok(found),
        }
    }
}

/// Asks the nodes to stop a command. What has run already is not undone (`CancelCommand`, API reference).
///
/// # Errors
/// [`AwsError`].
pub async fn cancel(session: &Session, command_id: &str) -> Result<(), AwsError> {
    let request = || session.ssm.cancel_command().command_id(command_id).send();
    match session.call(SERVICE, "CancelCommand", Some(command_id), request).await {
        Ok(_) => Ok(()),
        Err(error) if error.class == Class::Gone => Ok(()),
        Err(error) => Err(error),
    }
}

/// What a command did on one node. `plugin` names the one of several plugins whose output is wanted.
///
/// # Errors
/// [`AwsError`]; class Gone when there is no such invocation.
pub async fn invocation(
    session: &Session,
    command_id: &str,
    node_id: &str,
    plugin: Option<&str>,
) -> Result<Invocation, AwsError> {
    let request = || {
        let call = session.ssm.get_command_invocation().command_id(command_id).instance_id(node_id);
        call.set_plugin_name(plugin.map(str::to_owned)).send()
    };
    let answer = session.call(SERVICE, "GetCommandInvocation", Some(node_id), request).await?;
    Ok(Invocation {
        status_details: answer.status_details.unwrap_or_default(),
        // -1 stands for "no exit code yet" (API reference, ResponseCode).
        exit_code: Some(answer.response_code).filter(|code| *code >= 0),
        stdout: answer.standard_output_content.unwrap_or_default(),
        stderr: answer.standard_error_content.unwrap_or_default(),
    })
}
