//! The end of a block according to the executable specification, where alloy-evm 0.39 differs:
//! withdrawals are paid before the request contracts are called, and these must have code.

use alloy_eips::eip4895::Withdrawal;
use alloy_eips::{
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
};
use alloy_evm::block::{
    BUILDER_DEPOSIT_REQUEST_PREDEPLOY_ADDRESS, BUILDER_EXIT_REQUEST_PREDEPLOY_ADDRESS,
    BlockExecutionError, BlockValidationError, StateDB,
};
use alloy_primitives::{Address, map::AddressMap};
use revm::database_interface::DatabaseCommitExt;
use revm::primitives::hardfork::SpecId;

/// Returns the contracts that are called after the transactions under the rules of `spec`.
#[must_use]
pub fn request_contracts(spec: SpecId) -> Vec<Address> {
    let prague = [WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS];
    let amsterdam =
        [BUILDER_DEPOSIT_REQUEST_PREDEPLOY_ADDRESS, BUILDER_EXIT_REQUEST_PREDEPLOY_ADDRESS];
    let prague = prague.into_iter().filter(|_| spec.is_enabled_in(SpecId::PRAGUE));
    prague.chain(amsterdam.into_iter().filter(|_| spec.is_enabled_in(SpecId::AMSTERDAM))).collect()
}

/// Runs the steps between the transactions and the calls that collect requests: pays `withdrawals`
/// into `state`, and checks that the contracts exist. alloy-evm's executor does the rest, without
/// withdrawals.
///
/// # Errors
/// Returns an error if the block is invalid, or if the state cannot be read.
pub fn before_requests(
    state: &mut impl StateDB,
    spec: SpecId,
    withdrawals: Option<&[Withdrawal]>,
) -> Result<(), BlockExecutionError> {
    let mut paid: AddressMap<u128> = AddressMap::default();
    for withdrawal in withdrawals.into_iter().flatten() {
        *paid.entry(withdrawal.address).or_default() += withdrawal.amount_wei().to::<u128>();
    }
    let failed = |_| BlockExecutionError::from(BlockValidationError::IncrementBalanceFailed);
    state.increment_balances(paid).map_err(failed)?;
    for contract in request_contracts(spec) {
        let info = state.basic(contract).map_err(|_| no_code(contract))?;
        if info.is_none_or(|info| info.is_empty_code_hash() || info.code_hash.is_zero()) {
            return Err(no_code(contract).into());
        }
    }
    Ok(())
}

fn no_code(contract: Address) -> BlockValidationError {
    let message = format!("system contract {contract} does not contain code");
    match contract {
        WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS => {
            BlockValidationError::WithdrawalRequestsContractCall { message }
        }
        CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS => {
            BlockValidationError::ConsolidationRequestsContractCall { message }
        }
        BUILDER_DEPOSIT_REQUEST_PREDEPLOY_ADDRESS => {
            BlockValidationError::BuilderDepositRequestsContractCall { message }
        }
        _ => BlockValidationError::BuilderExitRequestsContractCall { message },
    }
}
