//! Reads without registration: reads of final state, and hints.

use super::chain::{Chain, Floor, Found, Lookup};
use super::location::Location;
use super::place::LocationHash;
use super::resolve::{Origin, Resolved, ScopeTrace, Trace};
use super::store::Store;
use crate::ids::TxIndex;
use crate::sync::SeqCst;

impl<L: Location> Store<L> {
    /// Returns the newest value of `location` below `reader`, and its origin. Everything below
    /// `reader` must be final. `base` returns the value before the block; it is called only if that
    /// value is needed and not known.
    ///
    /// # Errors
    /// Returns the errors of `base`.
    ///
    /// # Panics
    /// Panics if an entry below `reader` is an estimate, which is never final.
    pub fn newest<E>(
        &self,
        location: &L,
        reader: TxIndex,
        base: impl FnOnce() -> Result<L::Value, E>,
    ) -> Result<(L::Value, Origin), E> {
        let floor = self.final_floor(location, reader);
        let lookup = Lookup { reader, frontier: reader, floor };
        match self.find_unrecorded(location, lookup) {
            Some(Found::Seen(origin, value)) => Ok((value, origin)),
            Some(Found::UnknownBase) => {
                self.seed(location, base()?);
                match self.find_unrecorded(location, lookup) {
                    Some(Found::Seen(origin, value)) => Ok((value, origin)),
                    _ => unreachable!("the base value was just supplied"),
                }
            }
            None => match floor {
                Floor::Base => Ok((base()?, Origin::Base)),
                Floor::Tombstone(by) => Ok((location.destroyed(), Origin::Tombstone(by))),
                Floor::Estimate(tx) => unreachable!("{tx:?} is final and left an estimate"),
            },
            Some(Found::Blocked(tx)) => unreachable!("{tx:?} is final and left an estimate"),
        }
    }

    /// Resolves `location`, whose hash is `hash`, for `reader`. Everything below `reader` must be
    /// final: no later change can affect the reader, so it is not registered. `base` returns the
    /// value before the block; it is called only if that value is needed and not known.
    ///
    /// # Errors
    /// Returns the errors of `base`.
    ///
    /// # Panics
    /// Panics if an entry below `reader` is an estimate, which is never final.
    pub fn resolve_settled<E>(
        &self,
        hash: LocationHash,
        location: &L,
        reader: TxIndex,
        base: impl FnOnce() -> Result<L::Value, E>,
    ) -> Result<Resolved<L>, E> {
        let (floor, scope) = self.settled_life(location, reader);
        let lookup = Lookup { reader, frontier: reader, floor };
        let find = |chain: &mut Chain<L>, own: Trace| (chain.find(lookup), own);
        let (mut found, mut own) = self.with_chain(hash, location, find).0;
        if found == Found::UnknownBase {
            self.seed(location, base()?);
            (found, own) = self.with_chain(hash, location, find).0;
        }
        match found {
            Found::Seen(origin, value) => Ok(Resolved { value, origin, hash, own, scope }),
            Found::Blocked(tx) => unreachable!("{tx:?} is final and left an estimate"),
            Found::UnknownBase => unreachable!("the base value was just supplied"),
        }
    }

    fn settled_life(&self, location: &L, reader: TxIndex) -> (Floor, ScopeTrace) {
        let Some(scope) = location.scope() else { return (Floor::Base, ScopeTrace::Unscoped) };
        if !self.scope_used.load(SeqCst) {
            return (Floor::Base, ScopeTrace::NoScopeUsed);
        }
        let floor = |chain: &mut Chain<L>, _| chain.floor(reader);
        let (floor, trace) = self.with_chain(self.hash(&scope), &scope, floor);
        (floor, ScopeTrace::Chain(trace))
    }

    /// Returns the current value of `location` for `reader`, without registering it. The location
    /// must have no scope. Returns `None` if its value is unknown or it has an estimate.
    #[must_use]
    pub fn peek(&self, location: &L, reader: TxIndex) -> Option<L::Value> {
        let lookup = Lookup { reader, frontier: self.frontier(), floor: Floor::Base };
        match self.find_unrecorded(location, lookup)? {
            Found::Seen(_, value) => Some(value),
            Found::Blocked(_) | Found::UnknownBase => None,
        }
    }

    fn find_unrecorded(&self, location: &L, lookup: Lookup) -> Option<Found<L>> {
        let hash = self.hash(location);
        let (mut shard, _) = self.shard(hash).1.read();
        Some(shard.find(hash, location)?.find(lookup))
    }

    fn final_floor(&self, location: &L, reader: TxIndex) -> Floor {
        let scope = location.scope().filter(|_| self.scope_used.load(SeqCst));
        let Some(scope) = scope else { return Floor::Base };
        let hash = self.hash(&scope);
        let (mut shard, _) = self.shard(hash).1.read();
        shard.find(hash, &scope).map_or(Floor::Base, |chain| chain.floor(reader))
    }
}
