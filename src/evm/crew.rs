//! Who lends the threads: a lasting pool, or threads for one call.

use crate::ids::WorkerId;
use crate::runtime::{Pool, Task};
use std::num::NonZeroU16;
use std::sync::Arc;

/// Threads that take part in a task together with the caller, who is worker 0.
pub(crate) trait Crew<'env> {
    /// Number of workers, the caller included.
    fn workers(&self) -> usize;

    /// Runs `task` on all other workers and `own` here; returns when all are idle and none holds
    /// the task any more.
    fn run<R>(&mut self, task: &Arc<dyn Task + 'env>, own: impl FnOnce() -> R) -> R;
}

impl Crew<'static> for Pool {
    fn workers(&self) -> usize {
        Self::workers(self)
    }

    fn run<R>(&mut self, task: &Arc<dyn Task>, own: impl FnOnce() -> R) -> R {
        Self::run(self, task, own)
    }
}

/// Threads that are started for each task and end with it, so the task may borrow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scoped(pub(crate) NonZeroU16);

impl<'env> Crew<'env> for Scoped {
    fn workers(&self) -> usize {
        usize::from(self.0.get())
    }

    fn run<R>(&mut self, task: &Arc<dyn Task + 'env>, own: impl FnOnce() -> R) -> R {
        std::thread::scope(|scope| {
            for worker in 1..self.0.get() {
                let task = Arc::clone(task);
                let body = move || {
                    task.run(WorkerId(worker));
                    drop(task);
                };
                // Fewer threads are slower, not wrong: the block needs only the caller.
                let _ = std::thread::Builder::new()
                    .name(format!("braid-scoped-{worker}"))
                    .spawn_scoped(scope, body);
            }
            own()
        })
    }
}
