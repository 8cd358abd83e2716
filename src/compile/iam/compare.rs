//! Comparing policy documents by meaning.
//!
//! IAM stores documents with statements and lists in another order and with lists of one element collapsed. Two documents mean the same
//! when they are equal after undoing that.

use serde_json::{Map, Value};

/// Whether two policy documents mean the same.
#[must_use]
pub fn same_meaning(one: &Value, other: &Value) -> bool {
    normal(one) == normal(other)
}

fn normal(document: &Value) -> Value {
    let Value::Object(fields) = document else { return document.clone() };
    let mut result = Map::new();
    let mut keys: Vec<&String> = fields.keys().collect();
    keys.sort();
    for key in keys {
        let Some(value) = fields.get(key) else { continue };
        let value = if key == "Statement" { set(value, statement) } else { value.clone() };
        result.insert(key.clone(), value);
    }
    Value::Object(result)
}

fn statement(value: &Value) -> Value {
    let Value::Object(fields) = value else { return value.clone() };
    sorted(fields, |key, value| match key {
        "Action" | "NotAction" => set(value, |action| match action {
            // Actions are compared without case (IAM reference, "Action").
            Value::String(text) => Value::String(text.to_lowercase()),
            other => other.clone(),
        }),
        "Resource" | "NotResource" => set(value, Value::clone),
        "Principal" | "NotPrincipal" => each(value, |who| set(who, Value::clone)),
        "Condition" => each(value, |tests| each(tests, |values| set(values, text))),
        _ => value.clone(),
    })
}

/// Numbers and booleans in conditions are stored as text.
fn text(value: &Value) -> Value {
    match value {
        Value::Bool(_) | Value::Number(_) => Value::String(value.to_string()),
        other => other.clone(),
    }
}

fn each(value: &Value, inner: impl Fn(&Value) -> Value) -> Value {
    match value {
        Value::Object(fields) => sorted(fields, |_, value| inner(value)),
        other => other.clone(),
    }
}

fn sorted(fields: &Map<String, Value>, inner: impl Fn(&str, &Value) -> Value) -> Value {
    let mut pairs: Vec<(&String, &Value)> = fields.iter().collect();
    pairs.sort_by_key(|(key, _)| *key);
    Value::Object(pairs.into_iter().map(|(key, value)| (key.clone(), inner(key, value))).collect())
}

/// A list without order or repetition; a single value is a list of one.
fn set(value: &Value, inner: impl Fn(&Value) -> Value) -> Value {
    let mut items: Vec<Value> = match value {
        Value::Array(items) => items.iter().map(inner).collect(),
        single => vec![inner(single)],
    };
    items.sort_by_key(ToString::to_string);
    items.dedup();
    Value::Array(items)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn order_and_single_elements_do_not_matter() {
        let one = json!({ "Version": "2012-10-17", "Statement": [
            { "Sid": "A", "Effect": "Allow", "Action": ["ssm:SendCommand"], "Resource": ["b", "a"], "Condition": { "StringEquals": { "k": ["v"] } } },
            { "Sid": "B", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*" }] });
        let other = json!({ "Statement": [
            { "Effect": "Allow", "Sid": "B", "Action": ["S3:getobject"], "Resource": ["*"] },
            { "Condition": { "StringEquals": { "k": "v" } }, "Sid": "A", "Effect": "Allow", "Action": "ssm:SendCommand", "Resource": ["a", "b"] }],
            "Version": "2012-10-17" });
        assert!(same_meaning(&one, &other));
    }

    #[test]
    fn everything_else_does() {
        let base = json!({ "Statement": { "Effect": "Allow", "Action": "a:B", "Resource": "r", "Condition": { "StringEquals": { "k": "v" } } } });
        for (path, value) in [
            ("/Statement/Effect", json!("Deny")),
            ("/Statement/Action", json!("a:C")),
            ("/Statement/Resource", json!("R")),
            ("/Statement/Condition/StringEquals/k", json!("w")),
        ] {
            let mut changed = base.clone();
            *changed.pointer_mut(path).unwrap() = value;
            assert!(!same_meaning(&base, &changed), "{path}");
        }
    }
}
