//! Bugs that are seeded into the pipeline, to see whether the model notices them.

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
}

impl Mutant {
    /// All bugs, each with the property of the model that notices it.
    pub(super) const ALL: [(Self, &'static str); 9] = [
        (Self::ThreeAhead, "two blocks are ahead of the durable one, at most"),
        (Self::DroppedEarly, "a block executes on the state after its parent"),
        (Self::NewestMissing, "a block executes on the state after its parent"),
        (Self::LayersReversed, "a block executes on the state after its parent"),
        (Self::GoesOnAfterFailure, "blocks are stored in order"),
        (Self::FailureUntold, "no thread waits for ever"),
        (Self::RefusedStays, "a block that was refused is no part of the state"),
        (Self::EndUntold, "no thread waits for ever"),
        (Self::FlushedEarly, "what is told to be durable is in the store"),
    ];
}
