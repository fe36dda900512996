//! Execution of one block.

use super::engine::Engine;
use super::finish::finish;
use super::lists::{ListDatabase, Lists};
use super::served::{ServedError, serve, served};
use crate::evm::{
    AccessList, At, Block, BlockError, BlockErrorKind, ChainRules, Codes, Committed, Rejection,
    add_reward,
};
use crate::sync::SeqCst;
use alloy_consensus::{Transaction, TransactionEnvelope, TxReceipt};
use alloy_eips::Encodable2718;
use alloy_evm::block::{
    BlockExecutionError, BlockExecutionResult, BlockExecutor, BlockValidationError, ExecutableTx,
    ExecutableTxParts, GasOutput, StateDB,
};
use alloy_evm::eth::receipt_builder::ReceiptBuilder;
use alloy_evm::eth::spec::EthExecutorSpec;
use alloy_evm::eth::{EthBlockExecutor, EthTxResult};
use alloy_evm::{Evm, FromRecoveredTx, FromTxWithEncoded, RecoveredTx};
use alloy_primitives::{B256, Log, TxKind};
use core::fmt;
use core::ops::ControlFlow;
use revm::context::result::{EVMError, ExecutionResult, HaltReason, ResultAndState};
use revm::context::{BlockEnv, TxEnv};
use revm::database_interface::bal::BalState;
use revm::primitives::hardfork::SpecId;
use revm::{Database, context::Block as _};

/// Executes one block: either whole and in parallel, or one transaction at a time, sequentially.
pub struct BraidBlockExecutor<'a, E, Spec, R: ReceiptBuilder> {
    ethereum: EthBlockExecutor<'a, E, Spec, R>,
    engine: &'a Engine,
    /// Returns the access lists kept by the database.
    lists: Option<fn(&mut E) -> &mut BalState>,
}

/// Upper bound on the gas that an empty transfer to its own sender needs.
const TRANSFER_GAS: u64 = 21_000;

type DbError<E> = <<E as Evm>::DB as Database>::Error;

/// Result of running the transactions.
struct Ran<E: Evm> {
    committed: Vec<Committed>,
    /// The accesses of the transactions, if they were to be recorded.
    access_list: Option<AccessList>,
    ended: Result<(), BlockError<ServedError<DbError<E>>>>,
}

impl<E, Spec, R: ReceiptBuilder> fmt::Debug for BraidBlockExecutor<'_, E, Spec, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BraidBlockExecutor").finish_non_exhaustive()
    }
}

impl<'a, E, Spec, R: ReceiptBuilder> BraidBlockExecutor<'a, E, Spec, R> {
    pub(super) const fn new(
        ethereum: EthBlockExecutor<'a, E, Spec, R>,
        engine: &'a Engine,
    ) -> Self {
        Self { ethereum, engine, lists: None }
    }
}

impl<E, Spec, R> BraidBlockExecutor<'_, E, Spec, R>
where
    E: Evm<DB: ListDatabase>,
    R: ReceiptBuilder,
{
    /// Enables access lists (EIP-7928) for a block that is executed whole.
    ///
    /// - If the database builds a list (`with_bal_builder`), it becomes the list of the block, with
    ///   each change at its index: 0 before the transactions, 1 to n for the transactions, n + 1
    ///   after them.
    /// - If the database has a list (`with_bal`), the block is executed with it as with
    ///   [`Block::access_list`](crate::Block::access_list), and the list is taken out of the
    ///   database. A list that does not match the block causes `BlockValidationError::Other` with
    ///   an [`AccessListError`](crate::AccessListError). A list with `allow_db_fallback` need not
    ///   match the block, and is ignored.
    #[must_use]
    pub fn with_access_lists(mut self) -> Self {
        self.lists = Some(|evm| evm.db_mut().bal_state_mut());
        self
    }
}

impl<E, Spec, R> BraidBlockExecutor<'_, E, Spec, R>
where
    E: Evm<DB: StateDB, Spec = SpecId, BlockEnv = BlockEnv, HaltReason = HaltReason, Tx = TxEnv>,
    R: ReceiptBuilder,
{
    /// Returns a block of the transactions alone; the Ethereum executor does what precedes and
    /// follows them.
    fn block(&self, transactions: Vec<TxEnv>) -> Block {
        Block {
            cfg: self.ethereum.evm.cfg_env().clone(),
            env: self.ethereum.evm.block().clone(),
            transactions,
            rules: ChainRules {
                block_reward: Some(0),
                system_calls: false,
                ..ChainRules::default()
            },
            ..Block::default()
        }
    }

    /// Runs the transactions on all workers while this thread reads the database on their behalf.
    fn run(&mut self, block: Block, lists: bool) -> std::io::Result<Ran<E>> {
        let count = block.transactions.len();
        let workers = usize::from(self.engine.config().workers.get());
        let database = self.ethereum.evm.db_mut();
        self.engine.with((count, lists), |executor| {
            let (source, questions) = served(workers);
            std::thread::scope(|scope| {
                let mut committed = Vec::with_capacity(count);
                let body = move || {
                    let on_commit = |output| {
                        committed.push(output);
                        ControlFlow::Continue(())
                    };
                    let (access_list, ended) =
                        match executor.block(block).state(source).on_commit(on_commit).execute() {
                            Ok(output) => (output.access_list, Ok(())),
                            Err(mut error) => (error.committed.access_list.take(), Err(error)),
                        };
                    Ran { committed, access_list, ended }
                };
                let running = std::thread::Builder::new().spawn_scoped(scope, body)?;
                serve(database, &questions);
                match running.join() {
                    Ok(ran) => Ok(ran),
                    Err(payload) => std::panic::resume_unwind(payload),
                }
            })
        })
    }

    /// Returns the first transaction whose sender has no code, if the block has system calls after
    /// its transactions.
    fn first_plain(&mut self, block: &Block) -> Option<TxEnv> {
        let transactions = &block.transactions;
        let transactions =
            transactions.iter().filter(|_| block.cfg.spec.is_enabled_in(SpecId::PRAGUE));
        let database = self.ethereum.evm.db_mut();
        let mut has_no_code = |tx: &&TxEnv| {
            let info = database.basic(tx.caller);
            matches!(info, Ok(Some(info)) if info.is_empty_code_hash())
        };
        transactions.into_iter().find(|tx| has_no_code(tx)).cloned()
    }

    /// Makes precompiles warm for the system calls after the transactions. revm does so with the
    /// first transaction of an EVM, and the transactions of this block ran in other EVMs. So this
    /// runs a call to the sender of `first`, on the state before the block, where `first` is valid
    /// and its sender has no code, and does not commit it.
    fn warm_precompiles(&mut self, first: &TxEnv) {
        let TxEnv { caller, nonce, gas_price, chain_id, .. } = *first;
        let (kind, gas_limit) = (TxKind::Call(caller), first.gas_limit.min(TRANSFER_GAS));
        let nothing =
            TxEnv { caller, nonce, gas_price, chain_id, kind, gas_limit, ..TxEnv::default() };
        // If it fails, precompiles stay cold; Ethereum's system contracts call none of them.
        let _ = self.ethereum.evm.transact_raw(nothing);
    }

    /// Commits the state changes of the transactions, in block order.
    fn commit(
        &mut self,
        committed: Vec<Committed>,
        transactions: &[impl RecoveredTx<R::Transaction>],
    ) -> Result<(), BlockExecutionError>
    where
        Self: BlockExecutor<
            Result = EthTxResult<HaltReason, <R::Transaction as TransactionEnvelope>::TxType>,
        >,
        R: ReceiptBuilder<Transaction: Transaction + TransactionEnvelope>,
    {
        let (spec, beneficiary) =
            (self.ethereum.evm.cfg_env().spec, self.ethereum.evm.block().beneficiary());
        let mut codes = Codes::default();
        for (output, tx) in committed.into_iter().zip(transactions) {
            let now = |address| self.ethereum.evm.db_mut().basic(address);
            let state = codes.state_of(&output, now);
            let mut state = state.map_err(BlockExecutionError::other)?;
            let surcharged = self.engine.surcharge.as_ref().map(|surcharge| surcharge.receiver());
            let rewards = [(surcharged, output.surcharge()), (Some(beneficiary), output.reward())];
            for (receiver, amount) in rewards {
                let (Some(receiver), Some(amount)) = (receiver, amount) else { continue };
                let now = self.ethereum.evm.db_mut().basic(receiver);
                let now = now.map_err(BlockExecutionError::other)?;
                add_reward(&mut state, receiver, amount, now, spec);
            }
            let Some(result) = output.result().cloned() else { continue };
            let result: ExecutionResult = result;
            self.commit_transaction(EthTxResult {
                result: ResultAndState { result, state },
                blob_gas_used: tx.tx().blob_gas_used().unwrap_or_default(),
                tx_type: tx.tx().tx_type(),
            });
        }
        Ok(())
    }

    /// Converts `error` into the error that the Ethereum executor would return.
    fn error(
        &self,
        error: BlockError<ServedError<DbError<E>>>,
        hash: impl FnOnce() -> B256,
    ) -> BlockExecutionError {
        let evm = |error: EVMError<DbError<E>>| error;
        let error = match error.kind {
            BlockErrorKind::Base(ServedError::Base(error)) => evm(EVMError::Database(error)),
            BlockErrorKind::Invalid(Rejection::Invalid(error)) => evm(EVMError::Transaction(error)),
            BlockErrorKind::Invalid(Rejection::Header(error)) => evm(EVMError::Header(error)),
            BlockErrorKind::Invalid(Rejection::Custom(error)) => evm(EVMError::Custom(error)),
            BlockErrorKind::Invalid(Rejection::BlockGas { limit, available }) => {
                return BlockValidationError::TransactionGasLimitMoreThanAvailableBlockGas {
                    transaction_gas_limit: limit,
                    block_available_gas: available,
                }
                .into();
            }
            BlockErrorKind::AccessList(error) => return BlockValidationError::other(error).into(),
            other => return BlockExecutionError::msg(other.to_string()),
        };
        BlockExecutionError::evm(error, hash())
    }
}

impl<E, Spec, R> BlockExecutor for BraidBlockExecutor<'_, E, Spec, R>
where
    E: Evm<DB: StateDB, Spec = SpecId, BlockEnv = BlockEnv, HaltReason = HaltReason, Tx = TxEnv>,
    TxEnv: FromRecoveredTx<R::Transaction> + FromTxWithEncoded<R::Transaction>,
    Spec: EthExecutorSpec,
    R: ReceiptBuilder<Transaction: Transaction + Encodable2718, Receipt: TxReceipt<Log = Log>>,
    <R::Transaction as TransactionEnvelope>::TxType: Send + 'static,
{
    type Transaction = R::Transaction;
    type Receipt = R::Receipt;
    type Evm = E;
    type Result = EthTxResult<HaltReason, <R::Transaction as TransactionEnvelope>::TxType>;

    fn apply_pre_execution_changes(&mut self) -> Result<(), BlockExecutionError> {
        self.ethereum.apply_pre_execution_changes()
    }

    fn execute_transaction_without_commit(
        &mut self,
        tx: impl ExecutableTx<Self>,
    ) -> Result<Self::Result, BlockExecutionError> {
        if self.engine.takes_surcharge() {
            let why = "a surcharge is only taken in blocks that are executed whole";
            return Err(BlockExecutionError::msg(why));
        }
        self.engine.shared.sequential.fetch_add(1, SeqCst);
        self.ethereum.execute_transaction_without_commit(tx.into_parts())
    }

    fn commit_transaction(&mut self, output: Self::Result) -> GasOutput {
        self.ethereum.commit_transaction(output)
    }

    fn finish(self) -> Result<(E, BlockExecutionResult<R::Receipt>), BlockExecutionError> {
        finish(self.ethereum)
    }

    fn evm_mut(&mut self) -> &mut E {
        self.ethereum.evm_mut()
    }

    fn evm(&self) -> &E {
        self.ethereum.evm()
    }

    fn receipts(&self) -> &[R::Receipt] {
        self.ethereum.receipts()
    }

    /// Executes the transactions on all workers.
    fn execute_block(
        mut self,
        transactions: impl IntoIterator<Item = impl ExecutableTx<Self>>,
    ) -> Result<BlockExecutionResult<R::Receipt>, BlockExecutionError> {
        let (envs, recovered): (Vec<_>, Vec<_>) =
            transactions.into_iter().map(ExecutableTxParts::into_parts).unzip();
        let mut block = self.block(envs);
        let count = block.transactions.len();
        let lists_of = self.lists;
        let lists = match lists_of {
            Some(of) => Lists::begin(of(&mut self.ethereum.evm), (&block.cfg, &block.env), count),
            None => Ok(Lists::default()),
        };
        let mut lists = lists.map_err(BlockValidationError::other)?;
        self.apply_pre_execution_changes()?;
        if let Some(of) = lists_of {
            let list = lists.begin_transactions(of(&mut self.ethereum.evm));
            block.access_list = list.map_err(BlockValidationError::other)?;
        }
        let first = self.first_plain(&block);
        let ran = self.run(block, lists.is_needed()).map_err(BlockExecutionError::other)?;
        if let Some(first) = first.filter(|_| ran.ended.is_ok()) {
            self.warm_precompiles(&first);
        }
        self.commit(ran.committed, &recovered)?;
        if let Some(of) = lists_of {
            lists.end_transactions(of(&mut self.ethereum.evm), ran.access_list, count);
        }
        if let Err(error) = ran.ended {
            let at = match error.at {
                At::Transaction(tx) => recovered.get(tx.position()),
                At::PreBlock | At::PostBlock => None,
            };
            let hash = || at.map_or(B256::ZERO, |tx| tx.tx().trie_hash());
            return Err(self.error(error, hash));
        }
        let (mut evm, result) = self.finish()?;
        if let Some(of) = lists_of {
            lists.end(of(&mut evm)).map_err(BlockValidationError::other)?;
        }
        Ok(result)
    }
}
