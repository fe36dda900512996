//! Real threads: nothing interrupts an actor, and waiting blocks its thread.

use crate::sync::Receiver;
#[cfg(not(braid_loom))]
use crate::sync::{RecvTimeoutError, TryRecvError};
#[cfg(not(braid_loom))]
use crate::worker::Waited;
use crate::worker::{AnyInterrupt, Context, Interrupt, Point};
#[cfg(not(braid_loom))]
use core::time::Duration;

/// Looks before a thread goes to sleep: for longer than it takes to wake it, some 50 us on a
/// virtual machine, and for less than a block takes.
const LOOKS: u32 = 2_000;
/// Hints to the processor between two looks. A hint takes 40 to 140 cycles, all looks a tenth to a
/// third of a millisecond.
#[cfg(not(braid_loom))]
const HINTS: u32 = 3;

/// How often the caller of a block looks in full before it sleeps. Where something else computes on
/// its core, a thread that has slept gets the core back after milliseconds.
#[cfg(not(braid_loom))]
const PATIENCE: u32 = 6;

/// Time for which a thread sleeps before it looks whether others come nearer to their ends: a
/// fraction of that for which the system suspends a thread.
#[cfg(not(braid_loom))]
pub(super) const SLICE: Duration = Duration::from_micros(500);

/// Time between two looks. The core is not yielded: where something else computes on it, it would
/// be gone for milliseconds, and the message would wait for that long.
#[cfg(not(braid_loom))]
fn pause() {
    for _ in 0..HINTS {
        core::hint::spin_loop();
    }
}

/// What came of a wait that found a message or the end of the channel.
#[cfg(not(braid_loom))]
pub(super) fn waited<T, E>(found: Result<T, E>) -> Waited<T> {
    found.map_or(Waited::Closed, Waited::Message)
}

/// Sleeps until a message comes, and asks after each `slice` whether the block is stalled.
#[cfg(not(braid_loom))]
pub(super) fn sleep<T>(
    channel: &Receiver<T>,
    slice: Duration,
    mut is_stalled: impl FnMut() -> bool,
) -> Waited<T> {
    loop {
        match channel.recv_timeout(slice) {
            Err(RecvTimeoutError::Timeout) if !is_stalled() => {}
            Err(RecvTimeoutError::Timeout) => return Waited::Stalled,
            found => return waited(found),
        }
    }
}

/// The context of a worker on a thread of its own.
#[derive(Clone, Copy, Debug)]
pub struct Threads {
    looks: u32,
}

impl Threads {
    /// Threads that sleep as soon as there is nothing to do: where they are more than cores.
    pub const BLOCKING: Self = Self { looks: 0 };
    /// Threads that look for a message for a while before they sleep.
    pub const SPINNING: Self = Self { looks: LOOKS };

    /// What suits `workers` threads here.
    #[must_use]
    pub fn for_workers(workers: usize) -> Self {
        let cores = std::thread::available_parallelism();
        if cores.is_ok_and(|cores| workers <= cores.get()) {
            Self::SPINNING
        } else {
            Self::BLOCKING
        }
    }

    /// Looks for a message as often as these threads do, doing what there is to do `meanwhile`.
    #[cfg(not(braid_loom))]
    pub(super) fn look<T>(
        self,
        channel: &Receiver<T>,
        meanwhile: impl Fn(),
    ) -> Result<T, TryRecvError> {
        for _ in 0..self.looks {
            meanwhile();
            match channel.try_recv() {
                Err(TryRecvError::Empty) => pause(),
                found => return found,
            }
        }
        Err(TryRecvError::Empty)
    }

    /// Looks in full as often as the caller of a block does, unless these threads never look.
    /// `None`: it is time to sleep.
    #[cfg(not(braid_loom))]
    pub(super) fn look_patiently<T>(
        self,
        channel: &Receiver<T>,
        meanwhile: impl Fn(),
        is_stalled: &mut impl FnMut() -> bool,
    ) -> Option<Waited<T>> {
        for _ in 0..PATIENCE {
            match self.look(channel, &meanwhile) {
                Err(TryRecvError::Empty) if self.looks == 0 => break,
                Err(TryRecvError::Empty) if !is_stalled() => {}
                Err(TryRecvError::Empty) => return Some(Waited::Stalled),
                found => return Some(waited(found)),
            }
        }
        None
    }

    /// Whether there is a core for each of them.
    pub(super) const fn have_cores(self) -> bool {
        self.looks > 0
    }
}

impl Interrupt for Threads {
    fn yield_at(&self, _: Point) {}
}

impl Context for Threads {
    fn any(&self) -> AnyInterrupt<'_> {
        None
    }

    #[cfg(not(braid_loom))]
    fn recv<T>(&self, channel: &Receiver<T>) -> Option<T> {
        match self.look(channel, || ()) {
            Err(TryRecvError::Empty) => channel.recv().ok(),
            found => found.ok(),
        }
    }

    #[cfg(braid_loom)]
    fn recv<T>(&self, channel: &Receiver<T>) -> Option<T> {
        channel.recv().ok()
    }

    #[cfg(not(braid_loom))]
    fn recv_unless<T>(
        &self,
        channel: &Receiver<T>,
        mut is_stalled: impl FnMut() -> bool,
    ) -> Waited<T> {
        self.look_patiently(channel, || (), &mut is_stalled)
            .unwrap_or_else(|| sleep(channel, SLICE, is_stalled))
    }

    #[cfg(not(braid_loom))]
    fn recv_soon<T>(&self, channel: &Receiver<T>) -> Option<T> {
        // Threads that sleep at once look here, too: a thread that sleeps or yields on a busy core
        // gets it back after milliseconds.
        Self::SPINNING.look(channel, || ()).ok()
    }
}
