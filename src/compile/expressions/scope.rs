//! What an expression may refer to at its place, and the variables of the state machine that stand behind it.
//!
//! Each step's result is a variable of its own, `steps_<path>`: Step Functions limits one variable to 256 KiB, and a `$steps` that held all results
//! would come to its end in a long workflow. An expression that refers to `$steps` is put behind a line that builds it from the variables it uses.

use std::collections::{BTreeMap, BTreeSet};

use super::super::asl::quoted;
use super::analysis::Reference;

/// Fields of `$run`.
const RUN: [&str; 5] = ["id", "uid", "name", "namespace", "started"];
/// Fields of `$failure`.
const FAILURE: [&str; 4] = ["step", "node", "error", "cause"];

/// A step whose result can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The variable that its result is in.
    pub variable: String,
    /// The fields that its result can have.
    pub fields: Vec<&'static str>,
    /// The steps inside of it, whose results are in `steps`.
    pub inner: BTreeMap<String, Entry>,
    /// What to say of `output` and `stdout` where it has none.
    pub no_output: Option<&'static str>,
}

/// What is in scope at some place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// The workflow's parameters.
    pub parameters: BTreeSet<String>,
    /// The steps that have run by then.
    pub steps: BTreeMap<String, Entry>,
    /// The steps that come later, or are the very one that asks.
    pub later: BTreeSet<String>,
    /// The variable that the failure is in, inside of a handler.
    pub failure: Option<String>,
    /// Whether more may be in scope than is known here: a block that nothing calls.
    pub open: bool,
}

impl Scope {
    /// What is wrong with a reference; none when nothing is.
    pub(super) fn fault(&self, reference: &Reference) -> Option<String> {
        let field = reference.fields.first().map(String::as_str);
        match (reference.variable.as_str(), field) {
            ("params", Some(name)) if !self.parameters.contains(name) => {
                Some(format!("$params.{name}: there is no such parameter; there is: {}", list(&self.parameters)))
            }
            ("run", Some(name)) if !RUN.contains(&name) => Some(format!("$run.{name}: $run has {}", RUN.join(", "))),
            ("failure", _) if self.failure.is_none() && !self.open => {
                Some("$failure is there only inside of onError".to_owned())
            }
            ("failure", Some(name)) if !FAILURE.contains(&name) => {
                Some(format!("$failure.{name}: $failure has {}", FAILURE.join(", ")))
            }
            ("params" | "run" | "failure", _) => None,
            ("steps", _) => self.steps_fault(&reference.fields),
            ("node", _) => Some("$node is there only inside of forEachNode".to_owned()),
            ("item", _) => Some("$item is there only inside of forEach".to_owned()),
            (other, _) => Some(format!(
                "${other} is not known here: there are $params, $steps, $run, and $failure inside of onError"
            )),
        }
    }

    fn steps_fault(&self, fields: &[String]) -> Option<String> {
        let Some((name, rest)) = fields.split_first() else {
            return Some("$steps must be followed by the name of a step, as in $steps.drain".to_owned());
        };
        match self.steps.get(name) {
            Some(entry) => entry_fault(entry, &format!("$steps.{}", written(name)), rest),
            None if self.later.contains(name) => Some(format!(
                "$steps.{}: that step has not run yet here; only steps before this one can be read",
                written(name)
            )),
            None if self.open => None,
            None => Some(format!(
                "$steps.{}: there is no such step before this one; there is: {}",
                written(name),
                list(self.steps.keys())
            )),
        }
    }

    /// A step's name that has a dash and stands in an expression without backquotes, where the dash is a minus.
    pub(super) fn dashed(&self, code: &str) -> Option<String> {
        let names = self.steps.iter().flat_map(|(name, entry)| std::iter::once(name).chain(entry.inner.keys()));
        let mut dashed: Vec<&String> = names.chain(&self.later).filter(|name| name.contains('-')).collect();
        // The longest first: one name may begin with another.
        dashed.sort_by_key(|name| std::cmp::Reverse(name.len()));
        let name = dashed.into_iter().find(|name| code.contains(&format!("steps.{name}")))?;
        Some(format!("write $steps.{}: without backquotes a dash is a minus", written(name)))
    }

    /// The expression as a state evaluates it: `$steps` and `$failure` are built in front of it, from the variables that it needs.
    pub(super) fn bind<'a>(&self, code: &str, references: impl Iterator<Item = &'a Reference>) -> String {
        let mut wanted: BTreeMap<&str, Vec<&[String]>> = BTreeMap::new();
        let mut failure = None;
        for reference in references {
            match (reference.variable.as_str(), reference.fields.split_first()) {
                ("steps", Some((name, rest))) => wanted.entry(name).or_default().push(rest),
                ("failure", _) => failure = self.failure.as_ref(),
                _ => {}
            }
        }
        let mut front = String::new();
        let steps: Vec<String> = wanted
            .iter()
            .filter_map(|(name, rests)| Some(format!("{}: {}", quoted(name), value(self.steps.get(*name)?, rests))))
            .collect();
        if !steps.is_empty() {
            front = format!("$steps := {{{}}}; ", steps.join(", "));
        }
        if let Some(variable) = failure {
            front = format!("{front}$failure := ${variable}.failure; ");
        }
        if front.is_empty() { code.to_owned() } else { format!("( {front}{code} )") }
    }
}

fn entry_fault(entry: &Entry, shown: &str, rest: &[String]) -> Option<String> {
    let (field, rest) = rest.split_first()?;
    if field == "steps" && !entry.inner.is_empty() {
        let (name, rest) = rest.split_first()?;
        let shown = format!("{shown}.steps.{}", written(name));
        return match entry.inner.get(name) {
            Some(inner) => entry_fault(inner, &shown, rest),
            None => {
                Some(format!("{shown}: there is no such step inside of it; there is: {}", list(entry.inner.keys())))
            }
        };
    }
    match entry.no_output {
        Some(why) if field == "output" || field == "stdout" => return Some(format!("{shown}.{field}: {why}")),
        _ => {}
    }
    // Of a step that cannot be read nothing is known.
    if entry.fields.is_empty() || entry.fields.contains(&field.as_str()) {
        return None;
    }
    let more = if entry.inner.is_empty() { "" } else { ", steps" };
    Some(format!("{shown}.{field}: the step's result has {}{more}", entry.fields.join(", ")))
}

/// The value of a step's entry in `$steps`, with the results of the steps inside of it where they are asked for.
fn value(entry: &Entry, rests: &[&[String]]) -> String {
    let own = format!("${}", entry.variable);
    if entry.inner.is_empty() {
        return own;
    }
    let mut wanted: BTreeMap<&str, Vec<&[String]>> = BTreeMap::new();
    for rest in rests {
        match rest {
            [steps, name, rest @ ..] if steps == "steps" => wanted.entry(name).or_default().push(rest),
            [field, ..] if field != "steps" => {}
            _ => {
                for name in entry.inner.keys() {
                    wanted.entry(name).or_default().push(&[]);
                }
            }
        }
    }
    let inner: Vec<String> = wanted
        .iter()
        .filter_map(|(name, rests)| Some(format!("{}: {}", quoted(name), value(entry.inner.get(*name)?, rests))))
        .collect();
    if inner.is_empty() { own } else { format!("$merge([{own}, {{\"steps\": {{{}}}}}])", inner.join(", ")) }
}

/// A name as it is written in an expression.
fn written(name: &str) -> String {
    if name.contains('-') { format!("`{name}`") } else { name.to_owned() }
}

fn list<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
