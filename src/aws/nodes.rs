//! Managed nodes: which there are under some tags or ids, and whether Systems Manager reaches them.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ssm::types::{InstanceInformation, InstanceInformationStringFilter, PingStatus, PlatformType};
use jiff::Timestamp;

use super::error::AwsError;
use super::session::Session;

const SERVICE: &str = "ssm";
const OPERATION: &str = "DescribeInstanceInformation";
/// Nodes per page: the most that `DescribeInstanceInformation` gives.
const PAGE: i32 = 50;
/// Values of one filter: the most that it takes (`InstanceInformationStringFilter`, Values).
const FILTER_VALUES: usize = 100;

/// A managed node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Id: `i-…` or `mi-…`.
    pub id: String,
    /// Computer name, where the agent told it.
    pub computer_name: Option<String>,
    /// Systems Manager's word for whether it reaches the node: `Online`, `ConnectionLost`, `Inactive`.
    pub ping: String,
    /// When the agent was last heard of.
    pub last_seen: Option<Timestamp>,
    /// Whether it is a Windows node.
    pub windows: bool,
}

impl Node {
    /// Whether Systems Manager can hand it a command now.
    #[must_use]
    pub fn online(&self) -> bool {
        self.ping == PingStatus::Online.as_str()
    }
}

/// The managed nodes that carry every key of `tags` with one of its values and, where `ids` are given, are among those; by id.
///
/// Tags without ids or with them cost a call for each 50 nodes that carry the tags, ids without tags one for each 100 ids: the operation does not combine
/// filters on tags with others (`DescribeInstanceInformation`, Filters).
///
/// # Errors
/// [`AwsError`].
pub async fn list(
    session: &Session,
    tags: &BTreeMap<String, Vec<String>>,
    ids: Option<&BTreeSet<String>>,
) -> Result<Vec<Node>, AwsError> {
    let mut found = BTreeMap::new();
    let mut keep = |node: Node| {
        if ids.is_none_or(|ids| ids.contains(&node.id)) {
            found.insert(node.id.clone(), node);
        }
    };
    if let Some(ids) = ids.filter(|_| tags.is_empty()) {
        let ids: Vec<&String> = ids.iter().collect();
        for some in ids.chunks(FILTER_VALUES) {
            let values = some.iter().map(|id| (*id).clone()).collect();
            pages(session, &[filter("InstanceIds", values)?], &mut keep).await?;
        }
    } else {
        let filters: Result<Vec<_>, AwsError> =
            tags.iter().map(|(key, values)| filter(&format!("tag:{key}"), values.clone())).collect();
        pages(session, &filters?, &mut keep).await?;
    }
    Ok(found.into_values().collect())
}

fn filter(key: &str, values: Vec<String>) -> Result<InstanceInformationStringFilter, AwsError> {
    InstanceInformationStringFilter::builder()
        .key(key)
        .set_values(Some(values))
        .build()
        .map_err(|error| AwsError::unbuildable(SERVICE, OPERATION, key, &error))
}

async fn pages(
    session: &Session,
    filters: &[InstanceInformationStringFilter],
    keep: &mut impl FnMut(Node),
) -> Result<(), AwsError> {
    let mut next = None;
    loop {
        let token = next.take();
        let request = || {
            let call = session.ssm.describe_instance_information().max_results(PAGE);
            call.set_filters(Some(filters.to_vec())).set_next_token(token).send()
        };
        let page = session.call(SERVICE, OPERATION, None, request).await?;
        page.instance_information_list.unwrap_or_default().into_iter().filter_map(node).for_each(&mut *keep);
        match page.next_token.filter(|token| !token.is_empty()) {
            Some(token) => next = Some(token),
            None => return Ok(()),
        }
    }
}

fn node(raw: InstanceInformation) -> Option<Node> {
    Some(Node {
        id: raw.instance_id?,
        computer_name: raw.computer_name.filter(|name| !name.is_empty()),
        ping: raw.ping_status.map_or_else(|| "Inactive".to_owned(), |status| status.as_str().to_owned()),
        last_seen: raw.last_ping_date_time.and_then(|at| Timestamp::from_second(at.secs()).ok()),
        windows: raw.platform_type == Some(PlatformType::Windows),
    })
}
