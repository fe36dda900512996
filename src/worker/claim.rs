//! How far a job has come.

use crate::ids::{BatchId, Chunk, Incarnation, TxIndex};
use crate::protocol::{Batch, Job, RunMode};
use crate::sync::{AtomicU64, SeqCst};

/// How far a job has come. An incarnation has two of them.
#[derive(Clone, Copy)]
pub(super) enum Stage {
    /// A worker runs it, or the coordinator has taken it back.
    Begun = 1,
    /// Its worker publishes the first transaction, or the coordinator has taken that right. Of a
    /// private batch: one of the workers that run it reports it.
    Published = 2,
}

/// How far the newest run of a private batch has come, and on which snapshot: in one word, so that
/// a helper finds both of the same run.
pub(super) struct BatchClaim(AtomicU64);

impl BatchClaim {
    /// The coordinator has taken the run back, or it goes on from what only its worker has.
    pub(super) const ALONE: u32 = u32::MAX;

    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// The newest stage, and the snapshot that came with it.
    pub(super) fn get(&self) -> (u32, u32) {
        let word = self.0.load(SeqCst);
        ((word >> u32::BITS) as u32, word as u32)
    }

    /// The coordinator has the run at `stage`, also if it has taken the same one back.
    pub(super) fn set(&self, stage: u32, snapshot: u32) {
        // A swap: loom does not order a plain store against swaps.
        self.0.swap(u64::from(stage) << u32::BITS | u64::from(snapshot), SeqCst);
    }

    /// Whether it had not come to `stage` before.
    pub(super) fn enter(&self, stage: u32, snapshot: u32) -> bool {
        let new = u64::from(stage) << u32::BITS | u64::from(snapshot);
        let is_new = |old: u64| old >> u32::BITS < u64::from(stage);
        self.0.fetch_update(SeqCst, SeqCst, |old| is_new(old).then_some(new)).is_ok()
    }

    /// The run of `batch` that a worker has begun, and has not reported, if another one may run it
    /// from `frontier` on, too, if that is
    /// where it began.
    pub(super) fn begun(&self, batch: &Batch, id: BatchId, frontier: TxIndex) -> Option<Job> {
        let (stage, snapshot) = self.get();
        let is_begun = stage % 2 == Stage::Begun as u32 && snapshot != Self::ALONE;
        if !is_begun {
            return None;
        }
        let chunk = Chunk { first: frontier, end: batch.end() };
        let mode = RunMode::Private { batch: id, snapshot: TxIndex(snapshot) };
        Some(Job { chunk, incarnation: Incarnation(stage / 2), mode })
    }
}

impl Job {
    /// An incarnation has two stages, and each later one of the same job a higher number.
    pub(super) fn stage(self, stage: Stage) -> u32 {
        self.incarnation.0.saturating_mul(2).saturating_add(stage as u32)
    }
}
