//! Every manifest under `refused/` is refused with exactly the problems that its first lines say, behind `#! `, in that order. `WINDLASS_BLESS=1` writes
//! these lines anew: read the difference before it is committed.

use windlass::api::{AwsAccount, WindowsWorkflow};
use windlass::compile::check;

use crate::manifest::{compile, entries, here, read};

#[test]
fn bad_manifests_are_refused_in_these_words() {
    let account: AwsAccount = read(&here().join("account.yaml"));
    let files = entries(&here().join("refused"));
    assert!(!files.is_empty());
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let expected: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("#! ")).collect();
        assert!(!expected.is_empty(), "{} says nothing of what is wrong with it", file.display());
        let workflow: WindowsWorkflow = read(&file);
        let found: Vec<String> = match compile(&workflow, &account) {
            Ok(_) => vec!["nothing".to_owned()],
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        };
        if std::env::var_os("WINDLASS_BLESS").is_some() {
            let manifest = text.lines().filter(|line| !line.starts_with("#! ")).map(str::to_owned);
            let lines: Vec<String> = found.iter().map(|line| format!("#! {line}")).chain(manifest).collect();
            std::fs::write(&file, lines.join("\n") + "\n").unwrap();
        } else if found != expected {
            wrong.push(format!(
                "{}:\n{}",
                file.display(),
                found.iter().map(|line| format!("#! {line}\n")).collect::<String>()
            ));
        }
    }
    assert!(wrong.is_empty(), "these say something else:\n{}", wrong.join("\n"));
}

#[test]
fn what_needs_no_account_is_found_without_one() {
    // Whatever is wrong with a manifest itself is the same with and without an account.
    let account: AwsAccount = read(&here().join("account.yaml"));
    for file in entries(&here().join("refused")) {
        let workflow: WindowsWorkflow = read(&file);
        let Err(problems) = compile(&workflow, &account) else { panic!("{} is not refused", file.display()) };
        let known = check(&workflow.spec);
        for problem in problems {
            let of_the_account = problem.message.contains("AwsAccount")
                || problem.message.contains("grant ")
                || problem.path.ends_with(".fleetRef");
            assert!(known.contains(&problem) || of_the_account, "{}: {problem}", file.display());
        }
    }
}
