//! Comparison of recorded reads with the current state: hints and validation.

use super::events::StoreEvent;
use super::location::Location;
use super::resolve::{Origin, Resolution, Resolved, ScopeTrace, Trace};
use super::sets::ReadSet;
use super::store::Store;
use crate::ids::TxIndex;
use crate::sync::SeqCst;

impl<L: Location> Store<L> {
    /// Returns whether the scope is unchanged. The argument for `scope_used` is the same as for the
    /// stamp in `is_unchanged`: it is set without a lock, but before the entry at the scope is
    /// published.
    fn is_scope_unchanged(&self, scope: ScopeTrace) -> bool {
        match scope {
            ScopeTrace::Unscoped => true,
            ScopeTrace::NoScopeUsed => !self.scope_used.load(SeqCst),
            ScopeTrace::Chain(trace) => self.is_unchanged(trace),
        }
    }

    /// Returns whether the chain of `trace` is unchanged since the trace was taken.
    fn is_unchanged(&self, trace: Trace) -> bool {
        let Some(lock) = self.shards.get(trace.chain.shard as usize) else { return false };
        // No lock is needed. The trace pairs the data with the stamp that was current under the
        // lock, and each publication draws the next stamp under the lock before it changes the
        // data. So if the load returns the stamp of the trace, no publication lies between the two
        // in the modification order of this atomic. The check may miss a publication that has just
        // begun, as if it had ended before. Above the frontier this is harmless, because the check
        // is a hint and the writer names the reader. At the frontier no publication is missed:
        // every publication of a lower transaction happened before its report was received under
        // the coordinator lock, which happened before this load, and a load never returns a stamp
        // older than one that happened before it.
        if lock.stamp() == trace.stamp {
            return true;
        }
        let (shard, _) = lock.read();
        let chain = shard.chains.get(trace.chain.index as usize);
        chain.is_some_and(|chain| chain.stamp <= trace.stamp)
    }

    /// Returns whether each read of `reader` still resolves to the same version; a hint.
    #[must_use]
    pub fn is_current(&self, reads: &ReadSet<L>, reader: TxIndex) -> bool {
        self.check(reads, reader, false)
    }

    /// Returns whether each read of `reader` still resolves to the same version or to an exactly
    /// equal value. The answer is authoritative if everything below `reader` is final (I3).
    #[must_use]
    pub fn validate(&self, reads: &ReadSet<L>, reader: TxIndex) -> bool {
        self.check(reads, reader, true)
    }

    /// As [`validate`](Self::validate), for debug checks. Returns true if the store records events:
    /// the lookups would appear in the log, and its replay performs the same check.
    pub(crate) fn would_hold(&self, reads: &ReadSet<L>, reader: TxIndex) -> bool {
        self.log.is_on() || self.all_hold(reads, reader, true)
    }

    /// Returns whether no transaction has changed any location or scope of `reads`; a hint.
    pub(super) fn is_untouched(&self, reads: &ReadSet<L>) -> bool {
        let is_untouched =
            |seen: &Resolved<L>| self.is_unchanged(seen.own) && self.is_scope_unchanged(seen.scope);
        reads.records().iter().all(|record| is_untouched(&record.seen))
    }

    fn check(&self, reads: &ReadSet<L>, reader: TxIndex, by_value: bool) -> bool {
        self.log.record(|| StoreEvent::CheckBegan { reader, by_value });
        let holds = self.all_hold(reads, reader, by_value);
        self.log.record(|| StoreEvent::CheckEnded { reader, holds });
        holds
    }

    fn all_hold(&self, reads: &ReadSet<L>, reader: TxIndex, by_value: bool) -> bool {
        let skipped = usize::from(mutant!(SkipOneRead));
        let too_low = u32::from(mutant!(WrongReader));
        let reader = TxIndex(reader.0.saturating_sub(too_low));
        let by_value = by_value || mutant!(HintByValue);
        reads.records().iter().skip(skipped).all(|record| {
            let seen = &record.seen;
            if self.is_unchanged(seen.own) && self.is_scope_unchanged(seen.scope) {
                return true;
            }
            let now = self.resolve_hashed(seen.hash, &record.location, reader);
            let Resolution::Resolved(now) = now else {
                return false;
            };
            // A fold has no single version, so its value is compared.
            let folded = matches!(seen.origin, Origin::Folded(_));
            let same = now.origin == seen.origin && !folded;
            let equal = now.value == seen.value || self.is_mistaken(&now.value, &seen.value);
            same || ((by_value || folded) && equal)
        })
    }

    /// Returns whether a seeded bug takes two different values for equal.
    fn is_mistaken(&self, one: &L::Value, other: &L::Value) -> bool {
        #[cfg(feature = "mutants")]
        if mutant!(AbsentEqualsZero) {
            return L::mistaken(one) == L::mistaken(other);
        }
        let _ = (one, other);
        mutant!(AnyValueValid)
    }
}
