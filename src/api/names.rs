//! Names of AWS objects, and the tags that prove whose they are.
//!
//! Names derive from cluster id, namespace and name alone, so that a cluster that is rebuilt from Git finds its objects again. The
//! three parts are joined with `_`, which none of them can contain: two different objects never share a name. A name that would be too
//! long for its service, or that has a character the service refuses, is cut and ends in a hash of the parts.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// Longest role name (IAM quotas).
pub const ROLE_NAME_LIMIT: usize = 64;
/// Longest state machine or execution name (Step Functions quotas).
pub const STATES_NAME_LIMIT: usize = 80;
/// Longest queue name (`CreateQueue`, `QueueName`).
pub const QUEUE_NAME_LIMIT: usize = 80;
/// Longest name of an EventBridge rule (`PutRule`, `Name`).
pub const RULE_NAME_LIMIT: usize = 64;
/// Longest document name (`CreateDocument`, pattern of Name).
pub const DOCUMENT_NAME_LIMIT: usize = 128;

const HASH_LENGTH: usize = 10;

/// The name of this cluster in AWS: part of every name and tag there. Set once, explicitly, and kept when the cluster is rebuilt.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClusterId(String);

/// A text that is not a cluster id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "\"{0}\" is not a cluster id: use 1 to 20 lower-case letters, digits and dashes, beginning with a letter and ending with a letter or digit"
)]
pub struct NotAClusterId(String);

impl FromStr for ClusterId {
    type Err = NotAClusterId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good = (1..=20).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-');
        if good { Ok(Self(text.to_owned())) } else { Err(NotAClusterId(text.to_owned())) }
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ClusterId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A Kubernetes object, as far as AWS names and tags need it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// Kind, as in `WindowsWorkflow`.
    pub kind: String,
    /// Namespace; empty for a cluster-scoped kind.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Owner {
    /// The tags that prove that an AWS object belongs to this one.
    #[must_use]
    pub fn tags(&self) -> BTreeMap<String, String> {
        [
            ("windlass.dev/cluster", self.cluster_id.as_str()),
            ("windlass.dev/namespace", &self.namespace),
            ("windlass.dev/kind", &self.kind),
            ("windlass.dev/name", &self.name),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
    }

    /// `windlass_<cluster>_<namespace>_<name>`, within `limit` characters.
    #[must_use]
    pub fn aws_name(&self, limit: usize) -> String {
        let whole = format!("windlass_{}_{}_{}", self.cluster_id, self.namespace, self.name);
        fit(whole, limit, &[&self.kind, self.cluster_id.as_str(), &self.namespace, &self.name])
    }

    /// The path of roles made for this cluster: `/windlass/<cluster>/`.
    #[must_use]
    pub fn role_path(&self) -> String {
        format!("/windlass/{}/", self.cluster_id)
    }
}

/// Name of the execution of a run: the same for the same run, whenever and by whomever it is made.
#[must_use]
pub fn execution_name(cluster_id: &ClusterId, namespace: &str, run: &str) -> String {
    fit(
        format!("{cluster_id}_{namespace}_{run}"),
        STATES_NAME_LIMIT,
        &["WorkflowRun", cluster_id.as_str(), namespace, run],
    )
}

/// Namespace and name of the run that an execution belongs to; none when the name is another's or was cut.
#[must_use]
pub fn parse_execution_name<'n>(cluster_id: &ClusterId, execution: &'n str) -> Option<(&'n str, &'n str)> {
    let rest = execution.strip_prefix(cluster_id.as_str())?.strip_prefix('_')?;
    rest.split_once('_').filter(|(namespace, run)| !namespace.is_empty() && !run.is_empty() && !run.contains('_'))
}

/// Whether a state machine's name is one of this cluster's.
#[must_use]
pub fn is_machine_of(cluster_id: &ClusterId, machine: &str) -> bool {
    // No cluster id has an underscore, so that `prod` is not taken for `prod-eu`.
    machine
        .strip_prefix("windlass_")
        .and_then(|rest| rest.strip_prefix(cluster_id.as_str()))
        .is_some_and(|rest| rest.starts_with('_'))
}

/// Cuts a name to a limit. A cut name has one `_` more than an uncut one, so that the two never meet.
fn fit(name: String, limit: usize, parts: &[&str]) -> String {
    if name.len() <= limit && !name.contains('.') {
        return name;
    }
    let mut hash = Sha256::new();
    for part in parts {
        // The length before each part keeps ("a", "bc") and ("ab", "c") apart.
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let keep = limit.saturating_sub(HASH_LENGTH + 1);
    let readable: String = name.chars().map(|c| if c == '.' { '-' } else { c }).take(keep).collect();
    let short: String = hex.chars().take(HASH_LENGTH).collect();
    format!("{readable}_{short}")
}

/// The partition of a Region: `aws`, `aws-cn` or `aws-us-gov`.
#[must_use]
pub fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(namespace: &str, name: &str) -> Owner {
        Owner {
            cluster_id: "prod".parse().unwrap(),
            kind: "WindowsWorkflow".into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    #[test]
    fn short_names_are_readable() {
        assert_eq!(owner("ops", "disk-report").aws_name(ROLE_NAME_LIMIT), "windlass_prod_ops_disk-report");
    }

    #[test]
    fn names_that_could_meet_do_not() {
        assert_ne!(owner("a-b", "c").aws_name(64), owner("a", "b-c").aws_name(64));
        let long = "x".repeat(100);
        let (one, two) = (owner("a", &format!("{long}1")).aws_name(64), owner("a", &format!("{long}2")).aws_name(64));
        assert_ne!(one, two);
        assert!(one.len() == 64 && two.len() == 64);
        assert_ne!(owner("a", "b.c").aws_name(64), owner("a", "b-c").aws_name(64));
    }

    #[test]
    fn a_cluster_scoped_object_meets_no_namespaced_one() {
        let account = Owner { kind: "AwsAccount".into(), ..owner("", "prod") };
        assert_eq!(account.aws_name(QUEUE_NAME_LIMIT), "windlass_prod__prod");
    }

    #[test]
    fn the_hash_of_a_cut_name_never_changes() {
        // Whoever changes this leaves every object with a long name behind in AWS.
        assert_eq!(owner("a", &"x".repeat(100)).aws_name(40), "windlass_prod_a_xxxxxxxxxxxxx_5538f980ce");
    }

    #[test]
    fn cluster_ids() {
        for good in ["a", "prod", "prod-eu-1", "abcdefghijklmnopqrst"] {
            assert!(good.parse::<ClusterId>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "1a", "Prod", "a_b", "abcdefghijklmnopqrstu"] {
            assert!(bad.parse::<ClusterId>().is_err(), "{bad}");
        }
    }
}
