//! What reports have in common: segments, settings, times.

use braid_evm::Segment;
use serde::Serialize;
use std::time::Duration;

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

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

pub(crate) fn ratio(over: Duration, under: Duration) -> Option<f64> {
    let under = under.as_secs_f64();
    (under > 0.0).then(|| over.as_secs_f64() / under)
}
