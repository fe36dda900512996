//! redb: a B-tree in one file.

use super::{Store, StoreError, failed};
use redb::{Database, ReadOnlyTable, ReadableDatabase, TableDefinition};
use std::{fs::File, path::Path};

const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");
const FILE: &str = "state.redb";

/// An open redb database.
pub struct Redb {
    records: ReadOnlyTable<&'static [u8], &'static [u8]>,
    _database: Database,
}

impl core::fmt::Debug for Redb {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Redb").finish_non_exhaustive()
    }
}

impl Store for Redb {
    const NAME: &'static str = "redb";

    fn write(
        path: &Path,
        records: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        let path = path.join(FILE);
        let database = Database::create(&path).map_err(failed)?;
        let transaction = database.begin_write().map_err(failed)?;
        {
            let mut table = transaction.open_table(RECORDS).map_err(failed)?;
            for (key, value) in records {
                table.insert(key.as_slice(), value.as_slice()).map_err(failed)?;
            }
        }
        transaction.commit().map_err(failed)?;
        drop(database);
        File::open(&path).and_then(|file| file.sync_all()).map_err(failed)
    }

    fn open(path: &Path, cache: usize) -> Result<Self, StoreError> {
        let mut builder = Database::builder();
        let database = builder.set_cache_size(cache).open(path.join(FILE)).map_err(failed)?;
        let transaction = database.begin_read().map_err(failed)?;
        let records = transaction.open_table(RECORDS).map_err(failed)?;
        Ok(Self { records, _database: database })
    }

    fn get<T>(&self, key: &[u8], decode: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, StoreError> {
        let found = self.records.get(key).map_err(failed)?;
        Ok(found.map(|value| decode(value.value())))
    }
}
