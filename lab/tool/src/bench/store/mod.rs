//! The state before a block in an embedded store on disk, read with cold caches.
//!
//! A store has one key space. An account is keyed by its address, a slot by address and slot, a
//! code by its hash, so keys of different kinds differ in length.

#[cfg(feature = "redb")]
mod redb;
#[cfg(braid_rocksdb)]
mod rocksdb;

#[cfg(feature = "redb")]
pub use self::redb::Redb;
#[cfg(braid_rocksdb)]
pub use self::rocksdb::RocksDb;

use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use braid_blocks::block_file::BlockFile;
use core::marker::PhantomData;
use revm::{
    DatabaseRef,
    context::DBErrorMarker,
    state::{AccountInfo, Bytecode},
};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};
use thiserror::Error;

/// Size of a store's cache in bytes: small, so that reads reach the system.
const CACHE: usize = 1 << 20;

/// The store could not be written or read.
#[derive(Debug, Error)]
#[error("the store: {0}")]
pub struct StoreError(String);

impl DBErrorMarker for StoreError {}

fn failed(error: impl core::fmt::Display) -> StoreError {
    StoreError(error.to_string())
}

/// A kind of embedded key-value store, in a folder of its own.
pub trait Store: Send + Sync + Sized + 'static {
    /// Name of the kind, as in `--store`.
    const NAME: &'static str;

    /// Writes a new store into the empty folder `path`, durably.
    ///
    /// # Errors
    /// Returns the error of the store or the system.
    fn write(
        path: &Path,
        records: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<(), StoreError>;

    /// Opens the store in `path` for reading, with an empty cache of `cache` bytes.
    ///
    /// # Errors
    /// Returns the error of the store or the system.
    fn open(path: &Path, cache: usize) -> Result<Self, StoreError>;

    /// Returns the decoded value of `key`, or `None` if it is absent.
    ///
    /// # Errors
    /// Returns the error of the store or the system.
    fn get<T>(&self, key: &[u8], decode: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, StoreError>;
}

/// A store of kind `S` with the state before a block. Dropping it removes the folder.
#[derive(Debug)]
pub struct StoreFolder<S> {
    path: PathBuf,
    kind: PhantomData<fn() -> S>,
}

impl<S: Store> StoreFolder<S> {
    /// Writes the state of `file` into a new store in the system's temporary folder.
    ///
    /// # Errors
    /// Returns the error of the store or the system.
    pub fn write(file: &BlockFile) -> Result<Self, StoreError> {
        let name = format!("braid-{}-{}.{}", std::process::id(), file.block.header.hash, S::NAME);
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).map_err(failed)?;
        let this = Self { path, kind: PhantomData };
        let accounts = file.pre_state.iter().flat_map(|(address, account)| {
            let hash = account.code_hash.unwrap_or(KECCAK256_EMPTY);
            let record = encode(account.balance, account.nonce, hash);
            let slots = account.storage.iter().map(|(slot, value)| {
                (slot_key(*address, *slot).to_vec(), value.to_be_bytes::<32>().to_vec())
            });
            core::iter::once((address.to_vec(), record.to_vec())).chain(slots)
        });
        let codes = file.codes.iter().map(|(hash, code)| (hash.to_vec(), code.to_vec()));
        S::write(&this.path, accounts.chain(codes))?;
        Ok(this)
    }

    /// Asks the system to evict the store's files from its cache, and opens the store with an empty
    /// cache. The store can be open only once. If opening fails, every read returns the error.
    #[must_use]
    pub fn cold(&self) -> StoredState<S> {
        let opened = forget(&self.path).and_then(|()| S::open(&self.path, CACHE));
        StoredState(opened.map(Arc::new).map_err(|error| error.0))
    }
}

impl<S> Drop for StoreFolder<S> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Asks the system to evict the files in a folder from its cache.
fn forget(folder: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(folder).map_err(failed)? {
        let file = File::open(entry.map_err(failed)?.path()).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_file() {
            #[cfg(target_os = "linux")]
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).map_err(failed)?;
        }
    }
    Ok(())
}

/// The state in an open store, shared by its clones.
pub struct StoredState<S>(Result<Arc<S>, String>);

impl<S> Clone for StoredState<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> core::fmt::Debug for StoredState<S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("StoredState").finish_non_exhaustive()
    }
}

impl<S: Store> StoredState<S> {
    fn get<T>(&self, key: &[u8], decode: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, StoreError> {
        match &self.0 {
            Ok(store) => store.get(key, decode),
            Err(error) => Err(StoreError(error.clone())),
        }
    }
}

impl<S: Store> DatabaseRef for StoredState<S> {
    type Error = StoreError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StoreError> {
        self.get(address.as_slice(), decode)?.transpose()
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, StoreError> {
        let code = self.get(code_hash.as_slice(), <[u8]>::to_vec)?;
        Bytecode::new_raw_checked(code.unwrap_or_default().into()).map_err(failed)
    }

    fn storage_ref(&self, address: Address, index: U256) -> Result<U256, StoreError> {
        let found = self.get(&slot_key(address, index), U256::try_from_be_slice)?;
        found.map_or(Ok(U256::ZERO), |value| value.ok_or_else(|| failed("a slot is too long")))
    }

    /// Not needed: generated blocks read no block hash, and a file has only the parent's.
    fn block_hash_ref(&self, _: u64) -> Result<B256, StoreError> {
        Ok(B256::ZERO)
    }
}

/// Encodes balance, nonce and code hash.
fn encode(balance: U256, nonce: u64, code_hash: B256) -> [u8; 72] {
    let mut record = [0; 72];
    record[..32].copy_from_slice(&balance.to_be_bytes::<32>());
    record[32..40].copy_from_slice(&nonce.to_be_bytes());
    record[40..].copy_from_slice(code_hash.as_slice());
    record
}

fn decode(record: &[u8]) -> Result<AccountInfo, StoreError> {
    let record: &[u8; 72] = record.try_into().map_err(failed)?;
    let mut nonce = [0; 8];
    nonce.copy_from_slice(&record[32..40]);
    Ok(AccountInfo {
        balance: U256::from_be_slice(&record[..32]),
        nonce: u64::from_be_bytes(nonce),
        code_hash: B256::from_slice(&record[40..]),
        account_id: None,
        code: None,
    })
}

fn slot_key(address: Address, slot: U256) -> [u8; 52] {
    let mut key = [0; 52];
    key[..20].copy_from_slice(address.as_slice());
    key[20..].copy_from_slice(&slot.to_be_bytes::<32>());
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use braid_blocks::workload::Preset;

    fn reads_back<S: Store>() {
        let file = Preset::Swaps.block(3, 1).unwrap();
        let (_, memory) = file.to_block().unwrap();
        let folder = StoreFolder::<S>::write(&file).unwrap();
        let state = folder.cold();
        for (address, account) in &file.pre_state {
            assert_eq!(state.basic_ref(*address).unwrap(), memory.basic_ref(*address).unwrap());
            for (slot, value) in &account.storage {
                assert_eq!(state.storage_ref(*address, *slot).unwrap(), *value);
            }
        }
        for (hash, code) in &file.codes {
            assert_eq!(state.code_by_hash_ref(*hash).unwrap().original_bytes(), *code);
        }
        let absent = Address::repeat_byte(0x77);
        assert_eq!(state.basic_ref(absent).unwrap(), None);
        assert_eq!(state.storage_ref(absent, U256::from(1)).unwrap(), U256::ZERO);
        drop(state);
        let path = folder.path.clone();
        drop((folder.cold(), folder));
        assert!(!path.exists());
    }

    #[cfg(feature = "redb")]
    #[test]
    fn what_redb_is_given_reads_back() {
        reads_back::<Redb>();
    }

    #[cfg(braid_rocksdb)]
    #[test]
    fn what_rocksdb_is_given_reads_back() {
        reads_back::<RocksDb>();
    }
}
