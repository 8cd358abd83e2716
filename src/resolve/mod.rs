//! Reading what a manifest refers to: the only stage that reads Kubernetes.
//!
//! Everything comes out of the watches' stores; nothing here calls the API server.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt;
use kube::core::DeserializeGuard;

use crate::api::conditions;
use crate::api::refs::AccountRef;
use crate::api::workflow::FleetSeen;
use crate::api::{AwsAccount, AwsAccountSpec};
use crate::aws::{AccountSettings, AssumeRoleSettings, Bucket, Session};
use crate::compile::{self, grants};
use crate::controller::context::Context;

/// Why an account cannot be used now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unavailable {
    /// CamelCase reason, for conditions.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

impl Unavailable {
    fn new(reason: &'static str, message: String) -> Self {
        Self { reason, message }
    }
}

/// Name of the account that a manifest of `namespace` works in: the one it was in before, else the one that it names, else
/// the one that grants the namespace something.
///
/// # Errors
/// [`Unavailable`] when no account grants the namespace anything, or several do.
pub fn account_name(
    ctx: &Context,
    namespace: &str,
    recorded: Option<&AccountRef>,
    declared: Option<&AccountRef>,
) -> Result<String, Unavailable> {
    if let Some(account) = recorded.or(declared) {
        return Ok(account.name.clone());
    }
    let all: Vec<Arc<DeserializeGuard<AwsAccount>>> = ctx.stores.accounts.state();
    let specs = all.iter().filter_map(|guard| guard.0.as_ref().ok()).map(|account| (account, account.name_any()));
    let named: Vec<(String, &AwsAccountSpec)> = specs.map(|(account, name)| (name, &account.spec)).collect();
    let granting = grants::granting(named.iter().map(|(name, spec)| (name.as_str(), *spec)), namespace);
    match granting.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => Err(Unavailable::new(
            "NoGrant",
            format!(
                "no AwsAccount grants namespace {namespace} anything: ask the platform team for an entry under spec.grants of an AwsAccount with namespaces: [{namespace}]"
            ),
        )),
        several => Err(Unavailable::new(
            "AmbiguousAccount",
            format!(
                "several AwsAccounts grant namespace {namespace} something ({}): name one under spec.accountRef",
                several.join(", ")
            ),
        )),
    }
}

/// An account that was found, whether it is Ready or not.
///
/// # Errors
/// [`Unavailable`] when it does not exist or does not parse.
pub fn find_account(ctx: &Context, name: &str) -> Result<AwsAccount, Unavailable> {
    let found = ctx.stores.accounts.find(|guard| guard.name_any() == name).ok_or_else(|| {
        Unavailable::new(
            "AccountNotFound",
            format!("AwsAccount {name} does not exist: create it, or name another under spec.accountRef"),
        )
    })?;
    found.0.clone().map_err(|invalid| {
        Unavailable::new("AccountInvalid", format!("AwsAccount {name} cannot be read: {}", invalid.error))
    })
}

/// A Ready account with a session in it.
///
/// # Errors
/// [`Unavailable`] when it does not exist, does not parse or is not Ready.
pub async fn account(ctx: &Context, name: &str) -> Result<(AwsAccount, Arc<Session>), Unavailable> {
    let account = find_account(ctx, name)?;
    let status = account.status.clone().unwrap_or_default();
    let current = status.observed_generation == account.metadata.generation;
    if !current || !conditions::is_true(&status.conditions, conditions::READY) {
        let why = conditions::get(&status.conditions, conditions::READY)
            .filter(|_| current)
            .map_or_else(|| "it has not been checked yet".to_owned(), |condition| condition.message.clone());
        return Err(Unavailable::new("AccountNotReady", format!("AwsAccount {name} is not Ready: {why}")));
    }
    let session = session(ctx, name, &account.spec).await;
    Ok((account, session))
}

/// A Ready account for what has nothing in it yet: not one that is being deleted.
///
/// # Errors
/// [`Unavailable`] as of [`account`], and when the account is going.
pub async fn account_to_begin_in(ctx: &Context, name: &str) -> Result<(AwsAccount, Arc<Session>), Unavailable> {
    let found = account(ctx, name).await?;
    if found.0.metadata.deletion_timestamp.is_some() {
        return Err(Unavailable::new(
            "AccountNotReady",
            format!(
                "AwsAccount {name} is being deleted, so nothing new begins in it: name another under spec.accountRef, or create it anew when it is gone"
            ),
        ));
    }
    Ok(found)
}

/// The fleets of a namespace.
#[derive(Clone, Debug, Default)]
pub struct Fleets {
    /// As compiling needs them.
    pub plain: compile::Fleets,
    /// As a workflow's status remembers them.
    pub seen: BTreeMap<String, FleetSeen>,
}

/// The fleets of a namespace that parse and are not being deleted.
pub fn fleets(ctx: &Context, namespace: &str) -> Fleets {
    let mut found = Fleets::default();
    for guard in ctx.stores.fleets.state() {
        let Ok(fleet) = &guard.0 else { continue };
        if fleet.namespace().as_deref() != Some(namespace) || fleet.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let name = fleet.name_any();
        let recorded = fleet.status.as_ref().and_then(|status| status.account_ref.as_ref());
        let account = recorded.or(fleet.spec.account_ref.as_ref()).map(|account| account.name.clone());
        let plain = compile::Fleet { targets: fleet.spec.systems_manager.targets(), account };
        found.plain.insert(name.clone(), plain);
        let generation = fleet.metadata.generation.unwrap_or_default();
        found.seen.insert(name.clone(), FleetSeen { name, uid: fleet.uid(), generation });
    }
    found
}

/// A session in an account, whatever its conditions say.
pub async fn session(ctx: &Context, name: &str, spec: &AwsAccountSpec) -> Arc<Session> {
    ctx.sessions.get(&settings(name, spec)).await
}

fn settings(name: &str, spec: &AwsAccountSpec) -> AccountSettings {
    let count = |number: i32| u32::try_from(number).unwrap_or(1).max(1);
    let quotas: BTreeMap<String, Bucket> = spec
        .quotas
        .iter()
        .map(|quota| {
            let bucket = Bucket { bucket: count(quota.bucket), refill_per_second: count(quota.refill_per_second) };
            (quota.operation.clone(), bucket)
        })
        .collect();
    AccountSettings {
        name: name.to_owned(),
        account_id: spec.account_id.clone(),
        region: spec.region.clone(),
        endpoint: spec.endpoint.clone(),
        assume_role: spec
            .assume_role
            .as_ref()
            .map(|role| AssumeRoleSettings { role_arn: role.role_arn.clone(), external_id: role.external_id.clone() }),
        quotas,
    }
}
