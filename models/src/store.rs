//! The store, as abstract as it can be: for each location the entry of each transaction.

use crate::{LOCATIONS, MOST_TRANSACTIONS};
use braid_evm::ids::TxIndex;

/// What a transaction left at a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// A value of this incarnation.
    Value(u32, u8),
    /// Left by a discarded incarnation.
    Estimate,
}

/// What a read saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    /// Where.
    pub location: usize,
    /// Transaction and incarnation, or the base.
    pub version: Option<(usize, u32)>,
    /// The value.
    pub value: u8,
}

/// All entries, and who read where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Store {
    entries: [[Option<Entry>; MOST_TRANSACTIONS]; LOCATIONS],
    /// For each location and transaction: it read here and was not told of a change since.
    readers: [[bool; MOST_TRANSACTIONS]; LOCATIONS],
}

impl Store {
    /// What a reader must see, or the transaction whose estimate is in the way.
    ///
    /// # Errors
    /// That transaction.
    pub fn resolve(&self, location: usize, reader: usize) -> Result<Seen, usize> {
        let below = self.entries[location][..reader].iter().enumerate().rev();
        match below.filter_map(|(tx, entry)| entry.map(|entry| (tx, entry))).next() {
            None => Ok(Seen { location, version: None, value: 0 }),
            Some((tx, Entry::Value(incarnation, value))) => {
                Ok(Seen { location, version: Some((tx, incarnation)), value })
            }
            Some((tx, Entry::Estimate)) => Err(tx),
        }
    }

    /// The same for a transaction that runs: it is remembered.
    ///
    /// # Errors
    /// The transaction whose estimate is in the way.
    pub fn read(&mut self, location: usize, reader: usize) -> Result<Seen, usize> {
        self.readers[location][reader] = true;
        self.resolve(location, reader)
    }

    /// Whether what was seen is still there; `by_value`: or something equal.
    #[must_use]
    pub fn holds(&self, seen: Option<Seen>, reader: usize, by_value: bool) -> bool {
        seen.is_none_or(|seen| {
            self.resolve(seen.location, reader).is_ok_and(|now| {
                now.version == seen.version || (by_value && now.value == seen.value)
            })
        })
    }

    /// Changes an entry and names the readers above it.
    fn change(&mut self, location: usize, tx: usize, entry: Option<Entry>) -> Vec<TxIndex> {
        self.entries[location][tx] = entry;
        let readers = self.readers[location].iter_mut().enumerate().skip(tx + 1);
        readers
            .filter_map(|(reader, reads)| core::mem::take(reads).then_some(TxIndex(reader as u32)))
            .collect()
    }

    /// Publishes a value.
    pub fn publish(
        &mut self,
        location: usize,
        (tx, incarnation): (usize, u32),
        value: u8,
    ) -> Vec<TxIndex> {
        self.change(location, tx, Some(Entry::Value(incarnation, value)))
    }

    /// Removes an entry.
    pub fn withdraw(&mut self, location: usize, tx: usize) -> Vec<TxIndex> {
        self.change(location, tx, None)
    }

    /// Turns an entry into an estimate.
    pub fn mark_estimate(&mut self, location: usize, tx: usize) {
        self.entries[location][tx] = Some(Entry::Estimate);
    }

    /// Whether `tx` has a value somewhere.
    #[must_use]
    pub fn has_value(&self, tx: usize) -> bool {
        self.entries.iter().any(|entries| matches!(entries[tx], Some(Entry::Value(..))))
    }

    /// Whether there is an estimate somewhere.
    #[must_use]
    pub fn has_estimate(&self) -> bool {
        self.entries.iter().flatten().any(|entry| *entry == Some(Entry::Estimate))
    }
}
