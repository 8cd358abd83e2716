//! Expressions: `{% … %}`, JSONata between, evaluated by Step Functions.
//!
//! They are parsed at compile time, by a parser that passes the reference suite, so that a mistake is found before anything is deployed: syntax, names that
//! are not in scope, steps that have not run yet, and what Step Functions' JSONata 2.0.6 lacks.

use std::collections::BTreeSet;

use jsonata_core::parser;
use serde_json::Value;

use super::flow::quoted;

/// What an expression may name.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Parameters.
    pub params: BTreeSet<String>,
    /// Steps that have run.
    pub ran: BTreeSet<String>,
    /// Steps that exist here and have not run yet.
    pub later: BTreeSet<String>,
    /// Whether a failure is being handled.
    pub handler: bool,
}

/// Fields of `$run`.
const RUN: &[&str] = &["id", "uid", "name", "namespace", "started"];
/// Fields of `$failure`.
const FAILURE: &[&str] = &["step", "node", "error", "cause"];

/// The code of an expression; none when the text is none.
#[must_use]
pub fn code(text: &str) -> Option<&str> {
    let trimmed = text.trim();
    trimmed.strip_prefix("{%")?.strip_suffix("%}").map(str::trim)
}

/// What stands between the marks, or the text itself.
#[must_use]
pub fn inner(text: &str) -> &str {
    code(text).unwrap_or(text)
}

/// JSON with expressions in it, as one JSONata expression.
#[must_use]
pub fn to_jsonata(value: &Value) -> String {
    match value {
        Value::String(text) => code(text).map_or_else(|| quoted(text), |code| format!("({code})")),
        Value::Array(items) => format!("[{}]", items.iter().map(to_jsonata).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{}: {}", quoted(key), to_jsonata(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

/// Checks every expression in some JSON; gives what is wrong, each with the path below it.
pub fn check_json(value: &Value, names: &Names) -> Vec<(String, String)> {
    let mut found = Vec::new();
    walk_json(value, "", &mut |at, text| {
        if let Some(code) = code(text) {
            found.extend(check(code, names).into_iter().map(|message| (at.to_owned(), message)));
        } else if text.trim_start().starts_with("{%") {
            found.push((at.to_owned(), "an expression begins with {% and ends with %}".to_owned()));
        }
    });
    found
}

fn walk_json(value: &Value, at: &str, see: &mut impl FnMut(&str, &str)) {
    match value {
        Value::String(text) => see(at, text),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, item)| walk_json(item, &format!("{at}[{i}]"), see)),
        Value::Object(fields) => fields.iter().for_each(|(key, item)| walk_json(item, &format!("{at}.{key}"), see)),
        _ => {}
    }
}

/// Checks one expression's code; gives what is wrong.
#[must_use]
pub fn check(code: &str, names: &Names) -> Vec<String> {
    if code.is_empty() {
        return vec!["the expression is empty".to_owned()];
    }
    let tree = match parser::parse(code) {
        Ok(tree) => tree,
        Err(error) => return vec![format!("not JSONata: {error}")],
    };
    let Ok(tree) = serde_json::to_value(&tree) else {
        return vec!["the expression could not be looked into: this is a defect of Windlass, please report it".to_owned()];
    };
    let mut seen = Seen { names, code, problems: Vec::new(), bound: BTreeSet::new() };
    bound(&tree, &mut seen.bound);
    seen.node(&tree);
    let mut problems = seen.problems;
    problems.sort();
    problems.dedup();
    problems
}

/// Names that the expression binds itself: by `:=` and by function parameters.
fn bound(tree: &Value, names: &mut BTreeSet<String>) {
    match tree {
        Value::Object(fields) => {
            if let Some(lambda) = fields.get("Lambda") {
                let params = lambda.get("params").and_then(Value::as_array).into_iter().flatten();
                names.extend(params.filter_map(Value::as_str).map(|name| name.trim_start_matches('$').to_owned()));
            }
            if let Some(binary) = fields.get("Binary")
                && binary.get("op").and_then(Value::as_str) == Some("ColonEqual")
                && let Some(name) = binary.pointer("/lhs/Variable").and_then(Value::as_str)
            {
                names.insert(name.to_owned());
            }
            fields.values().for_each(|value| bound(value, names));
        }
        Value::Array(items) => items.iter().for_each(|value| bound(value, names)),
        _ => {}
    }
}

struct Seen<'a> {
    names: &'a Names,
    code: &'a str,
    problems: Vec<String>,
    bound: BTreeSet<String>,
}

impl Seen<'_> {
    fn node(&mut self, tree: &Value) {
        match tree {
            Value::Object(fields) => {
                for (key, value) in fields {
                    match (key.as_str(), value) {
                        ("Path", path) => {
                            self.path(path);
                            continue;
                        }
                        ("Variable", Value::String(name)) => self.variable(name, None),
                        ("Function", call) if call.get("name").and_then(Value::as_str) == Some("eval") => {
                            self.problems.push("$eval does not exist in Step Functions: write the expression itself".to_owned());
                        }
                        ("Binary", binary) => {
                            if let Some(op @ ("Coalesce" | "Default")) = binary.get("op").and_then(Value::as_str) {
                                let sign = if op == "Coalesce" { "??" } else { "?:" };
                                self.problems.push(format!(
                                    "{sign} is newer than the JSONata 2.0.6 of Step Functions: write $exists(a) ? a : b"
                                ));
                            }
                        }
                        _ => {}
                    }
                    self.node(value);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.node(item)),
            _ => {}
        }
    }

    fn path(&mut self, path: &Value) {
        let steps: Vec<&Value> = path.get("steps").and_then(Value::as_array).map(|steps| steps.iter().collect()).unwrap_or_default();
        let of = |index: usize, kind: &str| {
            steps.get(index).and_then(|step| step.get("node").unwrap_or(step).get(kind)).and_then(Value::as_str)
        };
        if let Some(variable) = of(0, "Variable") {
            self.variable(variable, of(1, "Name"));
        }
        for (index, step) in steps.iter().enumerate() {
            // The variable itself has been seen; its predicates and everything after have not.
            if index == 0 && of(0, "Variable").is_some() {
                if let Some(stages) = step.get("stages") {
                    self.node(stages);
                }
            } else {
                self.node(step);
            }
        }
    }

    fn variable(&mut self, name: &str, field: Option<&str>) {
        if name.is_empty() || self.bound.contains(name) {
            return;
        }
        let problem = match (name, field) {
            ("params", Some(field)) => self.unknown("$params", field, self.names.params.iter().map(String::as_str), "parameter"),
            ("run", Some(field)) => self.unknown("$run", field, RUN.iter().copied(), "field"),
            ("steps", Some(field)) => self.step(field),
            ("failure", _) if !self.names.handler => {
                Some("$failure is there only in handlers of onError".to_owned())
            }
            ("failure", Some(field)) => self.unknown("$failure", field, FAILURE.iter().copied(), "field"),
            ("params" | "run" | "steps" | "failure" | "$", _) => None,
            ("node" | "item", _) => Some(format!("${name} is not in scope here")),
            _ => Some(format!(
                "${name} is unknown: in scope are $params, $steps, $run{}",
                if self.names.handler { ", $failure" } else { "" }
            )),
        };
        self.problems.extend(problem);
    }

    fn unknown<'n>(&self, of: &str, field: &str, known: impl Iterator<Item = &'n str>, what: &str) -> Option<String> {
        let known: Vec<&str> = known.collect();
        if known.contains(&field) {
            return None;
        }
        let list = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Some(format!("{of}.{field}: there is no such {what}; there is: {list}"))
    }

    fn step(&self, field: &str) -> Option<String> {
        if self.names.ran.contains(field) {
            return None;
        }
        if self.names.later.contains(field) {
            return Some(format!("$steps.{field}: that step has not run yet here; only steps before this one can be read"));
        }
        // `a-b` without backticks is a minus b.
        let dashed = self.names.ran.iter().chain(&self.names.later).find(|name| {
            name.strip_prefix(field).is_some_and(|rest| rest.starts_with('-')) && self.code.contains(&format!("$steps.{name}"))
        });
        if let Some(name) = dashed {
            return Some(format!("$steps.{name} is read as a subtraction: write $steps.`{name}`"));
        }
        self.unknown("$steps", field, self.names.ran.iter().map(String::as_str), "step before this one")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names() -> Names {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Names { params: set(&["kb"]), ran: set(&["health", "back-out"]), later: set(&["last"]), handler: false }
    }

    #[test]
    fn good_expressions_pass() {
        for code in [
            "$steps.health.output.status != 200",
            "'Install ' & $params.kb",
            "$steps.`back-out`.succeeded > 0",
            "$run.name & $run.started",
            "$map($steps.health.nodes, function($n) { $n.id })",
            "( $x := 1; $x + 1 )",
            "$exists($params.kb) ? $params.kb : 'none'",
            "$string($steps.health.nodes[status = 'Success'])",
        ] {
            assert_eq!(check(code, &names()), Vec::<String>::new(), "{code}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (code, message) in [
            ("$params.kbb", "$params.kbb: there is no such parameter; there is: kb"),
            ("$steps.last.output", "$steps.last: that step has not run yet here; only steps before this one can be read"),
            ("$steps.nope.output", "$steps.nope: there is no such step before this one; there is: back-out, health"),
            ("$steps.back-out.succeeded", "$steps.back-out is read as a subtraction: write $steps.`back-out`"),
            ("$run.requester", "$run.requester: there is no such field; there is: id, uid, name, namespace, started"),
            ("$failure.cause", "$failure is there only in handlers of onError"),
            ("$node.id", "$node is not in scope here"),
            ("$foo", "$foo is unknown: in scope are $params, $steps, $run"),
            ("$eval('1')", "$eval does not exist in Step Functions: write the expression itself"),
            ("", "the expression is empty"),
            ("$steps.health[status = $params.nope]", "$params.nope: there is no such parameter; there is: kb"),
        ] {
            assert_eq!(check(code, &names()), [message], "{code}");
        }
        for (code, part) in [("1 +", "not JSONata"), ("$params.kb ?? 1", "?? is newer"), ("$params.kb ?: 1", "?: is newer")] {
            let found = check(code, &names());
            assert!(found.iter().any(|message| message.contains(part)), "{code}: {found:?}");
        }
    }

    #[test]
    fn json_becomes_one_expression() {
        let value = json!({ "a": "{% $params.kb %}", "b": ["x\"y", 1, null] });
        assert_eq!(to_jsonata(&value), "{\"a\": ($params.kb), \"b\": [\"x\\\"y\", 1, null]}");
        assert_eq!(check_json(&json!({ "a": ["{% $foo %}"] }), &names())[0].0, ".a[0]");
        assert_eq!(check_json(&json!("{% 1"), &names()).len(), 1);
    }
}
