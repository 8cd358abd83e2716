//! Whose failure it is: from an execution's end to the step, the node, the layer, and what to do.
//!
//! The texts are for the engineer on duty: which node by computer name and id, the exit code, what the script wrote, the next step.

use crate::api::run::{Failure, Layer, NodeStatus, StepStatus};
use crate::aws::executions::Status;

use super::history::{Step, Story, succeeded};
use super::text::{cut, first_line};

/// Most characters of what a script wrote that a cause quotes.
const QUOTE_LIMIT: usize = 1500;
/// Most further nodes that a cause names.
const NAMED_NODES: usize = 5;

/// What kind of failure it is: the table of errors, without the words.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    NotAuthorized {
        action: String,
        resource: Option<String>,
    },
    RoleNotAssumable,
    Throttled,
    UnknownInstance,
    Document,
    RunTimedOut,
    Expression,
    TooMuchData,
    TooManyEvents,
    Runtime,
    ExitCode,
    NodeUnreachable,
    NoTargets,
    ScriptTimedOut,
    CommandCancelled,
    NodeDenied,
    InvalidOutput,
    Service,
    /// A service other than Systems Manager refused the call.
    Refused,
    /// A service other than Systems Manager was too busy, or had a fault of its own.
    Trouble,
    StepTimedOut,
    Raised,
}

impl Kind {
    /// By the error's name, and by its text where the name says too little: `Ssm.SsmException` stands for throttling *and* for access denied.
    fn of(error: &str, cause: &str) -> Self {
        if let Some((action, resource)) = not_authorized(cause) {
            return Self::NotAuthorized { action, resource };
        }
        if cause.contains("authorized to assume the provided role") {
            return Self::RoleNotAssumable;
        }
        let service = error.strip_suffix("Exception").unwrap_or(error);
        match error {
            "Windlass.ExitCode" => return Self::ExitCode,
            "Windlass.NodeUnreachable" => return Self::NodeUnreachable,
            "Windlass.NoTargets" => return Self::NoTargets,
            "Windlass.TimedOut" => return Self::ScriptTimedOut,
            "Windlass.Cancelled" => return Self::CommandCancelled,
            "Windlass.AccessDenied" => return Self::NodeDenied,
            "Windlass.InvalidOutput" => return Self::InvalidOutput,
            "States.Timeout" => return Self::RunTimedOut,
            // What a Fail state raises again has no name of Step Functions' own.
            "States.QueryEvaluationError" | "Windlass.QueryEvaluationError" => return Self::Expression,
            "States.DataLimitExceeded" => return Self::TooMuchData,
            "States.Runtime" if cause.contains("history event") => return Self::TooManyEvents,
            "States.Runtime" => return Self::Runtime,
            _ => {}
        }
        if error.starts_with("Ssm.") && cause.contains("validation error") {
            // Arguments that no manifest could have made wrong: they are the compiler's.
            return Self::Runtime;
        }
        if !error.starts_with("Ssm.") && !error.starts_with("States.") && of_a_service(error, cause) {
            let busy = cause.contains("Rate exceeded") || error.contains("Throttl") || cause.contains("Status Code: 5");
            return if busy { Self::Trouble } else { Self::Refused };
        }
        if cause.contains("Rate exceeded") || service.contains("Throttling") || service.ends_with("TooManyRequests") {
            return Self::Throttled;
        }
        match service.strip_prefix("Ssm.") {
            Some("InvalidInstanceId") => Self::UnknownInstance,
            Some("InvalidParameters" | "MaxDocumentSizeExceeded") => Self::Document,
            Some(name) if name.starts_with("InvalidDocument") => Self::Document,
            Some(name) if name.starts_with("AccessDenied") => {
                Self::NotAuthorized { action: "a Systems Manager action".to_owned(), resource: None }
            }
            Some(_) => Self::Service,
            None if error == "States.Permissions" || service.ends_with("AccessDenied") => {
                Self::NotAuthorized { action: "an action".to_owned(), resource: None }
            }
            None if error.starts_with("States.") => Self::Runtime,
            None => Self::Raised,
        }
    }

    fn layer(&self) -> Layer {
        match self {
            Self::NotAuthorized { .. } | Self::RoleNotAssumable => Layer::IAM,
            Self::Throttled | Self::CommandCancelled | Self::Service => Layer::SSM,
            Self::UnknownInstance | Self::NodeUnreachable | Self::NodeDenied => Layer::Node,
            Self::Document | Self::Expression | Self::NoTargets | Self::Refused | Self::Raised => Layer::Manifest,
            Self::Trouble => Layer::AWS,
            Self::RunTimedOut | Self::StepTimedOut | Self::TooMuchData | Self::TooManyEvents | Self::Runtime => {
                Layer::StepFunctions
            }
            Self::ExitCode | Self::ScriptTimedOut | Self::InvalidOutput => Layer::Script,
        }
    }

    /// Whether an invocation that stands at `status` is one that this failure is about.
    fn concerns(&self, node: &NodeStatus) -> bool {
        let status: String = node.status.chars().filter(|c| !c.is_whitespace()).collect();
        match self {
            Self::ExitCode | Self::InvalidOutput => status == "Failed" || status == "Success",
            Self::NodeUnreachable => {
                matches!(status.as_str(), "Undeliverable" | "DeliveryTimedOut" | "InvalidPlatform" | "Terminated")
            }
            Self::NodeDenied => status == "AccessDenied",
            Self::ScriptTimedOut => status == "ExecutionTimedOut" || status == "TimedOut",
            Self::CommandCancelled => status.starts_with("Cancel"),
            _ => false,
        }
    }
}

/// Whether an error is what Step Functions makes of a service's: `SNS.NotFoundException`, `Ec2.Ec2Exception`, with the SDK's words in its cause.
fn of_a_service(error: &str, cause: &str) -> bool {
    let named = error.split_once('.').is_some_and(|(_, name)| name.ends_with("Exception"));
    named && (cause.contains("Service: ") || cause.contains("Status Code: "))
}

/// `… is not authorized to perform: A on resource: R because …`, in the words of IAM's refusals.
fn not_authorized(cause: &str) -> Option<(String, Option<String>)> {
    let word = |text: &str| {
        let end = text.find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"' | ',')).unwrap_or(text.len());
        text.get(..end).map(|word| word.trim_end_matches('.').to_owned()).filter(|word| !word.is_empty())
    };
    let (_, rest) = cause.split_once("not authorized to perform")?;
    let action = word(rest.trim_start_matches([':', ' ']))?;
    let resource = rest.split_once("on resource").and_then(|(_, rest)| word(rest.trim_start_matches([':', ' '])));
    Some((action, resource))
}

/// Attributes the failure of an execution that failed or timed out. None when it did neither.
#[must_use]
pub fn attribute(story: &Story) -> Option<Failure> {
    let end = story.end.as_ref()?;
    match end.status {
        Status::Failed => {}
        Status::TimedOut => return Some(run_timed_out(story)),
        Status::Running | Status::Succeeded | Status::Aborted | Status::PendingRedrive => return None,
    }
    let step = story.failed_at.and_then(|place| story.steps.get(place));
    // What the step said comes first: on the way out a handler may have raised another error.
    let error = step.and_then(|step| step.status.error.as_deref()).or(end.error.as_deref()).unwrap_or("States.Runtime");
    let cause = step.and_then(|step| step.cause.as_deref()).or(end.cause.as_deref()).unwrap_or_default();
    let kind = match Kind::of(error, cause) {
        // Nothing ran on nodes.
        Kind::ScriptTimedOut if step.is_some_and(|step| step.status.command_id.is_none()) => Kind::StepTimedOut,
        kind => kind,
    };
    let node = step.and_then(|step| culprit(&kind, &step.status));
    Some(Failure {
        step: step.map(|step| step.status.path.clone()),
        node: node.map(label),
        layer: kind.layer(),
        error: error.to_owned(),
        cause: describe(&kind, step, node, cause),
        hint: hint(&kind, step, node, cause),
    })
}

fn run_timed_out(story: &Story) -> Failure {
    let last = story.steps.iter().rev().find(|step| step.status.phase == crate::api::run::StepPhase::Cancelled);
    let place = last.map_or_else(String::new, |step| format!(" while it was at step {}", step.status.path));
    Failure {
        step: last.map(|step| step.status.path.clone()),
        node: None,
        layer: Kind::RunTimedOut.layer(),
        error: "States.Timeout".to_owned(),
        cause: format!("the run took longer than its workflow's spec.timeout allows, and was ended{place}"),
        hint: hint(&Kind::RunTimedOut, last, None, ""),
    }
}

/// Computer name and id.
fn label(node: &NodeStatus) -> String {
    match &node.computer_name {
        Some(name) => format!("{name} ({})", node.id),
        None => node.id.clone(),
    }
}

/// The node to look at first.
fn culprit<'a>(kind: &Kind, step: &'a StepStatus) -> Option<&'a NodeStatus> {
    let failed = || step.nodes.iter().filter(|node| !succeeded(&node.status));
    failed().find(|node| kind.concerns(node)).or_else(|| failed().next()).or_else(|| {
        // A well node's output may be what is wrong.
        step.nodes.iter().find(|_| *kind == Kind::InvalidOutput)
    })
}

fn others(step: &StepStatus, node: &NodeStatus) -> String {
    let total = step.node_counts.map_or(0, |counts| counts.total);
    let failed = step.node_counts.map_or(0, |counts| counts.failed);
    match failed {
        // A step may fail without a node that did: what is wrong is then what one of them printed.
        0 => return String::new(),
        1 if total <= 1 => return String::new(),
        1 => return format!(" (the other {} of {total} nodes did not fail)", total - failed),
        _ => {}
    }
    let more = step.nodes.iter().filter(|other| !succeeded(&other.status) && other.id != node.id);
    let named = more.take(NAMED_NODES).map(|other| match label(other) {
        name if other.status == node.status => name,
        name => format!("{name}: {}", other.status),
    });
    let names: Vec<String> = named.collect();
    let dots = if usize::try_from(failed).unwrap_or(0) > names.len() + 1 { ", …" } else { "" };
    format!(" ({failed} of {total} nodes failed; also {}{dots})", names.join(", "))
}

/// What the script wrote, as a quotation to put behind a sentence.
fn quote(node: &NodeStatus) -> String {
    let (stream, text) = match (&node.error_output, &node.output) {
        (Some(text), _) if !text.trim().is_empty() => ("its error stream says", text),
        (_, Some(text)) if !text.trim().is_empty() => ("it printed", text),
        _ => return "; it wrote nothing".to_owned(),
    };
    format!("; {stream}: {}", cut(text.trim(), QUOTE_LIMIT))
}

fn describe(kind: &Kind, step: Option<&Step>, node: Option<&NodeStatus>, cause: &str) -> String {
    let fallback = |what: &str| if cause.is_empty() { what.to_owned() } else { cause.to_owned() };
    let (Some(step), Some(node)) = (step, node) else {
        return match kind {
            Kind::NoTargets => fallback("no managed node matches the step's targets"),
            Kind::TooMuchData => fallback("more data than Step Functions carries from one state to the next"),
            _ => fallback("Step Functions gave no cause"),
        };
    };
    let (path, place) = (&step.status.path, label(node));
    let (also, status) = (others(&step.status, node), &node.status);
    match kind {
        Kind::ExitCode => {
            let code =
                node.exit_code.map_or_else(|| "with a failure".to_owned(), |code| format!("with exit code {code}"));
            format!("the script of step {path} ended {code} on {place}{also}{}", quote(node))
        }
        Kind::NodeUnreachable if status == "InvalidPlatform" => {
            format!("step {path} was sent to {place}, which is not a Windows node{also}")
        }
        Kind::NodeUnreachable => {
            format!("step {path} did not reach {place}: Systems Manager reports {status}{also}")
        }
        Kind::NodeDenied => format!("Systems Manager refused to run step {path} on {place}: AccessDenied{also}"),
        Kind::ScriptTimedOut => {
            format!(
                "the script of step {path} had not ended on {place} when the step's timeout was over, and was cancelled{also}{}",
                quote(node)
            )
        }
        Kind::CommandCancelled => {
            format!("the command of step {path} was cancelled on {place}, and not by this run{also}")
        }
        Kind::InvalidOutput => {
            format!(
                "what the script of step {path} printed on {place} is not JSON, and the step says output: Json{}",
                quote(node)
            )
        }
        _ if cause.is_empty() => format!("step {path} failed on {place}: {status}{also}{}", quote(node)),
        _ => cause.to_owned(),
    }
}

fn hint(kind: &Kind, step: Option<&Step>, node: Option<&NodeStatus>, cause: &str) -> String {
    let path = step.map_or("the step", |step| step.status.path.as_str());
    let place = node.map_or_else(|| "the node".to_owned(), label);
    let again = "then create a WorkflowRun with a new name: a run is never repeated under its own";
    match kind {
        Kind::NotAuthorized { action, resource } => not_authorized_hint(action, resource.as_deref(), cause),
        Kind::RoleNotAssumable => "the workflow's execution role is gone or its trust policy was changed outside Windlass; Windlass mends it when it next compares the workflow with AWS, at the latest after the drift interval (10 minutes unless the chart's driftInterval says otherwise); create a new WorkflowRun then".to_owned(),
        Kind::Throttled => format!("the account sends more calls than Systems Manager takes: run fewer workflows at once, have the quota raised, or give step {path} a retry for this error; {again}"),
        Kind::UnknownInstance => format!("a node id under targets.nodeIds is not a managed node of this account and Region: it was terminated, or its SSM Agent never registered; correct the ids or the node, {again}"),
        Kind::Document => format!("the workflow's Systems Manager document or the arguments of step {path} were refused: if the document was changed or deleted outside Windlass, wait until the WindowsWorkflow is Ready again; else correct the step's parameters, {again}"),
        Kind::RunTimedOut => "raise spec.timeout of the WindowsWorkflow or find what took so long (status.steps has the times); commands that still ran on nodes were cancelled; then create a new WorkflowRun".to_owned(),
        Kind::Expression => format!("correct the expression in step {path} of the WindowsWorkflow: it was evaluated with this run's parameters and earlier results and gave an error; {again}"),
        Kind::Refused => format!("the service that step {path} calls refused what it was asked: correct the step's arguments, or what they name in AWS; {again}"),
        Kind::Trouble => format!("the service that step {path} calls was too busy or had a fault of its own: give the step a retry for this error where doing it twice does no harm; {again}"),
        Kind::StepTimedOut => format!("find what step {path} waited for, or raise its timeout or that of the call around it; {again}"),
        Kind::TooMuchData => format!("Step Functions carries 256 KiB from state to state: let the scripts print less, or set output: None where later steps do not need it; {again}"),
        Kind::TooManyEvents => "one execution may have 25,000 history events: use fewer steps, fewer retries or shorter timeouts, or split the workflow; then create a new WorkflowRun".to_owned(),
        Kind::Runtime => "AWS could not go on with the definition that Windlass made: please report this as a defect of Windlass, with the execution's ARN from status.executionArn".to_owned(),
        Kind::ExitCode => format!("correct the script of step {path} or what it found on {place}, {again}{}", whole_output(step, node)),
        Kind::NodeUnreachable => unreachable_hint(node, &place, again),
        Kind::NoTargets => format!("no managed node carries all the tags that step {path} targets together with those of the account's grant: check the tags of the nodes, that their SSM Agents are registered, and spec.targets; {again}"),
        Kind::ScriptTimedOut => format!("find what the script of step {path} waits for on {place}, or raise the step's timeout; {again}{}", whole_output(step, node)),
        Kind::CommandCancelled => format!("somebody cancelled the command in Systems Manager: CloudTrail shows who called CancelCommand; {again}"),
        Kind::NodeDenied => format!("check that the instance profile or hybrid role of {place} allows Systems Manager (AmazonSSMManagedInstanceCore) and that the node carries the tags that the account's grant asks for; {again}"),
        Kind::InvalidOutput => format!("let the script of step {path} print one JSON value and nothing else (ConvertTo-Json; no Write-Host), or set output: Text; {again}{}", whole_output(step, node)),
        Kind::Service => format!("Systems Manager itself failed; nothing in the manifest is wrong. Look at the AWS Health dashboard, {again}; a retry for this error on step {path} would carry the workflow over it"),
        Kind::Raised => format!("step {path} of the workflow ended the run on purpose, and its cause says why: see to that, {again}"),
    }
}

fn unreachable_hint(node: Option<&NodeStatus>, place: &str, again: &str) -> String {
    match node.map(|node| node.status.as_str()) {
        Some("InvalidPlatform") => {
            format!("{place} is not Windows: narrow spec.targets with a tag that only Windows nodes carry; {again}")
        }
        Some("Terminated") => format!(
            "Systems Manager gave up on {place} because too many other nodes had failed before: look at those first, {again}"
        ),
        _ => format!(
            "check that {place} is running, that its service AmazonSSMAgent is up, and that it reaches the Systems Manager endpoints (ssm, ssmmessages, ec2messages); Fleet Manager shows when it was last heard of; {again}"
        ),
    }
}

fn not_authorized_hint(action: &str, resource: Option<&str>, cause: &str) -> String {
    let on = resource.map_or_else(String::new, |resource| format!(" on {resource}"));
    let what = if cause.contains("permissions boundary") {
        "the account's permissions boundary does not allow it: have the platform team add it there"
    } else if cause.contains("service control policy") || cause.contains("resource control policy") {
        "a policy of the AWS organization forbids it: ask who runs the organization"
    } else if cause.contains("explicit deny") {
        "a policy denies it explicitly: find the Deny statement in the role's policies or in those of the resource"
    } else if cause.contains("session policy") {
        "the session's policy does not allow it"
    } else {
        "no policy of the workflow's execution role allows it: if the role was changed outside Windlass it is mended when the workflow is next compared with AWS; else the node or document is outside of what the account's grants give this namespace"
    };
    format!("the execution role may not perform {action}{on}: {what}; then create a new WorkflowRun")
}

/// How to see everything that a script wrote on a node.
fn whole_output(step: Option<&Step>, node: Option<&NodeStatus>) -> String {
    let command = step.and_then(|step| step.status.command_id.as_deref());
    command.zip(node).map_or_else(String::new, |(command, node)| {
        let plugin = step.and_then(|step| step.plugin.as_ref());
        let plugin = plugin.map_or_else(String::new, |plugin| format!(" --plugin-name {plugin}"));
        let node = &node.id;
        format!(
            ". More of its output: aws ssm get-command-invocation --command-id {command} --instance-id {node}{plugin}"
        )
    })
}

/// The failure in one line, for the printer column: where, and the first line of what happened.
#[must_use]
pub fn headline(failure: &Failure) -> String {
    let cause = first_line(&failure.cause, 300);
    match &failure.step {
        Some(step) if !cause.contains(&format!("step {step}")) => format!("step {step}: {cause}"),
        _ => cause,
    }
}

#[cfg(test)]
#[path = "attribution_tests.rs"]
mod tests;
