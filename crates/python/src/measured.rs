//! What reports have in common: segments, settings, times.

use braid_evm::Segment;
use cpu_time::ProcessTime;
use serde::Serialize;
use std::{
    thread,
    time::{Duration, Instant},
};

/// Transactions that ran in one way, as `braid run --json` names it.
#[derive(Serialize)]
pub(crate) struct SegmentLine {
    first: u32,
    end: u32,
    strategy: String,
    reason: String,
    why: String,
}

impl From<&Segment> for SegmentLine {
    fn from(segment: &Segment) -> Self {
        let Segment { first, end, strategy, reason, .. } = *segment;
        let why = format!("{strategy}: {reason}");
        let (strategy, reason) = (format!("{strategy:?}"), format!("{reason:?}"));
        Self { first, end, strategy, reason, why }
    }
}

/// What all reports of an engine have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) workers: u16,
    pub(crate) mode: &'static str,
    pub(crate) policy: &'static str,
}

/// Time that something took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    /// On the clock.
    pub(crate) wall: Duration,
    /// User and system time of all threads of the process.
    pub(crate) cpu: Duration,
}

/// Runs `work` after a pause; it returns its result and what is left to be dropped.
pub(crate) fn timed<T, L>(pause: Duration, work: impl FnOnce() -> (T, L)) -> (T, Times) {
    if !pause.is_zero() {
        thread::sleep(pause);
    }
    let before = ProcessTime::try_now().ok();
    let start = Instant::now();
    let (result, left) = work();
    let wall = start.elapsed();
    drop(left);
    let after = ProcessTime::try_now().ok();
    let both = before.zip(after);
    let cpu = both.map_or(Duration::ZERO, |(before, after)| after.duration_since(before));
    (result, Times { wall, cpu })
}

/// Median of wall and CPU times, each on its own; the lower one of an even number.
pub(crate) fn median(times: impl Iterator<Item = Times> + Clone) -> Times {
    let middle = |mut values: Vec<Duration>| {
        values.sort_unstable();
        values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
    };
    Times {
        wall: middle(times.clone().map(|times| times.wall).collect()),
        cpu: middle(times.map(|times| times.cpu).collect()),
    }
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

pub(crate) fn ratio(over: Duration, under: Duration) -> Option<f64> {
    let under = under.as_secs_f64();
    (under > 0.0).then(|| over.as_secs_f64() / under)
}
