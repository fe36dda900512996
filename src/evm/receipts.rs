//! Splits what became of the transactions into outcomes and receipts.

use super::block::Block;
use super::error::Rejection;
use super::machine::TxOutput;
use super::mutants::{EvmMutant, is_evm_mutant};
use super::output::{Executed, ExecutedStatus, Outcome};
use alloy_consensus::{EthereumReceipt, TxType};
use revm::context::result::ExecutionResult;
use std::sync::Arc;

/// Outcomes of all transactions, receipts of those that were executed.
pub(super) type Split = (Vec<Outcome>, Vec<EthereumReceipt>);

/// Splits each result into its outcome and its receipt.
pub(super) fn split(
    block: &Block,
    results: Vec<Result<Arc<TxOutput>, Rejection>>,
    mutant: EvmMutant,
) -> Split {
    let mut outcomes = Vec::with_capacity(results.len());
    let mut receipts = Vec::with_capacity(results.len());
    let mut cumulative_gas_used: u64 = 0;
    for (tx, result) in block.transactions.iter().zip(results) {
        let output = match result {
            Ok(output) => output,
            Err(rejection) => {
                if is_evm_mutant!(mutant, SkipReceiptKept) {
                    receipts.push(EthereumReceipt { cumulative_gas_used, ..Default::default() });
                }
                outcomes.push(Outcome::Skipped(rejection));
                continue;
            }
        };
        // The caller's stream may hold on to it.
        let result = match Arc::try_unwrap(output) {
            Ok(output) => output.result,
            Err(output) => output.result.clone(),
        };
        cumulative_gas_used = cumulative_gas_used.saturating_add(result.tx_gas_used());
        let success = result.is_success();
        let (status, gas, logs) = match result {
            ExecutionResult::Success { reason, gas, logs, output } => {
                (ExecutedStatus::Success { reason, output }, gas, logs)
            }
            ExecutionResult::Revert { gas, logs, output } => {
                (ExecutedStatus::Revert { output }, gas, logs)
            }
            ExecutionResult::Halt { reason, gas, logs } => {
                (ExecutedStatus::Halt { reason }, gas, logs)
            }
        };
        let tx_type = TxType::try_from(tx.tx_type).unwrap_or_default();
        receipts.push(EthereumReceipt { tx_type, success, cumulative_gas_used, logs });
        outcomes.push(Outcome::Executed(Executed { status, gas }));
    }
    (outcomes, receipts)
}
