//! A custom database, with one handle per worker and its own error type.
//!
//! A store like MDBX or RocksDB gives each thread a read transaction: `StateSource::open` is called
//! on the worker's thread, at its first job. A database that is `Clone + Send + Sync` needs none of
//! this and can be passed to `BlockRequest::database` as it is.
//!
//! `cargo run --example custom_database`

use braid_evm::ids::WorkerId;
use braid_evm::{
    Block, BlockErrorKind, BlockPosition, ChainRules, Config, Executor, StateSource, TxIndex,
};
use revm::DatabaseRef;
use revm::context::TxEnv;
use revm::database_interface::DBErrorMarker;
use revm::primitives::{Address, B256, KECCAK_EMPTY, StorageKey, StorageValue, U256};
use revm::state::{AccountInfo, Bytecode};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The data on disk: balances, and a sector that cannot be read.
struct Disk {
    balances: BTreeMap<Address, U256>,
    bad: Option<Address>,
    opened: AtomicU64,
}

/// One worker's handle.
struct Handle(Arc<Disk>);

#[derive(Debug, thiserror::Error)]
#[error("the account of {0} cannot be read")]
struct BadSector(Address);

impl DBErrorMarker for BadSector {}

impl DatabaseRef for Handle {
    type Error = BadSector;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, BadSector> {
        if self.0.bad == Some(address) {
            return Err(BadSector(address));
        }
        // `None` is an account that does not exist, which differs from an empty one.
        let balance = self.0.balances.get(&address);
        Ok(balance.map(|balance| AccountInfo {
            balance: *balance,
            nonce: 0,
            // The code may be left out: the executor reads it by its hash.
            code_hash: KECCAK_EMPTY,
            code: None,
            account_id: None,
        }))
    }

    fn code_by_hash_ref(&self, _: B256) -> Result<Bytecode, BadSector> {
        Ok(Bytecode::default())
    }

    fn storage_ref(&self, _: Address, _: StorageKey) -> Result<StorageValue, BadSector> {
        Ok(U256::ZERO)
    }

    fn block_hash_ref(&self, _: u64) -> Result<B256, BadSector> {
        Ok(B256::ZERO)
    }
}

struct Source(Arc<Disk>);

impl StateSource for Source {
    type State = Handle;

    fn open(&self, _: WorkerId) -> Result<Handle, BadSector> {
        self.0.opened.fetch_add(1, Ordering::Relaxed);
        Ok(Handle(Arc::clone(&self.0)))
    }
}

fn account(number: u64) -> Address {
    Address::from_word(U256::from(0xa000 + number).into())
}

fn block() -> Block {
    let pay = |payer| {
        let builder = TxEnv::builder().caller(account(payer)).to(account(payer + 500));
        builder.value(U256::from(10)).gas_limit(21_000).build_fill()
    };
    let transactions = (0..500).map(pay).collect();
    // The store has no system contracts.
    let rules = ChainRules { system_calls: false, ..ChainRules::default() };
    Block { transactions, rules, ..Block::default() }
}

fn disk(bad: Option<Address>) -> Arc<Disk> {
    let balances = (0..500).map(|number| (account(number), U256::from(100))).collect();
    Arc::new(Disk { balances, bad, opened: AtomicU64::new(0) })
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut executor = Executor::new(Config::default())?;

    let sound = disk(None);
    let output = executor.block(block()).state(Source(Arc::clone(&sound))).execute()?;
    assert_eq!(output.receipts.len(), 500);
    println!(
        "{} workers opened {} handles in all, for the block and its system calls",
        output.stats.workers,
        sound.opened.load(Ordering::Relaxed)
    );

    // The error and its transaction are those of a sequential run, and the error holds the output
    // that was committed before.
    let error = match executor.block(block()).state(Source(disk(Some(account(123))))).execute() {
        Ok(_) => return Err("the bad sector went unnoticed".into()),
        Err(error) => error,
    };
    println!("{error}; {} transactions were committed", error.committed.receipts.len());
    assert_eq!(error.at, BlockPosition::Transaction(TxIndex(123)));
    assert!(matches!(error.kind, BlockErrorKind::Base(BadSector(at)) if at == account(123)));
    assert_eq!(error.committed.receipts.len(), 123);
    Ok(())
}
