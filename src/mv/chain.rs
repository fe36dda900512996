//! A version chain: all entries of one location, ordered by transaction index.

use super::location::{Entry, Location};
use super::place::LocationHash;
use super::resolve::Origin;
use super::versioned_lock::Stamp;
use crate::ids::{TxIndex, Version};
use smallvec::SmallVec;

/// Number of final deltas above which a chain stores their sum in a checkpoint.
const CHECKPOINT_DELTAS: usize = 16;
/// Number of readers at which a chain first drops readers below the frontier.
const PRUNE_READERS: u32 = 64;

#[derive(Clone, Debug)]
pub(super) enum ItemKind<L: Location> {
    Written(Entry<L>),
    /// The entry of an aborted incarnation, which will probably be written again.
    Estimate,
}

#[derive(Clone, Debug)]
struct Item<L: Location> {
    version: Version,
    kind: ItemKind<L>,
}

impl<L: Location> Item<L> {
    const fn is_delta(&self) -> bool {
        matches!(self.kind, ItemKind::Written(Entry::Delta(_)))
    }

    const fn ends_life(&self) -> bool {
        matches!(self.kind, ItemKind::Estimate | ItemKind::Written(Entry::Tombstone))
    }

    fn fold_into(&self, value: &mut L::Value) {
        if let ItemKind::Written(Entry::Delta(delta)) = &self.kind {
            L::fold(value, delta);
        }
    }
}

/// The point where the life of a location began. Entries below it do not count for a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Floor {
    /// The location has no scope, or its life has not ended below the reader.
    Base,
    /// The scope has a tombstone, which lies below the entries of the same version.
    Tombstone(Version),
    /// The scope has an estimate, which may become a tombstone again.
    Estimate(TxIndex),
}

impl Floor {
    /// Returns the lowest index whose entries count.
    const fn first(self) -> TxIndex {
        match self {
            Self::Base => TxIndex(0),
            Self::Tombstone(version) => version.tx,
            Self::Estimate(tx) => tx,
        }
    }
}

/// Result of a lookup in a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<L: Location> {
    /// A value, and the entry that it comes from.
    Seen(Origin, L::Value),
    /// An estimate of this transaction.
    Blocked(TxIndex),
    /// No entry, and the base value is not known yet.
    UnknownBase,
}

/// The part of a chain that a registered reader has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interest {
    /// The value of the location.
    Value,
    /// The point where the life of the locations in the scope began. Values do not change it.
    Life,
}

/// A reader that a change may make stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reader {
    pub(super) tx: TxIndex,
    pub(super) interest: Interest,
}

/// Reader and bounds of a lookup.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookup {
    pub(super) reader: TxIndex,
    /// Index below which everything was final before `floor` was looked up.
    pub(super) frontier: TxIndex,
    pub(super) floor: Floor,
}

/// The value after all entries below an index. These entries are final.
#[derive(Clone, Debug)]
struct Checkpoint<L: Location> {
    /// One past the last index in the sum.
    end: TxIndex,
    value: L::Value,
}

impl<L: Location> Checkpoint<L> {
    const fn end(&self) -> TxIndex {
        self.end
    }
}

// With this field order, a read of an unwritten location touches three cache lines, two of them
// adjacent.
#[derive(Debug)]
#[repr(C, align(128))]
pub(super) struct Chain<L: Location> {
    pub(super) location: L,
    /// Numbers of reads and of transactions that wrote: they show whether most readers also write.
    reads: u16,
    writes: u16,
    prune_at: u32,
    base: Option<L::Value>,
    pub(super) hash: LocationHash,
    /// Stamp of the last change.
    pub(super) stamp: Stamp,
    /// Transactions that have read the location and were not named as stale since. The list must
    /// contain every reader that a change affects: a transaction that was not named commits without
    /// validation.
    readers: SmallVec<[Reader; 2]>,
    // Boxed, because few chains have one and a chain should be small.
    checkpoint: Option<Box<Checkpoint<L>>>,
    // Inline, because most chains have one entry.
    items: SmallVec<[Item<L>; 1]>,
}

impl<L: Location> Chain<L> {
    pub(super) fn new(location: L, hash: LocationHash) -> Self {
        Self {
            location,
            hash,
            stamp: Stamp::default(),
            base: None,
            items: SmallVec::new(),
            readers: SmallVec::new(),
            prune_at: PRUNE_READERS,
            reads: 0,
            writes: 0,
            checkpoint: None,
        }
    }

    pub(super) fn base(&self) -> Option<&L::Value> {
        self.base.as_ref()
    }

    /// Sets the base value, unless it is known: a location has one base value (I5).
    pub(super) fn set_base(&mut self, value: L::Value) {
        if self.base.is_none() || mutant!(BaseReplaced) {
            self.base = Some(value);
        }
    }

    pub(super) fn add_reader(&mut self, reader: Reader, frontier: TxIndex) {
        // Reads of several slots of an account look up its life repeatedly.
        if self.readers.last() == Some(&reader) {
            return;
        }
        self.reads = self.reads.saturating_add(1);
        if self.readers.len() >= self.prune_at as usize {
            self.readers.retain(|reader| reader.tx >= frontier);
            let remaining = u32::try_from(self.readers.len()).unwrap_or(u32::MAX);
            self.prune_at = PRUNE_READERS.max(remaining.saturating_mul(2));
        }
        self.readers.push(reader);
    }

    /// Returns the highest of the `running` transactions below `reader` that has read this location
    /// and will probably write it, provided that no transaction in between has written it. A write
    /// is probable if about half of the readers, or more, have written.
    pub(super) fn likely_writer(
        &self,
        reader: TxIndex,
        running: impl Iterator<Item = TxIndex>,
    ) -> Option<TxIndex> {
        // A running transaction has not written yet.
        if self.writes == 0 || self.reads > self.writes.saturating_mul(2).saturating_add(2) {
            return None;
        }
        let newest = self.below(reader).last().map(|newest| newest.version.tx);
        let is_lower = |tx: &TxIndex| *tx < reader || mutant!(PredictsHigher);
        let is_newer = |tx: &TxIndex| newest.is_none_or(|newest| newest < *tx);
        // The reads of running transactions are recent.
        let has_read = |tx: &TxIndex| {
            self.readers.iter().rev().take(PRUNE_READERS as usize).any(|reader| reader.tx == *tx)
        };
        let others = running.filter(|tx| *tx != reader);
        others.filter(|tx| is_lower(tx) && is_newer(tx) && has_read(tx)).max()
    }

    fn below(&self, reader: TxIndex) -> &[Item<L>] {
        if self.writes == 0 {
            return &[];
        }
        let own = mutant!(ReadsOwnIndex);
        let end = self
            .items
            .partition_point(|item| item.version.tx < reader || (own && item.version.tx == reader));
        self.items.get(..end).unwrap_or_default()
    }

    /// Returns where the life of the locations in this scope began, as `reader` sees it.
    pub(super) fn floor(&self, reader: TxIndex) -> Floor {
        let newest = self.below(reader).iter().rfind(|item| item.ends_life());
        newest.map_or(Floor::Base, |item| match item.kind {
            ItemKind::Estimate => Floor::Estimate(item.version.tx),
            ItemKind::Written(_) => Floor::Tombstone(item.version),
        })
    }

    /// Returns the newest state below the reader.
    pub(super) fn find(&mut self, lookup: Lookup) -> Found<L> {
        let newest = self.below(lookup.reader).last();
        let Some(newest) = newest.filter(|item| item.version.tx >= lookup.floor.first()) else {
            return self.find_floor(lookup.floor);
        };
        let version = newest.version;
        match &newest.kind {
            ItemKind::Estimate => Found::Blocked(version.tx),
            ItemKind::Written(Entry::Value(value)) => {
                Found::Seen(Origin::Value(version), value.clone())
            }
            ItemKind::Written(Entry::Tombstone) => {
                Found::Seen(Origin::Tombstone(version), self.location.destroyed())
            }
            ItemKind::Written(Entry::Delta(_)) => self.fold(version, lookup),
        }
    }

    /// Returns the result of a lookup if no entry applies.
    fn find_floor(&self, floor: Floor) -> Found<L> {
        match (floor, &self.base) {
            (Floor::Base, Some(base)) => Found::Seen(Origin::Base, base.clone()),
            (Floor::Base, None) => Found::UnknownBase,
            (Floor::Tombstone(by), _) => {
                Found::Seen(Origin::Tombstone(by), self.location.destroyed())
            }
            (Floor::Estimate(tx), _) => Found::Blocked(tx),
        }
    }

    /// Folds the deltas above the last absolute value, in index order (I11).
    fn fold(&mut self, top: Version, lookup: Lookup) -> Found<L> {
        let Lookup { reader, frontier, floor } = lookup;
        let past_value = mutant!(FoldPastValue);
        let past_tombstone = mutant!(FoldPastTombstone);
        // A checkpoint covers a life that began at the base, and serves readers above its end.
        let is_unbroken = floor == Floor::Base;
        let checkpoint = self.checkpoint.as_deref();
        let checkpoint = checkpoint.filter(|sum| is_unbroken && sum.end <= reader);
        let from = checkpoint.map_or(floor.first(), |sum| sum.end);
        let items = self.below(reader);
        let is_tombstone =
            |item: &Item<L>| matches!(item.kind, ItemKind::Written(Entry::Tombstone));
        let passes = |item: &Item<L>| {
            item.is_delta() || past_value || (past_tombstone && is_tombstone(item))
        };
        let counts = |item: &&Item<L>| item.version.tx >= from && passes(item);
        let deltas = items.iter().rev().take_while(counts).count();
        let (bottom, deltas) = items.split_at(items.len() - deltas);
        let start = match bottom.last().filter(|item| item.version.tx >= from) {
            Some(Item { kind: ItemKind::Estimate, version }) => return Found::Blocked(version.tx),
            Some(Item { kind: ItemKind::Written(Entry::Value(value)), .. }) => value.clone(),
            Some(_) => self.location.destroyed(),
            None => match checkpoint {
                Some(sum) => sum.value.clone(),
                None => match self.find_floor(floor) {
                    Found::Seen(_, value) => value,
                    unresolved => return unresolved,
                },
            },
        };
        let all_final = mutant!(CheckpointOpen);
        let settled = deltas.partition_point(|item| item.version.tx < frontier || all_final);
        let (settled, open) = deltas.split_at(settled);
        let mut value = start;
        settled.iter().for_each(|item| item.fold_into(&mut value));
        let sum = settled
            .last()
            .filter(|_| is_unbroken && settled.len() > CHECKPOINT_DELTAS)
            .map(|last| Box::new(Checkpoint { end: last.version.tx.next(), value: value.clone() }));
        open.iter().for_each(|item| item.fold_into(&mut value));
        // A reader below the end of the checkpoint yields a shorter sum.
        if sum.as_deref().map(Checkpoint::end) > self.checkpoint.as_deref().map(Checkpoint::end) {
            self.checkpoint = sum;
        }
        Found::Seen(Origin::Folded(top), value)
    }

    /// Inserts or replaces an entry, unless a newer incarnation has written one (I7). Returns
    /// whether the chain changed.
    pub(super) fn put(&mut self, version: Version, kind: ItemKind<L>) -> bool {
        // Most writes arrive in block order.
        if self.items.last().is_none_or(|last| last.version.tx < version.tx) {
            self.writes = self.writes.saturating_add(1);
            self.items.push(Item { version, kind });
            return true;
        }
        let at = self.items.partition_point(|item| item.version.tx < version.tx);
        match self.items.get_mut(at) {
            Some(item) if item.version.tx == version.tx => {
                let is_newer = item.version.incarnation > version.incarnation;
                if is_newer && !mutant!(OldOverwrites) {
                    return false;
                }
                *item = Item { version, kind };
            }
            _ => {
                self.writes = self.writes.saturating_add(1);
                self.items.insert(at, Item { version, kind });
            }
        }
        true
    }

    /// Removes the entry of `version` or an older incarnation. Returns whether the chain changed.
    pub(super) fn remove(&mut self, version: Version) -> bool {
        let at = self.items.partition_point(|item| item.version.tx < version.tx);
        let is_own = self.items.get(at).is_some_and(|item| {
            item.version.tx == version.tx && item.version.incarnation <= version.incarnation
        });
        if is_own {
            self.items.remove(at);
        }
        is_own
    }

    /// Turns the entry of `version` into an estimate. Returns whether the chain changed. An entry
    /// of another incarnation does not change (I7).
    pub(super) fn estimate(&mut self, version: Version) -> bool {
        let at = self.items.partition_point(|item| item.version.tx < version.tx);
        match self.items.get_mut(at) {
            Some(item) if item.version == version => {
                item.kind = ItemKind::Estimate;
                true
            }
            _ => false,
        }
    }

    /// Removes and returns the readers that a change by `writer` may affect: readers above the
    /// writer, up to the next transaction whose entry hides the change.
    pub(super) fn take_stale_readers(&mut self, writer: TxIndex, stale: &mut Vec<TxIndex>) {
        let from = self.items.partition_point(|item| item.version.tx <= writer);
        let above = self.items.get(from..).unwrap_or_default();
        let last = |hides: fn(&Item<L>) -> bool| {
            above.iter().find(|item| hides(item)).map_or(TxIndex(u32::MAX), |item| item.version.tx)
        };
        let last_of_value = last(|item| !item.is_delta());
        let last_of_life = last(Item::ends_life);
        self.readers.retain(|reader| {
            let last = match reader.interest {
                Interest::Value => last_of_value,
                Interest::Life => last_of_life,
            };
            let is_affected = reader.tx > writer && reader.tx <= last;
            if is_affected {
                stale.push(reader.tx);
            }
            !is_affected
        });
    }
}
