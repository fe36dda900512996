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
    /// I7: what the previous incarnation left stays.
    #[cfg(feature = "mutants")]
    LeftoversKept,
    /// I12: a result counts although the view had stopped.
    #[cfg(feature = "mutants")]
    LatchIgnored,
    /// The channel of reports holds one.
    #[cfg(feature = "mutants")]
    ReportChannelShort,
    /// I12: the error that ends the block is the highest transaction's.
    #[cfg(feature = "mutants")]
    ErrorOfAnother,
    /// I15: the frontier moves before a skipped transaction's entries are withdrawn.
    #[cfg(feature = "mutants")]
    FrontierBeforeWithdrawal,
    /// A report names no stale readers.
    #[cfg(feature = "mutants")]
    StaleNotSent,
    /// I14: a chunk goes on after a transaction without a result.
    #[cfg(feature = "mutants")]
    ChunkGoesOn,
    /// Each worker that asks for a job gets it, also the second.
    #[cfg(feature = "mutants")]
    ClaimedTwice,
    /// A transaction that has run counts as running until its worker runs something else.
    #[cfg(feature = "mutants")]
    RunsForEver,
    /// What was published above the frontier stays when the block is handed over; noticed where
    /// one is: see `EvmMutant::SpeculationStays`.
    #[cfg(feature = "mutants")]
    SpeculationStays,
    /// The frontier moves before what the transaction credits is there; noticed where a transaction
    /// credits anything: see `EvmMutant::CreditAfterFrontier`.
    #[cfg(feature = "mutants")]
    FrontierBeforeCredit,
    /// A private batch goes on after a transaction that must wait.
    #[cfg(feature = "mutants")]
    BatchGoesOn,
    /// A private batch that ran again commits what its first run has left.
    #[cfg(feature = "mutants")]
    BatchNotReplaced,
    /// What a private batch has left is put into the store after the frontier moved.
    #[cfg(feature = "mutants")]
    FrontierBeforeGroup,
    /// The conflict index does not hear of what runs at the frontier.
    #[cfg(feature = "mutants")]
    FrontierUnindexed,
    /// The conflict index does not hear of what private batches commit.
    #[cfg(feature = "mutants")]
    GroupUnindexed,
    /// What the first verdict on a private batch forbids is forgotten once others commit.
    #[cfg(feature = "mutants")]
    VerdictForgotten,
    /// Whatever run of a private batch reports replaces what a segment in order is to go on from.
    #[cfg(feature = "mutants")]
    CarryReplaced,
    /// A worker publishes what it has run although its job was taken over.
    #[cfg(feature = "mutants")]
    LatePublished,
    /// The result of a run beside another one counts for whatever runs at the frontier next.
    #[cfg(feature = "mutants")]
    SecondOfAnother,
    /// The caller never runs the frontier beside a worker that is suspended.
    #[cfg(feature = "mutants")]
    NeverHelps,
    /// Each worker that runs a private batch reports it.
    #[cfg(feature = "mutants")]
    ReportedTwice,
    /// A helper runs a private batch on the state below the frontier, although the store may not
    /// have all of it.
    #[cfg(feature = "mutants")]
    SecondOnFrontier,
    /// A batch that the coordinator has taken back counts as begun.
    #[cfg(feature = "mutants")]
    TakenBackHelped,
    /// Who helps takes the frontier that it has seen first for the one at which a run began.
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
