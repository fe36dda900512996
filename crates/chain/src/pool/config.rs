//! Limits of a pool, and how much it holds.

/// Limits of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolConfig {
    /// Transactions at most. Default: 16,384.
    pub max_transactions: usize,
    /// [Bytes](super::PoolTransaction::bytes) of all transactions at most. Default: 64 MiB.
    pub max_bytes: usize,
    /// Transactions of one sender at most, and how far beyond its account's nonce they may be.
    /// Default: 256.
    pub max_per_sender: u64,
    /// Percentage by which a transaction must pay more than the one with the same sender and
    /// nonce that it replaces. Default: 10.
    pub replacement_percent: u8,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            max_transactions: 16_384,
            max_bytes: 64 << 20,
            max_per_sender: 256,
            replacement_percent: 10,
        }
    }
}

/// How much a pool holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStatus {
    /// Number of transactions.
    pub transactions: usize,
    /// Their [bytes](super::PoolTransaction::bytes).
    pub bytes: usize,
    /// Number of senders.
    pub senders: usize,
    /// Number of senders whose next transaction can go into the next block.
    pub ready: usize,
}
