//! Fleets, as far as compiling needs them: the nodes that their name stands for.

use std::collections::BTreeMap;

use crate::api::refs::{FleetRef, Targets};

use super::Account;
use super::problem::Problem;

/// Fleets of one namespace by name.
pub type Fleets = BTreeMap<String, Fleet>;

/// No fleets.
pub static NO_FLEETS: Fleets = Fleets::new();

/// A fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// Its nodes, by tags or by id.
    pub targets: Targets,
    /// Name of the account that they are in; none while that is not known.
    pub account: Option<String>,
}

/// The nodes that a fleet's name stands for.
///
/// # Errors
/// [`Problem`] at `path` when there is no such fleet, or it is in another account.
pub(super) fn targets<'f>(account: &Account<'f>, fleet: &FleetRef, path: &str) -> Result<&'f Targets, Problem> {
    let name = &fleet.name;
    let Some(found) = account.fleets.get(name) else {
        let known: Vec<&str> = account.fleets.keys().map(String::as_str).collect();
        let known = if known.is_empty() {
            "the namespace has no fleets".to_owned()
        } else {
            format!("there is: {}", known.join(", "))
        };
        return Err(Problem::new(format!("{path}.fleetRef"), format!("there is no WindowsFleet {name}; {known}")));
    };
    match &found.account {
        Some(other) if other != account.name => Err(Problem::new(
            format!("{path}.fleetRef"),
            format!(
                "WindowsFleet {name} is in AwsAccount {other}, and this workflow in {}: name a fleet of the same account",
                account.name
            ),
        )),
        _ => Ok(&found.targets),
    }
}
