//! RocksDB: sorted runs in many files, as in most nodes.

use super::{Store, StoreError, failed};
use rocksdb::{BlockBasedOptions, Cache, DB, FlushOptions, Options};
use std::path::Path;

/// An open RocksDB database.
#[derive(Debug)]
pub struct RocksDb(DB);

impl Store for RocksDb {
    const NAME: &'static str = "rocksdb";

    fn write(
        path: &Path,
        records: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        let mut options = Options::default();
        options.create_if_missing(true);
        let database = DB::open(&options, path).map_err(failed)?;
        for (key, value) in records {
            database.put(key, value).map_err(failed)?;
        }
        // Without a flush, the next open would replay the log into memory.
        let mut flush = FlushOptions::default();
        flush.set_wait(true);
        database.flush_opt(&flush).map_err(failed)?;
        database.compact_range(None::<&[u8]>, None::<&[u8]>);
        Ok(())
    }

    fn open(path: &Path, cache: usize) -> Result<Self, StoreError> {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&Cache::new_lru_cache(cache));
        // Otherwise they are read on opening and kept outside the cache.
        blocks.set_cache_index_and_filter_blocks(true);
        let mut options = Options::default();
        options.set_block_based_table_factory(&blocks);
        DB::open_for_read_only(&options, path, false).map(Self).map_err(failed)
    }

    fn get<T>(&self, key: &[u8], decode: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, StoreError> {
        let found = self.0.get_pinned(key).map_err(failed)?;
        Ok(found.map(|value| decode(&value)))
    }
}
