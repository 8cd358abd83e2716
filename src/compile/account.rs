//! `AwsAccount` → the inbox: a queue, and the rule that brings status events of executions to it.
//!
//! The queue's own policy says who may do what with it: EventBridge brings this rule's events, execution roles of this cluster send what steps have to say (each only
//! if its own policy allows it), and the controller alone receives. Whoever could receive could answer for people: messages carry task tokens.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::AwsAccountSpec;
use crate::api::names::{Owner, QUEUE_NAME_LIMIT, RULE_NAME_LIMIT};

use super::blueprint::{Blueprint, Body, Object, Queue, Rule, RuleTarget};
use super::place::Place;

/// How long messages are kept: 14 days, the longest that SQS offers (`SetQueueAttributes`). A controller that was away that long loses no token that could still be answered.
const RETENTION_SECONDS: u32 = 1_209_600;
/// How long a message is hidden that was received and not deleted: longer than it takes to act upon ten of them, short enough that a controller that was killed costs no
/// run much.
const VISIBILITY_SECONDS: u32 = 30;
/// How long a receive waits for messages: the longest that SQS offers, so that an empty queue costs three calls a minute.
const WAIT_SECONDS: u32 = 20;
/// What stands for the controller's own identity where it is not known, in `windlass render`.
const CONTROLLER: &str = "${controller.arn}";
/// Name of the rule's one target.
const TARGET: &str = "inbox";

/// Values of an event that are sent on, by name. Nothing else is: input and output of an execution may hold what is nobody's business, and are up to 248 KiB.
const VALUES: [(&str, &str); 8] = [
    ("id", "$.id"),
    ("type", "$.detail-type"),
    ("time", "$.time"),
    ("execution", "$.detail.executionArn"),
    ("machine", "$.detail.stateMachineArn"),
    ("name", "$.detail.name"),
    ("status", "$.detail.status"),
    ("started", "$.detail.startDate"),
];

/// Compiles an account: its inbox, or nothing when it has none. `receivers`: who the controller is there, see [`receivers`].
#[must_use]
pub fn account(owner: &Owner, spec: &AwsAccountSpec, receivers: &[String]) -> Blueprint {
    if !spec.has_inbox() {
        return Blueprint::default();
    }
    let place = Place::of(spec);
    let rule_name = owner.aws_name(RULE_NAME_LIMIT);
    let queue = queue(owner, &place, &place.rule_arn(&rule_name), receivers);
    let rule = rule(owner, &place, rule_name, &queue.arn);
    let mut tags = spec.tags.clone();
    tags.extend(owner.tags());
    let objects =
        [Body::Queue(queue), Body::Rule(rule)].map(|body| Object { tags: tags.clone(), body }).into_iter().collect();
    Blueprint { objects }
}

/// ARNs, or patterns of them, that the controller's identity has in the account as policies see it (`aws:PrincipalArn`).
///
/// `caller`: what `GetCallerIdentity` answered. That leaves out the path of an assumed role, which the role that the account names does not.
#[must_use]
pub fn receivers(spec: &AwsAccountSpec, caller: Option<&str>) -> Vec<String> {
    if let Some(role) = &spec.assume_role {
        return vec![role.role_arn.clone()];
    }
    let Some(caller) = caller else { return vec![CONTROLLER.to_owned()] };
    // arn:PARTITION:sts::ACCOUNT:assumed-role/ROLE/SESSION
    let parts: Vec<&str> = caller.split([':', '/']).collect();
    match parts.as_slice() {
        ["arn", partition, "sts", _, account, "assumed-role", role, _] => {
            let arn = |path: &str| format!("arn:{partition}:iam::{account}:role/{path}{role}");
            vec![arn(""), arn("*/")]
        }
        _ => vec![caller.to_owned()],
    }
}

fn queue(owner: &Owner, place: &Place<'_>, rule_arn: &str, receivers: &[String]) -> Queue {
    let name = owner.aws_name(QUEUE_NAME_LIMIT);
    let arn = place.queue_arn(&name);
    let senders = place.role_arn(&owner.role_path(), "*");
    Queue {
        policy: queue_policy(&arn, rule_arn, &senders, receivers),
        name,
        arn,
        retention_seconds: RETENTION_SECONDS,
        visibility_seconds: VISIBILITY_SECONDS,
        wait_seconds: WAIT_SECONDS,
    }
}

fn queue_policy(queue: &str, rule: &str, senders: &str, receivers: &[String]) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "StatusEvents",
                "Effect": "Allow",
                "Principal": { "Service": "events.amazonaws.com" },
                "Action": "sqs:SendMessage",
                "Resource": queue,
                "Condition": { "ArnEquals": { "aws:SourceArn": rule } },
            },
            {
                "Sid": "NobodyElseSends",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "sqs:SendMessage",
                "Resource": queue,
                "Condition": {
                    "ArnNotLike": { "aws:PrincipalArn": senders },
                    "Bool": { "aws:PrincipalIsAWSService": "false" },
                },
            },
            {
                "Sid": "NobodyElseReceives",
                "Effect": "Deny",
                "Principal": "*",
                "Action": ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"],
                "Resource": queue,
                "Condition": { "ArnNotLike": { "aws:PrincipalArn": receivers } },
            },
        ],
    })
}

fn rule(owner: &Owner, place: &Place<'_>, name: String, queue_arn: &str) -> Rule {
    let machines = place.state_machine_arn(&format!("windlass_{}_", owner.cluster_id));
    let values = VALUES.map(|(name, _)| format!("\"{name}\": <{name}>")).join(", ");
    Rule {
        arn: place.rule_arn(&name),
        name,
        description: format!(
            "Status of executions for Windlass, AwsAccount {} of cluster {}",
            owner.name, owner.cluster_id
        ),
        pattern: json!({
            "source": ["aws.states"],
            "detail-type": ["Step Functions Execution Status Change"],
            "detail": {
                "stateMachineArn": [{ "prefix": machines }],
                // Children of a Distributed Map have a slash there: their parent's status says what became of them.
                "executionArn": [{ "anything-but": { "wildcard": "*/*" } }],
            },
        }),
        target: RuleTarget {
            id: TARGET.to_owned(),
            arn: queue_arn.to_owned(),
            paths: VALUES
                .map(|(name, path)| (name.to_owned(), path.to_owned()))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
            template: format!("{{{values}}}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(more: &Value) -> AwsAccountSpec {
        let mut spec = json!({
            "accountId": "111122223333", "region": "eu-west-1",
            "permissionsBoundaryArn": "arn:aws:iam::111122223333:policy/org-boundary",
        });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(spec).unwrap()
    }

    fn owner(name: &str) -> Owner {
        Owner {
            cluster_id: "prod".parse().unwrap(),
            kind: "AwsAccount".into(),
            namespace: String::new(),
            name: name.into(),
        }
    }

    #[test]
    fn an_account_without_an_inbox_owns_nothing() {
        let disabled = spec(&json!({ "inbox": { "mode": "Disabled" } }));
        assert_eq!(account(&owner("main"), &disabled, &[]), Blueprint::default());
        for present in [json!({}), json!({ "inbox": { "mode": "Managed" } })] {
            assert_eq!(account(&owner("main"), &spec(&present), &[]).objects.len(), 2);
        }
    }

    #[test]
    fn the_controller_is_known_by_its_role() {
        let role = "arn:aws:iam::111122223333:role/platform/windlass-controller";
        let assumed = spec(&json!({ "assumeRole": { "roleArn": role } }));
        assert_eq!(receivers(&assumed, Some("arn:aws:sts::111122223333:assumed-role/windlass-controller/s")), [role]);
        let ambient = spec(&json!({}));
        for (caller, expected) in [
            (
                Some("arn:aws-cn:sts::1:assumed-role/windlass/i-0"),
                vec!["arn:aws-cn:iam::1:role/windlass", "arn:aws-cn:iam::1:role/*/windlass"],
            ),
            (Some("arn:aws:iam::1:user/ops/ada"), vec!["arn:aws:iam::1:user/ops/ada"]),
            (None, vec!["${controller.arn}"]),
        ] {
            assert_eq!(receivers(&ambient, caller), expected, "{caller:?}");
        }
    }

    #[test]
    fn long_names_keep_to_each_services_limit() {
        let objects = account(&owner(&"x".repeat(253)), &spec(&json!({})), &[]).objects;
        let lengths: Vec<usize> = objects.iter().map(|object| object.name().len()).collect();
        assert_eq!(lengths, [80, 64]);
    }

    #[test]
    fn the_template_is_json_once_filled() {
        let objects = account(&owner("main"), &spec(&json!({})), &[]).objects;
        let Some(Body::Rule(rule)) = objects.last().map(|object| &object.body) else { panic!("a rule") };
        let filled = rule.target.paths.keys().fold(rule.target.template.clone(), |text, name| {
            assert!(text.contains(&format!("<{name}>")), "{name}");
            text.replace(&format!("<{name}>"), "1")
        });
        assert_eq!(serde_json::from_str::<Value>(&filled).unwrap().as_object().unwrap().len(), VALUES.len());
    }
}
