//! A bounded list of differences.

use std::{collections::BTreeMap, fmt};

/// Maximum number of differences in words.
const DESCRIBED: usize = 10;

/// Differences between two executions: the first few in words, and the number of all.
#[derive(Clone, Debug, Default)]
pub struct Differences {
    lines: Vec<String>,
    total: usize,
}

impl Differences {
    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Returns the number of differences.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    /// Returns the first differences in words, one line each.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    pub(super) fn add(&mut self, line: impl FnOnce() -> String) {
        self.total = self.total.saturating_add(1);
        if self.lines.len() < DESCRIBED {
            self.lines.push(line());
        }
    }

    /// Records a difference between two values of the field `what` of `place`, if they differ.
    pub(super) fn field<T: PartialEq + fmt::Debug>(
        &mut self,
        place: &str,
        what: &str,
        expected: &T,
        found: &T,
    ) {
        if expected != found {
            self.add(|| {
                let (expected, found) = (shorten(expected), shorten(found));
                format!("{place}: {what}: expected {expected}, found {found}")
            });
        }
    }

    /// Compares two maps by key: `both` compares values with the same key; keys of only one map are
    /// recorded.
    pub(super) fn maps<K: Ord + fmt::Display, V>(
        &mut self,
        place: &str,
        expected: &BTreeMap<K, V>,
        found: &BTreeMap<K, V>,
        mut both: impl FnMut(&mut Self, &str, &V, &V),
    ) {
        for (key, expected) in expected {
            let place = format!("{place} {key}");
            match found.get(key) {
                Some(found) => both(self, &place, expected, found),
                None => self.add(|| format!("{place}: expected, but not there")),
            }
        }
        for key in found.keys().filter(|key| !expected.contains_key(key)) {
            self.add(|| format!("{place} {key}: there, but not expected"));
        }
    }
}

/// Formats a value, cut to the length of a line.
fn shorten(value: &impl fmt::Debug) -> String {
    const LONGEST: usize = 120;
    let text = format!("{value:?}");
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        match self.total.saturating_sub(self.lines.len()) {
            0 => Ok(()),
            more => writeln!(f, "and {more} more"),
        }
    }
}
