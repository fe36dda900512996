//! How fast the cores pass a cache line to each other.

use std::{
    hint::spin_loop,
    sync::atomic::{
        AtomicU32,
        Ordering::{Acquire, Release},
    },
    thread,
    time::{Duration, Instant},
};

/// Round trips that are timed together.
const ROUND_TRIPS: u32 = 100;
/// Number of measurements, of which the shortest counts.
const TIMES: u32 = 20;
/// Time after which both threads run, each on a core of its own: the caller wakes on a core that
/// is idle.
const SETTLED: Duration = Duration::from_millis(1);
/// Number of polls, in some milliseconds, after which a thread lets others run, in case both
/// threads share a core.
const POLLS: u32 = 1_000_000;

/// Returns the time in which a cache line goes from one thread to another and back, the shortest of
/// some measurements; `None` on a single core, or if the system starts no thread.
///
/// Within one L3 cache this takes about 50 ns, and between two 300 ns or more. The cores of a
/// virtual machine may change from one case to the other at any time. Sequential runs do not notice
/// it, while threads that share data take up to a third longer.
#[must_use]
pub(super) fn round_trip() -> Option<Duration> {
    if thread::available_parallelism().map_or(1, usize::from) < 2 {
        return None;
    }
    let turn = AtomicU32::new(0);
    let trips = || 0..TIMES * ROUND_TRIPS;
    let answers = || trips().for_each(|trip| pass(&turn, 2 * trip + 1));
    thread::scope(|scope| {
        thread::Builder::new().spawn_scoped(scope, answers).ok()?;
        thread::sleep(SETTLED);
        let mut start = Instant::now();
        let times = trips().filter_map(|trip| {
            pass(&turn, 2 * trip);
            await_turn(&turn, 2 * trip + 2);
            let is_last = (trip + 1) % ROUND_TRIPS == 0;
            is_last.then(|| core::mem::replace(&mut start, Instant::now()).elapsed() / ROUND_TRIPS)
        });
        times.min()
    })
}

/// Waits for `turn` to be `own`, and passes it on.
fn pass(turn: &AtomicU32, own: u32) {
    await_turn(turn, own);
    turn.store(own + 1, Release);
}

fn await_turn(turn: &AtomicU32, own: u32) {
    let mut polls = 0;
    while turn.load(Acquire) != own {
        polls = (polls + 1) % POLLS;
        if polls == 0 {
            thread::yield_now();
        }
        spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_trip_takes_some_nanoseconds() {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        assert_eq!(round_trip().is_some(), cores > 1);
        assert!(round_trip().is_none_or(|time| time > Duration::from_nanos(5)));
    }
}
