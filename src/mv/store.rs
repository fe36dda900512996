//! The store: shards of version chains.

use super::beats::{Beat, Beats};
use super::chain::{Chain, ItemKind};
use super::conflicts::ConflictIndex;
use super::events::{Change, StoreEvent};
use super::location::{Entry, Location};
use super::place::{ChainId, LocationHash};
use super::resolve::Trace;
use super::running::Running;
use super::sets::ReadSet;
use super::shard::Shard;
use super::versioned_lock::{Stamp, VersionedLock};
use crate::ids::{TxIndex, Version, WorkerId};
use crate::sync::{AtomicBool, AtomicU32, SeqCst};
use crate::trace::Log;
#[cfg(feature = "trace")]
use crate::trace::Ticket;
use core::hash::BuildHasher;
#[cfg(braid_loom)]
use foldhash::fast::FixedState as RandomState;
#[cfg(not(braid_loom))]
use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// All versions of all locations of one block.
#[derive(Debug)]
pub struct Store<L: Location> {
    pub(super) shards: Box<[VersionedLock<Shard<L>>]>,
    hasher: RandomState,
    /// Whether any scope was ever written. Few blocks end the life of an account; in the others,
    /// reads of slots need not look up their scopes.
    pub(super) scope_used: AtomicBool,
    /// Index below which everything is final. It may lag behind the frontier of the protocol.
    frontier: AtomicU32,
    pub(super) running: Running,
    beats: Beats,
    pub(super) log: Log<StoreEvent<L>>,
}

impl<L: Location> Store<L> {
    /// Creates a store with at least `shards` shards and a new secret hash seed.
    #[must_use]
    pub fn new(shards: usize) -> Self {
        Self::with_capacity(shards, 0)
    }

    /// Creates a store with room for about `locations` locations.
    #[must_use]
    pub fn with_capacity(shards: usize, locations: usize) -> Self {
        let shards = shards.clamp(1, 1 << 16).next_power_of_two();
        // Hashing does not distribute locations evenly.
        let per_shard = locations / shards + locations / shards / 4;
        let shard = |_| {
            let table = HashTable::with_capacity(per_shard);
            VersionedLock::new(Shard { table, chains: Vec::with_capacity(per_shard) })
        };
        Self {
            shards: (0..shards).map(shard).collect(),
            hasher: RandomState::default(),
            scope_used: AtomicBool::new(false),
            frontier: AtomicU32::new(0),
            running: Running::default(),
            beats: Beats::default(),
            log: Log::off(),
        }
    }

    /// Empties the store for another block, and keeps its memory: mapping new pages takes as long
    /// as several transactions.
    #[must_use]
    pub fn emptied(self) -> Self {
        let Self { shards, hasher, .. } = self;
        if mutant!(NotEmptied) {
            return Self { shards, hasher, ..Self::new(1) };
        }
        let emptied =
            |lock: VersionedLock<Shard<L>>| VersionedLock::new(lock.into_inner().emptied());
        Self { shards: shards.into_iter().map(emptied).collect(), ..Self::new(1) }
    }

    /// Adds a slot for each of `workers` workers, to record the transaction that it runs.
    #[must_use]
    pub fn with_workers(self, workers: usize) -> Self {
        Self { running: Running::new(workers), ..self }
    }

    /// Records that `worker` now runs `tx`; `None` if it runs no transaction that others wait for.
    pub fn set_running(&self, worker: WorkerId, tx: Option<TxIndex>) {
        self.running.set(worker, tx);
    }

    /// Notifies the worker that runs `tx` that a location it has read may have changed. Returns
    /// true if a worker runs it and was not notified before.
    pub fn name_running(&self, tx: TxIndex) -> bool {
        self.running.has_others() && self.running.notify(tx)
    }

    /// Returns whether a location has changed that `worker` has read in its run of `reader`; a
    /// hint. The check is almost free if the worker was not notified since the last call.
    pub(crate) fn has_overtaken(
        &self,
        worker: WorkerId,
        reader: TxIndex,
        reads: &ReadSet<L>,
    ) -> bool {
        self.running.take_notification(worker, reader) && !self.is_untouched(reads)
    }

    /// Records progress of the run of `tx`. `in_base` means that the run now waits for the base
    /// state.
    pub fn beat(&self, tx: TxIndex, in_base: bool) {
        self.beats.beat(tx, in_base);
    }

    /// Returns the progress of the runs of `tx`.
    #[must_use]
    pub fn beat_of(&self, tx: TxIndex) -> Beat {
        self.beats.of(tx)
    }

    /// Returns the number of shards.
    #[must_use]
    pub const fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Starts recording events.
    #[cfg(feature = "trace")]
    pub fn start_trace(&mut self) {
        self.log = Log::on();
    }

    /// Stops recording, and returns the events so far.
    #[cfg(feature = "trace")]
    #[must_use]
    pub fn take_trace(&mut self) -> Vec<(Ticket, StoreEvent<L>)> {
        core::mem::replace(&mut self.log, Log::off()).into_events()
    }

    /// Creates an empty conflict index for a segment of the block.
    #[must_use]
    pub fn conflict_index(&self) -> ConflictIndex<L> {
        ConflictIndex::default()
    }

    /// Returns the hash of `location` in this store.
    #[must_use]
    pub fn hash(&self, location: &L) -> LocationHash {
        LocationHash::of(self.hasher.hash_one(location))
    }

    pub(super) fn shard(&self, hash: LocationHash) -> (u32, &VersionedLock<Shard<L>>) {
        // The table uses the lowest and the highest bits; the shard index uses bits in between.
        let index = (hash.bits() >> 40) as usize & (self.shards.len() - 1);
        let [shard, ..] = self.shards.get(index..).unwrap_or_default() else {
            unreachable!("the mask keeps the index below the number of shards")
        };
        (u32::try_from(index).unwrap_or(u32::MAX), shard)
    }

    /// Returns the index of the shard of `location`.
    #[cfg(all(test, feature = "evm"))]
    pub(crate) fn shard_of(&self, location: &L) -> u32 {
        self.shard(self.hash(location)).0
    }

    /// Sets the frontier: everything below `frontier` is final.
    pub fn set_frontier(&self, frontier: TxIndex) {
        self.log.record(|| StoreEvent::Frontier(frontier));
        self.frontier.store(frontier.0, SeqCst);
    }

    /// Returns whether everything below `reader` is known to be final.
    #[must_use]
    pub fn is_final_below(&self, reader: TxIndex) -> bool {
        self.frontier() >= reader
    }

    pub(super) fn frontier(&self) -> TxIndex {
        TxIndex(self.frontier.load(SeqCst))
    }

    /// Sets the base value of a location, unless it is known.
    pub fn seed(&self, location: &L, value: L::Value) {
        let hash = self.hash(location);
        let (mut shard, _) = self.shard(hash).1.read();
        self.log.record(|| StoreEvent::Base { location: location.clone(), value: value.clone() });
        shard.chain(hash, location).1.set_base(value);
    }

    /// Returns whether a change at `location` may affect readers that are not registered: reads of
    /// slots look up their scope only after some scope was written. If so, every higher transaction
    /// that may have read a location must be named.
    #[must_use]
    pub fn has_unknown_readers(&self, location: &L) -> bool {
        location.is_scope() && !mutant!(ScopeSilent)
    }

    /// Publishes an entry, and adds the registered readers that it may affect to `stale`.
    pub fn publish(
        &self,
        version: Version,
        location: &L,
        entry: Entry<L>,
        stale: &mut Vec<TxIndex>,
    ) {
        self.change(version, location, stale, Change::Put(entry));
    }

    /// Removes the entry of `version`, or of an older incarnation of its transaction, at
    /// `location`.
    pub fn withdraw(&self, version: Version, location: &L, stale: &mut Vec<TxIndex>) {
        self.change(version, location, stale, Change::Remove);
    }

    /// Turns the entry of `version` at `location` into an estimate. The change that replaces the
    /// estimate names the readers.
    pub fn mark_estimate(&self, version: Version, location: &L) {
        if !mutant!(EstimateLost) {
            self.change(version, location, &mut Vec::new(), Change::Estimate);
        }
    }

    fn change(&self, version: Version, location: &L, stale: &mut Vec<TxIndex>, change: Change<L>) {
        if location.is_scope() {
            // From now on, reads of slots must look up their scopes.
            self.scope_used.store(true, SeqCst);
        }
        let hash = self.hash(location);
        let (shard_index, lock) = self.shard(hash);
        let change = |shard: &mut Shard<L>, stamp| {
            let (index, chain) = shard.chain(hash, location);
            let before = stale.len();
            let recorded = self.log.is_on().then(|| change.clone());
            let took = self.apply(chain, version, change, stamp, stale);
            self.log.record(|| StoreEvent::Changed {
                version,
                location: location.clone(),
                change: recorded.unwrap_or(Change::Remove),
                at: Trace { chain: ChainId { shard: shard_index, index }, stamp }.into(),
                took,
                stale: stale.get(before..).unwrap_or_default().to_vec(),
            });
        };
        #[cfg(feature = "mutants")]
        if mutant!(StampOutsideLock) {
            return lock.publish_too_early(change);
        } else if mutant!(ReleasedEarly) {
            return lock.publish_in_two_steps(change);
        }
        lock.publish(change);
    }

    /// Changes a chain under its lock. Returns whether the change took effect.
    fn apply(
        &self,
        chain: &mut Chain<L>,
        version: Version,
        change: Change<L>,
        stamp: Stamp,
        stale: &mut Vec<TxIndex>,
    ) -> bool {
        let names_readers = !matches!(change, Change::Estimate) && !mutant!(HintLost);
        let took = match change {
            Change::Put(entry) => chain.put(version, ItemKind::Written(entry)),
            Change::Remove => chain.remove(version),
            Change::Estimate => chain.estimate(version),
        };
        if took {
            let is_reused = mutant!(StampReused);
            chain.stamp = if is_reused { Stamp::default() } else { stamp };
            if names_readers {
                chain.take_stale_readers(version.tx, stale);
            }
        }
        took
    }
}
