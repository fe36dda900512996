//! Progress of a job, as claimed by workers and the coordinator.

use crate::ids::{BatchId, Chunk, Incarnation, TxIndex};
use crate::protocol::{Job, RunMode};
use crate::sync::{AtomicU64, SeqCst};

/// Progress of a job. Each incarnation has two stages.
#[derive(Clone, Copy)]
pub(super) enum Stage {
    /// A worker is running the job, or the coordinator has taken it back.
    Begun = 1,
    /// Its worker is publishing the first transaction, or the coordinator has taken that right. For
    /// a private batch: one of the workers that run it is reporting it.
    Published = 2,
}

/// Progress of the newest run of a private batch, and the run's snapshot, in one word so that a
/// helper reads both of the same run.
pub(super) struct BatchClaim(AtomicU64);

impl BatchClaim {
    /// In place of a snapshot: the run cannot be helped, because the coordinator has taken it back
    /// or because it continues from a state that only its worker has.
    pub(super) const ALONE: u32 = u32::MAX;

    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Returns the newest stage, and the snapshot stored with it.
    pub(super) fn get(&self) -> (u32, u32) {
        let word = self.0.load(SeqCst);
        ((word >> u32::BITS) as u32, word as u32)
    }

    /// Sets the stage of a run by the coordinator, even if the coordinator took back the same run.
    pub(super) fn set(&self, stage: u32, snapshot: u32) {
        // A swap: loom does not order a plain store against swaps.
        self.0.swap(u64::from(stage) << u32::BITS | u64::from(snapshot), SeqCst);
    }

    /// Enters `stage`, and returns whether the run had not reached it before.
    pub(super) fn enter(&self, stage: u32, snapshot: u32) -> bool {
        let new = u64::from(stage) << u32::BITS | u64::from(snapshot);
        let is_new = |old: u64| old >> u32::BITS < u64::from(stage);
        self.0.fetch_update(SeqCst, SeqCst, |old| is_new(old).then_some(new)).is_ok()
    }

    /// Returns the run of `batch` that a worker has begun and not reported, if another worker may
    /// run it, too, on the snapshot where it began. The job covers the members from `frontier` on.
    pub(super) fn begun(&self, batch: Chunk, id: BatchId, frontier: TxIndex) -> Option<Job> {
        let (stage, snapshot) = self.get();
        let is_begun = stage % 2 == Stage::Begun as u32 && snapshot != Self::ALONE;
        if !is_begun {
            return None;
        }
        let chunk = Chunk { first: frontier, end: batch.end };
        let mode = RunMode::Private { batch: id, snapshot: TxIndex(snapshot) };
        Some(Job { chunk, incarnation: Incarnation(stage / 2), mode })
    }
}

impl Job {
    /// Returns the number of a stage: an incarnation has two, and the numbers increase over the
    /// runs of a job.
    pub(super) fn stage(self, stage: Stage) -> u32 {
        self.incarnation.0.saturating_mul(2).saturating_add(stage as u32)
    }
}
