//! Seeded bugs, which the fuzz targets must notice: `docs/SEEDED_BUGS.md` says what each does. Code
//! asks `mutant!(Name)` where it would go wrong.

#[cfg(feature = "mutants")]
use std::cell::Cell;

/// Whether the seeded bug is active on this thread.
#[cfg(feature = "mutants")]
macro_rules! mutant {
    ($bug:ident) => {
        $crate::mutants::active() == Some($crate::mutants::Bug::$bug)
    };
}

/// Whether the seeded bug is active: never.
#[cfg(not(feature = "mutants"))]
macro_rules! mutant {
    ($bug:ident) => {
        false
    };
}

/// A seeded bug.
#[cfg(feature = "mutants")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "docs/SEEDED_BUGS.md describes each")]
pub enum Bug {
    IdNotPutBack,
    LookalikeIdKept,
    FractionIdKept,
    InvalidIdPassed,
    UnchangedCallsLost,
    NotificationAnswered,
}

#[cfg(feature = "mutants")]
impl Bug {
    /// All bugs, which the fuzz target `json_rpc` notices.
    pub const ALL: [Self; 6] = [
        Self::IdNotPutBack,
        Self::LookalikeIdKept,
        Self::FractionIdKept,
        Self::InvalidIdPassed,
        Self::UnchangedCallsLost,
        Self::NotificationAnswered,
    ];
}

#[cfg(feature = "mutants")]
thread_local! {
    static ACTIVE: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Returns the bug of this thread.
#[cfg(feature = "mutants")]
#[must_use]
pub fn active() -> Option<Bug> {
    ACTIVE.get()
}

/// Runs `body` with `bug` on this thread.
#[cfg(feature = "mutants")]
pub fn with_bug<T>(bug: Option<Bug>, body: impl FnOnce() -> T) -> T {
    let before = ACTIVE.replace(bug);
    let result = body();
    ACTIVE.set(before);
    result
}
