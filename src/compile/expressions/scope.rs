//! What an expression may refer to at its place, and the variables of the state machine that stand behind it.
//!
//! Each step's result is a variable of its own, `steps_<path>`: Step Functions limits one variable to 256 KiB, and a `$steps` that held all results
//! would come to its end in a long workflow. An expression that refers to `$steps` is put behind a line that builds it from the variables it uses.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::super::asl::quoted;
use super::analysis::Reference;

/// Fields of `$run`.
const RUN: [&str; 5] = ["id", "uid", "name", "namespace", "started"];
/// Fields of `$failure`.
const FAILURE: [&str; 4] = ["step", "node", "error", "cause"];

/// Fields of `$node`.
const NODE: [&str; 3] = ["id", "name", "tags"];

/// A step whose result can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The variable that its result is in.
    pub variable: String,
    /// The fields that its result can have.
    pub fields: Vec<&'static str>,
    /// The steps inside of it, whose results are in `steps`.
    pub inner: BTreeMap<String, Entry>,
    /// Whether these results are in its own variable, rather than in theirs: they were made in a scope that ends with it.
    pub embedded: bool,
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
    /// Whether there is a node: inside of `forEachNode`.
    pub node: bool,
    /// Whether there is an item: inside of `forEach`.
    pub item: bool,
    /// Whether more may be in scope than is known here: a block that nothing calls.
    pub open: bool,
    /// What is used, by all expressions of a workflow.
    pub uses: Uses,
}

/// What expressions use of the variables of results: the variable, and the fields behind it as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses(Rc<RefCell<BTreeSet<Vec<String>>>>);

impl Uses {
    /// Notes a use.
    pub fn note(&self, variable: &str, fields: &[String]) {
        let used = std::iter::once(variable.to_owned()).chain(fields.iter().cloned()).collect();
        self.0.borrow_mut().insert(used);
    }

    /// Notes a use of a step's result where it is made: what is used of the steps inside of it is used of their variables.
    pub fn hand_down(&self, entry: &Entry, fields: &[String]) {
        self.note(&entry.variable, fields);
        if entry.embedded {
            return;
        }
        match fields {
            [steps, name, rest @ ..] if steps == "steps" => {
                if let Some(inner) = entry.inner.get(name) {
                    self.hand_down(inner, rest);
                }
            }
            [field, ..] if field != "steps" => {}
            _ => entry.inner.values().for_each(|inner| self.hand_down(inner, &[])),
        }
    }

    /// What is used of a variable, as fields behind it. An empty one: all of it.
    #[must_use]
    pub fn of(&self, variable: &str) -> Vec<Vec<String>> {
        let used = self.0.borrow();
        let these = used.iter().filter_map(|used| used.split_first()).filter(|(first, _)| *first == variable);
        these.map(|(_, fields)| fields.to_vec()).collect()
    }
}

impl Entry {
    /// The same for a child execution, which has what it uses of it in one variable of its own.
    #[must_use]
    pub fn handed(&self, given: &str) -> Self {
        let inner = self.inner.iter();
        let inner =
            inner.map(|(name, entry)| (name.clone(), if self.embedded { entry.clone() } else { entry.handed(given) }));
        Self { variable: format!("{given}.{}", key(&self.variable)), inner: inner.collect(), ..self.clone() }
    }

    /// The same for whoever has it in another variable, after the scope that it was made in has ended.
    #[must_use]
    pub fn within(&self, variable: &str, name: &str) -> Self {
        Self { variable: format!("{variable}.steps.{}", written(name)), embedded: true, ..self.clone() }
    }

    /// It and the steps inside of it that have variables of their own, each with its variable.
    pub fn all(&self, found: &mut Vec<(Self, String)>) {
        found.push((self.clone(), self.variable.clone()));
        if !self.embedded {
            self.inner.values().for_each(|entry| entry.all(found));
        }
    }
}

/// A variable, or what stands in one (`given_a.steps_b`), as a key of an object: `given_a_steps_b`.
#[must_use]
pub fn key(variable: &str) -> String {
    variable.chars().filter(|c| *c != '`').map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// What a scope that ends hands out of a step's result: the fields that are used further on, in JSONata. `own` is the result, in JSONata; `used` are fields
/// behind it, see [`Uses::of`].
#[must_use]
pub fn export(own: &str, entry: &Entry, used: &[Vec<String>]) -> String {
    let whole = used.iter().any(Vec::is_empty);
    let mut fields: BTreeMap<&str, Vec<Vec<String>>> = BTreeMap::new();
    for (field, rest) in used.iter().filter_map(|used| used.split_first()) {
        fields.entry(field).or_default().push(rest.to_vec());
    }
    let inner_whole = whole || fields.get("steps").is_some_and(|used| used.iter().any(Vec::is_empty));
    let steps: Vec<String> = entry
        .inner
        .iter()
        .filter_map(|(name, inner)| {
            let own =
                if entry.embedded { format!("{own}.steps.{}", written(name)) } else { format!("${}", inner.variable) };
            let used: Vec<Vec<String>> = fields
                .get("steps")
                .into_iter()
                .flatten()
                .filter_map(|used| used.split_first())
                .filter(|(first, _)| *first == name)
                .map(|(_, rest)| rest.to_vec())
                .collect();
            if inner_whole {
                return Some(format!("{}: {}", quoted(name), export(&own, inner, &[Vec::new()])));
            }
            (!used.is_empty()).then(|| format!("{}: {}", quoted(name), export(&own, inner, &used)))
        })
        .collect();
    let steps = (!steps.is_empty()).then(|| format!("\"steps\": {{{}}}", steps.join(", ")));
    if whole {
        return steps.map_or_else(|| own.to_owned(), |steps| format!("$merge([{own}, {{{steps}}}])"));
    }
    fields.insert("skipped", Vec::new());
    let plain =
        fields.keys().filter(|field| **field != "steps").map(|field| format!("{}: {own}.{field}", quoted(field)));
    format!("{{{}}}", plain.chain(steps).collect::<Vec<_>>().join(", "))
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
                Some("$failure is there only inside of onError, onFailure and finally".to_owned())
            }
            ("failure", Some(name)) if !FAILURE.contains(&name) => {
                Some(format!("$failure.{name}: $failure has {}", FAILURE.join(", ")))
            }
            ("steps", _) => self.steps_fault(&reference.fields),
            ("node", _) if !self.node && !self.open => Some("$node is there only inside of forEachNode".to_owned()),
            ("node", Some(name)) if !NODE.contains(&name) => {
                Some(format!("$node.{name}: $node has {}", NODE.join(", ")))
            }
            ("item", _) if !self.item && !self.open => Some("$item is there only inside of forEach".to_owned()),
            ("params" | "run" | "failure" | "node" | "item", _) => None,
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
            .filter_map(|(name, rests)| {
                Some(format!("{}: {}", quoted(name), self.value(self.steps.get(*name)?, rests)))
            })
            .collect();
        if !steps.is_empty() {
            front = format!("$steps := {{{}}}; ", steps.join(", "));
        }
        if let Some(variable) = failure {
            self.uses.note(variable, &["failure".to_owned()]);
            front = format!("{front}$failure := ${variable}.failure; ");
        }
        if front.is_empty() { code.to_owned() } else { format!("( {front}{code} )") }
    }

    /// The value of a step's entry in `$steps`, with the results of the steps inside of it where they are asked for.
    fn value(&self, entry: &Entry, rests: &[&[String]]) -> String {
        let own = format!("${}", entry.variable);
        if entry.inner.is_empty() || entry.embedded {
            for rest in rests {
                self.uses.note(&entry.variable, rest);
            }
            return own;
        }
        self.uses.note(&entry.variable, &[]);
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
            .filter_map(|(name, rests)| {
                Some(format!("{}: {}", quoted(name), self.value(entry.inner.get(*name)?, rests)))
            })
            .collect();
        if inner.is_empty() { own } else { format!("$merge([{own}, {{\"steps\": {{{}}}}}])", inner.join(", ")) }
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

/// A name as it is written in an expression.
fn written(name: &str) -> String {
    if name.contains('-') { format!("`{name}`") } else { name.to_owned() }
}

fn list<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
