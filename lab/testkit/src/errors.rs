//! Whether tests make every variant of an error: names are those of the source, so that a new variant without a test
//! fails.

use core::fmt::{Debug, Display};
use std::collections::BTreeSet;
use std::fs;

/// Variants of an error that a test has made.
#[derive(Debug, Default)]
pub struct Made(BTreeSet<String>);

impl Made {
    /// Notes the variant of `error`, whose message is one line and has all of `words`.
    ///
    /// # Panics
    /// If it has not.
    #[track_caller]
    pub fn add<E: Debug + Display + ?Sized>(&mut self, error: &E, words: &[&str]) {
        let message = error.to_string();
        assert!(!message.contains('\n'), "more than a line: {message:?}");
        for word in words {
            assert!(message.contains(word), "{message}: it lacks {word:?}");
        }
        self.0.insert(name_of(&format!("{error:?}")));
    }

    /// Checks that of the enum `name` in the source file `path` only `elsewhere` were not made.
    ///
    /// # Panics
    /// If others were not, or the file lacks the enum.
    #[track_caller]
    pub fn has_all_of(&self, path: &str, name: &str, elsewhere: &[&str]) {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let all = variants(&text, name).unwrap_or_else(|| panic!("{path}: no enum {name}"));
        let missing: Vec<_> = all.difference(&self.0).collect();
        assert_eq!(missing, elsewhere, "{name}: no test makes these");
    }
}

/// Variants of the enum `name` in a source, by their indentation.
fn variants(source: &str, name: &str) -> Option<BTreeSet<String>> {
    let (_, after) = source.split_once(&format!("pub enum {name}"))?;
    let lines = after.split("\n}").next()?.lines().filter_map(|line| line.strip_prefix("    "));
    let named = lines.filter(|line| line.starts_with(|it: char| it.is_ascii_uppercase()));
    Some(named.map(name_of).collect())
}

/// The name of the variant that `text` begins with.
fn name_of(text: &str) -> String {
    text.chars().take_while(|it| it.is_alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_are_found_by_their_indentation() {
        let source = "pub enum Other {\n    A,\n}\npub enum It<E> {\n    /// B.\n    #[error(\"C\")]\n    One(E),\n    Two {\n        At: u8,\n    },\n}\n";
        let all = variants(source, "It").expect("it is there");
        assert_eq!(all.into_iter().collect::<Vec<_>>(), ["One", "Two"]);
        assert_eq!(variants(source, "None"), None);
        assert_eq!(name_of("Two { At: 3 }"), "Two");
    }
}
