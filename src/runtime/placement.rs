//! Placement of threads on processors: a hint to the system. No result depends on it.

#[cfg(all(target_os = "linux", not(braid_loom)))]
mod system {
    use rustix::thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity};

    /// Placement of a thread: the processors that it may use.
    #[derive(Debug)]
    pub(in crate::runtime) struct ThreadPlacement {
        thread: Pid,
        allowed: CpuSet,
        avoided: Option<usize>,
    }

    impl ThreadPlacement {
        /// Returns the placement of the calling thread.
        pub(in crate::runtime) fn own() -> Option<Self> {
            let allowed = sched_getaffinity(None).ok()?;
            Some(Self { thread: gettid(), allowed, avoided: None })
        }

        /// Keeps the thread off the caller's current processor, if it may run elsewhere.
        pub(in crate::runtime) fn keep_off_caller(&mut self) {
            let current = sched_getcpu();
            if self.avoided == Some(current) {
                return;
            }
            let mut others = self.allowed;
            others.unset(current);
            if others.count() > 0 && sched_setaffinity(Some(self.thread), &others).is_ok() {
                self.avoided = Some(current);
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_thread_keeps_off_the_processor_that_another_names() {
            let (send, receive) = crate::sync::bounded(1);
            let (end, ended) = crate::sync::bounded::<()>(0);
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    send.send(ThreadPlacement::own()).expect("the receiver is there");
                    let _ = ended.recv();
                });
                let mut placement = receive.recv().expect("it starts").expect("it is somewhere");
                placement.keep_off_caller();
                let now = sched_getaffinity(Some(placement.thread)).expect("it runs");
                let mut expected = placement.allowed;
                match placement.avoided {
                    Some(processor) => expected.unset(processor),
                    None => assert_eq!(expected.count(), 1, "it could have gone elsewhere"),
                }
                assert_eq!(now, expected);
                drop(end);
            });
        }
    }
}

#[cfg(not(all(target_os = "linux", not(braid_loom))))]
mod system {
    /// Placement is not supported on this system.
    #[derive(Debug)]
    pub(in crate::runtime) enum ThreadPlacement {}

    impl ThreadPlacement {
        /// Returns `None`: the placement is unknown.
        pub(in crate::runtime) const fn own() -> Option<Self> {
            None
        }

        pub(in crate::runtime) const fn keep_off_caller(&mut self) {}
    }
}

pub(super) use system::ThreadPlacement;
