//! Expressions: `{% … %}`, with JSONata between.

mod analysis;
mod literal;
mod scope;

pub use literal::{argument, value};
pub use scope::{Entry, Scope, Uses, export, key};

/// The JSONata of a text that is an expression.
#[must_use]
pub fn code(text: &str) -> Option<&str> {
    text.strip_prefix("{%").and_then(|rest| rest.strip_suffix("%}")).map(str::trim)
}

/// Compiles an author's JSONata at a place: checks it, and gives what a state evaluates.
///
/// # Errors
/// What is wrong with it, all of it.
pub fn compile(code: &str, scope: &Scope) -> Result<String, Vec<String>> {
    if code.is_empty() {
        return Err(vec!["the expression is empty".to_owned()]);
    }
    if let Some(dashed) = scope.dashed(code) {
        return Err(vec![dashed]);
    }
    let findings = analysis::analyse(code).map_err(|message| vec![format!("not JSONata: {message}, in: {code}")])?;
    let mut faults = findings.faults;
    faults.extend(findings.references.iter().filter_map(|reference| scope.fault(reference)));
    if faults.is_empty() { Ok(scope.bind(code, findings.references.iter())) } else { Err(faults) }
}

#[cfg(test)]
mod tests;
