//! The finalizer: put on before anything is made outside the cluster, taken off when it is gone.

use std::fmt::Debug;

use kube::api::{Patch, PatchParams};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::api::FINALIZER;

use super::context::{Context, FIELD_MANAGER};

/// Puts the finalizer on. No call when it is there.
///
/// # Errors
/// The API server's; a conflict when the object changed meanwhile, which the next event mends.
pub async fn add<K>(ctx: &Context, api: &Api<K>, object: &impl ResourceExt) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    if object.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
        return Ok(());
    }
    let finalizers: Vec<String> = object.finalizers().iter().cloned().chain([FINALIZER.to_owned()]).collect();
    set(ctx, api, object, &finalizers).await
}

/// Takes the finalizer off. No call when it is not there; fine when the object is gone.
///
/// # Errors
/// The API server's; a conflict when the object changed meanwhile, which the next event mends.
pub async fn remove<K>(ctx: &Context, api: &Api<K>, object: &impl ResourceExt) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    if !object.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
        return Ok(());
    }
    let finalizers: Vec<String> =
        object.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER).cloned().collect();
    match set(ctx, api, object, &finalizers).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other,
    }
}

async fn set<K>(
    ctx: &Context,
    api: &Api<K>,
    object: &impl ResourceExt,
    finalizers: &[String],
) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    // The resourceVersion makes the server refuse when somebody else changed the list since it was read.
    let body = json!({ "metadata": { "finalizers": finalizers, "resourceVersion": object.resource_version() } });
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    api.patch_metadata(&object.name_any(), &params, &Patch::Merge(body))
        .await
        .map(|answer| ctx.freshness.wrote(&answer))
}
