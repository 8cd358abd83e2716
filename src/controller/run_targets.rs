//! Listing the nodes of a run before it starts.

use std::collections::BTreeSet;

use kube::ResourceExt;

use crate::api::AwsAccount;
use crate::api::run::{Failure, Layer, Phase};
use crate::aws::{AwsError, Session, nodes};
use crate::compile::targets::{self as sets, TargetSet};
use crate::compile::{self, Problem};
use crate::resolve;
use crate::runs::decide::{Refusal, Start};
use crate::runs::outline::outline;
use crate::runs::targets::{Listed, Wanted, wanted};

use super::run::Work;

/// Most node ids that a message names.
const NAMED: usize = 10;

/// Why the nodes are not listed.
pub(super) enum Unlisted {
    /// Something must happen first: reason and message.
    Wait(&'static str, String),
    /// The run cannot be.
    Refuse(Box<Refusal>),
    /// AWS did not tell.
    Aws(AwsError),
}

/// The sets of a run's workflow.
pub(super) fn sets_of(work: &Work<'_>, account: &AwsAccount, start: &Start) -> Result<Vec<TargetSet>, Unlisted> {
    let namespace = work.namespace();
    let fleets = resolve::fleets(work.ctx, &namespace);
    let name = account.name_any();
    let context = compile::Account { name: &name, spec: &account.spec, fleets: &fleets.plain };
    let found = sets::of(&start.spec, &context, &namespace).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(Problem::to_string).collect();
        Unlisted::Wait("WorkflowNotReady", format!("waits until its workflow compiles again: {}", problems.join("; ")))
    })?;
    // The role allows what the fleet was when the workflow was compiled.
    for fleet in found.iter().filter_map(|set| set.fleet.as_ref()) {
        if fleets.seen.get(fleet) != start.fleets.iter().find(|seen| &seen.name == fleet) {
            let message = format!("waits until its workflow has taken over the change of WindowsFleet {fleet}");
            return Err(Unlisted::Wait("WorkflowNotReady", message));
        }
    }
    Ok(found)
}

/// A run that only asks what would happen has no step that would act all the same.
pub(super) fn only_asks(start: &Start) -> Result<(), Unlisted> {
    let acting: Vec<String> =
        outline(&start.spec).into_iter().filter_map(|step| Some(format!("{} ({})", step.path, step.acts?))).collect();
    if acting.is_empty() {
        return Ok(());
    }
    let named: Vec<&str> = acting.iter().take(NAMED).map(String::as_str).collect();
    let more =
        if acting.len() > named.len() { format!(", and {} more", acting.len() - named.len()) } else { String::new() };
    let cause =
        format!("nothing was run: mode WhatIf would not keep these steps from acting: {}{more}", named.join(", "));
    let hint = "begin these scripts with [CmdletBinding(SupportsShouldProcess)] param() and use cmdlets that honour it, or take mode: Preview, which runs nothing";
    Err(Unlisted::Refuse(Box::new(refusal("WhatIfUnsupported", "WhatIfUnsupported", cause, hint))))
}

/// Lists the nodes of the sets that the run needs listed: those that every run does, and all of them where `all` or where the run names a part.
pub(super) async fn list(
    work: &Work<'_>,
    session: &Session,
    sets: Vec<TargetSet>,
    all: bool,
) -> Result<Vec<Listed>, Unlisted> {
    let subset = work.run.spec.targets.as_ref();
    let mut listed: Vec<Listed> = Vec::new();
    for set in sets {
        if !(all || set.frozen || subset.is_some()) {
            continue;
        }
        let Some(wanted) = wanted(&set.nodes, subset) else { return Err(nobody(&set)) };
        let before = listed.iter().find(|other| other.set.nodes == set.nodes);
        let nodes = match before {
            Some(same) => same.nodes.clone(),
            None => windows(session, &wanted).await.map_err(Unlisted::Aws)?,
        };
        if nodes.is_empty() {
            return Err(nobody(&set));
        }
        listed.push(Listed { set, nodes });
    }
    let named = subset.and_then(|subset| subset.node_ids.as_ref());
    let found: BTreeSet<&str> = listed.iter().flat_map(|one| &one.nodes).map(|node| node.id.as_str()).collect();
    let strangers: Vec<&str> =
        named.into_iter().flatten().map(|id| id.0.as_str()).filter(|id| !found.contains(id)).collect();
    if strangers.is_empty() { Ok(listed) } else { Err(outside(&strangers)) }
}

async fn windows(session: &Session, wanted: &Wanted) -> Result<Vec<nodes::Node>, AwsError> {
    let mut nodes = nodes::list(session, &wanted.tags, wanted.ids.as_ref()).await?;
    nodes.retain(|node| node.windows);
    Ok(nodes)
}

/// A run that ends before it has started, for what its manifest or its workflow's targets.
pub(super) fn refusal(reason: &'static str, error: &str, cause: String, hint: &str) -> Refusal {
    Refusal {
        phase: Phase::Failed,
        reason,
        message: cause.clone(),
        failure: Some(Failure {
            step: None,
            node: None,
            layer: Layer::Manifest,
            error: error.to_owned(),
            cause,
            hint: format!("{hint}; then create a new WorkflowRun"),
        }),
    }
}

fn nobody(set: &TargetSet) -> Unlisted {
    let whose = if set.key == sets::WORKFLOW { "its workflow".to_owned() } else { format!("step {}", set.key) };
    let of = set.fleet.as_ref().map_or_else(String::new, |fleet| format!(" (WindowsFleet {fleet})"));
    let cause = format!(
        "nothing was run: {whose} targets{of} nodes with {}, and no managed Windows node of these is left{}",
        set.nodes.describe(),
        if set.fleet.is_some() { "" } else { " within the run's spec.targets" }
    );
    let hint = "check the tags of the nodes, that their SSM Agents are registered, and the targets of workflow and run";
    Unlisted::Refuse(Box::new(refusal("NoTargets", "Windlass.NoTargets", cause, hint)))
}

fn outside(ids: &[&str]) -> Unlisted {
    let named: Vec<&str> = ids.iter().copied().take(NAMED).collect();
    let more = if ids.len() > named.len() { format!(" and {} more", ids.len() - named.len()) } else { String::new() };
    let cause = format!(
        "nothing was run: spec.targets names nodes that its workflow does not target, or that are no managed Windows nodes: {}{more}",
        named.join(", ")
    );
    let hint = "name nodes that the workflow targets: a run runs on a part of them, and on no others";
    Unlisted::Refuse(Box::new(refusal("TargetsOutside", "Windlass.NoTargets", cause, hint)))
}
