//! How a verb ends, and writing to standard output.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// How a verb ended that did what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is well: exit code 0.
    Good,
    /// The answer is that something is wrong with what was asked about: exit code 1.
    Problems,
}

/// Why a verb could not do what it was asked for: exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A file or folder could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("{}: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Standard output could not be written to.
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
    /// What should be printed has no form as text. A defect of ours.
    #[error("this cannot be written as text: {0}")]
    Text(String),
    /// The command line or the files given leave something open.
    #[error("{0}")]
    Usage(String),
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Good => Self::SUCCESS,
            Outcome::Problems => Self::FAILURE,
        }
    }
}

/// Writes text to standard output. A reader that has seen enough (`| head`) is no failure.
///
/// # Errors
/// [`Failure::Output`].
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Failure::from),
    }
}
