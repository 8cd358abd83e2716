//! Writing status: by server-side apply, only when it changed.

use std::fmt::Debug;

use kube::api::{Patch, PatchParams};
use kube::core::{NamespaceResourceScope, PartialObjectMeta, Request};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::context::{Context, FIELD_MANAGER};

/// The one field of a status that another field manager writes: what was read of it may be older than what is there.
pub const ELSEWHERE: &str = "startedElsewhere";

/// A status that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the status of {kind} {name} could not be written: {source}")]
pub struct StatusError {
    kind: &'static str,
    name: String,
    #[source]
    source: Box<kube::Error>,
}

impl StatusError {
    /// Whether the object is not there any more, or is another one of the same name.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self.source.as_ref(), kube::Error::Api(status) if status.code == 404 || status.code == 409)
    }
}

/// The `Api` of an object's namespace.
pub fn namespaced<K>(ctx: &Context, object: &impl ResourceExt) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    Api::namespaced(ctx.client.clone(), &object.namespace().unwrap_or_default())
}

/// Writes `status` when it differs from `before`. Says whether it did.
///
/// The object's UID goes with it, so that an object that was deleted and made again meanwhile never gets its predecessor's status.
///
/// # Errors
/// [`StatusError`] when the API server refuses or does not answer.
pub async fn write<K, S>(
    ctx: &Context,
    api: &Api<K>,
    kind: &'static str,
    object: &impl ResourceExt,
    before: Option<&S>,
    status: &S,
) -> Result<bool, StatusError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    S: Serialize + PartialEq,
{
    if before == Some(status) {
        return Ok(false);
    }
    patch(ctx, api, kind, object, json!(status)).await.map(|()| true)
}

/// Applies a status given as JSON: for objects whose spec does not parse, where there is no type to hold it.
///
/// # Errors
/// [`StatusError`] when the API server refuses or does not answer.
pub async fn patch<K>(
    ctx: &Context,
    api: &Api<K>,
    kind: &'static str,
    object: &impl ResourceExt,
    status: Value,
) -> Result<(), StatusError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let name = object.name_any();
    let mut status = status;
    if let Some(fields) = status.as_object_mut() {
        fields.remove(ELSEWHERE);
    }
    let body = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": { "name": name, "uid": object.uid() },
        "status": status,
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let result = match Request::new(api.resource_url()).patch_subresource("status", &name, &params, &Patch::Apply(body))
    {
        // Of the answer only the metadata is read: the object may be one that does not parse.
        Ok(request) => ctx.client.request::<PartialObjectMeta<K>>(request).await,
        Err(error) => Err(kube::Error::BuildRequest(error)),
    };
    ctx.metrics.status_written(kind, if result.is_ok() { "ok" } else { "error" });
    result.map(|answer| ctx.freshness.wrote(&answer)).map_err(|source| StatusError {
        kind,
        name,
        source: Box::new(source),
    })
}
