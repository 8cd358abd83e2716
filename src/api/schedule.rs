//! `WorkflowSchedule`: runs of a workflow at set times.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::duration::Span;
use super::refs::WorkflowRef;
use super::run::OnDelete;
use super::schema;

/// The label of a run that a schedule made: the schedule's name.
pub const SCHEDULE_LABEL: &str = "windlass.dev/schedule";
/// The annotation of a run that a schedule made: the time that it was due, in UTC.
pub const DUE_ANNOTATION: &str = "windlass.dev/due-time";

/// Makes a WorkflowRun whenever its time comes.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "windlass.dev",
    version = "v1alpha1",
    kind = "WorkflowSchedule",
    plural = "workflowschedules",
    shortname = "wsched",
    category = "windlass",
    namespaced,
    status = "WorkflowScheduleStatus",
    derive = "PartialEq",
    doc = "Makes a WorkflowRun whenever its time comes.",
    // A run's name and the label that names its schedule both hold the name: a label's value has 63 characters at most.
    validation = Rule::new("size(self.metadata.name) <= 63").message("the name of a WorkflowSchedule has 63 characters at most: its runs carry it in their names and in a label"),
    printcolumn(json_path = ".spec.workflowRef.name", name = "Workflow", type_ = "string"),
    printcolumn(json_path = ".status.when", name = "When", type_ = "string"),
    printcolumn(json_path = ".spec.suspend", name = "Suspended", type_ = "boolean"),
    printcolumn(json_path = ".status.conditions[?(@.type==\"Ready\")].status", name = "Ready", type_ = "string"),
    printcolumn(json_path = ".status.nextScheduleTime", name = "Next", type_ = "string"),
    printcolumn(json_path = ".status.lastScheduleTime", name = "Last", type_ = "date"),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date"),
    printcolumn(
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        name = "Message",
        type_ = "string",
        priority = 1
    )
)]
#[kube(cel)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = schema::exactly_one("'a schedule'", &["schedule", "monthly"]),
    // Evaluating it is the check: the API server fails it for a zone that its own database does not have.
    validation = Rule::new("timestamp('2000-01-01T00:00:00Z').getFullYear(self.timeZone) > 0").message("timeZone must be the name of a time zone, as in Europe/Berlin or UTC"),
)]
pub struct WorkflowScheduleSpec {
    /// The workflow to run.
    pub workflow_ref: WorkflowRef,
    /// When, as five cron fields: minute, hour, day of month, month, day of week. Each is `*`, a number, a range `1-5`, a list `1,3`, or a step `*/15`; months and
    /// days of the week also have names (`JAN`, `MON`). Day of month takes `L` (the last) and `15W` (the weekday nearest to the 15th), day of week `5#2` (the second Friday) and
    /// `5L` (the last one). Where day of month and day of week are both restricted, one of them is enough, as in cron. Also `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "cron")]
    pub schedule: Option<String>,
    /// When, for what cron cannot say: days counted from a day of the week of the month, as in three days after Patch Tuesday.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly: Option<Monthly>,
    /// The time zone that the times are in, by its name in the IANA database. Default UTC. When clocks go forward, a time of day that does not exist is due at the first moment after the gap;
    /// when they go back, one that comes twice is due the first time. A cron schedule with `*` or `*/n` as its minute or hour goes by intervals instead: it skips the gap, and is due in both hours.
    #[serde(default = "utc")]
    #[schemars(schema_with = "time_zone")]
    pub time_zone: String,
    /// What happens when a run is due and an earlier one of this schedule has not ended. Default Forbid.
    #[serde(default)]
    pub concurrency_policy: ConcurrencyPolicy,
    /// How late a run may start: after that its time is missed. It is also the run's `notAfter`. Default 1h: a machine room that was dark at night does not patch at noon.
    #[serde(default = "one_hour")]
    pub starting_deadline: Span,
    /// Whether it rests. Times that pass meanwhile are not made up for.
    #[serde(default)]
    pub suspend: bool,
    /// How many runs that ended well are kept; older ones are deleted. Default 3.
    #[serde(default = "three")]
    #[schemars(range(min = 0, max = 100))]
    pub successful_runs_history_limit: i32,
    /// How many runs that ended otherwise are kept; older ones are deleted. Default 3.
    #[serde(default = "three")]
    #[schemars(range(min = 0, max = 100))]
    pub failed_runs_history_limit: i32,
    /// What the runs are like.
    #[serde(default)]
    pub run_template: RunTemplate,
}

fn utc() -> String {
    "UTC".to_owned()
}

fn one_hour() -> Span {
    Span::from_hours(1)
}

fn midnight() -> String {
    "00:00".to_owned()
}

fn three() -> i32 {
    3
}

/// A day of the month that is counted from a day of the week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("self.week != 0", "week must be 1 to 5, or -1 for the last one of the month"))]
pub struct Monthly {
    /// Which one of the month: 1 to 5, or -1 for the last. A month that has no fifth one has no run.
    #[schemars(range(min = -1, max = 5))]
    pub week: i32,
    /// The day of the week.
    pub day: Weekday,
    /// Days from there, forward or, below zero, back. They may lead into another month. Default 0.
    #[serde(default)]
    #[schemars(range(min = -28, max = 28))]
    pub offset_days: i32,
    /// The time of day, as in `03:00`. Default midnight.
    #[serde(default = "midnight")]
    #[schemars(regex(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$"), length(max = 5))]
    pub at: String,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// What happens when a run is due and an earlier one of the schedule has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConcurrencyPolicy {
    /// Both run.
    Allow,
    /// The new one waits for the other to end, until its `startingDeadline`; then its time is missed.
    #[default]
    Forbid,
    /// The other is cancelled; the new one starts when that has ended.
    Replace,
}

/// What the runs of a schedule are like.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunTemplate {
    /// Labels for each run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub labels: BTreeMap<String, String>,
    /// Annotations for each run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub annotations: BTreeMap<String, String>,
    /// Values for the workflow's parameters, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::any_json_map")]
    pub parameters: BTreeMap<String, Value>,
    /// Why it runs, for the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// What deleting a run does to its execution. Default Cancel.
    #[serde(default)]
    pub on_delete: OnDelete,
}

/// What became of a schedule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowScheduleStatus {
    /// The generation that the rest of this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// When it is due, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Times count from here: when the schedule was made, or its times were last changed, or it was last resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts_from: Option<Time>,
    /// The latest due time that was dealt with: a run was made for it, or it was missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_due_time: Option<Time>,
    /// The latest due time that a run was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_schedule_time: Option<Time>,
    /// When a run of it last ended well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_successful_time: Option<Time>,
    /// The next due time. Not there while it is suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_schedule_time: Option<Time>,
    /// Runs of it that have not ended; 20 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub active: Vec<String>,
    /// The last time that was missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_missed: Option<Missed>,
}

/// A due time that no run was made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Missed {
    /// The time.
    pub due_time: Time,
    /// CamelCase.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// A name in the IANA time zone database. `Local`, which the API server would take for its own, is none.
fn time_zone(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 64, "pattern": "^(UTC|[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)+)$" })
}

/// Five cron fields, as far as a regular expression tells: the range of each number, but not which way round a range is.
fn cron(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 256, "pattern": cron_pattern() })
}

/// What the API server asks of a cron schedule.
#[must_use]
pub fn cron_pattern() -> String {
    let either = |names: &[&str]| {
        let cased = |name: &&str| name.chars().map(|c| format!("[{c}{}]", c.to_ascii_lowercase())).collect::<String>();
        names.iter().map(cased).collect::<Vec<_>>().join("|")
    };
    let months = either(&["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]);
    let days = either(&["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]);
    let field = |value: &str, more: &str| {
        let one = format!(r"((\*|({value})-({value}))(/[1-9][0-9]?)?|({value}){more})");
        format!("{one}(,{one})*")
    };
    let day_of_month = "0?[1-9]|[12][0-9]|3[01]";
    let fields = [
        field("[0-5]?[0-9]", ""),
        field("[01]?[0-9]|2[0-3]", ""),
        format!(r"(L|LW|\?|{})", field(day_of_month, "W?")),
        field(&format!("0?[1-9]|1[0-2]|{months}"), ""),
        format!(r"(\?|{})", field(&format!("[0-7]|{days}"), "(#[1-5]|L)?")),
    ];
    let nicknames = "@(hourly|daily|weekly|monthly|yearly|annually)";
    format!("^({nicknames}|{})$", fields.join(" +"))
}

#[cfg(test)]
mod tests {
    use regex_lite::Regex;

    use super::*;

    #[test]
    fn what_the_api_server_takes_for_cron() {
        let pattern = Regex::new(&cron_pattern()).unwrap();
        for good in [
            "* * * * *",
            "0 3 * * 6",
            "*/15 0-5,22-23 1,15 JAN-mar mon-FRI",
            "0 3 L * ?",
            "0 3 15W * *",
            "0 3 LW * *",
            "0 3 * * 2#2",
            "0 3 ? * FRI",
            "0 3 * * 5L",
            "59 23 31 12 7",
            "@daily",
            "0  3  *  *  *",
            "10-50/20 * * * *",
            "05 03 01 02 *",
        ] {
            assert!(pattern.is_match(good), "{good}");
        }
        for bad in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * 32 * *",
            "* * * 13 * ",
            "* * * * 8",
            "0/10 * * * *",
            "*/0 * * * *",
            "* * * FOO *",
            "@reboot",
            "@Daily",
            "every day",
            " * * * * *",
            "* * * * 2#6",
            "1- * * * *",
            "* * * * *\n",
        ] {
            assert!(!pattern.is_match(bad), "{bad}");
        }
    }
}
