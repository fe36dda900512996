//! What follows the transactions, as the executable specification has it where alloy-evm 0.39 has
//! it otherwise: withdrawals are paid before the contracts for requests are called, and a block is
//! invalid if a deposit event has another layout.

use crate::evm::push_deposits;
use alloy_consensus::{Transaction, TransactionEnvelope, TxReceipt};
use alloy_eips::eip7685::Requests;
use alloy_eips::{Encodable2718, eip6110::MAINNET_DEPOSIT_CONTRACT_ADDRESS};
use alloy_evm::block::state_changes::post_block_withdrawals_balance_increments;
use alloy_evm::block::{
    BlockExecutionError, BlockExecutionResult, BlockExecutor, BlockValidationError, StateDB,
};
use alloy_evm::eth::EthBlockExecutor;
use alloy_evm::eth::eip6110::parse_deposits_from_receipts;
use alloy_evm::eth::receipt_builder::ReceiptBuilder;
use alloy_evm::eth::spec::EthExecutorSpec;
use alloy_evm::{Evm, FromRecoveredTx, FromTxWithEncoded};
use alloy_primitives::Log;
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
        let paid = ethereum.evm.db_mut().increment_balances(paid);
        paid.map_err(|_| BlockValidationError::IncrementBalanceFailed)?;
    }
    ethereum.finish()
}

/// Checks the layout of deposit events (EIP-6110), where alloy-evm takes any that its decoder does.
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
