//! Seeded bugs of the protocol, for the tests that must notice them.
//!
//! Without the feature `mutants` there is one value, `None`, and every question about it folds
//! to `false` at compile time.

/// A deliberate bug, chosen at run time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mutant {
    /// The shipped behaviour.
    #[default]
    None,
    /// I3: the frontier commits without validation.
    #[cfg(feature = "mutants")]
    SkipValidation,
    /// I3: a named transaction commits like one that no change has named, unless it is found stale
    /// before the frontier reaches it.
    #[cfg(feature = "mutants")]
    NamingLost,
    /// I2: the frontier moves by two.
    #[cfg(feature = "mutants")]
    CommitSkipsOne,
    /// Estimates are never set when a transaction is aborted.
    #[cfg(feature = "mutants")]
    DiscardKeepsEntries,
    /// A transaction that waits on another is never woken.
    #[cfg(feature = "mutants")]
    WakeUpLost,
    /// I9: runs are not capped.
    #[cfg(feature = "mutants")]
    Uncapped,
    /// I8: the frontier goes through the channel like speculation.
    #[cfg(feature = "mutants")]
    FrontierQueued,
    /// I12: a failure from speculation counts as final.
    #[cfg(feature = "mutants")]
    SpeculativeError,
    /// I15: a skip does not withdraw entries.
    #[cfg(feature = "mutants")]
    SkipKeepsEntries,
    /// I13: the block finishes while jobs are in flight.
    #[cfg(feature = "mutants")]
    HaltLeavesJobs,
    /// I14: a discard keeps the rest of a chunk that shared state with it.
    #[cfg(feature = "mutants")]
    TailKept,
    /// "Blocked on i" always waits, also when i has published since.
    #[cfg(feature = "mutants")]
    LateBlockedWaits,
    /// A run that came too early is not taken up again.
    #[cfg(feature = "mutants")]
    EarlyRunForgotten,
    /// Dispatch ignores the window.
    #[cfg(feature = "mutants")]
    WindowIgnored,
    /// The longest transactions are dispatched from beyond the window.
    #[cfg(feature = "mutants")]
    LongestIgnoreWindow,
    /// Admission is never asked.
    #[cfg(feature = "mutants")]
    AdmissionSkipped,
    /// A worker that releases the lock does not look for reports again. Only loom can tell.
    #[cfg(feature = "mutants")]
    CoordinatorNotLookedAgain,
    /// More jobs go out than the channel holds.
    #[cfg(feature = "mutants")]
    CapacityIgnored,
    /// I3: a check above the frontier, by version and too early, counts as validation.
    #[cfg(feature = "mutants")]
    HintIsVerdict,
    /// I2: a transaction whose job was asked for is committed twice.
    #[cfg(feature = "mutants")]
    CommitsTwice,
    /// I12: what failed above the frontier is not run again there.
    #[cfg(feature = "mutants")]
    ErrorCached,
    /// I8: the cap of runs holds at the frontier too.
    #[cfg(feature = "mutants")]
    FrontierCapped,
    /// I12: in build mode a failure of the database or a panic counts as a rejection.
    #[cfg(feature = "mutants")]
    FatalSkipped,
    /// Private batches commit without a look at what others have committed since their snapshot.
    #[cfg(feature = "mutants")]
    OutsidersUnchecked,
    /// What others have committed between the snapshot of a private batch and its report is
    /// overlooked.
    #[cfg(feature = "mutants")]
    SnapshotLate,
    /// The first verdict on a private batch stays, whatever others commit after it.
    #[cfg(feature = "mutants")]
    ComparedOnce,
    /// Of a private batch that met a conflict, only the first transaction runs again.
    #[cfg(feature = "mutants")]
    BatchTailKept,
    /// A group of a private batch commits without a question for room.
    #[cfg(feature = "mutants")]
    GroupUnadmitted,
    /// A batch or a frontier run begins before what lies below it is in the store.
    #[cfg(feature = "mutants")]
    PublishForgotten,
    /// I15: what ran after a transaction that is left out, in the same private batch, stays.
    #[cfg(feature = "mutants")]
    SkipKeepsBatch,
    /// I12: the member of a private batch that must wait for the frontier commits like those before
    /// it.
    #[cfg(feature = "mutants")]
    HeldCommitted,
    /// A private batch is dispatched once more while it runs.
    #[cfg(feature = "mutants")]
    BatchTwice,
    /// I2: a private batch that has ended commits before a lower one that runs.
    #[cfg(feature = "mutants")]
    BatchOvertakes,
    /// I13: a block that ends early still commits what a private batch has left at the frontier.
    #[cfg(feature = "mutants")]
    HaltCommitsBatch,
    /// A segment in order goes on from what its last run has left, although others have committed
    /// since.
    #[cfg(feature = "mutants")]
    CarryOutdated,
    /// A segment in order goes on from what was thrown away.
    #[cfg(feature = "mutants")]
    CarryKept,
    /// What a segment in order has left is not put into the store before others run on top of it.
    #[cfg(feature = "mutants")]
    CarriedForgotten,
    /// An answer is awaited that came after the end of the block.
    #[cfg(feature = "mutants")]
    AwaitsAfterEnd,
    /// The report of a job that was taken over counts.
    #[cfg(feature = "mutants")]
    LateReportCounts,
}

#[cfg(feature = "mutants")]
impl Mutant {
    /// Every bug, without the shipped behaviour.
    pub const ALL: &[Self] = &[
        Self::SkipValidation,
        Self::NamingLost,
        Self::CommitSkipsOne,
        Self::DiscardKeepsEntries,
        Self::WakeUpLost,
        Self::Uncapped,
        Self::FrontierQueued,
        Self::SpeculativeError,
        Self::SkipKeepsEntries,
        Self::HaltLeavesJobs,
        Self::TailKept,
        Self::LateBlockedWaits,
        Self::EarlyRunForgotten,
        Self::WindowIgnored,
        Self::LongestIgnoreWindow,
        Self::AdmissionSkipped,
        Self::CoordinatorNotLookedAgain,
        Self::CapacityIgnored,
        Self::HintIsVerdict,
        Self::CommitsTwice,
        Self::ErrorCached,
        Self::FrontierCapped,
        Self::FatalSkipped,
        Self::OutsidersUnchecked,
        Self::SnapshotLate,
        Self::ComparedOnce,
        Self::BatchTailKept,
        Self::GroupUnadmitted,
        Self::PublishForgotten,
        Self::SkipKeepsBatch,
        Self::HeldCommitted,
        Self::BatchTwice,
        Self::BatchOvertakes,
        Self::HaltCommitsBatch,
        Self::CarryOutdated,
        Self::CarryKept,
        Self::CarriedForgotten,
        Self::AwaitsAfterEnd,
        Self::LateReportCounts,
    ];
}

/// `is!(protocol, Name)` asks for a mutant and is `false` where they are not compiled in.
macro_rules! is_mutant {
    ($value:expr, $name:ident) => {{
        #[cfg(feature = "mutants")]
        let on = matches!($value, $crate::protocol::Mutant::$name);
        #[cfg(not(feature = "mutants"))]
        let on = {
            let _ = $value;
            false
        };
        on
    }};
}
pub(super) use is_mutant;
