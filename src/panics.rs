//! Catching panics in the caller's code: databases, precompiles, conditions, callbacks.

use core::any::Any;
use core::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The payload of a caught panic.
///
/// Dropping a payload may panic again, on whichever thread drops it. That second panic is caught,
/// too, and its payload is leaked.
pub struct Payload(Option<Box<dyn Any + Send>>);

impl Payload {
    /// Returns the payload as a `T`, if it is one.
    #[must_use]
    pub fn downcast_ref<T: Any>(&self) -> Option<&T> {
        self.0.as_ref()?.downcast_ref()
    }

    /// Resumes the panic.
    pub(crate) fn resume(mut self) -> ! {
        resume_unwind(self.0.take().unwrap_or_else(|| Box::new(())))
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        let payload = self.0.take();
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            core::mem::forget(second);
        }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload").finish_non_exhaustive()
    }
}

/// Runs `run` and returns its result, or the payload of its panic.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, Payload> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| Payload(Some(payload)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Panics when it is dropped, with a payload that does the same `0` times more.
    struct Again(u32);

    impl Drop for Again {
        fn drop(&mut self) {
            std::panic::panic_any(self.0.checked_sub(1).map(Again));
        }
    }

    #[test]
    fn a_payload_that_panics_is_dropped_all_the_same() {
        for times in 0..3 {
            let caught = caught(|| std::panic::panic_any(Again(times)));
            drop(caught.expect_err("it panicked"));
        }
        let payload = caught(|| std::panic::panic_any(7_u32)).expect_err("it panicked");
        assert_eq!(payload.downcast_ref::<u32>(), Some(&7));
        let again = catch_unwind(AssertUnwindSafe(|| payload.resume())).expect_err("it goes on");
        assert_eq!(again.downcast_ref::<u32>(), Some(&7));
    }
}
