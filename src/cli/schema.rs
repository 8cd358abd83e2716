//! Checking a manifest against the schema of its kind, as the API server does, but with lines and suggestions.
//!
//! What the API server checks and this does not: rules in CEL, which [`super::kinds`] evaluates.

use std::collections::HashMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps as Schema, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use regex_lite::Regex;
use serde_json::{Map, Value};

use crate::api::duration::{self, Span};
use crate::api::steps;

use super::suggest::{hint, nearest};
use super::yaml::{Entry, Marked, Node};

/// One thing that is wrong with a manifest, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Issue {
    /// Line, from 1.
    pub line: usize,
    /// Path of the field, as in `spec.steps[0].name`.
    pub path: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

/// Longest part of a value that a message shows.
const SHOWN: usize = 60;

/// Checks `value` at `path` and gives it as JSON, without the nulls that the API server drops too.
pub fn check(schema: &Schema, value: &Marked, path: &str, issues: &mut Vec<Issue>) -> Value {
    Check { path: path.to_owned(), line: value.line, issues }.value(schema, value)
}

struct Check<'a> {
    path: String,
    line: usize,
    issues: &'a mut Vec<Issue>,
}

impl Check<'_> {
    fn refuse(&mut self, message: impl Into<String>) {
        self.issues.push(Issue { line: self.line, path: self.path.clone(), message: message.into() });
    }

    fn inner(&mut self, path: String, line: usize) -> Check<'_> {
        Check { path, line, issues: self.issues }
    }

    fn value(&mut self, schema: &Schema, value: &Marked) -> Value {
        if schema.x_kubernetes_int_or_string == Some(true) && matches!(&value.node, Node::Number(_) | Node::Text(_)) {
            return Value::from(value);
        }
        if let Some(wanted) = &schema.type_
            && !fits(wanted, &value.node)
        {
            let duration = schema.pattern.as_deref() == Some(duration::PATTERN);
            let hint = if duration { ": a duration is a number and a unit, as in 90s, 10m, 2h or 3d" } else { "" };
            self.refuse(format!("{}{hint}", mistyped(wanted, &value.node, duration)));
            return Value::Null;
        }
        match &value.node {
            Node::Text(text) => self.text(schema, text),
            Node::Number(number) => self.number(schema, number.as_f64().unwrap_or_default()),
            Node::List(items) => return self.list(schema, items),
            Node::Map(entries) => return self.map(schema, entries),
            Node::Bool(_) | Node::Null => {}
        }
        Value::from(value)
    }

    fn text(&mut self, schema: &Schema, text: &str) {
        let characters = text.chars().count();
        if let Some(most) = schema.max_length.filter(|most| exceeds(characters, *most)) {
            self.refuse(format!("has {characters} characters, {most} at most"));
            return;
        }
        if let Some(fewest) = schema.min_length.filter(|fewest| below(characters, *fewest)) {
            self.refuse(if text.is_empty() {
                "must not be empty".to_owned()
            } else {
                format!("has {characters} characters, at least {fewest} are needed")
            });
            return;
        }
        if let Some(allowed) = &schema.enum_ {
            let words: Vec<&str> = allowed.iter().filter_map(|word| word.0.as_str()).collect();
            if !words.contains(&text) {
                self.refuse(format!("\"{}\" is none of {}{}", cut(text), words.join(", "), near(text, &words)));
            }
        }
        match schema.pattern.as_deref() {
            Some(duration::PATTERN) => {
                // More than the pattern says: also that it is a year at most.
                if let Err(error) = text.parse::<Span>() {
                    self.refuse(error.to_string());
                }
            }
            Some(steps::EXPRESSION_PATTERN) if !(text.starts_with("{%") && text.ends_with("%}")) => {
                self.refuse(format!("\"{}\" is not an expression: write it between {{% and %}}", cut(text)));
            }
            Some(pattern) if !Regex::new(pattern).is_ok_and(|regex| regex.is_match(text)) => {
                self.refuse(format!("\"{}\" does not match {pattern}", cut(text)));
            }
            _ => {}
        }
        if schema.format.as_deref() == Some("date-time") && text.parse::<jiff::Timestamp>().is_err() {
            self.refuse(format!("\"{}\" is not a time: write it as in 2030-01-31T18:00:00Z", cut(text)));
        }
    }

    fn number(&mut self, schema: &Schema, number: f64) {
        if let Some(least) = schema.minimum.filter(|least| number < *least) {
            self.refuse(format!("is {number}, {least} at least"));
        }
        if let Some(most) = schema.maximum.filter(|most| number > *most) {
            self.refuse(format!("is {number}, {most} at most"));
        }
    }

    fn list(&mut self, schema: &Schema, items: &[Marked]) -> Value {
        if let Some(most) = schema.max_items.filter(|most| exceeds(items.len(), *most)) {
            self.refuse(format!("has {} items, {most} at most", items.len()));
        }
        if let Some(fewest) = schema.min_items.filter(|fewest| below(items.len(), *fewest)) {
            self.refuse(format!("has {} items, at least {fewest} needed", items.len()));
        }
        self.distinct(schema, items);
        let inner = match &schema.items {
            Some(JSONSchemaPropsOrArray::Schema(inner)) => Some(inner.as_ref()),
            _ => None,
        };
        let values = items.iter().enumerate().map(|(index, item)| {
            let mut check = self.inner(format!("{}[{index}]", self.path), item.line);
            inner.map_or_else(|| Value::from(item), |schema| check.value(schema, item))
        });
        Value::Array(values.collect())
    }

    /// Lists that are maps by some keys, or sets, hold nothing twice.
    fn distinct(&mut self, schema: &Schema, items: &[Marked]) {
        let keys = match schema.x_kubernetes_list_type.as_deref() {
            Some("map") => schema.x_kubernetes_list_map_keys.clone().unwrap_or_default(),
            Some("set") => Vec::new(),
            _ => return,
        };
        let mut seen: HashMap<String, usize> = HashMap::new();
        for (index, item) in items.iter().enumerate() {
            let Some(id) = identity(item, &keys) else { continue };
            match seen.get(&id) {
                Some(first) => {
                    let message = format!("{id} stands twice in this list, first in line {first}");
                    self.inner(format!("{}[{index}]", self.path), item.line).refuse(message);
                }
                None => drop(seen.insert(id, item.line)),
            }
        }
    }

    fn map(&mut self, schema: &Schema, entries: &[Entry]) -> Value {
        let free = schema.x_kubernetes_preserve_unknown_fields == Some(true);
        let known = schema.properties.as_ref();
        let mut object = Map::new();
        let mut meant = Vec::new();
        for entry in entries {
            let path = if self.path.is_empty() { entry.key.clone() } else { format!("{}.{}", self.path, entry.key) };
            let field = known.and_then(|known| known.get(&entry.key));
            let additional = match &schema.additional_properties {
                Some(JSONSchemaPropsOrBool::Schema(inner)) => Some(inner.as_ref()),
                _ => None,
            };
            match field.or(additional) {
                // As the API server does it: a null where none may stand is as if it were not there.
                Some(inner) if entry.value.node == Node::Null && inner.nullable != Some(true) => {}
                Some(inner) => {
                    let value = self.inner(path, entry.line).value(inner, &entry.value);
                    object.insert(entry.key.clone(), value);
                }
                None if free || known.is_none() => drop(object.insert(entry.key.clone(), Value::from(&entry.value))),
                None => {
                    let words: Vec<&str> = known.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
                    let message = format!("unknown field \"{}\"{}", entry.key, hint(&entry.key, words.clone()));
                    meant.extend(nearest(&entry.key, words));
                    self.inner(path, entry.line).refuse(message);
                }
            }
        }
        // One that is there under a misspelt name is not missed too.
        let there = |name: &str| object.contains_key(name) || meant.contains(&name);
        for name in schema.required.iter().flatten().filter(|name| !there(name)) {
            self.refuse(format!("\"{name}\" is required"));
        }
        if let Some(most) = schema.max_properties.filter(|most| exceeds(entries.len(), *most)) {
            self.refuse(format!("has {} entries, {most} at most", entries.len()));
        }
        if let Some(fewest) = schema.min_properties.filter(|fewest| below(entries.len(), *fewest)) {
            self.refuse(format!("has {} entries, at least {fewest} needed", entries.len()));
        }
        Value::Object(object)
    }
}

/// What makes an item of a list the one it is: `name "drain"`, or the item itself where there are no keys.
fn identity(item: &Marked, keys: &[String]) -> Option<String> {
    if keys.is_empty() {
        return Some(Value::from(item).to_string());
    }
    let parts: Option<Vec<String>> =
        keys.iter().map(|key| item.get(key).map(|value| format!("{key} {}", Value::from(value)))).collect();
    parts.map(|parts| parts.join(", "))
}

fn exceeds(count: usize, most: i64) -> bool {
    usize::try_from(most).is_ok_and(|most| count > most)
}

fn below(count: usize, fewest: i64) -> bool {
    usize::try_from(fewest).is_ok_and(|fewest| count < fewest)
}

fn near(wrong: &str, words: &[&str]) -> String {
    nearest(wrong, words.iter().copied()).map_or_else(String::new, |word| format!(", did you mean {word}?"))
}

fn cut(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() > SHOWN || line.len() < text.trim_end().len() {
        line.chars().take(SHOWN).chain(['…']).collect()
    } else {
        line.to_owned()
    }
}

fn fits(wanted: &str, node: &Node) -> bool {
    match node {
        Node::Null => false,
        Node::Bool(_) => wanted == "boolean",
        Node::Number(number) => wanted == "number" || (wanted == "integer" && (number.is_i64() || number.is_u64())),
        Node::Text(_) => wanted == "string",
        Node::List(_) => wanted == "array",
        Node::Map(_) => wanted == "object",
    }
}

/// What was found in place of what was wanted. `special` text has more to say than that quotes are missing.
fn mistyped(wanted: &str, node: &Node, special: bool) -> String {
    let wanted_words = match wanted {
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        _ => "a mapping",
    };
    let found = match node {
        Node::Null => "nothing".to_owned(),
        Node::Bool(value) => format!("the truth value {value}"),
        Node::Number(number) => format!("the number {number}"),
        Node::Text(text) => format!("the text \"{}\"", cut(text)),
        Node::List(_) => "a list".to_owned(),
        Node::Map(_) => "a mapping".to_owned(),
    };
    let hint = match (wanted, node) {
        ("string", Node::Bool(_) | Node::Number(_)) if !special => ": put it in quotes",
        ("integer" | "number", Node::Text(text)) if text.parse::<f64>().is_ok() => ": leave out the quotes",
        ("boolean", Node::Text(text)) if text == "true" || text == "false" => ": leave out the quotes",
        _ => "",
    };
    format!("must be {wanted_words}, found {found}{hint}")
}
