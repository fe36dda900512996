//! Plain named threads that outlive a block.
//!
//! Not a general pool: every thread takes part in every task, and the calling thread is worker 0.
//! A work-stealing pool would let one transaction's thread pick up another's wait.

use super::placement::Place;
use super::seat::Seat;
use super::threads::Threads;
use crate::ids::WorkerId;
use crate::sync::{Receiver, Sender, bounded};
use crate::worker::Context;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Work for all threads of a pool at once.
pub trait Task: Send + Sync {
    /// The part of one worker; called at most once for each: a worker that has not begun when the caller is done is left out.
    fn run(&self, worker: WorkerId, seat: Seat<'_>);
}

struct Member {
    tasks: Option<Sender<Arc<dyn Task>>>,
    /// The thread's end of the channel: a task that the thread has not begun is taken back there.
    inbox: Receiver<Arc<dyn Task>>,
    done: Receiver<()>,
    handle: Option<JoinHandle<()>>,
    /// If the system is to be told where to run it.
    place: Option<Place>,
}

/// Threads that wait for tasks.
pub struct Pool {
    members: Vec<Member>,
    threads: Threads,
}

impl core::fmt::Debug for Pool {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Pool").field("workers", &self.workers()).finish()
    }
}

impl Pool {
    /// A pool for `workers` workers: one fewer threads, as the caller is worker 0.
    ///
    /// # Errors
    /// The system refused to start a thread.
    pub fn new(workers: u16) -> std::io::Result<Self> {
        let (mut members, mut places) = (Vec::new(), Vec::new());
        let threads = Threads::for_workers(workers.into());
        for worker in 1..workers {
            let (tasks, inbox) = bounded::<Arc<dyn Task>>(1);
            let (done, finished) = bounded(1);
            let (tell, told) = bounded(1);
            let theirs = inbox.clone();
            let body = move || {
                let (_, seat) = (tell.send(Place::own()), Seat::Thread(&threads));
                while let Some(task) = threads.recv(&theirs) {
                    // A panic that gets here is a bug of ours; the task's own guard frees the
                    // others, and this thread stays of use.
                    let _ = catch_unwind(AssertUnwindSafe(|| task.run(WorkerId(worker), seat)));
                    drop(task);
                    if done.send(()).is_err() {
                        return;
                    }
                }
            };
            let handle = std::thread::Builder::new().name(format!("braid-{worker}")).spawn(body)?;
            let (tasks, handle) = (Some(tasks), Some(handle));
            members.push(Member { tasks, inbox, done: finished, handle, place: None });
            places.push(told);
        }
        if threads.have_cores() {
            for (member, place) in members.iter_mut().zip(places) {
                member.place = place.recv().ok().flatten();
            }
        }
        Ok(Self { members, threads })
    }

    /// The same pool; its threads run where the system likes.
    #[must_use]
    pub fn anywhere(mut self) -> Self {
        self.members.iter_mut().for_each(|member| member.place = None);
        self
    }

    /// Number of workers, the caller included.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.members.len() + 1
    }

    /// Runs `task` on all threads and `own` on this one. A thread that has not begun when `own` returns is left out: on
    /// a busy machine it may take milliseconds to get a core. Returns when the others are idle again and none holds the
    /// task.
    ///
    /// # Panics
    /// With the payload of `own`, if that panics, once all are idle.
    pub fn run<R>(&mut self, task: &Arc<dyn Task>, own: impl FnOnce(Seat<'_>) -> R) -> R {
        // Systems wake threads where their waker runs, if they take the processors that sleep for busy
        // ones, as they do in virtual machines; there the thread would have to wait for its waker.
        let places = self.members.iter_mut().filter_map(|member| member.place.as_mut());
        places.for_each(Place::keep_off_caller);
        let mut asked = Vec::with_capacity(self.members.len());
        for member in &self.members {
            let sent = member.tasks.as_ref().map(|tasks| tasks.send(Arc::clone(task)).is_ok());
            asked.push(sent == Some(true));
        }
        let result = catch_unwind(AssertUnwindSafe(|| own(Seat::Thread(&self.threads))));
        for (member, _) in self.members.iter().zip(asked).filter(|(_, asked)| *asked) {
            if member.inbox.try_recv().is_ok() {
                continue;
            }
            // An error means that the thread is gone, and with it its hold on the task.
            let _ = self.threads.recv(&member.done);
        }
        result.unwrap_or_else(|payload| resume_unwind(payload))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for member in &mut self.members {
            member.tasks = None;
        }
        for handle in self.members.iter_mut().filter_map(|member| member.handle.take()) {
            // The thread's body does not panic; there is nobody to tell if it did.
            let _ = handle.join();
        }
    }
}

#[cfg(all(test, target_os = "linux", not(braid_loom)))]
mod tests {
    use super::*;
    use crate::sync::Mutex;
    use rustix::thread::sched_getaffinity;

    /// On how many cores each worker may run.
    struct Cores(Mutex<Vec<u32>>);

    impl Task for Cores {
        fn run(&self, _: WorkerId, _: Seat<'_>) {
            self.0.lock().push(sched_getaffinity(None).expect("it runs").count());
        }
    }

    fn cores_of_the_other(mut pool: Pool) -> Vec<u32> {
        let cores = Arc::new(Cores(Mutex::new(Vec::new())));
        let task: Arc<dyn Task> = cores.clone();
        // The thread would be left out if the caller did not wait for it.
        let has_come = || !cores.0.lock().is_empty();
        pool.run(&task, |_| {
            while !has_come() {
                std::thread::yield_now();
            }
        });
        core::mem::take(&mut *cores.0.lock())
    }

    #[test]
    fn a_thread_that_has_not_begun_is_left_out() {
        let (tasks, inbox) = bounded(1);
        // No thread receives the task, and none reports its end.
        let (_kept, done) = bounded(1);
        let (tasks, handle, place) = (Some(tasks), None, None);
        let members = vec![Member { tasks, inbox, done, handle, place }];
        let mut pool = Pool { members, threads: Threads::SLEEPY };
        let cores = Arc::new(Cores(Mutex::new(Vec::new())));
        let task: Arc<dyn Task> = cores.clone();
        for _ in 0..3 {
            pool.run(&task, |_| ());
        }
        assert_eq!((cores.0.lock().len(), Arc::strong_count(&cores)), (0, 2));
    }

    #[test]
    fn threads_keep_off_the_core_that_hands_out_work() {
        let all = sched_getaffinity(None).expect("it runs").count();
        let pool = || Pool::new(2).expect("a thread");
        let fewer = if pool().threads.have_cores() { all - 1 } else { all };
        assert_eq!(cores_of_the_other(pool()), [fewer]);
        assert_eq!(cores_of_the_other(pool().anywhere()), [all]);
    }
}
