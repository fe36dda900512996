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
pub(super) struct PrivateBatches {
    pub(super) batches: Vec<PrivateBatch>,
    /// The batch of the frontier. All members of lower batches are final.
    pub(super) current: BatchId,
    /// The lowest batch that was not dispatched. A batch up to `current` may have run at the
    /// frontier instead.
    dispatch_cursor: BatchId,
    /// Index below which everything is in the store; the batches run on that state.
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

/// Results of a run of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct BatchResults {
    /// Groups that have run and are not committed.
    pub(super) groups: VecDeque<Chunk>,
    /// The member after the groups, if it has no result.
    pub(super) held: Option<TxIndex>,
    /// Index below which members may commit; `None` until the accesses have been compared.
    pub(super) commit_below: Option<TxIndex>,
}

pub(super) type PollResult = Result<Option<Command>, Invariant>;

impl PrivateBatches {
    /// Creates batches that run on the state below `first`.
    pub(super) fn new(first: TxIndex, batches: &[Chunk]) -> Self {
        let waiting = |txs: &Chunk| PrivateBatch { txs: *txs, state: BatchState::Waiting };
        Self {
            batches: batches.iter().map(waiting).collect(),
            current: BatchId(0),
            dispatch_cursor: BatchId(0),
            snapshot: first,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Returns the lowest batch above the frontier that was not dispatched.
    pub(super) fn next_waiting(&self) -> Option<(BatchId, TxIndex)> {
        let id = self.dispatch_cursor.max(self.current.next());
        self.batches.get(id.position()).map(|batch| (id, batch.txs.first))
    }

    pub(super) fn mark_dispatched(&mut self, id: BatchId) {
        if !mutant!(BatchTwice) {
            self.dispatch_cursor = id.next();
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
    pub(super) fn results_mut(&mut self) -> Option<&mut BatchResults> {
        match &mut self.batches.get_mut(self.current.position())?.state {
            BatchState::Ended(results) => Some(results),
            BatchState::Waiting | BatchState::InFlight(_) => None,
        }
    }

    /// Returns, for seeded bugs, the next group of the first batch that has run.
    pub(super) fn first_ended_group(&self) -> Option<(BatchId, Chunk)> {
        let from_current = (0..).map(BatchId).zip(&self.batches).skip(self.current.position());
        from_current.into_iter().find_map(|(id, batch)| match &batch.state {
            BatchState::Ended(results) => Some((id, *results.groups.front()?)),
            BatchState::Waiting | BatchState::InFlight(_) => None,
        })
    }

    /// Advances to the next batch if all members of the current one lie below `frontier`.
    pub(super) fn advance(&mut self, frontier: TxIndex) {
        let current = self.batches.get(self.current.position());
        if current.is_some_and(|batch| batch.txs.end <= frontier) {
            self.current = self.current.next();
        }
    }
}

impl BatchResults {
    /// Creates the results of a run of `job`. `is_on_snapshot` means that the snapshot is the state
    /// below the batch, so that no comparison is needed.
    pub(super) fn new(job: Job, report: BatchReport, is_on_snapshot: bool) -> Self {
        let BatchReport { groups, held } = report;
        let commit_below = is_on_snapshot.then_some(job.chunk.end);
        Self { groups: groups.into(), held, commit_below }
    }

    /// Returns the number of transactions that have run and are not committed.
    pub(super) fn uncommitted(&self) -> u32 {
        self.groups.iter().map(|group| group.len()).sum()
    }
}
