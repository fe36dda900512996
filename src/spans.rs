//! Spans of [`tracing`](https://docs.rs/tracing), compiled in with the feature `tracing`.
//!
//! Without the feature a span has no size and nothing to drop, and its fields are not computed.

/// Opens a span that lasts as long as the value: `let _span = span!(TRACE, "run", tx = tx.0)`.
macro_rules! span {
    ($level:ident, $name:literal $($fields:tt)*) => {{
        #[cfg(feature = "tracing")]
        let span = {
            use tracing::{Level, span as new};
            new!(target: "braid", Level::$level, $name $($fields)*).entered()
        };
        #[cfg(not(feature = "tracing"))]
        let span = $crate::spans::Off;
        span
    }};
}
pub(crate) use span;

/// A span where none are compiled in.
#[cfg(not(feature = "tracing"))]
pub(crate) struct Off;

/// The span of the thread that sets a block up: those of all its workers lie in it.
pub(crate) struct Parent {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

impl Parent {
    /// The span in which the calling thread is.
    pub(crate) fn current() -> Self {
        Self {
            #[cfg(feature = "tracing")]
            span: tracing::Span::current(),
        }
    }

    /// Enters it on another thread, as long as the value lasts.
    #[cfg(feature = "tracing")]
    pub(crate) fn enter(&self) -> tracing::span::Entered<'_> {
        self.span.enter()
    }

    /// Nothing.
    #[cfg(not(feature = "tracing"))]
    #[expect(clippy::unused_self, reason = "with the feature it is used")]
    pub(crate) const fn enter(&self) -> Off {
        Off
    }
}

/// What a build without the feature pays.
#[cfg(not(feature = "tracing"))]
const _: () = {
    assert!(size_of::<Off>() == 0 && size_of::<Parent>() == 0);
    assert!(!core::mem::needs_drop::<Off>() && !core::mem::needs_drop::<Parent>());
};
