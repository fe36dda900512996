//! What the role keeps of private batches, and how their groups commit.

use super::coordinator::Coordinator;
use super::machine::{Ledger, LedgerOf, RanBatch, Workload};
use super::mutants::{WorkerMutant, is_worker_mutant};
use super::shared::Shared;
use crate::error::Invariant;
use crate::ids::{BatchId, Chunk, Incarnation, TxIndex, Version};
use crate::mv::{AccessLog, ConflictIndex, Entry, Watch};
use crate::protocol::Event;
use std::collections::VecDeque;

/// Results of the private batches, and what was committed since they began.
pub(super) struct Batches<W: Workload> {
    kept: Vec<Option<Kept<W>>>,
    pub(super) index: ConflictIndex<W::Location>,
    /// Batches of which something was committed.
    pub(super) committed: u64,
}

/// What the last run of a batch has left.
struct Kept<W: Workload> {
    snapshot: TxIndex,
    groups: VecDeque<(Chunk, W::Group)>,
    log: AccessLog<W::Location>,
    /// From the first comparison on, if others commit between its transactions.
    watch: Option<Watch>,
    has_committed: bool,
}

impl<W: Workload> Batches<W> {
    pub(super) fn new(index: ConflictIndex<W::Location>, batches: usize) -> Self {
        let kept = core::iter::repeat_with(|| None).take(batches).collect();
        Self { kept, index, committed: 0 }
    }

    fn kept(&mut self, id: BatchId) -> Option<&mut Kept<W>> {
        self.kept.get_mut(id.0 as usize)?.as_mut()
    }

    /// Keeps what a run has left.
    pub(super) fn keep(
        &mut self,
        id: BatchId,
        snapshot: TxIndex,
        ran: RanBatch<W::Location, W::Group>,
        replaces: bool,
    ) {
        let RanBatch { groups, log } = ran;
        let (watch, has_committed) = (None, false);
        let new = Kept { snapshot, groups: groups.into(), log, watch, has_committed };
        if let Some(kept) = self.kept.get_mut(id.0 as usize)
            && (replaces || kept.is_none())
        {
            *kept = Some(new);
        }
    }

    pub(super) fn discard(&mut self, id: BatchId) {
        if let Some(kept) = self.kept.get_mut(id.0 as usize) {
            *kept = None;
        }
    }

    /// The lowest member of the batch that may not commit, by what others have committed so far.
    pub(super) fn compare(&mut self, id: BatchId, mutant: WorkerMutant) -> Option<TxIndex> {
        let kept = self.kept.get_mut(id.0 as usize)?.as_mut()?;
        if let Some(watch) = &kept.watch {
            return watch.bound();
        }
        let conflict = self.index.first_conflict(&kept.log, id, kept.snapshot);
        if kept.log.has_gaps() {
            let mut watch = kept.log.watch();
            if !is_worker_mutant!(mutant, VerdictForgotten) {
                watch.forbid(conflict);
            }
            kept.watch = Some(watch);
        }
        conflict
    }

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
        let Some((txs, left)) = self.kept(id).and_then(|kept| kept.groups.front()) else {
            return Err(missing);
        };
        if *txs == group { Ok(ledger.admits(group, left)) } else { Err(missing) }
    }

    /// The next group of the batch is committed: takes out what it has left.
    fn commit(
        &mut self,
        id: BatchId,
        group: Chunk,
        unindexed: bool,
    ) -> Result<W::Group, Invariant> {
        let missing = Invariant::MissingResult { tx: group.first };
        let Self { kept, index, committed } = self;
        let (before, rest) = kept.split_at_mut(id.0 as usize);
        let Some((Some(own), after)) = rest.split_first_mut() else { return Err(missing) };
        let Some((txs, left)) = own.groups.pop_front() else { return Err(missing) };
        if txs != group {
            return Err(missing);
        }
        if cfg!(debug_assertions) && !index.allows(&own.log, id, group.first, own.snapshot) {
            return Err(Invariant::StaleCommit { tx: group.first });
        }
        *committed += u64::from(!core::mem::replace(&mut own.has_committed, true));
        let others = before.iter_mut().chain(after).flatten();
        if !unindexed {
            let watches = others.filter_map(|other| other.watch.as_mut());
            index.commit_group(id, &own.log, group.first, watches);
        }
        Ok(left)
    }

    /// A transaction that is none of a batch, or ran at the frontier, is committed.
    pub(super) fn commit_single(&mut self, tx: TxIndex, written: &[W::Location]) {
        let Self { kept, index, .. } = self;
        let watches = kept.iter_mut().flatten().filter_map(|kept| kept.watch.as_mut());
        index.commit_single(tx, written, watches);
    }
}

impl<W, G> Coordinator<W, G>
where
    W: Workload,
    G: LedgerOf<W>,
{
    pub(super) fn commit_group(
        &mut self,
        id: BatchId,
        group: Chunk,
        publish: bool,
        shared: &Shared<W, G>,
    ) -> Result<(), Invariant> {
        let unindexed = is_worker_mutant!(shared.mutant, GroupUnindexed);
        let left = self.batches.commit(id, group, unindexed)?;
        self.ledger.commit_group(group, left);
        let Some(last) = group.indices().next_back() else { return Ok(()) };
        let too_early = is_worker_mutant!(shared.mutant, FrontierBeforeGroup);
        if too_early {
            self.move_frontier(last, shared);
        }
        let stale_readers = if publish { self.publish(group, shared) } else { Vec::new() };
        if !too_early {
            self.move_frontier(last, shared);
        }
        if publish {
            self.apply(shared, Event::Published { tx: group.first, stale_readers })?;
        }
        Ok(())
    }

    /// Puts into the store what these committed transactions have left there by group. Returns who had read there.
    pub(super) fn publish(&mut self, txs: Chunk, shared: &Shared<W, G>) -> Vec<TxIndex> {
        let mut stale_readers = Vec::new();
        let mut ends_life = false;
        let Shared { workload, store, .. } = shared;
        for_each_entry(workload, &self.ledger, txs, |version, location, entry| {
            store.publish(version, &location, entry, &mut stale_readers);
            ends_life |= store.has_unknown_readers(&location);
        });
        if ends_life {
            let end = txs.end.0.saturating_add(shared.limits.window).min(shared.transactions);
            stale_readers.extend((txs.end.0..end).map(TxIndex));
        }
        stale_readers.sort_unstable();
        stale_readers.dedup();
        stale_readers
    }
}

/// Each entry that transactions of `txs` have left which were committed by group.
pub(super) fn for_each_entry<W: Workload, G: LedgerOf<W>>(
    workload: &W,
    ledger: &G,
    txs: Chunk,
    mut each: impl FnMut(Version, W::Location, Entry<W::Location>),
) {
    for (tx, left) in ledger.left(txs) {
        entries_of(workload, tx, left, &mut each);
    }
}

/// Each entry of `left`, which is that of `tx`.
pub(super) fn entries_of<W: Workload>(
    workload: &W,
    tx: TxIndex,
    left: &W::Left,
    mut each: impl FnMut(Version, W::Location, Entry<W::Location>),
) {
    let incarnation = Incarnation(0);
    let mut deltas = Vec::new();
    workload.entries(left, |location, entry| match entry {
        Entry::Delta(delta) => deltas.push((location, delta)),
        entry => each(Version { tx, incarnation }, location, entry),
    });
    // What several transactions of a group credit to one location is told with the last of them: each gets a version.
    for (place, (location, delta)) in deltas.iter().enumerate() {
        let later = deltas.iter().skip(place + 1).filter(|(at, _)| at == location).count();
        let back = u32::try_from(later).unwrap_or(u32::MAX);
        let version = Version { tx: TxIndex(tx.0.saturating_sub(back)), incarnation };
        each(version, location.clone(), Entry::Delta(delta.clone()));
    }
}
