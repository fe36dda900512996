//! The archive: the values of accounts and slots before each block that changed them, by account or
//! slot, then by block. A value in the state after an earlier block is found with one search.

use crate::{
    AccountRecord, Snapshot, StateReader, StoreError, Table, Undo, Writes,
    record::{number_256, slot_key, slot_value},
};
use alloy_primitives::{Address, U256};
use std::collections::BTreeMap;

/// Key in the table of single records: the number of the block after which the first state can be
/// read. Chains without an archive lack it.
const ARCHIVE_KEY: &[u8] = b"archive";

const ACCOUNT: u8 = 0;
const SLOT: u8 = 1;

/// Length of the block number at the end of a key.
const NUMBER: usize = 8;

fn account_key(address: Address, block: u64) -> Vec<u8> {
    [&[ACCOUNT], address.as_slice(), &block.to_be_bytes()].concat()
}

fn slot_key_at(address: Address, slot: U256, block: u64) -> Vec<u8> {
    [&[SLOT], &*slot_key(address, slot), &block.to_be_bytes()].concat()
}

impl<S: Snapshot> StateReader<S> {
    /// Returns the number of the first block after which the archive has the state; it also has the
    /// states after all later blocks. `None` if the chain has no archive: see
    /// [`Keep::archive`](crate::Keep::archive).
    ///
    /// # Errors
    /// The store failed.
    pub fn archived_since(&self) -> Result<Option<u64>, StoreError> {
        let since = self.snapshot().get(Table::Meta, ARCHIVE_KEY)?;
        let since = since.map(|since| since.as_slice().try_into().map(u64::from_be_bytes));
        since.transpose().map_err(|_| StoreError::damaged("the archive's first block"))
    }
}

/// Returns the value that an account had after block `number`, which is before the reader's head and
/// in the archive. `None` if no later block has changed it.
pub(crate) fn account<S: Snapshot>(
    reader: &StateReader<S>,
    address: Address,
    number: u64,
) -> Result<Option<Option<AccountRecord>>, StoreError> {
    let value = value(reader, number, |block| account_key(address, block))?;
    let decode = |record: Vec<u8>| match record.is_empty() {
        true => Ok(None),
        false => AccountRecord::decode(&record).map(Some),
    };
    value.map(decode).transpose().map_err(|error| error.of(format!("account {address}")))
}

/// Like [`account`], for a slot.
pub(crate) fn slot<S: Snapshot>(
    reader: &StateReader<S>,
    (address, slot): (Address, U256),
    number: u64,
) -> Result<Option<U256>, StoreError> {
    let value = value(reader, number, |block| slot_key_at(address, slot, block))?;
    let value = value.map(|value| number_256(&value)).transpose();
    value.map_err(|error| error.of(format!("slot {slot:#x} of {address}")))
}

/// Returns the value before the first block after block `number` that has an entry.
fn value<S: Snapshot>(
    reader: &StateReader<S>,
    number: u64,
    key: impl Fn(u64) -> Vec<u8>,
) -> Result<Option<Vec<u8>>, StoreError> {
    let next = if mutant!(ArchiveOneBlockLate) { number } else { number.saturating_add(1) };
    let found = reader.snapshot().first_in(Table::Archive, &key(next), &key(u64::MAX))?;
    Ok(found.map(|(_, value)| value))
}

/// Returns the entries of the block `number`, whose undo record is `undo`.
fn entries(undo: &Undo, number: u64) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> + '_ {
    let accounts = undo.accounts.iter().map(move |(address, account)| {
        let record = account.map(AccountRecord::encode).unwrap_or_default();
        (account_key(*address, number), record)
    });
    let slots = undo.slots.iter().map(move |(address, slot, value)| {
        (slot_key_at(*address, *slot, number), slot_value(*value))
    });
    accounts.chain(slots)
}

/// Adds the values before the block `number`, which follows the reader's head. Begins the archive
/// if there is none.
pub(crate) fn extend<S: Snapshot>(
    reader: &StateReader<S>,
    writes: &mut Writes,
    undo: &Undo,
    number: u64,
) -> Result<(), StoreError> {
    if reader.archived_since()?.is_none() {
        writes.put(Table::Meta, ARCHIVE_KEY, reader.head().number.to_be_bytes());
    }
    for (key, value) in entries(undo, number) {
        if key.first() == Some(&SLOT) && value.is_empty() && mutant!(ArchiveZeroMissing) {
            continue;
        }
        writes.put(Table::Archive, key, value);
    }
    Ok(())
}

/// Removes the entries of the reader's last block, whose undo record is `undo`.
pub(crate) fn unwind<S: Snapshot>(
    reader: &StateReader<S>,
    writes: &mut Writes,
    undo: &Undo,
) -> Result<(), StoreError> {
    let Some(since) = reader.archived_since()? else { return Ok(()) };
    for (key, _) in entries(undo, reader.head().number).filter(|_| !mutant!(ArchiveUnwoundKept)) {
        writes.remove(Table::Archive, key);
    }
    // The blocks that replace unwound ones from before the archive are in it.
    if undo.parent.number < since {
        writes.put(Table::Meta, ARCHIVE_KEY, undo.parent.number.to_be_bytes());
    }
    Ok(())
}

/// Adds the values before an edit of the state after the last block, unless that block has changed
/// them before. `former` has these values.
pub(crate) fn edit<S: Snapshot>(
    reader: &StateReader<S>,
    writes: &mut Writes,
    former: &Undo,
) -> Result<(), StoreError> {
    let number = reader.head().number;
    // There are no entries for the block with which the archive begins.
    if reader.archived_since()?.is_none_or(|since| number <= since) {
        return Ok(());
    }
    for (key, value) in entries(former, number) {
        if !reader.snapshot().contains(Table::Archive, &key)? && !mutant!(ArchiveEditMissing) {
            writes.put(Table::Archive, key, value);
        }
    }
    Ok(())
}

/// Returns the block number of an entry; `None` if the entry is damaged.
fn number_of(key: &[u8], value: &[u8]) -> Option<u64> {
    let is_valid = match (key.first()?, key.len()) {
        (&ACCOUNT, 29) => value.is_empty() || AccountRecord::decode(value).is_ok(),
        (&SLOT, 61) => number_256(value).is_ok(),
        _ => false,
    };
    key.last_chunk::<NUMBER>().filter(|_| is_valid).map(|number| u64::from_be_bytes(*number))
}

/// Checks that all entries are of the archive's blocks, and that blocks with an undo record have the
/// entries that the record says.
pub(crate) fn verify<S: Snapshot>(reader: &StateReader<S>) -> Result<(), StoreError> {
    let (since, head) = (reader.archived_since()?, reader.head().number);
    let damaged = || StoreError::damaged("the archive has an entry of a block that is not in it");
    let mut counts = BTreeMap::new();
    for entry in reader.snapshot().scan(Table::Archive, &[]) {
        let (key, value) = entry?;
        let number = number_of(&key, &value).filter(|number| *number <= head);
        let number = number.filter(|number| since.is_some_and(|since| since < *number));
        let count: &mut usize = counts.entry(number.ok_or_else(damaged)?).or_default();
        *count = count.saturating_add(1);
    }
    let Some(since) = since else { return Ok(()) };
    for number in (since.saturating_add(1)..=head).rev() {
        let Some(undo) = reader.undo(number)? else { break };
        let mut found = 0_usize;
        for (key, value) in entries(&undo, number) {
            if reader.snapshot().get(Table::Archive, &key)?.as_ref() != Some(&value) {
                return Err(StoreError::damaged(format!("the archive lacks block {number}")));
            }
            found = found.saturating_add(1);
        }
        if counts.get(&number).copied().unwrap_or_default() != found {
            return Err(damaged());
        }
    }
    Ok(())
}
