//! Makes executors that share threads.

use super::custom_evm::{FactoryEvm, Fees, Vault};
use super::engine::{Engine, Shared};
use super::executor::BraidBlockExecutor;
use crate::config::Config;
use crate::evm::{Precompile, Surcharge};
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
use alloy_primitives::Log;
use core::fmt;
use revm::Inspector;
use revm::context::result::HaltReason;
use revm::context::{BlockEnv, TxEnv};
use revm::primitives::hardfork::SpecId;
use std::sync::Arc;

/// A block executor factory whose executors run whole blocks on many cores.
///
/// Threads are started when the first block is executed, and those of two blocks are kept. Blocks
/// executed at the same time have threads of their own; beyond two, these end with their block.
/// Clones share threads, and what is counted.
///
/// With [`new`](Self::new) the workers run Braid's own EVM, which is the fastest; with
/// [`with_evm_factory`](BraidExecutorFactory::with_evm_factory) they run EVMs of the factory `F`.
#[derive(Clone)]
pub struct BraidExecutorFactory<R = AlloyReceiptBuilder, Spec = EthSpec, F = EthEvmFactory> {
    ethereum: EthBlockExecutorFactory<R, Spec, F>,
    engine: Engine,
}

/// How often which entry was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Executions {
    /// Blocks that were executed whole, by Braid.
    pub blocks: u64,
    /// Their transactions.
    pub transactions: u64,
    /// Transactions that were executed one at a time, in sequence on the calling thread.
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
    /// A factory for blocks of the chain `spec`. Of `config` the mode does not matter, because
    /// alloy-evm's `execute_block` validates, nor does `access_list`: see
    /// [`with_access_lists`](super::BraidBlockExecutor::with_access_lists).
    pub fn new(receipt_builder: R, spec: Spec, config: Config) -> Self {
        let ethereum =
            EthBlockExecutorFactory::new(receipt_builder, spec, EthEvmFactory::default());
        Self { ethereum, engine: Engine::new(config) }
    }

    /// The same factory with precompiles beside Ethereum's, for blocks that are executed whole. The
    /// calls for single transactions use those of their `Evm`.
    #[must_use]
    pub fn with_precompiles(mut self, precompiles: Vec<Arc<dyn Precompile>>) -> Self {
        // What clones share was made without them.
        self.engine = Engine { precompiles, shared: Arc::default(), ..self.engine };
        self
    }

    /// The same factory with a fee that every transaction pays on top of its gas, for blocks that
    /// are executed whole. The calls for single transactions know nothing of it, and so they fail.
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
    /// A factory whose workers run EVMs of `evm_factory`, with their precompiles and their rules of
    /// gas and fees, one for each transaction. It must say how they pay `fees`.
    ///
    /// What a worker runs may run again, at the same time, on states that never come about: the
    /// EVM must be a function of the transaction and of what it reads from its database.
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

impl<R, Spec, F> BraidExecutorFactory<R, Spec, F> {
    /// How often which entry has been used so far.
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
    F: EvmFactory<Tx = TxEnv, Spec = SpecId, BlockEnv = BlockEnv, HaltReason = HaltReason>,
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
        let (spec, receipts) = (self.ethereum.spec(), self.ethereum.receipt_builder());
        BraidBlockExecutor::new(EthBlockExecutor::new(evm, ctx, spec, receipts), &self.engine)
    }
}
