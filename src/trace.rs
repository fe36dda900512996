//! A log of the events of a block, in the order of their tickets, for replays in tests.
//!
//! The feature `trace` compiles it in; it records only if the caller enables it. Without the
//! feature, logs and tickets have no size and events are not constructed.

use core::fmt;
use core::marker::PhantomData;

#[cfg(all(feature = "trace", not(braid_loom)))]
use crate::sync::{AtomicU64, Mutex, SeqCst};

/// Next ticket, shared by all logs of the process, so that the events of two logs can be ordered.
#[cfg(all(feature = "trace", not(braid_loom)))]
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Sequence number of a recorded event. Later events have higher tickets, across logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    #[cfg(all(feature = "trace", not(braid_loom)))]
    number: u64,
}

impl Ticket {
    /// Returns a ticket that is not higher than that of any later event.
    pub(crate) fn now() -> Self {
        Self {
            #[cfg(all(feature = "trace", not(braid_loom)))]
            number: NEXT.load(SeqCst),
        }
    }

    #[cfg(all(feature = "trace", not(braid_loom)))]
    fn draw() -> Self {
        Self { number: NEXT.fetch_add(1, SeqCst) }
    }
}

/// A log of events with their tickets.
pub struct Log<E> {
    #[cfg(all(feature = "trace", not(braid_loom)))]
    events: Option<Mutex<Vec<(Ticket, E)>>>,
    kind: PhantomData<fn() -> E>,
}

impl<E> Log<E> {
    /// Creates a log that records nothing.
    pub(crate) const fn off() -> Self {
        Self {
            #[cfg(all(feature = "trace", not(braid_loom)))]
            events: None,
            kind: PhantomData,
        }
    }

    /// Creates a log that records everything, if the feature is enabled.
    #[must_use]
    pub fn on() -> Self {
        Self {
            #[cfg(all(feature = "trace", not(braid_loom)))]
            events: Some(Mutex::new(Vec::new())),
            kind: PhantomData,
        }
    }

    /// Returns whether the log records.
    pub(crate) const fn is_on(&self) -> bool {
        #[cfg(all(feature = "trace", not(braid_loom)))]
        let on = self.events.is_some();
        #[cfg(not(all(feature = "trace", not(braid_loom))))]
        let on = false;
        on
    }

    /// Records an event, which is constructed only if the log records. Events recorded under a lock
    /// are in the order of that lock.
    #[inline]
    pub(crate) fn record(&self, event: impl FnOnce() -> E) -> Ticket {
        #[cfg(all(feature = "trace", not(braid_loom)))]
        if let Some(events) = &self.events {
            let event = event();
            let mut events = events.lock();
            let ticket = Ticket::draw();
            events.push((ticket, event));
            return ticket;
        }
        let _ = event;
        Ticket::default()
    }

    /// Moves the recorded events into a new log, which leaves this one empty.
    pub(crate) fn take(&self) -> Self {
        #[cfg(all(feature = "trace", not(braid_loom)))]
        if let Some(events) = &self.events {
            let events = Mutex::new(core::mem::take(&mut *events.lock()));
            return Self { events: Some(events), kind: PhantomData };
        }
        Self::off()
    }

    /// Returns the events in the order in which they were recorded.
    #[must_use]
    pub fn into_events(self) -> Vec<(Ticket, E)> {
        #[cfg(all(feature = "trace", not(braid_loom)))]
        let events = self.events.map(Mutex::into_inner).unwrap_or_default();
        #[cfg(not(all(feature = "trace", not(braid_loom))))]
        let events = Vec::new();
        events
    }
}

impl<E> fmt::Debug for Log<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("on", &self.is_on()).finish()
    }
}

// Logs cost nothing in a build without the feature.
#[cfg(not(feature = "trace"))]
const _: () = assert!(size_of::<Log<String>>() == 0 && size_of::<Ticket>() == 0);
