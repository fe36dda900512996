//! Runs blocks through a factory, as a whole or transaction by transaction.

use super::{Left, Transactions, context};
use alloy_consensus::{EthereumReceipt, TxEnvelope};
use alloy_evm::block::{
    BlockExecutionError, BlockExecutionResult, BlockExecutor, BlockExecutorFactory, StateDB,
};
use alloy_evm::eth::eip6110::parse_deposits_from_receipts;
use alloy_evm::eth::{EthBlockExecutionCtx, EthBlockExecutorFactory};
use alloy_evm::{Evm, EvmEnv, EvmFactory};
use braid_blocks::block::Block;
use braid_blocks::sequential::before_requests;
use braid_evm::alloy::BraidExecutorFactory;
use revm::DatabaseRef;
use revm::context::{BlockEnv, TxEnv};
use revm::database::states::bundle_state::BundleRetention;
use revm::database::{BundleState, State, WrapDatabaseRef};
use revm::inspector::NoOpInspector;
use revm::primitives::hardfork::SpecId;

/// Tells apart the two factories under comparison.
pub(crate) trait Compared {
    /// Whether the factory is alloy-evm's, which orders the end of a block differently from the
    /// specification.
    const IS_REFERENCE: bool;
}

impl<R, Spec, F> Compared for EthBlockExecutorFactory<R, Spec, F> {
    const IS_REFERENCE: bool = true;
}

impl<R, Spec, F> Compared for BraidExecutorFactory<R, Spec, F> {
    const IS_REFERENCE: bool = false;
}

/// A factory under comparison.
pub(crate) trait Factory:
    Compared
    + for<'a> BlockExecutorFactory<
        EvmFactory: EvmFactory<Spec = SpecId, BlockEnv = BlockEnv, Tx = TxEnv>,
        Transaction = TxEnvelope,
        Receipt = EthereumReceipt,
        ExecutionCtx<'a> = EthBlockExecutionCtx<'a>,
    >
{
}

impl<F> Factory for F where
    F: Compared
        + for<'a> BlockExecutorFactory<
            EvmFactory: EvmFactory<Spec = SpecId, BlockEnv = BlockEnv, Tx = TxEnv>,
            Transaction = TxEnvelope,
            Receipt = EthereumReceipt,
            ExecutionCtx<'a> = EthBlockExecutionCtx<'a>,
        >
{
}

type EvmOf<F, DB> = <<F as BlockExecutorFactory>::EvmFactory as EvmFactory>::Evm<DB, NoOpInspector>;

pub(crate) fn state_over<D: DatabaseRef>(database: D) -> State<WrapDatabaseRef<D>> {
    State::builder().with_database(WrapDatabaseRef(database)).with_bundle_update().build()
}

pub(crate) fn run<D>(
    factory: &impl Factory,
    block: &Block,
    transactions: &Transactions,
    database: D,
) -> Left
where
    D: DatabaseRef + core::fmt::Debug,
{
    let blocks = [(block.clone(), transactions.clone())];
    let (mut results, bundle) = run_upon_each_other(factory, &blocks, database);
    (results.remove(0), bundle)
}

/// Executes blocks over one state that is not written to the database in between, until one fails.
pub(crate) fn run_upon_each_other<D>(
    factory: &impl Factory,
    blocks: &[(Block, Transactions)],
    database: D,
) -> (Vec<Result<BlockExecutionResult<EthereumReceipt>, String>>, BundleState)
where
    D: DatabaseRef + core::fmt::Debug,
{
    let mut state = state_over(database);
    let mut results = Vec::new();
    for (block, transactions) in blocks {
        let env = EvmEnv { cfg_env: block.cfg.clone(), block_env: block.env.clone() };
        let evm = factory.evm_factory().create_evm(&mut state, env);
        let result = execute(factory, evm, block, transactions);
        state.merge_transitions(BundleRetention::Reverts);
        results.push(result.map_err(|error| error.to_string()));
        if results.last().is_some_and(Result::is_err) {
            break;
        }
    }
    (results, state.take_bundle())
}

/// Executes a block, with its end as specified.
fn execute<'a, F: Factory, DB: StateDB>(
    factory: &'a F,
    evm: EvmOf<F, DB>,
    block: &'a Block,
    transactions: &Transactions,
) -> Result<BlockExecutionResult<EthereumReceipt>, BlockExecutionError> {
    let spec = block.cfg.spec;
    if !F::IS_REFERENCE || !spec.is_enabled_in(SpecId::PRAGUE) {
        let executor = factory.create_executor(evm, context(block));
        return executor.execute_block(transactions.iter().cloned());
    }
    let paid_first = EthBlockExecutionCtx { withdrawals: None, ..context(block) };
    let mut executor = factory.create_executor(evm, paid_first);
    executor.apply_pre_execution_changes()?;
    for transaction in transactions.iter().cloned() {
        executor.execute_transaction(transaction)?;
    }
    parse_deposits_from_receipts(super::spec(block), executor.receipts())?;
    let withdrawals = block.withdrawals.as_deref();
    before_requests(executor.evm_mut().db_mut(), spec, withdrawals)?;
    executor.apply_post_execution_changes()
}

/// Like [`run`], with calls for single transactions, all of them valid.
pub(crate) fn run_one_by_one<D>(
    factory: &impl Factory,
    block: &Block,
    transactions: &Transactions,
    database: D,
) -> Left
where
    D: DatabaseRef + core::fmt::Debug,
{
    let mut state = state_over(database);
    let env = EvmEnv { cfg_env: block.cfg.clone(), block_env: block.env.clone() };
    let evm = factory.evm_factory().create_evm(&mut state, env);
    let mut executor = factory.create_executor(evm, context(block));
    executor.apply_pre_execution_changes().expect("nothing to do");
    for tx in transactions.iter().cloned() {
        let _ = executor.execute_transaction(tx).expect("valid");
    }
    let result = executor.apply_post_execution_changes().map_err(|error| error.to_string());
    state.merge_transitions(BundleRetention::Reverts);
    (result, state.take_bundle())
}
