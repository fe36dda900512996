//! State of private batches. Their runs are in `batch_jobs`, their commits at the frontier in
//! `groups`.
//!
//! A private batch runs on a snapshot, the committed prefix below the plan. Its transaction *f* may
//! commit once everything below *f* is committed, if no lower batch has written a location that the
//! batch has accessed up to and including *f*. At the first transaction that must not commit, the
//! segment ends. `docs/PROTOCOL.md` has the proof.

use super::events::{BatchReport, Command, Job};
use crate::error::Invariant;
use crate::ids::{BatchId, Chunk, TxIndex};
use std::collections::VecDeque;

/// The private batches of a segment, in block order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Private {
    pub(super) batches: Vec<PrivateBatch>,
    /// The batch of the frontier. All members of lower batches are final.
    pub(super) current: BatchId,
    /// Batches from here on have not been dispatched; those up to `current` may have run at the
    /// frontier.
    fresh: BatchId,
    /// Everything below this index is in the store, and the batches run on it.
    pub(super) snapshot: TxIndex,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PrivateBatch {
    pub(super) txs: Chunk,
    pub(super) state: BatchState,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum BatchState {
    /// The batch waits for its run.
    Waiting,
    /// The batch is in a job, which may not have begun.
    InFlight(Job),
    /// The batch has run.
    Ended(BatchResults),
}

/// Results of a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct BatchResults {
    /// Groups that have run and are not committed.
    pub(super) groups: VecDeque<Chunk>,
    /// The member after the groups, if it has no result.
    pub(super) held: Option<TxIndex>,
    /// Members below this index may commit; unknown until the accesses have been compared.
    pub(super) commit_below: Option<TxIndex>,
}

pub(super) type Polled = Result<Option<Command>, Invariant>;

impl Private {
    /// Creates `batches` on everything below `first`.
    pub(super) fn new(first: TxIndex, batches: &[Chunk]) -> Self {
        let waiting = |txs: &Chunk| PrivateBatch { txs: *txs, state: BatchState::Waiting };
        Self {
            batches: batches.iter().map(waiting).collect(),
            current: BatchId(0),
            fresh: BatchId(0),
            snapshot: first,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Returns the lowest batch above the frontier that has not run.
    pub(super) fn next_waiting(&self) -> Option<(BatchId, TxIndex)> {
        let id = self.fresh.max(self.current.next());
        self.batches.get(id.position()).map(|batch| (id, batch.txs.first))
    }

    pub(super) fn note_dispatched(&mut self, id: BatchId) {
        if !mutant!(BatchTwice) {
            self.fresh = id.next();
        }
    }

    pub(super) fn batch_mut(
        &mut self,
        id: BatchId,
        tx: TxIndex,
    ) -> Result<&mut PrivateBatch, Invariant> {
        self.batches.get_mut(id.position()).ok_or(Invariant::MissingResult { tx })
    }

    /// Returns the batch of the frontier `tx`.
    pub(super) fn current_mut(&mut self, tx: TxIndex) -> Result<&mut PrivateBatch, Invariant> {
        self.batch_mut(self.current, tx)
    }

    /// Returns the results of the batch of the frontier, if it has run.
    pub(super) fn ended(&mut self) -> Option<&mut BatchResults> {
        match &mut self.batches.get_mut(self.current.position())?.state {
            BatchState::Ended(ended) => Some(ended),
            BatchState::Waiting | BatchState::InFlight(_) => None,
        }
    }

    /// Returns, for seeded bugs, the next group of the first batch that has ended.
    pub(super) fn first_ended(&self) -> Option<(BatchId, Chunk)> {
        let from_current = (0..).map(BatchId).zip(&self.batches).skip(self.current.position());
        from_current.into_iter().find_map(|(id, batch)| match &batch.state {
            BatchState::Ended(ended) => Some((id, *ended.groups.front()?)),
            BatchState::Waiting | BatchState::InFlight(_) => None,
        })
    }

    /// Moves on to the next batch if all members of the current one lie below `frontier`.
    pub(super) fn advance(&mut self, frontier: TxIndex) {
        let current = self.batches.get(self.current.position());
        if current.is_some_and(|batch| batch.txs.end <= frontier) {
            self.current = self.current.next();
        }
    }
}

impl BatchResults {
    /// The results of a run of `job`. A run over everything below it needs no comparison.
    pub(super) fn of(job: Job, report: BatchReport, is_valid: bool) -> Self {
        let BatchReport { groups, held } = report;
        let commit_below = is_valid.then_some(job.chunk.end);
        Self { groups: groups.into(), held, commit_below }
    }

    /// Number of transactions that have run and are not committed.
    pub(super) fn len(&self) -> u32 {
        self.groups.iter().map(|group| group.len()).sum()
    }
}
