//! The reference store: an ordered map per location, searched downwards from the reader.

use braid_evm::ids::{Incarnation, TxIndex, Version};
use braid_evm::mv::{Change, Entry, Floor, Found, Location, Origin};
use std::collections::{BTreeMap, HashMap};

/// Entry of a transaction at a location; `None` is an estimate.
type Cell<L> = (Incarnation, Option<Entry<L>>);

/// Base values and entries, without any index.
#[derive(Clone, Debug)]
pub struct Reference<L: Location> {
    base: HashMap<L, L::Value>,
    chains: HashMap<L, BTreeMap<TxIndex, Cell<L>>>,
}

impl<L: Location> Default for Reference<L> {
    fn default() -> Self {
        Self { base: HashMap::new(), chains: HashMap::new() }
    }
}

impl<L: Location> Reference<L> {
    /// Records a base value. The first one stays (I5).
    pub fn set_base(&mut self, location: &L, value: &L::Value) {
        self.base.entry(location.clone()).or_insert_with(|| value.clone());
    }

    /// Returns where the life of the locations in `scope` began, as `reader` sees it.
    #[must_use]
    pub fn floor(&self, scope: &L, reader: TxIndex) -> Floor {
        for (tx, (incarnation, entry)) in self.below(scope, reader) {
            match entry {
                None => return Floor::Estimate(tx),
                Some(Entry::Tombstone) => {
                    return Floor::Tombstone(Version { tx, incarnation: *incarnation });
                }
                Some(Entry::Value(_) | Entry::Delta(_)) => {}
            }
        }
        Floor::Base
    }

    /// Iterates over the entries below `reader`, highest first.
    fn below(&self, location: &L, reader: TxIndex) -> impl Iterator<Item = (TxIndex, &Cell<L>)> {
        let chain = self.chains.get(location).into_iter();
        chain.flat_map(move |chain| chain.range(..reader).rev()).map(|(tx, cell)| (*tx, cell))
    }

    /// Returns the result of a lookup of `location`, whose life began at `floor`.
    #[must_use]
    pub fn find(&self, location: &L, reader: TxIndex, floor: Floor) -> Found<L> {
        let first = match floor {
            Floor::Base => TxIndex(0),
            Floor::Tombstone(version) => version.tx,
            Floor::Estimate(tx) => tx,
        };
        let mut deltas = Vec::new();
        let mut top = None;
        let mut bottom = None;
        for (tx, (incarnation, entry)) in self.below(location, reader) {
            if tx < first {
                break;
            }
            let version = Version { tx, incarnation: *incarnation };
            match entry {
                None => return Found::Blocked(tx),
                Some(Entry::Value(value)) => {
                    bottom = Some((Origin::Value(version), value.clone()));
                    break;
                }
                Some(Entry::Tombstone) => {
                    bottom = Some((Origin::Tombstone(version), location.destroyed()));
                    break;
                }
                Some(Entry::Delta(delta)) => {
                    top = top.or(Some(version));
                    deltas.push(delta);
                }
            }
        }
        let (origin, mut value) = match (bottom, floor) {
            (Some(bottom), _) => bottom,
            (None, Floor::Estimate(tx)) => return Found::Blocked(tx),
            (None, Floor::Tombstone(by)) => (Origin::Tombstone(by), location.destroyed()),
            (None, Floor::Base) => match self.base.get(location) {
                Some(value) => (Origin::Base, value.clone()),
                None => return Found::UnknownBase,
            },
        };
        for delta in deltas.into_iter().rev() {
            L::fold(&mut value, delta);
        }
        Found::Seen(top.map_or(origin, Origin::Folded), value)
    }

    /// Like [`find`](Self::find), with the current life of the location's scope.
    #[must_use]
    pub fn resolve(&self, location: &L, reader: TxIndex) -> Found<L> {
        let floor = location.scope().map_or(Floor::Base, |scope| self.floor(&scope, reader));
        self.find(location, reader, floor)
    }

    /// Changes an entry by the rules of I7, and returns whether anything changed.
    pub fn change(&mut self, version: Version, location: &L, change: &Change<L>) -> bool {
        let Version { tx, incarnation } = version;
        let chain = self.chains.entry(location.clone()).or_default();
        let there = chain.get(&tx).map(|(incarnation, _)| *incarnation);
        match change {
            Change::Put(_) if there.is_some_and(|there| there > incarnation) => return false,
            Change::Put(entry) => chain.insert(tx, (incarnation, Some(entry.clone()))),
            Change::Remove if there.is_some_and(|there| there <= incarnation) => chain.remove(&tx),
            Change::Estimate if there == Some(incarnation) => chain.insert(tx, (incarnation, None)),
            Change::Remove | Change::Estimate => return false,
        };
        true
    }

    /// Iterates over all entries of `tx`, in no particular order.
    pub fn entries_of(
        &self,
        tx: TxIndex,
    ) -> impl Iterator<Item = (&L, Incarnation, Option<&Entry<L>>)> {
        self.chains.iter().filter_map(move |(location, chain)| {
            let (incarnation, entry) = chain.get(&tx)?;
            Some((location, *incarnation, entry.as_ref()))
        })
    }
}
