//! The files of the repository, and the comments in them.

use std::path::{Path, PathBuf};

/// Directories that hold nothing written by hand.
const SKIPPED: [&str; 4] = ["target", ".git", "corpus", "proptest-regressions"];

/// Returns the root of the repository, wherever the test runs.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Reads a file, named by its path from the root.
pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Lists the files with this ending below a directory, by their paths from the root.
pub(crate) fn files(directory: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(directory)];
    while let Some(directory) = open.pop() {
        let entries = std::fs::read_dir(&directory).expect("a directory of the repository");
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() {
                if !SKIPPED.contains(&name) {
                    open.push(path);
                }
            } else if name.ends_with(ending) {
                found.push(path.strip_prefix(root()).expect("below the root").to_owned());
            }
        }
    }
    found.sort();
    found
}

/// A comment: consecutive lines with one marker, joined by spaces.
#[derive(Debug)]
pub(crate) struct Comment {
    /// `//`, `///` or `//!`.
    pub(crate) marker: &'static str,
    /// The line it begins on, counted from 1.
    pub(crate) line: usize,
    /// Its words.
    pub(crate) text: String,
    /// The line of code below it, attributes left out; empty at the end of the file.
    pub(crate) item: String,
}

/// Returns the comments of a source file in their order.
pub(crate) fn comments(source: &str) -> Vec<Comment> {
    let mut comments: Vec<Comment> = Vec::new();
    // The number of the line that would continue the last comment, while its item is not known.
    let mut next = 0;
    for (number, line) in (1..).zip(source.lines()) {
        let line = line.trim();
        match split(line) {
            Some((marker, text, is_alone)) => {
                let open = comments.last_mut().filter(|last| {
                    is_alone && next == number && last.marker == marker && last.item.is_empty()
                });
                match open {
                    Some(open) => open.text = format!("{} {text}", open.text),
                    None => comments.push(Comment {
                        marker,
                        line: number,
                        text: text.to_owned(),
                        item: if is_alone { String::new() } else { line.to_owned() },
                    }),
                }
                next = number + 1;
            }
            None if line.is_empty() || line.starts_with('#') => {}
            None => {
                if let Some(last) = comments.last_mut().filter(|last| last.item.is_empty()) {
                    line.clone_into(&mut last.item);
                }
            }
        }
    }
    comments
}

/// Splits a line into the marker of its comment, the comment, and whether it has nothing else.
fn split(line: &str) -> Option<(&'static str, &str, bool)> {
    let at = line.find("//")?;
    let rest = &line[at..];
    let marker = ["///", "//!"].into_iter().find(|marker| rest.starts_with(marker));
    let marker = marker.unwrap_or("//");
    Some((marker, rest[marker.len()..].trim(), at == 0))
}

#[test]
fn comments_are_told_from_code() {
    let source = "/// One\n/// two.\n#[must_use]\nfn f() {}\nlet x = 1; // three\n// four\n";
    let found = comments(source);
    let texts: Vec<&str> = found.iter().map(|comment| comment.text.as_str()).collect();
    assert_eq!(texts, ["One two.", "three", "four"]);
    assert_eq!((found[0].item.as_str(), found[0].line, found[2].line), ("fn f() {}", 1, 6));
}
