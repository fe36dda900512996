//! Division of a block into chunks. It never changes a result; a wrong hint only costs time.

mod parts;

pub use parts::cut;

use crate::ids::{Chunk, TxIndex};
use crate::protocol::Chunks;
use crate::thresholds::{CHUNK_GAS, CHUNKS_PER_WORKER, LONGEST_CHUNK};

/// Estimates about a transaction before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Upper bound on the work of the transaction, in gas.
    pub cost: u64,
    /// Whether the transaction must not run above the frontier.
    pub frontier_only: bool,
}

/// Limits of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grain {
    /// Maximum number of transactions per chunk; at least 1.
    pub transactions: u32,
    /// Maximum sum of the hints' costs in a chunk of several transactions.
    pub cost: u64,
}

impl Grain {
    /// Returns limits that give each of `workers` workers several chunks of a block of
    /// `transactions` transactions.
    #[must_use]
    pub fn for_block(transactions: usize, workers: usize) -> Self {
        let share = transactions / (workers * CHUNKS_PER_WORKER).max(1);
        let transactions = u32::try_from(share).unwrap_or(u32::MAX).clamp(1, LONGEST_CHUNK);
        Self { transactions, cost: CHUNK_GAS }
    }
}

/// Divides the transactions from `first` on into chunks. `hints` has one entry per transaction.
#[must_use]
pub fn plan(first: TxIndex, hints: &[Hint], grain: Grain) -> Chunks {
    let mut chunks = Chunks::default();
    let mut chunk = Chunk { first, end: first };
    let mut cost: u64 = 0;
    for hint in hints {
        let tx = chunk.end;
        let is_full = chunk.len() >= grain.transactions.max(1)
            || cost.saturating_add(hint.cost) > grain.cost
            || hint.frontier_only;
        if is_full && !chunk.is_empty() {
            chunks.ranges.push(chunk);
            chunk = Chunk { first: tx, end: tx };
            cost = 0;
        }
        if hint.frontier_only {
            chunks.frontier_only.push(tx);
        }
        chunk.end = tx.next();
        cost = cost.saturating_add(hint.cost);
    }
    if !chunk.is_empty() {
        chunks.ranges.push(chunk);
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(cost: u64) -> Hint {
        Hint { cost, frontier_only: false }
    }

    #[test]
    fn chunks_are_contiguous_and_bounded() {
        let grain = Grain { transactions: 3, cost: 100 };
        let costs = [10, 10, 10, 10, 95, 10, 200, 10];
        let hints: Vec<_> = costs.into_iter().map(hint).collect();
        let ranges = plan(TxIndex(0), &hints, grain).ranges;
        let ends: Vec<u32> = ranges.iter().map(|chunk| chunk.end.0).collect();
        assert_eq!(ends, [3, 4, 5, 6, 7, 8]);
        assert_eq!(ranges.first().map(|chunk| chunk.first), Some(TxIndex(0)));
        assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].first));
    }
}
