//! Looking into the store: what a reader finds at a location, and who is remembered for it.

use super::chain::{Chain, Floor, Found, Interest, Look, Reader};
use super::events::StoreEvent;
use super::location::Location;
use super::mutants::is_store_mutant;
use super::place::{ChainId, LocationHash};
use super::resolve::{Resolution, Resolved, ScopeTrace, Trace};
use super::store::Store;
use super::versioned_lock::Stamp;
use crate::ids::TxIndex;
use crate::sync::SeqCst;
use crate::trace::Ticket;

/// What a look at the scope of a location came to.
#[derive(Clone, Copy)]
struct LifeLook {
    floor: Floor,
    scope: ScopeTrace,
    ticket: Ticket,
}

impl LifeLook {
    /// Of the look at the scope's chain, if there was one.
    fn ticket(&self) -> Option<Ticket> {
        matches!(self.scope, ScopeTrace::Chain(_)).then_some(self.ticket)
    }
}

impl<L: Location> Store<L> {
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
        self.resolve_or(hash, location, reader, |_| None)
    }

    /// The same for a run that may be wasted: where a lower transaction that runs at the moment
    /// will probably write, it is blocked as if that one's estimate were there. What it would see
    /// now would probably have to be thrown away.
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
            chain.likely_writer(reader, self.running.iter(), self.mutant)
        })
    }

    /// What `reader` finds, unless `predict` finds a transaction to wait for.
    fn resolve_or(
        &self,
        hash: LocationHash,
        location: &L,
        reader: TxIndex,
        predict: impl FnOnce(&Chain<L>) -> Option<TxIndex>,
    ) -> Resolution<L> {
        let began = Ticket::now();
        // Asked before the scope is: what is final now is seen in full there.
        let frontier = self.frontier();
        let life = self.look_at_scope(location, reader, frontier);
        let own = Reader { tx: reader, interest: Interest::Value };
        let look = Look { reader, frontier, floor: life.floor };
        let find = |chain: &mut Chain<L>, trace| {
            if let Some(on) = predict(chain) {
                // Nothing was seen that a change could concern.
                let life = life.ticket();
                let location = || chain.location.clone();
                self.log.note(|| StoreEvent::Predicted {
                    reader,
                    location: location(),
                    began,
                    life,
                    on,
                });
                return Found::Blocked(on);
            }
            chain.add_reader(own, frontier);
            self.find(chain, look, trace, (began, life))
        };
        let (found, own) = self.look(hash, location, find);
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
            life: life.ticket(),
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
            chain.add_reader(life, frontier);
            let floor = chain.floor(reader, self.mutant);
            let scope = || chain.location.clone();
            let seen = || StoreEvent::Life { reader, scope: scope(), at: at.into(), floor };
            (floor, self.log.note(seen))
        };
        let ((floor, ticket), trace) = self.look(self.hash(&scope), &scope, floor);
        LifeLook { floor, scope: ScopeTrace::Chain(trace), ticket }
    }

    /// Looks at a chain under its lock.
    pub(super) fn look<R>(
        &self,
        hash: LocationHash,
        location: &L,
        find: impl FnOnce(&mut Chain<L>, Trace) -> R,
    ) -> (R, Trace) {
        let (shard_index, lock) = self.shard(hash);
        let (mut shard, stamp) = lock.read();
        let (index, chain) = shard.chain(hash, location);
        let missed =
            is_store_mutant!(self.mutant, MissUnnoticed) && chain.stamp == Stamp::default();
        let stamp = if missed { Stamp::LAST } else { stamp };
        let trace = Trace { chain: ChainId { shard: shard_index, index }, stamp };
        (find(chain, trace), trace)
    }
}
