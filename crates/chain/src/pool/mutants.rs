//! Seeded bugs of a pool, which the tests against a plain model must detect.

/// A seeded bug of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mutant {
    /// No bug.
    #[default]
    None,
    /// Admits a transaction although the account was read after a different block.
    StaleTaken,
    /// Admits a transaction with a past nonce.
    OldNonceTaken,
    /// Admits a transaction however far ahead its nonce is.
    FarNonceTaken,
    /// Reports a nonce gap although the sender has the maximum number of transactions.
    FullQueueUntold,
    /// Ignores the cost of the sender's other transactions.
    OthersFree,
    /// Admits a replacement that pays less.
    ReplacedForLess,
    /// Evicts transactions that are worth more than the new one.
    WorthIgnored,
    /// Values transactions without regard to the base fee.
    BaseFeeIgnored,
    /// Keeps a sender without transactions.
    SenderKept,
    /// Still counts the bytes of a removed transaction.
    BytesKept,
    /// Hands out a transaction that does not fit into the block.
    TooLargeHandedOut,
    /// Keeps an invalid transaction.
    InvalidKept,
    /// Keeps a transaction that is in a block.
    MinedKept,
    /// Keeps a transaction that its sender can no longer pay for.
    UnpaidKept,
    /// Omits a sender from the order by gas limit once the block was handed one of its
    /// transactions.
    GasLimitForgotten,
}

impl Mutant {
    /// All seeded bugs.
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
