//! The custom resources: group `windlass.dev`, version `v1alpha1`.
//!
//! One file per kind. What a field means, its limits and the CEL rules that the API server enforces stand on the field;
//! what only the compiler can know (an expression's names, a block's cycle, a grant) is not checked here.
//!
//! [`crds`] gives all definitions as they are committed under `crds/` and shipped by the `windlass-crds` chart.

pub mod account;
pub mod conditions;
pub mod containers;
pub mod duration;
pub mod fleet;
pub mod iteration;
pub mod leaves;
pub mod names;
pub mod owned;
pub mod parameters;
pub mod refs;
pub mod run;
pub mod schedule;
mod schema;
pub mod steps;
pub mod workflow;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub use account::{AwsAccount, AwsAccountSpec, AwsAccountStatus};
pub use fleet::{WindowsFleet, WindowsFleetSpec, WindowsFleetStatus};
pub use run::{WorkflowRun, WorkflowRunSpec, WorkflowRunStatus};
pub use schedule::{WorkflowSchedule, WorkflowScheduleSpec, WorkflowScheduleStatus};
pub use workflow::{WindowsWorkflow, WindowsWorkflowSpec, WindowsWorkflowStatus};

/// The API group of every kind.
pub const GROUP: &str = "windlass.dev";
/// The one served version.
pub const VERSION: &str = "v1alpha1";
/// The finalizer that Windlass puts on objects which own something outside the cluster.
pub const FINALIZER: &str = "windlass.dev/cleanup";

/// All custom resource definitions, in the order in which they are best applied.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    [AwsAccount::crd(), WindowsFleet::crd(), WindowsWorkflow::crd(), WorkflowRun::crd(), WorkflowSchedule::crd()]
        .into_iter()
        .map(schema::finish)
        .collect()
}
