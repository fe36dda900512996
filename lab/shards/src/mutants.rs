//! Bugs that are seeded into the core, to see whether model and simulation notice them.

/// A bug of [`Shard`](crate::Shard).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ShardMutant {
    /// None.
    #[default]
    None,
    /// A shard that runs a transaction and serves it sends the values after it.
    ServesAfterRun,
    /// A shard sends its newest values, whichever transaction asks.
    ServesNewest,
    /// A transaction runs although an earlier one that may write what it reads has not committed.
    EarlierWriterIgnored,
    /// A transaction runs as soon as values have come from one other shard.
    OneSenderSuffices,
    /// A transaction counts as finished once its values have come.
    FinishedEarly,
    /// An acknowledgement that was overtaken takes back what a later one has said.
    OldAcknowledgementCounts,
    /// A restarted shard believes that everything it owed has arrived.
    RestartOwesNothing,
    /// A restarted shard goes through the transactions again that its base has already.
    FoldedTwice,
    /// The timer sends nothing again.
    NothingAgain,
    /// What comes after a transaction has committed is not acknowledged.
    LateUnacknowledged,
    /// A shard goes as far ahead as it can.
    WindowIgnored,
    /// Values that another shard has not acknowledged are folded away.
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
