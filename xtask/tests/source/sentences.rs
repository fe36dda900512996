//! Sentences of more than 25 words on the pages: a reader has to keep too much in mind. Each page has a ceiling, which
//! only falls. Code, tables and headings are no sentences.

use crate::reading::pages;

/// Words of the longest good sentence.
const LONGEST: usize = 25;

/// Longer sentences that a page may have. One that is not here may have none.
const CEILINGS: [(&str, usize); 13] = [
    ("CHANGELOG.md", 2),
    ("docs/BENCHMARKS.md", 12),
    ("docs/BLOCK.md", 4),
    ("docs/DECLARED.md", 11),
    ("docs/DESIGN.md", 12),
    ("docs/ENERGY.md", 6),
    ("docs/PROTOCOL.md", 7),
    ("docs/SECURITY.md", 13),
    ("docs/SEEDED_BUGS.md", 1),
    ("docs/SHARDS.md", 8),
    ("docs/SPARK.md", 9),
    ("docs/SURVEY.md", 4),
    ("docs/TESTING.md", 2),
];

/// A page whose ceiling is further above what it has must have it lowered.
const SLACK: usize = 2;

/// Its lines are names of others' tests.
const NOT_OURS: &str = "docs/CONFORMANCE.md";

/// The paragraphs and items of lists in `text`, each as one line.
fn paragraphs(text: &str) -> Vec<String> {
    let (mut found, mut is_code) = (vec![String::new()], false);
    for line in text.lines().map(str::trim) {
        let is_fence = line.starts_with("```");
        is_code ^= is_fence;
        let item = line.strip_prefix("- ").or_else(|| {
            let (number, rest) = line.split_once(". ")?;
            number.parse::<u8>().is_ok().then_some(rest)
        });
        let is_apart = line.is_empty() || line.starts_with(['#', '|']) || line.starts_with("<!--");
        if is_fence || is_code || is_apart {
            found.push(String::new());
        } else if let Some(item) = item {
            found.push(item.to_owned());
        } else if let Some(last) = found.last_mut() {
            last.push(' ');
            last.push_str(line);
        }
    }
    found
}

/// `text` with one word for each piece of code, and without the targets of links.
fn plain(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let words: String = parts.map(|(at, part)| if at % 2 == 0 { part } else { "`code`" }).collect();
    let mut parts = words.split("](");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let rest = part.split_once(')').map_or(part, |(_, rest)| rest);
        format!("{text}]{rest}")
    })
}

/// The sentences of a paragraph: words with the end of one, before a word that may begin another.
fn sentences(paragraph: &str) -> Vec<Vec<String>> {
    let text = plain(paragraph);
    let words: Vec<&str> = text.split_whitespace().collect();
    let (mut found, mut sentence) = (Vec::new(), Vec::new());
    for (at, word) in words.iter().enumerate() {
        if word.contains(char::is_alphanumeric) {
            sentence.push((*word).to_owned());
        }
        let is_end = word.trim_end_matches([')', '*', '_', '"', ']']).ends_with(['.', '?', '!']);
        let next = words.get(at + 1);
        if is_end && next.is_none_or(|next| !next.starts_with(char::is_lowercase)) {
            found.push(core::mem::take(&mut sentence));
        }
    }
    found.push(sentence);
    found.retain(|sentence| !sentence.is_empty());
    found
}

#[test]
fn sentences_are_short() {
    let mut wrong = Vec::new();
    for (page, text) in pages().into_iter().filter(|(page, _)| page != NOT_OURS) {
        let all = paragraphs(&text);
        let all = all.iter().flat_map(|paragraph| sentences(paragraph));
        let long: Vec<String> =
            all.filter(|it| it.len() > LONGEST).map(|it| it.join(" ")).collect();
        let ceiling = CEILINGS.iter().find(|(name, _)| *name == page).map_or(0, |(_, most)| *most);
        if long.len() > ceiling {
            let shown = long.join("\n  ");
            wrong.push(format!(
                "{page}: {} sentences of more than {LONGEST} words, at most {ceiling}:\n  {shown}",
                long.len()
            ));
        } else if long.len() + SLACK < ceiling {
            wrong.push(format!("{page}: only {} are left: lower its ceiling", long.len()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_ceiling_is_that_of_a_page() {
    let pages = pages();
    for (name, _) in CEILINGS {
        assert!(pages.iter().any(|(page, _)| page == name), "there is no {name}");
    }
}

#[test]
fn a_long_sentence_is_found_wherever_it_stands() {
    let count = |text: &str| -> Vec<usize> {
        let all = paragraphs(text);
        all.iter().flat_map(|it| sentences(it)).map(|it| it.len()).collect()
    };
    assert_eq!(count("# No\n\nOne two.\nThree `a b c` four. 5 six.\n"), [2, 3, 2]);
    assert_eq!(count("- One [two](a b.md), three\n  four\n- five\n\n| no | no |\n"), [4, 1]);
    assert_eq!(count("```sh\nno no\n```\nIt takes 0.8 ms - e.g. here. (So?) `x` is.\n"), [6, 1, 2]);
    assert_eq!(count("1. One two\n2. three\n"), [2, 1]);
    let long = "word ".repeat(LONGEST + 1);
    assert_eq!(count(&format!("{long}\n")), [LONGEST + 1]);
}
