//! Numbers with their nouns.

/// Returns `count` with `noun` in the singular or plural.
#[must_use]
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
