use std::collections::BTreeMap;

use serde_json::json;

use super::*;

fn entry(variable: &str, fields: &[&'static str]) -> Entry {
    Entry { variable: variable.into(), fields: fields.to_vec(), ..Entry::default() }
}

fn scope() -> Scope {
    let inner = BTreeMap::from([
        ("restore".to_owned(), entry("steps_undo__restore", &["output"])),
        ("say".to_owned(), entry("steps_undo__say", &["output"])),
    ]);
    let steps = [
        ("health", entry("steps_health", &["output", "succeeded"])),
        ("back-in", entry("steps_back_in", &["output"])),
        ("undo", Entry { inner, ..entry("steps_undo", &["error"]) }),
    ];
    Scope {
        parameters: ["kb".to_owned()].into(),
        steps: steps.into_iter().map(|(name, entry)| (name.to_owned(), entry)).collect(),
        later: ["last".to_owned()].into(),
        failure: Some("steps_health".into()),
        ..Scope::default()
    }
}

#[test]
fn an_expression_gets_the_variables_that_it_uses_and_no_others() {
    for (code, compiled) in [
        ("$params.kb & $run.name", "$params.kb & $run.name"),
        ("$steps.health.output", "( $steps := {\"health\": $steps_health}; $steps.health.output )"),
        ("$steps.`back-in`.output", "( $steps := {\"back-in\": $steps_back_in}; $steps.`back-in`.output )"),
        ("$failure.cause", "( $failure := $steps_health.failure; $failure.cause )"),
        (
            "$steps.health.output & $failure.error",
            "( $steps := {\"health\": $steps_health}; $failure := $steps_health.failure; $steps.health.output & $failure.error )",
        ),
        // Of a call, the inner steps that are asked for; all of them where it is asked for as a whole.
        ("$steps.undo.error", "( $steps := {\"undo\": $steps_undo}; $steps.undo.error )"),
        (
            "$steps.undo.steps.say.output",
            "( $steps := {\"undo\": $merge([$steps_undo, {\"steps\": {\"say\": $steps_undo__say}}])}; $steps.undo.steps.say.output )",
        ),
        (
            "$keys($steps.undo.steps)",
            "( $steps := {\"undo\": $merge([$steps_undo, {\"steps\": {\"restore\": $steps_undo__restore, \"say\": $steps_undo__say}}])}; $keys($steps.undo.steps) )",
        ),
    ] {
        assert_eq!(compile(code, &scope()).as_deref(), Ok(compiled));
    }
}

#[test]
fn what_may_be_in_scope_of_a_block_that_nothing_calls_is_not_refused() {
    let open = Scope { open: true, failure: None, ..scope() };
    for code in ["$steps.elsewhere.output", "$failure.cause"] {
        assert!(compile(code, &open).is_ok(), "{code}");
    }
    assert!(compile("$steps.last.output", &open).is_err());
}

#[test]
fn a_dash_is_explained_wherever_it_makes_a_minus() {
    for code in ["$steps.back-in.output", "$steps.back-in"] {
        assert_eq!(
            compile(code, &scope()).unwrap_err(),
            ["write $steps.`back-in`: without backquotes a dash is a minus"],
            "{code}"
        );
    }
}

#[test]
fn json_keeps_its_texts_and_compiles_its_expressions() {
    let given = json!({ "a": "{% $params.kb %}", "b": ["x", "", "{% 1"], "c": null });
    assert_eq!(
        value(&given, &scope()).unwrap(),
        json!({ "a": "{% $params.kb %}", "b": ["x", "{% \"\" %}", "{% 1"], "c": null })
    );
    assert_eq!(value(&json!(["{% $params.a %}", "{% $params.b %}"]), &scope()).unwrap_err().len(), 2);
}

#[test]
fn arguments_must_have_a_value_and_arrays_stay_arrays() {
    let argument = |given| argument(&given, &scope(), "parameter A").unwrap();
    assert_eq!(argument(json!({ "a": [1, "x\"y", null, {}] })), "{\"a\": [1, \"x\\\"y\", null, {}]}");
    assert_eq!(
        argument(json!("{% $params.kb %}")),
        "( $v := ($params.kb); $exists($v) ? ($v) : $error(\"the expression for parameter A gave nothing\") )"
    );
    let array = argument(json!([1, "{% $params.kb %}"]));
    assert!(array.starts_with("$append($append([], [1]), ( $v := ($params.kb);"), "{array}");
    assert!(array.contains("$type($v) = \"array\" ? [[$v]] : [$v]"), "{array}");
}

#[test]
fn only_what_has_both_marks_is_an_expression() {
    assert_eq!(code("{% 1 + 1 %}"), Some("1 + 1"));
    for text in ["1", "{% 1", "1 %}", " {% 1 %}", "{{ 1 }}"] {
        assert_eq!(code(text), None, "{text}");
    }
}
