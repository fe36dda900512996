//! One version chain: all entries of a location, ordered by transaction index.

use super::location::{Entry, Location};
use super::mutants::{StoreMutant, is_store_mutant};
use super::versioned_lock::Stamp;
use crate::ids::{TxIndex, Version};

/// Deltas that are folded again and again before their sum is kept.
const LONG_FOLD: usize = 16;
/// Readers that a chain remembers before it forgets those below the frontier.
const MANY_READERS: usize = 64;

#[derive(Clone, Debug)]
pub(super) enum Kind<L: Location> {
    Written(Entry<L>),
    /// Left by a discarded incarnation: will probably be written again.
    Estimate,
}

#[derive(Clone, Debug)]
struct Item<L: Location> {
    version: Version,
    kind: Kind<L>,
}

/// What lies below a reader in one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found<L: Location> {
    /// Nothing but the base value, which is not known yet.
    UnknownBase,
    /// The base value.
    Base(L::Value),
    /// An absolute value.
    Value(Version, L::Value),
    /// The end of the location's life.
    Tombstone(Version),
    /// Deltas on something, folded. `top` is the newest of them.
    Folded(Version, L::Value),
    /// An estimate.
    Estimate(TxIndex),
}

#[derive(Debug)]
pub(super) struct Chain<L: Location> {
    pub(super) location: L,
    pub(super) hash: u64,
    /// When it changed last.
    pub(super) stamp: Stamp,
    base: Option<L::Value>,
    items: Vec<Item<L>>,
    /// Who read it and may have to know of a change. A hint.
    readers: Vec<TxIndex>,
    prune_at: usize,
    /// The value of everything below an index that is final.
    checkpoint: Option<(TxIndex, L::Value)>,
}

impl<L: Location> Chain<L> {
    pub(super) fn new(location: L, hash: u64) -> Self {
        Self {
            location,
            hash,
            stamp: Stamp::default(),
            base: None,
            items: Vec::new(),
            readers: Vec::new(),
            prune_at: MANY_READERS,
            checkpoint: None,
        }
    }

    pub(super) fn base(&self) -> Option<&L::Value> {
        self.base.as_ref()
    }

    /// Keeps the base value, unless one is there: a location has one base value (I5).
    pub(super) fn set_base(&mut self, value: L::Value) {
        self.base.get_or_insert(value);
    }

    pub(super) fn add_reader(&mut self, reader: TxIndex, frontier: TxIndex) {
        if self.readers.len() >= self.prune_at {
            self.readers.retain(|reader| *reader >= frontier);
            self.prune_at = MANY_READERS.max(2 * self.readers.len());
        }
        self.readers.push(reader);
    }

    fn below(&self, reader: TxIndex, mutant: StoreMutant) -> &[Item<L>] {
        let own = is_store_mutant!(mutant, ReadsOwnIndex);
        let end = self
            .items
            .partition_point(|item| item.version.tx < reader || (own && item.version.tx == reader));
        self.items.get(..end).unwrap_or_default()
    }

    /// The newest state below `reader`. `frontier`: everything below it is final.
    pub(super) fn find(
        &mut self,
        reader: TxIndex,
        frontier: TxIndex,
        mutant: StoreMutant,
    ) -> Found<L> {
        let Some(newest) = self.below(reader, mutant).last() else {
            return self.base.clone().map_or(Found::UnknownBase, Found::Base);
        };
        let version = newest.version;
        match &newest.kind {
            Kind::Estimate => Found::Estimate(version.tx),
            Kind::Written(Entry::Value(value)) => Found::Value(version, value.clone()),
            Kind::Written(Entry::Tombstone) => Found::Tombstone(version),
            Kind::Written(Entry::Delta(_)) => self.fold(version, reader, frontier, mutant),
        }
    }

    /// Folds the deltas above the last absolute value, in index order.
    fn fold(
        &mut self,
        top: Version,
        reader: TxIndex,
        frontier: TxIndex,
        mutant: StoreMutant,
    ) -> Found<L> {
        let past = is_store_mutant!(mutant, FoldPastValue);
        let kept = self.checkpoint.clone().filter(|(end, _)| *end <= reader);
        let kept_end = kept.as_ref().map_or(TxIndex(0), |(end, _)| *end);
        let items = self.below(reader, mutant);
        let deltas = items
            .iter()
            .rev()
            .take_while(|item| {
                let delta = matches!(item.kind, Kind::Written(Entry::Delta(_)));
                item.version.tx >= kept_end && (delta || past)
            })
            .count();
        let (bottom, deltas) = items.split_at(items.len() - deltas);
        let start = match bottom.last() {
            Some(Item { version, .. }) if version.tx < kept_end => kept.map(|(_, value)| value),
            Some(Item { kind: Kind::Written(Entry::Value(value)), .. }) => Some(value.clone()),
            Some(Item { kind: Kind::Estimate, version }) => return Found::Estimate(version.tx),
            Some(_) => Some(self.location.destroyed()),
            None => self.base.clone(),
        };
        let Some(mut value) = start else { return Found::UnknownBase };
        let mut checkpoint = None;
        for (count, item) in deltas.iter().enumerate() {
            if count >= LONG_FOLD && item.version.tx >= frontier && checkpoint.is_none() {
                checkpoint = Some((frontier, value.clone()));
            }
            if let Kind::Written(Entry::Delta(delta)) = &item.kind {
                L::fold(&mut value, delta);
            }
        }
        if deltas.len() > LONG_FOLD && top.tx < frontier {
            checkpoint = Some((top.tx.next(), value.clone()));
        }
        self.checkpoint = checkpoint.or_else(|| self.checkpoint.take());
        Found::Folded(top, value)
    }

    /// Puts an entry, unless a newer incarnation has (I7). Tells whether the chain changed.
    pub(super) fn put(&mut self, version: Version, kind: Kind<L>, mutant: StoreMutant) -> bool {
        let at = self.items.partition_point(|item| item.version.tx < version.tx);
        match self.items.get_mut(at) {
            Some(item) if item.version.tx == version.tx => {
                let newer = item.version.incarnation > version.incarnation;
                if newer && !is_store_mutant!(mutant, OldOverwrites) {
                    return false;
                }
                *item = Item { version, kind };
            }
            _ => self.items.insert(at, Item { version, kind }),
        }
        true
    }

    /// Removes what `version` or an older incarnation left. Tells whether the chain changed.
    pub(super) fn remove(&mut self, version: Version) -> bool {
        let at = self.items.partition_point(|item| item.version.tx < version.tx);
        let ours = self.items.get(at).is_some_and(|item| {
            item.version.tx == version.tx && item.version.incarnation <= version.incarnation
        });
        if ours {
            self.items.remove(at);
        }
        ours
    }

    /// Turns what `version` left into an estimate. Tells whether the chain changed.
    pub(super) fn estimate(&mut self, version: Version) -> bool {
        let at = self.items.partition_point(|item| item.version.tx < version.tx);
        match self.items.get_mut(at) {
            Some(item) if item.version == version => {
                item.kind = Kind::Estimate;
                true
            }
            _ => false,
        }
    }

    /// Forgets and returns the readers that a change by `writer` may concern: those above it, up
    /// to the next transaction that wrote an absolute value.
    pub(super) fn take_stale_readers(&mut self, writer: TxIndex, stale: &mut Vec<TxIndex>) {
        let from = self.items.partition_point(|item| item.version.tx <= writer);
        let next = self
            .items
            .get(from..)
            .unwrap_or_default()
            .iter()
            .find(|item| !matches!(item.kind, Kind::Written(Entry::Delta(_))));
        let last = next.map_or(TxIndex(u32::MAX), |item| item.version.tx);
        self.readers.retain(|reader| {
            let concerned = *reader > writer && *reader <= last;
            if concerned {
                stale.push(*reader);
            }
            !concerned
        });
    }
}
