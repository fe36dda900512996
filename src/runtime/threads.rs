//! Real threads: nothing interrupts an actor, and waiting blocks its thread.

use crate::sync::Receiver;
#[cfg(not(braid_loom))]
use crate::sync::{RecvTimeoutError, TryRecvError};
#[cfg(not(braid_loom))]
use crate::worker::Waited;
use crate::worker::{AnyInterrupt, Context, Interrupt, Point};
#[cfg(not(braid_loom))]
use core::time::Duration;

/// Number of polls before a thread sleeps. Polling takes longer than waking a thread, some 50 us on
/// a virtual machine, and less than a block.
const LOOKS: u32 = 2_000;
/// Number of spin hints between two polls. A hint takes 40 to 140 cycles, all polls together a
/// tenth to a third of a millisecond.
#[cfg(not(braid_loom))]
const HINTS: u32 = 3;

/// Number of full polling rounds before the caller of a block sleeps. If another process uses its
/// core, a thread that has slept gets the core back only after milliseconds.
#[cfg(not(braid_loom))]
const PATIENCE: u32 = 6;

/// Time that a thread sleeps before it checks whether others make progress: a fraction of a typical
/// preemption.
#[cfg(not(braid_loom))]
pub(super) const SLICE: Duration = Duration::from_micros(500);

/// Pauses between two polls. The core is not yielded: another process could keep it for
/// milliseconds, and the message would wait for as long.
#[cfg(not(braid_loom))]
fn pause() {
    for _ in 0..HINTS {
        core::hint::spin_loop();
    }
}

/// Converts the result of a receive that found a message or the end of the channel.
#[cfg(not(braid_loom))]
pub(super) fn waited<T, E>(found: Result<T, E>) -> Waited<T> {
    found.map_or(Waited::Closed, Waited::Message)
}

/// Sleeps until a message arrives, and checks after each `slice` whether the block is stalled.
#[cfg(not(braid_loom))]
#[expect(
    clippy::disallowed_methods,
    reason = "a waiting caller regularly checks whether it can help; no result depends on it"
)]
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

/// Context of a worker on its own thread.
#[derive(Clone, Copy, Debug)]
pub struct Threads {
    looks: u32,
}

impl Threads {
    /// Threads that sleep as soon as they have nothing to do, for pools with more threads than
    /// cores.
    pub const BLOCKING: Self = Self { looks: 0 };
    /// Threads that poll for a message for a while before they sleep.
    pub const SPINNING: Self = Self { looks: LOOKS };

    /// Returns the context that suits `workers` threads on this machine.
    #[must_use]
    pub fn for_workers(workers: usize) -> Self {
        let cores = std::thread::available_parallelism();
        if cores.is_ok_and(|cores| workers <= cores.get()) {
            Self::SPINNING
        } else {
            Self::BLOCKING
        }
    }

    /// Polls for a message as often as these threads do, and calls `meanwhile` between polls.
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

    /// Polls for as many rounds as the caller of a block does, unless these threads never poll.
    /// `None` means that it is time to sleep.
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

    /// Returns whether there is a core for each thread.
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
        // Threads that otherwise sleep at once poll here, too: on a busy core, a thread that sleeps
        // or yields gets the core back only after milliseconds.
        Self::SPINNING.look(channel, || ()).ok()
    }
}
