//! Writing down executions that were started past Windlass, on the workflow whose state machine they run.
//!
//! The field has a manager of its own, so that a reconciliation of the workflow, which may have read an older status, does not write it.

use kube::api::{Patch, PatchParams};
use kube::core::{DeserializeGuard, PartialObjectMeta, Request};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;

use crate::api::WindowsWorkflow;
use crate::api::workflow::StartedElsewhere;
use crate::inbox::elsewhere::note;
use crate::inbox::message::StatusEvent;

use super::context::Context;
use super::{invalid, status};

/// The field manager of the one field.
const MANAGER: &str = "windlass-inbox";

/// What came of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// It stands in the status.
    Written,
    /// It told nothing new.
    Known,
    /// No workflow has the state machine.
    NoWorkflow,
}

/// Notes an execution of one of our state machines.
///
/// # Errors
/// The API server's: the message must stay then.
pub(super) async fn record(ctx: &Context, event: &StatusEvent) -> Result<Noted, kube::Error> {
    let runs_it = |guard: &DeserializeGuard<WindowsWorkflow>| {
        let status = guard.0.as_ref().ok().and_then(|workflow| workflow.status.as_ref());
        status.and_then(|status| status.state_machine_arn.as_ref()) == Some(&event.machine_arn)
    };
    let Some(workflow) = ctx.stores.workflows.find(runs_it) else { return Ok(Noted::NoWorkflow) };
    let (api, name): (Api<WindowsWorkflow>, _) = (status::namespaced(ctx, workflow.as_ref()), workflow.name_any());
    // Two accounts may be one and the same in AWS, and then both of their loops are told of everything.
    let _alone = ctx.inboxes.elsewhere.lock().await;
    let Some(whole) = invalid::whole(ctx, &api, &name).await? else { return Ok(Noted::NoWorkflow) };
    let known: StartedElsewhere = invalid::part(&whole, "/status/startedElsewhere");
    let Some(after) = note(&known, event) else { return Ok(Noted::Known) };
    let body = json!({
        "apiVersion": WindowsWorkflow::api_version(&()),
        "kind": WindowsWorkflow::kind(&()),
        "metadata": { "name": name, "uid": workflow.uid() },
        "status": { status::ELSEWHERE: after },
    });
    let params = PatchParams::apply(MANAGER).force();
    let request = Request::new(api.resource_url()).patch_subresource("status", &name, &params, &Patch::Apply(body));
    let request = request.map_err(kube::Error::BuildRequest)?;
    match ctx.client.request::<PartialObjectMeta<WindowsWorkflow>>(request).await {
        Ok(answer) => {
            ctx.freshness.wrote(&answer);
            Ok(Noted::Written)
        }
        // It is gone, or another one of that name by now.
        Err(kube::Error::Api(refusal)) if refusal.code == 404 || refusal.code == 409 => Ok(Noted::NoWorkflow),
        Err(error) => Err(error),
    }
}
