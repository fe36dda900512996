//! Lets loom see that a lock is held.
//!
//! loom does not switch threads when a lock is given back, so it would never let a try fail
//! between the holder's last step and the unlocking. A flag beside the lock, with the orderings
//! of std's own lock word, makes both visible.

use loom::sync::atomic::{AtomicBool, Ordering};

/// Whether some thread holds the lock after trying it.
#[derive(Debug, Default)]
pub(super) struct HeldFlag(AtomicBool);

impl HeldFlag {
    pub(super) fn try_hold(&self) -> Option<Held<'_>> {
        let held = self.0.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
        held.is_ok().then(|| Held(self))
    }
}

/// Until it is dropped, no other thread can hold the flag.
#[derive(Debug)]
pub(super) struct Held<'a>(&'a HeldFlag);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}
