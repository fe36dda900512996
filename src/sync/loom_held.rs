//! A flag that makes held locks visible to loom.
//!
//! loom does not switch threads when a lock is released, so `try_lock` would never fail between the
//! holder's last step and the unlock. The flag, with the memory orderings of std's own lock word,
//! adds a step at both.

use loom::sync::atomic::{AtomicBool, Ordering};

/// Whether a thread holds the lock after a successful `try_lock`.
#[derive(Debug, Default)]
pub(super) struct HeldFlag(AtomicBool);

impl HeldFlag {
    pub(super) fn try_hold(&self) -> Option<Held<'_>> {
        let held = self.0.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
        held.is_ok().then(|| Held(self))
    }
}

/// Guard of the flag; no other thread can hold it until this value is dropped.
#[derive(Debug)]
pub(super) struct Held<'a>(&'a HeldFlag);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}
