//! Spans of [`tracing`](https://docs.rs/tracing), compiled in with the feature `tracing`.
//!
//! Without the feature, a span has no size and no destructor, and its fields are not computed.

/// Opens a span that lasts as long as the value: `let _span = span!(TRACE, "run", tx = tx.0)`.
macro_rules! span {
    ($level:ident, $name:literal $($fields:tt)*) => {{
        #[cfg(feature = "tracing")]
        let span = {
            use tracing::{Level, span as new};
            new!(target: "braid", Level::$level, $name $($fields)*).entered()
        };
        #[cfg(not(feature = "tracing"))]
        let span = $crate::spans::NoSpan;
        span
    }};
}
pub(crate) use span;

/// A span in a build without the feature.
#[cfg(not(feature = "tracing"))]
pub(crate) struct NoSpan;

/// The span of the thread that sets up a block; the spans of all workers are its children.
pub(crate) struct ParentSpan {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

impl ParentSpan {
    /// Returns the current span of the calling thread.
    pub(crate) fn current() -> Self {
        Self {
            #[cfg(feature = "tracing")]
            span: tracing::Span::current(),
        }
    }

    /// Enters the span on another thread, until the returned guard is dropped.
    #[cfg(feature = "tracing")]
    pub(crate) fn enter(&self) -> tracing::span::Entered<'_> {
        self.span.enter()
    }

    /// Does nothing.
    #[cfg(not(feature = "tracing"))]
    #[expect(clippy::unused_self, reason = "with the feature it is used")]
    pub(crate) const fn enter(&self) -> NoSpan {
        NoSpan
    }
}

// Spans cost nothing in a build without the feature.
#[cfg(not(feature = "tracing"))]
const _: () = {
    assert!(size_of::<NoSpan>() == 0 && size_of::<ParentSpan>() == 0);
    assert!(!core::mem::needs_drop::<NoSpan>() && !core::mem::needs_drop::<ParentSpan>());
};
