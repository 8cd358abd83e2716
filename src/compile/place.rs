//! Where AWS objects are: account, Region, partition, and the ARNs that follow.

use crate::api::AwsAccountSpec;
use crate::api::names;

/// An account and Region.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The account's id.
    pub account_id: &'a str,
    region: &'a str,
}

impl<'a> Place<'a> {
    /// Where an `AwsAccount` is.
    #[must_use]
    pub fn of(account: &'a AwsAccountSpec) -> Self {
        Self { account_id: &account.account_id, region: &account.region }
    }

    /// Its Region.
    #[must_use]
    pub fn region(&self) -> &'a str {
        self.region
    }

    /// Partition: the second part of every ARN there.
    #[must_use]
    pub fn partition(&self) -> &'static str {
        names::partition(self.region)
    }

    fn arn(&self, service: &str, region: &str, resource: &str) -> String {
        format!("arn:{}:{service}:{region}:{}:{resource}", self.partition(), self.account_id)
    }

    /// ARN of a role; `path` has both slashes.
    #[must_use]
    pub fn role_arn(&self, path: &str, name: &str) -> String {
        self.arn("iam", "", &format!("role{path}{name}"))
    }

    /// ARN of a Systems Manager document of this account.
    #[must_use]
    pub fn document_arn(&self, name: &str) -> String {
        self.arn("ssm", self.region, &format!("document/{name}"))
    }

    /// ARN of a state machine.
    #[must_use]
    pub fn state_machine_arn(&self, name: &str) -> String {
        self.arn("states", self.region, &format!("stateMachine:{name}"))
    }

    /// ARN of an SQS queue.
    #[must_use]
    pub fn queue_arn(&self, name: &str) -> String {
        self.arn("sqs", self.region, name)
    }

    /// URL of an SQS queue, as AWS's own endpoint answers it.
    #[must_use]
    pub fn queue_url(&self, name: &str) -> String {
        let suffix = if self.partition() == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
        format!("https://sqs.{}.{suffix}/{}/{name}", self.region, self.account_id)
    }

    /// ARN of a rule on the default event bus.
    #[must_use]
    pub fn rule_arn(&self, name: &str) -> String {
        self.arn("events", self.region, &format!("rule/{name}"))
    }

    /// ARNs of the executions of a state machine, or, of `<state machine>/<label>`, of the children of a Map.
    #[must_use]
    pub fn execution_arn(&self, machine: &str) -> String {
        self.arn("states", self.region, &format!("execution:{machine}:*"))
    }

    /// ARNs of the runs of a Map, of `<state machine>/<label>`.
    #[must_use]
    pub fn map_run_arn(&self, map: &str) -> String {
        self.arn("states", self.region, &format!("mapRun:{map}:*"))
    }

    /// ARN of an EC2 instance.
    #[must_use]
    pub fn instance_arn(&self, id: &str) -> String {
        self.arn("ec2", self.region, &format!("instance/{id}"))
    }

    /// ARN of a hybrid managed node.
    #[must_use]
    pub fn managed_instance_arn(&self, id: &str) -> String {
        self.arn("ssm", self.region, &format!("managed-instance/{id}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_have_the_regions_partition() {
        let place = Place { account_id: "111122223333", region: "cn-north-1" };
        assert_eq!(place.role_arn("/windlass/prod/", "r"), "arn:aws-cn:iam::111122223333:role/windlass/prod/r");
        assert_eq!(place.document_arn("d"), "arn:aws-cn:ssm:cn-north-1:111122223333:document/d");
        assert_eq!(place.queue_url("q"), "https://sqs.cn-north-1.amazonaws.com.cn/111122223333/q");
        assert_eq!(place.rule_arn("r"), "arn:aws-cn:events:cn-north-1:111122223333:rule/r");
        assert_eq!(place.instance_arn("*"), "arn:aws-cn:ec2:cn-north-1:111122223333:instance/*");
    }
}
