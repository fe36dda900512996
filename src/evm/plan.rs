//! What a transaction tells before it runs.

use super::block::Block;
use crate::ids::TxIndex;
use crate::protocol::Plan;
use crate::schedule::{Grain, Hint, plan};
use alloy_primitives::Address;
use revm::context::{Cfg, TxEnv};
use std::num::NonZeroU32;

/// Gas that a transaction can take from the block: its limit, up to the cap of EIP-7825.
pub(super) fn regular_gas_limit(block: &Block, gas_limit: u64) -> u64 {
    gas_limit.min(block.cfg.tx_gas_limit_cap())
}

/// Plans the transactions of `block` from `first` on for `workers` workers.
pub(super) fn plan_block(
    block: &Block,
    first: TxIndex,
    workers: usize,
    chunk: Option<NonZeroU32>,
) -> Plan {
    let room = block.env.gas_limit;
    let hint = |tx: &TxEnv| Hint::<Address> {
        cost: tx.gas_limit,
        serial_key: tx.caller,
        target: tx.kind.to().copied().filter(|_| !tx.data.is_empty()),
        // It will be refused, so running it early is wasted; and its gas may be absurd (I9).
        frontier_only: regular_gas_limit(block, tx.gas_limit) > room
            || (block.cfg.enable_amsterdam_eip8037 && tx.gas_limit > room),
    };
    let transactions = block.transactions.get(first.position()..).unwrap_or_default();
    let grain = match chunk {
        Some(chunk) => Grain { transactions: chunk.get(), cost: u64::MAX, shared_cost: u64::MAX },
        None => Grain::for_block(transactions.len(), workers),
    };
    plan(first, transactions.iter().map(hint), grain)
}
