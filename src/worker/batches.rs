//! The coordinator's results of private batches, and the commits of their groups.

use super::machine::{Ledger, RanBatch, Workload};
use crate::error::Invariant;
use crate::ids::{BatchId, Chunk, TxIndex};
use crate::mv::{AccessLog, ConflictIndex};
use std::collections::VecDeque;

/// Results of the private batches, and an index of the writes that they have committed.
pub(super) struct Batches<W: Workload> {
    kept: Vec<Option<KeptBatch<W>>>,
    pub(super) index: ConflictIndex<W::Location>,
    /// Number of batches that committed at least one transaction.
    pub(super) committed: u64,
    /// Number of batches that were reported by a helper.
    pub(super) helped: u64,
}

/// Results of a batch that are not committed yet.
struct KeptBatch<W: Workload> {
    groups: VecDeque<(Chunk, W::Group)>,
    /// Accesses of all groups.
    log: Option<AccessLog<W::Location>>,
    has_committed: bool,
}

impl<W: Workload> Batches<W> {
    pub(super) fn new(index: ConflictIndex<W::Location>, batches: usize) -> Self {
        let kept = core::iter::repeat_with(|| None).take(batches).collect();
        Self { kept, index, committed: 0, helped: 0 }
    }

    fn kept(&mut self, id: BatchId) -> Option<&mut KeptBatch<W>> {
        self.kept.get_mut(id.position())?.as_mut()
    }

    /// Stores the results of a run.
    pub(super) fn keep(&mut self, id: BatchId, ran: RanBatch<W::Location, W::Group>) {
        let RanBatch { groups, log } = ran;
        let new = KeptBatch { groups: groups.into(), log, has_committed: false };
        if let Some(kept) = self.kept.get_mut(id.position()) {
            *kept = Some(new);
        }
    }

    /// Returns the lowest member of the batch that conflicts with the commits so far. `tx` is the
    /// first member.
    pub(super) fn compare(&self, id: BatchId, tx: TxIndex) -> Result<Option<TxIndex>, Invariant> {
        let kept = self.kept.get(id.position()).and_then(Option::as_ref);
        let log = kept.and_then(|kept| kept.log.as_ref());
        Ok(self.index.first_conflict(log.ok_or(Invariant::MissingResult { tx })?))
    }

    /// Returns whether the block has room for the next group of the batch, which must be `group`.
    pub(super) fn admits<G>(
        &mut self,
        id: BatchId,
        group: Chunk,
        ledger: &mut G,
    ) -> Result<bool, Invariant>
    where
        G: Ledger<Group = W::Group>,
    {
        let missing = Invariant::MissingResult { tx: group.first };
        let Some((txs, results)) = self.kept(id).and_then(|kept| kept.groups.front()) else {
            return Err(missing);
        };
        if *txs == group { Ok(ledger.admits(group, results)) } else { Err(missing) }
    }

    /// Commits the next group of the batch and returns its results.
    pub(super) fn commit(&mut self, id: BatchId, group: Chunk) -> Result<W::Group, Invariant> {
        let missing = Invariant::MissingResult { tx: group.first };
        let Self { kept, index, committed, .. } = self;
        let Some(Some(own)) = kept.get_mut(id.position()) else { return Err(missing) };
        let Some((txs, results)) = own.groups.pop_front() else { return Err(missing) };
        if txs != group {
            return Err(missing);
        }
        *committed += u64::from(!core::mem::replace(&mut own.has_committed, true));
        let log = own.log.as_ref().ok_or(Invariant::MissingResult { tx: group.first })?;
        if cfg!(debug_assertions) && !index.allows(log, id, group.first) {
            return Err(Invariant::StaleCommit { tx: group.first });
        }
        if !mutant!(GroupUnindexed) {
            index.commit_group(id, log, group.first);
        }
        Ok(results)
    }
}
