//! What the calling thread does with a block.

/// Stage of a block on the calling thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallerStage {
    /// Pre-block calls, and choosing the first strategy.
    Before,
    /// Choosing a strategy and setting up a segment.
    Plan,
    /// Running a segment.
    Run,
    /// Post-block calls, receipts, bundle.
    After,
}
