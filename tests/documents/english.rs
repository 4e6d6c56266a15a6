//! How the documentation comments are worded. The figures may only become better: whoever improves
//! them lowers the limit in [`LIMITS`] with the same change.
//!
//! The aim, from what well-kept crates do: at least 25 % of the comments begin with a verb
//! ("Returns", "Handles"; most functions do, while types and fields are nouns), at most 7 % with a
//! question word ("What", "Who", "Whether"), and none says "for who", "of who", "to who" or "by who".

use crate::source::{Comment, comments, files, read};

/// The figures of one crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Figures {
    /// Thousandths of the comments that begin with a verb.
    verbs: usize,
    /// Thousandths that begin with a question word.
    questions: usize,
    /// Occurrences of "for who" and the like.
    phrases: usize,
}

/// What no crate may fall behind: at least so many verbs, at most so many of the others.
const LIMITS: [(&str, Figures); 3] = [
    ("core", Figures { verbs: 65, questions: 230, phrases: 23 }),
    ("sim", Figures { verbs: 100, questions: 220, phrases: 3 }),
    ("runtime-mio", Figures { verbs: 105, questions: 260, phrases: 0 }),
];

/// What all crates are to come to.
const AIM: Figures = Figures { verbs: 250, questions: 70, phrases: 0 };

/// First words that ask.
const QUESTIONS: [&str; 14] = [
    "who",
    "whom",
    "whose",
    "what",
    "whatever",
    "whoever",
    "whether",
    "which",
    "how",
    "where",
    "when",
    "why",
    "whichever",
    "whenever",
];

/// Words in "s" that begin comments and are no verbs, or nouns more often than verbs.
const NOUNS: &str = "acks addresses adversaries always applications as attempts bodies bogus buffers \
    bytes casts certificates chunks comings commands commits connections counters crashes culprits \
    datagrams decisions deliveries divisions doublings durations errors events fragments frames \
    guests haves heads homes hosts ids its joiners keys kinds layers leaders less letters liars \
    liveness lines links lists lives logs loss machines macs marks members messages microseconds \
    micros milliseconds newcomers nodes notices numbers options orders others outputs packets pairs \
    parts pauses peers percentiles pieces places points process processes promises proofs questions \
    queues randomness ranks rates readiness reasons receivers recommendations requests rounds rows \
    rules schedules seeds senders signatures signers sizes snapshots sources statements states steps \
    strategies strangers suspicions this thousands thousandths threads ticks timeouts timers times \
    tokens turns twins views votes was lengths";

/// Words in "s" that are verbs unless one of [`AFTER_NOUN`] follows.
const EITHER: &str = "answers asks changes counts hashes names signs replies sums shows tries puts";

/// Words that follow nouns.
const AFTER_NOUN: [&str; 8] = ["of", "that", "which", "are", "in", "by", "and", "from"];

/// Whether a comment begins with a verb in the third person.
fn begins_with_verb(text: &str) -> bool {
    let mut words = text.split_whitespace();
    let first = words.next().unwrap_or_default().trim_end_matches([',', '.', ':']);
    let is_word = first.chars().next().is_some_and(char::is_uppercase)
        && first.chars().skip(1).all(|letter| letter.is_ascii_lowercase());
    let first = first.to_ascii_lowercase();
    let is_listed = |list: &str| list.split_whitespace().any(|word| word == first);
    let is_noun = is_listed(NOUNS)
        || (is_listed(EITHER) && words.next().is_some_and(|next| AFTER_NOUN.contains(&next)));
    is_word && first.len() > 2 && first.ends_with('s') && !first.ends_with("ss") && !is_noun
}

/// Whether a comment begins with a question word.
fn asks(text: &str) -> bool {
    let first = text.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default();
    QUESTIONS.contains(&first.to_ascii_lowercase().as_str())
}

/// Counts "for who" and the like.
fn phrases(text: &str) -> usize {
    let words: Vec<String> = text
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let is_one = |pair: &&[String]| {
        matches!(pair[0].as_str(), "for" | "of" | "to" | "by") && pair[1] == "who"
    };
    words.windows(2).filter(is_one).count()
}

/// Returns the documentation comments of a crate.
fn documentation(directory: &str) -> Vec<Comment> {
    let sources = files(directory, ".rs");
    let all = sources.iter().flat_map(|path| comments(&read(path)));
    all.filter(|comment| comment.marker != "//").collect()
}

/// Returns how many of the comments are such, in thousandths.
fn permille(comments: &[&Comment], is_such: fn(&str) -> bool) -> usize {
    let count = comments.iter().filter(|comment| is_such(&comment.text)).count();
    count * 1_000 / comments.len().max(1)
}

#[test]
fn the_wording_of_comments_becomes_no_worse() {
    println!(
        "{:<12} {:>9} {:>7} {:>10} {:>8}",
        "thousandths", "comments", "verbs", "questions", "phrases"
    );
    let mut worse = Vec::new();
    for (name, limit) in LIMITS {
        let all = documentation(name);
        let all: Vec<&Comment> = all.iter().collect();
        let of_functions: Vec<&Comment> =
            all.iter().copied().filter(|comment| is_function(&comment.item)).collect();
        let found = Figures {
            verbs: permille(&all, begins_with_verb),
            questions: permille(&all, asks),
            phrases: all.iter().map(|comment| phrases(&comment.text)).sum(),
        };
        let Figures { verbs, questions, phrases } = found;
        println!("{name:<12} {:>9} {verbs:>7} {questions:>10} {phrases:>8}", all.len());
        println!(
            "  functions  {:>9} {:>7} {:>10}",
            of_functions.len(),
            permille(&of_functions, begins_with_verb),
            permille(&of_functions, asks),
        );
        let is_worse = verbs < limit.verbs.min(AIM.verbs)
            || questions > limit.questions.max(AIM.questions)
            || phrases > limit.phrases;
        if is_worse {
            worse.push(format!("{name}: {found:?}, the limit is {limit:?}"));
        }
    }
    println!("{:<12} {:>9} {:>7} {:>10} {:>8}", "aim", "", AIM.verbs, AIM.questions, AIM.phrases);
    assert!(worse.is_empty(), "worded worse than before: {}", worse.join("; "));
}

/// Whether a line of code begins a function.
fn is_function(item: &str) -> bool {
    let words = item.split_whitespace();
    let mut words = words.skip_while(|word| {
        word.starts_with("pub") || matches!(*word, "const" | "async" | "unsafe")
    });
    words.next() == Some("fn")
}

#[test]
fn verbs_are_told_from_nouns() {
    for text in ["Returns it.", "Checks a certificate.", "Asks all.", "Signs once."] {
        assert!(begins_with_verb(text), "{text}");
    }
    for text in ["Bytes held.", "The view.", "Signs of wear", "Its rank.", "Whether it is."] {
        assert!(!begins_with_verb(text), "{text}");
    }
    assert!(asks("What it is") && asks("Whether") && !asks("The way"));
    assert_eq!(phrases("For who asks; it is of whom, by who is out"), 2);
    assert!(is_function("pub(super) const fn f() {") && !is_function("pub struct S;"));
}
