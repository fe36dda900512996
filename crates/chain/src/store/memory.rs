//! Tables in memory, for tests and for chains that need not be persistent.

use super::{Entry, Snapshot, StateStore, Table, Writes};
use crate::StoreError;
use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, PoisonError, RwLock},
};

type Tables = BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>;

/// A store in memory. If a snapshot exists when a transaction begins, the transaction copies all
/// tables, so use [`EmbeddedStore`](super::EmbeddedStore) for large states. Clones share the
/// tables.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    tables: Arc<RwLock<Arc<Tables>>>,
}

impl MemoryStore {
    /// Creates an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl StateStore for MemoryStore {
    type Snapshot = MemorySnapshot;

    fn snapshot(&self) -> Result<MemorySnapshot, StoreError> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        Ok(MemorySnapshot(Arc::clone(&tables)))
    }

    fn write(&self, writes: Writes) -> Result<(), StoreError> {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        let tables = Arc::make_mut(&mut tables);
        for write in writes.0 {
            let table = tables.entry(write.table).or_default();
            match write.value {
                Some(value) => table.insert(write.key, value),
                None => table.remove(&write.key),
            };
        }
        Ok(())
    }
}

/// The tables of a [`MemoryStore`] after a transaction.
#[derive(Clone, Debug)]
pub struct MemorySnapshot(Arc<Tables>);

impl Snapshot for MemorySnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.get(&table).and_then(|table| table.get(key)).cloned())
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> Box<dyn Iterator<Item = Result<Entry, StoreError>> + '_> {
        let prefix = prefix.to_vec();
        let entries = self.0.get(&table).map(|table| table.range(prefix.clone()..));
        let matching = entries.into_iter().flatten();
        let matching = matching.take_while(move |(key, _)| key.starts_with(&prefix));
        Box::new(matching.map(|(key, value)| Ok((key.clone(), value.clone()))))
    }

    fn first_in(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
    ) -> Result<Option<Entry>, StoreError> {
        let Some(table) = self.0.get(&table).filter(|_| first <= last) else { return Ok(None) };
        let found = table.range::<[u8], _>((Bound::Included(first), Bound::Included(last))).next();
        Ok(found.map(|(key, value)| (key.clone(), value.clone())))
    }
}
