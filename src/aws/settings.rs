//! What a session in an account needs to know.

use std::collections::BTreeMap;

/// A token bucket of AWS's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bucket {
    /// Size, in calls.
    pub bucket: u32,
    /// Calls that come back per second.
    pub refill_per_second: u32,
}

/// A role to assume.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AssumeRoleSettings {
    /// The role.
    pub role_arn: String,
    /// External id that the role's trust policy asks for.
    pub external_id: Option<String>,
}

/// Where and as whom. Two equal settings share a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccountSettings {
    /// Name of the account, for metrics.
    pub name: String,
    /// The account, 12 digits.
    pub account_id: String,
    /// The Region.
    pub region: String,
    /// URL that every service is called at, in place of AWS's own.
    pub endpoint: Option<String>,
    /// The role to assume; none: the ambient identity.
    pub assume_role: Option<AssumeRoleSettings>,
    /// Buckets that differ from AWS's published ones, by `states:DescribeExecution`.
    pub quotas: BTreeMap<String, Bucket>,
}
