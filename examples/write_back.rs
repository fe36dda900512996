//! Executes a block on a node's own store and writes the changes back: accounts, storage, codes,
//! destroyed contracts. docs/INTEGRATION.md shows this program as it stands here.
//!
//! `cargo run --example write_back`

use braid_evm::{Block, ChainRules, Config, Executor, StateSource, WorkerId};
use revm::DatabaseRef;
use revm::bytecode::Bytecode;
use revm::context::TxEnv;
use revm::database::{BundleState, OriginalValuesKnown};
use revm::database_interface::DBErrorMarker;
use revm::primitives::hardfork::SpecId;
use revm::primitives::{Address, B256, U256, hex};
use revm::state::AccountInfo;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

/// Tables of the store.
#[derive(Clone, Default)]
struct Tables {
    accounts: BTreeMap<Address, AccountInfo>,
    slots: BTreeMap<(Address, U256), U256>,
    codes: BTreeMap<B256, Bytecode>,
    hashes: BTreeMap<u64, B256>,
}

/// State before the block: each worker opens a snapshot.
struct Store(Arc<Tables>);

impl StateSource for Store {
    type State = Snapshot;

    fn open(&self, _: WorkerId) -> Result<Snapshot, MissingCode> {
        // Begin a read transaction here. All snapshots of a block must have the same state.
        Ok(Snapshot(Arc::clone(&self.0)))
    }
}

/// Handle of one worker.
struct Snapshot(Arc<Tables>);

#[derive(Debug, thiserror::Error)]
#[error("the code with hash {0} is missing")]
struct MissingCode(B256);

impl DBErrorMarker for MissingCode {}

impl DatabaseRef for Snapshot {
    type Error = MissingCode;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, MissingCode> {
        // `None` means that the account does not exist. An empty account is `Some`.
        Ok(self.0.accounts.get(&address).cloned())
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, MissingCode> {
        self.0.codes.get(&hash).cloned().ok_or(MissingCode(hash))
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, MissingCode> {
        Ok(self.0.slots.get(&(address, slot)).copied().unwrap_or_default())
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, MissingCode> {
        Ok(self.0.hashes.get(&number).copied().unwrap_or_default())
    }
}

impl Tables {
    /// Writes the changes of a block.
    fn write(&mut self, bundle: &BundleState) {
        let changes = bundle.to_plain_state(OriginalValuesKnown::Yes);
        // Codes of created contracts. Accounts refer to them by hash.
        self.codes.extend(changes.contracts);
        for (address, info) in changes.accounts {
            match info {
                Some(info) => self.accounts.insert(address, info),
                // Destroyed by `SELFDESTRUCT`, or deleted because it is empty (EIP-161).
                None => self.accounts.remove(&address),
            };
        }
        for changed in changes.storage {
            let address = changed.address;
            if changed.wipe_storage {
                // Before the new slots are written: the account may exist again.
                self.slots.retain(|(owner, _), _| *owner != address);
            }
            for (slot, value) in changed.storage {
                if value.is_zero() {
                    self.slots.remove(&(address, slot));
                } else {
                    self.slots.insert((address, slot), value);
                }
            }
        }
    }
}

const OWNER: Address = Address::repeat_byte(0xa1);
const COUNTER: Address = Address::repeat_byte(0xc0);
const DOOMED: Address = Address::repeat_byte(0xdd);

fn main() -> Result<(), Box<dyn Error>> {
    let mut tables = Tables::default();
    tables.accounts.insert(OWNER, AccountInfo::from_balance(U256::from(100)));
    // COUNTER adds one to its slot 0, and DOOMED destroys itself. Both have a value in slot 7.
    let codes = [(COUNTER, &hex!("600054600101600055")[..]), (DOOMED, &hex!("5fff")[..])];
    for (address, code) in codes {
        let code = Bytecode::new_raw(code.to_vec().into());
        let code_hash = code.hash_slow();
        tables.codes.insert(code_hash, code);
        let info = AccountInfo { nonce: 1, code_hash, code: None, ..AccountInfo::default() };
        tables.accounts.insert(address, info);
        tables.slots.insert((address, U256::from(7)), U256::from(7));
    }

    let tx = |nonce| TxEnv::builder().caller(OWNER).nonce(nonce).gas_limit(100_000);
    let mut block = Block {
        transactions: vec![
            // Creates a contract with the code 00, which is STOP.
            tx(0).create().data(hex!("60016000f3").into()).build_fill(),
            tx(1).to(COUNTER).build_fill(),
            tx(2).to(DOOMED).build_fill(),
        ],
        // This state has no system contracts.
        rules: ChainRules { system_calls: false, ..ChainRules::default() },
        ..Block::default()
    };
    // Before Cancun `SELFDESTRUCT` destroys any contract.
    block.cfg.set_spec_and_mainnet_gas_params(SpecId::SHANGHAI);

    // Its threads outlive the block: keep it for the next one.
    let mut executor = Executor::new(Config::default())?;
    let mut tables = Arc::new(tables);
    let output = executor.block(block).state(Store(Arc::clone(&tables))).execute()?;
    assert!(output.receipts.iter().all(|receipt| receipt.success));

    // A preempted worker may still hold its snapshot.
    executor.wait_idle();
    Arc::make_mut(&mut tables).write(&output.bundle);

    let created = tables.accounts.get(&OWNER.create(0)).ok_or("nothing was created")?;
    let code = tables.codes.get(&created.code_hash).ok_or("its code was not written")?;
    assert_eq!(code.original_bytes().len(), 1);
    let value = |of: Address, slot: u64| tables.slots.get(&(of, U256::from(slot))).copied();
    assert_eq!(value(COUNTER, 0), Some(U256::ONE));
    assert_eq!(value(COUNTER, 7), Some(U256::from(7)));
    assert_eq!((tables.accounts.get(&DOOMED), value(DOOMED, 7)), (None, None));
    println!("{} accounts, {} slots written back", tables.accounts.len(), tables.slots.len());
    Ok(())
}
