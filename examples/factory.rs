//! Executes a block through alloy-evm's traits, with `BraidExecutorFactory` in place of
//! `EthBlockExecutorFactory`. docs/INTEGRATION.md shows this file as it stands here.
//!
//! `cargo run --example factory`

use alloy_consensus::transaction::Recovered;
use alloy_consensus::{BlockBody, Header, ReceiptEnvelope, Signed, TxEip1559, TxEnvelope};
use alloy_eips::eip7840::BlobParams;
use alloy_evm::block::{BlockExecutionResult, BlockExecutor, BlockExecutorFactory};
use alloy_evm::eth::receipt_builder::AlloyReceiptBuilder;
use alloy_evm::eth::spec::EthSpec;
use alloy_evm::eth::{EthBlockExecutionCtx, EthBlockExecutorFactory, EthEvmFactory};
use alloy_evm::{EvmEnv, EvmFactory};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex};
use braid_evm::alloy::BraidExecutorFactory;
use braid_evm::{Cloned, Config};
use revm::DatabaseRef;
use revm::bytecode::Bytecode;
use revm::context::{BlockEnv, TxEnv};
use revm::database::states::bundle_state::BundleRetention;
use revm::database::{BundleState, CacheDB, EmptyDB, OriginalValuesKnown, State};
use revm::primitives::hardfork::SpecId;
use revm::state::AccountInfo;
use std::error::Error;
use std::sync::Arc;

type Block = alloy_consensus::Block<Recovered<TxEnvelope>>;
type Store = CacheDB<EmptyDB>;

/// Executes a block. Nothing in this function is specific to Braid.
fn execute<F>(
    factory: &F,
    block: &Block,
    store: &Store,
) -> Result<(BlockExecutionResult<ReceiptEnvelope>, BundleState), Box<dyn Error>>
where
    F: for<'a> BlockExecutorFactory<
            Transaction = TxEnvelope,
            Receipt = ReceiptEnvelope,
            ExecutionCtx<'a> = EthBlockExecutionCtx<'a>,
            EvmFactory: EvmFactory<Tx = TxEnv, Spec = SpecId, BlockEnv = BlockEnv>,
        >,
{
    let Block { header, body } = block;
    let env = EvmEnv::for_eth_block(header, EthSpec::mainnet(), 1, Some(BlobParams::cancun()));
    let context = EthBlockExecutionCtx {
        parent_hash: header.parent_hash,
        parent_beacon_block_root: header.parent_beacon_block_root,
        ommers: &body.ommers,
        withdrawals: None,
        extra_data: header.extra_data.clone(),
        tx_count_hint: Some(body.transactions.len()),
        slot_number: None,
    };
    let mut state = State::builder().with_database_ref(store).with_bundle_update().build();
    let evm = factory.evm_factory().create_evm(&mut state, env);
    let result = factory.create_executor(evm, context).execute_block(&body.transactions)?;
    state.merge_transitions(BundleRetention::Reverts);
    Ok((result, state.take_bundle()))
}

/// Writes the changes of a block.
fn write(store: &mut Store, bundle: &BundleState) {
    let changes = bundle.to_plain_state(OriginalValuesKnown::Yes);
    store.cache.contracts.extend(changes.contracts);
    for (address, info) in changes.accounts {
        match info {
            Some(info) => store.insert_account_info(address, info),
            None => drop(store.cache.accounts.remove(&address)),
        }
    }
    for changed in changes.storage {
        // Without an account there is no storage: it was destroyed.
        let Some(account) = store.cache.accounts.get_mut(&changed.address) else { continue };
        if changed.wipe_storage {
            account.storage.clear();
        }
        account.storage.extend(changed.storage);
    }
}

const PAYERS: u64 = 200;
const COUNTER: Address = Address::repeat_byte(0xc0);
const PARENT: B256 = B256::repeat_byte(0x11);

fn payer(number: u64) -> Address {
    Address::from_word(U256::from(0xa000 + number).into())
}

/// Returns a block in which each payer calls the counter. Nothing checks the signatures here.
fn block() -> Block {
    let call = |number| {
        let to = TxKind::Call(COUNTER);
        // Without call data, it would count as a payment, which is too short to share.
        let input = Bytes::from_static(&hex!("06661abd"));
        let inner = TxEip1559 { chain_id: 1, gas_limit: 60_000, to, input, ..TxEip1559::default() };
        let signature = Signature::new(U256::ZERO, U256::ZERO, false);
        let signed = Signed::new_unchecked(inner, signature, B256::ZERO);
        Recovered::new_unchecked(signed.into(), payer(number))
    };
    let header = Header {
        parent_hash: PARENT,
        number: 19_900_000,
        timestamp: 1_716_000_000, // Cancun, on mainnet
        gas_limit: 30_000_000,
        base_fee_per_gas: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        ..Header::default()
    };
    Block {
        header,
        body: BlockBody { transactions: (0..PAYERS).map(call).collect(), ..BlockBody::default() },
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut store = Store::default();
    for number in 0..PAYERS {
        store.insert_account_info(payer(number), AccountInfo::from_balance(U256::from(100)));
    }
    // The code counts the calls of each caller in a slot, so the calls do not conflict.
    let code = Bytecode::new_raw(hex!("3354600101335500").into());
    store.insert_account_info(COUNTER, AccountInfo::default().with_code(code));
    let (block, mut store) = (block(), Arc::new(store));

    let (receipts, spec) = (AlloyReceiptBuilder::default(), EthSpec::mainnet());
    let ethereum = EthBlockExecutorFactory::new(receipts, spec.clone(), EthEvmFactory::default());
    let expected = execute(&ethereum, &block, &store)?;

    // Create it once: its clones share threads. The calling thread reads for all workers.
    let config = Config::builder().workers(4).build()?;
    let factory = BraidExecutorFactory::new(receipts, spec, config);
    assert_eq!(execute(&factory, &block, &store)?, expected);

    // With handles, each worker reads for itself from the state after the block's parent.
    let parent = Arc::clone(&store);
    let factory =
        factory.with_handles(move |hash| (hash == PARENT).then(|| Cloned(Arc::clone(&parent))));
    let (result, bundle) = execute(&factory, &block, &store)?;
    assert_eq!((&result, &bundle), (&expected.0, &expected.1));
    assert_eq!(factory.executions().transactions, PAYERS);

    // `make_mut` writes to a copy, because the handles keep the state before the block.
    write(Arc::make_mut(&mut store), &bundle);
    assert_eq!(store.storage_ref(COUNTER, payer(7).into_word().into())?, U256::ONE);
    println!("{} gas, {} accounts changed", result.gas_used, bundle.state.len());
    Ok(())
}
