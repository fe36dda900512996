//! The abstract store: one entry per transaction and location.

use crate::{LOCATIONS, MOST_TRANSACTIONS};
use braid_evm::ids::TxIndex;

/// Entry of a transaction at a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// The incarnation that wrote the value, and the value.
    Value(u32, u8),
    /// The entry of an aborted incarnation.
    Estimate,
}

/// Result of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    /// The location.
    pub location: usize,
    /// Transaction and incarnation of the writer; `None` for the base value.
    pub version: Option<(usize, u32)>,
    /// The value.
    pub value: u8,
}

/// All entries, and the readers of each location.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Store {
    entries: [[Option<Entry>; MOST_TRANSACTIONS]; LOCATIONS],
    /// For each location and transaction, whether the transaction has read the location and no
    /// change has named it since.
    readers: [[bool; MOST_TRANSACTIONS]; LOCATIONS],
}

impl Store {
    /// Resolves `location` for `reader`.
    ///
    /// # Errors
    /// Returns the transaction whose estimate blocks the read.
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

    /// Like [`resolve`](Self::resolve), and registers the reader.
    ///
    /// # Errors
    /// Returns the transaction whose estimate blocks the read.
    pub fn read(&mut self, location: usize, reader: usize) -> Result<Seen, usize> {
        self.readers[location][reader] = true;
        self.resolve(location, reader)
    }

    /// Returns whether a read still resolves to the same version or, with `by_value`, to an equal
    /// value.
    #[must_use]
    pub fn holds(&self, seen: Option<Seen>, reader: usize, by_value: bool) -> bool {
        seen.is_none_or(|seen| {
            self.resolve(seen.location, reader).is_ok_and(|now| {
                now.version == seen.version || (by_value && now.value == seen.value)
            })
        })
    }

    /// Changes an entry, and returns the readers above `tx`.
    fn change(&mut self, location: usize, tx: usize, entry: Option<Entry>) -> Vec<TxIndex> {
        self.entries[location][tx] = entry;
        let readers = self.readers[location].iter_mut().enumerate().skip(tx + 1);
        readers
            .filter_map(|(reader, reads)| core::mem::take(reads).then_some(TxIndex(reader as u32)))
            .collect()
    }

    /// Publishes a value, and returns the readers above `tx`.
    pub fn publish(
        &mut self,
        location: usize,
        (tx, incarnation): (usize, u32),
        value: u8,
    ) -> Vec<TxIndex> {
        self.change(location, tx, Some(Entry::Value(incarnation, value)))
    }

    /// Removes an entry, and returns the readers above `tx`.
    pub fn withdraw(&mut self, location: usize, tx: usize) -> Vec<TxIndex> {
        self.change(location, tx, None)
    }

    /// Turns an entry into an estimate.
    pub fn mark_estimate(&mut self, location: usize, tx: usize) {
        self.entries[location][tx] = Some(Entry::Estimate);
    }

    /// Returns whether `tx` has a value anywhere.
    #[must_use]
    pub fn has_value(&self, tx: usize) -> bool {
        self.entries.iter().any(|entries| matches!(entries[tx], Some(Entry::Value(..))))
    }

    /// Returns whether there is an estimate anywhere.
    #[must_use]
    pub fn has_estimate(&self) -> bool {
        self.entries.iter().flatten().any(|entry| *entry == Some(Entry::Estimate))
    }
}
