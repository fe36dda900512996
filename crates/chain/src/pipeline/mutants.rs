//! Bugs that are seeded into the pipeline, to see whether the model notices them.

use super::properties::{
    AFTER_FAILURE, AHEAD_AT_MOST, DROPPED, DURABLE, NAMED, ORDER, PARENT, REFUSED, WAITS,
};

/// A bug of [`Pipeline`](super::Pipeline).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Mutant {
    /// None.
    #[default]
    None,
    /// Three blocks wait for the writer.
    ThreeAhead,
    /// A block is no layer any more while it is being written.
    DroppedEarly,
    /// The newest block is no layer.
    NewestMissing,
    /// The oldest layer is read first.
    LayersReversed,
    /// The writer goes on after a block that it could not write.
    GoesOnAfterFailure,
    /// A failure is not told.
    FailureUntold,
    /// A block that was refused is a layer.
    RefusedStays,
    /// That the writer is gone is not told.
    EndUntold,
    /// Blocks count as durable while the last one is being written.
    FlushedEarly,
    /// The writer is given the newest block first.
    NewestFirst,
    /// A block counts as durable once the writer has taken it.
    DurableEarly,
    /// The newest block is named as the one that could not be written.
    NewestBlamed,
    /// The writer ends when the chain is dropped, whatever is left to be written.
    ClosedEarly,
    /// The writer sleeps on although a block was handed over.
    BlockUnheard,
    /// A thread that waits for a block to be written sleeps on.
    RoomUnheard,
    /// A thread that waits sleeps on although the writer has failed or is gone.
    EndUnheard,
    /// The writer sleeps on although the chain is dropped.
    CloseUnheard,
}

impl Mutant {
    /// All bugs, each with the property of the model that notices it.
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
