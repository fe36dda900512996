//! A factory of block executors that share threads.

use super::custom_evm::{FactoryEvm, Fees, Vault};
use super::engine::{Engine, Shared};
use super::executor::BraidBlockExecutor;
use super::handles::Handles;
use crate::config::Config;
use crate::evm::{Precompile, StateSource, Surcharge};
use crate::sync::SeqCst;
use alloy_consensus::{Transaction, TransactionEnvelope, TxReceipt};
use alloy_eips::Encodable2718;
use alloy_evm::block::{BlockExecutorFactory, StateDB};
use alloy_evm::eth::receipt_builder::{AlloyReceiptBuilder, ReceiptBuilder};
use alloy_evm::eth::spec::{EthExecutorSpec, EthSpec};
use alloy_evm::eth::{
    EthBlockExecutionCtx, EthBlockExecutor, EthBlockExecutorFactory, EthEvmFactory, EthTxResult,
};
use alloy_evm::{EvmFactory, FromRecoveredTx, FromTxWithEncoded};
use alloy_primitives::{B256, Log};
use core::fmt;
use revm::Inspector;
use revm::context::result::HaltReason;
use revm::context::{BlockEnv, TxEnv};
use revm::primitives::hardfork::SpecId;
use std::sync::Arc;

/// A block executor factory whose executors run whole blocks in parallel.
///
/// Threads start with the first block that needs them, and outlive it. Up to two blocks run on
/// several threads at the same time; other blocks run on their calling threads, or wait if they
/// follow rules that only Braid knows (precompiles or a surcharge of the factory, access lists).
/// Clones share the threads and the counters.
///
/// By default, the calling thread reads the caller's database for the workers and runs no
/// transactions. With [`with_handles`](Self::with_handles), all workers read and run, and the
/// calling thread is one of them. A block that a second worker cannot speed up runs on alloy-evm's
/// own executor, on the calling thread.
///
/// With [`new`](Self::new) the workers run Braid's own EVM, which is the fastest. With
/// [`with_evm_factory`](BraidExecutorFactory::with_evm_factory) they run EVMs of the factory `F`.
#[derive(Clone)]
pub struct BraidExecutorFactory<R = AlloyReceiptBuilder, Spec = EthSpec, F = EthEvmFactory> {
    ethereum: EthBlockExecutorFactory<R, Spec, F>,
    engine: Engine,
}

/// Counts of the blocks and transactions executed through each entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Executions {
    /// Blocks whose transactions Braid ran, on one or more workers.
    pub blocks: u64,
    /// Transactions of these blocks.
    pub transactions: u64,
    /// Transactions that alloy-evm's executor ran on the calling thread: transactions executed one
    /// at a time, and transactions of blocks that a second worker could not speed up (among them
    /// small blocks, short transactions, and chains of conflicts), found both executors busy, could
    /// start no thread, or came with an `Evm` that has its own precompiles.
    pub sequential: u64,
}

impl<R, Spec, F> fmt::Debug for BraidExecutorFactory<R, Spec, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BraidExecutorFactory")
            .field("config", &self.engine.config)
            .field("executions", &self.executions())
            .finish_non_exhaustive()
    }
}

impl<R, Spec> BraidExecutorFactory<R, Spec> {
    /// Creates a factory for blocks of the chain `spec`. `config`'s `access_list` is
    /// ignored: [`with_access_lists`](super::BraidBlockExecutor::with_access_lists) replaces it.
    pub fn new(receipt_builder: R, spec: Spec, config: Config) -> Self {
        let ethereum =
            EthBlockExecutorFactory::new(receipt_builder, spec, EthEvmFactory::default());
        Self { ethereum, engine: Engine::new(config) }
    }

    /// Adds precompiles to Ethereum's, for blocks that are executed whole. Calls that execute a
    /// single transaction use the precompiles of their `Evm`.
    ///
    /// Without this call, a block whose `Evm` has other precompiles than Ethereum's runs on the
    /// calling thread, with them. Two changes of a `PrecompilesMap` cannot be seen from outside: a
    /// lookup function, and a map made from functions with Ethereum's names and addresses. For
    /// these, use [`with_evm_factory`](BraidExecutorFactory::with_evm_factory).
    #[must_use]
    pub fn with_precompiles(mut self, precompiles: Vec<Arc<dyn Precompile>>) -> Self {
        // The existing executors were created without these precompiles.
        self.engine = Engine { precompiles, shared: Arc::default(), ..self.engine };
        self
    }

    /// Adds a fee that every transaction pays on top of its gas, for blocks that are executed
    /// whole. Calls that execute a single transaction then fail, because they cannot charge it.
    #[must_use]
    pub fn with_surcharge(mut self, surcharge: Arc<dyn Surcharge>) -> Self {
        let surcharge = Some(surcharge);
        self.engine = Engine { surcharge, shared: Arc::default(), ..self.engine };
        self
    }
}

impl<R, Spec, F> BraidExecutorFactory<R, Spec, F>
where
    F: EvmFactory<Tx = TxEnv, Spec = SpecId, BlockEnv = BlockEnv, HaltReason = HaltReason>
        + Clone
        + Send
        + Sync
        + 'static,
{
    /// Creates a factory whose workers run EVMs of `evm_factory`, with their own precompiles and
    /// rules for gas and fees, one EVM per transaction. `fees` must state how these EVMs pay fees.
    ///
    /// A worker may run a transaction several times, concurrently, and on states that never occur
    /// in the block. So an EVM must be a function of the transaction and of its reads from the
    /// database.
    pub fn with_evm_factory(
        receipt_builder: R,
        spec: Spec,
        config: Config,
        evm_factory: F,
        fees: Fees,
    ) -> Self {
        let mut engine = Engine::new(config);
        if let Fees::Deferred { vault: Some(vault) } = fees {
            engine.surcharge = Some(Arc::new(Vault(vault)));
        }
        engine.evm = Some(Arc::new(FactoryEvm { factory: evm_factory.clone(), fees }));
        let ethereum = EthBlockExecutorFactory::new(receipt_builder, spec, evm_factory);
        Self { ethereum, engine }
    }
}

impl<R, Spec, F> BraidExecutorFactory<R, Spec, F>
where
    R: ReceiptBuilder<Transaction: Transaction + Encodable2718, Receipt: TxReceipt<Log = Log>>
        + Clone
        + Send
        + Sync
        + 'static,
    Spec: EthExecutorSpec + Clone + Send + Sync + 'static,
    F: EvmFactory<Tx = TxEnv, Spec = SpecId, BlockEnv = BlockEnv> + Clone + Send + Sync + 'static,
    TxEnv: FromRecoveredTx<R::Transaction> + FromTxWithEncoded<R::Transaction>,
    <R::Transaction as TransactionEnvelope>::TxType: Send + 'static,
{
    /// Lets each worker read through its own handle, which is much faster than reading the caller's
    /// database. For each block that runs on the workers, `states` is called with the hash of the
    /// parent block. It returns the state after the parent, or `None` if it does not have that
    /// state, for instance because the parent is not written yet; then all reads come from the
    /// caller's database.
    ///
    /// The caller's database must have the same state. The pre-block and post-block calls read it,
    /// and the balances of the beneficiary and of the receiver of a surcharge come from it; all
    /// changes are committed to it. Entries that only its cache has are seen by the transactions of
    /// blocks that run on the calling thread, and not by others.
    #[must_use]
    pub fn with_handles<S: StateSource + 'static>(
        mut self,
        states: impl Fn(B256) -> Option<S> + Send + Sync + 'static,
    ) -> Self {
        let handles = Some(Arc::new(Handles::new(states, self.ethereum.clone())));
        self.engine = Engine { handles, shared: Arc::default(), ..self.engine };
        self
    }
}

impl<R, Spec, F> BraidExecutorFactory<R, Spec, F> {
    /// Returns the counts so far.
    #[must_use]
    pub fn executions(&self) -> Executions {
        let Shared { blocks, transactions, sequential, .. } = &*self.engine.shared;
        Executions {
            blocks: blocks.load(SeqCst),
            transactions: transactions.load(SeqCst),
            sequential: sequential.load(SeqCst),
        }
    }
}

impl<R, Spec, F> BlockExecutorFactory for BraidExecutorFactory<R, Spec, F>
where
    R: ReceiptBuilder<Transaction: Transaction + Encodable2718, Receipt: TxReceipt<Log = Log>>,
    Spec: EthExecutorSpec,
    F: EvmFactory<
            Tx = TxEnv,
            Spec = SpecId,
            BlockEnv = BlockEnv,
            HaltReason = HaltReason,
            Precompiles: 'static,
        >,
    TxEnv: FromRecoveredTx<R::Transaction> + FromTxWithEncoded<R::Transaction>,
    <R::Transaction as TransactionEnvelope>::TxType: Send + 'static,
    Self: 'static,
{
    type EvmFactory = F;
    type TxExecutionResult =
        EthTxResult<HaltReason, <R::Transaction as TransactionEnvelope>::TxType>;
    type ExecutionCtx<'a> = EthBlockExecutionCtx<'a>;
    type Transaction = R::Transaction;
    type Receipt = R::Receipt;
    type Executor<'a, DB: StateDB, I: Inspector<F::Context<DB>>> =
        BraidBlockExecutor<'a, F::Evm<DB, I>, &'a Spec, &'a R>;

    fn evm_factory(&self) -> &F {
        self.ethereum.evm_factory()
    }

    fn create_executor<'a, DB, I>(
        &'a self,
        evm: F::Evm<DB, I>,
        ctx: EthBlockExecutionCtx<'a>,
    ) -> Self::Executor<'a, DB, I>
    where
        DB: StateDB,
        I: Inspector<F::Context<DB>>,
    {
        let spec = self.ethereum.spec();
        let receipts = self.ethereum.receipt_builder();
        BraidBlockExecutor::new(EthBlockExecutor::new(evm, ctx, spec, receipts), &self.engine)
    }
}
