//! Real threads: nothing interrupts an actor, and waiting blocks its thread.

use crate::sync::Receiver;
#[cfg(not(braid_loom))]
use crate::sync::{RecvTimeoutError, TryRecvError};
#[cfg(not(braid_loom))]
use crate::worker::Waited;
use crate::worker::{AnyInterrupt, Context, Interrupt, Point};
#[cfg(not(braid_loom))]
use core::time::Duration;

/// Number of polls before a thread sleeps. A round of polls takes longer than waking a thread (some
/// 50 us on a virtual machine), and less time than a block.
const POLLS: u32 = 2_000;
/// Number of spin hints between two polls. A hint takes 40 to 140 cycles, and a round of polls a
/// tenth to a third of a millisecond.
#[cfg(not(braid_loom))]
const SPIN_HINTS: u32 = 3;

/// Number of rounds of polls before the caller of a block sleeps. If another process uses its core,
/// a thread that has slept gets the core back only after milliseconds.
#[cfg(not(braid_loom))]
const CALLER_POLL_ROUNDS: u32 = 6;

/// Time that a thread sleeps before it checks whether other workers make progress: a fraction of a
/// typical preemption.
#[cfg(not(braid_loom))]
pub(super) const STALL_CHECK_INTERVAL: Duration = Duration::from_micros(500);

/// Pauses between two polls. The core is not yielded: another process could keep it for
/// milliseconds, and the message would wait for as long.
#[cfg(not(braid_loom))]
fn pause() {
    for _ in 0..SPIN_HINTS {
        core::hint::spin_loop();
    }
}

/// Converts the result of a receive that got a message or found the channel closed.
#[cfg(not(braid_loom))]
pub(super) fn waited<T, E>(found: Result<T, E>) -> Waited<T> {
    found.map_or(Waited::Closed, Waited::Message)
}

/// Sleeps until a message arrives, and checks after each `interval` whether the block is stalled.
#[cfg(not(braid_loom))]
#[expect(
    clippy::disallowed_methods,
    reason = "a waiting caller regularly checks whether it can help; no result depends on it"
)]
pub(super) fn sleep<T>(
    channel: &Receiver<T>,
    interval: Duration,
    mut is_stalled: impl FnMut() -> bool,
) -> Waited<T> {
    loop {
        match channel.recv_timeout(interval) {
            Err(RecvTimeoutError::Timeout) if !is_stalled() => {}
            Err(RecvTimeoutError::Timeout) => return Waited::Stalled,
            found => return waited(found),
        }
    }
}

/// Context of a worker on its own thread.
#[derive(Clone, Copy, Debug)]
pub struct Threads {
    polls: u32,
}

impl Threads {
    /// Threads that sleep at once while they wait, for pools with more threads than cores.
    pub const BLOCKING: Self = Self { polls: 0 };
    /// Threads that poll for a message for a while before they sleep.
    pub const SPINNING: Self = Self { polls: POLLS };

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

    /// Polls for a message, up to the number of polls of these threads, and calls `meanwhile`
    /// between polls.
    #[cfg(not(braid_loom))]
    pub(super) fn poll<T>(
        self,
        channel: &Receiver<T>,
        meanwhile: impl Fn(),
    ) -> Result<T, TryRecvError> {
        for _ in 0..self.polls {
            meanwhile();
            match channel.try_recv() {
                Err(TryRecvError::Empty) => pause(),
                found => return found,
            }
        }
        Err(TryRecvError::Empty)
    }

    /// Polls for [`CALLER_POLL_ROUNDS`] rounds, unless these threads never poll. Returns `None` if
    /// the caller should sleep.
    #[cfg(not(braid_loom))]
    pub(super) fn poll_patiently<T>(
        self,
        channel: &Receiver<T>,
        meanwhile: impl Fn(),
        is_stalled: &mut impl FnMut() -> bool,
    ) -> Option<Waited<T>> {
        for _ in 0..CALLER_POLL_ROUNDS {
            match self.poll(channel, &meanwhile) {
                Err(TryRecvError::Empty) if self.polls == 0 => break,
                Err(TryRecvError::Empty) if !is_stalled() => {}
                Err(TryRecvError::Empty) => return Some(Waited::Stalled),
                found => return Some(waited(found)),
            }
        }
        None
    }

    /// Returns whether there is a core for each thread.
    pub(super) const fn have_cores(self) -> bool {
        self.polls > 0
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
        match self.poll(channel, || ()) {
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
        self.poll_patiently(channel, || (), &mut is_stalled)
            .unwrap_or_else(|| sleep(channel, STALL_CHECK_INTERVAL, is_stalled))
    }

    #[cfg(not(braid_loom))]
    fn recv_soon<T>(&self, channel: &Receiver<T>) -> Option<T> {
        // All threads poll here: on a busy core, a thread that sleeps or yields gets the core back
        // only after milliseconds.
        Self::SPINNING.poll(channel, || ()).ok()
    }
}
