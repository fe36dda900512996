//! Limits and size of a pool.

/// Limits of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolConfig {
    /// Maximum number of transactions. Default: 16,384.
    pub max_transactions: usize,
    /// Maximum total [size](super::PoolTransaction::bytes) of all transactions, in bytes. Default:
    /// 64 MiB.
    pub max_bytes: usize,
    /// Maximum number of transactions of one sender, and also the limit for the distance of a
    /// transaction's nonce from the account's nonce. Default: 256.
    pub max_per_sender: u64,
    /// Percentage by which fee and tip of a replacement must exceed those of the transaction with
    /// the same sender and nonce. Default: 10.
    pub replacement_percent: u8,
    /// The same percentage if one of the two has blobs, also for the fee per blob gas. Default: 100.
    pub blob_replacement_percent: u8,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            max_transactions: 16_384,
            max_bytes: 64 << 20,
            max_per_sender: 256,
            replacement_percent: 10,
            blob_replacement_percent: 100,
        }
    }
}

/// Current size of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStatus {
    /// Number of transactions.
    pub transactions: usize,
    /// Total [size](super::PoolTransaction::bytes) of the transactions, in bytes.
    pub bytes: usize,
    /// Number of senders.
    pub senders: usize,
    /// Number of senders whose next transaction can be included in the next block.
    pub ready: usize,
}
