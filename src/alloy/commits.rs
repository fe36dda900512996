//! Commits of the workers' results to the caller's database, in block order.

use crate::evm::{Codes, Committed};
use alloy_consensus::{Transaction, TransactionEnvelope, TxReceipt};
use alloy_eips::Encodable2718;
use alloy_evm::block::{BlockExecutionError, BlockExecutor, StateDB};
use alloy_evm::eth::receipt_builder::ReceiptBuilder;
use alloy_evm::eth::spec::EthExecutorSpec;
use alloy_evm::eth::{EthBlockExecutor, EthTxResult};
use alloy_evm::{Evm, FromRecoveredTx, FromTxWithEncoded};
use alloy_primitives::{Log, map::AddressSet};
use revm::Database;
use revm::context::result::{HaltReason, ResultAndState};
use revm::context::{BlockEnv, TxEnv};
use revm::primitives::hardfork::SpecId;

/// The commits of one block.
pub(super) struct Commits {
    codes: Codes,
    /// Accounts that this block has committed, if the workers have their own handles. Other
    /// accounts are then not read from the database.
    committed: Option<AddressSet>,
}

impl Commits {
    /// Creates the commits of a block. `committed` are the accounts that the pre-block calls have
    /// committed, if the workers have their own handles.
    pub(super) fn new(committed: Option<AddressSet>) -> Self {
        Self { codes: Codes::default(), committed }
    }

    /// Commits the next transaction, `tx`, with a receipt from `ethereum`.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub(super) fn commit<E, Spec, R>(
        &mut self,
        ethereum: &mut EthBlockExecutor<'_, E, Spec, R>,
        output: &Committed,
        tx: &R::Transaction,
    ) -> Result<(), BlockExecutionError>
    where
        E: Evm<
                DB: StateDB,
                Spec = SpecId,
                BlockEnv = BlockEnv,
                HaltReason = HaltReason,
                Tx = TxEnv,
            >,
        TxEnv: FromRecoveredTx<R::Transaction> + FromTxWithEncoded<R::Transaction>,
        Spec: EthExecutorSpec,
        R: ReceiptBuilder<Transaction: Transaction + Encodable2718, Receipt: TxReceipt<Log = Log>>,
        <R::Transaction as TransactionEnvelope>::TxType: Send + 'static,
    {
        let Some(result) = output.result().cloned() else { return Ok(()) };
        let mut read = |address| ethereum.evm.db_mut().basic(address);
        let state = output.state(&mut read);
        let mut state = state.map_err(BlockExecutionError::other)?;
        let committed = &self.committed;
        let current = |address| match committed {
            Some(committed) if !committed.contains(&address) => Ok(None),
            _ => read(address),
        };
        let completed = self.codes.complete_all(&mut state, output.changes(), current);
        completed.map_err(BlockExecutionError::other)?;
        if let Some(committed) = &mut self.committed {
            committed.extend(state.keys());
        }
        ethereum.commit_transaction(EthTxResult {
            result: ResultAndState { result, state },
            blob_gas_used: tx.blob_gas_used().unwrap_or_default(),
            tx_type: tx.tx_type(),
        });
        Ok(())
    }
}
