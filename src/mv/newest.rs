//! Unregistered reads: of final state, and as hints.

use super::chain::{Chain, Floor, Found, Look};
use super::location::Location;
use super::place::LocationHash;
use super::resolve::{Origin, Resolved, ScopeTrace, Trace};
use super::store::Store;
use crate::ids::TxIndex;
use crate::sync::SeqCst;

impl<L: Location> Store<L> {
    /// Returns the newest value of `location` below `reader`, where everything is final, and its
    /// origin. `base` returns the value before the block, and is called only if that value is
    /// needed and not known.
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
        let look = Look { reader, frontier: reader, floor };
        match self.find_unrecorded(location, look) {
            Some(Found::Seen(origin, value)) => Ok((value, origin)),
            Some(Found::UnknownBase) => {
                self.seed(location, base()?);
                match self.find_unrecorded(location, look) {
                    Some(Found::Seen(origin, value)) => Ok((value, origin)),
                    _ => unreachable!("the base value has just been put there"),
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

    /// Resolves `location`, whose hash is `hash`, for `reader`, below which everything is final. No
    /// later change can affect the reader, so it is not registered. `base` returns the value before
    /// the block, and is called only if that value is not known.
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
        let look = Look { reader, frontier: reader, floor };
        let find = |chain: &mut Chain<L>, own: Trace| (chain.find(look), own);
        let (mut found, mut own) = self.look(hash, location, find).0;
        if found == Found::UnknownBase {
            self.seed(location, base()?);
            (found, own) = self.look(hash, location, find).0;
        }
        match found {
            Found::Seen(origin, value) => Ok(Resolved { value, origin, hash, own, scope }),
            Found::Blocked(tx) => unreachable!("{tx:?} is final and left an estimate"),
            Found::UnknownBase => unreachable!("the base value has just been put there"),
        }
    }

    fn settled_life(&self, location: &L, reader: TxIndex) -> (Floor, ScopeTrace) {
        let Some(scope) = location.scope() else { return (Floor::Base, ScopeTrace::Unscoped) };
        if !self.scope_used.load(SeqCst) {
            return (Floor::Base, ScopeTrace::NoScopeUsed);
        }
        let floor = |chain: &mut Chain<L>, _| chain.floor(reader);
        let (floor, trace) = self.look(self.hash(&scope), &scope, floor);
        (floor, ScopeTrace::Chain(trace))
    }

    /// Returns the value that a reader would find now at `location`, which must have no scope. The
    /// reader is not registered. Returns `None` if the location is unknown or has an estimate.
    #[must_use]
    pub fn peek(&self, location: &L, reader: TxIndex) -> Option<L::Value> {
        let look = Look { reader, frontier: self.frontier(), floor: Floor::Base };
        match self.find_unrecorded(location, look)? {
            Found::Seen(_, value) => Some(value),
            Found::Blocked(_) | Found::UnknownBase => None,
        }
    }

    fn find_unrecorded(&self, location: &L, look: Look) -> Option<Found<L>> {
        let hash = self.hash(location);
        let (mut shard, _) = self.shard(hash).1.read();
        Some(shard.find(hash, location)?.find(look))
    }

    fn final_floor(&self, location: &L, reader: TxIndex) -> Floor {
        let scope = location.scope().filter(|_| self.scope_used.load(SeqCst));
        let Some(scope) = scope else { return Floor::Base };
        let hash = self.hash(&scope);
        let (mut shard, _) = self.shard(hash).1.read();
        shard.find(hash, &scope).map_or(Floor::Base, |chain| chain.floor(reader))
    }
}
