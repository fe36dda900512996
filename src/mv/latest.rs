//! A store of the newest version of each location, for readers above all writers.

use super::location::{Entry, Location};
use super::resolve::Origin;
use crate::ids::{Incarnation, TxIndex, Version};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// Newest state of one location.
#[derive(Clone, Debug)]
struct Cell<L: Location> {
    /// The transaction that wrote it last; `None` for the base value.
    writer: Option<TxIndex>,
    /// The value; `None` if only deltas were written so far.
    value: Option<L::Value>,
    /// Deltas that are not in `value` yet.
    deltas: Vec<L::Delta>,
}

impl<L: Location> Cell<L> {
    fn origin(&self) -> Origin {
        self.writer.map_or(Origin::Base, |tx| Origin::Value(version(tx)))
    }

    /// Returns whether the entry is newer than the tombstone. A tombstone lies below the writes of
    /// its own transaction.
    fn lives_after(&self, tombstone: Option<TxIndex>) -> bool {
        tombstone.is_none_or(|tombstone| self.writer >= Some(tombstone))
    }
}

const fn version(tx: TxIndex) -> Version {
    Version { tx, incarnation: Incarnation(0) }
}

/// The newest version of each location that a sequential run has written. It answers reads as a
/// [`Store`](super::Store) answers a reader above all publications.
#[derive(Clone, Debug)]
pub struct Latest<L: Location> {
    cells: HashMap<L, Cell<L>, RandomState>,
    /// Whether `cells` may contain locations that have a scope. Most reads of a sequential run are
    /// of such locations, and usually the machine's journal holds all writes to them.
    has_scoped: bool,
    /// Whether any value or tombstone was written.
    has_values: bool,
    /// Newest tombstone of each scope.
    tombstones: HashMap<L, TxIndex, RandomState>,
}

impl<L: Location> Default for Latest<L> {
    fn default() -> Self {
        Self {
            cells: HashMap::default(),
            has_scoped: false,
            has_values: false,
            tombstones: HashMap::default(),
        }
    }
}

impl<L: Location> Latest<L> {
    /// Returns the value that the next transaction sees at `location`, and its origin. `below`
    /// returns the state before, and is called only if needed.
    ///
    /// # Errors
    /// Returns the errors of `below`.
    pub fn read<E>(
        &mut self,
        location: &L,
        below: impl FnOnce() -> Result<(L::Value, Origin), E>,
    ) -> Result<(L::Value, Origin), E> {
        let tombstone = self.tombstone(location);
        let is_unwritten = !self.has_scoped && tombstone.is_none() && location.scope().is_some();
        let cell = if is_unwritten { None } else { self.cells.get_mut(location) };
        let Some(cell) = cell.filter(|cell| cell.lives_after(tombstone)) else {
            return match tombstone {
                Some(tx) => Ok((location.destroyed(), Origin::Tombstone(version(tx)))),
                None => below(),
            };
        };
        if let Some(value) = &cell.value {
            return Ok((value.clone(), cell.origin()));
        }
        let mut value = if tombstone.is_some() { location.destroyed() } else { below()?.0 };
        cell.deltas.drain(..).for_each(|delta| L::fold(&mut value, &delta));
        cell.value = Some(value.clone());
        Ok((value, cell.origin()))
    }

    /// Returns whether any value or tombstone was written. If not, locations without deltas have
    /// their base values.
    pub(crate) const fn has_values(&self) -> bool {
        self.has_values
    }

    fn tombstone(&self, location: &L) -> Option<TxIndex> {
        if self.tombstones.is_empty() {
            return None;
        }
        if location.is_scope() {
            return self.tombstones.get(location).copied();
        }
        self.tombstones.get(&location.scope()?).copied()
    }

    /// Writes an entry of `tx` at `location`. Transactions must come in block order, and the
    /// tombstones of a transaction before its deltas.
    pub fn put(&mut self, tx: TxIndex, location: L, entry: Entry<L>) {
        let (value, deltas) = match entry {
            Entry::Tombstone if location.is_scope() => {
                self.has_values = true;
                self.tombstones.insert(location, tx);
                return;
            }
            Entry::Tombstone => (Some(location.destroyed()), Vec::new()),
            Entry::Value(value) => (Some(value), Vec::new()),
            Entry::Delta(delta) => {
                let tombstone = self.tombstone(&location);
                let cell = self.cells.get_mut(&location);
                if let Some(cell) = cell.filter(|cell| cell.lives_after(tombstone)) {
                    cell.writer = Some(tx);
                    match &mut cell.value {
                        Some(value) => L::fold(value, &delta),
                        None => cell.deltas.push(delta),
                    }
                    return;
                }
                (None, vec![delta])
            }
        };
        self.has_scoped |= location.scope().is_some();
        self.has_values |= value.is_some();
        self.cells.insert(location, Cell { writer: Some(tx), value, deltas });
    }

    /// Returns the effective entries, one per location, tombstones first. Locations with deltas
    /// that were not folded are left out; a read folds them.
    pub fn into_entries(self) -> impl Iterator<Item = (TxIndex, L, Entry<L>)> {
        let Self { cells, tombstones, .. } = self;
        let tombstone = |(scope, tx): (&L, &TxIndex)| (*tx, scope.clone(), Entry::Tombstone);
        let ends: Vec<_> = tombstones.iter().map(tombstone).collect();
        let values = cells.into_iter().filter_map(move |(location, cell)| {
            let tombstone = location.scope().and_then(|scope| tombstones.get(&scope).copied());
            let value = cell.lives_after(tombstone).then_some(cell.value)??;
            Some((cell.writer?, location, Entry::Value(value)))
        });
        ends.into_iter().chain(values)
    }

    /// Removes all entries, and keeps the memory.
    pub fn clear(&mut self) {
        self.cells.clear();
        (self.has_scoped, self.has_values) = (false, false);
        self.tombstones.clear();
    }

    /// Reserves room for `more` locations.
    pub fn reserve(&mut self, more: usize) {
        self.cells.reserve(more);
    }

    /// Caches the base value of a location that has no entry.
    pub fn keep_base(&mut self, location: L, value: L::Value) {
        self.has_scoped |= location.scope().is_some();
        let cell = || Cell { writer: None, value: Some(value), deltas: Vec::new() };
        self.cells.entry(location).or_insert_with(cell);
    }
}
