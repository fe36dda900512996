//! `eth_estimateGas`: approximately the lowest gas limit with which a transaction succeeds.

use crate::{
    call::{self, Environment, run, transaction},
    error::RpcError,
    places::Place,
    words,
};
use alloy_primitives::{Address, U256};
use alloy_rpc_types_eth::TransactionRequest;
use braid_chain::Snapshot;
use revm::{
    DatabaseRef,
    context::Cfg,
    context_interface::result::{ExecutionResult, HaltReason, InvalidTransaction},
};

/// The search ends when the result is exact to one part in this many.
const EXACT: u64 = 64;

/// Estimates the gas limit for `request`.
pub(crate) fn estimate<S: Snapshot>(
    at: &Environment<S>,
    request: &TransactionRequest,
    limit: u64,
    place: &Place,
) -> Result<u64, RpcError> {
    let with = |gas| transaction(at, request, gas);
    let try_with = |gas| {
        place.check()?;
        run(at, with(gas)?)
    };
    let asked = call::gas(at, request, limit).min(at.cfg.tx_gas_limit_cap());
    let funds = Funds::read(at, request)?;
    let most = asked.min(funds.gas());
    let result = match try_with(most) {
        Err(RpcError::Invalid(why, words)) => {
            return Err(match least_gas(&why) {
                Some(least) if most < asked => RpcError::Funds(funds.lack(least)),
                Some(_) => RpcError::Gas(most),
                None => RpcError::Invalid(why, words),
            });
        }
        ran => ran?,
    };
    let used = match result {
        ExecutionResult::Success { gas, .. } => gas.total_gas_spent().max(gas.tx_gas_used()),
        ExecutionResult::Halt { reason: HaltReason::OutOfGas(_), .. } => {
            return Err(RpcError::Gas(most));
        }
        other => {
            place.check()?;
            return call::output(at, &with(most)?, other).map(|_| most);
        }
    };
    // First guess: a call passes on at most 63/64 of the gas, and may require more than it uses.
    let (mut fails, mut succeeds) = (used.saturating_sub(1), most);
    let mut next = used.saturating_add(used / 63).saturating_add(2_300).min(most);
    while succeeds.saturating_sub(fails) > (succeeds / EXACT).max(1) {
        match try_with(next) {
            Ok(ExecutionResult::Success { .. }) => succeeds = next,
            // The transaction lacks gas, or does something else with less gas.
            Ok(_) | Err(RpcError::Invalid(..)) => fails = next,
            Err(error) => return Err(error),
        }
        next = fails.midpoint(succeeds);
    }
    // The gas used is often exactly sufficient, as for a transfer.
    let exact = used == succeeds || try_with(used).is_ok_and(|it| it.is_success());
    Ok(if exact { used } else { succeeds })
}

/// Returns the gas with which a transaction that has too little would begin to run.
const fn least_gas(why: &InvalidTransaction) -> Option<u64> {
    match why {
        InvalidTransaction::CallGasCostMoreThanGasLimit { initial_gas, .. } => Some(*initial_gas),
        InvalidTransaction::GasFloorMoreThanGasLimit { gas_floor, .. } => Some(*gas_floor),
        _ => None,
    }
}

/// Balance of the sender, and what the transaction costs it.
struct Funds {
    sender: Address,
    balance: U256,
    value: U256,
    price: u128,
}

impl Funds {
    fn read<S: Snapshot>(
        at: &Environment<S>,
        request: &TransactionRequest,
    ) -> Result<Self, RpcError> {
        let sender = request.from.unwrap_or_default();
        let account = at.state.basic_ref(sender)?;
        Ok(Self {
            sender,
            balance: account.map_or(U256::ZERO, |account| account.balance),
            value: request.value.unwrap_or_default(),
            price: request.max_fee_per_gas.or(request.gas_price).unwrap_or_default(),
        })
    }

    /// Gas that the sender can pay for.
    fn gas(&self) -> u64 {
        let left = self.balance.saturating_sub(self.value);
        left.checked_div(U256::from(self.price)).map_or(u64::MAX, |gas| gas.saturating_to())
    }

    /// Message that the sender cannot pay for this much gas.
    fn lack(&self, gas: u64) -> String {
        let fees = U256::from(gas).saturating_mul(U256::from(self.price));
        words::funds(self.sender, self.balance, fees.saturating_add(self.value))
    }
}
