//! Executes an alloy block, the type in which many nodes hold blocks: senders are recovered from
//! the signatures, and the block is passed as it is. docs/INTEGRATION.md shows the function
//! `execute` as it stands here.
//!
//! `cargo run --example alloy_block`

use alloy_consensus::transaction::{Recovered, SignerRecoverable};
use alloy_consensus::{Block as AlloyBlock, BlockBody, Header, Signed, TxEip1559, TxEnvelope};
use alloy_eips::eip7840::BlobParams;
use alloy_evm::eth::spec::EthSpec;
use alloy_primitives::{Address, B256, Signature, TxKind, U256};
use braid_evm::{Block, BlockOutput, Executor, StateSource};
use revm::database::{CacheDB, EmptyDB};
use revm::state::AccountInfo;
use std::error::Error;

/// Executes `block` of mainnet, whose time is in Cancun.
fn execute<S: StateSource + 'static>(
    executor: &mut Executor,
    block: AlloyBlock<TxEnvelope>,
    source: S,
) -> Result<BlockOutput, Box<dyn Error>> {
    let recovered: AlloyBlock<Recovered<TxEnvelope>> =
        block.try_map_transactions(SignerRecoverable::try_into_recovered)?;
    let block = Block::from_alloy(&recovered, &EthSpec::mainnet(), 1, Some(BlobParams::cancun()));
    Ok(executor.block(block).state(source).execute()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let to = Address::repeat_byte(0xb0);
    let pay = TxEip1559 {
        chain_id: 1,
        gas_limit: 21_000,
        to: TxKind::Call(to),
        value: U256::from(3),
        ..TxEip1559::default()
    };
    // These numbers are a valid signature of some account.
    let signature = Signature::new(U256::ONE, U256::ONE, false);
    let signed: TxEnvelope = Signed::new_unhashed(pay, signature).into();
    let sender = signed.recover_signer()?;
    let header = Header {
        number: 20_000_000,
        timestamp: 1_717_281_407,
        gas_limit: 36_000_000,
        base_fee_per_gas: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        ..Header::default()
    };
    let body = BlockBody { transactions: vec![signed], ..BlockBody::default() };

    let mut state = CacheDB::new(EmptyDB::new());
    state.insert_account_info(sender, AccountInfo::from_balance(U256::from(10)));
    let mut executor = Executor::new(Default::default())?;
    let output = execute(&mut executor, AlloyBlock { header, body }, braid_evm::Cloned(state))?;
    let paid = output.bundle.account(&to).and_then(|account| account.info.as_ref());
    assert_eq!(paid.map(|account| account.balance), Some(U256::from(3)));
    println!("{sender} paid 3 wei; {} gas", output.gas_used);
    Ok(())
}
