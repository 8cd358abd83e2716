//! Values for a workflow's parameters: checked against their declarations, defaults filled in.

use std::collections::BTreeMap;

use regex_lite::Regex;
use serde_json::{Map, Value};

use crate::api::parameters::{Parameter, ParameterType};

use super::problem::Problem;

/// Longest text.
const LONGEST: usize = 4096;
/// Largest whole number that JSON carries exactly: 2^53.
const LARGEST: i64 = 1 << 53;

/// What a run hands over, complete.
///
/// # Errors
/// A [`Problem`] for each value that is missing, unknown or not as declared.
pub fn resolve(declared: &[Parameter], given: &BTreeMap<String, Value>) -> Result<Map<String, Value>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut values = Map::new();
    for name in given.keys().filter(|name| !declared.iter().any(|parameter| parameter.name.0 == **name)) {
        let known: Vec<&str> = declared.iter().map(|parameter| parameter.name.0.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        problems.push(Problem::new(path(name), format!("the workflow has no parameter {name}; it has: {known}")));
    }
    for parameter in declared {
        let name = &parameter.name.0;
        let value = match given.get(name).or(parameter.default.as_ref()) {
            Some(value) => value,
            None if parameter.required => {
                problems.push(Problem::new(path(name), format!("parameter {name} is required: give it a value")));
                continue;
            }
            None => &Value::Null,
        };
        match check(parameter, value) {
            Ok(()) => {
                values.insert(name.clone(), value.clone());
            }
            Err(message) => problems.push(Problem::new(path(name), message)),
        }
    }
    if problems.is_empty() { Ok(values) } else { Err(problems) }
}

/// Checks the declarations themselves: defaults and allowed values are as declared, patterns are regular expressions.
pub(super) fn check_declared(declared: &[Parameter]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, parameter) in declared.iter().enumerate() {
        let at = format!("spec.parameters[{index}]");
        if let Some(pattern) = &parameter.pattern
            && let Err(error) = Regex::new(pattern)
        {
            problems.push(Problem::new(format!("{at}.pattern"), format!("not a regular expression: {error}")));
            continue;
        }
        for value in parameter.allowed.iter().flatten() {
            if let Err(message) = check(parameter, value) {
                problems.push(Problem::new(format!("{at}.allowed"), message));
            }
        }
        if parameter.required && parameter.default.is_some() {
            let name = &parameter.name.0;
            let message =
                format!("parameter {name} is required, so that its default is never used: leave out one of the two");
            problems.push(Problem::new(format!("{at}.default"), message));
        }
        if let Some(default) = &parameter.default
            && let Err(message) = check(parameter, default)
        {
            problems.push(Problem::new(format!("{at}.default"), message));
        }
    }
    problems
}

fn path(name: &str) -> String {
    format!("spec.parameters.{name}")
}

fn check_type(parameter: &Parameter, value: &Value) -> Result<(), String> {
    let name = &parameter.name.0;
    let fits = match parameter.type_ {
        ParameterType::String => value.is_string(),
        ParameterType::Integer => value.as_i64().is_some_and(|number| number.abs() <= LARGEST),
        ParameterType::Boolean => value.is_boolean(),
    };
    let wanted = match parameter.type_ {
        ParameterType::String => "text (quote it)",
        ParameterType::Integer => "a whole number",
        ParameterType::Boolean => "true or false",
    };
    if fits { Ok(()) } else { Err(format!("parameter {name} must be {wanted}, not {value}")) }
}

fn check(parameter: &Parameter, value: &Value) -> Result<(), String> {
    if value.is_null() && !parameter.required {
        return Ok(());
    }
    check_type(parameter, value)?;
    let name = &parameter.name.0;
    if let Some(allowed) = &parameter.allowed
        && !allowed.contains(value)
    {
        let list: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        return Err(format!("parameter {name} must be one of {}, not {value}", list.join(", ")));
    }
    if let Some(text) = value.as_str() {
        return check_text(parameter, text);
    }
    let outside = |number: i64| {
        parameter.minimum.is_some_and(|minimum| number < minimum)
            || parameter.maximum.is_some_and(|maximum| number > maximum)
    };
    match value.as_i64() {
        Some(number) if outside(number) => Err(format!("parameter {name} must be {}, not {number}", bounds(parameter))),
        _ => Ok(()),
    }
}

fn bounds(parameter: &Parameter) -> String {
    match (parameter.minimum, parameter.maximum) {
        (Some(minimum), Some(maximum)) => format!("between {minimum} and {maximum}"),
        (Some(minimum), None) => format!("{minimum} or more"),
        (None, Some(maximum)) => format!("{maximum} or less"),
        (None, None) => "a whole number".to_owned(),
    }
}

fn check_text(parameter: &Parameter, text: &str) -> Result<(), String> {
    let name = &parameter.name.0;
    let length = text.chars().count();
    let fewest = parameter.min_length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let most = parameter.max_length.and_then(|length| usize::try_from(length).ok()).unwrap_or(LONGEST);
    if length < fewest || length > most {
        return Err(format!("parameter {name} must have {fewest} to {most} characters, not {length}"));
    }
    if let Some(pattern) = &parameter.pattern {
        let regex = Regex::new(pattern)
            .map_err(|error| format!("the pattern of parameter {name} is no regular expression: {error}"))?;
        if !regex.is_match(text) {
            return Err(format!("parameter {name} must match {pattern}, and \"{text}\" does not"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn declared() -> Vec<Parameter> {
        serde_json::from_value(json!([
            { "name": "kb", "type": "String", "pattern": "^KB[0-9]{6,7}$", "required": true },
            { "name": "count", "type": "Integer", "default": 1, "minimum": 1, "maximum": 5 },
            { "name": "site", "type": "String", "allowed": ["dc1", "dc2"] },
            { "name": "dry", "type": "Boolean", "default": false },
            { "name": "least", "type": "Integer", "minimum": 3 },
        ]))
        .unwrap()
    }

    fn given(value: Value) -> BTreeMap<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn defaults_are_filled_in() {
        let values = resolve(&declared(), &given(json!({ "kb": "KB5046616", "count": 3 }))).unwrap();
        assert_eq!(
            Value::Object(values),
            json!({ "kb": "KB5046616", "count": 3, "site": null, "dry": false, "least": null })
        );
    }

    #[test]
    fn what_is_not_as_declared_is_refused() {
        for (values, message) in [
            (json!({}), "spec.parameters.kb: parameter kb is required: give it a value"),
            (json!({ "kb": "x" }), "spec.parameters.kb: parameter kb must match ^KB[0-9]{6,7}$, and \"x\" does not"),
            (json!({ "kb": 5 }), "spec.parameters.kb: parameter kb must be text (quote it), not 5"),
            (
                json!({ "kb": "KB504661", "count": 9 }),
                "spec.parameters.count: parameter count must be between 1 and 5, not 9",
            ),
            (
                json!({ "kb": "KB504661", "least": 2 }),
                "spec.parameters.least: parameter least must be 3 or more, not 2",
            ),
            (
                json!({ "kb": "KB504661", "count": 1.5 }),
                "spec.parameters.count: parameter count must be a whole number, not 1.5",
            ),
            (
                json!({ "kb": "KB504661", "site": "dc3" }),
                "spec.parameters.site: parameter site must be one of \"dc1\", \"dc2\", not \"dc3\"",
            ),
            (
                json!({ "kb": "KB504661", "kbb": 1 }),
                "spec.parameters.kbb: the workflow has no parameter kbb; it has: kb, count, site, dry, least",
            ),
        ] {
            let problems = resolve(&declared(), &given(values)).unwrap_err();
            assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [message]);
        }
    }
}
