//! `notify`: one SNS message.

use serde_json::{Map, Value, json};

use crate::api::duration::Span;
use crate::api::steps::Notify;

use super::super::asl::{expression, text};
use super::super::expressions::{self, Entry};
use super::super::flow::{Exits, Flow};
use super::super::grants::{self, Asked};
use super::super::iam::Statement;
use super::super::names;
use super::super::rights;
use super::super::tree::{Action, Context, Reader, Step};
use super::service::{self, Call};

pub(in super::super) use service::EVENTS;

/// Most characters of a subject (SNS API reference, Publish: less than 100).
const SUBJECT: usize = 99;

/// A `notify` step, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    topic_arn: String,
    /// Text or expression, as a state's field has it.
    subject: Option<String>,
    message: String,
    timeout: Option<u64>,
}

pub(in super::super) fn read<'a>(
    reader: &mut Reader<'a>,
    context: &Context<'_, 'a>,
    step: &Notify,
) -> (Option<Action<'a>>, Entry) {
    reader.refuse_targets(context, "notify");
    topic(reader, context, &step.topic_arn);
    let subject = step.subject.as_deref().map(|subject| {
        // What SNS takes for one: a line of less than 100 characters.
        let line = |code: &str| {
            format!("$substring($trim($replace($string({code}), /[\\s\\x00-\\x1f]+/, \" \")), 0, {SUBJECT})")
        };
        part(reader, context, "subject", subject, &line)
    });
    if let Some(subject) = step.subject.as_deref().filter(|subject| expressions::code(subject).is_none())
        && (subject.chars().count() > SUBJECT || subject.chars().any(char::is_control))
    {
        reader.problem(
            format!("{}.notify.subject", context.at),
            format!("SNS takes a subject of one line and {SUBJECT} characters at most: put the rest into message"),
        );
    }
    let whole = |code: &str| format!("( $m := ({code}); $type($m) = \"string\" ? $m : $string($m) )");
    let message = part(reader, context, "message", &step.message, &whole);
    let fields = vec!["messageId", "error", "cause", "skipped"];
    let plan = match (subject, message) {
        (Some(None), _) | (_, None) => None,
        (subject, Some(message)) => Some(Action::Notify(Plan {
            topic_arn: step.topic_arn.clone(),
            subject: subject.flatten(),
            message,
            timeout: context.view.timeout.map(Span::as_secs),
        })),
    };
    (plan, Entry { fields, ..Entry::default() })
}

/// A text or expression; `shape` makes of the expression what SNS takes.
fn part(
    reader: &mut Reader<'_>,
    context: &Context<'_, '_>,
    field: &str,
    given: &str,
    shape: &dyn Fn(&str) -> String,
) -> Option<String> {
    match expressions::code(given) {
        Some(code) => {
            let compiled = expressions::compile(code, context.scope);
            let code = reader.sound(&format!("{}.notify.{field}", context.at), compiled)?;
            Some(expression(&shape(&code)))
        }
        None => Some(text(given)),
    }
}

/// Holds a topic against the grants and the account's Region.
fn topic(reader: &mut Reader<'_>, context: &Context<'_, '_>, arn: &str) {
    let path = format!("{}.notify.topicArn", context.at);
    reader.granted(|account, namespace, place| {
        let region = arn.split(':').nth(3).unwrap_or_default();
        if region != place.region() {
            return Err(super::super::Problem::new(
                &path,
                format!(
                    "this topic is in Region {region}, and AwsAccount {} is in {}: Step Functions publishes in its own Region alone; use a topic there",
                    account.name,
                    place.region()
                ),
            ));
        }
        let asked = Asked { what: &format!("publish to {arn}"), field: "topicArns", value: "it" };
        grants::allowed(account, namespace, &path, &asked, |grant| {
            grant.topic_arns.iter().any(|pattern| grants::matches(pattern, arn))
        })
    });
}

/// Lays out the states.
pub(in super::super) fn lay_out(flow: &mut Flow, step: &Step<'_>, plan: &Plan, exits: &Exits<'_>) {
    let mut arguments =
        Map::from_iter([("TopicArn".to_owned(), json!(plan.topic_arn)), ("Message".to_owned(), json!(plan.message))]);
    if let Some(subject) = &plan.subject {
        arguments.insert("Subject".into(), json!(subject));
    }
    let call = Call {
        part: "publish",
        resource: flow.integration("sns:publish"),
        arguments: Value::Object(arguments),
        kept: "{\"messageId\": $states.result.MessageId}".to_owned(),
        timeout: plan.timeout,
        next: names::state(&step.path, "done"),
    };
    service::lay_out(flow, step, call, exits);
    let message_id = json!("{% $work.messageId %}");
    let reported = [("output", json!({ "messageId": message_id }))];
    flow.done(step, json!({ "skipped": false, "messageId": message_id }), &reported, exits.next);
}

/// What the execution role must be allowed.
pub(in super::super) fn needs(plan: &Plan) -> Vec<Statement> {
    vec![rights::allow("Publish", &["sns:Publish"], vec![plan.topic_arn.clone()])]
}
