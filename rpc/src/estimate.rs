//! `eth_estimateGas`: the least gas limit with which a transaction succeeds, nearly.

use crate::{
    call::{self, Environment, run, transaction},
    error::RpcError,
    places::Place,
};
use alloy_primitives::U256;
use alloy_rpc_types_eth::TransactionRequest;
use braid_chain::Snapshot;
use revm::{
    DatabaseRef,
    context::Cfg,
    context_interface::result::{ExecutionResult, HaltReason},
};

/// The search ends when it knows the answer to one part in this many.
const EXACT: u64 = 64;

/// Gas limit for `request`.
pub(crate) fn estimate<S: Snapshot>(
    at: &Environment<S>,
    request: &TransactionRequest,
    limit: u64,
    place: &Place,
) -> Result<u64, RpcError> {
    let try_with = |gas| {
        place.check()?;
        run(at, transaction(at, request, gas)?)
    };
    let most = call::gas(at, request, limit).min(at.cfg.tx_gas_limit_cap());
    let most = most.min(affordable(at, request)?);
    let result = try_with(most)?;
    let used = match result {
        ExecutionResult::Success { gas, .. } => gas.total_gas_spent().max(gas.tx_gas_used()),
        ExecutionResult::Halt { reason: HaltReason::OutOfGas(_), .. } => {
            return Err(RpcError::Gas(most));
        }
        other => return call::output(other).map(|_| most),
    };
    // A call gets 63 of 64 parts, and may ask for more than it uses.
    let (mut fails, mut succeeds) = (used.saturating_sub(1), most);
    let mut next = used.saturating_add(used / 63).saturating_add(2_300).min(most);
    while succeeds.saturating_sub(fails) > (succeeds / EXACT).max(1) {
        match try_with(next) {
            Ok(ExecutionResult::Success { .. }) => succeeds = next,
            // It lacks gas, or does something else with less of it.
            Ok(_) | Err(RpcError::Invalid(_)) => fails = next,
            Err(error) => return Err(error),
        }
        next = fails.midpoint(succeeds);
    }
    // A transfer takes what it takes.
    let exact = used == succeeds || try_with(used).is_ok_and(|it| it.is_success());
    Ok(if exact { used } else { succeeds })
}

/// Gas that the sender can pay for.
fn affordable<S: Snapshot>(
    at: &Environment<S>,
    request: &TransactionRequest,
) -> Result<u64, RpcError> {
    let price = request.max_fee_per_gas.or(request.gas_price).unwrap_or_default();
    if price == 0 {
        return Ok(u64::MAX);
    }
    let account = at.state.basic_ref(request.from.unwrap_or_default())?;
    let balance = account.map_or(U256::ZERO, |account| account.balance);
    let left = balance.saturating_sub(request.value.unwrap_or_default());
    Ok((left / U256::from(price)).saturating_to())
}
