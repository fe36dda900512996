//! The store: shards of version chains.

use super::chain::{Chain, Floor, Found, Interest, Kind, Look, Reader};
use super::events::{Change, StoreEvent};
use super::location::{Entry, Location};
use super::mutants::{StoreMutant, is_store_mutant};
use super::resolve::{Resolution, Resolved, ScopeTrace, Trace};
use super::shard::Shard;
use super::versioned_lock::{Stamp, VersionedLock};
use crate::ids::{TxIndex, Version};
use crate::sync::{AtomicBool, AtomicU32, SeqCst};
use crate::trace::{Log, Ticket};
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
    pub(super) shard: u32,
    pub(super) index: u32,
}

/// What a look at the scope of a location came to.
#[derive(Clone, Copy)]
struct LifeLook {
    floor: Floor,
    scope: ScopeTrace,
    ticket: Ticket,
}

/// All versions of all locations of one block.
#[derive(Debug)]
pub struct Store<L: Location> {
    pub(super) shards: Box<[VersionedLock<Shard<L>>]>,
    hasher: RandomState,
    /// Whether anything was ever changed at a scope: almost no block ends the life of an
    /// account, and then no slot needs to look there.
    pub(super) scope_used: AtomicBool,
    /// Everything below is final. It may lag behind.
    frontier: AtomicU32,
    pub(super) mutant: StoreMutant,
    pub(super) log: Log<StoreEvent<L>>,
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
        // They do not fall evenly.
        let each = locations / shards + locations / shards / 4;
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
            log: Log::off(),
        }
    }

    /// The store of another block, in the memory of this one: fresh pages take the time of some
    /// transactions.
    #[must_use]
    pub fn emptied(self) -> Self {
        let Self { shards, hasher, mutant, .. } = self;
        if is_store_mutant!(mutant, NotEmptied) {
            return Self { shards, hasher, ..Self::new(1) };
        }
        let emptied =
            |lock: VersionedLock<Shard<L>>| VersionedLock::new(lock.into_inner().emptied());
        Self { shards: shards.into_iter().map(emptied).collect(), ..Self::new(1) }
    }

    /// Number of shards.
    #[must_use]
    pub const fn shards(&self) -> usize {
        self.shards.len()
    }

    /// From now on all that it does is noted.
    #[cfg(feature = "trace")]
    pub fn start_trace(&mut self) {
        self.log = Log::on();
    }

    /// All that was noted so far.
    #[cfg(feature = "trace")]
    #[must_use]
    pub fn take_trace(&mut self) -> Vec<(Ticket, StoreEvent<L>)> {
        core::mem::replace(&mut self.log, Log::off()).into_events()
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

    pub(super) fn shard(&self, hash: LocationHash) -> (u32, &VersionedLock<Shard<L>>) {
        // The table uses the low and the topmost bits; the shard takes bits between.
        let index = (hash.bits() >> 40) as usize & (self.shards.len() - 1);
        let [shard, ..] = self.shards.get(index..).unwrap_or_default() else {
            unreachable!("the mask keeps the index below the number of shards")
        };
        (u32::try_from(index).unwrap_or(u32::MAX), shard)
    }

    /// Tells the store that everything below `frontier` is final.
    pub fn set_frontier(&self, frontier: TxIndex) {
        self.log.note(|| StoreEvent::Frontier(frontier));
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
        self.log.note(|| StoreEvent::Base { location: location.clone(), value: value.clone() });
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
        let began = Ticket::now();
        let frontier = self.frontier();
        let life = self.look_at_scope(location, reader, frontier);
        let look = Look { reader, frontier, floor: life.floor };
        let found = self.shards.get(id.shard as usize).and_then(|lock| {
            let (mut shard, stamp) = lock.read();
            let chain = shard.chains.get_mut(id.index as usize)?;
            self.log.note(|| StoreEvent::Base { location: location.clone(), value: value.clone() });
            chain.set_base(value, self.mutant);
            // Again: since it asked, it may have been named and forgotten.
            chain.add_reader(Reader { tx: reader, interest: Interest::Value }, frontier);
            let own = Trace { chain: id, stamp };
            Some((chain.hash, self.find(chain, look, own, (began, life)), own))
        });
        match found {
            Some((hash, found, own)) => Self::resolution(hash, found, own, life.scope),
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
        let began = Ticket::now();
        // Asked before the scope is: what is final now is seen in full there.
        let frontier = self.frontier();
        let life = self.look_at_scope(location, reader, frontier);
        let own = Reader { tx: reader, interest: Interest::Value };
        let look = Look { reader, frontier, floor: life.floor };
        let find = |chain: &mut Chain<L>, own| self.find(chain, look, own, (began, life));
        let (found, own) = self.look(hash, location, own, frontier, find);
        Self::resolution(hash, found, own, life.scope)
    }

    /// What a reader finds in a chain, under its lock.
    fn find(
        &self,
        chain: &mut Chain<L>,
        look: Look,
        own: Trace,
        (began, life): (Ticket, LifeLook),
    ) -> Found<L> {
        let found = chain.find(look, self.mutant);
        self.log.note(|| StoreEvent::Look {
            reader: look.reader,
            location: chain.location.clone(),
            at: own.into(),
            began,
            life: matches!(life.scope, ScopeTrace::Chain(_)).then_some(life.ticket),
            found: found.clone(),
        });
        found
    }

    /// Where the life of `location` began, for `reader`.
    fn look_at_scope(&self, location: &L, reader: TxIndex, frontier: TxIndex) -> LifeLook {
        let unseen = |scope| LifeLook { floor: Floor::Base, scope, ticket: Ticket::default() };
        let Some(scope) = location.scope() else { return unseen(ScopeTrace::Unscoped) };
        if !self.scope_used.load(SeqCst) || is_store_mutant!(self.mutant, ScopeIgnored) {
            return unseen(ScopeTrace::NoScopeUsed);
        }
        let life = Reader { tx: reader, interest: Interest::Life };
        let floor = |chain: &mut Chain<L>, at: Trace| {
            let floor = chain.floor(reader, self.mutant);
            let scope = || chain.location.clone();
            let seen = || StoreEvent::Life { reader, scope: scope(), at: at.into(), floor };
            (floor, self.log.note(seen))
        };
        let ((floor, ticket), trace) = self.look(self.hash(&scope), &scope, life, frontier, floor);
        LifeLook { floor, scope: ScopeTrace::Chain(trace), ticket }
    }

    /// Registers a reader and looks at the chain, both under its lock.
    fn look<R>(
        &self,
        hash: LocationHash,
        location: &L,
        reader: Reader,
        frontier: TxIndex,
        find: impl FnOnce(&mut Chain<L>, Trace) -> R,
    ) -> (R, Trace) {
        let (shard_index, lock) = self.shard(hash);
        let (mut shard, stamp) = lock.read();
        let (index, chain) = shard.chain(hash, location);
        chain.add_reader(reader, frontier);
        let missed =
            is_store_mutant!(self.mutant, MissUnnoticed) && chain.stamp == Stamp::default();
        let stamp = if missed { Stamp::LAST } else { stamp };
        let trace = Trace { chain: ChainId { shard: shard_index, index }, stamp };
        (find(chain, trace), trace)
    }

    /// Whether readers that a change at `location` concerns may be unknown here: a slot looks at its
    /// scope only once some scope was used. Whoever may have read anything has to be named then.
    #[must_use]
    pub fn has_unknown_readers(&self, location: &L) -> bool {
        location.is_scope() && !is_store_mutant!(self.mutant, ScopeSilent)
    }

    /// Publishes one entry. Readers that it may concern are added to `stale`, those that are known.
    pub fn publish(
        &self,
        version: Version,
        location: &L,
        entry: Entry<L>,
        stale: &mut Vec<TxIndex>,
    ) {
        self.change(version, location, stale, Change::Put(entry));
    }

    /// Removes what `version` or an older incarnation of its transaction left at `location`.
    pub fn withdraw(&self, version: Version, location: &L, stale: &mut Vec<TxIndex>) {
        self.change(version, location, stale, Change::Remove);
    }

    /// Turns what `version` left at `location` into an estimate. Nobody is named: what replaces
    /// the estimate does that.
    pub fn mark_estimate(&self, version: Version, location: &L) {
        if !is_store_mutant!(self.mutant, EstimateLost) {
            self.change(version, location, &mut Vec::new(), Change::Estimate);
        }
    }

    fn change(&self, version: Version, location: &L, stale: &mut Vec<TxIndex>, change: Change<L>) {
        if location.is_scope() {
            // From now on slots have to look at their scopes.
            self.scope_used.store(true, SeqCst);
        }
        let hash = self.hash(location);
        let (shard_index, lock) = self.shard(hash);
        let change = |shard: &mut Shard<L>, stamp| {
            let (index, chain) = shard.chain(hash, location);
            let before = stale.len();
            let noted = self.log.is_on().then(|| change.clone());
            let took = self.apply(chain, version, change, stamp, stale);
            self.log.note(|| StoreEvent::Changed {
                version,
                location: location.clone(),
                change: noted.unwrap_or(Change::Remove),
                at: Trace { chain: ChainId { shard: shard_index, index }, stamp }.into(),
                took,
                stale: stale.get(before..).unwrap_or_default().to_vec(),
            });
        };
        #[cfg(feature = "mutants")]
        if is_store_mutant!(self.mutant, StampOutsideLock) {
            return lock.publish_too_early(change);
        } else if is_store_mutant!(self.mutant, ReleasedEarly) {
            return lock.publish_in_two_steps(change);
        }
        lock.publish(change);
    }

    /// Changes a chain under its lock. Tells whether it did.
    fn apply(
        &self,
        chain: &mut Chain<L>,
        version: Version,
        change: Change<L>,
        stamp: Stamp,
        stale: &mut Vec<TxIndex>,
    ) -> bool {
        let names = !matches!(change, Change::Estimate) && !is_store_mutant!(self.mutant, HintLost);
        let took = match change {
            Change::Put(entry) => chain.put(version, Kind::Written(entry), self.mutant),
            Change::Remove => chain.remove(version),
            Change::Estimate => chain.estimate(version),
        };
        if took {
            let reuse = is_store_mutant!(self.mutant, StampReused);
            chain.stamp = if reuse { Stamp::default() } else { stamp };
            if names {
                chain.take_stale_readers(version.tx, stale);
            }
        }
        took
    }
}
