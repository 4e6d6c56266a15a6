//! What documents name exists: linked files, source files, tests and scenarios.

use std::path::Path;

use crate::source::{files, read, root};

/// Returns the documents: all Markdown files of the repository.
fn documents() -> Vec<(std::path::PathBuf, String)> {
    let all: Vec<_> = files("", ".md").into_iter().map(|path| (path.clone(), read(path))).collect();
    assert!(all.len() > 10, "{} documents", all.len());
    all
}

/// Returns what stands between back-quotes, code blocks left out.
fn quoted(text: &str) -> Vec<&str> {
    let lines = lines(text).filter(|(_, is_code)| !is_code);
    lines.flat_map(|(line, _)| line.split('`').skip(1).step_by(2)).collect()
}

/// Returns the lines of a document, each with whether it stands in a code block.
fn lines(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut is_code = false;
    text.lines().map(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        (line, is_code || is_fence)
    })
}

/// Returns the words of code blocks: pictures name files, too.
fn drawn(text: &str) -> impl Iterator<Item = &str> {
    let lines = lines(text).filter(|(_, is_code)| *is_code);
    lines.flat_map(|(line, _)| line.split([' ', ',', '`'])).filter(|word| word.ends_with(".rs"))
}

/// Whether a file of this name exists, seen from the root, the document, or the core's sources.
fn exists(document: &Path, name: &str) -> bool {
    let folder = document.parent().unwrap_or(Path::new(""));
    ["", "core/src"]
        .iter()
        .map(Path::new)
        .chain([folder])
        .any(|from| root().join(from).join(name).exists())
}

/// Whether these words name a file: a path that ends like one and has no placeholder in it.
fn is_path(name: &str) -> bool {
    let endings = [".rs", ".md", ".toml", ".txt", ".sh", ".c", "/"];
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    name.contains('/')
        && endings.iter().any(|ending| name.ends_with(ending))
        && name.bytes().all(is_plain)
        && !["NAME", "NNNN"].iter().any(|placeholder| name.contains(placeholder))
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for (path, text) in documents() {
        for rest in text.split("](").skip(1) {
            let target = rest.split([')', '#', ' ']).next().unwrap_or_default();
            let is_local = !target.is_empty() && !target.contains("://");
            let folder = root().join(path.parent().unwrap_or(Path::new("")));
            if is_local && !folder.join(target).exists() {
                broken.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "links to what is not there:\n{}", broken.join("\n"));
}

#[test]
fn files_that_documents_name_exist() {
    let mut missing = Vec::new();
    let mut seen = 0;
    for (path, text) in documents() {
        let names = quoted(&text).into_iter().chain(drawn(&text));
        for name in names.filter(|name| is_path(name)) {
            seen += 1;
            if !exists(&path, name) {
                missing.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "files that are not there:\n{}", missing.join("\n"));
    assert!(seen > 100, "{seen} files are named");
}

/// The tests and scenarios that guard a promise stand in back-quotes in `docs/invariants.md`, and
/// the messages of assertions, which have spaces.
#[test]
fn tests_and_scenarios_that_guard_promises_exist() {
    let text = read("docs/invariants.md");
    let is_name = |name: &&str| {
        name.matches('_').count() >= 2
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte))
    };
    let sources: Vec<String> = files("", ".rs").iter().map(read).collect();
    let is_test = |name: &str| {
        let head = format!("fn {name}(");
        sources.iter().any(|source| source.contains(&head))
    };
    let scenarios = files("sim/scenarios", ".toml");
    let is_scenario =
        |name: &str| scenarios.iter().any(|path| path.file_stem().is_some_and(|stem| stem == name));
    let quoted = quoted(&text);
    let is_message = |name: &&&str| name.contains(' ') && !name.starts_with("cargo ");
    for message in quoted.iter().filter(is_message) {
        let is_said = sources.iter().any(|source| source.contains(*message));
        assert!(is_said, "no assertion says \"{message}\"");
    }
    let names: Vec<&str> = quoted.into_iter().filter(is_name).collect();
    let missing: Vec<&&str> =
        names.iter().filter(|name| !is_test(name) && !is_scenario(name)).collect();
    assert!(missing.is_empty(), "neither tests nor scenarios: {missing:?}");
    assert!(names.len() > 60, "{} names", names.len());
}

#[test]
fn every_oracle_guards_a_promise() {
    let text = read("docs/invariants.md");
    let oracles = files("sim/src/oracle", ".rs");
    let is_named = |path: &&std::path::PathBuf| text.contains(&format!("`{}`", path.display()));
    let missing: Vec<_> = oracles
        .iter()
        .filter(|path| !path.ends_with("tests.rs") && !path.ends_with("mod.rs"))
        .filter(|path| !is_named(path))
        .collect();
    assert!(missing.is_empty(), "docs/invariants.md does not name {missing:?}");
    assert!(oracles.len() > 20, "{oracles:?}");
}

#[test]
fn every_decision_says_what_would_change_it() {
    let decisions = files("docs/decisions", ".md");
    for (number, path) in (1..).zip(&decisions) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        assert!(name.starts_with(&format!("{number:04}-")), "{name} is number {number}");
        let text = read(path);
        for heading in ["## Context", "## Decision", "## Consequences", "## What would change it"] {
            assert!(text.lines().any(|line| line == heading), "{name} has no \"{heading}\"");
        }
    }
    assert!(decisions.len() >= 10, "{decisions:?}");
}

/// Events, requests and the like that documents name are variants of the types in these files.
#[test]
fn variants_that_documents_name_exist() {
    let types = [
        ("Event::", "core/src/output.rs"),
        ("Refusal::", "core/src/output.rs"),
        ("Output::", "core/src/output.rs"),
        ("Request::", "core/src/input.rs"),
        ("Input::", "core/src/input.rs"),
        ("Part::", "core/src/wire/mod.rs"),
        ("QuorumRule::", "core/src/quorum.rs"),
    ];
    let (mut missing, mut seen) = (Vec::new(), 0);
    for (name, file) in types {
        let source = read(file);
        for (path, text) in documents() {
            for rest in text.split(name).skip(1) {
                let end = rest.find(|letter: char| !letter.is_alphanumeric());
                let variant = &rest[..end.unwrap_or(rest.len())];
                let is_one = |line: &str| {
                    let rest =
                        line.strip_prefix("    ").and_then(|line| line.strip_prefix(variant));
                    rest.is_some_and(|rest| rest.starts_with([',', '(', ' ']))
                };
                seen += 1;
                if !source.lines().any(is_one) {
                    missing.push(format!("{}: {name}{variant}", path.display()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "there is no such thing:\n{}", missing.join("\n"));
    assert!(seen > 20, "{seen}");
}
