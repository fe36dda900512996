//! Bugs that are seeded into a pool, to see whether the tests against a plain model notice them.

/// A bug of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mutant {
    /// None.
    #[default]
    None,
    /// An account that was read after another block is taken.
    StaleTaken,
    /// A transaction with a nonce of the past is taken.
    OldNonceTaken,
    /// A transaction however far ahead is taken.
    FarNonceTaken,
    /// A sender with as many transactions as the pool keeps hears that one is missing.
    FullQueueUntold,
    /// What the sender's other transactions cost does not count.
    OthersFree,
    /// A transaction is replaced by one that pays less.
    ReplacedForLess,
    /// A full pool gives up what is worth more than the newcomer.
    WorthIgnored,
    /// What a transaction is worth does not depend on the base fee.
    BaseFeeIgnored,
    /// A sender that has no transaction left is still known.
    SenderKept,
    /// The bytes of a transaction that has left still count.
    BytesKept,
    /// A transaction that the block has no room for is handed out.
    TooLargeHandedOut,
    /// An invalid transaction stays.
    InvalidKept,
    /// A transaction that is in a block stays.
    MinedKept,
    /// A transaction that its sender can no longer pay for stays.
    UnpaidKept,
    /// What a sender has after a transaction that the block was handed is left out of the order by gas limit.
    GasLimitForgotten,
}

impl Mutant {
    /// All bugs.
    pub(super) const ALL: [Self; 15] = [
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
