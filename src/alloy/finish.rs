//! The end of a block, with corrections where alloy-evm 0.39 deviates from the executable
//! specification: withdrawals are paid before the request contracts are called, and a block is
//! invalid if a request contract has no code or if a deposit event has the wrong layout.

use crate::evm::{no_code, push_deposits};
use alloy_consensus::{Transaction, TransactionEnvelope, TxReceipt};
use alloy_eips::eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS;
use alloy_eips::eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS;
use alloy_eips::eip7685::Requests;
use alloy_eips::{Encodable2718, eip6110::MAINNET_DEPOSIT_CONTRACT_ADDRESS};
use alloy_evm::block::state_changes::post_block_withdrawals_balance_increments;
use alloy_evm::block::{
    BUILDER_DEPOSIT_REQUEST_PREDEPLOY_ADDRESS, BUILDER_EXIT_REQUEST_PREDEPLOY_ADDRESS,
    BlockExecutionError, BlockExecutionResult, BlockExecutor, BlockValidationError, StateDB,
};
use alloy_evm::eth::EthBlockExecutor;
use alloy_evm::eth::eip6110::parse_deposits_from_receipts;
use alloy_evm::eth::receipt_builder::ReceiptBuilder;
use alloy_evm::eth::spec::EthExecutorSpec;
use alloy_evm::{Evm, FromRecoveredTx, FromTxWithEncoded};
use alloy_primitives::{Address, Log};
use revm::Database;
use revm::context::{Block as _, TxEnv};
use revm::database_interface::DatabaseCommitExt;
use revm::primitives::hardfork::SpecId;

/// Finishes the block of `ethereum`.
pub(super) fn finish<E, Spec, R>(
    mut ethereum: EthBlockExecutor<'_, E, Spec, R>,
) -> Result<(E, BlockExecutionResult<R::Receipt>), BlockExecutionError>
where
    E: Evm<DB: StateDB, Spec = SpecId, Tx = TxEnv>,
    TxEnv: FromRecoveredTx<R::Transaction> + FromTxWithEncoded<R::Transaction>,
    Spec: EthExecutorSpec,
    R: ReceiptBuilder<Transaction: Transaction + Encodable2718, Receipt: TxReceipt<Log = Log>>,
    <R::Transaction as TransactionEnvelope>::TxType: Send + 'static,
{
    let time = ethereum.evm.block().timestamp().saturating_to();
    if !ethereum.spec.is_prague_active_at_timestamp(time) {
        return ethereum.finish();
    }
    check_deposits(&ethereum.spec, &ethereum.receipts)?;
    if let Some(withdrawals) = ethereum.ctx.withdrawals.take() {
        let paid = post_block_withdrawals_balance_increments(&ethereum.spec, time, &withdrawals);
        // Without payments, the state hook is not called twice.
        if !paid.is_empty() {
            let paid = ethereum.evm.db_mut().increment_balances(paid);
            paid.map_err(|_| BlockValidationError::IncrementBalanceFailed)?;
        }
    }
    let has_builders = ethereum.spec.is_amsterdam_active_at_timestamp(time);
    let builders =
        [BUILDER_DEPOSIT_REQUEST_PREDEPLOY_ADDRESS, BUILDER_EXIT_REQUEST_PREDEPLOY_ADDRESS];
    let builders = builders.into_iter().filter(|_| has_builders);
    let prague = [WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS];
    for contract in prague.into_iter().chain(builders) {
        let info = ethereum.evm.db_mut().basic(contract).map_err(BlockExecutionError::other)?;
        if info.is_none_or(|info| info.is_empty_code_hash() || info.code_hash.is_zero()) {
            return Err(missing_code(contract).into());
        }
    }
    ethereum.finish()
}

/// Checks the layout of deposit events (EIP-6110); alloy-evm accepts every layout that it can
/// decode.
fn check_deposits<R: TxReceipt<Log = Log>>(
    spec: &impl EthExecutorSpec,
    receipts: &[R],
) -> Result<(), BlockValidationError> {
    let contract = spec.deposit_contract_address().unwrap_or(MAINNET_DEPOSIT_CONTRACT_ADDRESS);
    let logs = receipts.iter().flat_map(TxReceipt::logs);
    push_deposits(&mut Requests::default(), contract, logs).map_err(|why| {
        match parse_deposits_from_receipts(spec, receipts) {
            Ok(_) => BlockValidationError::DepositRequestDecode(why),
            Err(error) => error,
        }
    })
}

/// Returns the error of a block whose request `contract` has no code.
fn missing_code(contract: Address) -> BlockValidationError {
    let message = no_code(contract);
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
