//! Task tokens, kept in Secrets of Windlass's own namespace until they are answered.
//!
//! A Secret's name is made of the token's hash, so that a message that comes twice gives one Secret. Its labels say whose it is. The message is deleted when the Secret is
//! written, and the Secret when AWS has the answer: at no time is there neither.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::{Api, ResourceExt};
use tracing::{info, warn};

use crate::aws::tasks::{self, Answer, Answered, TaskToken};
use crate::aws::{AwsError, Session};
use crate::inbox::message::TokenRequest;

use super::context::{Context, FIELD_MANAGER};

/// Type of the Secrets.
const TYPE: &str = "windlass.dev/task-token";
/// The one key of their data.
const KEY: &str = "token";
/// Label: UID of the run that waits.
const RUN: &str = "windlass.dev/run-uid";
/// Label: what is waited for.
const PURPOSE: &str = "windlass.dev/purpose";
/// Label that every Secret with a token has.
const MANAGED: (&str, &str) = ("app.kubernetes.io/managed-by", "windlass");
/// Annotations: the run, the step's path, the execution.
const ABOUT: &str = "windlass.dev/run";
const STEP: &str = "windlass.dev/step";
const EXECUTION: &str = "windlass.dev/execution";

/// A token that waits for its answer.
#[derive(Clone, Debug)]
pub struct Held {
    /// The token.
    pub token: TaskToken,
    /// What is waited for, as the step said it.
    pub purpose: String,
    /// Path of the step.
    pub step: String,
    /// When it was received.
    pub since: Option<k8s_openapi::jiff::Timestamp>,
    secret: String,
    about: String,
}

/// What came of keeping a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is kept from now on.
    Now,
    /// It was kept already.
    Already,
}

/// Keeps the token of a run's step.
///
/// # Errors
/// The API server's: the message must stay then.
pub async fn keep(ctx: &Context, request: &TokenRequest) -> Result<Kept, kube::Error> {
    match secrets(ctx)
        .create(
            &PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() },
            &secret(request),
        )
        .await
    {
        Ok(_) => {
            info!(run = %about(request), step = %request.step, purpose = %request.purpose, "a step waits for an answer");
            Ok(Kept::Now)
        }
        Err(kube::Error::Api(refusal)) if refusal.code == 409 => Ok(Kept::Already),
        Err(error) => Err(error),
    }
}

/// The tokens of a run's steps that wait.
///
/// # Errors
/// The API server's.
pub async fn of_run(ctx: &Context, run_uid: &str) -> Result<Vec<Held>, kube::Error> {
    let found = secrets(ctx).list(&ListParams::default().labels(&format!("{RUN}={run_uid}"))).await?;
    Ok(found.items.into_iter().filter_map(held).collect())
}

/// Answers a step, and forgets its token once AWS has the answer or nothing waits for it any more.
///
/// # Errors
/// [`Unanswered`]: what failed can be repeated.
pub async fn answer(ctx: &Context, session: &Session, held: &Held, answer: &Answer) -> Result<Answered, Unanswered> {
    let answered = tasks::answer(session, &held.token, &held.about, answer).await?;
    delete(ctx, &held.secret).await?;
    info!(task = %held.about, step = %held.step, purpose = %held.purpose, outcome = ?answered, "a step was answered");
    Ok(answered)
}

/// Why a step was not answered.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// AWS did not take it.
    #[error("the step could not be answered: {0}")]
    Aws(#[from] AwsError),
    /// It was answered, and its token could not be deleted.
    #[error("the step was answered, and its token could not be deleted: {0}")]
    Kube(#[from] kube::Error),
}

/// Deletes tokens of runs that have ended or are gone: nothing waits for them any more.
///
/// # Errors
/// The API server's.
pub async fn sweep(ctx: &Context) -> Result<(), kube::Error> {
    ctx.stores.ready().await;
    let found = secrets(ctx)
        .list_metadata(&ListParams::default().labels(&format!("{RUN},{}={}", MANAGED.0, MANAGED.1)))
        .await?;
    if found.items.is_empty() {
        return Ok(());
    }
    // After the list: a run that was made meanwhile is among these, and its token is not among those.
    let alive: BTreeSet<String> =
        ctx.stores.runs.state().iter().filter(|guard| is_alive(guard)).filter_map(|guard| guard.uid()).collect();
    for secret in found.items {
        if secret.labels().get(RUN).is_some_and(|run| !alive.contains(run)) {
            let name = secret.name_any();
            delete(ctx, &name).await?;
            warn!(secret = %name, "the token of a run that has ended was deleted unanswered");
        }
    }
    Ok(())
}

/// Whether a run may still wait for something; one that does not parse may.
fn is_alive(guard: &kube::core::DeserializeGuard<crate::api::WorkflowRun>) -> bool {
    let status = guard.0.as_ref().ok().and_then(|run| run.status.as_ref());
    status.is_none_or(|status| !status.phase.is_final())
}

fn secrets(ctx: &Context) -> Api<Secret> {
    Api::namespaced(ctx.client.clone(), &ctx.namespace)
}

async fn delete(ctx: &Context, name: &str) -> Result<(), kube::Error> {
    match secrets(ctx).delete(name, &DeleteParams::default()).await {
        Err(kube::Error::Api(refusal)) if refusal.code == 404 => Ok(()),
        other => other.map(drop),
    }
}

fn about(request: &TokenRequest) -> String {
    format!("{}/{}", request.run.namespace, request.run.name)
}

fn secret(request: &TokenRequest) -> Secret {
    let labels = [(MANAGED.0, MANAGED.1), (RUN, request.run.uid.as_str()), (PURPOSE, request.purpose.as_str())];
    let (about, texts) = (about(request), |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
    });
    Secret {
        metadata: ObjectMeta {
            name: Some(format!("task-token-{}", request.token.hash())),
            labels: Some(texts(&labels)),
            annotations: Some(texts(&[(ABOUT, &about), (STEP, &request.step), (EXECUTION, &request.execution_arn)])),
            ..ObjectMeta::default()
        },
        type_: Some(TYPE.to_owned()),
        immutable: Some(true),
        data: Some([(KEY.to_owned(), ByteString(request.token.expose().as_bytes().to_vec()))].into()),
        ..Secret::default()
    }
}

fn held(secret: Secret) -> Option<Held> {
    if secret.type_.as_deref() != Some(TYPE) {
        return None;
    }
    let since = secret.metadata.creation_timestamp.as_ref().map(|at| at.0);
    let annotation = |key: &str| secret.annotations().get(key).cloned().unwrap_or_default();
    let (about, step) = (annotation(ABOUT), annotation(STEP));
    let (name, purpose) = (secret.name_any(), secret.labels().get(PURPOSE).cloned().unwrap_or_default());
    let token = secret.data?.remove(KEY).and_then(|bytes| String::from_utf8(bytes.0).ok()).and_then(TaskToken::new)?;
    Some(Held { token, purpose, step, since, secret: name, about })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::message::RunIn;

    #[test]
    fn a_secret_gives_back_what_was_put_in() {
        let request = TokenRequest {
            token: TaskToken::new("abc".into()).unwrap(),
            purpose: "Pause".into(),
            step: "drain".into(),
            execution_arn: "arn".into(),
            run: RunIn { uid: "u-1".into(), namespace: "ops".into(), name: "patch-1".into() },
        };
        let made = secret(&request);
        assert_eq!(made.name_any(), format!("task-token-{}", request.token.hash()));
        assert_eq!((made.immutable, made.labels()[RUN].as_str()), (Some(true), "u-1"));
        let text = serde_json::to_string(&made.metadata).unwrap();
        assert!(!text.contains("abc"), "the token is in the data alone: {text}");
        let held = held(made).unwrap();
        assert_eq!((held.token, held.purpose.as_str(), held.step.as_str()), (request.token, "Pause", "drain"));
        assert_eq!(super::held(Secret::default()).map(drop), None);
    }
}
