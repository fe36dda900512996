//! Measures how many workers are inside the database at a time. If most of them are, cores are idle
//! and more workers than cores pay off. Workers are counted, not timed: no clock is read.

use crate::ids::WorkerId;
use crate::sync::HintU32;
use crate::thresholds::{MIN_SAMPLES, READS_PER_SAMPLE, SLOW_STORAGE_QUARTERS};

/// State of one worker, on separate cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
struct PerWorker {
    /// 1 while it is inside the database, otherwise 0.
    inside: HintU32,
    /// Samples it has taken.
    looks: HintU32,
    /// Sum over its samples of the number of other workers inside the database.
    others: HintU32,
}

/// Which workers are inside the database while a block runs.
#[derive(Debug, Default)]
pub(crate) struct DatabaseActivity {
    seats: Box<[PerWorker]>,
}

impl DatabaseActivity {
    /// Counters for this number of workers; with 0, nothing is counted.
    pub(in crate::evm) fn new(workers: usize) -> Self {
        Self { seats: (0..workers).map(|_| PerWorker::default()).collect() }
    }

    /// Performs `read` for `worker` and counts it; `reads` is the worker's number of reads so far.
    pub(super) fn read<R>(&self, worker: WorkerId, reads: &mut u32, read: impl FnOnce() -> R) -> R {
        let Some(seat) = self.seats.get(usize::from(worker.0)) else { return read() };
        *reads = reads.wrapping_add(1);
        if reads.is_multiple_of(READS_PER_SAMPLE) {
            let inside = self.seats.iter().map(|seat| seat.inside.load()).sum::<u32>();
            seat.looks.store(seat.looks.load().wrapping_add(1));
            seat.others.store(seat.others.load().wrapping_add(inside));
        }
        // A panic in the database leaves the flag set; the worker's next read resets it.
        seat.inside.store(1);
        let result = read();
        seat.inside.store(0);
        result
    }

    /// Whether the database has turned out slow enough so far for more workers to pay off.
    pub(in crate::evm) fn seems_slow(&self) -> bool {
        self.is_slow(self.seats.len()) == Some(true)
    }

    /// Whether this block shows that more than `usual` workers pay off; `None` if there are too few
    /// samples.
    pub(in crate::evm) fn is_slow(&self, usual: usize) -> Option<bool> {
        let sum =
            |of: fn(&PerWorker) -> u32| self.seats.iter().map(|seat| u64::from(of(seat))).sum();
        let looks: u64 = sum(|seat| seat.looks.load());
        let others: u64 = sum(|seat| seat.others.load());
        if looks < u64::from(MIN_SAMPLES) || self.seats.len() < 2 {
            return None;
        }
        // The worker that counts is inside, too.
        Some(4 * (looks + others) >= SLOW_STORAGE_QUARTERS * usual as u64 * looks)
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
