//! Words: transactions, workers and results are things, not persons, and a sentence says which of them acts.

use crate::architecture::sources;
use crate::reading::texts;

/// Words that hide what acts, or what is counted.
const FORBIDDEN: [&str; 7] =
    ["whoever", "somebody", "nobody", "anybody", "everybody", "in vain", "so many"];

/// Turns that read as translated: a sentence that begins with the thing that acts says the same.
const AWKWARD: [&str; 5] = ["of which", "those that", "as far as", "besides", "for nothing"];

/// Words of our own for things that the field has a name for, in the library's source: `BlockContext`, `WorkerPool`,
/// coordinator, deferred, committed, suspended, `TxOutcome`, counters, custom EVM, bundle thread, blocking.
const OWN: [&str; 14] = [
    "recipe",
    "crew",
    "role",
    "aside",
    "adopted",
    "fate",
    "tally",
    "foreign",
    "follower",
    "sleepy",
    "splitting",
    "foreseen",
    "footprint",
    "digests",
];

/// Columns of a line of the library.
const WIDEST: usize = 100;

/// Whether `text` has `word` as a word, in any case.
fn has(text: &str, word: &str) -> bool {
    let is_letter = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    let text = text.to_lowercase();
    text.match_indices(word).any(|(at, found)| {
        let before = text[..at].chars().next_back();
        !is_letter(before) && !is_letter(text[at + found.len()..].chars().next())
    })
}

/// A sentence that goes on in the next line of a comment is one line.
fn joined(text: &str) -> String {
    let lines = text.lines().map(|line| line.trim().trim_start_matches(['/', '!', '#']).trim());
    lines.collect::<Vec<_>>().join(" ")
}

#[test]
fn sentences_say_which_thing_acts() {
    let mut checked = 0;
    // This file has the words themselves.
    for (path, text) in texts().into_iter().filter(|(path, _)| !path.ends_with("source/words.rs")) {
        let text = joined(&text);
        let found = FORBIDDEN.iter().chain(&AWKWARD).find(|word| has(&text, word));
        assert_eq!(found, None, "{path}");
        checked += 1;
    }
    assert!(checked > 900, "only {checked} files");
}

#[test]
fn things_are_called_as_in_the_field() {
    for source in sources("src") {
        let text = joined(&source.text);
        let found = OWN.iter().find(|word| has(&text, word));
        assert_eq!(found, None, "src/{}", source.path);
    }
}

#[test]
fn lines_are_short() {
    for source in sources("src") {
        let mut lines = source.text.lines().enumerate();
        let long = lines.find(|(_, line)| line.len() > WIDEST).map(|(number, _)| number + 1);
        assert_eq!(long, None, "src/{}: a line of more than {WIDEST} columns", source.path);
    }
}

#[test]
fn a_word_is_found_in_any_case_and_across_lines() {
    assert!(has(&joined("/// Runs in\n/// vain."), "in vain"));
    assert!(has("Nobody asks", "nobody"));
    assert!(!has("somebodyelse", "somebody"));
}
