//! A pool of named threads that outlive a block.
//!
//! This is not a general pool: every selected thread takes part in the whole task, and the calling
//! thread is worker 0. In a work-stealing pool, a thread that waits within one transaction could
//! pick up another one.

use super::placement::ThreadPlacement;
use super::seat::Seat;
use super::threads::Threads;
use crate::ids::WorkerId;
use crate::panics::caught;
use crate::sync::{Receiver, Sender, bounded};
use crate::worker::Context;
use std::sync::Arc;
use std::thread::JoinHandle;

/// Work for all threads of a pool.
pub trait Task: Send + Sync {
    /// Runs the part of `worker`; called at most once per worker. A worker that has not begun when
    /// the caller ends does not run. A worker that has begun may end long after the caller, and
    /// holds the task until then.
    fn run(&self, worker: WorkerId, seat: Seat<'_>);
}

struct Member {
    tasks: Option<Sender<Arc<dyn Task>>>,
    /// The receiving half of the thread's channel, to take back a task that has not begun.
    inbox: Receiver<Arc<dyn Task>>,
    handle: Option<JoinHandle<()>>,
    /// Placement of the thread; `None` if the system decides.
    placement: Option<ThreadPlacement>,
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
    /// Creates a pool for `workers` workers. It starts one thread less, because the caller is
    /// worker 0.
    ///
    /// # Errors
    /// Returns an error if the system refuses to start a thread.
    pub fn new(workers: u16) -> std::io::Result<Self> {
        let mut members = Vec::new();
        let mut placements = Vec::new();
        let threads = Threads::for_workers(workers.into());
        for worker in 1..workers {
            let (tasks, inbox) = bounded::<Arc<dyn Task>>(1);
            let (placement_sender, placement) = bounded(1);
            let thread_inbox = inbox.clone();
            let body = move || {
                let _ = placement_sender.send(ThreadPlacement::own());
                let seat = Seat::Thread(&threads);
                while let Some(task) = threads.recv(&thread_inbox) {
                    // Only a bug in Braid panics here. The task's own guard frees the other
                    // workers, and this thread stays usable.
                    let _ = caught(|| task.run(WorkerId(worker), seat));
                }
            };
            #[expect(clippy::disallowed_methods, reason = "this is the pool of workers")]
            let handle = std::thread::Builder::new().name(format!("braid-{worker}")).spawn(body)?;
            let tasks = Some(tasks);
            members.push(Member { tasks, inbox, handle: Some(handle), placement: None });
            placements.push(placement);
        }
        if threads.have_cores() {
            for (member, placement) in members.iter_mut().zip(placements) {
                member.placement = placement.recv().ok().flatten();
            }
        }
        Ok(Self { members, threads })
    }

    /// Disables the placement of threads.
    #[must_use]
    pub fn anywhere(mut self) -> Self {
        self.members.iter_mut().for_each(|member| member.placement = None);
        self
    }

    /// Returns the number of workers, including the caller.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.members.len() + 1
    }

    /// Wakes the threads of `workers` workers, including the caller, before a task. They poll until
    /// it arrives: waking a thread takes as long as setting up a block. Does nothing if threads do
    /// not poll.
    pub fn wake(&mut self, workers: usize) {
        if !self.threads.have_cores() {
            return;
        }
        let task: Arc<dyn Task> = Arc::new(WakeTask);
        self.send(&task, workers);
    }

    /// Sends `task` to the threads of `workers` workers, and replaces a task that they have not
    /// begun.
    fn send(&mut self, task: &Arc<dyn Task>, workers: usize) {
        for member in self.members.iter_mut().take(workers.saturating_sub(1)) {
            // In virtual machines, the system may treat idle processors as busy, and wake a thread
            // on the processor of its waker, where the thread has to wait for the waker.
            if let Some(placement) = &mut member.placement {
                placement.keep_off_caller();
            }
            drop(member.inbox.try_recv());
            // The channel has room now. A thread that has ended takes no part.
            let _ = member.tasks.as_ref().map(|tasks| tasks.try_send(Arc::clone(task)));
        }
    }

    /// Runs `task` on all threads and `own` on this one, and returns when `own` returns. A thread
    /// that has not begun by then does not run. The caller does not wait for a thread that has
    /// begun, because the system may preempt it for milliseconds on a busy machine; `own` must wait
    /// for the results that it needs from other threads.
    ///
    /// # Panics
    /// Panics with the payload of a panic in `own`.
    pub fn run<R>(&mut self, task: &Arc<dyn Task>, own: impl FnOnce(Seat<'_>) -> R) -> R {
        self.run_on(self.workers(), task, own)
    }

    /// As [`run`](Self::run), on `workers` workers including the caller. No other thread is woken.
    ///
    /// # Panics
    /// Panics with the payload of a panic in `own`.
    pub fn run_on<R>(
        &mut self,
        workers: usize,
        task: &Arc<dyn Task>,
        own: impl FnOnce(Seat<'_>) -> R,
    ) -> R {
        #[cfg(feature = "mutants")]
        let task = &SeededTask::wrap(task);
        self.send(task, workers);
        let result = caught(|| own(Seat::Thread(&self.threads)));
        let sent = self.members.iter().take(workers.saturating_sub(1));
        sent.for_each(|member| drop(member.inbox.try_recv()));
        result.unwrap_or_else(|payload| payload.resume())
    }

    /// Waits until no thread holds a task any more.
    pub fn wait_idle(&self) {
        let (sender, idle) = bounded(self.members.len());
        let task: Arc<dyn Task> = Arc::new(IdleSignal(sender));
        let senders = self.members.iter().filter_map(|member| member.tasks.as_ref());
        let busy = senders.filter(|tasks| tasks.send(Arc::clone(&task)).is_ok()).count();
        drop(task);
        // An error means that a thread has ended, and no longer holds a task.
        (0..busy).find(|_| self.threads.recv(&idle).is_none());
    }
}

/// A task that only wakes its thread.
struct WakeTask;

impl Task for WakeTask {
    fn run(&self, _: WorkerId, _: Seat<'_>) {}
}

/// A task that reports that its thread has finished all earlier tasks.
struct IdleSignal(Sender<()>);

impl Task for IdleSignal {
    fn run(&self, _: WorkerId, _: Seat<'_>) {
        // The channel has room for the message of each thread.
        let _ = self.0.try_send(());
    }
}

/// A task that runs with the seeded bug of the caller.
#[cfg(feature = "mutants")]
struct SeededTask {
    task: Arc<dyn Task>,
    bug: Option<crate::mutants::Bug>,
}

#[cfg(feature = "mutants")]
impl SeededTask {
    fn wrap(task: &Arc<dyn Task>) -> Arc<dyn Task> {
        Arc::new(Self { task: Arc::clone(task), bug: crate::mutants::active() })
    }
}

#[cfg(feature = "mutants")]
impl Task for SeededTask {
    fn run(&self, worker: WorkerId, seat: Seat<'_>) {
        let _bug = crate::mutants::seed(self.bug);
        self.task.run(worker, seat);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for member in &mut self.members {
            member.tasks = None;
        }
        for handle in self.members.iter_mut().filter_map(|member| member.handle.take()) {
            // The thread's body does not panic, and a panic could not be reported here.
            let _ = handle.join();
        }
    }
}

#[cfg(all(test, target_os = "linux", not(braid_loom)))]
mod tests {
    use super::*;
    use crate::sync::Mutex;
    use rustix::thread::sched_getaffinity;

    /// Records the number of cores on which each worker may run.
    struct Cores(Mutex<Vec<u32>>);

    impl Task for Cores {
        fn run(&self, _: WorkerId, _: Seat<'_>) {
            self.0.lock().push(sched_getaffinity(None).expect("it runs").count());
        }
    }

    fn cores_of_the_other(mut pool: Pool) -> Vec<u32> {
        let cores = Arc::new(Cores(Mutex::new(Vec::new())));
        let task: Arc<dyn Task> = cores.clone();
        // The caller waits for the thread, which otherwise might not run.
        let has_run = || !cores.0.lock().is_empty();
        pool.run(&task, |_| {
            while !has_run() {
                std::thread::yield_now();
            }
        });
        core::mem::take(&mut *cores.0.lock())
    }

    #[test]
    fn a_thread_that_has_not_begun_is_left_out() {
        let (tasks, inbox) = bounded(1);
        // No thread receives the task.
        let member = Member { tasks: Some(tasks), inbox, handle: None, placement: None };
        let mut pool = Pool { members: vec![member], threads: Threads::BLOCKING };
        let cores = Arc::new(Cores(Mutex::new(Vec::new())));
        let task: Arc<dyn Task> = cores.clone();
        for _ in 0..3 {
            pool.run(&task, |_| ());
        }
        assert_eq!((cores.0.lock().len(), Arc::strong_count(&cores)), (0, 2));
    }

    /// A task that blocks its thread until the test releases it.
    struct BlockedTask {
        begun: Sender<()>,
        released: Receiver<()>,
    }

    impl Task for BlockedTask {
        fn run(&self, _: WorkerId, _: Seat<'_>) {
            self.begun.send(()).expect("the test listens");
            self.released.recv().expect("the test goes on");
        }
    }

    #[test]
    fn a_thread_that_is_suspended_holds_up_neither_this_task_nor_the_next() {
        // Created first, so that it is dropped last: dropping the pool waits for its thread.
        let mut pool = Pool::new(2).expect("a thread");
        let (begun, has_begun) = bounded(1);
        let (release, released) = bounded(1);
        let blocked = Arc::new(BlockedTask { begun, released });
        let task: Arc<dyn Task> = blocked.clone();
        pool.run(&task, |_| has_begun.recv().expect("the thread begins"));
        let next = Arc::new(Cores(Mutex::new(Vec::new())));
        let task: Arc<dyn Task> = next.clone();
        assert_eq!(pool.run(&task, |_| 7), 7);
        assert_eq!((next.0.lock().len(), Arc::strong_count(&blocked)), (0, 3));
        release.send(()).expect("the thread listens");
        pool.wait_idle();
        assert_eq!((next.0.lock().len(), Arc::strong_count(&next)), (0, 2));
    }

    #[test]
    fn a_task_replaces_the_one_that_wakes() {
        for threads in [Threads::BLOCKING, Threads::SPINNING] {
            let (tasks, inbox) = bounded(1);
            let thread_inbox = inbox.clone();
            let member = Member { tasks: Some(tasks), inbox, handle: None, placement: None };
            let mut pool = Pool { members: vec![member], threads };
            pool.wake(1);
            assert!(thread_inbox.is_empty());
            pool.wake(2);
            assert_eq!(thread_inbox.is_empty(), !threads.have_cores());
            let cores = Arc::new(Cores(Mutex::new(Vec::new())));
            let task: Arc<dyn Task> = cores.clone();
            pool.run(&task, |seat| thread_inbox.recv().expect("the task").run(WorkerId(1), seat));
            assert_eq!(cores.0.lock().len(), 1);
        }
    }

    #[test]
    fn no_other_thread_is_woken() {
        let mut pool = Pool::new(4).expect("three threads");
        let cores = Arc::new(Cores(Mutex::new(Vec::new())));
        let task: Arc<dyn Task> = cores.clone();
        for (workers, others) in [(0, 0), (1, 0), (3, 2), (9, 3)] {
            // The caller waits for the threads, which otherwise might not run.
            pool.run_on(workers, &task, |_| {
                while cores.0.lock().len() < others {
                    std::thread::yield_now();
                }
            });
            pool.wait_idle();
            assert_eq!(core::mem::take(&mut *cores.0.lock()).len(), others, "{workers} workers");
        }
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
