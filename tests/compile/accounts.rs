//! Every AwsAccount under `accounts/` has the objects that it gives beside it. `WINDLASS_BLESS=1` writes them anew.

use serde_json::json;
use windlass::api::AwsAccount;
use windlass::api::names::Owner;
use windlass::compile::{self, render};

use crate::manifest::{entries, here, read};

#[test]
fn accounts_give_what_stands_beside_them() {
    let bless = std::env::var_os("WINDLASS_BLESS").is_some();
    let mut count = 0;
    for path in entries(&here().join("accounts")) {
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        count += 1;
        let account: AwsAccount = read(&path);
        let owner = Owner {
            cluster_id: "test".parse().unwrap(),
            kind: "AwsAccount".into(),
            namespace: String::new(),
            name: account.metadata.name.clone().unwrap(),
        };
        let blueprint = compile::account(&owner, &account.spec, &compile::receivers(&account.spec, None));
        let printed = serde_json::to_string_pretty(&json!(render(&blueprint))).unwrap() + "\n";
        let golden = path.with_extension("json");
        if bless {
            std::fs::write(&golden, &printed).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&golden).unwrap(), printed, "{}", golden.display());
    }
    assert_eq!(count, 3);
}
