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
    /// The entries of an aborted transaction do not become estimates.
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
    /// I14: an abort keeps the results of later transactions of the chunk, which share its journal.
    #[cfg(feature = "mutants")]
    TailKept,
    /// A blocked transaction waits even if the transaction it waits for has published since.
    #[cfg(feature = "mutants")]
    LateBlockedWaits,
    /// A transaction whose run was too early never runs again.
    #[cfg(feature = "mutants")]
    EarlyRunForgotten,
    /// Dispatch ignores the window.
    #[cfg(feature = "mutants")]
    WindowIgnored,
    /// The longest transactions are dispatched from beyond the window.
    #[cfg(feature = "mutants")]
    LongestIgnoreWindow,
    /// Transactions are never checked for room in the block.
    #[cfg(feature = "mutants")]
    AdmissionSkipped,
    /// A worker that releases the lock does not check for reports again. Only loom can notice it.
    #[cfg(feature = "mutants")]
    CoordinatorNotLookedAgain,
    /// More jobs are dispatched than the channel has room for.
    #[cfg(feature = "mutants")]
    CapacityIgnored,
    /// I3: a recheck above the frontier, which is only a hint, counts as validation.
    #[cfg(feature = "mutants")]
    HintIsVerdict,
    /// I2: a transaction whose job the coordinator has tried to take back commits twice.
    #[cfg(feature = "mutants")]
    CommitsTwice,
    /// I12: a transaction that failed above the frontier does not run again at the frontier.
    #[cfg(feature = "mutants")]
    ErrorCached,
    /// I8: the cap of runs applies at the frontier, too.
    #[cfg(feature = "mutants")]
    FrontierCapped,
    /// I12: in build mode a failure of the database or a panic counts as a rejection.
    #[cfg(feature = "mutants")]
    FatalSkipped,
    /// Private batches commit without comparison with other commits since their snapshot.
    #[cfg(feature = "mutants")]
    OutsidersUnchecked,
    /// Other commits between the snapshot of a private batch and its report are not compared.
    #[cfg(feature = "mutants")]
    SnapshotLate,
    /// A private batch is compared only once, even if other transactions commit afterwards.
    #[cfg(feature = "mutants")]
    ComparedOnce,
    /// After a conflict, only the first remaining group of a private batch runs again; later groups
    /// are kept.
    #[cfg(feature = "mutants")]
    BatchTailKept,
    /// A group of a private batch commits without a check for room in the block.
    #[cfg(feature = "mutants")]
    GroupUnadmitted,
    /// A batch or a run at the frontier begins before all writes below it are in the store.
    #[cfg(feature = "mutants")]
    PublishForgotten,
    /// I15: results of a private batch that follow a skipped transaction are kept.
    #[cfg(feature = "mutants")]
    SkipKeepsBatch,
    /// I12: the member of a private batch that must wait for the frontier commits like the members
    /// before it.
    #[cfg(feature = "mutants")]
    HeldCommitted,
    /// A private batch is dispatched once more while it runs.
    #[cfg(feature = "mutants")]
    BatchTwice,
    /// I2: a private batch that has ended commits before a lower one that runs.
    #[cfg(feature = "mutants")]
    BatchOvertakes,
    /// I13: a block that ends early still commits results of a private batch at the frontier.
    #[cfg(feature = "mutants")]
    HaltCommitsBatch,
    /// A sequential run continues from the state after the last one, although other transactions
    /// have committed since.
    #[cfg(feature = "mutants")]
    CarryOutdated,
    /// A sequential run continues from a state that contains aborted results.
    #[cfg(feature = "mutants")]
    CarryKept,
    /// The pending writes of a sequential run are not published before other transactions run on
    /// top of them.
    #[cfg(feature = "mutants")]
    CarriedForgotten,
    /// The protocol waits for an answer that no longer counts, because the block has ended.
    #[cfg(feature = "mutants")]
    AwaitsAfterEnd,
    /// The report of a job that was taken over is not ignored.
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
