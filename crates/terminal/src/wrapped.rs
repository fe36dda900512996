//! Wrapping of text for a terminal.

use textwrap::{Options, WordSeparator, WordSplitter};

/// Maximum length of a line, in columns.
pub const COLUMNS: usize = 100;

/// Breaks lines of `text` that are longer than [`COLUMNS`] between words. Continuation lines have
/// the line's indent plus two columns.
#[must_use]
pub fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let words = line.trim_start();
        let indent = " ".repeat(line.len() - words.len());
        let below = format!("{indent}  ");
        let options = Options::new(COLUMNS)
            .initial_indent(&indent)
            .subsequent_indent(&below)
            .break_words(false)
            .word_separator(WordSeparator::AsciiSpace)
            .word_splitter(WordSplitter::NoHyphenation);
        // An empty line stays one line.
        for line in textwrap::wrap(words, options) {
            lines += &line;
            lines.push('\n');
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_between_words_and_others_stay() {
        let table = format!("name{}1.00x\n\n", " ".repeat(80));
        assert_eq!(wrapped(&table), table);
        let sentence = format!("    {}\n", "0x00 -> ".repeat(30).trim_end());
        let found = wrapped(&sentence);
        let lines: Vec<&str> = found.lines().collect();
        assert!(lines.len() > 2 && lines.iter().all(|line| line.len() <= COLUMNS), "{found}");
        assert!(lines[0].starts_with("    0x00") && lines[1].starts_with("      "), "{found}");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&found), words(&sentence));
        // A word without blanks is not broken.
        let hash = format!("{}\n", "a".repeat(120));
        assert_eq!(wrapped(&hash), hash);
    }
}
