//! Measures the cost of a run.

use core::time::Duration;
use cpu_time::ProcessTime;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Cost of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// Number of allocator calls.
    allocations: usize,
    /// Bytes requested.
    bytes: usize,
    /// Processor time of all threads.
    time: Duration,
}

impl Work {
    /// More than any run costs.
    pub(crate) const MOST: Self =
        Self { allocations: usize::MAX, bytes: usize::MAX, time: Duration::MAX };

    /// Returns the minimum of each cost.
    pub(crate) fn least(self, other: Self) -> Self {
        Self {
            allocations: self.allocations.min(other.allocations),
            bytes: self.bytes.min(other.bytes),
            time: self.time.min(other.time),
        }
    }

    /// Returns whether allocation exceeds `allocated` times that of `other`, or the time `time`
    /// times its time.
    pub(crate) fn exceeds(self, other: Self, (allocated, time): (f64, f64)) -> bool {
        let is_more = |own: usize, other: usize| own as f64 > allocated * other as f64;
        is_more(self.allocations, other.allocations)
            || is_more(self.bytes, other.bytes)
            || self.time > other.time.mul_f64(time)
    }
}

/// Returns the cost of `run`.
pub(crate) fn measure(run: impl FnOnce()) -> Work {
    let (allocated, begun) = (Region::new(COUNTING), ProcessTime::now());
    run();
    let (time, change) = (begun.elapsed(), allocated.change());
    let allocations = change.allocations + change.reallocations;
    Work { allocations, bytes: change.bytes_allocated, time }
}
