//! The baseline of measurements: `transact_commit` for one transaction after the other.

use super::{
    Position, SequentialError, SequentialOutcome, SequentialOutput,
    prepared::{Frame, OracleExecutor, Transactions},
};
use crate::block::Block;
use alloy_consensus::{EthereumReceipt, TxType};
use alloy_eips::eip4844::DATA_GAS_PER_BLOB;
use alloy_evm::{Evm, block::BlockExecutionError};
use alloy_primitives::{B256, Log};
use revm::{
    DatabaseRef,
    context::{TxEnv, result::ExecutionResult},
};

/// A block that only revm executes between its pre-block and post-block calls, over `State` with
/// bundle and reverts, with receipts. It is faster than [`Prepared`], but neither checks the
/// block's gas limit nor skips invalid transactions.
///
/// [`Prepared`]: super::Prepared
#[derive(Debug)]
pub struct Plain {
    frame: Frame,
    transactions: Vec<TxEnv>,
}

impl Plain {
    /// Copies what executing `block` needs.
    #[must_use]
    pub fn new(block: &Block) -> Self {
        Self { frame: Frame::new(block), transactions: block.transactions.clone() }
    }

    /// Takes what executing `block` needs.
    #[must_use]
    pub fn owning(block: Block) -> Self {
        Self { frame: Frame::new(&block), transactions: block.transactions }
    }

    /// Executes the block on `db`; also returns the values to be dropped.
    pub fn run_keeping<D: DatabaseRef>(
        self,
        db: D,
    ) -> (Result<SequentialOutput, SequentialError<D::Error>>, impl Sized + use<D>) {
        let Self { frame, transactions } = self;
        let count = transactions.len();
        frame.run_keeping(db, count, move |executor| run_all(executor, transactions))
    }
}

fn run_all<D: DatabaseRef>(
    executor: &mut OracleExecutor<'_, '_, D>,
    transactions: Vec<TxEnv>,
) -> Transactions {
    let mut outcomes = Vec::with_capacity(transactions.len());
    for (index, tx) in transactions.into_iter().enumerate() {
        let tx_type = TxType::try_from(tx.tx_type).unwrap_or_default();
        let blobs = tx.blob_hashes.len() as u64;
        let result = executor.evm.transact_commit(tx).map_err(|error| {
            (Position::Transaction(index), BlockExecutionError::evm(error, B256::ZERO))
        })?;
        let gas = result.gas();
        executor.cumulative_tx_gas_used += gas.tx_gas_used();
        executor.block_regular_gas_used += gas.block_regular_gas_used();
        executor.block_state_gas_used += gas.block_state_gas_used();
        executor.blob_gas_used += blobs * DATA_GAS_PER_BLOB;
        let success = result.is_success();
        let (result, logs) = split(result);
        let cumulative_gas_used = executor.cumulative_tx_gas_used;
        executor.receipts.push(EthereumReceipt { tx_type, success, cumulative_gas_used, logs });
        outcomes.push(SequentialOutcome::Executed(result));
    }
    Ok(outcomes)
}

/// Splits a result into the result without logs, and the logs.
fn split(mut result: ExecutionResult) -> (ExecutionResult, Vec<Log>) {
    let logs = match &mut result {
        ExecutionResult::Success { logs, .. }
        | ExecutionResult::Revert { logs, .. }
        | ExecutionResult::Halt { logs, .. } => core::mem::take(logs),
    };
    (result, logs)
}
