//! The state before a block in an embedded store on disk, read with cold caches.

use crate::block_file::BlockFile;
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use redb::{Database, ReadOnlyTable, ReadableDatabase, TableDefinition};
use revm::{
    DatabaseRef,
    context::DBErrorMarker,
    state::{AccountInfo, Bytecode},
};
use std::{
    fs::{self, File},
    path::PathBuf,
    sync::Arc,
};
use thiserror::Error;

/// Balance, nonce and code hash by address.
const ACCOUNTS: TableDefinition<'_, [u8; 20], [u8; 72]> = TableDefinition::new("accounts");
/// Slots by address and number.
const SLOTS: TableDefinition<'_, [u8; 52], [u8; 32]> = TableDefinition::new("slots");
/// Codes by hash.
const CODES: TableDefinition<'_, [u8; 32], &[u8]> = TableDefinition::new("codes");
/// Bytes that the store may cache: little, so that reads reach the system.
const CACHE: usize = 1 << 20;

/// The store could not be written or read.
#[derive(Debug, Error)]
#[error("the store: {0}")]
pub struct StoreError(String);

impl DBErrorMarker for StoreError {}

fn failed(error: impl core::fmt::Display) -> StoreError {
    StoreError(error.to_string())
}

/// A file of a redb database with the state before a block. It goes with this value.
#[derive(Debug)]
pub struct RedbFile {
    path: PathBuf,
}

impl RedbFile {
    /// Writes the state of `file` into a new store in the system's folder for such things.
    ///
    /// # Errors
    /// The store or the system refused.
    pub fn write(file: &BlockFile) -> Result<Self, StoreError> {
        let name = format!("braid-{}-{}.redb", std::process::id(), file.block.header.hash);
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_file(&path);
        let this = Self { path };
        let database = Database::create(&this.path).map_err(failed)?;
        let transaction = database.begin_write().map_err(failed)?;
        {
            let mut accounts = transaction.open_table(ACCOUNTS).map_err(failed)?;
            let mut slots = transaction.open_table(SLOTS).map_err(failed)?;
            let mut codes = transaction.open_table(CODES).map_err(failed)?;
            for (address, account) in &file.pre_state {
                let hash = account.code_hash.unwrap_or(KECCAK256_EMPTY);
                let record = encode(account.balance, account.nonce, hash);
                accounts.insert(address.0.0, record).map_err(failed)?;
                for (slot, value) in &account.storage {
                    let key = slot_key(*address, *slot);
                    slots.insert(key, value.to_be_bytes::<32>()).map_err(failed)?;
                }
            }
            for (hash, code) in &file.codes {
                codes.insert(hash.0, code.as_ref()).map_err(failed)?;
            }
        }
        transaction.commit().map_err(failed)?;
        drop(database);
        File::open(&this.path).and_then(|file| file.sync_all()).map_err(failed)?;
        Ok(this)
    }

    /// Opens the store with nothing in its cache, after asking the system to forget the file. It can
    /// be open once only; whatever goes wrong, every read tells.
    #[must_use]
    pub fn cold(&self) -> RedbState {
        RedbState(self.open().map(Arc::new).map_err(|error| error.0))
    }

    fn open(&self) -> Result<Open, StoreError> {
        #[cfg(target_os = "linux")]
        {
            let file = File::open(&self.path).map_err(failed)?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).map_err(failed)?;
        }
        let mut builder = Database::builder();
        let database = builder.set_cache_size(CACHE).open(&self.path).map_err(failed)?;
        let transaction = database.begin_read().map_err(failed)?;
        Ok(Open {
            accounts: transaction.open_table(ACCOUNTS).map_err(failed)?,
            slots: transaction.open_table(SLOTS).map_err(failed)?,
            codes: transaction.open_table(CODES).map_err(failed)?,
            _database: database,
        })
    }
}

impl Drop for RedbFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The state in an open store. Clones share it.
#[derive(Clone)]
pub struct RedbState(Result<Arc<Open>, String>);

impl RedbState {
    fn tables(&self) -> Result<&Open, StoreError> {
        self.0.as_deref().map_err(|error| StoreError(error.clone()))
    }
}

struct Open {
    accounts: ReadOnlyTable<[u8; 20], [u8; 72]>,
    slots: ReadOnlyTable<[u8; 52], [u8; 32]>,
    codes: ReadOnlyTable<[u8; 32], &'static [u8]>,
    _database: Database,
}

impl core::fmt::Debug for RedbState {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RedbState").finish_non_exhaustive()
    }
}

fn encode(balance: U256, nonce: u64, code_hash: B256) -> [u8; 72] {
    let mut record = [0; 72];
    record[..32].copy_from_slice(&balance.to_be_bytes::<32>());
    record[32..40].copy_from_slice(&nonce.to_be_bytes());
    record[40..].copy_from_slice(code_hash.as_slice());
    record
}

fn decode(record: [u8; 72]) -> AccountInfo {
    let mut nonce = [0; 8];
    nonce.copy_from_slice(&record[32..40]);
    AccountInfo {
        balance: U256::from_be_slice(&record[..32]),
        nonce: u64::from_be_bytes(nonce),
        code_hash: B256::from_slice(&record[40..]),
        account_id: None,
        code: None,
    }
}

fn slot_key(address: Address, slot: U256) -> [u8; 52] {
    let mut key = [0; 52];
    key[..20].copy_from_slice(address.as_slice());
    key[20..].copy_from_slice(&slot.to_be_bytes::<32>());
    key
}

impl DatabaseRef for RedbState {
    type Error = StoreError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StoreError> {
        let found = self.tables()?.accounts.get(address.0.0).map_err(failed)?;
        Ok(found.map(|record| decode(record.value())))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, StoreError> {
        let found = self.tables()?.codes.get(code_hash.0).map_err(failed)?;
        let code = found.map(|code| code.value().to_vec());
        Bytecode::new_raw_checked(code.unwrap_or_default().into()).map_err(failed)
    }

    fn storage_ref(&self, address: Address, index: U256) -> Result<U256, StoreError> {
        let found = self.tables()?.slots.get(slot_key(address, index)).map_err(failed)?;
        Ok(found.map_or(U256::ZERO, |value| U256::from_be_bytes(value.value())))
    }

    /// No generated block asks for one; of a file only the parent's would be known.
    fn block_hash_ref(&self, _: u64) -> Result<B256, StoreError> {
        Ok(B256::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Preset;

    #[test]
    fn what_is_written_reads_back() {
        let file = Preset::Swaps.block(3, 1).unwrap();
        let (_, memory) = file.to_block().unwrap();
        let store = RedbFile::write(&file).unwrap();
        let state = store.cold();
        for (address, account) in &file.pre_state {
            assert_eq!(state.basic_ref(*address).unwrap(), memory.basic_ref(*address).unwrap());
            for (slot, value) in &account.storage {
                assert_eq!(state.storage_ref(*address, *slot).unwrap(), *value);
            }
        }
        for (hash, code) in &file.codes {
            assert_eq!(state.code_by_hash_ref(*hash).unwrap().original_bytes(), *code);
        }
        let nobody = Address::repeat_byte(0x77);
        assert_eq!(state.basic_ref(nobody).unwrap(), None);
        assert_eq!(state.storage_ref(nobody, U256::from(1)).unwrap(), U256::ZERO);
        drop(state);
        let path = store.path.clone();
        drop((store.cold(), store));
        assert!(!path.exists());
    }
}
