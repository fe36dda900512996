//! Seeded bugs, which the models of the pipeline and the pool, or the fuzz targets, must notice:
//! `docs/SEEDED_BUGS.md` says what each does. Code asks `mutant!(Name)` where it would go wrong.

#[cfg(any(test, feature = "mutants"))]
use std::cell::Cell;

/// Whether the seeded bug is active on this thread: never outside of tests.
#[cfg(any(test, feature = "mutants"))]
macro_rules! mutant {
    ($bug:ident) => {
        $crate::mutants::active() == Some($crate::mutants::Bug::$bug)
    };
}

/// Whether the seeded bug is active: never outside of tests.
#[cfg(not(any(test, feature = "mutants")))]
macro_rules! mutant {
    ($bug:ident) => {
        false
    };
}

/// A seeded bug.
#[cfg(any(test, feature = "mutants"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "docs/SEEDED_BUGS.md describes each")]
pub enum Bug {
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
    // Of blocks in RLP.
    TrailingBytesTaken,
    LengthCut,
    OmmersUncompared,
    OmmerRenumbered,
    EmptyWithdrawalsLost,
    LargeSTaken,
    // Of genesis files.
    LargeTotalUnread,
    ZeroSlotsTaken,
    GenesisCodeLost,
    EmptyAccountUnexported,
    ExportedNonceLost,
    LargeBalanceCut,
    // Of unwinding and pruning.
    UnwoundSlotsKept,
    UnwoundReceiptsKept,
    UnwoundStorageUnrooted,
    UnwoundNodesKept,
    UnwoundInPart,
    OneMorePruned,
    NodesUnflushed,
    PrunedUnflushed,
    // Of the index of blocks.
    FirstTransactionUnindexed,
    RemovedBlockIndexed,
    // Of the size of kept blocks and receipts.
    RemovedBlockCounted,
    RemovedReceiptsCounted,
    // Of the archive.
    ArchiveOneBlockLate,
    ArchiveZeroMissing,
    ArchiveUnwoundKept,
    ArchiveEditMissing,
}

#[cfg(any(test, feature = "mutants"))]
impl Bug {
    /// The bugs of the pool.
    pub const POOL: [Self; 15] = [
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

    /// The bugs that the fuzz target `rlp` notices.
    pub const RLP: [Self; 6] = [
        Self::TrailingBytesTaken,
        Self::LengthCut,
        Self::OmmersUncompared,
        Self::OmmerRenumbered,
        Self::EmptyWithdrawalsLost,
        Self::LargeSTaken,
    ];

    /// The bugs that the fuzz target `genesis` notices.
    pub const GENESIS: [Self; 6] = [
        Self::LargeTotalUnread,
        Self::ZeroSlotsTaken,
        Self::GenesisCodeLost,
        Self::EmptyAccountUnexported,
        Self::ExportedNonceLost,
        Self::LargeBalanceCut,
    ];

    /// The bugs that the fuzz target `chain` notices.
    pub const CHAIN: [Self; 8] = [
        Self::UnwoundSlotsKept,
        Self::UnwoundReceiptsKept,
        Self::UnwoundStorageUnrooted,
        Self::UnwoundNodesKept,
        Self::UnwoundInPart,
        Self::OneMorePruned,
        Self::NodesUnflushed,
        Self::PrunedUnflushed,
    ];

    /// The bugs of the index of blocks.
    pub const BLOCK_INDEX: [Self; 2] = [Self::FirstTransactionUnindexed, Self::RemovedBlockIndexed];

    /// The bugs of the archive that random blocks notice.
    pub const ARCHIVE: [Self; 3] =
        [Self::ArchiveOneBlockLate, Self::ArchiveZeroMissing, Self::ArchiveUnwoundKept];

    /// The bugs of the size of kept blocks and receipts.
    pub const HISTORY_BYTES: [Self; 2] = [Self::RemovedBlockCounted, Self::RemovedReceiptsCounted];
}

#[cfg(any(test, feature = "mutants"))]
thread_local! {
    static ACTIVE: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Returns the bug of this thread.
#[cfg(any(test, feature = "mutants"))]
#[must_use]
pub fn active() -> Option<Bug> {
    ACTIVE.get()
}

/// Runs `body` with `bug` on this thread.
#[cfg(any(test, feature = "mutants"))]
pub fn with_bug<T>(bug: Option<Bug>, body: impl FnOnce() -> T) -> T {
    let _before = Before(ACTIVE.replace(bug));
    body()
}

/// Makes the earlier bug active again when it is dropped, even by a panic.
#[cfg(any(test, feature = "mutants"))]
struct Before(Option<Bug>);

#[cfg(any(test, feature = "mutants"))]
impl Drop for Before {
    fn drop(&mut self) {
        ACTIVE.set(self.0);
    }
}

/// Returns `body` to run on another thread, with the bug of this thread.
#[cfg(any(test, feature = "mutants"))]
pub(crate) fn carried<T>(body: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let bug = active();
    move || with_bug(bug, body)
}

/// Returns `body`: outside of tests there are no bugs to carry.
#[cfg(not(any(test, feature = "mutants")))]
pub(crate) fn carried<T>(body: impl FnOnce() -> T) -> impl FnOnce() -> T {
    body
}
