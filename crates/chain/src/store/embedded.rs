//! Tables in a folder, stored by fjall, a log-structured merge tree in pure Rust.

use super::{
    Entry, Snapshot, StateStore, Table, Writes,
    count::{Count, Held, hold, least},
    journal::{self, COUNT, Found},
    torn::{self, Copied},
};
use crate::{CacheUse, StoreError};
use fjall::{
    AbstractTree, CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable,
};
use std::{
    any::Any,
    panic::catch_unwind,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};
use thiserror::Error;

/// Default size of the read cache, in bytes.
pub const CACHE_BYTES: u64 = 256 << 20;

/// Default size of a table's changes in memory, in bytes, before they are written to a file.
pub const TABLE_BYTES: u64 = 64 << 20;

/// Interval at which a write checks whether fjall's worker has caught up.
const PAUSE: Duration = Duration::from_millis(1);

/// A store in a folder, based on fjall. Clones share the folder.
#[derive(Clone)]
pub struct EmbeddedStore {
    database: Database,
    tables: Tables,
    count: Keyspace,
    file: Arc<Mutex<Count>>,
    /// Size of a table's changes in memory, in bytes, before they are written to a file.
    bytes: u64,
}

/// The tables, and the folder that contains them.
#[derive(Clone)]
struct Tables {
    keyspaces: Arc<[Keyspace]>,
    folder: Arc<Path>,
}

/// Reason why a folder does not open.
struct Why {
    text: String,
    /// Whether the reason is a damaged journal.
    journal: bool,
}

impl From<fjall::Error> for Why {
    fn from(error: fjall::Error) -> Self {
        let journal = matches!(error, fjall::Error::JournalRecovery(_));
        Self { journal, ..Self::from(StoreError::backend(error)) }
    }
}

impl From<StoreError> for Why {
    fn from(error: StoreError) -> Self {
        Self { text: error.to_string(), journal: false }
    }
}

/// Error of fjall, or a loss of transactions, with the folder if it is known.
#[derive(Debug, Error)]
enum Failed {
    #[error("{folder}: {error}")]
    Now { folder: PathBuf, error: fjall::Error },
    #[error("{folder}: an earlier write to its files failed; is the disk full?")]
    Before { folder: PathBuf },
    #[error("{least} transactions were written and {count} are there: durable blocks are missing")]
    Lost { least: u64, count: u64 },
}

impl core::fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("EmbeddedStore").finish_non_exhaustive()
    }
}

impl EmbeddedStore {
    /// Opens the store in `folder`, or creates it, with a read cache of [`CACHE_BYTES`].
    ///
    /// # Errors
    /// The folder cannot be used, or data in it fails a checksum.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::open_with_cache(folder, CACHE_BYTES)
    }

    /// Opens the store in `folder`, or creates it, with a read cache of `cache` bytes.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_with_cache(folder: &Path, cache: u64) -> Result<Self, StoreError> {
        Self::open_with_sizes(folder, cache, TABLE_BYTES)
    }

    /// Opens the store in `folder`, or creates it, with a read cache of `cache` bytes. Each table
    /// keeps about `table` bytes of changes in memory before it writes them to a file of its own;
    /// until then they are only in the journal.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_with_sizes(folder: &Path, cache: u64, table: u64) -> Result<Self, StoreError> {
        let refused = |why| StoreError::Open { folder: folder.to_owned(), why };
        let held = hold(folder).map_err(|error| refused(error.to_string()))?;
        let sizes = (cache, table);
        let found = torn::put_back(folder).and_then(|()| journal::check(folder, least(folder)?));
        let copied = match found.map_err(|error| refused(error.to_string()))? {
            Found::All => None,
            Found::Damaged(journal) => {
                let journal = journal.display();
                let why = format!("a part of {journal} cannot be read: durable blocks are missing");
                return Err(refused(why));
            }
            Found::Unreadable(journal) => Some(Copied::of(journal).map_err(StoreError::backend)?),
        };
        let opened = Self::open_guarded(folder, sizes, &held);
        let mut opened = settled(opened, copied)?;
        if matches!(opened, Err(Why { journal: true, .. }))
            && let Some(cut) = torn::cut(folder).map_err(StoreError::backend)?
            && let Ok(store) = settled(Self::open_guarded(folder, sizes, &held), Some(cut))?
        {
            opened = Ok(store);
        }
        opened.map_err(|why| refused(why.text))
    }

    fn open_guarded(folder: &Path, sizes: (u64, u64), held: &Arc<Held>) -> Result<Self, Why> {
        // fjall sometimes panics on a damaged file instead of returning an error.
        let opened = catch_unwind(|| Self::open_unguarded(folder, sizes, held));
        opened.unwrap_or_else(|panic| Err(Why { text: message_of(&*panic), journal: false }))
    }

    fn open_unguarded(
        folder: &Path,
        (cache, bytes): (u64, u64),
        held: &Arc<Held>,
    ) -> Result<Self, Why> {
        // Only one thread for compaction, as executing blocks needs the other cores.
        let builder = Database::builder(folder).cache_size(cache).worker_threads(1);
        // Explicit, as another crate may enable fjall's compression, which `journal.rs` cannot
        // read.
        let builder = builder.journal_compression(CompressionType::None);
        let database = builder.open()?;
        // `seal` decides when memory is written to files, not fjall.
        let options = || KeyspaceCreateOptions::default().max_memtable_size(u64::MAX);
        let open = |table: Table| database.keyspace(table.name(), options);
        let keyspaces: Result<Vec<_>, _> = Table::ALL.into_iter().map(open).collect();
        let keyspaces = keyspaces?.into();
        let count = database.keyspace(COUNT, options)?;
        let found = count.get(COUNT)?;
        let found = found.map_or(Ok([0; 8]), |found| found.as_ref().try_into());
        let found = found.map_err(|_| StoreError::damaged("the count of transactions"))?;
        let file = counted(folder, held, u64::from_be_bytes(found))?;
        let tables = Tables { keyspaces, folder: folder.into() };
        Ok(Self { database, tables, count, file: Arc::new(Mutex::new(file)), bytes })
    }
}

/// Whether fjall's worker is so far behind with `table` that `commit` may wait for it. fjall waits
/// while a table has 4 sealed memtables, or 30 runs; the sealed memtables may become runs
/// meanwhile.
fn is_behind(table: &Keyspace) -> bool {
    table.sealed_memtable_count() >= 2 || table.tree.l0_run_count() >= 26
}

/// Returns the message of a panic.
fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a message").to_owned()
}

impl EmbeddedStore {
    /// Returns how often blocks of the store's files were found in the read cache.
    #[must_use]
    pub fn cache_use(&self) -> CacheUse {
        let sum = |of: fn(&Keyspace) -> usize| self.all().map(of).sum::<usize>() as u64;
        CacheUse {
            hits: sum(|table| table.metrics().block_load_cached_count()),
            misses: sum(|table| table.metrics().block_load_io_count()),
        }
    }

    /// Iterates over all tables, including the one with the count.
    fn all(&self) -> impl Iterator<Item = &Keyspace> {
        self.tables.keyspaces.iter().chain([&self.count])
    }

    /// Hands full memtables to fjall's worker. fjall itself would send the worker a message for
    /// each transaction; the worker sends itself messages to write what it has sealed, and
    /// deadlocks when 1,000 messages are queued (fjall-rs/fjall#323).
    fn seal(&self) -> Result<(), fjall::Error> {
        let is_full = |table: &&Keyspace| table.tree.active_memtable().size() > self.bytes;
        self.all().filter(is_full).try_for_each(|table| table.rotate_memtable().map(|_| ()))
    }

    /// Waits while fjall's worker is behind. fjall also waits within `commit`, but for ever if the
    /// worker has ended, as it does when the disk is full.
    fn wait_for_worker(&self) -> Result<(), fjall::Error> {
        while self.all().any(is_behind) {
            // Writes nothing, but returns an error once the worker has failed.
            self.database.persist(PersistMode::Buffer)?;
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}

/// Removes the copy of a journal if `opened` is a store; otherwise restores the journal from it.
fn settled<T, E>(opened: Result<T, E>, copied: Option<Copied>) -> Result<Result<T, E>, StoreError> {
    let settle = if opened.is_ok() { Copied::remove } else { Copied::put_back };
    copied.map_or(Ok(()), settle).map_err(StoreError::backend)?;
    Ok(opened)
}

/// Checks that the tables hold at least as many transactions as the file in `folder` says.
fn counted(folder: &Path, held: &Arc<Held>, count: u64) -> Result<Count, StoreError> {
    let least = least(folder).map_err(StoreError::backend)?;
    if count < least {
        return Err(StoreError::backend(Failed::Lost { least, count }));
    }
    Ok(Count::new(held, count))
}

impl StateStore for EmbeddedStore {
    type Snapshot = EmbeddedSnapshot;

    fn snapshot(&self) -> Result<EmbeddedSnapshot, StoreError> {
        let view = Arc::new(self.database.snapshot());
        Ok(EmbeddedSnapshot { view, tables: self.tables.clone() })
    }

    fn write(&self, writes: Writes) -> Result<(), StoreError> {
        self.wait_for_worker().map_err(|error| self.tables.failed(error))?;
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        for write in writes.0 {
            let table = self.tables.of(write.table)?;
            match write.value {
                Some(value) => batch.insert(table, write.key, value),
                None => batch.remove(table, write.key),
            }
        }
        // A count is as good as the one before it.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        batch.insert(&self.count, COUNT, file.count.saturating_add(1).to_be_bytes());
        batch.commit().map_err(|error| self.tables.failed(error))?;
        file.add().map_err(|error| self.tables.failed(error.into()))?;
        self.seal().map_err(|error| self.tables.failed(error))
    }
}

/// The tables of an [`EmbeddedStore`] after a transaction.
#[derive(Clone)]
pub struct EmbeddedSnapshot {
    view: Arc<fjall::Snapshot>,
    tables: Tables,
}

impl core::fmt::Debug for EmbeddedSnapshot {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("EmbeddedSnapshot").finish_non_exhaustive()
    }
}

impl Snapshot for EmbeddedSnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.view.get(self.tables.of(table)?, key);
        Ok(found.map_err(|error| self.tables.failed(error))?.map(|value| value.to_vec()))
    }

    fn contains(&self, table: Table, key: &[u8]) -> Result<bool, StoreError> {
        let found = self.view.contains_key(self.tables.of(table)?, key);
        found.map_err(|error| self.tables.failed(error))
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> Box<dyn Iterator<Item = Result<Entry, StoreError>> + '_> {
        let table = match self.tables.of(table) {
            Ok(table) => table,
            Err(error) => return Box::new(core::iter::once(Err(error))),
        };
        Box::new(self.view.prefix(table, prefix).map(|guard| {
            let (key, value) = guard.into_inner().map_err(|error| self.tables.failed(error))?;
            Ok((key.to_vec(), value.to_vec()))
        }))
    }

    fn first_in(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
    ) -> Result<Option<Entry>, StoreError> {
        let table = self.tables.of(table)?;
        let mut entries = (first <= last).then(|| self.view.range(table, first..=last));
        let Some(guard) = entries.as_mut().and_then(Iterator::next) else { return Ok(None) };
        let (key, value) = guard.into_inner().map_err(|error| self.tables.failed(error))?;
        Ok(Some((key.to_vec(), value.to_vec())))
    }
}

impl Tables {
    fn of(&self, table: Table) -> Result<&Keyspace, StoreError> {
        // The order of `Table::ALL` is the order of the discriminants.
        let found = self.keyspaces.get(table as usize);
        found.ok_or_else(|| StoreError::damaged(format!("table {table:?}")))
    }

    fn failed(&self, error: fjall::Error) -> StoreError {
        let folder = self.folder.to_path_buf();
        StoreError::backend(match error {
            fjall::Error::Poisoned => Failed::Before { folder },
            error => Failed::Now { folder, error },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_a_panic_is_kept_in_either_form() {
        let message = |panic: fn()| message_of(&*catch_unwind(panic).unwrap_err());
        assert_eq!(message(|| panic!("no length")), "no length");
        assert_eq!(message(|| panic!("{} bytes", 3)), "3 bytes");
        assert_eq!(message(|| std::panic::panic_any(3)), "a panic without a message");
    }
}
