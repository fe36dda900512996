//! redb, a copy-on-write B-tree, behind the trait of the chain's stores.

use braid_chain::{Entry, Snapshot, StateStore, StoreError, Table, Writes};
use redb::{Database, ReadOnlyTable, ReadableDatabase, TableDefinition};
use std::{path::Path, sync::Arc};

type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;

const fn definition(table: Table) -> Definition {
    TableDefinition::new(table.name())
}

#[derive(Debug)]
pub(crate) struct Redb(Database);

impl Redb {
    pub(crate) fn open(folder: &Path, cache: u64) -> Result<Self, StoreError> {
        let mut builder = Database::builder();
        let cache = usize::try_from(cache).unwrap_or(usize::MAX);
        let opened = builder.set_cache_size(cache).create(folder.join("state.redb"));
        let store = Self(opened.map_err(StoreError::backend)?);
        // A table exists once it has been opened for writing.
        store.write(Writes::default())?;
        Ok(store)
    }
}

impl StateStore for Redb {
    type Snapshot = RedbSnapshot;

    fn snapshot(&self) -> Result<RedbSnapshot, StoreError> {
        let transaction = self.0.begin_read().map_err(StoreError::backend)?;
        let open = |table| transaction.open_table(definition(table)).map_err(StoreError::backend);
        let tables: Result<Vec<_>, _> = Table::ALL.into_iter().map(open).collect();
        Ok(RedbSnapshot(Arc::new(tables?)))
    }

    fn write(&self, writes: Writes) -> Result<(), StoreError> {
        let transaction = self.0.begin_write().map_err(StoreError::backend)?;
        for table in Table::ALL {
            let opened = transaction.open_table(definition(table));
            let mut opened = opened.map_err(StoreError::backend)?;
            for write in writes.0.iter().filter(|write| write.table == table) {
                match &write.value {
                    Some(value) => opened.insert(write.key.as_slice(), value.as_slice()),
                    None => opened.remove(write.key.as_slice()),
                }
                .map_err(StoreError::backend)?;
            }
        }
        transaction.commit().map_err(StoreError::backend)
    }
}

#[derive(Clone)]
pub(crate) struct RedbSnapshot(Arc<Vec<ReadOnlyTable<&'static [u8], &'static [u8]>>>);

impl Snapshot for RedbSnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.0[table as usize].get(key).map_err(StoreError::backend)?;
        Ok(found.map(|value| value.value().to_vec()))
    }

    fn scan(&self, _: Table, _: &[u8]) -> Box<dyn Iterator<Item = Result<Entry, StoreError>> + '_> {
        unimplemented!("the load reads single keys")
    }
}
