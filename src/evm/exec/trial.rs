//! Decides from the work of committed transactions whether speculation costs more than it saves.

use super::activity::DatabaseActivity;
use super::work::Work;
use crate::thresholds::LONG_WORK_GAS;
use std::sync::Arc;

/// Returns whether sharing the work among this number of workers costs more than it saves.
pub(in crate::evm) type IsCheap = fn(Work, usize) -> bool;

/// A speculative segment in progress.
#[derive(Debug)]
pub(in crate::evm) struct Trial {
    is_cheap: IsCheap,
    workers: usize,
    /// Speculation is never lost on slow storage, where it fetches values for later runs.
    activity: Arc<DatabaseActivity>,
    /// Work of the committed transactions.
    work: Work,
}

impl Trial {
    /// Starts a segment on `workers` workers.
    pub(in crate::evm) fn new(
        is_cheap: IsCheap,
        workers: usize,
        activity: &Arc<DatabaseActivity>,
    ) -> Self {
        Self { is_cheap, workers, activity: Arc::clone(activity), work: Work::default() }
    }

    /// Adds the `work` of a committed transaction.
    pub(in crate::evm) fn note(&mut self, work: Work) {
        self.work = self.work.plus(work);
    }

    /// Whether the committed work shows that speculation costs more than it saves.
    pub(in crate::evm) fn is_lost(&self) -> bool {
        let Self { is_cheap, workers, work, .. } = *self;
        work.units >= LONG_WORK_GAS && is_cheap(work, workers) && !self.activity.seems_slow()
    }
}
