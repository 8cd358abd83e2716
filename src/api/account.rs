//! AwsAccount: where and as whom, and what each namespace may cause there.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::owned::OwnedObject;
use super::schema;

/// An AWS account and Region, the identity to use there, and what each namespace may cause. Nothing that is not granted here can be reached from
/// a namespace.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "windlass.dev",
    version = "v1alpha1",
    kind = "AwsAccount",
    plural = "awsaccounts",
    shortname = "awsacct",
    category = "windlass",
    status = "AwsAccountStatus",
    derive = "PartialEq",
    doc = "An AWS account and Region, the identity to use there, and what each namespace may cause. Nothing that is not granted here can be reached from a namespace.",
    printcolumn(json_path = ".spec.accountId", name = "Account-Id", type_ = "string"),
    printcolumn(json_path = ".spec.region", name = "Region", type_ = "string"),
    printcolumn(json_path = ".status.conditions[?(@.type==\"Ready\")].status", name = "Ready", type_ = "string"),
    printcolumn(json_path = ".status.conditions[?(@.type==\"Ready\")].reason", name = "Reason", type_ = "string"),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date"),
    printcolumn(
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        name = "Message",
        type_ = "string",
        priority = 1
    )
)]
#[kube(cel)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.accountId == oldSelf.accountId && self.region == oldSelf.region")
        .message("accountId and region cannot change: what is in the old place would be left behind; make a new AwsAccount"),
    validation = Rule::new("self.permissionsBoundaryArn.contains(':' + self.accountId + ':') || self.permissionsBoundaryArn.contains(':aws:policy/')")
        .message("permissionsBoundaryArn must be a policy of this account or one of AWS's own"),
)]
pub struct AwsAccountSpec {
    /// The account, 12 digits. Windlass does nothing until `sts:GetCallerIdentity` answers this account. Cannot change.
    #[schemars(regex(pattern = "^[0-9]{12}$"), length(max = 12))]
    pub account_id: String,
    /// The Region, as in `eu-west-1`. Cannot change.
    #[schemars(regex(pattern = "^[a-z]{2}(-[a-z]+)+-[0-9]$"), length(max = 32))]
    pub region: String,
    /// URL that every AWS service is called at, in place of AWS's own: for tests and interface VPC endpoints behind one name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^https?://[^ /?#]+/?$"), length(max = 512))]
    pub endpoint: Option<String>,
    /// The role to assume. Left out: the controller's own (ambient) identity is used as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assume_role: Option<AssumeRole>,
    /// The permissions boundary that is put on every role made here.
    #[schemars(
        regex(pattern = "^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/[A-Za-z0-9+=,.@_/-]+$"),
        length(max = 2048)
    )]
    pub permissions_boundary_arn: String,
    /// The inbox: a queue through which AWS tells Windlass what becomes of executions, and through which steps ask people. Left out: it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbox: Option<Inbox>,
    /// What namespaces may cause in this account; nothing by default. 256 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub grants: Vec<Grant>,
    /// The account's API quotas where they differ from AWS's published defaults for the Region. Windlass keeps within them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["operation".into()]))]
    pub quotas: Vec<Quota>,
    /// Tags for every object made in this account, beside Windlass's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "account_tags")]
    pub tags: BTreeMap<String, String>,
}

fn account_tags(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    // 50 tags are AWS's limit for a role; four are ours. Keys that begin with aws: are AWS's own.
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 40,
        "additionalProperties": { "type": "string", "maxLength": 256 },
        "x-kubernetes-validations": [{
            "rule": "self.all(key, size(key) <= 128 && !key.startsWith('aws:') && !key.startsWith('windlass.dev/'))",
            "message": "tag keys have 128 characters at most and do not begin with aws: or windlass.dev/"
        }]
    })
}

/// A role to assume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AssumeRole {
    /// The role.
    #[schemars(regex(pattern = "^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$"), length(max = 2048))]
    pub role_arn: String,
    /// External id that the role's trust policy asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 1224))]
    pub external_id: Option<String>,
}

/// The inbox of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Inbox {
    /// `Managed`: Windlass keeps one SQS queue and one EventBridge rule in the account. `Disabled`: neither; runs are followed by polling, and no step can wait for people.
    pub mode: InboxMode,
}

/// Whether an account has an inbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum InboxMode {
    /// Windlass makes the queue and the rule and keeps them.
    #[default]
    Managed,
    /// There is none.
    Disabled,
}

impl AwsAccountSpec {
    /// Whether the account has an inbox.
    #[must_use]
    pub fn has_inbox(&self) -> bool {
        self.inbox.as_ref().is_none_or(|inbox| inbox.mode == InboxMode::Managed)
    }
}

/// Name of a grant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct GrantName(#[schemars(regex(pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"), length(max = 63))] pub String);

/// What some namespaces may cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!(has(self.anyNode) && self.anyNode && has(self.nodeTags))", "nodeTags and anyNode: true exclude each other: leave out one of the two"))]
pub struct Grant {
    /// Name, for messages.
    pub name: GrantName,
    /// The namespaces, by name; 64 at most.
    #[schemars(length(min = 1, max = 64), inner(length(max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub namespaces: Vec<String>,
    /// The nodes that they may reach: those that carry every one of these tag keys with one of the values given for it. And-ed into every target and
    /// into the roles' conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::node_tags")]
    pub node_tags: Option<BTreeMap<String, Vec<String>>>,
    /// They may reach every managed node of the account, domain controllers included. Must be said out loud.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_node: bool,
    /// The SNS topics that `notify` steps may publish to: ARNs, in which `*` stands for any characters of a topic's name. 64 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(regex(pattern = r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_*-]{1,256}$"), length(max = 512))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub topic_arns: Vec<String>,
}

/// A token bucket of AWS's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// Service prefix and operation, as in `states:DescribeExecution`.
    #[schemars(regex(pattern = "^(states|ssm|iam|sts|sqs|events):[A-Z][A-Za-z]+$"), length(max = 128))]
    pub operation: String,
    /// Size of the bucket, in calls.
    #[schemars(range(min = 1, max = 100_000))]
    pub bucket: i32,
    /// Calls that come back per second.
    #[schemars(range(min = 1, max = 100_000))]
    pub refill_per_second: i32,
}

/// What Windlass found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsAccountStatus {
    /// The generation that the rest of this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Reconciling, Stalled; and `InboxReady`: whether status events arrive, and what is done without them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Who AWS says that Windlass is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller_arn: Option<String>,
    /// What exists in AWS on behalf of this account: the inbox's queue and rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owned_objects: Vec<OwnedObject>,
}
