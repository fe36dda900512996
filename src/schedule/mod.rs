//! Planning: how a block is cut up and what is known in advance.
//!
//! Nothing here can change a result. A wrong hint costs time.

mod lanes;
mod parts;

pub use lanes::{Joined, Lanes, Ties, lanes};
pub use parts::cut;

use crate::ids::{Chunk, TxIndex};
use crate::protocol::Plan;
use core::hash::Hash;
use std::collections::HashMap;

/// What is known of a transaction before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint<K> {
    /// How much work it is at most, in gas.
    pub cost: u64,
    /// Transactions with the same key depend on each other in order (same sender).
    pub serial_key: K,
    /// It must not run above the frontier.
    pub frontier_only: bool,
}

/// Bounds on a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grain {
    /// Transactions per chunk, at most; at least 1.
    pub transactions: u32,
    /// Sum of the hints' costs per chunk from which on it is closed.
    pub cost: u64,
}

impl Grain {
    /// A grain that gives each of `workers` workers several chunks of a block of `transactions`.
    #[must_use]
    pub fn for_block(transactions: usize, workers: usize) -> Self {
        let share = transactions / (workers * CHUNKS_PER_WORKER).max(1);
        let transactions = u32::try_from(share).unwrap_or(u32::MAX).clamp(1, MOST_TRANSACTIONS);
        Self { transactions, cost: CHUNK_COST }
    }
}

/// Chunks that each worker should get at least, so that the last one is never long.
const CHUNKS_PER_WORKER: usize = 8;
/// Plain transfers per chunk: enough that a message costs little beside them.
const MOST_TRANSACTIONS: u32 = 16;
/// Gas per chunk: some fifty microseconds of contract calls. The longer chunks are that run beside
/// each other, the more their transactions meet: with 400,000, and 2,000,000 for calls of one
/// contract, 1,000 calls over 40 slots that nothing tells came to 1.37 on two workers and to 3.5 on
/// eight in virtual time, with chunks of two calls to 1.86 and 5.3. 17 real blocks on two workers:
/// 1.004 +- 0.010 times as fast, at less processor time.
const CHUNK_COST: u64 = 150_000;

/// Cuts the transactions from `first` on into chunks and notes which of them wait for which.
pub fn plan<K: Eq + Hash>(first: TxIndex, hints: &[Hint<K>], grain: Grain) -> Plan {
    let mut plan = Plan { first, ..Plan::default() };
    let mut last: HashMap<&K, TxIndex, foldhash::fast::RandomState> =
        HashMap::with_capacity_and_hasher(hints.len(), Default::default());
    let mut open = Chunk { first, end: first };
    let mut cost: u64 = 0;
    for hint in hints {
        let tx = open.end;
        let full = open.len() >= grain.transactions.max(1)
            || cost.saturating_add(hint.cost) > grain.cost
            || hint.frontier_only;
        if full && !open.is_empty() {
            plan.chunks.push(open);
            open = Chunk { first: tx, end: tx };
            cost = 0;
        }
        if let Some(on) = last.insert(&hint.serial_key, tx) {
            plan.dependencies.push((tx, on));
        }
        if hint.frontier_only {
            plan.frontier_only.push(tx);
        }
        open.end = tx.next();
        cost = cost.saturating_add(hint.cost);
    }
    if !open.is_empty() {
        plan.chunks.push(open);
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(cost: u64, serial_key: u8) -> Hint<u8> {
        Hint { cost, serial_key, frontier_only: false }
    }

    #[test]
    fn chunks_are_contiguous_and_bounded() {
        let grain = Grain { transactions: 3, cost: 100 };
        let costs = [10, 10, 10, 10, 95, 10, 200, 10];
        let hints: Vec<_> = costs.iter().enumerate().map(|(i, c)| hint(*c, i as u8)).collect();
        let plan = plan(TxIndex(0), &hints, grain);
        let ends: Vec<u32> = plan.chunks.iter().map(|chunk| chunk.end.0).collect();
        assert_eq!(ends, [3, 4, 5, 6, 7, 8]);
        assert_eq!(plan.chunks.first().map(|chunk| chunk.first), Some(TxIndex(0)));
        assert!(plan.chunks.windows(2).all(|pair| pair[0].end == pair[1].first));
    }

    #[test]
    fn same_key_waits_for_the_last_one() {
        let grain = Grain { transactions: 8, cost: 1000 };
        let plan = plan(TxIndex(0), &[hint(1, 7), hint(1, 8), hint(1, 7), hint(1, 7)], grain);
        assert_eq!(plan.dependencies, [(TxIndex(2), TxIndex(0)), (TxIndex(3), TxIndex(2))]);
    }
}
