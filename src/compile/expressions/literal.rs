//! JSON of a manifest with expressions in it, as fields of a state and as one expression.

use serde_json::{Map, Value};

use super::super::asl::{expression, quoted, text};
use super::{Scope, code, compile};

/// JSON as the value of a state's field: Step Functions evaluates the expressions in it.
///
/// # Errors
/// What is wrong with expressions in it.
pub fn value(json: &Value, scope: &Scope) -> Result<Value, Vec<String>> {
    match json {
        Value::String(given) => match code(given) {
            Some(code) => Ok(Value::String(expression(&compile(code, scope)?))),
            None => Ok(Value::String(text(given))),
        },
        Value::Array(items) => collect(items.iter().map(|item| value(item, scope))).map(Value::Array),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, field)| Ok((key.clone(), value(field, scope)?)));
            collect(fields).map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>()))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(json.clone()),
    }
}

/// JSON as one JSONata expression, for use inside of another. An expression in it that gives nothing is an error when it is evaluated: a script must not
/// run without an argument that it was to have. `name` names it in that error.
///
/// # Errors
/// What is wrong with expressions in it.
pub fn argument(json: &Value, scope: &Scope, name: &str) -> Result<String, Vec<String>> {
    match json {
        Value::String(given) => match code(given) {
            Some(code) => Ok(present(&compile(code, scope)?, name, "$v")),
            None => Ok(quoted(given)),
        },
        Value::Array(items) => {
            let items = collect(items.iter().map(|item| element(item, scope, name)))?;
            Ok(array(&items))
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, field)| {
                Ok(format!("{}: {}", quoted(key), argument(field, scope, &format!("{name}.{key}"))?))
            });
            Ok(format!("{{{}}}", collect(fields)?.join(", ")))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(json.to_string()),
    }
}

/// An element of an array: its text, and whether it is an array of one that must be appended. JSONata's array constructor runs an array that an
/// expression gives into the one around it.
fn element(json: &Value, scope: &Scope, name: &str) -> Result<(String, bool), Vec<String>> {
    match json.as_str().and_then(code) {
        Some(code) => {
            let wrapped = "$type($v) = \"array\" ? [[$v]] : [$v]";
            Ok((present(&compile(code, scope)?, name, wrapped), true))
        }
        None => Ok((argument(json, scope, name)?, false)),
    }
}

fn array(items: &[(String, bool)]) -> String {
    if items.iter().all(|(_, computed)| !computed) {
        let items: Vec<&str> = items.iter().map(|(item, _)| item.as_str()).collect();
        return format!("[{}]", items.join(", "));
    }
    items.iter().fold("[]".to_owned(), |before, (item, computed)| {
        if *computed { format!("$append({before}, {item})") } else { format!("$append({before}, [{item}])") }
    })
}

fn present(code: &str, name: &str, result: &str) -> String {
    let nothing = quoted(&format!("the expression for {name} gave nothing"));
    format!("( $v := ({code}); $exists($v) ? ({result}) : $error({nothing}) )")
}

/// All the results, or all that is wrong.
fn collect<T>(results: impl Iterator<Item = Result<T, Vec<String>>>) -> Result<Vec<T>, Vec<String>> {
    let (mut good, mut wrong) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => good.push(value),
            Err(faults) => wrong.extend(faults),
        }
    }
    if wrong.is_empty() { Ok(good) } else { Err(wrong) }
}
