//! Lookups in the store, and the registration of readers.

use super::chain::{Chain, Floor, Found, Interest, Lookup, Reader};
use super::events::StoreEvent;
use super::location::Location;
use super::place::{ChainId, LocationHash};
use super::resolve::{Resolution, Resolved, ScopeTrace, Trace};
use super::store::Store;
use super::versioned_lock::Stamp;
use crate::ids::TxIndex;
use crate::sync::SeqCst;
use crate::trace::Ticket;

/// Result of a lookup in the scope of a location.
#[derive(Clone, Copy)]
struct LifeLookup {
    floor: Floor,
    scope: ScopeTrace,
    ticket: Ticket,
}

impl LifeLookup {
    /// Returns the ticket of the lookup in the scope's chain, if there was such a lookup.
    fn ticket(&self) -> Option<Ticket> {
        matches!(self.scope, ScopeTrace::Chain(_)).then_some(self.ticket)
    }
}

impl<L: Location> Store<L> {
    /// Sets the base value of `location`, which [`Resolution::NeedsBase`] requested from `reader`,
    /// and resolves again. If a base value is already known, it stays.
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
        let life = self.lookup_life(location, reader, frontier);
        let lookup = Lookup { reader, frontier, floor: life.floor };
        let found = self.shards.get(id.shard as usize).and_then(|lock| {
            let (mut shard, stamp) = lock.read();
            let chain = shard.chains.get_mut(id.index as usize)?;
            self.log
                .record(|| StoreEvent::Base { location: location.clone(), value: value.clone() });
            chain.set_base(value);
            // The reader may have been named and removed since the request.
            chain.add_reader(Reader { tx: reader, interest: Interest::Value }, frontier);
            let own = Trace { chain: id, stamp };
            Some((chain.hash, self.find(chain, lookup, own, began, life), own))
        });
        match found {
            Some((hash, found, own)) => Self::resolution(hash, found, own, life.scope),
            // `id` belongs to another store.
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

    /// Returns the base value of `location`, if it is known.
    #[must_use]
    pub fn base(&self, location: &L) -> Option<L::Value> {
        let hash = self.hash(location);
        let (mut shard, _) = self.shard(hash).1.read();
        shard.chain(hash, location).1.base().cloned()
    }

    /// Resolves `location` for a reader at index `reader`. The reader is registered, so that a
    /// later publication can name it as possibly stale.
    ///
    /// A scoped location resolves together with its scope: the newer entry wins, and at the same
    /// version the tombstone lies below the writes. The two are looked up in turn, each with its
    /// own stamp; a publication in between changes the first stamp.
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
        self.resolve_or(hash, location, reader, |_| None)
    }

    /// As [`resolve_hashed`](Self::resolve_hashed), for a speculative run: if a running lower
    /// transaction will probably write the location, the reader is blocked as if by an estimate,
    /// because a run that reads the current value would probably abort.
    #[must_use]
    pub fn resolve_ahead(
        &self,
        hash: LocationHash,
        location: &L,
        reader: TxIndex,
    ) -> Resolution<L> {
        if !self.running.has_others() {
            return self.resolve_hashed(hash, location, reader);
        }
        self.resolve_or(hash, location, reader, |chain| {
            chain.likely_writer(reader, self.running.iter())
        })
    }

    /// Resolves `location`, unless `predict` returns a transaction to wait for.
    fn resolve_or(
        &self,
        hash: LocationHash,
        location: &L,
        reader: TxIndex,
        predict: impl FnOnce(&Chain<L>) -> Option<TxIndex>,
    ) -> Resolution<L> {
        let began = Ticket::now();
        // Loaded before the scope is looked up, so that the lookup sees everything below it.
        let frontier = self.frontier();
        let life = self.lookup_life(location, reader, frontier);
        let own = Reader { tx: reader, interest: Interest::Value };
        let lookup = Lookup { reader, frontier, floor: life.floor };
        let find = |chain: &mut Chain<L>, trace| {
            if let Some(on) = predict(chain) {
                // The reader is not registered, because it has read no value.
                let life = life.ticket();
                let location = || chain.location.clone();
                self.log.record(|| StoreEvent::Predicted {
                    reader,
                    location: location(),
                    began,
                    life,
                    on,
                });
                return Found::Blocked(on);
            }
            chain.add_reader(own, frontier);
            self.find(chain, lookup, trace, began, life)
        };
        let (found, own) = self.with_chain(hash, location, find);
        Self::resolution(hash, found, own, life.scope)
    }

    /// Resolves a read in `chain`, whose lock is held.
    fn find(
        &self,
        chain: &mut Chain<L>,
        lookup: Lookup,
        own: Trace,
        began: Ticket,
        life: LifeLookup,
    ) -> Found<L> {
        let found = chain.find(lookup);
        self.log.record(|| StoreEvent::Look {
            reader: lookup.reader,
            location: chain.location.clone(),
            at: own.into(),
            began,
            life: life.ticket(),
            found: found.clone(),
        });
        found
    }

    /// Returns where the life of `location` began, as `reader` sees it.
    fn lookup_life(&self, location: &L, reader: TxIndex, frontier: TxIndex) -> LifeLookup {
        let at_base = |scope| LifeLookup { floor: Floor::Base, scope, ticket: Ticket::default() };
        let Some(scope) = location.scope() else { return at_base(ScopeTrace::Unscoped) };
        if !self.scope_used.load(SeqCst) || mutant!(ScopeIgnored) {
            return at_base(ScopeTrace::NoScopeUsed);
        }
        let life = Reader { tx: reader, interest: Interest::Life };
        let floor = |chain: &mut Chain<L>, at: Trace| {
            chain.add_reader(life, frontier);
            let floor = chain.floor(reader);
            let scope = || chain.location.clone();
            let event = || StoreEvent::Life { reader, scope: scope(), at: at.into(), floor };
            (floor, self.log.record(event))
        };
        let ((floor, ticket), trace) = self.with_chain(self.hash(&scope), &scope, floor);
        LifeLookup { floor, scope: ScopeTrace::Chain(trace), ticket }
    }

    /// Runs `find` on the chain of `location`, under the chain's lock.
    pub(super) fn with_chain<R>(
        &self,
        hash: LocationHash,
        location: &L,
        find: impl FnOnce(&mut Chain<L>, Trace) -> R,
    ) -> (R, Trace) {
        let (shard_index, lock) = self.shard(hash);
        let (mut shard, stamp) = lock.read();
        let (index, chain) = shard.chain(hash, location);
        let is_missed = mutant!(MissUnnoticed) && chain.stamp == Stamp::default();
        let stamp = if is_missed { Stamp::LAST } else { stamp };
        let trace = Trace { chain: ChainId { shard: shard_index, index }, stamp };
        (find(chain, trace), trace)
    }
}
