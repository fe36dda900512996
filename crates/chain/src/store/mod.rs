//! Storage backends: ordered tables of byte strings, written in transactions.

mod count;
mod embedded;
mod journal;
mod memory;
#[cfg(braid_rocksdb)]
mod rocks;
mod torn;

pub use embedded::{CACHE_BYTES, EmbeddedSnapshot, EmbeddedStore, TABLE_BYTES};
pub use memory::{MemorySnapshot, MemoryStore};
#[cfg(braid_rocksdb)]
pub use rocks::{RocksSnapshot, RocksStore};

use crate::StoreError;

/// A table, which maps byte strings to byte strings, ordered by key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Schema version, genesis, head and other single records.
    Meta,
    /// Accounts, by address.
    Accounts,
    /// Slots that are not zero, by address and slot number.
    Slots,
    /// Codes, by hash.
    Codes,
    /// Block hashes, by number.
    BlockHashes,
    /// Undo records, by block number.
    Undo,
    /// Trie nodes, by trie and path.
    Nodes,
    /// Receipts of a block, by block number.
    Receipts,
    /// Blocks with their transactions, by number.
    Blocks,
    /// Numbers of the blocks in [`Blocks`](Self::Blocks), by hash.
    BlockNumbers,
    /// Block and index of the transactions in [`Blocks`](Self::Blocks), by hash.
    TransactionPositions,
    /// Accounts and slots before the blocks that changed them, by account or slot, then by block
    /// number.
    Archive,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 12] = [
        Self::Meta,
        Self::Accounts,
        Self::Slots,
        Self::Codes,
        Self::BlockHashes,
        Self::Undo,
        Self::Nodes,
        Self::Receipts,
        Self::Blocks,
        Self::BlockNumbers,
        Self::TransactionPositions,
        Self::Archive,
    ];

    /// Returns the table's name on disk.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Accounts => "accounts",
            Self::Slots => "slots",
            Self::Codes => "codes",
            Self::BlockHashes => "block-hashes",
            Self::Undo => "undo",
            Self::Nodes => "nodes",
            Self::Receipts => "receipts",
            Self::Blocks => "blocks",
            Self::BlockNumbers => "block-numbers",
            Self::TransactionPositions => "transaction-positions",
            Self::Archive => "archive",
        }
    }
}

/// A change of one key in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The table.
    pub table: Table,
    /// The key.
    pub key: Vec<u8>,
    /// The new value; `None` removes the key.
    pub value: Option<Vec<u8>>,
}

/// The changes of one transaction, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writes(pub Vec<Write>);

impl Writes {
    /// Sets `key` to `value`.
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.0.push(Write { table, key: key.into(), value: Some(value.into()) });
    }

    /// Removes `key`.
    pub fn remove(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.0.push(Write { table, key: key.into(), value: None });
    }
}

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// A storage backend. Several threads may read clones of a snapshot while one thread writes; only
/// one thread writes at a time.
pub trait StateStore: Send + Sync + 'static {
    /// A view of all tables after a transaction. Later transactions do not change it.
    type Snapshot: Snapshot;

    /// Takes a snapshot of the state after the last transaction.
    ///
    /// # Errors
    /// The backend failed.
    fn snapshot(&self) -> Result<Self::Snapshot, StoreError>;

    /// Executes `writes` atomically, and returns once they survive a crash of the process and of
    /// the machine.
    ///
    /// # Errors
    /// The backend failed. The store then holds either all or none of `writes`; it must be opened
    /// again.
    fn write(&self, writes: Writes) -> Result<(), StoreError>;
}

/// Reads all tables as they were when the snapshot was taken.
pub trait Snapshot: Clone + Send + Sync + 'static {
    /// Returns the value of `key`; `None` if the table does not have the key.
    ///
    /// # Errors
    /// The backend failed.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Whether the table has `key`. A backend that can tell without copying the value should
    /// override this method.
    ///
    /// # Errors
    /// The backend failed.
    fn contains(&self, table: Table, key: &[u8]) -> Result<bool, StoreError> {
        Ok(self.get(table, key)?.is_some())
    }

    /// Iterates over the entries whose keys begin with `prefix`, in key order.
    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> Box<dyn Iterator<Item = Result<Entry, StoreError>> + '_>;

    /// Returns the first entry whose key is at least `first` and at most `last`. The default scans
    /// the entries whose keys begin as both do; a backend that can search should override it.
    ///
    /// # Errors
    /// The backend failed.
    fn first_in(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
    ) -> Result<Option<Entry>, StoreError> {
        let common = first.iter().zip(last).take_while(|(one, other)| one == other).count();
        let prefix = first.get(..common).unwrap_or_default();
        let is_before = |entry: &Result<Entry, StoreError>| {
            entry.as_ref().is_ok_and(|(key, _)| key.as_slice() < first)
        };
        let found = self.scan(table, prefix).find(|entry| !is_before(entry)).transpose()?;
        Ok(found.filter(|(key, _)| key.as_slice() <= last))
    }
}
