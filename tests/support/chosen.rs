//! Which seeded bugs are tried.

/// Names of the bugs to try, separated by commas; not set: all.
const CHOSEN: &str = "BRAID_SEEDED_BUGS";

/// Whether the bug of this name is to be tried.
pub(crate) fn is_chosen(bug: &str) -> bool {
    std::env::var(CHOSEN).map_or(true, |chosen| chosen.split(',').any(|name| name == bug))
}
