//! Execution of one block.

use super::commits::Commits;
use super::engine::{Engine, ExecutorLease, ThreadedExecutor};
use super::finish::finish;
use super::handles::ParentBlock;
use super::lists::{ListDatabase, Lists};
use super::served::{Message, ServedError, served};
use crate::config::Policy;
use crate::evm::{
    AccessList, AnySource, Block, BlockError, BlockErrorKind, BlockOutput, BlockPosition,
    ChainRules, Committed, Rejection,
};
use crate::executor::{Executor, RequestParts};
use crate::panics::{Payload, caught};
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
use alloy_evm::precompiles::{Precompile, PrecompilesMap};
use alloy_evm::{Evm, EvmEnv, FromRecoveredTx, FromTxWithEncoded, RecoveredTx};
use alloy_primitives::{Address, B256, Log, U256};
use core::any::Any;
use core::fmt;
use core::ops::ControlFlow;
use revm::Database;
use revm::context::result::{EVMError, HaltReason};
use revm::context::{BlockEnv, Cfg, DBErrorMarker, TxEnv};
use revm::context_interface::cfg::gas_params::Eip2780TxInfo;
use revm::database_interface::ErasedError;
use revm::database_interface::bal::{BalState, EvmDatabaseError};
use revm::precompile::{PrecompileSpecId, Precompiles};
use revm::primitives::hardfork::SpecId;
use std::sync::Arc;

/// Executes one block: either whole and in parallel, or one transaction at a time, sequentially.
pub struct BraidBlockExecutor<'a, E, Spec, R: ReceiptBuilder> {
    ethereum: EthBlockExecutor<'a, E, Spec, R>,
    engine: &'a Engine,
    /// Accessor of the database's access lists.
    lists: Option<fn(&mut E) -> &mut BalState>,
}

type DbError<E> = <<E as Evm>::DB as Database>::Error;

/// The accesses of the transactions, if they were recorded, and the result of the run.
type BlockRun = (Option<AccessList>, Result<(), BlockExecutionError>);

/// How the transactions of a block run on Braid's executors.
enum ParallelMode<'a> {
    /// On all workers, each with its own handle. The calling thread is one of them.
    Handles(AnySource<'static>, ExecutorLease<'a>),
    /// On the workers of a leased executor, while the calling thread reads the database for them.
    Served(ExecutorLease<'a>, ThreadedExecutor),
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

impl<'a, E, Spec, R> BraidBlockExecutor<'a, E, Spec, R>
where
    E: Evm<
            DB: StateDB,
            Spec = SpecId,
            BlockEnv = BlockEnv,
            HaltReason = HaltReason,
            Tx = TxEnv,
            Precompiles: 'static,
        >,
    TxEnv: FromRecoveredTx<R::Transaction> + FromTxWithEncoded<R::Transaction>,
    Spec: EthExecutorSpec,
    R: ReceiptBuilder<Transaction: Transaction + Encodable2718, Receipt: TxReceipt<Log = Log>>,
    <R::Transaction as TransactionEnvelope>::TxType: Send + 'static,
{
    /// Returns a block of the transactions only; the Ethereum executor performs the pre-block and
    /// post-block calls.
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

    /// Chooses how the transactions of `block` run; `None` means that the Ethereum executor runs
    /// them on the calling thread. `lists` means that access lists are recorded or compared, which
    /// only Braid's workers can do.
    fn choose_mode(
        &self,
        block: &Block,
        lists: bool,
    ) -> Result<Option<ParallelMode<'a>>, BlockExecutionError> {
        let engine = self.engine;
        let policy = engine.config.policy;
        if engine.evm.is_none() && !engine.has_own_rules() && self.has_other_precompiles() {
            if lists {
                let why = "an Evm with precompiles of its own cannot be used with access lists";
                return Err(BlockExecutionError::msg(why));
            }
            return Ok(None);
        }
        let may_run_here = !lists && !engine.has_own_rules();
        let prefers_here = may_run_here && !matches!(policy, Policy::Forced(_));
        let is_single = policy == Policy::Sequential || engine.workers().get() == 1;
        if prefers_here && is_single {
            return Ok(None);
        }
        let Some(mut lease) = engine.lease(!may_run_here) else { return Ok(None) };
        let executor = match lease.start(engine.workers(), |workers| engine.start(workers)) {
            Ok(executor) => executor,
            Err(_) if may_run_here => return Ok(None),
            Err(error) => return Err(BlockExecutionError::other(error)),
        };
        if prefers_here && executor.runs_sequentially(block) {
            return Ok(None);
        }
        let parent = self.ethereum.ctx.parent_hash;
        if let Some(source) = engine.handles.as_ref().and_then(|handles| handles.open(parent)) {
            return Ok(Some(ParallelMode::Handles(source, lease)));
        }
        if prefers_here && engine.served_workers().get() == 1 {
            return Ok(None);
        }
        match lease.take_threaded() {
            Ok(threaded) => Ok(Some(ParallelMode::Served(lease, threaded))),
            Err(_) if may_run_here => Ok(None),
            Err(error) => Err(BlockExecutionError::other(error)),
        }
    }

    /// Returns whether the `Evm` has other precompiles than Ethereum's, which the workers would not
    /// run.
    fn has_other_precompiles(&self) -> bool {
        let precompiles: &dyn Any = self.ethereum.evm.precompiles();
        let Some(found) = precompiles.downcast_ref::<PrecompilesMap>() else { return false };
        // A changed map is dynamic, also if an address and its name are as before. Only its debug
        // format tells.
        if format!("{found:?}") != "PrecompilesMap::Builtin" {
            return true;
        }
        let spec = PrecompileSpecId::from_spec_id(self.ethereum.evm.cfg_env().spec);
        let ethereum = Precompiles::new(spec);
        let is_known = |address: &Address| {
            let (found, known) = (found.get(address), ethereum.get(address));
            let names =
                found.as_ref().zip(known).map(|(found, known)| (found.precompile_id(), known.id()));
            names.is_some_and(|(found, known)| found == known)
        };
        found.addresses().count() != ethereum.len() || !found.addresses().all(is_known)
    }

    /// Executes the block on the calling thread.
    fn run_here(
        mut self,
        envs: Vec<TxEnv>,
        transactions: Vec<impl RecoveredTx<R::Transaction>>,
    ) -> Result<BlockExecutionResult<R::Receipt>, BlockExecutionError> {
        self.ethereum.apply_pre_execution_changes()?;
        for tx in envs.into_iter().zip(transactions) {
            let _ = self.ethereum.execute_transaction(tx)?;
        }
        finish(self.ethereum).map(|(_, result)| result)
    }

    /// Runs the transactions on all workers, each with its own handle of `source`, and commits each
    /// one while later ones run.
    fn run_with_handles(
        &mut self,
        block: Block,
        source: AnySource<'static>,
        mut lease: ExecutorLease<'_>,
        transactions: &[impl RecoveredTx<R::Transaction>],
        lists: bool,
    ) -> Result<BlockRun, BlockExecutionError> {
        let Self { ethereum, engine, .. } = self;
        let Some(handles) = &engine.handles else { unreachable!("the source came from them") };
        let env = EvmEnv { cfg_env: block.cfg.clone(), block_env: block.env.clone() };
        let parent = ParentBlock {
            hash: ethereum.ctx.parent_hash,
            beacon_block_root: ethereum.ctx.parent_beacon_block_root,
        };
        let before = handles.before_transactions(env, parent, &source)?;
        let executor = lease.executor();
        executor.set_access_list(lists);
        let mut commits = Commits::new(Some(before.committed));
        let mut commit_error = None;
        let mut remaining = transactions.iter();
        let mut on_commit = |output: Committed| {
            let tx = remaining.next();
            let committed = tx.map_or(Ok(()), |tx| commits.commit(ethereum, &output, tx.tx()));
            match committed {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    commit_error = Some(error);
                    ControlFlow::Break(())
                }
            }
        };
        let parts = RequestParts {
            parent: Some(Arc::new(before.changes)),
            on_commit: Some(&mut on_commit as _),
            cancel: None,
            max_workers: usize::MAX,
        };
        let ran = executor.run(block.into(), source, parts);
        if let Some(commit_error) = commit_error {
            return Err(commit_error);
        }
        Ok(into_block_run::<DbError<E>, _, _>(ran, transactions, |error: ErasedError, hash| {
            // A failed read of the caller's `State` would have this error type.
            let error = EvmDatabaseError::Database(error);
            BlockExecutionError::evm(
                EVMError::<EvmDatabaseError<ErasedError>>::Database(error),
                hash,
            )
        }))
    }

    /// Runs the transactions on workers while this thread reads the database for them, and commits
    /// the transactions afterwards.
    fn run_served(
        &mut self,
        block: Block,
        mut lease: ExecutorLease<'_>,
        threaded: ThreadedExecutor,
        transactions: &[impl RecoveredTx<R::Transaction>],
        lists: bool,
    ) -> Result<BlockRun, BlockExecutionError> {
        let ThreadedExecutor { mut executor, runner } = threaded;
        executor.set_access_list(lists);
        let count = block.transactions.len();
        let block = Arc::new(block);
        let workers = self.engine.served_workers().min(executor.config().workers);
        let (source, server) = served::<DbError<E>, ServedBlock<DbError<E>>>(workers.get().into());
        let end = source.messages();
        let shared = Arc::clone(&block);
        let job = move || {
            let mut committed = Vec::with_capacity(count);
            let ran = caught(|| {
                let on_commit = |output| {
                    committed.push(output);
                    ControlFlow::Continue(())
                };
                let request = executor.block(shared).state(source).most_workers(workers);
                request.on_commit(on_commit).execute()
            });
            let _ = end.send(Message::Done(ServedBlock { executor, committed, ran }));
        };
        runner.run(job);
        let database = self.ethereum.evm.db_mut();
        let (done, panicked) = server.serve(database, &block);
        let lost = || BlockExecutionError::msg("the thread that ran the block is gone");
        let ServedBlock { executor, committed, ran } = done.ok_or_else(lost)?;
        lease.put_back(ThreadedExecutor { executor, runner });
        drop(lease);
        let ran = match (panicked, ran) {
            (Some(payload), _) | (None, Err(payload)) => payload.resume(),
            (None, Ok(ran)) => ran,
        };
        let mut commits = Commits::new(None);
        for (output, tx) in committed.iter().zip(transactions) {
            commits.commit(&mut self.ethereum, output, tx.tx())?;
        }
        Ok(into_block_run::<DbError<E>, _, _>(ran, transactions, |error, hash| match error {
            ServedError::Base(error) => {
                BlockExecutionError::evm(EVMError::<DbError<E>>::Database(error), hash)
            }
            gone => BlockExecutionError::other(gone),
        }))
    }

    /// Warms the precompiles for the system calls after the transactions of `block`. revm does so
    /// with the first transaction of an EVM, but the transactions of this block run in other EVMs.
    ///
    /// This method runs the first transaction on the state before it, without data and value and
    /// with its intrinsic gas only, and does not commit it. If the first transaction is valid, this
    /// one is valid, too. It has no gas for instructions, so it reads nothing that the first
    /// transaction does not read, except the delegate of a callee that the first transaction
    /// delegates to another account.
    fn warm_precompiles(&mut self, block: &Block) {
        let has_calls = block.cfg.spec.is_enabled_in(SpecId::PRAGUE);
        let Some(first) = block.transactions.first().filter(|_| has_calls) else { return };
        let TxEnv { caller, nonce, gas_price, chain_id, kind, .. } = *first;
        let mut empty = TxEnv { caller, nonce, gas_price, chain_id, kind, ..TxEnv::default() };
        let is_self_transfer = kind.to() == Some(&caller);
        let eip2780 = Eip2780TxInfo { value: U256::ZERO, is_self_transfer };
        let eip2780 = block.cfg.is_amsterdam_eip2780_enabled().then_some(eip2780);
        let gas = block.cfg.gas_params().initial_tx_gas_for_tx(&empty, eip2780);
        empty.gas_limit = gas.initial_total_gas().max(gas.floor_gas());
        // An inspector must not see it. The `Evm` does not tell whether one is enabled, so it stays
        // disabled: only system calls follow, which alloy-evm does not show to inspectors.
        self.ethereum.evm.disable_inspector();
        // If it fails, precompiles stay cold; Ethereum's system contracts call none of them.
        let _ = self.ethereum.evm.transact_raw(empty);
    }
}

impl<E, Spec, R> BlockExecutor for BraidBlockExecutor<'_, E, Spec, R>
where
    E: Evm<
            DB: StateDB,
            Spec = SpecId,
            BlockEnv = BlockEnv,
            HaltReason = HaltReason,
            Tx = TxEnv,
            Precompiles: 'static,
        >,
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
            Some(of) => Lists::begin(of(&mut self.ethereum.evm), &block.cfg, &block.env, count),
            None => Ok(Lists::default()),
        };
        let mut lists = lists.map_err(BlockValidationError::other)?;
        let Some(mode) = self.choose_mode(&block, lists.is_needed())? else {
            let engine = self.engine;
            let result = self.run_here(block.transactions, recovered)?;
            engine.shared.sequential.fetch_add(count as u64, SeqCst);
            return Ok(result);
        };
        self.apply_pre_execution_changes()?;
        if let Some(of) = lists_of {
            let list = lists.begin_transactions(of(&mut self.ethereum.evm));
            block.access_list = list.map_err(BlockValidationError::other)?;
        }
        self.warm_precompiles(&block);
        let (accessed, ended) = match mode {
            ParallelMode::Handles(source, lease) => {
                self.run_with_handles(block, source, lease, &recovered, lists.is_needed())?
            }
            ParallelMode::Served(lease, threaded) => {
                self.run_served(block, lease, threaded, &recovered, lists.is_needed())?
            }
        };
        if let Some(of) = lists_of {
            lists.end_transactions(of(&mut self.ethereum.evm), accessed, count);
        }
        ended?;
        self.engine.count_block(count);
        let (mut evm, result) = self.finish()?;
        if let Some(of) = lists_of {
            lists.end(of(&mut evm)).map_err(BlockValidationError::other)?;
        }
        Ok(result)
    }
}

/// Result of a served block, which its thread sends back.
struct ServedBlock<D> {
    executor: Box<Executor>,
    committed: Vec<Committed>,
    ran: Result<Result<BlockOutput, BlockError<ServedError<D>>>, Payload>,
}

/// Converts the result of a run: an error becomes the error that the Ethereum executor would
/// return. `base` converts an error of the database, given the hash of the transaction.
fn into_block_run<D, T: Encodable2718, B: fmt::Display>(
    ran: Result<BlockOutput, BlockError<B>>,
    transactions: &[impl RecoveredTx<T>],
    base: impl FnOnce(B, B256) -> BlockExecutionError,
) -> BlockRun
where
    D: DBErrorMarker,
{
    let mut error = match ran {
        Ok(output) => return (output.access_list, Ok(())),
        Err(error) => error,
    };
    let accessed = error.committed.access_list.take();
    let at = match error.at {
        BlockPosition::Transaction(tx) => transactions.get(tx.position()),
        BlockPosition::PreBlock | BlockPosition::PostBlock => None,
    };
    let hash = at.map_or(B256::ZERO, |tx| tx.tx().trie_hash());
    let evm = |error: EVMError<D>| BlockExecutionError::evm(error, hash);
    let error = match error.kind {
        BlockErrorKind::Base(error) => base(error, hash),
        BlockErrorKind::Invalid(Rejection::Invalid(error)) => evm(EVMError::Transaction(error)),
        BlockErrorKind::Invalid(Rejection::Header(error)) => evm(EVMError::Header(error)),
        BlockErrorKind::Invalid(Rejection::Custom(error)) => evm(EVMError::Custom(error)),
        BlockErrorKind::Invalid(Rejection::BlockGas { limit, available }) => {
            BlockValidationError::TransactionGasLimitMoreThanAvailableBlockGas {
                transaction_gas_limit: limit,
                block_available_gas: available,
            }
            .into()
        }
        BlockErrorKind::AccessList(error) => BlockValidationError::other(error).into(),
        other => BlockExecutionError::msg(other.to_string()),
    };
    (accessed, Err(error))
}
