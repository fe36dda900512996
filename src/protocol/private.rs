//! State of private batches. Their runs are in `batch_jobs`, their commits at the frontier in
//! `groups`.
//!
//! A private batch runs on the committed prefix below its snapshot *s*. Its transaction *f* may
//! commit once everything below *f* is committed, if no transaction outside the batch has written,
//! from *s* to *f*, a location that the batch has accessed up to and including *f*. From the first
//! transaction that must not commit, the rest is aborted. `docs/PROTOCOL.md` has the proof.

use super::events::{BatchReport, Command, Failure, Job};
use super::plan::Plan;
use crate::error::Invariant;
use crate::ids::{BatchId, Chunk, TxIndex};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The private batches of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Private {
    pub(super) batches: Vec<PrivateBatch>,
    /// Batches that are not over, by their lowest member that is not final (the head).
    heads: BTreeMap<TxIndex, BatchId>,
    /// Heads of the batches that wait to run.
    pub(super) ready: BTreeSet<TxIndex>,
    /// Everything below this index is in the store.
    pub(super) published: TxIndex,
    /// End of the last sequential run, if none of it was aborted. With the pending writes of that
    /// run, the state below this index is complete.
    pub(super) carried: Option<TxIndex>,
    /// Whether the state that the plan started with must be published first.
    pub(super) owes: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PrivateBatch {
    pub(super) txs: Chunk,
    /// Number of runs so far, which is the incarnation of the next one.
    pub(super) runs: u32,
    pub(super) state: BatchState,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum BatchState {
    /// The members from the head on wait for a run.
    Waiting,
    /// The batch is in a job, which may not have begun.
    InFlight(Job),
    /// The batch has run, and some of its results wait to commit.
    Ended(Ended),
    /// All members are final.
    Over,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ended {
    /// Groups that have run and are not committed.
    pub(super) groups: VecDeque<Chunk>,
    /// The member after the groups, if it must run at the frontier.
    pub(super) held: Option<TxIndex>,
    /// Why that member has no result, if the reason is final.
    pub(super) failure: Option<Failure>,
    /// The lowest transaction that must not commit, if there is one; unknown until the accesses
    /// have been compared.
    pub(super) verdict: Option<Option<TxIndex>>,
    /// Whether everything below the run was in its snapshot, so that it is valid by construction.
    pub(super) is_in_order: bool,
}

pub(super) type Polled = Result<Option<Command>, Invariant>;

impl Private {
    pub(super) fn new(plan: &Plan) -> Self {
        let Plan { first, carried, private: batches, .. } = plan;
        let heads = batches.iter().zip(0..).map(|(txs, id)| (txs.first, BatchId(id)));
        let heads: BTreeMap<_, _> = heads.collect();
        let ready = heads.keys().copied().collect();
        let waiting = |txs: &Chunk| PrivateBatch { txs: *txs, runs: 0, state: BatchState::Waiting };
        let batches = batches.iter().map(waiting).collect();
        let published = carried.map_or(*first, |carried| carried.min(*first));
        let owes = published < *first;
        let carried = owes.then_some(*first);
        Self { batches, heads, ready, published, carried, owes }
    }

    /// Returns the batch whose next transaction to commit is `tx`.
    pub(super) fn head(&self, tx: TxIndex) -> Option<BatchId> {
        self.heads.get(&tx).copied()
    }

    pub(super) const fn published(&self) -> TxIndex {
        self.published
    }

    pub(super) fn is_over(&self) -> bool {
        self.heads.is_empty()
    }

    pub(super) fn batch(&self, id: BatchId) -> Option<&PrivateBatch> {
        self.batches.get(id.0 as usize)
    }

    pub(super) fn batch_mut(
        &mut self,
        id: BatchId,
        tx: TxIndex,
    ) -> Result<&mut PrivateBatch, Invariant> {
        self.batches.get_mut(id.0 as usize).ok_or(Invariant::MissingResult { tx })
    }

    /// Advances past `tx`, the head of its batch: everything below `frontier` is final.
    pub(super) fn advance(&mut self, tx: TxIndex, frontier: TxIndex) {
        if self.published == tx {
            // It ran at the frontier or was skipped, so its writes are in the store.
            self.published = frontier;
        }
        self.pass(tx, frontier);
    }

    /// Advances past a group, which is published later, if at all.
    pub(super) fn advance_group(&mut self, group: Chunk) {
        self.pass(group.first, group.end);
    }

    /// Returns, for seeded bugs, the next group of the first batch that has ended.
    pub(super) fn first_ended(&self) -> Option<(BatchId, Chunk)> {
        self.heads.values().find_map(|id| match &self.batch(*id)?.state {
            BatchState::Ended(ended) => Some((*id, *ended.groups.front()?)),
            BatchState::Waiting | BatchState::InFlight(_) | BatchState::Over => None,
        })
    }

    fn pass(&mut self, head: TxIndex, frontier: TxIndex) {
        let Some(id) = self.heads.remove(&head) else { return };
        self.ready.remove(&head);
        let Some(batch) = self.batches.get_mut(id.0 as usize) else { return };
        if frontier >= batch.txs.end {
            batch.state = BatchState::Over;
            return;
        }
        self.heads.insert(frontier, id);
        // After a member that ran at the frontier, the rest runs on a later snapshot.
        let is_rest = |ended: &Ended| ended.groups.is_empty() && ended.held == Some(head);
        if matches!(&batch.state, BatchState::Ended(ended) if is_rest(ended)) {
            batch.state = BatchState::Waiting;
        }
        if batch.state == BatchState::Waiting {
            self.ready.insert(frontier);
        }
    }
}

impl Ended {
    /// The results of a run from `first` on, over everything below `snapshot`.
    pub(super) fn of(snapshot: TxIndex, first: TxIndex, report: BatchReport) -> Self {
        let BatchReport { groups, held, failure } = report;
        let is_in_order = snapshot == first;
        let verdict = is_in_order.then_some(None);
        Self { groups: groups.into(), held, failure, verdict, is_in_order }
    }
}
