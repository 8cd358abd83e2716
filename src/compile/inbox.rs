//! The address of an account's inbox, for steps that send a task token there and wait.

use serde_json::{Value, json};

use crate::api::names::{ClusterId, Owner, QUEUE_NAME_LIMIT};

use super::Account;
use super::asl::expression;
use super::iam::{Condition, Statement};
use super::place::Place;
use super::problem::Problem;

/// Kind of the resource that owns an inbox.
const KIND: &str = "AwsAccount";

/// Where a step sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbox {
    /// The queue's URL: what `sqs:sendMessage.waitForTaskToken` takes.
    pub queue_url: String,
    /// The queue's ARN: what the execution role needs.
    pub queue_arn: String,
}

impl Inbox {
    /// The inbox of an account.
    ///
    /// # Errors
    /// [`Problem`] at `path` when the account has none, so that nothing could wait there.
    pub fn of(cluster_id: &ClusterId, account: &Account<'_>, path: &str) -> Result<Self, Problem> {
        if !account.spec.has_inbox() {
            return Err(Problem::new(
                path,
                format!(
                    "this waits for an answer through the inbox of AwsAccount {}, which has none: ask the platform team to take spec.inbox.mode: Disabled out of it",
                    account.name
                ),
            ));
        }
        let owner = Owner {
            cluster_id: cluster_id.clone(),
            kind: KIND.to_owned(),
            namespace: String::new(),
            name: account.name.to_owned(),
        };
        let (place, name) = (Place::of(account.spec), owner.aws_name(QUEUE_NAME_LIMIT));
        Ok(Self { queue_url: place.queue_url(&name), queue_arn: place.queue_arn(&name) })
    }

    /// Arguments of a task `arn:aws:states:::sqs:sendMessage.waitForTaskToken` that asks for something and waits. `purpose` says what for, in letters and digits, and `step` is its
    /// path; `detail` is for whoever answers, and may hold expressions.
    #[must_use]
    pub fn ask(&self, purpose: &str, step: &str, detail: &Value) -> Value {
        json!({
            "QueueUrl": self.queue_url,
            "MessageBody": {
                "Purpose": purpose,
                "Step": step,
                "Run": expression("$run"),
                "Execution": expression("$states.context.Execution.Id"),
                "TaskToken": expression("$states.context.Task.Token"),
                "Detail": detail,
            },
        })
    }

    /// What an execution role needs to send there, and nowhere else.
    #[must_use]
    pub fn statement(&self) -> Statement {
        Statement {
            sid: "Inbox".into(),
            service: None,
            actions: vec!["sqs:SendMessage".to_owned()],
            resources: vec![self.queue_arn.clone()],
            condition: Condition::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Fleets, account};
    use super::*;
    use crate::api::AwsAccountSpec;

    fn spec(mode: &str) -> AwsAccountSpec {
        serde_json::from_value(json!({
            "accountId": "111122223333", "region": "eu-west-1", "inbox": { "mode": mode },
            "permissionsBoundaryArn": "arn:aws:iam::111122223333:policy/org-boundary",
        }))
        .unwrap()
    }

    #[test]
    fn steps_send_to_the_queue_that_the_account_owns() {
        let (cluster, spec): (ClusterId, _) = ("prod".parse().unwrap(), spec("Managed"));
        let inbox =
            Inbox::of(&cluster, &Account { name: "main", spec: &spec, fleets: &Fleets::default() }, "spec.steps[0]")
                .unwrap();
        let owner = Owner { cluster_id: cluster, kind: KIND.into(), namespace: String::new(), name: "main".into() };
        let queue = account(&owner, &spec, &[]).objects.into_iter().next().unwrap();
        assert_eq!(inbox.queue_arn, queue.arn());
        assert_eq!(inbox.queue_url, "https://sqs.eu-west-1.amazonaws.com/111122223333/windlass_prod__main");
        assert_eq!(inbox.statement().resources, [queue.arn()]);
        let asked = inbox.ask("Pause", "drain", &json!({}));
        assert_eq!(asked["QueueUrl"], inbox.queue_url);
        assert_eq!(asked["MessageBody"]["TaskToken"], "{% $states.context.Task.Token %}");
    }

    #[test]
    fn without_an_inbox_nothing_can_wait() {
        let (cluster, spec) = ("prod".parse().unwrap(), spec("Disabled"));
        let problem = Inbox::of(
            &cluster,
            &Account { name: "main", spec: &spec, fleets: &Fleets::default() },
            "spec.steps[0].approval",
        )
        .unwrap_err();
        assert_eq!(
            problem.to_string(),
            "spec.steps[0].approval: this waits for an answer through the inbox of AwsAccount main, which has none: ask the platform team to take spec.inbox.mode: Disabled out of it"
        );
    }
}
