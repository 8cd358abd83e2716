//! Reading manifests: files, folders and standard input.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;

use super::output::Failure;

/// Where manifests are read from.
#[derive(Debug, Args)]
pub struct Files {
    /// A file, a folder whose .yaml, .yml and .json files are read, or - for standard input. Can be given several times.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true, num_args = 1..)]
    files: Vec<PathBuf>,
    /// Reads the folders inside of folders too.
    #[arg(short = 'R', long)]
    recursive: bool,
}

/// A text and where it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Path, as messages show it.
    pub name: String,
    /// Text.
    pub text: String,
}

impl Files {
    /// Reads all of them, in the order given; those of a folder by name.
    ///
    /// # Errors
    /// [`Failure::Read`] for the first that cannot be read.
    pub fn read(&self) -> Result<Vec<Source>, Failure> {
        let mut sources = Vec::new();
        for path in &self.files {
            if path.as_os_str() == "-" {
                let mut text = String::new();
                let read = io::stdin().read_to_string(&mut text);
                read.map_err(|source| Failure::Read { path: PathBuf::from("standard input"), source })?;
                sources.push(Source { name: "<stdin>".to_owned(), text });
            } else if path.is_dir() {
                folder(path, self.recursive, &mut sources)?;
            } else {
                sources.push(file(path)?);
            }
        }
        Ok(sources)
    }
}

fn file(path: &Path) -> Result<Source, Failure> {
    let text = fs::read_to_string(path).map_err(|source| Failure::Read { path: path.to_owned(), source })?;
    Ok(Source { name: path.display().to_string(), text })
}

fn folder(path: &Path, recursive: bool, sources: &mut Vec<Source>) -> Result<(), Failure> {
    let unreadable = |source| Failure::Read { path: path.to_owned(), source };
    let entries = fs::read_dir(path).map_err(unreadable)?;
    let mut paths =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            if recursive {
                folder(&path, recursive, sources)?;
            }
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "json")
        {
            sources.push(file(&path)?);
        }
    }
    Ok(())
}
