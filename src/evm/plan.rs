//! What a transaction tells before it runs.

use super::block::Block;
use crate::protocol::Plan;
use crate::schedule::{Grain, Hint, plan};
use alloy_primitives::Address;
use revm::context::Cfg;

/// Gas that a transaction can take from the block: its limit, up to the cap of EIP-7825.
pub(super) fn regular_gas_limit(block: &Block, gas_limit: u64) -> u64 {
    gas_limit.min(block.cfg.tx_gas_limit_cap())
}

/// Plans `block` for `workers` workers.
pub(super) fn plan_block(block: &Block, workers: usize) -> Plan {
    let room = block.env.gas_limit;
    let hint = |tx: &revm::context::TxEnv| Hint::<Address> {
        cost: tx.gas_limit,
        serial_key: tx.caller,
        // It will be refused, so running it early is wasted; and its gas may be absurd (I9).
        frontier_only: regular_gas_limit(block, tx.gas_limit) > room,
    };
    plan(block.transactions.iter().map(hint), Grain::for_block(block.transactions.len(), workers))
}
