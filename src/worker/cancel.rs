//! Ending a block from any thread.

use crate::sync::{AtomicBool, SeqCst};
use std::sync::Arc;

/// Ends blocks early, from any thread. Its clones are one token; a token that was cancelled stays
/// so.
///
/// Each worker ends the transaction that it runs, and begins no other one. What was committed by
/// then is returned.
#[derive(Clone, Debug)]
pub struct CancellationToken(Arc<AtomicBool>);

impl CancellationToken {
    /// A token that is not cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(AtomicBool::new(false)))
    }

    /// Ends the blocks that have this token, now and later.
    pub fn cancel(&self) {
        self.0.store(true, SeqCst);
    }

    /// Whether [`cancel`](Self::cancel) was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(SeqCst)
    }
}

impl Default for CancellationToken {
    fn default() -> Self {
        Self::new()
    }
}
