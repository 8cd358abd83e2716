//! `WorkflowSchedule`: decides what is due ([`decide`]) and makes the runs. A run's name derives from schedule and due time, so that no due time has two.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use tracing::{info, warn};

use crate::api::conditions::{self, READY, RECONCILING, STALLED, SUCCEEDED, Verdict};
use crate::api::run::{DesiredState, Phase};
use crate::api::schedule::{DUE_ANNOTATION, Missed, SCHEDULE_LABEL};
use crate::api::{WorkflowRun, WorkflowSchedule, WorkflowScheduleStatus};
use crate::schedules::decide::{Cause, Known, Plan, Sibling, State, Turn, deadline, decide, run_name, surplus};
use crate::schedules::health::{Health, Sight, health};
use crate::schedules::timing::Timing;

use super::context::{Context, FIELD_MANAGER};
use super::{CATCH_UP, Error, invalid, status};

/// Name of the kind.
pub const KIND: &str = "WorkflowSchedule";
/// How often a schedule is looked at while a run of it has not ended, should the event of its end be missed.
const LOOK_AGAIN: Duration = Duration::from_mins(1);
/// Longest time between two looks: timers are not made for a year.
const LONGEST_REST: Duration = Duration::from_hours(24);
/// How many runs the status names.
const NAMED: usize = 20;

/// Does what is due for one schedule.
///
/// # Errors
/// [`Error`] when the API server does not do its part.
pub async fn reconcile(guard: Arc<DeserializeGuard<WorkflowSchedule>>, ctx: Arc<Context>) -> Result<Action, Error> {
    ctx.stores.ready().await;
    let api: Api<WorkflowSchedule> = status::namespaced(&ctx, guard.as_ref());
    let schedule = match &guard.0 {
        Ok(schedule) => schedule,
        Err(broken) => return invalid::report(&ctx, &api, KIND, guard.as_ref(), broken, invalid::stalled).await,
    };
    if schedule.metadata.deletion_timestamp.is_some() {
        ctx.backoff.forget(&key(schedule));
        ctx.freshness.forget(schedule);
        return Ok(Action::await_change());
    }
    if ctx.freshness.is_behind(schedule) {
        return Ok(Action::requeue(CATCH_UP));
    }
    let runs = status::namespaced(&ctx, schedule);
    Box::pin(Work { ctx: &ctx, api: &api, runs, schedule }.turn()).await
}

/// The schedule that made a run, where one did.
pub(super) fn made_by(run: &DeserializeGuard<WorkflowRun>) -> Option<ObjectRef<DeserializeGuard<WorkflowSchedule>>> {
    let owner = run.owner_references().iter().find(|owner| owner.kind == KIND && owner.controller == Some(true))?;
    Some(ObjectRef::new(&owner.name).within(&run.namespace()?))
}

/// What came of making a run.
enum Making {
    /// It is there.
    Made,
    /// Something else has its name.
    Taken,
    /// The API server does not take it.
    Refused(String),
}

/// One pass over one schedule.
struct Work<'a> {
    ctx: &'a Context,
    api: &'a Api<WorkflowSchedule>,
    runs: Api<WorkflowRun>,
    schedule: &'a WorkflowSchedule,
}

impl Work<'_> {
    async fn turn(&self) -> Result<Action, Error> {
        let mut after = self.schedule.status.clone().unwrap_or_default();
        let timing = match Timing::of(&self.schedule.spec) {
            Ok(timing) => timing,
            Err(problem) => {
                after.when = None;
                after.next_schedule_time = None;
                self.finish(after, &Health::stalled("InvalidSchedule", problem.to_string())).await?;
                return Ok(Action::await_change());
            }
        };
        let Some(mut runs) = self.seen() else { return Ok(Action::requeue(CATCH_UP)) };
        let counts_from = self.counts_from(&timing);
        after.when = Some(timing.words().to_owned());
        after.counts_from = Some(Time(counts_from));
        let mut plan = self.plan(counts_from, &timing, &runs);
        if plan.turn != Turn::Rest {
            // The watch may be behind: before something is done, the API server itself is asked.
            runs = self.listed().await?;
            plan = self.plan(counts_from, &timing, &runs);
        }
        let refused = self.act(&plan, &mut after, &mut runs).await?;
        describe(&mut after, &plan, &runs);
        let sight = self.workflow();
        let health = health(&self.schedule.spec, &sight, &plan, refused.as_deref());
        self.finish(after, &health).await?;
        self.prune(&runs).await?;
        Ok(self.next(&plan, &runs, refused.is_some()))
    }

    /// Times count from here: when the schedule was made, when its times were changed, or when it was resumed.
    fn counts_from(&self, timing: &Timing) -> Timestamp {
        let now = self.ctx.clock.now();
        let status = self.schedule.status.as_ref();
        match status.and_then(|status| Some((status.counts_from.as_ref()?.0, status.when.as_deref()?, status))) {
            Some((since, when, status)) => {
                // While it is suspended there is no next time: one that has one now and had none then was resumed.
                let resumed = status.next_schedule_time.is_none() && !self.schedule.spec.suspend;
                if when == timing.words() && !resumed { since } else { now }
            }
            // A schedule whose times could not be read counts from when they can.
            None if status.is_some_and(|status| status.observed_generation.is_some()) => now,
            None => self.schedule.creation_timestamp().map_or(now, |made| self.ctx.clock.at(made.0)),
        }
    }

    fn plan(&self, counts_from: Timestamp, timing: &Timing, runs: &[Sibling]) -> Plan {
        let last_due = self.schedule.status.as_ref().and_then(|status| status.last_due_time.as_ref()).map(|due| due.0);
        let known = Known { spec: &self.schedule.spec, counts_from, last_due, runs };
        decide(&known, timing, self.ctx.clock.now())
    }

    /// Does what is due. Gives why the API server does not take a run that is.
    async fn act(
        &self,
        plan: &Plan,
        after: &mut WorkflowScheduleStatus,
        runs: &mut Vec<Sibling>,
    ) -> Result<Option<String>, Error> {
        match &plan.turn {
            Turn::Rest | Turn::Hold(..) => return Ok(None),
            Turn::Cancel(due, replaced) => {
                for name in replaced {
                    self.cancel(name, *due).await?;
                }
                return Ok(None);
            }
            Turn::Made(due) => after.last_schedule_time = Some(Time(*due)),
            Turn::Start(due) => {
                let name = run_name(&self.schedule.name_any(), *due);
                match self.make(&name, *due).await? {
                    Making::Made => {
                        after.last_schedule_time = Some(Time(*due));
                        runs.push(Sibling { name, due: *due, state: State::Active });
                    }
                    Making::Taken => {
                        let message = format!(
                            "the run due at {due} was not made: WorkflowRun {name} is there already and is not of this schedule: rename the schedule, or delete that run"
                        );
                        self.missed(after, *due, "NameTaken", message).await;
                    }
                    Making::Refused(message) => return Ok(Some(message)),
                }
            }
            Turn::Miss(due, cause) => {
                let limit = self.schedule.spec.starting_deadline;
                let (reason, why) = match cause {
                    Cause::Late => ("DeadlinePassed", self.why_late()),
                    Cause::Overlap(run) => ("EarlierRunActive", format!("run {run} had not ended by then")),
                };
                let message = format!("the run due at {due} was not made within startingDeadline ({limit}): {why}");
                self.missed(after, *due, reason, message).await;
            }
        }
        if let Some((count, last)) = plan.passed {
            let times = match count {
                1 => "the run due before, at".to_owned(),
                100 => "100 or more runs that were due before, the last at".to_owned(),
                count => format!("{count} runs that were due before, the last at"),
            };
            let message = format!(
                "{times} {last}, passed over: only the latest due time counts when Windlass was away or an earlier run took long"
            );
            if matches!(plan.turn, Turn::Miss(..)) {
                self.warn("Schedule", "PassedOver", &message).await;
            } else {
                self.missed(after, last, "PassedOver", message).await;
            }
        }
        if let Turn::Start(due) | Turn::Made(due) | Turn::Miss(due, _) = &plan.turn {
            after.last_due_time = Some(Time(*due));
        }
        Ok(None)
    }

    /// What kept a run from being made, as far as the condition says it.
    fn why_late(&self) -> String {
        let ready = self.schedule.status.as_ref().and_then(|status| conditions::get(&status.conditions, READY));
        ready.filter(|ready| ready.reason == "RunRefused").map_or_else(
            || "Windlass was not running, or could not reach the API server".to_owned(),
            |ready| ready.message.clone(),
        )
    }

    async fn make(&self, name: &str, due: Timestamp) -> Result<Making, Error> {
        let run = match self.run(name, due) {
            Ok(run) => run,
            Err(error) => return Ok(Making::Refused(format!("the run could not be put together: {error}"))),
        };
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match self.runs.create(&params, &run).await {
            Ok(_) => {
                info!(schedule = %key(self.schedule), run = name, %due, "run made");
                let note = format!("made run {name}, due at {due}");
                self.ctx.reporter.normal(&self.schedule.object_ref(&()), "Schedule", "RunMade", &note).await;
                Ok(Making::Made)
            }
            Err(kube::Error::Api(refusal)) if refusal.code == 409 => {
                let theirs = self.guarded().get_opt(name).await?;
                let label = |run: &DeserializeGuard<WorkflowRun>| {
                    run.labels().get(SCHEDULE_LABEL).is_some_and(|schedule| *schedule == self.schedule.name_any())
                };
                // One that an earlier schedule of this name made, before the cluster was rebuilt, is the run for this due time, too.
                Ok(if theirs.as_ref().is_none_or(label) { Making::Made } else { Making::Taken })
            }
            Err(kube::Error::Api(refusal)) if matches!(refusal.code, 400 | 403 | 404 | 422) => {
                Ok(Making::Refused(refusal.message.clone()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The run for a due time.
    fn run(&self, name: &str, due: Timestamp) -> Result<WorkflowRun, serde_json::Error> {
        let (spec, template) = (&self.schedule.spec, &self.schedule.spec.run_template);
        let mut labels = template.labels.clone();
        labels.insert(SCHEDULE_LABEL.to_owned(), self.schedule.name_any());
        let mut annotations = template.annotations.clone();
        annotations.insert(DUE_ANNOTATION.to_owned(), due.to_string());
        serde_json::from_value(json!({
            "apiVersion": WorkflowRun::api_version(&()),
            "kind": WorkflowRun::kind(&()),
            "metadata": {
                "name": name,
                "namespace": self.schedule.namespace(),
                "labels": labels,
                "annotations": annotations,
                "ownerReferences": [self.schedule.controller_owner_ref(&())],
            },
            "spec": {
                "workflowRef": spec.workflow_ref,
                "parameters": template.parameters,
                "reason": template.reason,
                "onDelete": template.on_delete,
                "notAfter": deadline(spec, due).to_string(),
            },
        }))
    }

    /// Cancels a run of the schedule, which made it: what it says is not a person's.
    async fn cancel(&self, name: &str, due: Timestamp) -> Result<(), Error> {
        let body = json!({ "spec": { "desiredState": DesiredState::Cancelled } });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match self.runs.patch_metadata(name, &params, &Patch::Merge(body)).await {
            Ok(_) => {
                let note = format!("cancelled run {name}: the run due at {due} replaces it");
                self.ctx.reporter.normal(&self.schedule.object_ref(&()), "Schedule", "RunReplaced", &note).await;
                Ok(())
            }
            Err(kube::Error::Api(refusal)) if refusal.code == 404 => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn missed(&self, after: &mut WorkflowScheduleStatus, due: Timestamp, reason: &str, message: String) {
        self.warn("Schedule", reason, &message).await;
        after.last_missed = Some(Missed { due_time: Time(due), reason: reason.to_owned(), message });
    }

    async fn warn(&self, action: &str, reason: &str, note: &str) {
        warn!(schedule = %key(self.schedule), reason, detail = note, "schedule");
        self.ctx.reporter.warning(&self.schedule.object_ref(&()), action, reason, note).await;
    }

    /// Deletes ended runs beyond the history limits.
    async fn prune(&self, runs: &[Sibling]) -> Result<(), Error> {
        for name in surplus(&self.schedule.spec, runs) {
            let reference = ObjectRef::new(&name).within(&self.schedule.namespace().unwrap_or_default());
            let Some(run) = self.ctx.stores.runs.get(&reference).filter(|run| self.is_ours(run)) else { continue };
            if run.meta().deletion_timestamp.is_some() {
                continue;
            }
            let preconditions = Some(Preconditions { uid: run.uid(), resource_version: None });
            let params = DeleteParams { preconditions, ..DeleteParams::default() };
            match self.runs.delete(&name, &params).await {
                Err(kube::Error::Api(refusal)) if refusal.code == 404 || refusal.code == 409 => {}
                Err(error) => return Err(error.into()),
                Ok(_) => info!(schedule = %key(self.schedule), run = %name, "deleted: beyond the history limits"),
            }
        }
        Ok(())
    }

    /// Its runs, as the watch has them. None while the watch is behind what this process wrote.
    fn seen(&self) -> Option<Vec<Sibling>> {
        let all = self.ctx.stores.runs.state();
        let ours: Vec<_> = all.iter().filter(|run| self.is_ours(run)).collect();
        if ours.iter().any(|run| self.ctx.freshness.is_behind(run.as_ref())) {
            return None;
        }
        Some(ours.iter().filter_map(|run| sibling(run)).collect())
    }

    /// Its runs, as the API server has them.
    async fn listed(&self) -> Result<Vec<Sibling>, Error> {
        let selector = ListParams::default().labels(&format!("{SCHEDULE_LABEL}={}", self.schedule.name_any()));
        let listed = self.guarded().list(&selector).await?;
        Ok(listed.items.iter().filter(|run| self.is_ours(run)).filter_map(sibling).collect())
    }

    fn guarded(&self) -> Api<DeserializeGuard<WorkflowRun>> {
        Api::namespaced(self.ctx.client.clone(), &self.schedule.namespace().unwrap_or_default())
    }

    fn is_ours(&self, run: &DeserializeGuard<WorkflowRun>) -> bool {
        let uid = self.schedule.uid().unwrap_or_default();
        run.namespace() == self.schedule.namespace()
            && run.owner_references().iter().any(|owner| owner.controller == Some(true) && owner.uid == uid)
    }

    fn workflow(&self) -> Sight {
        let name = &self.schedule.spec.workflow_ref.name;
        let reference = ObjectRef::new(name).within(&self.schedule.namespace().unwrap_or_default());
        let Some(guard) = self.ctx.stores.workflows.get(&reference) else { return Sight::Missing };
        match &guard.0 {
            Err(broken) => Sight::Unreadable(broken.error.clone()),
            Ok(workflow) => Sight::Found(Box::new(workflow.clone())),
        }
    }

    /// Writes the status, and tells people when the Ready condition says something new.
    async fn finish(&self, mut after: WorkflowScheduleStatus, health: &Health) -> Result<(), Error> {
        let (generation, now) = (self.schedule.metadata.generation, self.ctx.clock.now());
        after.observed_generation = generation;
        let before = self.schedule.status.as_ref();
        let mut set = |type_, value, message: &str| {
            let verdict = Verdict::new(type_, Some(value), health.reason, message);
            conditions::set(&mut after.conditions, generation, now, verdict);
        };
        set(READY, health.ready, &health.message);
        set(STALLED, health.stalled, if health.stalled { &health.message } else { "" });
        set(RECONCILING, !health.ready && !health.stalled, "");
        let old =
            before.and_then(|status| conditions::get(&status.conditions, READY)).map(|ready| ready.reason.clone());
        if status::write(self.ctx, self.api, KIND, self.schedule, before, &after).await?
            && !health.ready
            && old.as_deref() != Some(health.reason)
        {
            self.warn("Schedule", health.reason, &health.message).await;
        }
        Ok(())
    }

    fn next(&self, plan: &Plan, runs: &[Sibling], refused: bool) -> Action {
        if refused {
            return Action::requeue(self.ctx.clock.real(self.ctx.backoff.failed(&key(self.schedule))));
        }
        self.ctx.backoff.forget(&key(self.schedule));
        let waits = !matches!(plan.turn, Turn::Rest) || runs.iter().any(|run| is_active(run.state));
        let longest = self.ctx.clock.real(if waits { LOOK_AGAIN } else { LONGEST_REST });
        match plan.look_again {
            Some(at) => Action::requeue(self.ctx.clock.until(at).min(longest).max(CATCH_UP)),
            None if waits => Action::requeue(longest.max(CATCH_UP)),
            None => Action::await_change(),
        }
    }
}

/// The schedule in maps of this process.
fn key(schedule: &WorkflowSchedule) -> String {
    format!("{KIND}/{}/{}", schedule.namespace().unwrap_or_default(), schedule.name_any())
}

fn is_active(state: State) -> bool {
    matches!(state, State::Active | State::Cancelled)
}

/// What people look for.
fn describe(status: &mut WorkflowScheduleStatus, plan: &Plan, runs: &[Sibling]) {
    status.next_schedule_time = plan.next.map(Time);
    let mut active: Vec<&Sibling> = runs.iter().filter(|run| is_active(run.state)).collect();
    active.sort_by_key(|run| run.due);
    status.active = active.into_iter().take(NAMED).map(|run| run.name.clone()).collect();
    let ended = runs.iter().filter_map(|run| match run.state {
        State::EndedWell(at) => at,
        _ => None,
    });
    let last = ended.chain(status.last_successful_time.as_ref().map(|at| at.0)).max();
    status.last_successful_time = last.map(Time);
}

/// A run of the schedule. None when it does not say when it was due.
fn sibling(guard: &DeserializeGuard<WorkflowRun>) -> Option<Sibling> {
    let run = guard.0.as_ref().ok()?;
    let due = run.annotations().get(DUE_ANNOTATION)?.parse().ok()?;
    let status = run.status.clone().unwrap_or_default();
    let well = match status.phase {
        Phase::Succeeded => true,
        Phase::AlreadyRan => conditions::is_true(&status.conditions, SUCCEEDED),
        _ => false,
    };
    let told = run.spec.desired_state == DesiredState::Cancelled || run.metadata.deletion_timestamp.is_some();
    let state = match (status.phase.is_final(), well) {
        (true, true) => State::EndedWell(status.finished_at.map(|at| at.0)),
        (true, false) => State::Ended,
        (false, _) if told || status.phase == Phase::Cancelling => State::Cancelled,
        (false, _) => State::Active,
    };
    Some(Sibling { name: run.name_any(), due, state })
}
