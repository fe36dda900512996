//! Progress signals of running transactions.

use crate::ids::TxIndex;
use crate::sync::HintU32;

/// Number of progress counters. If two runs share a counter, one may stall unnoticed.
const BEATS: usize = 16;

/// A counter in its own cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
struct PaddedCounter(HintU32);

/// Progress signal of a run of a transaction. It changes every few reads; while it does not change,
/// the run may be stalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat(u32);

impl Beat {
    const IN_BASE: u32 = 1;
    const NEXT: u32 = 2;

    /// Returns whether the run waits for the base state. Such a wait takes as long as the database
    /// takes, and a helper would wait, too.
    #[must_use]
    pub const fn is_in_base(self) -> bool {
        self.0 & Self::IN_BASE != 0
    }
}

/// Progress counters of the transactions of a block. They are hints: they order nothing, and a lost
/// update is followed by others.
#[derive(Debug, Default)]
pub(super) struct Beats([PaddedCounter; BEATS]);

impl Beats {
    fn counter(&self, tx: TxIndex) -> Option<&HintU32> {
        self.0.get(tx.0 as usize % BEATS).map(|counter| &counter.0)
    }

    pub(super) fn beat(&self, tx: TxIndex, in_base: bool) {
        let Some(counter) = self.counter(tx) else { return };
        let next = (counter.load() & !Beat::IN_BASE).wrapping_add(Beat::NEXT);
        counter.store(next | u32::from(in_base));
    }

    pub(super) fn of(&self, tx: TxIndex) -> Beat {
        Beat(self.counter(tx).map_or(0, HintU32::load))
    }
}
