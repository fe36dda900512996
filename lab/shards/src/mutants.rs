//! Bugs that are seeded into the core, to test that model and simulation find them.

/// A bug of [`Shard`](crate::Shard).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ShardMutant {
    /// None.
    #[default]
    None,
    /// A shard that both runs and serves a transaction sends the values after it.
    ServesAfterRun,
    /// A shard sends its newest values, whichever transaction they are for.
    ServesNewest,
    /// A transaction runs although an earlier one that may write its reads has not committed.
    EarlierWriterIgnored,
    /// A transaction runs as soon as values have arrived from one other shard.
    OneSenderSuffices,
    /// A transaction counts as finished once its values have arrived.
    FinishedEarly,
    /// An acknowledgement that was overtaken undoes a later one.
    OldAcknowledgementCounts,
    /// A restarted shard assumes that everything it owed has arrived.
    RestartOwesNothing,
    /// A restarted shard applies transactions again that are already in its base.
    FoldedTwice,
    /// The timer resends nothing.
    NothingAgain,
    /// Messages that arrive after a transaction has committed are not acknowledged.
    LateUnacknowledged,
    /// A shard runs ahead without limit.
    WindowIgnored,
    /// A shard folds values that another shard has not acknowledged.
    FoldsUnacknowledged,
}

impl ShardMutant {
    /// All bugs.
    pub const ALL: [Self; 12] = [
        Self::ServesAfterRun,
        Self::ServesNewest,
        Self::EarlierWriterIgnored,
        Self::OneSenderSuffices,
        Self::FinishedEarly,
        Self::OldAcknowledgementCounts,
        Self::RestartOwesNothing,
        Self::FoldedTwice,
        Self::NothingAgain,
        Self::LateUnacknowledged,
        Self::WindowIgnored,
        Self::FoldsUnacknowledged,
    ];
}
