//! Configuration files: the group's, the same at every member, and the node's own.
//!
//! Whatever is wrong is told with file, line and key, in a sentence; unknown keys are refused, with
//! a guess at what was meant. Durations and sizes carry their unit.

mod group;
mod node;
mod units;

pub use group::{Group, MemberEntry, group_text, membership_word};
pub use node::{Home, NodeEntry, node_text};
pub use units::{Amount, Micros, public_key};

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{}: {message}", path.display(), at(*line), named(key.as_deref()))]
pub struct FileError {
    /// Which file.
    pub path: PathBuf,
    /// Where in it, from 1.
    pub line: Option<usize>,
    /// Which key.
    pub key: Option<String>,
    /// What is wrong, as a sentence.
    pub message: String,
}

fn at(line: Option<usize>) -> String {
    line.map(|line| format!(":{line}")).unwrap_or_default()
}

fn named(key: Option<&str>) -> String {
    key.map(|key| format!(": {key}")).unwrap_or_default()
}

/// A file that was read, to point into.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    fn read(path: &Path) -> Result<Self, FileError> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self { path: path.to_owned(), text }),
            Err(why) => Err(FileError {
                path: path.to_owned(),
                line: None,
                key: None,
                message: why.to_string(),
            }),
        }
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T, FileError> {
        toml::from_str(&self.text).map_err(|why| {
            let message = why.message().lines().collect::<Vec<_>>().join("; ");
            let message = did_you_mean(&message)
                .map_or(message.clone(), |guess| format!("{message}; did you mean `{guess}`?"));
            self.error(why.span(), message)
        })
    }

    /// An error at these bytes of the file; the key is the one on their line.
    fn error(&self, span: Option<Range<usize>>, message: impl Into<String>) -> FileError {
        let line = span.map(|span| {
            let before = self.text.as_bytes().iter().take(span.start);
            before.filter(|byte| **byte == b'\n').count() + 1
        });
        let key = line.and_then(|line| self.text.lines().nth(line - 1)).and_then(key_of);
        FileError { path: self.path.clone(), line, key, message: message.into() }
    }

    /// The bytes of the line that sets `key`, if there is one.
    fn find(&self, key: &str) -> Option<Range<usize>> {
        let mut start = 0;
        for line in self.text.split_inclusive('\n') {
            if key_of(line).as_deref() == Some(key) {
                return Some(start..start + line.len());
            }
            start += line.len();
        }
        None
    }
}

fn key_of(line: &str) -> Option<String> {
    let (key, _) = line.split_once('=')?;
    let key = key.trim();
    (!key.is_empty() && !key.starts_with('#')).then(|| key.to_owned())
}

/// For "unknown field `x`, expected one of `a`, `b`": the name closest to `x`, if one is close.
fn did_you_mean(message: &str) -> Option<&str> {
    let mut names = message.strip_prefix("unknown ")?.split('`').skip(1).step_by(2);
    let unknown = names.next()?;
    let closest = names.map(|name| (distance(unknown, name), name)).min()?;
    (closest.0 <= 1 + unknown.chars().count() / 3).then_some(closest.1)
}

/// How many letters to insert, delete or change to make one of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_guessed_when_they_are_close() {
        let message = "unknown field `adress`, expected one of `name`, `address`, `public_key`";
        assert_eq!(did_you_mean(message), Some("address"));
        assert_eq!(did_you_mean("unknown field `zzzzzz`, expected `name`"), None);
        assert_eq!(did_you_mean("invalid type: `adress`, `address`"), None);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Home::read(Path::new("no-such-home")).unwrap_err();
        assert!(error.to_string().contains("node.toml"), "{error}");
    }
}
