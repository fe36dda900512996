//! Comparing what was read with what would be read now: hints and validation.

use super::events::StoreEvent;
use super::location::Location;
use super::mutants::is_store_mutant;
use super::resolve::{Origin, Resolution, Resolved, ScopeTrace, Trace};
use super::sets::ReadSet;
use super::store::Store;
use crate::ids::TxIndex;
use crate::sync::SeqCst;

impl<L: Location> Store<L> {
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
        // its report was taken from the channel under the coordinator lock, that happened before
        // this load, and a load never returns a stamp older than one that happened before it.
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

    /// The same for those who check the rules: where a log is kept, which would show it, the replay
    /// of the log does that, and this says yes.
    pub(crate) fn would_hold(&self, reads: &ReadSet<L>, reader: TxIndex) -> bool {
        self.log.is_on() || self.all_hold(reads, reader, true)
    }

    /// Whether nothing has changed where `reads` were made, by whatever transaction; a hint.
    pub(super) fn is_untouched(&self, reads: &ReadSet<L>) -> bool {
        let is_untouched =
            |seen: &Resolved<L>| self.is_unchanged(seen.own) && self.is_scope_unchanged(seen.scope);
        reads.records().iter().all(|record| is_untouched(&record.seen))
    }

    fn check(&self, reads: &ReadSet<L>, reader: TxIndex, by_value: bool) -> bool {
        self.log.note(|| StoreEvent::CheckBegan { reader, by_value });
        let holds = self.all_hold(reads, reader, by_value);
        self.log.note(|| StoreEvent::CheckEnded { reader, holds });
        holds
    }

    fn all_hold(&self, reads: &ReadSet<L>, reader: TxIndex, by_value: bool) -> bool {
        let mutant = self.mutant;
        let skipped = usize::from(is_store_mutant!(mutant, SkipOneRead));
        let too_low = u32::from(is_store_mutant!(mutant, WrongReader));
        let reader = TxIndex(reader.0.saturating_sub(too_low));
        let by_value = by_value || is_store_mutant!(mutant, HintByValue);
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
            let equal = now.value == seen.value || self.is_mistaken(&now.value, &seen.value);
            same || ((by_value || folded) && equal)
        })
    }

    /// Seeded bugs: whether two values that differ pass for equal.
    fn is_mistaken(&self, one: &L::Value, other: &L::Value) -> bool {
        #[cfg(feature = "mutants")]
        if is_store_mutant!(self.mutant, AbsentEqualsZero) {
            return L::mistaken(one) == L::mistaken(other);
        }
        let _ = (one, other);
        is_store_mutant!(self.mutant, AnyValueValid)
    }
}
