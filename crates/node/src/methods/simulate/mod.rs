//! `eth_simulateV1`: executes blocks that a client describes, one after the other, on a state.
//!
//! Errors have the codes and the words of geth.

mod block;
mod logs;
mod plan;

use super::{Answer, Args, Context, TOO_MUCH, add};
use crate::{error::RpcError, overrides::BlockChanges, params, stored::RpcBlock};
use alloy_eips::BlockId;
use alloy_rpc_types_eth::{
    TransactionRequest,
    simulate::{MAX_SIMULATE_BLOCKS, SimulatedBlock},
    state::StateOverride,
};
use block::Simulation;
use braid_chain::Snapshot;
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use serde::Deserialize;

/// Maximum number of calls in one block.
const BLOCK_CALLS: usize = 5_000;
/// Maximum number of calls in all blocks.
const CALLS: usize = 10_000;

/// The blocks to simulate, and how.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    #[serde(default)]
    block_state_calls: Vec<BlockCalls>,
    /// Whether transfers of ether appear as logs.
    #[serde(default)]
    trace_transfers: bool,
    /// Whether nonces and fees are checked as in a real block.
    #[serde(default)]
    validation: bool,
    #[serde(default)]
    return_full_transactions: bool,
}

/// A block to simulate.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockCalls {
    block_overrides: Option<BlockChanges>,
    state_overrides: Option<StateOverride>,
    calls: Option<Vec<TransactionRequest>>,
}

/// Registers the method.
pub(super) fn register<S: Snapshot>(
    module: &mut RpcModule<Context<S>>,
) -> Result<(), RegisterMethodError> {
    add(module, "eth_simulateV1", simulate)
}

fn simulate<S: Snapshot>(
    it: &Context<S>,
    args: &mut Args<'_>,
) -> Answer<Vec<SimulatedBlock<RpcBlock>>> {
    let (payload, id) = (args.next::<Payload>()?, args.maybe::<BlockId>()?);
    check(&payload)?;
    let (base, state) = params::find(&it.shared, id.unwrap_or_default())?;
    let plans = plan::plan(&base.header, payload.block_state_calls)?;
    let modes = block::Modes {
        transfers: payload.trace_transfers,
        is_validated: payload.validation,
        has_full_transactions: payload.return_full_transactions,
    };
    let rules = &it.shared.producer.rules;
    let mut simulation = Simulation::new(rules, modes, it.limits.call_gas, (&*base, state))?;
    let mut blocks = Vec::new();
    for plan in plans {
        blocks.push(simulation.block(plan, &args.place)?);
    }
    Ok(blocks)
}

/// Checks the number of blocks and of calls.
fn check(payload: &Payload) -> Result<(), RpcError> {
    let blocks = &payload.block_state_calls;
    if blocks.is_empty() {
        return Err(RpcError::Params("empty input".to_owned()));
    }
    if blocks.len() as u64 > MAX_SIMULATE_BLOCKS {
        return Err(too_many_blocks());
    }
    let mut sum = 0_usize;
    for calls in blocks.iter().map(|block| block.calls.as_ref().map_or(0, Vec::len)) {
        sum = sum.saturating_add(calls);
        if calls > BLOCK_CALLS {
            let why = format!("too many calls in block: {calls} > {BLOCK_CALLS}");
            return Err(RpcError::Coded(TOO_MUCH, why));
        }
        if sum > CALLS {
            return Err(RpcError::Coded(TOO_MUCH, format!("too many calls: {sum} > {CALLS}")));
        }
    }
    Ok(())
}

fn too_many_blocks() -> RpcError {
    RpcError::Coded(TOO_MUCH, "too many blocks".to_owned())
}
