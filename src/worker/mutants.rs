//! Seeded bugs of workers and the coordinator, for the tests that must notice them.

/// A deliberate bug, chosen at run time. Without the feature `mutants` there is only `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WorkerMutant {
    /// The shipped behaviour.
    #[default]
    None,
    /// A report is sent before its write sets are published.
    #[cfg(feature = "mutants")]
    ReportBeforePublish,
    /// I7: entries of the previous incarnation that the new one did not write stay in the store.
    #[cfg(feature = "mutants")]
    LeftoversKept,
    /// I12: the result of a run is used although its view has stopped.
    #[cfg(feature = "mutants")]
    LatchIgnored,
    /// The channel of reports has room for one report only.
    #[cfg(feature = "mutants")]
    ReportChannelShort,
    /// I12: the block ends with the error of the highest transaction that failed.
    #[cfg(feature = "mutants")]
    ErrorOfAnother,
    /// I15: the frontier moves before a skipped transaction's entries are withdrawn.
    #[cfg(feature = "mutants")]
    FrontierBeforeWithdrawal,
    /// A report names no stale readers.
    #[cfg(feature = "mutants")]
    StaleNotSent,
    /// I14: a chunk continues after a transaction without a result.
    #[cfg(feature = "mutants")]
    ChunkGoesOn,
    /// Every worker that claims a job gets it, not only the first.
    #[cfg(feature = "mutants")]
    ClaimedTwice,
    /// A transaction that has run counts as running until its worker runs something else.
    #[cfg(feature = "mutants")]
    RunsForEver,
    /// Entries above the frontier stay in the store when the block ends with `HandedOver`. It is
    /// noticed only by blocks that do: see `EvmMutant::SpeculationStays`.
    #[cfg(feature = "mutants")]
    SpeculationStays,
    /// The frontier moves before the credits of the transaction are published. It is noticed only
    /// if a transaction has credits: see `EvmMutant::CreditAfterFrontier`.
    #[cfg(feature = "mutants")]
    FrontierBeforeCredit,
    /// A private batch continues after a transaction that must wait.
    #[cfg(feature = "mutants")]
    BatchGoesOn,
    /// A private batch that ran again commits the results of its first run.
    #[cfg(feature = "mutants")]
    BatchNotReplaced,
    /// The writes of a group are published after the frontier has moved.
    #[cfg(feature = "mutants")]
    FrontierBeforeGroup,
    /// Writes of transactions that run at the frontier are missing from the conflict index.
    #[cfg(feature = "mutants")]
    FrontierUnindexed,
    /// Writes that private batches commit are missing from the conflict index.
    #[cfg(feature = "mutants")]
    GroupUnindexed,
    /// A conflict found by the first comparison of a private batch is forgotten once other
    /// transactions commit.
    #[cfg(feature = "mutants")]
    VerdictForgotten,
    /// The report of any private batch replaces the state from which the sequential run continues.
    #[cfg(feature = "mutants")]
    CarryReplaced,
    /// A worker publishes its result although a helper has taken over the job.
    #[cfg(feature = "mutants")]
    LatePublished,
    /// The result of a helper's run is used for whichever transaction runs at the frontier next.
    #[cfg(feature = "mutants")]
    SecondOfAnother,
    /// The caller never helps with a frontier whose worker is preempted.
    #[cfg(feature = "mutants")]
    NeverHelps,
    /// Each worker that runs a private batch reports it.
    #[cfg(feature = "mutants")]
    ReportedTwice,
    /// A helper runs a private batch on the state below the frontier, although the store may not
    /// have all of it.
    #[cfg(feature = "mutants")]
    SecondOnFrontier,
    /// A batch that the coordinator has taken back counts as begun by a worker, so it is helped.
    #[cfg(feature = "mutants")]
    TakenBackHelped,
    /// A helper does not check whether the frontier has moved while it looked up the run.
    #[cfg(feature = "mutants")]
    FrontierReadOnce,
}

#[cfg(feature = "mutants")]
impl WorkerMutant {
    /// Every bug, without the shipped behaviour.
    pub const ALL: &[Self] = &[
        Self::ReportBeforePublish,
        Self::LeftoversKept,
        Self::LatchIgnored,
        Self::ReportChannelShort,
        Self::ErrorOfAnother,
        Self::FrontierBeforeWithdrawal,
        Self::StaleNotSent,
        Self::ChunkGoesOn,
        Self::ClaimedTwice,
        Self::RunsForEver,
        Self::BatchGoesOn,
        Self::BatchNotReplaced,
        Self::FrontierBeforeGroup,
        Self::FrontierUnindexed,
        Self::GroupUnindexed,
        Self::VerdictForgotten,
        Self::CarryReplaced,
        Self::LatePublished,
        Self::SecondOfAnother,
        Self::NeverHelps,
        Self::ReportedTwice,
        Self::SecondOnFrontier,
        Self::TakenBackHelped,
        Self::FrontierReadOnce,
    ];
}

macro_rules! is_worker_mutant {
    ($value:expr, $name:ident) => {{
        #[cfg(feature = "mutants")]
        let on = matches!($value, $crate::worker::WorkerMutant::$name);
        #[cfg(not(feature = "mutants"))]
        let on = {
            let _ = $value;
            false
        };
        on
    }};
}
pub(super) use is_worker_mutant;
