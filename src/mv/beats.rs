//! Whether runs come nearer to their end.

use crate::ids::TxIndex;
use crate::sync::{HintU32, SeqCst};

/// Runs at a time whose beats do not meet. Where two meet, a stalled run looks as if it went on.
const BEATS: usize = 16;

/// Apart from what others change.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Place(HintU32);

/// What a run of a transaction has shown of itself so far. It stays the same while the run does
/// nothing that shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat(u32);

impl Beat {
    const IN_BASE: u32 = 1;
    const NEXT: u32 = 2;

    /// Whether the run waits for the base state: for as long as it takes, and another run would
    /// wait, too.
    #[must_use]
    pub const fn is_in_base(self) -> bool {
        self.0 & Self::IN_BASE != 0
    }
}

/// The beats of the runs of a block. They are hints: nothing is ordered by them, and a lost one
/// shows next time.
#[derive(Debug, Default)]
pub(super) struct Beats([Place; BEATS]);

impl Beats {
    fn place(&self, tx: TxIndex) -> Option<&HintU32> {
        self.0.get(tx.0 as usize % BEATS).map(|place| &place.0)
    }

    pub(super) fn beat(&self, tx: TxIndex, in_base: bool) {
        let Some(place) = self.place(tx) else { return };
        let next = (place.load(SeqCst) & !Beat::IN_BASE).wrapping_add(Beat::NEXT);
        place.store(next | u32::from(in_base), SeqCst);
    }

    pub(super) fn of(&self, tx: TxIndex) -> Beat {
        Beat(self.place(tx).map_or(0, |place| place.load(SeqCst)))
    }
}
