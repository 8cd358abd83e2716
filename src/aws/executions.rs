//! Executions of state machines: start, look, read the history, stop.

use aws_sdk_sfn::types::{ExecutionStatus, HistoryEvent};
use aws_smithy_types::DateTime;
use jiff::Timestamp;

use super::error::{AwsError, Class};
use super::session::Session;

const SERVICE: &str = "states";
/// Events per page of a history: the most that `GetExecutionHistory` gives.
const PAGE: i32 = 1000;

/// What became of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// An execution runs: it was started now, or by an earlier call with the same name and input that runs still.
    Started {
        /// Its ARN.
        arn: String,
        /// When it started.
        at: Timestamp,
    },
    /// The name is taken by an execution with another input or by one that has ended (names are free again after 90 days).
    Exists,
}

/// Where an execution stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It runs.
    Running,
    /// It waits for a redrive.
    PendingRedrive,
    /// It ended well.
    Succeeded,
    /// It failed.
    Failed,
    /// Its timeout ended it.
    TimedOut,
    /// Somebody stopped it.
    Aborted,
}

/// An execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// ARN.
    pub arn: String,
    /// Where it stands.
    pub status: Status,
    /// Input, JSON.
    pub input: Option<String>,
    /// Output, JSON, once it succeeded.
    pub output: Option<String>,
    /// Name of the error.
    pub error: Option<String>,
    /// Cause of the error.
    pub cause: Option<String>,
    /// Start.
    pub started_at: Timestamp,
    /// End.
    pub stopped_at: Option<Timestamp>,
    /// The state machine version that it runs.
    pub version_arn: Option<String>,
}

/// An event of a history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Number, from 1.
    pub id: i64,
    /// The event that it follows.
    pub previous_id: i64,
    /// When.
    pub at: Timestamp,
    /// Type, as in `TaskStateEntered`.
    pub type_: String,
    /// Name of the state that was entered or exited.
    pub name: Option<String>,
    /// Input of the state or execution, JSON.
    pub input: Option<String>,
    /// Output of the state, task or execution, JSON.
    pub output: Option<String>,
    /// Name of the error.
    pub error: Option<String>,
    /// Cause of the error.
    pub cause: Option<String>,
}

/// A whole history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The events, in order.
    pub events: Vec<Event>,
    /// How many calls it took.
    pub pages: usize,
}

/// Starts an execution of a published version. Idempotent by name and input while it runs.
///
/// # Errors
/// [`AwsError`]; the name being taken is no error.
pub async fn start(session: &Session, version_arn: &str, name: &str, input: &str) -> Result<Start, AwsError> {
    let request = || session.states.start_execution().state_machine_arn(version_arn).name(name).input(input).send();
    match session.call(SERVICE, "StartExecution", Some(name), request).await {
        Ok(answer) => Ok(Start::Started { arn: answer.execution_arn, at: timestamp(&answer.start_date) }),
        Err(error) if error.class == Class::Conflict => Ok(Start::Exists),
        Err(error) => Err(error),
    }
}

/// Looks at an execution.
///
/// # Errors
/// [`AwsError`]; class Gone when there is none.
pub async fn describe(session: &Session, arn: &str) -> Result<Execution, AwsError> {
    let request = || session.states.describe_execution().execution_arn(arn).send();
    let answer = session.call(SERVICE, "DescribeExecution", Some(arn), request).await?;
    Ok(Execution {
        arn: answer.execution_arn,
        status: status(&answer.status),
        input: answer.input,
        output: answer.output,
        error: answer.error,
        cause: answer.cause,
        started_at: timestamp(&answer.start_date),
        stopped_at: answer.stop_date.as_ref().map(timestamp),
        version_arn: answer.state_machine_version_arn,
    })
}

/// Reads a whole history, 1,000 events a call.
///
/// # Errors
/// [`AwsError`]; class Gone when there is no such execution.
pub async fn history(session: &Session, arn: &str) -> Result<History, AwsError> {
    let mut history = History::default();
    let mut next = None;
    loop {
        let token = next.take();
        let request = || {
            let call = session.states.get_execution_history().execution_arn(arn).max_results(PAGE);
            call.include_execution_data(true).set_next_token(token).send()
        };
        let page = session.call(SERVICE, "GetExecutionHistory", Some(arn), request).await?;
        history.pages += 1;
        history.events.extend(page.events.into_iter().map(event));
        match page.next_token {
            Some(token) => next = Some(token),
            None => return Ok(history),
        }
    }
}

/// Stops an execution. Fine when it has ended already.
///
/// # Errors
/// [`AwsError`].
pub async fn stop(session: &Session, arn: &str, error: &str, cause: &str) -> Result<(), AwsError> {
    let request = || session.states.stop_execution().execution_arn(arn).error(error).cause(cause).send();
    match session.call(SERVICE, "StopExecution", Some(arn), request).await {
        Ok(_) => Ok(()),
        Err(error) if error.class == Class::Gone => Ok(()),
        Err(error) => Err(error),
    }
}

/// ARNs of the executions of a state machine that run. None when the machine is gone.
///
/// # Errors
/// [`AwsError`].
pub async fn running(session: &Session, state_machine_arn: &str) -> Result<Vec<String>, AwsError> {
    let mut found = Vec::new();
    let mut next = None;
    loop {
        let token = next.take();
        let request = || {
            let call = session.states.list_executions().state_machine_arn(state_machine_arn);
            call.status_filter(ExecutionStatus::Running).max_results(PAGE).set_next_token(token).send()
        };
        let page = match session.call(SERVICE, "ListExecutions", Some(state_machine_arn), request).await {
            Ok(page) => page,
            Err(error) if error.class == Class::Gone => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        found.extend(page.executions.into_iter().map(|execution| execution.execution_arn));
        match page.next_token {
            Some(token) => next = Some(token),
            None => return Ok(found),
        }
    }
}

/// ARN that an execution of a state machine (or of one of its versions) has, given its name.
#[must_use]
pub fn execution_arn(machine_or_version_arn: &str, name: &str) -> Option<String> {
    // arn:PARTITION:states:REGION:ACCOUNT:stateMachine:MACHINE[:VERSION]
    let parts: Vec<&str> = machine_or_version_arn.split(':').collect();
    match parts.as_slice() {
        [arn, partition, "states", region, account, "stateMachine", machine]
        | [arn, partition, "states", region, account, "stateMachine", machine, _] => {
            Some(format!("{arn}:{partition}:states:{region}:{account}:execution:{machine}:{name}"))
        }
        _ => None,
    }
}

fn status(status: &ExecutionStatus) -> Status {
    match status {
        ExecutionStatus::Succeeded => Status::Succeeded,
        ExecutionStatus::Failed => Status::Failed,
        ExecutionStatus::TimedOut => Status::TimedOut,
        ExecutionStatus::Aborted => Status::Aborted,
        ExecutionStatus::PendingRedrive => Status::PendingRedrive,
        // A status that is new to us is no end that we know of.
        _ => Status::Running,
    }
}

fn timestamp(at: &DateTime) -> Timestamp {
    Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos()).unwrap_or(0)).unwrap_or_default()
}

/// Takes out of an event what is of use here. At most one of its details is set (`HistoryEvent`, API reference).
fn event(raw: HistoryEvent) -> Event {
    let mut event = Event {
        id: raw.id,
        previous_id: raw.previous_event_id,
        at: timestamp(&raw.timestamp),
        type_: raw.r#type.as_str().to_owned(),
        ..Event::default()
    };
    macro_rules! failure {
        ($($details:ident),+) => {
            $(if let Some(details) = raw.$details {
                event.error = details.error;
                event.cause = details.cause;
            })+
        };
    }
    failure!(
        execution_failed_event_details,
        execution_timed_out_event_details,
        execution_aborted_event_details,
        task_failed_event_details,
        task_timed_out_event_details,
        task_start_failed_event_details,
        task_submit_failed_event_details
    );
    if let Some(details) = raw.evaluation_failed_event_details {
        event.name = Some(details.state);
        event.error = details.error;
        event.cause = details.cause;
    }
    if let Some(details) = raw.state_entered_event_details {
        event.name = Some(details.name);
        event.input = details.input;
    }
    if let Some(details) = raw.state_exited_event_details {
        event.name = Some(details.name);
        event.output = details.output;
    }
    if let Some(details) = raw.execution_started_event_details {
        event.input = details.input;
    }
    if let Some(details) = raw.execution_succeeded_event_details {
        event.output = details.output;
    }
    if let Some(details) = raw.task_succeeded_event_details {
        event.output = details.output;
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_has_the_arn_that_its_machine_and_name_give() {
        let expected = Some("arn:aws:states:eu-west-1:1:execution:m:r".to_owned());
        assert_eq!(execution_arn("arn:aws:states:eu-west-1:1:stateMachine:m", "r"), expected);
        assert_eq!(execution_arn("arn:aws:states:eu-west-1:1:stateMachine:m:3", "r"), expected);
        assert_eq!(execution_arn("arn:aws:iam::1:role/x", "r"), None);
    }
}
