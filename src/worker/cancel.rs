//! Cancellation of blocks from any thread.

use crate::panics::caught;
use crate::sync::{AtomicBool, SeqCst};
use core::fmt;
use std::sync::Arc;

/// Ends blocks early, from any thread or on a condition. Clones share one state, and a token that
/// was cancelled stays cancelled.
///
/// Each worker finishes its current transaction and starts no other. Results that are complete by
/// then are committed, up to the first transaction without one, and returned.
#[derive(Clone)]
pub struct CancellationToken(Arc<Inner>);

struct Inner {
    is_cancelled: AtomicBool,
    condition: Option<Box<dyn Fn() -> bool + Send + Sync>>,
}

impl CancellationToken {
    /// Creates a token that is not cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self::with(None)
    }

    /// Creates a token that is cancelled as soon as `condition` returns true, or by
    /// [`cancel`](Self::cancel). The library never reads a clock, so a deadline is a condition:
    ///
    /// ```
    /// # use braid_evm::CancellationToken;
    /// # use std::time::{Duration, Instant};
    /// let deadline = Instant::now() + Duration::from_millis(50);
    /// let token = CancellationToken::when(move || Instant::now() >= deadline);
    /// ```
    ///
    /// Each worker calls the condition before each transaction, concurrently with others, until it
    /// has returned true once; a call should take tens of nanoseconds. A panic counts as true.
    #[must_use]
    pub fn when(condition: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self::with(Some(Box::new(condition)))
    }

    fn with(condition: Option<Box<dyn Fn() -> bool + Send + Sync>>) -> Self {
        Self(Arc::new(Inner { is_cancelled: AtomicBool::new(false), condition }))
    }

    /// Ends all blocks that use this token, now and later.
    pub fn cancel(&self) {
        self.0.is_cancelled.store(true, SeqCst);
    }

    /// Returns whether [`cancel`](Self::cancel) was called or the condition has held.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        if self.0.is_cancelled.load(SeqCst) {
            return true;
        }
        let Some(condition) = &self.0.condition else { return false };
        // If the panic were not caught, the lost worker would count as a broken invariant.
        let holds = caught(condition).unwrap_or(true);
        if holds {
            // Later calls must return true, too.
            self.cancel();
        }
        holds
    }
}

impl Default for CancellationToken {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CancellationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_cancelled = self.0.is_cancelled.load(SeqCst);
        f.debug_struct("CancellationToken")
            .field("is_cancelled", &is_cancelled)
            .finish_non_exhaustive()
    }
}
