//! Private batches: where each one stands. `batch_jobs` has their runs, `groups` what happens at
//! the frontier.
//!
//! A private batch runs on the committed prefix below its snapshot *s*. Its transaction *f* may
//! commit once everything below *f* is committed, if no transaction outside the batch has written,
//! from *s* to *f*, what the batch has accessed up to and including *f*. From the first one that
//! may not, the rest is discarded. `docs/PROTOCOL.md` has the proof.

use super::batch::Batch;
use super::events::{BatchReport, Command, Failure, Job};
use super::plan::Plan;
use crate::error::Invariant;
use crate::ids::{BatchId, Chunk, TxIndex};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What the protocol keeps of the private batches of a stretch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Private {
    pub(super) batches: Vec<PrivateBatch>,
    /// Batches that are not over, by their lowest member that is not final.
    heads: BTreeMap<TxIndex, BatchId>,
    /// Those heads whose batches wait to run.
    pub(super) ready: BTreeSet<TxIndex>,
    /// What lies below it is in the store.
    pub(super) published: TxIndex,
    /// Whether there are published transactions beside the batches: they may read what a batch has
    /// committed.
    pub(super) is_mixed: bool,
    /// Up to where the last run in order has come, if nothing of it was thrown away: what it hands
    /// on is the state below that index.
    pub(super) carried: Option<TxIndex>,
    /// Whether what the plan began with is to be put into the store first.
    pub(super) owes: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PrivateBatch {
    pub(super) members: Batch,
    /// Runs so far: also the incarnation of the next one.
    pub(super) runs: u32,
    pub(super) state: BatchState,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum BatchState {
    /// Its members from the head on wait for a run.
    Waiting,
    /// In a job, perhaps not begun.
    InFlight(Job),
    /// It has run, and some of it waits to be committed.
    Ended(Ended),
    /// All members are final.
    Over,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ended {
    /// Groups that have run and are not committed.
    pub(super) groups: VecDeque<Chunk>,
    /// The member after them, if it must run at the frontier.
    pub(super) held: Option<TxIndex>,
    /// Why that one has no result, if this is final.
    pub(super) failure: Option<Failure>,
    /// The rule allows all groups below `conflict`, or all, if no outsider commits from `compared`
    /// on.
    pub(super) compared: TxIndex,
    pub(super) conflict: Option<TxIndex>,
    /// Members that have committed from `compared` on.
    pub(super) own: u32,
    /// Where it began.
    pub(super) snapshot: TxIndex,
}

pub(super) type Polled = Result<Option<Command>, Invariant>;

impl Private {
    pub(super) fn new(plan: &Plan) -> Self {
        let Plan { first, carried, private: batches, chunks, .. } = plan;
        let is_mixed = !chunks.is_empty();
        let heads =
            batches.iter().zip(0..).filter_map(|(batch, id)| Some((batch.first()?, BatchId(id))));
        let heads: BTreeMap<_, _> = heads.collect();
        let ready = heads.keys().copied().collect();
        let waiting = |members: &Batch| PrivateBatch {
            members: members.clone(),
            runs: 0,
            state: BatchState::Waiting,
        };
        let batches = batches.iter().map(waiting).collect();
        let published = carried.map_or(*first, |carried| carried.min(*first));
        let owes = published < *first;
        let carried = owes.then_some(*first);
        Self { batches, heads, ready, published, is_mixed, carried, owes }
    }

    /// The batch whose turn it is to commit `tx`.
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

    /// The head `tx` of its batch is final, and everything below `frontier`.
    pub(super) fn advance(&mut self, tx: TxIndex, frontier: TxIndex) {
        if self.published == tx || self.is_mixed {
            // It was run at the frontier, or left out: what it has left is in the store.
            self.published = frontier;
        }
        self.pass(tx, frontier);
    }

    /// The same for a group, which is published later unless a transaction may read it.
    pub(super) fn advance_group(&mut self, group: Chunk) {
        if self.is_mixed {
            self.published = group.end;
        }
        self.pass(group.first, group.end);
    }

    /// For seeded bugs: the next group of the first batch that has ended.
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
        let next = batch.members.from(frontier).next();
        let Some(next) = next else {
            batch.state = BatchState::Over;
            return;
        };
        self.heads.insert(next, id);
        // What is left of it after one that ran at the frontier runs on a later snapshot.
        let is_rest = |ended: &Ended| ended.groups.is_empty() && ended.held == Some(head);
        if matches!(&batch.state, BatchState::Ended(ended) if is_rest(ended)) {
            batch.state = BatchState::Waiting;
        }
        if batch.state == BatchState::Waiting {
            self.ready.insert(next);
        }
    }
}

impl Ended {
    pub(super) fn of(snapshot: TxIndex, report: BatchReport) -> Self {
        let BatchReport { groups, held, failure } = report;
        let (compared, conflict, own) = (snapshot, None, 0);
        Self { groups: groups.into(), held, failure, compared, conflict, own, snapshot }
    }

    /// Whether all from the snapshot up to `frontier` are members: what is next is valid by
    /// construction.
    pub(super) fn is_in_order(&self, frontier: TxIndex) -> bool {
        self.compared == self.snapshot && self.is_current(frontier)
    }

    /// Whether no outsider has committed from `compared` up to `frontier`.
    pub(super) const fn is_current(&self, frontier: TxIndex) -> bool {
        self.compared.0 + self.own == frontier.0
    }
}
