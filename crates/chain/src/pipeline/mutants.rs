//! Seeded bugs of the pipeline, which the model must detect.

use super::properties::{
    AFTER_FAILURE, AHEAD_AT_MOST, DROPPED, DURABLE, NAMED, ORDER, PARENT, REFUSED, WAITS,
};

/// A seeded bug of [`Pipeline`](super::Pipeline).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Mutant {
    /// No bug.
    #[default]
    None,
    /// Lets three blocks wait for the writer.
    ThreeAhead,
    /// Drops a block from the layers while it is being written.
    DroppedEarly,
    /// Omits the newest block from the layers.
    NewestMissing,
    /// Returns the oldest layer first.
    LayersReversed,
    /// Goes on writing after a block that could not be written.
    GoesOnAfterFailure,
    /// Does not report a failure.
    FailureUntold,
    /// Keeps a refused block as a layer.
    RefusedStays,
    /// Does not report that the writer's thread has ended.
    EndUntold,
    /// Reports all blocks as durable while the last one is being written.
    FlushedEarly,
    /// Gives the newest block to the writer first.
    NewestFirst,
    /// Reports a block as durable once the writer has taken it.
    DurableEarly,
    /// Blames the newest block for a failed write.
    NewestBlamed,
    /// Ends the writer when the chain is dropped, even if blocks are left to write.
    ClosedEarly,
    /// Does not wake the writer when a block is added.
    BlockUnheard,
    /// Does not wake a thread that waits until a block is written.
    RoomUnheard,
    /// Does not wake waiting threads when the writer fails or ends.
    EndUnheard,
    /// Does not wake the writer when the chain is dropped.
    CloseUnheard,
}

impl Mutant {
    /// All bugs, each with the property of the model that detects it.
    pub(super) const ALL: [(Self, &'static str); 17] = [
        (Self::ThreeAhead, AHEAD_AT_MOST),
        (Self::DroppedEarly, PARENT),
        (Self::NewestMissing, PARENT),
        (Self::LayersReversed, PARENT),
        (Self::GoesOnAfterFailure, AFTER_FAILURE),
        (Self::FailureUntold, WAITS),
        (Self::RefusedStays, REFUSED),
        (Self::EndUntold, WAITS),
        (Self::FlushedEarly, DURABLE),
        (Self::NewestFirst, ORDER),
        (Self::DurableEarly, DURABLE),
        (Self::NewestBlamed, NAMED),
        (Self::ClosedEarly, DROPPED),
        (Self::BlockUnheard, WAITS),
        (Self::RoomUnheard, WAITS),
        (Self::EndUnheard, WAITS),
        (Self::CloseUnheard, WAITS),
    ];
}
