//! Words: transactions, workers and results are things, not persons, and a sentence says which of them acts.

use crate::architecture::sources;

/// Words that hide what acts, or what is counted.
const FORBIDDEN: [&str; 7] =
    ["whoever", "somebody", "nobody", "anybody", "everybody", "in vain", "so many"];

/// Turns that read as translated: a sentence that begins with the thing that acts says the same.
const AWKWARD: [&str; 4] = ["of which", "those that", "as far as", "for nothing"];

/// Where those turns are still to be found: below these paths.
const LEFT: [&str; 7] = [
    "src/evm/plan/",
    "src/evm/drive.rs",
    "src/evm/stretch.rs",
    "src/protocol/",
    "chain/",
    "cli/src/metrics/",
    "cli/src/commands/chain/",
];

/// Everything that is written here, but for the words above.
const FOLDERS: [&str; 18] = [
    "src",
    "chain/src",
    "chain/tests",
    "chain/examples",
    "cli/src",
    "cli/tests",
    "shards/src",
    "shards/tests",
    "testkit/src",
    "testkit/toy",
    "models/src",
    "models/tests",
    "fuzz/src",
    "fuzz/tests",
    "benches",
    "tests",
    "examples",
    "xtask/src",
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
    let lines = text.lines().map(|line| line.trim().trim_start_matches(['/', '!']).trim());
    lines.collect::<Vec<_>>().join(" ")
}

#[test]
fn sentences_say_which_thing_acts() {
    for folder in FOLDERS {
        for source in sources(folder) {
            let (path, text) = (format!("{folder}/{}", source.path), joined(&source.text));
            let is_left = LEFT.iter().any(|left| path.starts_with(left));
            let awkward = if is_left { &[][..] } else { &AWKWARD };
            let found = FORBIDDEN.iter().chain(awkward).find(|word| has(&text, word));
            assert_eq!(found, None, "{path}");
        }
    }
    let pages = std::fs::read_dir(crate::root().join("docs")).expect("the folder can be read");
    let pages = pages.map(|page| page.expect("the folder can be read").path());
    let pages = pages.filter(|page| page.extension().is_some_and(|it| it == "md"));
    let others = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"];
    for page in pages.chain(others.map(|page| crate::root().join(page))) {
        let text = joined(&std::fs::read_to_string(&page).expect("the page can be read"));
        let found = FORBIDDEN.iter().find(|word| has(&text, word));
        assert_eq!(found, None, "{}", page.display());
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
