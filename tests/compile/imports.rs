//! `compile` may import `api`, serde, pure parsers and hashes, and nothing else.

use std::path::{Path, PathBuf};

const ALLOWED: [&str; 12] = [
    "crate::api",
    "crate::compile",
    "super",
    "self",
    "std",
    "serde",
    "serde_json",
    "sha2",
    "jsonata_core",
    "regex_lite",
    "tree_sitter",
    "tree_sitter_powershell",
];
/// Words of `std` that a pure stage has no use for.
const IMPURE: [&str; 7] = ["std::fs", "std::net", "std::env", "std::time", "std::thread", "std::process", "async "];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The crates that a source file names at the head of a path, in `use` or in place.
fn foreign(text: &str) -> Vec<String> {
    let code: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.starts_with("//")).collect();
    let uses = code.iter().filter_map(|line| line.strip_prefix("use ").or_else(|| line.strip_prefix("pub use ")));
    let refused = uses.filter(|path| {
        !ALLOWED.iter().any(|allowed| {
            path.strip_prefix(allowed)
                .is_some_and(|rest| rest.starts_with("::") || rest.starts_with(';') || rest.starts_with(' '))
        })
    });
    let mut all: Vec<String> = refused.map(ToString::to_string).collect();
    let banned = [
        "kube::",
        "k8s_openapi::",
        "tokio::",
        "aws_sdk",
        "aws_config",
        "aws_smithy",
        "reqwest::",
        "crate::controller",
        "crate::aws",
        "crate::runs",
    ];
    for line in code {
        let words = banned.iter().chain(&IMPURE);
        all.extend(words.filter(|word| line.contains(**word)).map(|word| format!("{word} in: {line}")));
    }
    all
}

#[test]
fn the_compiler_is_pure() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/compile"), &mut files);
    assert!(files.len() > 10, "{files:?}");
    let mut wrong = Vec::new();
    for file in files {
        // Modules of a file's own directory (`pub use blueprint::…` in mod.rs) begin with a name that is declared in it.
        let text = std::fs::read_to_string(&file).unwrap();
        let own: Vec<String> = text
            .lines()
            .filter_map(|line| {
                line.trim()
                    .trim_start_matches("pub ")
                    .strip_prefix("mod ")
                    .map(|name| name.trim_end_matches(';').to_owned())
            })
            .collect();
        wrong.extend(
            foreign(&text)
                .into_iter()
                .filter(|found| !own.iter().any(|name| found.starts_with(&format!("{name}::"))))
                .map(|found| format!("{}: {found}", file.display())),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_foreign_is_found() {
    for text in
        ["use kube::Api;", "use tokio::time;", "let x = std::env::var(\"A\");", "async fn a() {}", "use rand::Rng;"]
    {
        assert!(!foreign(text).is_empty(), "{text}");
    }
    assert!(foreign("use serde_json::{Value, json};\nuse crate::api::names::Owner;\n// kube::Api").is_empty());
}
