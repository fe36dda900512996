//! Selects the seeded bugs to try.

/// Environment variable with the names of the bugs to try, separated by commas; unset means all.
const CHOSEN: &str = "BRAID_SEEDED_BUGS";

/// Returns whether the bug of this name is to be tried.
pub(crate) fn is_chosen(bug: &str) -> bool {
    std::env::var(CHOSEN).map_or(true, |chosen| chosen.split(',').any(|name| name == bug))
}
