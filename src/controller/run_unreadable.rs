//! Runs that the API server accepted and that do not parse all the same.

use k8s_openapi::jiff::Timestamp;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;
use kube::{Api, Resource, ResourceExt};
use serde_json::{Value, json};
use tracing::warn;

use crate::api::refs::WorkflowRef;
use crate::api::run::{DesiredState, Failure, Layer, Mode, OnDelete, Phase, WorkflowRunSpec};
use crate::api::{FINALIZER, WorkflowRun, WorkflowRunStatus};
use crate::runs::decide::Refusal;
use crate::runs::status::{Now, refused};

use super::context::Context;
use super::run::{KIND, Work};
use super::{Error, invalid};

/// Says so in its status, or lets it go.
pub(super) async fn reconcile(ctx: &Context, api: &Api<WorkflowRun>, broken: &InvalidObject) -> Result<Action, Error> {
    let held = broken.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER);
    match (held, broken.metadata.deletion_timestamp.is_some()) {
        // What never had the finalizer was never started.
        (false, false) => {
            let object = salvage(broken, &Value::Null);
            invalid::report(ctx, api, KIND, &object, broken, failed).await
        }
        (false, true) => Ok(Action::await_change()),
        (true, false) => {
            let note = format!(
                "this WorkflowRun cannot be read any more: {}; its execution, if it has one, goes on unwatched until it can",
                broken.error
            );
            let object = salvage(broken, &Value::Null);
            warn!(run = %object.name_any(), error = %broken.error, "a started run does not parse");
            ctx.reporter.warning(&object.object_ref(&()), "Follow", "Unreadable", &note).await;
            Ok(Action::await_change())
        }
        (true, true) => {
            let name = broken.metadata.name.clone().unwrap_or_default();
            let Some(object) = invalid::whole(ctx, api, &name).await? else { return Ok(Action::await_change()) };
            Work::new(ctx, api, salvage(broken, &object)).advance().await
        }
    }
}

/// A run with whatever can be read of it: for its deletion, the status is what counts.
fn salvage(broken: &InvalidObject, object: &Value) -> WorkflowRun {
    let part = |pointer: &str| object.pointer(pointer).cloned().unwrap_or_default();
    let on_delete = serde_json::from_value::<OnDelete>(part("/spec/onDelete")).unwrap_or_default();
    let name = part("/spec/workflowRef/name").as_str().unwrap_or_default().to_owned();
    let spec = WorkflowRunSpec {
        workflow_ref: WorkflowRef { name },
        parameters: std::collections::BTreeMap::new(),
        targets: None,
        mode: Mode::Run,
        not_after: None,
        reason: None,
        desired_state: DesiredState::Running,
        on_delete,
        ttl_after_finished: None,
    };
    let status = serde_json::from_value::<WorkflowRunStatus>(part("/status")).ok();
    WorkflowRun { metadata: broken.metadata.clone(), spec, status }
}

/// The status of a run that was never started and never will be. It ended once.
fn failed(before: Value, generation: Option<i64>, now: Timestamp, message: &str) -> Value {
    if serde_json::from_value::<WorkflowRunStatus>(before.clone()).is_ok_and(|status| status.phase.is_final()) {
        return before;
    }
    let refusal = Refusal {
        phase: Phase::Failed,
        reason: "Invalid",
        message: message.to_owned(),
        failure: Some(Failure {
            step: None,
            node: None,
            layer: Layer::Manifest,
            error: "Invalid".to_owned(),
            cause: message.to_owned(),
            hint: "create a new WorkflowRun with a corrected manifest".to_owned(),
        }),
    };
    json!(refused(WorkflowRunStatus::default(), Now { at: now, generation }, &refusal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_of_a_broken_run_is_kept() {
        let broken = InvalidObject { error: "bad".into(), metadata: kube::api::ObjectMeta::default() };
        let run = salvage(
            &broken,
            &json!({
                "spec": { "workflowRef": { "name": "w" }, "onDelete": "Orphan", "ttlAfterFinished": "999999d" },
                "status": { "phase": "Running", "executionArn": "arn" },
            }),
        );
        assert_eq!((run.spec.workflow_ref.name.as_str(), run.spec.on_delete), ("w", OnDelete::Orphan));
        assert_eq!(run.status.and_then(|status| status.execution_arn).as_deref(), Some("arn"));
        assert_eq!(salvage(&broken, &json!({ "status": { "phase": 7 } })).status, None);
    }

    #[test]
    fn a_run_that_never_parsed_has_failed() {
        let status: WorkflowRunStatus = serde_json::from_value(failed(
            json!({}),
            Some(1),
            Timestamp::UNIX_EPOCH,
            "this WorkflowRun cannot be read",
        ))
        .unwrap();
        assert_eq!((status.phase, status.failure.as_ref().unwrap().layer), (Phase::Failed, Layer::Manifest));
        let later = Timestamp::from_second(9).unwrap();
        assert_eq!(failed(json!(status), Some(1), later, "again"), json!(status), "it ended once");
    }
}
