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
    /// Bytes that are still allocated afterwards.
    kept: isize,
    /// Processor time of all threads.
    time: Duration,
}

impl Work {
    /// More than any run costs.
    pub(crate) const MOST: Self =
        Self { allocations: usize::MAX, bytes: usize::MAX, kept: isize::MAX, time: Duration::MAX };

    /// Returns the minimum of each cost.
    pub(crate) fn least(self, other: Self) -> Self {
        Self {
            allocations: self.allocations.min(other.allocations),
            bytes: self.bytes.min(other.bytes),
            kept: self.kept.min(other.kept),
            time: self.time.min(other.time),
        }
    }

    /// Less than any run allocates, in more than its time.
    pub(crate) const NONE: Self =
        Self { allocations: 0, bytes: 0, kept: isize::MIN, time: Duration::MAX };

    /// Returns the maximum of what is allocated, and the minimum of the time. Later, larger work is
    /// compared with it, because the schedule decides what two workers allocate: one that finds no
    /// job creates no EVM.
    pub(crate) fn most(self, other: Self) -> Self {
        Self {
            allocations: self.allocations.max(other.allocations),
            bytes: self.bytes.max(other.bytes),
            kept: self.kept.max(other.kept),
            time: self.time.min(other.time),
        }
    }

    /// Returns the cost of one of `parts`, except for what is kept.
    pub(crate) fn per(self, parts: usize) -> Self {
        let each = |all: usize| all / parts.max(1);
        let time = self.time / u32::try_from(parts.max(1)).unwrap_or(u32::MAX);
        Self { allocations: each(self.allocations), bytes: each(self.bytes), time, ..self }
    }

    /// Returns the number of bytes that are still allocated afterwards.
    pub(crate) const fn kept(self) -> isize {
        self.kept
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
    let bytes = change.bytes_allocated;
    let kept = bytes.cast_signed() - change.bytes_deallocated.cast_signed();
    Work { allocations, bytes, kept, time }
}
