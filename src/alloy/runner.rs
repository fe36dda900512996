//! A thread that runs blocks while their callers serve reads.

use crate::sync::{Sender, bounded};
use std::thread::{Builder, JoinHandle};

type Task = Box<dyn FnOnce() + Send>;

/// A thread that runs one job at a time, until the handle is dropped.
#[derive(Debug)]
pub(super) struct BlockThread {
    /// Sender of jobs; `None` once the thread should end.
    jobs: Option<Sender<Task>>,
    thread: Option<JoinHandle<()>>,
}

impl BlockThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// Returns an error if the system refuses to start it.
    pub(super) fn start() -> std::io::Result<Self> {
        let (jobs, inbox) = bounded::<Task>(1);
        let body = move || {
            while let Ok(job) = inbox.recv() {
                job();
            }
        };
        #[expect(clippy::disallowed_methods, reason = "the caller's thread serves reads meanwhile")]
        let thread = Builder::new().name("braid-block".to_owned()).spawn(body)?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs `job` on the thread, after all earlier jobs. It must not panic.
    pub(super) fn run(&self, job: impl FnOnce() + Send + 'static) {
        #[cfg(feature = "mutants")]
        let job = {
            let bug = crate::mutants::active();
            move || {
                let _bug = crate::mutants::seed(bug);
                job();
            }
        };
        if let Some(jobs) = &self.jobs {
            // If the thread has ended, the job is dropped, and its caller sees a closed channel.
            let _ = jobs.send(Box::new(job));
        }
    }
}

impl Drop for BlockThread {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
