//! Copying a chain into another store.

use crate::{Snapshot, StateReader, StateStore, StoreError, Table, Writes, open};
use std::mem;

/// Number of bytes of keys and values from which one transaction of the new store is written.
const AT_ONCE: usize = 4 << 20;

/// Copies the chain of `from`, as it was when `from` was opened, into `to`, which must be empty, and
/// returns the number of records. The records that name the chain's head are written last; until
/// then `to` holds no chain. `progress` is called with the number of records so far after each
/// transaction of the new store.
///
/// # Errors
/// `to` holds a chain, or one of the stores failed; the contents of `to` are then useless.
pub fn copy<S: Snapshot>(
    from: &StateReader<S>,
    to: &impl StateStore,
    mut progress: impl FnMut(u64),
) -> Result<u64, StoreError> {
    match open(to) {
        Err(StoreError::Empty) => {}
        Ok(reader) => return Err(StoreError::Occupied { number: reader.head().number }),
        Err(error) => return Err(error),
    }
    let (mut writes, mut bytes, mut records) = (Writes::default(), 0_usize, 0_u64);
    let others = Table::ALL.into_iter().filter(|table| *table != Table::Meta);
    for table in others {
        for entry in from.snapshot().scan(table, &[]) {
            let (key, value) = entry?;
            bytes = bytes.saturating_add(key.len()).saturating_add(value.len());
            records = records.saturating_add(1);
            writes.put(table, key, value);
            if bytes >= AT_ONCE {
                to.write(mem::take(&mut writes))?;
                bytes = 0;
                progress(records);
            }
        }
    }
    to.write(mem::take(&mut writes))?;
    for entry in from.snapshot().scan(Table::Meta, &[]) {
        let (key, value) = entry?;
        records = records.saturating_add(1);
        writes.put(Table::Meta, key, value);
    }
    to.write(writes)?;
    progress(records);
    Ok(records)
}
