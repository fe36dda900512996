//! The sequence of blocks to simulate: numbers and times rise, and gaps are filled with empty
//! blocks.

use super::{BlockCalls, too_many_blocks};
use crate::{error::RpcError, overrides::BlockChanges};
use alloy_consensus::Header;
use alloy_primitives::U256;
use alloy_rpc_types_eth::{
    TransactionRequest, simulate::MAX_SIMULATE_BLOCKS, state::StateOverride,
};

/// Seconds between two blocks that state no time.
const SECONDS: u64 = 12;
/// Code of the error for a block number that does not rise.
const NUMBER: i32 = -38_020;
/// Code of the error for a time that does not rise.
const TIME: i32 = -38_021;

/// A block to simulate, with its place in the chain.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) number: u64,
    pub(super) time: u64,
    pub(super) changes: BlockChanges,
    pub(super) state: StateOverride,
    pub(super) calls: Vec<TransactionRequest>,
}

/// Returns the blocks to simulate after `base`.
pub(super) fn plan(base: &Header, blocks: Vec<BlockCalls>) -> Result<Vec<Plan>, RpcError> {
    let (mut number, mut time) = (base.number, base.timestamp);
    let mut plans = Vec::new();
    for block in blocks {
        let changes = block.block_overrides.unwrap_or_default();
        let last = next_number(base.number, number, changes.fields.number)?;
        for number in number.saturating_add(1)..last {
            time = time.saturating_add(SECONDS);
            plans.push(Plan { number, time, ..Plan::default() });
        }
        number = last;
        let next = changes.fields.time.unwrap_or_else(|| time.saturating_add(SECONDS));
        if next <= time {
            let why = format!("block timestamps must be in order: {next} <= {time}");
            return Err(RpcError::Coded(TIME, why));
        }
        time = next;
        let state = block.state_overrides.unwrap_or_default();
        let calls = block.calls.unwrap_or_default();
        plans.push(Plan { number, time, changes, state, calls });
    }
    Ok(plans)
}

/// Returns the number of the block after `before`, which the client may have stated.
fn next_number(base: u64, before: u64, stated: Option<U256>) -> Result<u64, RpcError> {
    let next = stated.unwrap_or_else(|| U256::from(before).saturating_add(U256::from(1)));
    if next <= U256::from(before) {
        let why = format!("block numbers must be in order: {next} <= {before}");
        return Err(RpcError::Coded(NUMBER, why));
    }
    if next.saturating_sub(U256::from(base)) > U256::from(MAX_SIMULATE_BLOCKS) {
        return Err(too_many_blocks());
    }
    u64::try_from(next).map_err(|_| too_many_blocks())
}
