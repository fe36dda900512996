//! The time of the next block.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Decides the time of the next block. On an ordinary chain that is the system's time, but at least
/// one second after the parent's. On a development chain, clients can shift the clock, and several
/// blocks may have the same time: otherwise a burst of blocks would run ahead of the clock.
#[derive(Debug)]
pub(crate) struct Clock {
    is_dev: bool,
    shift: Mutex<Shift>,
}

/// Clients' changes of the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shift {
    /// Seconds that are added to the system's time.
    offset: i64,
    /// Time of the next block.
    exact: Option<u64>,
    /// Seconds from one block to the next, whatever the system's time is.
    interval: Option<u64>,
}

/// Returns the current time in seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Clock {
    pub(crate) fn new(is_dev: bool) -> Self {
        Self { is_dev, shift: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Shift> {
        // A poisoned lock is usable: the fields are consistent after each statement.
        self.shift.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the time of the next block, if the system's time is `now` and the parent has the
    /// time `parent`.
    pub(crate) fn next(&self, now: u64, parent: u64) -> u64 {
        if !self.is_dev {
            return now.max(parent.saturating_add(1));
        }
        let shift = *self.lock();
        let spaced = shift.interval.map(|seconds| parent.saturating_add(seconds));
        let shifted = now.saturating_add_signed(shift.offset);
        shift.exact.or(spaced).unwrap_or(shifted).max(parent)
    }

    /// Continues from the time of a block that was made at the system's time `now`.
    pub(crate) fn made(&self, now: u64, time: u64) {
        let mut shift = self.lock();
        if shift.exact.take().is_some() || shift.interval.is_some() {
            shift.offset = difference(time, now);
        }
    }

    /// Shifts the clock by this many seconds, and returns the total shift.
    pub(crate) fn advance(&self, seconds: i64) -> i64 {
        let mut shift = self.lock();
        shift.offset = shift.offset.saturating_add(seconds);
        shift.offset
    }

    /// Sets the time of the next block.
    pub(crate) fn set_next(&self, time: u64) {
        self.lock().exact = Some(time);
    }

    /// Sets the seconds from one block to the next; `None` follows the system's time again.
    pub(crate) fn set_interval(&self, seconds: Option<u64>) {
        self.lock().interval = seconds;
    }

    /// Returns the shift, and the shifted time.
    pub(crate) fn read(&self) -> (Shift, u64) {
        let shift = *self.lock();
        (shift, now().saturating_add_signed(shift.offset))
    }

    /// Continues from an earlier [`read`](Self::read), at the time it returned.
    pub(crate) fn restore(&self, (shift, time): (Shift, u64)) {
        *self.lock() = match shift {
            // A clock that was never shifted stays right.
            Shift { offset: 0, .. } => shift,
            shift => Shift { offset: difference(time, now()), ..shift },
        };
    }
}

fn difference(later: u64, earlier: u64) -> i64 {
    let signed = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
    signed(later).saturating_sub(signed(earlier))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_block_is_later_than_its_parent() {
        let clock = Clock::new(false);
        assert_eq!([clock.next(9, 7), clock.next(7, 7), clock.next(3, 7)], [9, 8, 8]);
    }

    #[test]
    fn a_development_block_has_the_time_of_the_shifted_clock() {
        let clock = Clock::new(true);
        // Blocks of the same second have the same time, and none is earlier than its parent.
        assert_eq!([clock.next(9, 7), clock.next(7, 7), clock.next(3, 7)], [9, 7, 7]);
        assert_eq!((clock.advance(100), clock.advance(-40)), (100, 60));
        assert_eq!(clock.next(10, 9), 70);
        clock.set_next(1_000);
        assert_eq!([clock.next(10, 9), clock.next(11, 9)], [1_000; 2]);
        clock.made(12, 1_000);
        assert_eq!(clock.next(15, 1_000), 1_003, "the clock continues from the block's time");
        clock.set_interval(Some(30));
        assert_eq!(clock.next(15, 1_000), 1_030);
        clock.made(15, 1_030);
        clock.set_interval(None);
        assert_eq!(clock.next(20, 1_030), 1_035);
    }

    #[test]
    fn a_shifted_clock_continues_where_it_was_read() {
        let clock = Clock::new(true);
        let before = clock.read();
        clock.advance(5_000);
        let shifted = clock.read();
        clock.advance(10_000);
        clock.restore(shifted);
        assert!(clock.read().1.abs_diff(shifted.1) <= 1);
        clock.restore(before);
        assert_eq!(clock.read().0, Shift::default());
    }
}
