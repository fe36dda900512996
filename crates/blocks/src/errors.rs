//! Checks that tests produce every variant of an error. The names are read from the source, so a
//! new variant without a test fails.

use core::fmt::{Debug, Display};
use std::collections::BTreeSet;

/// Variants of an error that a test has produced.
#[derive(Debug, Default)]
pub struct Made(BTreeSet<String>);

impl Made {
    /// Records the variant of `error`, whose message must be one line with all of `words`.
    ///
    /// # Panics
    /// Panics if the message is different.
    #[track_caller]
    pub fn add<E: Debug + Display + ?Sized>(&mut self, error: &E, words: &[&str]) {
        let message = error.to_string();
        assert!(!message.contains('\n'), "more than a line: {message:?}");
        for word in words {
            assert!(message.contains(word), "{message}: it lacks {word:?}");
        }
        self.0.insert(name_of(&format!("{error:?}")));
    }

    /// Checks that all variants of the enum `name` in the file `source` were produced, except those
    /// in `elsewhere`. Tests include the file, so one that is moved does not compile.
    ///
    /// # Panics
    /// Panics if the exceptions differ, or if the file lacks the enum.
    #[track_caller]
    pub fn has_all_of(&self, source: &str, name: &str, elsewhere: &[&str]) {
        let all = variants(source, name).unwrap_or_else(|| panic!("no enum {name} in its source"));
        let missing: Vec<_> = all.difference(&self.0).collect();
        assert_eq!(missing, elsewhere, "{name}: no test makes these");
    }
}

/// Returns the variants of the enum `name` in a source, by their indentation.
fn variants(source: &str, name: &str) -> Option<BTreeSet<String>> {
    let (_, after) = source.split_once(&format!("pub enum {name}"))?;
    let lines = after.split("\n}").next()?.lines().filter_map(|line| line.strip_prefix("    "));
    let named = lines.filter(|line| line.starts_with(|it: char| it.is_ascii_uppercase()));
    Some(named.map(name_of).collect())
}

/// Returns the name of the variant at the start of `text`.
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
