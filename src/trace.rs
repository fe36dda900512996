//! A log of what happens in a block, in order, for those who replay it.
//!
//! It is compiled in with the feature `trace` and kept only where the caller asked for it. Without
//! the feature a log is nothing, its tickets are nothing, and what would be noted is not made.

use core::fmt;
use core::marker::PhantomData;

#[cfg(all(feature = "trace", not(braid_loom)))]
use crate::sync::{AtomicU64, Mutex, SeqCst};

/// Tickets of all logs of the process: what two logs noted can be put into one order.
#[cfg(all(feature = "trace", not(braid_loom)))]
static NEXT: AtomicU64 = AtomicU64::new(1);

/// When something was noted. Later notes have higher tickets, also in other logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    #[cfg(all(feature = "trace", not(braid_loom)))]
    number: u64,
}

impl Ticket {
    /// Before everything that is noted from here on.
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

/// Events with their tickets.
pub struct Log<E> {
    #[cfg(all(feature = "trace", not(braid_loom)))]
    events: Option<Mutex<Vec<(Ticket, E)>>>,
    kind: PhantomData<fn() -> E>,
}

impl<E> Log<E> {
    /// A log that keeps nothing.
    pub(crate) const fn off() -> Self {
        Self {
            #[cfg(all(feature = "trace", not(braid_loom)))]
            events: None,
            kind: PhantomData,
        }
    }

    /// A log that keeps everything, if the feature is there.
    #[must_use]
    pub fn on() -> Self {
        Self {
            #[cfg(all(feature = "trace", not(braid_loom)))]
            events: Some(Mutex::new(Vec::new())),
            kind: PhantomData,
        }
    }

    /// Whether anything is kept.
    pub(crate) const fn is_on(&self) -> bool {
        #[cfg(all(feature = "trace", not(braid_loom)))]
        let on = self.events.is_some();
        #[cfg(not(all(feature = "trace", not(braid_loom))))]
        let on = false;
        on
    }

    /// Notes an event, which is made only if it is kept. What is noted under a lock is in the
    /// order of that lock.
    #[inline]
    pub(crate) fn note(&self, event: impl FnOnce() -> E) -> Ticket {
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

    /// The same log with all that was kept; nothing is left here.
    pub(crate) fn take(&self) -> Self {
        #[cfg(all(feature = "trace", not(braid_loom)))]
        if let Some(events) = &self.events {
            let events = Mutex::new(core::mem::take(&mut *events.lock()));
            return Self { events: Some(events), kind: PhantomData };
        }
        Self::off()
    }

    /// What was kept, in order.
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

/// What a build without the feature pays.
#[cfg(not(feature = "trace"))]
const _: () = assert!(size_of::<Log<String>>() == 0 && size_of::<Ticket>() == 0);
