//! Stages of a block on the calling thread.

/// Stage of a block on the calling thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallerStage {
    /// Pre-block calls, and choice of the first strategy.
    Before,
    /// Choice of a strategy, and setup of a segment.
    Plan,
    /// Run of a segment.
    Run,
    /// Post-block calls, receipts, bundle.
    After,
}
