//! Tables in a RocksDB database, for nodes that use RocksDB.

use super::{Entry, Snapshot, StateStore, Table, Writes};
use crate::StoreError;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, DB, DBRecoveryMode, Direction, IteratorMode, Options,
    WriteBatch, WriteOptions,
};
use self_cell::self_cell;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use thiserror::Error;

/// A store in a folder: one RocksDB database with a column family for each table. Only available if
/// this crate is built with `--cfg braid_rocksdb`, which requires a C++ compiler and libclang.
/// Clones share the database.
#[derive(Clone)]
pub struct RocksStore(Arc<DB>);

/// Error of RocksDB, with the folder of the database.
#[derive(Debug, Error)]
#[error("{folder}: {error}")]
struct Failed {
    folder: PathBuf,
    error: rocksdb::Error,
}

impl core::fmt::Debug for RocksStore {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RocksStore").finish_non_exhaustive()
    }
}

impl RocksStore {
    /// Opens the database in `folder`, or creates it, with a read cache of `cache` bytes.
    ///
    /// # Errors
    /// The folder cannot be used, or data in it fails a checksum.
    pub fn open(folder: &Path, cache: u64) -> Result<Self, StoreError> {
        let mut blocks = BlockBasedOptions::default();
        let cache = usize::try_from(cache).unwrap_or(usize::MAX);
        blocks.set_block_cache(&Cache::new_lru_cache(cache));
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_block_based_table_factory(&blocks);
        // The last transaction may be torn. Damage before it is an error: in the default mode,
        // RocksDB would silently drop the durable blocks after the damage.
        options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        let families = Table::ALL.map(|table| (table.name(), options.clone()));
        let opened = DB::open_cf_with_opts(&options, folder, families);
        opened
            .map(|database| Self(Arc::new(database)))
            .map_err(|error| StoreError::Open { folder: folder.to_owned(), why: error.to_string() })
    }
}

fn family(database: &DB, table: Table) -> Result<&ColumnFamily, StoreError> {
    let found = database.cf_handle(table.name());
    found.ok_or_else(|| StoreError::damaged(format!("table {table:?}")))
}

fn failed(database: &DB, error: rocksdb::Error) -> StoreError {
    StoreError::backend(Failed { folder: database.path().to_owned(), error })
}

impl StateStore for RocksStore {
    type Snapshot = RocksSnapshot;

    fn snapshot(&self) -> Result<RocksSnapshot, StoreError> {
        let view = View::new(Arc::clone(&self.0), |database| database.snapshot());
        Ok(RocksSnapshot(Arc::new(view)))
    }

    fn write(&self, writes: Writes) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        for write in writes.0 {
            let family = family(&self.0, write.table)?;
            match write.value {
                Some(value) => batch.put_cf(family, write.key, value),
                None => batch.delete_cf(family, write.key),
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.0.write_opt(batch, &options).map_err(|error| failed(&self.0, error))
    }
}

type Taken<'database> = rocksdb::Snapshot<'database>;

self_cell!(
    /// A snapshot together with the database that it borrows.
    struct View {
        owner: Arc<DB>,
        #[covariant]
        dependent: Taken,
    }
);

/// The tables of a [`RocksStore`] after a transaction.
#[derive(Clone)]
pub struct RocksSnapshot(Arc<View>);

impl core::fmt::Debug for RocksSnapshot {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RocksSnapshot").finish_non_exhaustive()
    }
}

impl Snapshot for RocksSnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let (database, snapshot) = (self.0.borrow_owner(), self.0.borrow_dependent());
        let found = snapshot.get_cf(family(database, table)?, key);
        found.map_err(|error| failed(database, error))
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> Box<dyn Iterator<Item = Result<Entry, StoreError>> + '_> {
        let (database, snapshot) = (self.0.borrow_owner(), self.0.borrow_dependent());
        let family = match family(database, table) {
            Ok(family) => family,
            Err(error) => return Box::new(core::iter::once(Err(error))),
        };
        let begin = IteratorMode::From(prefix, Direction::Forward);
        let entries = snapshot.iterator_cf(family, begin);
        let prefix = prefix.to_vec();
        let matches = move |entry: &Result<(Box<[u8]>, _), _>| {
            entry.as_ref().map_or(true, |(key, _)| key.starts_with(&prefix))
        };
        Box::new(entries.take_while(matches).map(|entry| {
            let (key, value) = entry.map_err(|error| failed(database, error))?;
            Ok((key.into_vec(), value.into_vec()))
        }))
    }

    fn first_in(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
    ) -> Result<Option<Entry>, StoreError> {
        let (database, snapshot) = (self.0.borrow_owner(), self.0.borrow_dependent());
        let begin = IteratorMode::From(first, Direction::Forward);
        let found = snapshot.iterator_cf(family(database, table)?, begin).next().transpose();
        let found = found.map_err(|error| failed(database, error))?;
        let found = found.filter(|(key, _)| **key <= *last);
        Ok(found.map(|(key, value)| (key.into_vec(), value.into_vec())))
    }
}
