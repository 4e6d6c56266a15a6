//! What is cited exists: "section N" is a heading of `docs/protocol.md`, with the words that stand
//! quoted beside it; RM1, TO1, R0, Q1, P1 and L1 are rules and promises of it, in the section that
//! is named with them; F1 and D1 are schedules of `docs/flaws.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::source::{comments, files, read};

/// Everything that can be cited.
#[derive(Debug)]
struct Known {
    /// The text of each section, its white space and emphasis left out, in lower case.
    sections: BTreeMap<u32, String>,
    /// The rules and promises, with the sections that state them.
    rules: BTreeMap<String, u32>,
    flaws: BTreeSet<String>,
}

/// Returns a text with single spaces, without emphasis, in lower case.
fn plain(text: &str) -> String {
    let text: String = text.chars().filter(|letter| !matches!(letter, '*' | '`')).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Returns the name that begins a line which states a rule: `- RM1 accept`, `    R0 start`,
/// `| P1 Integrity |`, `| L1 |`; and each of `Q1: ...` in a line.
fn stated(line: &str) -> Vec<String> {
    let line = line.trim_start_matches(['-', '|', ' ']);
    let words: Vec<&str> = line.split_whitespace().collect();
    let first = words.first().filter(|word| is_name(word)).map(|word| (*word).to_owned());
    let named = words.iter().filter_map(|word| word.strip_suffix(':'));
    let quorums = named.filter(|word| word.starts_with('Q') && is_name(word)).map(str::to_owned);
    first.into_iter().chain(quorums).collect()
}

/// Whether a word has the form of a name that is cited.
fn is_name(word: &str) -> bool {
    let digits = word.find(|letter: char| letter.is_ascii_digit()).unwrap_or(0);
    let (kind, number) = word.split_at(digits);
    let number = if kind == "D" { number.trim_end_matches('a') } else { number };
    ["RM", "TO", "R", "Q", "P", "L", "F", "D"].contains(&kind)
        && matches!(number.len(), 1 | 2)
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

impl Known {
    fn new() -> Self {
        let mut known =
            Self { sections: BTreeMap::new(), rules: BTreeMap::new(), flaws: BTreeSet::new() };
        let mut section = 0;
        for line in read("docs/protocol.md").lines() {
            if let Some(heading) = line.strip_prefix("## ") {
                let number = heading.split('.').next().unwrap_or_default();
                section = number.parse().expect("a section has a number");
            }
            let text = known.sections.entry(section).or_default();
            text.push_str(&plain(line));
            text.push(' ');
            for name in stated(line) {
                known.rules.entry(name).or_insert(section);
            }
        }
        for line in read("docs/flaws.md").lines() {
            let name = line.trim_start_matches('*').split(['.', ' ']).next().unwrap_or_default();
            if is_name(name) {
                known.flaws.insert(name.to_owned());
            }
        }
        known
    }

    /// Returns what is wrong with the citations in a text.
    fn faults(&self, text: &str) -> Vec<String> {
        let mut faults = Vec::new();
        for name in text.split(|letter: char| !letter.is_alphanumeric()).filter(|w| is_name(w)) {
            if !self.rules.contains_key(name) && !self.flaws.contains(name) {
                faults.push(format!("there is no {name}"));
            }
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        for at in 0..words.len() {
            let word = words[at].trim_matches(|letter: char| !letter.is_alphanumeric());
            let is_other = words[at.saturating_sub(3)..at].contains(&"RFC");
            if matches!(word, "section" | "sections") && !is_other {
                let (sections, rest) = numbers(&words[at + 1..]);
                faults.extend(self.sections_faults(&sections, rest));
                faults.extend(self.places_faults(&words[..at], &sections));
            }
        }
        faults
    }

    /// Returns which sections there are not, and whether what is quoted after them is in none.
    fn sections_faults(&self, sections: &[String], rest: &[&str]) -> Vec<String> {
        let mut faults = Vec::new();
        let mut texts = Vec::new();
        for section in sections {
            let (number, item) = section.split_once('.').unwrap_or((section, ""));
            let text = number.parse().ok().and_then(|number: u32| self.sections.get(&number));
            match text {
                Some(text) if format!(" {text}").contains(&format!(" {item} ")) => texts.push(text),
                Some(_) if item.is_empty() => texts.extend(text),
                _ => faults.push(format!("there is no section {section}")),
            }
        }
        let rest = rest.join(" ");
        if let Some(quoted) = rest.strip_prefix('"').and_then(|rest| rest.split('"').next()) {
            let quoted = plain(quoted);
            if !texts.iter().any(|text| text.contains(&quoted)) {
                faults.push(format!("section {} does not say \"{quoted}\"", sections.join(", ")));
            }
        }
        faults
    }

    /// Returns which rules of "RM1, RM3 of protocol.md section 4" stand in another section.
    fn places_faults(&self, before: &[&str], sections: &[String]) -> Vec<String> {
        let mut faults = Vec::new();
        if !before.ends_with(&["of", "protocol.md"]) {
            return faults;
        }
        for word in before[..before.len() - 2].iter().rev() {
            let word = word.trim_matches(|letter: char| !letter.is_alphanumeric());
            match self.rules.get(word) {
                Some(place) if !sections.contains(&place.to_string()) => {
                    faults.push(format!("{word} is a rule of section {place}"));
                }
                Some(_) => {}
                None if matches!(word, "and" | "to") => {}
                None => break,
            }
        }
        faults
    }
}

/// Returns the numbers of "2, 7, 9 and 10" at the beginning of these words, and the words after.
fn numbers<'a>(words: &'a [&'a str]) -> (Vec<String>, &'a [&'a str]) {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let number = word.trim_end_matches(|letter: char| !letter.is_ascii_digit());
        let is_number = number.starts_with(|letter: char| letter.is_ascii_digit())
            && number.chars().all(|letter| letter.is_ascii_digit() || letter == '.');
        if is_number {
            found.push(number.to_owned());
            // Whatever is not a comma ends the list.
            if !matches!(&word[number.len()..], "" | ",") {
                return (found, &[]);
            }
        } else if *word != "and" || found.is_empty() {
            break;
        }
        at += 1;
    }
    (found, &words[at.min(words.len())..])
}

/// Collects the faults of a file's parts, each with the line it begins on.
fn collect<'a>(
    known: &Known,
    path: &Path,
    parts: impl Iterator<Item = (usize, &'a str)>,
    faults: &mut Vec<String>,
) -> usize {
    let mut seen = 0;
    for (line, text) in parts {
        seen += text.matches("section ").count() + text.matches("sections ").count();
        let found = known.faults(text).into_iter();
        faults.extend(found.map(|fault| format!("{}:{line}: {fault}", path.display())));
    }
    seen
}

#[test]
fn what_comments_cite_exists() {
    let known = Known::new();
    let (mut faults, mut seen) = (Vec::new(), 0);
    for path in files("", ".rs") {
        let source = read(&path);
        let comments = comments(&source);
        let parts = comments.iter().map(|comment| (comment.line, comment.text.as_str()));
        seen += collect(&known, &path, parts, &mut faults);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen > 50, "{seen} sections are cited");
}

#[test]
fn what_documents_and_scenarios_cite_exists() {
    let known = Known::new();
    let mut faults = Vec::new();
    for path in files("", ".md").into_iter().chain(files("sim/scenarios", ".toml")) {
        let text = read(&path);
        // A citation may begin on one line and end on the next.
        let lines: Vec<&str> = text.lines().collect();
        let parts = lines.split(|line| line.is_empty()).scan(1, |line, lines| {
            let first = *line;
            *line += lines.len() + 1;
            Some((first, lines.join(" ")))
        });
        let parts: Vec<(usize, String)> = parts.collect();
        let parts = parts.iter().map(|(line, text)| (*line, text.as_str()));
        collect(&known, &path, parts, &mut faults);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_rules_are_found_and_wrong_citations_too() {
    let known = Known::new();
    let of = |kind: &str, count: usize| {
        (0..=count).filter(|n| known.rules.contains_key(&format!("{kind}{n}"))).count()
    };
    assert_eq!((of("RM", 8), of("TO", 4), of("R", 11), of("Q", 3)), (8, 4, 12, 3));
    assert_eq!((of("P", 10), of("L", 3), known.sections.len()), (10, 3, 17));
    assert!(known.flaws.len() > 70, "{:?}", known.flaws);
    let is_good = |text: &str| known.faults(text).is_empty();
    assert!(is_good(
        "RM3 of protocol.md section 4, and sections 2, 7, 9 and 10); RFC 8410, section 99"
    ));
    assert!(is_good("(protocol.md section 9, \"obligations outlive the view\"), section 13.3"));
    for text in [
        "RM9",
        "TO3 of protocol.md section 4",
        "section 17",
        "sections 3 and 40",
        "section 13.9",
        "(section 10, \"nothing of the kind\")",
        "D99",
    ] {
        assert!(!is_good(text), "{text}");
    }
}
