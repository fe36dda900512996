//! Seeded bugs, which the models of the pipeline and the pool must notice: `docs/SEEDED_BUGS.md`
//! says what each does. Code asks `mutant!(Name)` where it would go wrong.

#[cfg(test)]
use std::cell::Cell;

/// Whether the seeded bug is active on this thread: never outside of tests.
#[cfg(test)]
macro_rules! mutant {
    ($bug:ident) => {
        $crate::mutants::active() == Some($crate::mutants::Bug::$bug)
    };
}

/// Whether the seeded bug is active: never outside of tests.
#[cfg(not(test))]
macro_rules! mutant {
    ($bug:ident) => {
        false
    };
}

/// A seeded bug.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    // Of the pipeline, each with a property in `pipeline/properties.rs`.
    ThreeAhead,
    DroppedEarly,
    NewestMissing,
    LayersReversed,
    GoesOnAfterFailure,
    FailureUntold,
    RefusedStays,
    EndUntold,
    FlushedEarly,
    NewestFirst,
    DurableEarly,
    NewestBlamed,
    ClosedEarly,
    BlockUnheard,
    RoomUnheard,
    EndUnheard,
    CloseUnheard,
    // Of the pool.
    StaleTaken,
    OldNonceTaken,
    FarNonceTaken,
    FullQueueUntold,
    OthersFree,
    ReplacedForLess,
    WorthIgnored,
    BaseFeeIgnored,
    SenderKept,
    BytesKept,
    TooLargeHandedOut,
    InvalidKept,
    MinedKept,
    UnpaidKept,
    GasLimitForgotten,
}

#[cfg(test)]
impl Bug {
    /// The bugs of the pool.
    pub(crate) const POOL: [Self; 15] = [
        Self::StaleTaken,
        Self::OldNonceTaken,
        Self::FarNonceTaken,
        Self::FullQueueUntold,
        Self::OthersFree,
        Self::ReplacedForLess,
        Self::WorthIgnored,
        Self::BaseFeeIgnored,
        Self::SenderKept,
        Self::BytesKept,
        Self::TooLargeHandedOut,
        Self::InvalidKept,
        Self::MinedKept,
        Self::UnpaidKept,
        Self::GasLimitForgotten,
    ];
}

#[cfg(test)]
thread_local! {
    static ACTIVE: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Returns the bug of this thread.
#[cfg(test)]
pub(crate) fn active() -> Option<Bug> {
    ACTIVE.get()
}

/// Runs `body` with `bug` on this thread.
#[cfg(test)]
pub(crate) fn with_bug<T>(bug: Option<Bug>, body: impl FnOnce() -> T) -> T {
    let before = ACTIVE.replace(bug);
    let result = body();
    ACTIVE.set(before);
    result
}
