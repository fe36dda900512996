//! Makes held locks visible to loom.
//!
//! loom does not switch threads when a lock is released, so it would never let a try fail between
//! the holder's last step and the unlock. A flag beside the lock, with the orderings of std's own
//! lock word, makes both visible.

use loom::sync::atomic::{AtomicBool, Ordering};

/// Whether a thread that tried the lock holds it.
#[derive(Debug, Default)]
pub(super) struct HeldFlag(AtomicBool);

impl HeldFlag {
    pub(super) fn try_hold(&self) -> Option<Held<'_>> {
        let held = self.0.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
        held.is_ok().then(|| Held(self))
    }
}

/// Holds the flag; no other thread can hold it until this value is dropped.
#[derive(Debug)]
pub(super) struct Held<'a>(&'a HeldFlag);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}
