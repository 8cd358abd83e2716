//! Every folder under `cases/` holds a manifest and the objects that it gives: `role.json`, `document.json`, `definition.json`.
//!
//! A folder's own `account.yaml` comes before the shared one. `WINDLASS_BLESS=1` writes the objects anew: read the difference before it is committed.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use windlass::api::{AwsAccount, WindowsWorkflow};
use windlass::compile::{Blueprint, render};

use crate::manifest::{compile, entries, here, read};

/// The objects of a case by file name.
type Files = BTreeMap<String, String>;

fn compiled(case: &Path) -> Blueprint {
    let workflow: WindowsWorkflow = read(&case.join("manifest.yaml"));
    let own = case.join("account.yaml");
    let account: AwsAccount = read(&if own.exists() { own } else { here().join("account.yaml") });
    compile(&workflow, &account).unwrap_or_else(|problems| {
        panic!("{}: {}", case.display(), problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

fn printed(blueprint: &Blueprint) -> Files {
    let print = |value: &Value| serde_json::to_string_pretty(value).unwrap() + "\n";
    let mut files = Files::new();
    for object in render(blueprint) {
        match object.type_.as_str() {
            "AWS::IAM::Role" => files.insert("role.json".into(), print(&serde_json::to_value(&object).unwrap())),
            "AWS::SSM::Document" => files.insert("document.json".into(), print(&object.body["Content"])),
            "AWS::StepFunctions::StateMachine" => {
                files.insert("definition.json".into(), print(&object.body["Definition"]))
            }
            other => panic!("{other} is new: give it a file"),
        };
    }
    files
}

fn expected(case: &Path) -> Files {
    let files = entries(case).into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    files
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect()
}

#[test]
fn manifests_give_what_stands_beside_them() {
    let bless = std::env::var_os("WINDLASS_BLESS").is_some();
    let cases = entries(&here().join("cases"));
    assert!(!cases.is_empty());
    let mut different = Vec::new();
    for case in cases {
        let printed = printed(&compiled(&case));
        if bless {
            for stale in expected(&case).keys() {
                std::fs::remove_file(case.join(stale)).unwrap();
            }
            for (name, text) in &printed {
                std::fs::write(case.join(name), text).unwrap();
            }
        }
        let expected = expected(&case);
        let names: std::collections::BTreeSet<&String> = printed.keys().chain(expected.keys()).collect();
        let here = names.into_iter().filter(|name| printed.get(*name) != expected.get(*name));
        different.extend(here.map(|name| format!("{}/{name}", case.file_name().unwrap().to_string_lossy())));
    }
    assert!(different.is_empty(), "not what is compiled (WINDLASS_BLESS=1 writes them anew): {}", different.join(", "));
}

#[test]
fn the_same_manifest_gives_the_same_bytes() {
    let case = here().join("cases/03-everything");
    assert_eq!(printed(&compiled(&case)), printed(&compiled(&case)));
}

#[test]
fn answers_of_aws_have_a_place_in_the_definition() {
    use windlass::compile::blueprint::Body;
    for case in entries(&here().join("cases")) {
        let objects = compiled(&case).objects;
        let document = objects.iter().any(|object| matches!(object.body, Body::Document(_)));
        for object in &objects {
            if let Body::StateMachine(machine) = &object.body {
                assert_eq!(machine.fills.len(), if document { 2 } else { 0 }, "{}", case.display());
                for fill in &machine.fills {
                    assert!(
                        machine.definition.pointer(&fill.pointer).is_some(),
                        "{}: {}",
                        case.display(),
                        fill.pointer
                    );
                }
            }
        }
    }
}

/// Every text in some JSON.
fn texts<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
        _ => {}
    }
}

#[test]
fn every_expression_is_jsonata() {
    let mut count = 0;
    for case in entries(&here().join("cases")) {
        let files = printed(&compiled(&case));
        let definition: Value = serde_json::from_str(&files["definition.json"]).unwrap();
        let mut found = Vec::new();
        texts(&definition["States"], &mut found);
        for text in found {
            let Some(code) = text.strip_prefix("{%").and_then(|rest| rest.strip_suffix("%}")) else { continue };
            count += 1;
            let parsed = jsonata_core::parser::parse(code.trim());
            assert!(parsed.is_ok(), "{}: {parsed:?}: {code}", case.display());
        }
    }
    assert!(count > 500, "{count}");
}

#[test]
fn every_state_is_reached_and_goes_somewhere() {
    for case in entries(&here().join("cases")) {
        let files = printed(&compiled(&case));
        let definition: Value = serde_json::from_str(&files["definition.json"]).unwrap();
        let states = definition["States"].as_object().unwrap();
        let mut reached = vec![definition["StartAt"].as_str().unwrap()];
        let mut at = 0;
        while at < reached.len() {
            let state =
                states.get(reached[at]).unwrap_or_else(|| panic!("{}: no state {}", case.display(), reached[at]));
            let branches = ["Choices", "Catch"].iter().filter_map(|list| state[*list].as_array()).flatten();
            let next = branches.chain([state]).flat_map(|from| ["Next", "Default"].map(|key| from[key].as_str()));
            for name in next.flatten() {
                if !reached.contains(&name) {
                    reached.push(name);
                }
            }
            at += 1;
        }
        let lost: Vec<&String> = states.keys().filter(|name| !reached.contains(&name.as_str())).collect();
        assert!(lost.is_empty(), "{}: nothing leads to {lost:?}", case.display());
    }
}
