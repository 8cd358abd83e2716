//! What is wrong with a manifest, in words for its author.

use std::fmt;

/// One thing that is wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: `spec.steps[0].powershell.script`, `spec.blocks[1].steps[2].when`.
    pub path: String,
    /// Line and column within the text at `path` (both from 1), where it is a script.
    pub at: Option<(usize, usize)>,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl Problem {
    /// A problem with the value at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), at: None, message: message.into() }
    }

    /// The same, at a line and column within the text.
    #[must_use]
    pub fn at(mut self, line: usize, column: usize) -> Self {
        self.at = Some((line, column));
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path)?;
        if let Some((line, column)) = self.at {
            write!(f, " (line {line}, column {column})")?;
        }
        write!(f, ": {}", self.message)
    }
}
