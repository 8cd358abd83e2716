//! Objects that the API server accepted and that do not parse all the same: one of them gets a condition, the others go on.

use std::fmt::Debug;

use k8s_openapi::jiff::Timestamp;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tracing::warn;

use crate::api::conditions::{self, READY, RECONCILING, STALLED, Verdict};

use super::context::Context;
use super::{Error, status};

/// Says in the object's status, as `to_status` makes it, that it cannot be read. It is left alone until it changes.
///
/// # Errors
/// [`Error`] when the status cannot be written.
pub async fn report<K>(
    ctx: &Context,
    api: &Api<K>,
    kind: &'static str,
    object: &impl ResourceExt,
    broken: &InvalidObject,
    to_status: fn(Option<i64>, Timestamp, &str) -> Value,
) -> Result<Action, Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let name = object.name_any();
    let message =
        format!("this {kind} cannot be read: {}: correct the manifest; nothing was changed in AWS", broken.error);
    warn!(kind, namespace = ?object.namespace(), %name, error = %broken.error, "object does not parse");
    status::patch(ctx, api, kind, object, to_status(object.meta().generation, ctx.clock.now(), &message)).await?;
    Ok(Action::await_change())
}

/// The status of an object that keeps something in sync and does not parse: Stalled, not Ready.
#[must_use]
pub fn stalled(generation: Option<i64>, now: Timestamp, message: &str) -> Value {
    let mut all = Vec::new();
    for (type_, value) in [(READY, false), (STALLED, true), (RECONCILING, false)] {
        conditions::set(&mut all, generation, now, Verdict::new(type_, Some(value), "Invalid", message));
    }
    json!({ "observedGeneration": generation, "conditions": all })
}
