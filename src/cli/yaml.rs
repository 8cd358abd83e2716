//! YAML with line numbers.
//!
//! [`parse`] reads all documents of a text into [`Marked`] nodes, each of which knows its line; [`Marked::line_of`] finds the line of a path such as
//! `spec.steps[0].powershell.script` again.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::NonFiniteFloatPolicy;
use serde_saphyr::{Spanned, UserMessageFormatter};

/// A node and the line that it begins in, from 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Marked {
    /// Line.
    pub line: usize,
    /// The node.
    pub node: Node,
}

/// What a node is. Scalars are what Kubernetes takes them for: `yes` is true.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Nothing, `null` or `~`.
    Null,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Marked>),
    /// A mapping, in the order of the text. Its keys are distinct.
    Map(Vec<Entry>),
}

/// An entry of a mapping.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Key.
    pub key: String,
    /// Line of the key, from 1.
    pub line: usize,
    /// Value.
    pub value: Marked,
}

/// A text that is not YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotYaml {
    /// Where, from 1.
    pub line: usize,
    /// Why.
    pub message: String,
}

/// All documents of a text; empty ones are left out.
///
/// # Errors
/// [`NotYaml`] at the first place that is not YAML, or has a key twice.
pub fn parse(text: &str) -> Result<Vec<Marked>, NotYaml> {
    let options = serde_saphyr::options! { with_snippet: false, non_finite_float_policy: NonFiniteFloatPolicy::Reject };
    let documents: Vec<Spanned<Node>> = serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        let line = error.location().map_or(1, |location| count(location.line()));
        let formatter = UserMessageFormatter;
        let rendered = error.without_snippet().render_with_formatter(&formatter);
        // The position stands before the message already.
        let message = rendered.rsplit_once(" at line ").map_or(rendered.as_str(), |(message, _)| message);
        let template = text.lines().nth(line.saturating_sub(1)).is_some_and(|line| line.contains("{{"));
        let hint = if template { "; if this is a template, render it first" } else { "" };
        NotYaml { line, message: format!("{message}{hint}") }
    })?;
    Ok(documents.into_iter().map(Marked::from).collect())
}

impl Marked {
    /// The value under a key, where this is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Node::Map(entries) = &self.node else { return None };
        entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The text, where this is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let Node::Text(text) = &self.node { Some(text) } else { None }
    }

    /// The items, where this is a list.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        if let Node::List(items) = &self.node { items } else { &[] }
    }

    /// The line of a path, or of the deepest part of it that exists. Keys with dots in them are found as well.
    #[must_use]
    pub fn line_of(&self, path: &str) -> usize {
        let mut here = self;
        let mut line = self.line;
        let mut rest = path;
        loop {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let next = match &here.node {
                Node::List(items) => {
                    index(rest).and_then(|(index, rest)| items.get(index).map(|item| (item, item.line, rest)))
                }
                Node::Map(entries) => entries
                    .iter()
                    .filter_map(|entry| {
                        let tail = rest.strip_prefix(entry.key.as_str())?;
                        let whole = tail.is_empty() || tail.starts_with(['.', '[']);
                        whole.then_some((&entry.value, entry.line, tail))
                    })
                    .min_by_key(|(_, _, tail)| tail.len()),
                _ => None,
            };
            match next {
                Some((value, found, tail)) if !rest.is_empty() => (here, line, rest) = (value, found, tail),
                _ => return line,
            }
        }
    }
}

/// `[3].name` → 3, `.name`.
fn index(path: &str) -> Option<(usize, &str)> {
    let (number, rest) = path.strip_prefix('[')?.split_once(']')?;
    Some((number.parse().ok()?, rest))
}

fn count(line: u64) -> usize {
    usize::try_from(line).unwrap_or(usize::MAX)
}

impl From<Spanned<Node>> for Marked {
    fn from(spanned: Spanned<Node>) -> Self {
        Self { line: count(spanned.referenced.line()), node: spanned.value }
    }
}

impl From<&Marked> for Value {
    fn from(marked: &Marked) -> Self {
        match &marked.node {
            Node::Null => Self::Null,
            Node::Bool(value) => Self::Bool(*value),
            Node::Number(number) => Self::Number(number.clone()),
            Node::Text(text) => Self::String(text.clone()),
            Node::List(items) => Self::Array(items.iter().map(Self::from).collect()),
            Node::Map(entries) => {
                Self::Object(entries.iter().map(|entry| (entry.key.clone(), Self::from(&entry.value))).collect())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML that JSON can hold")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        Number::from_f64(value).map(Node::Number).ok_or_else(|| E::custom("this number cannot be written in JSON"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element::<Spanned<Node>>()? {
            items.push(item.into());
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = access.next_entry::<Spanned<String>, Spanned<Node>>()? {
            entries.push(Entry { line: count(key.referenced.line()), key: key.value, value: value.into() });
        }
        Ok(Node::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# a comment\nspec:\n  steps:\n    - name: one\n      powershell:\n        script: |\n          Get-Date\n    - name: two\n  tags: {aws:a.b: [x]}\n---\nkind: B\n";

    #[test]
    fn lines_of_paths() {
        let documents = parse(TEXT).unwrap();
        let first = &documents[0];
        for (path, line) in [
            ("", 2),
            ("spec", 2),
            ("spec.steps", 3),
            ("spec.steps[0].name", 4),
            ("spec.steps[0].powershell.script", 6),
            ("spec.steps[1]", 8),
            ("spec.steps[1].powershell", 8),
            ("spec.steps[7].name", 3),
            ("spec.tags.aws:a.b[0]", 9),
            ("spec.nothing.here", 2),
        ] {
            assert_eq!(first.line_of(path), line, "{path}");
        }
        assert_eq!(documents[1].line_of("kind"), 11);
    }

    #[test]
    fn scalars_are_what_kubernetes_takes_them_for() {
        let documents = parse("{a: yes, b: ~, c: 007x, d: 1.5, e: '1', f: 2026-01-01, g: 111122223333, 8: x}").unwrap();
        let value = Value::from(&documents[0]);
        let expected = serde_json::json!({
            "a": true, "b": null, "c": "007x", "d": 1.5, "e": "1", "f": "2026-01-01", "g": 111_122_223_333_u64, "8": "x"
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn what_is_no_yaml_says_where_and_why() {
        let found: Vec<String> =
            ["a: 1\nb: 2\na: 3\n", "a: [1, 2\n", "a: 1\n\tb: 2\n", "kind: X\nname: {{ .Values.name }}\n", "a: .nan\n"]
                .into_iter()
                .map(|text| parse(text).unwrap_err())
                .map(|error| format!("{}: {}", error.line, error.message))
                .collect();
        let expected = [
            "3: duplicate mapping key `a` is not allowed here",
            "1: unclosed bracket '['",
            "1: while scanning a plain scalar, found a tab",
            "2: expected string scalar; if this is a template, render it first",
            "1: value `.nan` is not a finite number",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn empty_documents_are_left_out() {
        assert_eq!(parse("# nothing\n---\n---\na: 1\n---\n").unwrap().len(), 1);
    }
}
