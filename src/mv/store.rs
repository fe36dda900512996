//! The store: shards of version chains.

use super::chain::{Chain, Floor, Found, Interest, Kind, Look, Reader};
use super::location::{Entry, Location};
use super::mutants::{StoreMutant, is_store_mutant};
use super::resolve::{Origin, Resolution, Resolved, ScopeTrace, Trace};
use super::sets::ReadSet;
use super::versioned_lock::{Stamp, VersionedLock};
use crate::ids::{TxIndex, Version};
use crate::sync::{AtomicBool, AtomicU32, SeqCst};
use core::hash::BuildHasher;
#[cfg(braid_loom)]
use foldhash::fast::FixedState as RandomState;
#[cfg(not(braid_loom))]
use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// Hash of a location under the seed of one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LocationHash(u64);

impl LocationHash {
    pub(super) const fn bits(self) -> u64 {
        self.0
    }
}

/// The place of a chain; it stays the same for the life of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChainId {
    shard: u32,
    index: u32,
}

#[derive(Debug)]
struct Shard<L: Location> {
    table: HashTable<u32>,
    chains: Vec<Chain<L>>,
}

impl<L: Location> Shard<L> {
    /// The chain of `location`, created empty if there is none.
    fn chain(&mut self, hash: LocationHash, location: &L) -> (u32, &mut Chain<L>) {
        let chains = &self.chains;
        let same = |index: &u32| {
            chains.get(*index as usize).is_some_and(|chain| chain.location == *location)
        };
        let index = match self.table.find(hash.bits(), same) {
            Some(index) => *index,
            None => {
                let index = u32::try_from(self.chains.len()).unwrap_or(u32::MAX);
                self.chains.push(Chain::new(location.clone(), hash));
                let chains = &self.chains;
                let rehash = |index: &u32| chains.get(*index as usize).map_or(0, |c| c.hash.bits());
                self.table.insert_unique(hash.bits(), index, rehash);
                index
            }
        };
        let position = index as usize;
        // The index comes from the table or was pushed above, so the slice is never short.
        let [chain, ..] = self.chains.get_mut(position..).unwrap_or_default() else {
            unreachable!("a chain in the table is in the list")
        };
        (index, chain)
    }
}

/// All versions of all locations of one block.
#[derive(Debug)]
pub struct Store<L: Location> {
    shards: Box<[VersionedLock<Shard<L>>]>,
    hasher: RandomState,
    /// Whether anything was ever changed at a scope: almost no block ends the life of an
    /// account, and then no slot needs to look there.
    scope_used: AtomicBool,
    /// Everything below is final. It may lag behind.
    frontier: AtomicU32,
    mutant: StoreMutant,
}

impl<L: Location> Store<L> {
    /// An empty store with at least `shards` shards, under a fresh secret hash seed.
    #[must_use]
    pub fn new(shards: usize) -> Self {
        Self::with_capacity(shards, 0)
    }

    /// The same with room for about `locations` locations.
    #[must_use]
    pub fn with_capacity(shards: usize, locations: usize) -> Self {
        let shards = shards.clamp(1, 1 << 16).next_power_of_two();
        let each = locations / shards;
        let shard = |_| {
            let table = HashTable::with_capacity(each);
            VersionedLock::new(Shard { table, chains: Vec::with_capacity(each) })
        };
        Self {
            shards: (0..shards).map(shard).collect(),
            hasher: RandomState::default(),
            scope_used: AtomicBool::new(false),
            frontier: AtomicU32::new(0),
            mutant: StoreMutant::default(),
        }
    }

    /// The same store with a seeded bug.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn with_mutant(mut self, mutant: StoreMutant) -> Self {
        self.mutant = mutant;
        self
    }

    /// The hash of `location` in this store.
    #[must_use]
    pub fn hash(&self, location: &L) -> LocationHash {
        LocationHash(self.hasher.hash_one(location))
    }

    fn shard(&self, hash: LocationHash) -> (u32, &VersionedLock<Shard<L>>) {
        // The table uses the low and the topmost bits; the shard takes bits between.
        let index = (hash.bits() >> 40) as usize & (self.shards.len() - 1);
        let [shard, ..] = self.shards.get(index..).unwrap_or_default() else {
            unreachable!("the mask keeps the index below the number of shards")
        };
        (u32::try_from(index).unwrap_or(u32::MAX), shard)
    }

    /// Tells the store that everything below `frontier` is final.
    pub fn set_frontier(&self, frontier: TxIndex) {
        self.frontier.store(frontier.0, SeqCst);
    }

    /// Whether everything below `reader` is final, as far as the store has been told.
    #[must_use]
    pub fn is_final_below(&self, reader: TxIndex) -> bool {
        self.frontier() >= reader
    }

    fn frontier(&self) -> TxIndex {
        TxIndex(self.frontier.load(SeqCst))
    }

    /// Sets the base value of a location, unless it has one.
    pub fn seed(&self, location: &L, value: L::Value) {
        let hash = self.hash(location);
        let (mut shard, _) = self.shard(hash).1.read();
        shard.chain(hash, location).1.set_base(value, self.mutant);
    }

    /// Sets the base value of `location` that [`Resolution::NeedsBase`] asked `reader` for, and
    /// resolves again. The first base value stays.
    #[must_use]
    pub fn supply_base(
        &self,
        id: ChainId,
        location: &L,
        reader: TxIndex,
        value: L::Value,
    ) -> Resolution<L> {
        let mutant = self.mutant;
        let frontier = self.frontier();
        let (floor, scope) = self.look_at_scope(location, reader, frontier);
        let look = Look { reader, frontier, floor };
        let found = self.shards.get(id.shard as usize).and_then(|lock| {
            let (mut shard, stamp) = lock.read();
            let chain = shard.chains.get_mut(id.index as usize)?;
            chain.set_base(value, mutant);
            Some((chain.hash, chain.find(look, mutant), Trace { chain: id, stamp }))
        });
        match found {
            Some((hash, found, own)) => Self::resolution(hash, found, own, scope),
            // Not a chain of this store.
            None => Resolution::NeedsBase(id),
        }
    }

    fn resolution(
        hash: LocationHash,
        found: Found<L>,
        own: Trace,
        scope: ScopeTrace,
    ) -> Resolution<L> {
        match found {
            Found::Seen(origin, value) => {
                Resolution::Resolved(Resolved { value, origin, hash, own, scope })
            }
            Found::Blocked(tx) => Resolution::Blocked(tx),
            Found::UnknownBase => Resolution::NeedsBase(own.chain),
        }
    }

    /// The base value of a location, if some read has needed it.
    #[must_use]
    pub fn base(&self, location: &L) -> Option<L::Value> {
        let hash = self.hash(location);
        let (mut shard, _) = self.shard(hash).1.read();
        shard.chain(hash, location).1.base().cloned()
    }

    /// What a reader at index `reader` must see at `location`. The reader is remembered, so that
    /// a later publication can name it as possibly stale.
    ///
    /// A scoped location resolves together with its scope: the newer wins, and at one version the
    /// tombstone lies below the writes. The two are looked up one after the other, each with its
    /// own stamp; a publication in between shows in the first one's stamp.
    #[must_use]
    pub fn resolve(&self, location: &L, reader: TxIndex) -> Resolution<L> {
        self.resolve_hashed(self.hash(location), location, reader)
    }

    /// [`resolve`](Self::resolve) for a location whose hash is known.
    #[must_use]
    pub fn resolve_hashed(
        &self,
        hash: LocationHash,
        location: &L,
        reader: TxIndex,
    ) -> Resolution<L> {
        let mutant = self.mutant;
        // Asked before the scope is: what is final now is seen in full there.
        let frontier = self.frontier();
        let (floor, scope) = self.look_at_scope(location, reader, frontier);
        let own = Reader { tx: reader, interest: Interest::Value };
        let look = Look { reader, frontier, floor };
        let find = |chain: &mut Chain<L>| chain.find(look, mutant);
        let (found, own) = self.look(hash, location, own, frontier, find);
        Self::resolution(hash, found, own, scope)
    }

    /// Where the life of `location` began, for `reader`.
    fn look_at_scope(
        &self,
        location: &L,
        reader: TxIndex,
        frontier: TxIndex,
    ) -> (Floor, ScopeTrace) {
        let mutant = self.mutant;
        let Some(scope) = location.scope() else { return (Floor::Base, ScopeTrace::Unscoped) };
        if !self.scope_used.load(SeqCst) || is_store_mutant!(mutant, ScopeIgnored) {
            return (Floor::Base, ScopeTrace::NoScopeUsed);
        }
        let life = Reader { tx: reader, interest: Interest::Life };
        let floor = |chain: &mut Chain<L>| chain.floor(reader, mutant);
        let (floor, trace) = self.look(self.hash(&scope), &scope, life, frontier, floor);
        (floor, ScopeTrace::Chain(trace))
    }

    /// Registers a reader and looks at the chain, both under its lock.
    fn look<R>(
        &self,
        hash: LocationHash,
        location: &L,
        reader: Reader,
        frontier: TxIndex,
        find: impl FnOnce(&mut Chain<L>) -> R,
    ) -> (R, Trace) {
        let (shard_index, lock) = self.shard(hash);
        let (mut shard, stamp) = lock.read();
        let (index, chain) = shard.chain(hash, location);
        chain.add_reader(reader, frontier);
        (find(chain), Trace { chain: ChainId { shard: shard_index, index }, stamp })
    }

    /// Whether what `scope` says is as it was. The argument for the flag is that for the stamp
    /// below: it is raised under no lock, but before the entry at the scope is published.
    fn is_scope_unchanged(&self, scope: ScopeTrace) -> bool {
        match scope {
            ScopeTrace::Unscoped => true,
            ScopeTrace::NoScopeUsed => !self.scope_used.load(SeqCst),
            ScopeTrace::Chain(trace) => self.is_unchanged(trace),
        }
    }

    /// Whether the chain behind `trace` is as it was when the trace was taken.
    fn is_unchanged(&self, trace: Trace) -> bool {
        let Some(lock) = self.shards.get(trace.chain.shard as usize) else { return false };
        // Right without the lock. The trace pairs the data with the stamp that was in force under
        // the lock, and each publication draws the next stamp under the lock before it touches
        // the data: if the load returns the stamp of the trace, then in the order in which this
        // one atomic changed no publication lies between the trace and the load. A publication
        // that is just beginning may be missed, as it may be by a check that ends just before it;
        // above the frontier that is a hint that comes late, and its writer names the reader.
        // At the frontier none is missed: whatever a lower transaction published happened before
        // its report was taken from the channel under the role, that happened before this load,
        // and a load never returns a stamp older than one that happened before it.
        if lock.stamp() == trace.stamp {
            return true;
        }
        let (shard, _) = lock.read();
        let chain = shard.chains.get(trace.chain.index as usize);
        chain.is_some_and(|chain| chain.stamp <= trace.stamp)
    }

    /// Whether each recorded read of `reader` still resolves to the same version; a hint.
    #[must_use]
    pub fn is_current(&self, reads: &ReadSet<L>, reader: TxIndex) -> bool {
        self.check(reads, reader, false)
    }

    /// Whether each recorded read of `reader` still resolves to the same version or to an
    /// exactly equal value. With authority, if everything below `reader` is final (I3).
    #[must_use]
    pub fn validate(&self, reads: &ReadSet<L>, reader: TxIndex) -> bool {
        self.check(reads, reader, true)
    }

    fn check(&self, reads: &ReadSet<L>, reader: TxIndex, by_value: bool) -> bool {
        let skipped = usize::from(is_store_mutant!(self.mutant, SkipOneRead));
        reads.records().iter().skip(skipped).all(|record| {
            let seen = &record.seen;
            if self.is_unchanged(seen.own) && self.is_scope_unchanged(seen.scope) {
                return true;
            }
            let now = self.resolve_hashed(seen.hash, &record.location, reader);
            let Resolution::Resolved(now) = now else {
                return false;
            };
            // A fold has no single version: its value is what counts.
            let folded = matches!(seen.origin, Origin::Folded(_));
            let same = now.origin == seen.origin && !folded;
            let any = is_store_mutant!(self.mutant, AnyValueValid);
            same || ((by_value || folded) && (now.value == seen.value || any))
        })
    }

    /// Publishes one entry. Readers that it may concern are added to `stale`.
    pub fn publish(
        &self,
        version: Version,
        location: &L,
        entry: Entry<L>,
        stale: &mut Vec<TxIndex>,
    ) {
        self.change(version.tx, location, stale, |chain| {
            chain.put(version, Kind::Written(entry), self.mutant)
        });
    }

    /// Removes what `version` or an older incarnation of its transaction left at `location`.
    pub fn withdraw(&self, version: Version, location: &L, stale: &mut Vec<TxIndex>) {
        self.change(version.tx, location, stale, |chain| chain.remove(version));
    }

    /// Turns what `version` left at `location` into an estimate.
    pub fn mark_estimate(&self, version: Version, location: &L) {
        if is_store_mutant!(self.mutant, EstimateLost) {
            return;
        }
        self.note_scope(location);
        let hash = self.hash(location);
        self.shard(hash).1.publish(|shard, stamp| {
            let chain = shard.chain(hash, location).1;
            if chain.estimate(version) {
                chain.stamp = stamp;
            }
        });
    }

    /// From now on slots have to look at their scopes.
    fn note_scope(&self, location: &L) {
        if location.is_scope() {
            self.scope_used.store(true, SeqCst);
        }
    }

    fn change(
        &self,
        writer: TxIndex,
        location: &L,
        stale: &mut Vec<TxIndex>,
        change: impl FnOnce(&mut Chain<L>) -> bool,
    ) {
        let reuse = is_store_mutant!(self.mutant, StampReused);
        let silent = is_store_mutant!(self.mutant, HintLost);
        self.note_scope(location);
        let hash = self.hash(location);
        let change = |shard: &mut Shard<L>, stamp| {
            let chain = shard.chain(hash, location).1;
            if change(chain) {
                chain.stamp = if reuse { Stamp::default() } else { stamp };
                if !silent {
                    chain.take_stale_readers(writer, stale);
                }
            }
        };
        let lock = self.shard(hash).1;
        #[cfg(feature = "mutants")]
        if is_store_mutant!(self.mutant, StampOutsideLock) {
            return lock.publish_too_early(change);
        }
        lock.publish(change);
    }
}
