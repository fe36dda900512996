//! Sentences for people: lines that fit a terminal.

use textwrap::{Options, WordSeparator, WordSplitter};

/// Columns of a line.
pub const COLUMNS: usize = 100;

/// `text` with longer lines than [`COLUMNS`] broken between words. The rest of a line has its indent
/// and two columns more.
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
        // An empty line is one, too.
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
        // What has no blank in it cannot be broken without harm.
        let hash = format!("{}\n", "a".repeat(120));
        assert_eq!(wrapped(&hash), hash);
    }
}
