//! Whether speculation costs more than it saves, by what has committed.

use super::activity::DatabaseActivity;
use super::work::{LONG, Work};
use std::sync::Arc;

/// Whether it takes more time to share so much work out among that many workers than it saves.
pub(in crate::evm) type IsCheap = fn(Work, usize) -> bool;

/// A stretch of speculation on its way.
#[derive(Debug)]
pub(in crate::evm) struct Trial {
    is_cheap: IsCheap,
    workers: usize,
    /// Where storage is slow, what runs ahead reads for the others.
    activity: Arc<DatabaseActivity>,
    /// Of what has committed.
    work: Work,
}

impl Trial {
    /// A stretch on that many workers.
    pub(in crate::evm) fn new(
        is_cheap: IsCheap,
        workers: usize,
        activity: &Arc<DatabaseActivity>,
    ) -> Self {
        let (activity, work) = (Arc::clone(activity), Work::default());
        Self { is_cheap, workers, activity, work }
    }

    /// A transaction that was so much `work` has committed.
    pub(in crate::evm) fn note(&mut self, work: Work) {
        self.work = self.work.plus(work);
    }

    /// Whether enough has committed to tell that it costs more than it saves.
    pub(in crate::evm) fn is_lost(&self) -> bool {
        let Self { is_cheap, workers, work, .. } = *self;
        work.all >= LONG && is_cheap(work, workers) && !self.activity.seems_slow()
    }
}
