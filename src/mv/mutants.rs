//! Seeded bugs of the store, for the tests that must notice them.

/// A deliberate bug, chosen at run time. Without the feature `mutants` there is only `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreMutant {
    /// The shipped behaviour.
    #[default]
    None,
    /// I3: validation leaves out the first read.
    #[cfg(feature = "mutants")]
    SkipOneRead,
    /// I7: an older incarnation overwrites a newer one.
    #[cfg(feature = "mutants")]
    OldOverwrites,
    /// A removed or changed entry draws no new stamp.
    #[cfg(feature = "mutants")]
    StampReused,
    /// I11: folding continues below an absolute value or any other entry that is not a delta.
    #[cfg(feature = "mutants")]
    FoldPastValue,
    /// A checkpoint sums up entries that are not final.
    #[cfg(feature = "mutants")]
    CheckpointOpen,
    /// A publication names no reader.
    #[cfg(feature = "mutants")]
    HintLost,
    /// A second base value replaces the first (I5).
    #[cfg(feature = "mutants")]
    BaseReplaced,
    /// The next stamp is drawn before the lock is taken. Only loom can notice it.
    #[cfg(feature = "mutants")]
    StampOutsideLock,
    /// A reader sees its own transaction's entries.
    #[cfg(feature = "mutants")]
    ReadsOwnIndex,
    /// Marking an estimate does nothing.
    #[cfg(feature = "mutants")]
    EstimateLost,
    /// A slot read ignores the tombstones of its scope.
    #[cfg(feature = "mutants")]
    ScopeIgnored,
    /// The first tombstone does not name transactions that have read a slot before it.
    #[cfg(feature = "mutants")]
    ScopeSilent,
    /// I3: the frontier accepts any value of an equal kind.
    #[cfg(feature = "mutants")]
    AnyValueValid,
    /// I3: absent and zero count as equal.
    #[cfg(feature = "mutants")]
    AbsentEqualsZero,
    /// I3: validation resolves reads for an index that is one too low.
    #[cfg(feature = "mutants")]
    WrongReader,
    /// Reads are compared by value above the frontier, too.
    #[cfg(feature = "mutants")]
    HintByValue,
    /// A read that finds no entry does not notice a later publication.
    #[cfg(feature = "mutants")]
    MissUnnoticed,
    /// The lock is released between drawing the stamp and changing the data. Only loom can notice
    /// it.
    #[cfg(feature = "mutants")]
    ReleasedEarly,
    /// I11: folding continues below a tombstone.
    #[cfg(feature = "mutants")]
    FoldPastTombstone,
    /// A reader waits for a running transaction that is higher than itself.
    #[cfg(feature = "mutants")]
    PredictsHigher,
    /// The store is not emptied between two blocks.
    #[cfg(feature = "mutants")]
    NotEmptied,
    /// The commit rule of private batches ignores writes of transactions outside the batch.
    #[cfg(feature = "mutants")]
    OutsidersIgnored,
    /// The commit rule compares the reads of a private batch, but not its writes.
    #[cfg(feature = "mutants")]
    WritesUncompared,
    /// The conflict index keeps only the last writer of a location, even if that is in the batch
    /// itself.
    #[cfg(feature = "mutants")]
    LastWriterOnly,
    /// The conflict index keeps the first writer of each location and forgets later ones.
    #[cfg(feature = "mutants")]
    IndexForgets,
    /// Commits of other transactions after the first comparison of a private batch are not noticed.
    #[cfg(feature = "mutants")]
    WatchBlind,
    /// If a private batch makes two accesses with the same hash, only the later one counts.
    #[cfg(feature = "mutants")]
    LastAccessCounts,
}

#[cfg(feature = "mutants")]
impl StoreMutant {
    /// Every bug, without the shipped behaviour.
    pub const ALL: &[Self] = &[
        Self::SkipOneRead,
        Self::OldOverwrites,
        Self::StampReused,
        Self::FoldPastValue,
        Self::CheckpointOpen,
        Self::HintLost,
        Self::BaseReplaced,
        Self::StampOutsideLock,
        Self::ReadsOwnIndex,
        Self::EstimateLost,
        Self::ScopeIgnored,
        Self::ScopeSilent,
        Self::AnyValueValid,
        Self::AbsentEqualsZero,
        Self::WrongReader,
        Self::HintByValue,
        Self::MissUnnoticed,
        Self::ReleasedEarly,
        Self::FoldPastTombstone,
        Self::PredictsHigher,
        Self::NotEmptied,
        Self::OutsidersIgnored,
        Self::WritesUncompared,
        Self::LastWriterOnly,
        Self::IndexForgets,
        Self::WatchBlind,
        Self::LastAccessCounts,
    ];
}

macro_rules! is_store_mutant {
    ($value:expr, $name:ident) => {{
        #[cfg(feature = "mutants")]
        let on = matches!($value, $crate::mv::StoreMutant::$name);
        #[cfg(not(feature = "mutants"))]
        let on = {
            let _ = $value;
            false
        };
        on
    }};
}
pub(super) use is_store_mutant;
