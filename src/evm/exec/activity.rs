//! Measures how many workers are inside the database at a time. If most of them are, cores are idle
//! and more workers than cores pay off. Workers are counted, not timed, so no clock is read.

use crate::ids::WorkerId;
use crate::sync::HintU32;
use crate::thresholds::{MIN_SAMPLES, READS_PER_SAMPLE, SLOW_STORAGE_QUARTERS};

/// State of one worker, on separate cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
struct PerWorker {
    /// 1 while it is inside the database, otherwise 0.
    inside: HintU32,
    /// Number of samples that the worker has taken.
    samples: HintU32,
    /// Sum over its samples of the number of other workers inside the database.
    others: HintU32,
}

/// Tracks which workers are inside the database while a block runs.
#[derive(Debug, Default)]
pub(crate) struct DatabaseActivity {
    workers: Box<[PerWorker]>,
}

impl DatabaseActivity {
    /// Creates counters for `workers` workers; with 0, nothing is counted.
    pub(in crate::evm) fn new(workers: usize) -> Self {
        Self { workers: (0..workers).map(|_| PerWorker::default()).collect() }
    }

    /// Performs `read` for `worker` and counts it; `reads` is the worker's number of reads so far.
    pub(super) fn read<R>(&self, worker: WorkerId, reads: &mut u32, read: impl FnOnce() -> R) -> R {
        let Some(own) = self.workers.get(usize::from(worker.0)) else { return read() };
        *reads = reads.wrapping_add(1);
        if reads.is_multiple_of(READS_PER_SAMPLE) {
            let inside = self.workers.iter().map(|worker| worker.inside.load()).sum::<u32>();
            own.samples.store(own.samples.load().wrapping_add(1));
            own.others.store(own.others.load().wrapping_add(inside));
        }
        // A panic in the database leaves the flag set; the worker's next read resets it.
        own.inside.store(1);
        let result = read();
        own.inside.store(0);
        result
    }

    /// Whether the database has been slow enough so far for more workers to pay off.
    pub(in crate::evm) fn seems_slow(&self) -> bool {
        self.is_slow(self.workers.len()) == Some(true)
    }

    /// Whether this block shows that more than `usual` workers pay off; `None` if there are too few
    /// samples.
    pub(in crate::evm) fn is_slow(&self, usual: usize) -> Option<bool> {
        let sum = |of: fn(&PerWorker) -> u32| self.workers.iter().map(|it| u64::from(of(it))).sum();
        let samples: u64 = sum(|worker| worker.samples.load());
        let others: u64 = sum(|worker| worker.others.load());
        if samples < u64::from(MIN_SAMPLES) || self.workers.len() < 2 {
            return None;
        }
        // The sampling worker is inside, too.
        Some(4 * (samples + others) >= SLOW_STORAGE_QUARTERS * usual as u64 * samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(activity: &DatabaseActivity, worker: u16, times: u32) {
        let mut reads = 0;
        (0..times).for_each(|_| activity.read(WorkerId(worker), &mut reads, || ()));
    }

    #[test]
    fn two_that_are_inside_at_once_ask_for_more() {
        let activity = DatabaseActivity::new(2);
        activity.read(WorkerId(0), &mut 0, || read(&activity, 1, 20 * READS_PER_SAMPLE));
        assert_eq!(activity.is_slow(2), Some(true));
    }

    #[test]
    fn one_after_the_other_is_fast_enough() {
        let activity = DatabaseActivity::new(16);
        (0..16).for_each(|worker| read(&activity, worker, 4 * READS_PER_SAMPLE));
        assert_eq!(activity.is_slow(2), Some(false));
    }

    #[test]
    fn a_few_reads_tell_nothing() {
        let activity = DatabaseActivity::new(2);
        read(&activity, 0, 3);
        read(&activity, 9, 1000);
        assert_eq!(activity.is_slow(2), None);
    }
}
