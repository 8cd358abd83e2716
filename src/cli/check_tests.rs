use std::sync::LazyLock;

use super::*;

static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| kinds::all().unwrap());

fn check(sources: &[Source], cluster_id: &str) -> Checked {
    check_with(&KINDS, sources, &cluster_id.parse().unwrap())
}

fn source(name: &str, text: &str) -> Source {
    Source { name: name.to_owned(), text: text.to_owned() }
}

/// What is said of texts named `a.yaml`, `b.yaml`, …
fn findings(texts: &[&str]) -> Vec<String> {
    let sources: Vec<Source> =
        texts.iter().zip('a'..).map(|(text, name)| source(&format!("{name}.yaml"), text)).collect();
    let checked = check(&sources, ANY_CLUSTER);
    checked.findings.iter().map(ToString::to_string).collect()
}

/// A workflow in namespace ops, from line 6 on what follows `spec:`.
fn workflow(spec: &str) -> String {
    format!(
        "apiVersion: windlass.dev/v1alpha1\nkind: WindowsWorkflow\nmetadata: {{name: report, namespace: ops}}\nspec:\n  targets: {{tags: {{Role: [web]}}}}\n{spec}"
    )
}

fn run(spec: &str) -> String {
    format!(
        "apiVersion: windlass.dev/v1alpha1\nkind: WorkflowRun\nmetadata: {{name: r, namespace: ops}}\nspec: {spec}\n"
    )
}

fn account(name: &str, namespace: &str) -> String {
    format!(
        "apiVersion: windlass.dev/v1alpha1\nkind: AwsAccount\nmetadata: {{name: {name}}}\nspec:\n  accountId: \"111122223333\"\n  region: eu-west-1\n  permissionsBoundaryArn: arn:aws:iam::111122223333:policy/org\n  grants:\n    - {{name: g, namespaces: [{namespace}], nodeTags: {{OS: [Windows]}}}}\n"
    )
}

const GOOD: &str = "  steps:\n    - {name: one, powershell: {script: Get-Date}}\n";

#[test]
fn good_manifests_are_counted_and_others_passed_over() {
    let other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: 1}\n---\njust: text\n";
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n- {}\n",
        run("{workflowRef: {name: elsewhere}}").replace('\n', "\n  ")
    );
    let sources =
        [source("a", &workflow(GOOD)), source("b", other), source("c", &list), source("d", &account("prod", "ops"))];
    let checked = check(&sources, "prod");
    assert_eq!(checked.findings, []);
    // The account's inbox, and the workflow's objects.
    assert_eq!((checked.manifests, checked.blueprints.len()), (3, 2));
    assert_eq!(checked.blueprints[1].objects[0].name(), "windlass_prod_ops_report");
}

#[test]
#[allow(clippy::too_many_lines)] // a table
fn what_is_wrong_with_one_manifest() {
    let cases: &[(String, &[&str])] = &[
        ("a: [".to_owned(), &["a.yaml:1: unclosed bracket '['"]),
        (
            workflow(GOOD).replace("v1alpha1", "v1"),
            &[
                "a.yaml:1: apiVersion: \"windlass.dev/v1\" is not served by this version of Windlass: write windlass.dev/v1alpha1",
            ],
        ),
        (
            workflow(GOOD).replace("windlass.dev", "windlas.dev"),
            &[
                "a.yaml:1: apiVersion: \"windlas.dev/v1alpha1\" is not served by this version of Windlass: write windlass.dev/v1alpha1",
            ],
        ),
        (
            workflow(GOOD).replace("WindowsWorkflow", "WindowWorkflow"),
            &["a.yaml:2: kind: unknown kind \"WindowWorkflow\", did you mean \"WindowsWorkflow\"?"],
        ),
        (
            workflow(GOOD).replace("name: report, ", "labels: {a: 1}, "),
            &[
                "a.yaml:3: metadata.labels.a: must be text, found the number 1: put it in quotes",
                "a.yaml:3: metadata: \"name\" is required",
            ],
        ),
        (
            workflow(GOOD).replace("name: report", "name: Report_1"),
            &[
                r#"a.yaml:3: metadata.name: "Report_1" does not match ^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"#,
            ],
        ),
        (
            workflow("  step:\n    - {name: one, powershell: {script: Get-Date}}\n"),
            &["a.yaml:6: spec.step: unknown field \"step\", did you mean \"steps\"?"],
        ),
        (
            workflow("  steps:\n    - name: one\n      powershell:\n        scirpt: Get-Date\n        output: json\n"),
            &[
                "a.yaml:9: spec.steps[0].powershell.scirpt: unknown field \"scirpt\", did you mean \"script\"?",
                "a.yaml:10: spec.steps[0].powershell.output: \"json\" is none of None, Text, Json, did you mean Json?",
            ],
        ),
        (
            workflow(
                "  steps:\n    - name: one\n      powershell: {script: Get-Date}\n      pass: {}\n    - name: two\n",
            ),
            &[
                "a.yaml:7: spec.steps[0]: step one needs exactly one of: powershell, notify, wait, pass, fail, call, parallel, switch, forEachNode, forEach; found: powershell pass",
                "a.yaml:10: spec.steps[1]: step two needs exactly one of: powershell, notify, wait, pass, fail, call, parallel, switch, forEachNode, forEach; found: none",
            ],
        ),
        (
            workflow("  steps:\n    - {name: one, pass: {}}\n    - {name: one, pass: {}}\n"),
            &["a.yaml:8: spec.steps[1]: name \"one\" stands twice in this list, first in line 7"],
        ),
        (
            workflow(
                "  steps:\n    - name: one\n      timeout: 10\n      when: $x\n      wait: {for: 2 minutes}\n    - {name: two, wait: {for: 366d}}\n",
            ),
            &[
                "a.yaml:8: spec.steps[0].timeout: must be text, found the number 10: a duration is a number and a unit, as in 90s, 10m, 2h or 3d",
                "a.yaml:9: spec.steps[0].when: \"$x\" is not an expression: write it between {% and %}",
                "a.yaml:10: spec.steps[0].wait.for: \"2 minutes\" is not a duration: write a whole number and a unit, as in 90s, 10m, 2h or 3d, of one year at most",
                "a.yaml:11: spec.steps[1].wait.for: \"366d\" is not a duration: write a whole number and a unit, as in 90s, 10m, 2h or 3d, of one year at most",
            ],
        ),
        (
            workflow(
                "  steps:\n    - name: one\n      powershell:\n        script: |\n          Get-Date\n          if (\n",
            ),
            &["a.yaml:11: spec.steps[0].powershell.script (line 2, column 4): syntax error: this ( is never closed"],
        ),
        (workflow("  steps: []\n"), &["a.yaml:6: spec.steps: has 0 items, at least 1 needed"]),
        (
            run("{workflowRef: {name: x}, notAfter: tomorrow, desiredState: Paused}"),
            &[
                "a.yaml:4: spec.notAfter: \"tomorrow\" is not a time: write it as in 2030-01-31T18:00:00Z",
                "a.yaml:4: spec.desiredState: \"Paused\" is none of Running, Cancelled",
            ],
        ),
        (
            account("prod", "ops").replace("policy/org", "role/org").replace('"', ""),
            &[
                "a.yaml:5: spec.accountId: must be text, found the number 111122223333: put it in quotes",
                "a.yaml:7: spec.permissionsBoundaryArn: \"arn:aws:iam::111122223333:role/org\" does not match ^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/[A-Za-z0-9+=,.@_/-]+$",
            ],
        ),
        (
            account("prod", "ops").replace("}}", "}, anyNode: true}"),
            &["a.yaml:9: spec.grants[0]: nodeTags and anyNode: true exclude each other: leave out one of the two"],
        ),
    ];
    for (text, expected) in cases {
        let found = findings(&[text]);
        assert!(
            found.len() == expected.len()
                && found.iter().zip(*expected).all(|(found, expected)| found.starts_with(expected)),
            "{text}\nfound:\n{}",
            found.join("\n")
        );
    }
}

#[test]
fn a_run_is_checked_against_its_workflow() {
    let declared = workflow(&format!("  parameters:\n    - {{name: count, type: Integer, required: true}}\n{GOOD}"));
    let of = |spec: &str| findings(&[&declared, &run(spec)]);
    assert_eq!(of("{workflowRef: {name: report}, parameters: {count: 3}}"), [""; 0]);
    let wrong = of("{workflowRef: {name: report}, parameters: {cuont: 3}}");
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(wrong.iter().all(|finding| finding.starts_with("b.yaml:4: spec.parameters.")), "{wrong:?}");
    assert_eq!(of("{workflowRef: {name: something-else}}"), [""; 0], "it may be in the cluster");
    assert_eq!(
        of("{workflowRef: {name: reports}}"),
        [
            "b.yaml:4: spec.workflowRef.name: namespace ops has no WindowsWorkflow reports in these manifests, did you mean \"report\"?"
        ]
    );
}

#[test]
fn the_same_object_twice() {
    assert_eq!(
        findings(&[&workflow(GOOD), &workflow(GOOD)]),
        [
            "b.yaml:3: metadata.name: WindowsWorkflow report stands in these files twice, first in a.yaml:3: the later would overwrite the earlier"
        ]
    );
    assert_eq!(findings(&[&workflow(GOOD), &workflow(GOOD).replace("namespace: ops", "namespace: web")]), [""; 0]);
}

#[test]
fn the_account_is_found_among_the_manifests() {
    let plain = workflow(GOOD);
    let naming = |account: &str| workflow(&format!("  accountRef: {{name: {account}}}\n{GOOD}"));
    let (ops, web) = (account("prod", "ops"), account("other", "web"));
    assert_eq!(findings(&[&plain]), [""; 0], "without an account nothing is known of grants");
    assert_eq!(findings(&[&plain, &ops, &web]), [""; 0]);
    assert_eq!(findings(&[&naming("elsewhere"), &ops]), [""; 0], "it may be in the cluster");
    assert_eq!(
        findings(&[&plain, &web]),
        [
            "a.yaml:4: spec.accountRef: no AwsAccount among these manifests grants namespace ops anything: it needs an entry under spec.grants with namespaces: [ops]"
        ]
    );
    assert_eq!(
        findings(&[&plain, &ops, &account("second", "ops")]),
        [
            "a.yaml:4: spec.accountRef: several AwsAccounts grant namespace ops something (prod, second): name one, as in accountRef: {name: prod}"
        ]
    );
    let refused = findings(&[&naming("other"), &web]);
    assert!(refused.len() == 1 && refused[0].starts_with("a.yaml:5: spec.targets: "), "{refused:?}");
    let broken = findings(&[&plain, &ops.replace("eu-west-1", "Europe")]);
    assert!(broken.len() == 1 && broken[0].starts_with("b.yaml:6: spec.region: "), "{broken:?}");
}

#[test]
fn scripts_in_other_forms_have_the_line_that_they_begin_in() {
    let found = findings(&[&workflow("  steps:\n    - name: one\n      powershell: {script: 'if ('}\n")]);
    assert!(
        found.len() == 1 && found[0].starts_with("a.yaml:8: spec.steps[0].powershell.script (line 1, "),
        "{found:?}"
    );
}

#[test]
fn the_examples_are_valid_and_compile() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut paths = vec![folder];
    let mut sources = Vec::new();
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            sources.push(source(path.to_str().unwrap(), &std::fs::read_to_string(&path).unwrap()));
        }
    }
    let checked = check(&sources, ANY_CLUSTER);
    assert_eq!(checked.findings, []);
    assert_eq!(checked.without_account, []);
    assert!(checked.blueprints.len() > 1);
}
