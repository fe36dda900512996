//! How many workers are inside the database at a time. Where most are, cores are idle, and more
//! workers are of use than there are cores. It is counted, not timed: no clock is read.

use crate::ids::WorkerId;
use crate::sync::{AtomicBool, AtomicU32, SeqCst};

/// Reads between two looks at what other workers do.
const READS_PER_LOOK: u32 = 16;
/// Looks below which a block tells nothing.
const FEWEST_LOOKS: u32 = 8;

/// Where one worker says what it does, apart from the others' lines of cache.
#[derive(Debug, Default)]
#[repr(align(128))]
struct PerWorker {
    is_inside: AtomicBool,
    /// How often it has looked at the others.
    looks: AtomicU32,
    /// Sum over its looks of the others that were inside.
    others: AtomicU32,
}

/// Who is inside the database, while a block runs.
#[derive(Debug, Default)]
pub(crate) struct DatabaseActivity {
    seats: Box<[PerWorker]>,
}

impl DatabaseActivity {
    /// For this number of workers; with 0 nothing is counted.
    pub(in crate::evm) fn new(workers: usize) -> Self {
        Self { seats: (0..workers).map(|_| PerWorker::default()).collect() }
    }

    /// Does a read of `worker`, who has done `reads` so far.
    pub(super) fn read<R>(&self, worker: WorkerId, reads: &mut u32, read: impl FnOnce() -> R) -> R {
        let Some(seat) = self.seats.get(usize::from(worker.0)) else { return read() };
        *reads = reads.wrapping_add(1);
        if reads.is_multiple_of(READS_PER_LOOK) {
            let inside = self.seats.iter().filter(|seat| seat.is_inside.load(SeqCst)).count();
            seat.looks.fetch_add(1, SeqCst);
            seat.others.fetch_add(u32::try_from(inside).unwrap_or(u32::MAX), SeqCst);
        }
        // A panic in the database leaves it set; the worker's next read does not mind.
        seat.is_inside.store(true, SeqCst);
        let result = read();
        seat.is_inside.store(false, SeqCst);
        result
    }

    /// Whether it has shown so far that more workers are of use.
    pub(in crate::evm) fn seems_slow(&self) -> bool {
        self.is_slow(self.seats.len()) == Some(true)
    }

    /// Whether this block shows that more than `usual` workers are of use.
    pub(in crate::evm) fn is_slow(&self, usual: usize) -> Option<bool> {
        let sum =
            |of: fn(&PerWorker) -> u32| self.seats.iter().map(|seat| u64::from(of(seat))).sum();
        let looks: u64 = sum(|seat| seat.looks.load(SeqCst));
        let others: u64 = sum(|seat| seat.others.load(SeqCst));
        if looks < u64::from(FEWEST_LOOKS) || self.seats.len() < 2 {
            return None;
        }
        // With the one who looks, at least three of four cores' worth of workers wait.
        let inside = (looks + others) as f64 / looks as f64;
        Some(inside >= 0.75 * usual as f64)
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
        activity.read(WorkerId(0), &mut 0, || read(&activity, 1, 20 * READS_PER_LOOK));
        assert_eq!(activity.is_slow(2), Some(true));
    }

    #[test]
    fn one_after_the_other_is_fast_enough() {
        let activity = DatabaseActivity::new(16);
        (0..16).for_each(|worker| read(&activity, worker, 4 * READS_PER_LOOK));
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
