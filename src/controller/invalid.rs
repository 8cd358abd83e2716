//! Objects that the API server accepted and that do not parse all the same: one of them gets a condition, the others go on.
//!
//! What such an object's status says of AWS is kept: it is what its deletion, or the mended manifest, goes by.

use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::core::Request;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tracing::warn;

use crate::api::conditions::{self, READY, RECONCILING, STALLED, Verdict};

use super::context::Context;
use super::{Error, status};

/// Says in the object's status, as `to_status` makes it of the status before, that it cannot be read. It is left alone until it changes.
///
/// # Errors
/// [`Error`] when the status cannot be read or written.
pub async fn report<K>(
    ctx: &Context,
    api: &Api<K>,
    kind: &'static str,
    object: &impl ResourceExt,
    broken: &InvalidObject,
    to_status: fn(Value, Option<i64>, Timestamp, &str) -> Value,
) -> Result<Action, Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let name = object.name_any();
    let Some(whole) = whole(ctx, api, &name).await? else { return Ok(Action::await_change()) };
    let message =
        format!("this {kind} cannot be read: {}: correct the manifest; nothing was changed in AWS", broken.error);
    let before = whole.get("status").cloned().unwrap_or_else(|| json!({}));
    let after = to_status(before.clone(), object.meta().generation, ctx.clock.now(), &message);
    if after != before {
        warn!(kind, namespace = ?object.namespace(), %name, error = %broken.error, "object does not parse");
        status::patch(ctx, api, kind, object, after).await?;
    }
    Ok(Action::await_change())
}

/// The object as it is in the API server, without types; none when it is gone.
///
/// # Errors
/// The API server's.
pub async fn whole<K>(ctx: &Context, api: &Api<K>, name: &str) -> Result<Option<Value>, kube::Error>
where
    K: Resource<DynamicType = ()>,
{
    let request = Request::new(api.resource_url())
        .get(name, &kube::api::GetParams::default())
        .map_err(kube::Error::BuildRequest)?;
    match ctx.client.request::<Value>(request).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        other => other.map(Some),
    }
}

/// A part of an object that does not parse as a whole: its default where it is not there or does not parse either.
#[must_use]
pub fn part<T: DeserializeOwned + Default>(object: &Value, pointer: &str) -> T {
    object.pointer(pointer).cloned().and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default()
}

/// The status of an object that keeps something in sync and does not parse: Stalled, not Ready; the rest of it as it was.
#[must_use]
pub fn stalled(mut before: Value, generation: Option<i64>, now: Timestamp, message: &str) -> Value {
    let mut all: Vec<Condition> = part(&before, "/conditions");
    for (type_, value) in [(READY, false), (STALLED, true), (RECONCILING, false)] {
        conditions::set(&mut all, generation, now, Verdict::new(type_, Some(value), "Invalid", message));
    }
    if let Some(status) = before.as_object_mut() {
        status.insert("observedGeneration".to_owned(), json!(generation));
        status.insert("conditions".to_owned(), json!(all));
    }
    before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_status_says_of_aws_is_kept() {
        let before =
            json!({ "observedGeneration": 1, "version": 3, "ownedObjects": [{ "name": "n" }], "conditions": [] });
        let once = stalled(before, Some(2), Timestamp::UNIX_EPOCH, "cannot be read");
        assert_eq!((&once["version"], &once["ownedObjects"][0]["name"]), (&json!(3), &json!("n")));
        assert_eq!((&once["observedGeneration"], once["conditions"].as_array().unwrap().len()), (&json!(2), 3));
        let later = Timestamp::from_second(9).unwrap();
        assert_eq!(stalled(once.clone(), Some(2), later, "cannot be read"), once, "nothing to write a second time");
    }

    #[test]
    fn what_does_not_parse_is_nothing() {
        let object = json!({ "status": { "conditions": 7, "accountRef": { "name": "prod" } } });
        assert_eq!(part::<Vec<Condition>>(&object, "/status/conditions"), []);
        assert_eq!(part::<String>(&object, "/status/accountRef/name"), "prod");
        assert_eq!(part::<String>(&object, "/status/other"), "");
    }
}
