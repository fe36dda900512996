//! Partition of a block's transactions among workers: chunks with predicted dependencies, and
//! contiguous batches.

use super::edges::{Prediction, edges};
use super::tx::{may_fit, mean_gas_limit, probable_gas};
use crate::evm::exec::input::Block;
use crate::ids::TxIndex;
use crate::protocol::Chunks;
use crate::schedule::{Grain, Hint, plan};
use crate::thresholds::{FIRST_BATCH_GAS, LONGEST_FIRST_BATCH, SEGMENT_GROWTH, SHORTEST_BATCH};
use core::ops::Range;
use revm::context::TxEnv;
use std::num::NonZeroU32;

/// Divides the transactions of `block` from `first` up to `end` into chunks for `workers` workers.
/// Each transaction waits for its predicted dependency.
pub(in crate::evm) fn plan_block(
    block: &Block,
    prediction: Prediction<'_>,
    first: TxIndex,
    end: usize,
    workers: usize,
    chunk: Option<NonZeroU32>,
) -> Chunks {
    let room = block.env.gas_limit;
    let hint = |tx: &TxEnv| Hint {
        cost: probable_gas(block, tx),
        frontier_only: !may_fit(block, tx, room),
    };
    let transactions = block.transactions.get(first.position()..end).unwrap_or_default();
    let grain = match chunk {
        Some(chunk) => Grain { transactions: chunk.get(), cost: u64::MAX },
        None => Grain::for_block(transactions.len(), workers),
    };
    // Load all transactions from memory in order before `edges` builds its maps.
    let hints: Vec<_> = transactions.iter().map(hint).collect();
    Chunks { dependencies: edges(block, prediction, first, end), ..plan(first, &hints, grain) }
}

/// Returns the number of transactions of each first contiguous batch of `block`.
pub(in crate::evm) fn first_batch(block: &Block) -> usize {
    usize::try_from(FIRST_BATCH_GAS / mean_gas_limit(block).max(1))
        .map_or(LONGEST_FIRST_BATCH, |fit| fit.clamp(SHORTEST_BATCH, LONGEST_FIRST_BATCH))
}

/// Returns the number of transactions after `segment` that are as cheap by probable gas: at most
/// [`SEGMENT_GROWTH`] times its length, with at most [`SEGMENT_GROWTH`] times its gas.
pub(super) fn count_cheap_following(block: &Block, segment: Range<usize>) -> usize {
    let end = segment.end;
    let gas = |tx: &TxEnv| probable_gas(block, tx);
    let most = SEGMENT_GROWTH.saturating_mul(segment.len());
    let transactions = block.transactions.get(segment).unwrap_or_default().iter();
    let sum = transactions.map(gas).fold(0, u64::saturating_add);
    let room = sum.saturating_mul(SEGMENT_GROWTH as u64);
    let next = block.transactions.get(end..).unwrap_or_default().iter().take(most);
    let sums = next.scan(0_u64, |sum, tx| {
        *sum = sum.saturating_add(gas(tx));
        Some(*sum)
    });
    sums.take_while(|sum| *sum <= room).count()
}
