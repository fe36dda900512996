//! Verifies a block that comes with its access list (EIP-7928), twice: with `Executor`, and with
//! code written against alloy-evm. docs/INTEGRATION.md shows the functions `verify` and
//! `verify_with_alloy` as they stand here.
//!
//! `cargo run --example verify_block`

mod common;

use common::{COUNTER, call_counter, with_counter};

use alloy_consensus::transaction::Recovered;
use alloy_consensus::{EthereumTxEnvelope, Signed, TxEip1559, TxEip4844, TxEnvelope};
use alloy_evm::block::{BlockExecutionResult, BlockExecutor, BlockExecutorFactory};
use alloy_evm::eth::spec::EthSpec;
use alloy_evm::eth::{EthBlockExecutionCtx, receipt_builder::AlloyReceiptBuilder};
use alloy_evm::{EvmEnv, EvmFactory};
use alloy_primitives::Signature;
use braid_evm::alloy::BraidExecutorFactory;
use braid_evm::{AccessList, Block, BlockOutput, Cloned, Config, Executor, StateSource};
use revm::DatabaseRef;
use revm::context::TxEnv;
use revm::database::states::bundle_state::BundleRetention;
use revm::database::{BundleState, State, WrapDatabaseRef};
use revm::primitives::hardfork::SpecId;
use revm::primitives::{B256, TxKind, U256};
use revm::state::bal::Bal;
use std::error::Error;
use std::sync::Arc;

type Transactions = Vec<(TxEnv, Recovered<TxEnvelope>)>;
type Receipt = alloy_consensus::ReceiptEnvelope;

/// Executes a block with its access list; `hash` is the hash of the list in the header.
fn verify<S: StateSource + 'static>(
    executor: &mut Executor,
    block: Block,
    source: S,
    (list, hash): (AccessList, B256),
) -> Result<BlockOutput, Box<dyn Error>> {
    if list.compute_hash() != hash {
        return Err("the hash of the access list differs from the header's".into());
    }
    let block = Block { access_list: Some(Arc::new(list)), ..block };
    // BlockErrorKind::AccessList: the list does not match the block. Reject the block.
    Ok(executor.block(block).state(source).execute()?)
}

/// Executes a block with its access list, through alloy-evm's traits.
fn verify_with_alloy<D: DatabaseRef + core::fmt::Debug>(
    factory: &BraidExecutorFactory,
    (env, context, transactions): (EvmEnv, EthBlockExecutionCtx<'_>, Transactions),
    database: D,
    (list, hash): (AccessList, B256),
) -> Result<(BlockExecutionResult<Receipt>, BundleState), Box<dyn Error>> {
    if list.compute_hash() != hash {
        return Err("the hash of the access list differs from the header's".into());
    }
    let list = Arc::new(Bal::clone_from_alloy(&list)?);
    let state = State::builder().with_database(WrapDatabaseRef(database)).with_bundle_update();
    // And .with_bal_builder() where the node wants to build the list again.
    let mut state = state.with_bal(list).build();
    let evm = factory.evm_factory().create_evm(&mut state, env);
    let executor = factory.create_executor(evm, context).with_access_lists();
    // BlockValidationError::Other with an AccessListError: reject the block.
    let result = executor.execute_block(transactions)?;
    state.merge_transitions(BundleRetention::Reverts);
    Ok((result, state.take_bundle()))
}

/// Executes a block without an access list.
fn execute_with_alloy<D: DatabaseRef + core::fmt::Debug>(
    factory: &BraidExecutorFactory,
    (env, context, transactions): (EvmEnv, EthBlockExecutionCtx<'_>, Transactions),
    database: D,
) -> Result<BlockExecutionResult<Receipt>, Box<dyn Error>> {
    let state = State::builder().with_database(WrapDatabaseRef(database)).with_bundle_update();
    let mut state = state.build();
    let evm = factory.evm_factory().create_evm(&mut state, env);
    Ok(factory.create_executor(evm, context).execute_block(transactions)?)
}

const PAYERS: u64 = 50;

/// Returns a call of the counter in alloy-evm's form; the signature is not checked here.
fn signed(tx: &TxEnv) -> Recovered<TxEnvelope> {
    let inner =
        TxEip1559 { gas_limit: tx.gas_limit, to: TxKind::Call(COUNTER), ..TxEip1559::default() };
    let signature = Signature::new(U256::ZERO, U256::ZERO, false);
    let envelope: EthereumTxEnvelope<TxEip4844> =
        Signed::new_unchecked(inner, signature, B256::ZERO).into();
    Recovered::new_unchecked(envelope.into(), tx.caller)
}

fn main() -> Result<(), Box<dyn Error>> {
    let state = with_counter(PAYERS);
    let call = |number| TxEnv { tx_type: 2, ..call_counter(number) };
    let mut block = Block {
        transactions: (0..PAYERS).map(call).collect(),
        parent_beacon_block_root: Some(B256::ZERO),
        ..Block::default()
    };
    block.cfg.set_spec_and_mainnet_gas_params(SpecId::CANCUN);
    block.env.number = U256::from(19_900_000);
    block.env.timestamp = U256::from(1_716_000_000); // Cancun, on mainnet

    let mut config = Config::default();
    config.access_list = true;
    let built = Executor::new(config)?.block(block.clone()).database(state.clone()).execute()?;
    let list = built.access_list.ok_or("no access list in the output")?;
    let hash = list.compute_hash();

    let mut executor = Executor::new(Config::default())?;
    let found = verify(&mut executor, block.clone(), Cloned(state.clone()), (list.clone(), hash))?;
    assert_eq!((found.gas_used, &found.bundle), (built.gas_used, &built.bundle));

    let factory =
        BraidExecutorFactory::new(AlloyReceiptBuilder::default(), EthSpec::mainnet(), config);
    let env = EvmEnv { cfg_env: block.cfg.clone(), block_env: block.env.clone() };
    let context = EthBlockExecutionCtx {
        parent_hash: block.parent_hash,
        parent_beacon_block_root: block.parent_beacon_block_root,
        ommers: &[],
        withdrawals: None,
        extra_data: Default::default(),
        tx_count_hint: None,
        slot_number: None,
    };
    let transactions: Transactions =
        block.transactions.iter().map(|tx| (tx.clone(), signed(tx))).collect();
    let with = |list: &AccessList, hash| {
        let input = (env.clone(), context.clone(), transactions.clone());
        verify_with_alloy(&factory, input, state.clone(), (list.clone(), hash))
    };
    let (result, bundle) = with(&list, hash)?;
    assert_eq!((result.gas_used, bundle.state), (built.gas_used, built.bundle.state));
    println!("verified: {} accounts, hash {hash}", list.len());
    let input = (env.clone(), context.clone(), transactions.clone());
    let without = execute_with_alloy(&factory, input, state.clone())?;
    assert_eq!((without.gas_used, without.receipts), (result.gas_used, result.receipts));

    // A list that does not match the header, and a wrong list.
    println!("{}", with(&list, B256::ZERO).err().ok_or("it is another hash")?);
    let mut wrong: Vec<_> = list.iter().cloned().collect();
    wrong.retain(|account| account.address != COUNTER);
    let wrong = AccessList::new(wrong);
    let hash = wrong.compute_hash();
    println!("{}", with(&wrong, hash).err().ok_or("the list is wrong")?);
    let refused = verify(&mut executor, block, Cloned(state), (wrong, hash));
    println!("{}", refused.err().ok_or("the list is wrong")?);
    Ok(())
}
