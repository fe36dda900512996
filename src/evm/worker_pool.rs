//! Worker pools: a persistent thread pool, or threads for a single task.

use super::exec::activity::DatabaseActivity;
use super::exec::input::ChainRules;
use super::exec::location::EvmLocation;
use super::plan::feedback::Feedback;
use crate::config::Config;
use crate::ids::WorkerId;
use crate::mutants::inherit_bug;
use crate::mv::Store;
use crate::runtime::{CallerStage, Pool, Seat, Task, Threads};
use std::num::NonZeroU16;
use std::sync::Arc;

/// Number of transactions whose changes a worker folds within one wait for a message, unless it is
/// preempted.
pub(super) const TRANSACTIONS_PER_WAIT: usize = 500;

/// An empty store whose memory is reused by the next block.
#[derive(Debug)]
pub(crate) struct EmptyStore(pub(super) Store<EvmLocation>);

/// State that a pool keeps from block to block.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    store: Option<EmptyStore>,
    feedback: Feedback,
}

/// Threads that run a task together with the caller, who is worker 0.
pub(crate) trait WorkerPool<'env> {
    /// Number of workers, including the caller.
    fn workers(&self) -> usize;

    /// Whether there are more workers than usual because storage is slow.
    fn is_wide(&self) -> bool {
        false
    }

    /// Reports the database activity of a block on `workers` workers, which may change the number
    /// of workers.
    fn report_activity(&mut self, activity: &DatabaseActivity, workers: usize) {
        let _ = (activity, workers);
    }

    /// State kept from block to block, if the pool keeps any.
    fn memory(&mut self) -> Option<&mut Memory> {
        None
    }

    /// Feedback from earlier blocks, if it is kept.
    fn feedback(&mut self) -> Option<&mut Feedback> {
        self.memory().map(|memory| &mut memory.feedback)
    }

    /// Takes the store of an earlier block, if one is kept.
    fn take_store(&mut self) -> Option<EmptyStore> {
        self.memory()?.store.take()
    }

    /// Keeps a store for the next block.
    fn keep_store(&mut self, store: EmptyStore) {
        if let Some(memory) = self.memory() {
            // Keep the older store: a sequential block has not taken it, and its own has no memory
            // worth keeping.
            memory.store.get_or_insert(store);
        }
    }

    /// Called when the calling thread begins a stage. Only observed pools use it.
    fn enter_stage(&mut self, stage: CallerStage) {
        let _ = stage;
    }

    /// Wakes the threads of `workers` workers ahead of a task.
    fn wake(&mut self, workers: usize) {
        let _ = workers;
    }

    /// Runs `task` on all other workers and `own` on this thread, and returns when `own` returns. A
    /// worker that has not started by then does not run the task; others may still hold it.
    fn run<R>(&mut self, task: &Arc<dyn Task + 'env>, own: impl FnOnce(Seat<'_>) -> R) -> R {
        self.run_on(self.workers(), task, own)
    }

    /// Same as [`run`](Self::run) on at most `workers` workers, including the caller.
    fn run_on<R>(
        &mut self,
        workers: usize,
        task: &Arc<dyn Task + 'env>,
        own: impl FnOnce(Seat<'_>) -> R,
    ) -> R;
}

/// A view of a pool with at most `max_workers` workers; the others are not woken.
pub(crate) struct LimitedPool<'c, C> {
    pub(crate) worker_pool: &'c mut C,
    pub(crate) max_workers: usize,
}

impl<'env, C: WorkerPool<'env>> WorkerPool<'env> for LimitedPool<'_, C> {
    fn workers(&self) -> usize {
        self.worker_pool.workers().min(self.max_workers).max(1)
    }

    fn is_wide(&self) -> bool {
        self.worker_pool.is_wide()
    }

    fn report_activity(&mut self, activity: &DatabaseActivity, workers: usize) {
        self.worker_pool.report_activity(activity, workers);
    }

    fn memory(&mut self) -> Option<&mut Memory> {
        self.worker_pool.memory()
    }

    fn enter_stage(&mut self, stage: CallerStage) {
        self.worker_pool.enter_stage(stage);
    }

    fn wake(&mut self, workers: usize) {
        let workers = workers.min(self.workers());
        self.worker_pool.wake(workers);
    }

    fn run_on<R>(
        &mut self,
        workers: usize,
        task: &Arc<dyn Task + 'env>,
        own: impl FnOnce(Seat<'_>) -> R,
    ) -> R {
        self.worker_pool.run_on(workers.min(self.workers()), task, own)
    }
}

/// A persistent thread pool with one thread per worker, and more while workers wait for slow
/// storage.
#[derive(Debug)]
pub(crate) struct ThreadPool {
    usual: Pool,
    /// Started on first use.
    wide: Option<Pool>,
    max_workers: u16,
    is_wide: bool,
    spreads: bool,
    memory: Memory,
}

fn pool(workers: u16, spreads: bool) -> std::io::Result<Pool> {
    let pool = Pool::new(workers)?;
    Ok(if spreads { pool } else { pool.anywhere() })
}

impl ThreadPool {
    /// Creates a pool for `workers` workers, or `max_workers` if storage is slow. If `spreads` is
    /// set, threads avoid the caller's processor.
    ///
    /// # Errors
    /// Returns an error if the system refuses to start a thread.
    pub(crate) fn new(workers: u16, max_workers: u16, spreads: bool) -> std::io::Result<Self> {
        let usual = pool(workers, spreads)?;
        let memory = Memory::default();
        Ok(Self { usual, wide: None, max_workers, is_wide: false, spreads, memory })
    }

    /// Creates the pool for `config`, whose values must be within their bounds.
    ///
    /// # Errors
    /// Returns an error if the system refuses to start a thread.
    pub(crate) fn for_config(config: &Config) -> std::io::Result<Self> {
        Self::new(config.workers.get(), config.slow_storage_workers(), config.engine.spread_workers)
    }

    /// Waits until no thread holds a part of a block.
    pub(crate) fn wait_idle(&self) {
        core::iter::once(&self.usual).chain(&self.wide).for_each(Pool::wait_idle);
    }

    fn pool(&self) -> &Pool {
        self.wide.as_ref().filter(|_| self.is_wide).unwrap_or(&self.usual)
    }
}

impl WorkerPool<'static> for ThreadPool {
    fn workers(&self) -> usize {
        self.pool().workers()
    }

    fn is_wide(&self) -> bool {
        self.is_wide
    }

    fn report_activity(&mut self, activity: &DatabaseActivity, workers: usize) {
        if workers < 2 {
            // A single worker is always inside the database when it samples, which shows nothing.
            return;
        }
        let usual = workers.min(self.usual.workers());
        let Some(is_slow) = activity.is_slow(usual) else { return };
        if is_slow && self.wide.is_none() && usize::from(self.max_workers) > self.usual.workers() {
            // Without the additional threads, blocks are slower but correct.
            self.wide = pool(self.max_workers, self.spreads).ok();
        }
        self.is_wide = is_slow && self.wide.is_some();
    }

    fn memory(&mut self) -> Option<&mut Memory> {
        Some(&mut self.memory)
    }

    fn wake(&mut self, workers: usize) {
        let wide = self.wide.as_mut().filter(|_| self.is_wide);
        wide.unwrap_or(&mut self.usual).wake(workers);
    }

    fn run_on<R>(
        &mut self,
        workers: usize,
        task: &Arc<dyn Task>,
        own: impl FnOnce(Seat<'_>) -> R,
    ) -> R {
        let wide = self.wide.as_mut().filter(|_| self.is_wide);
        wide.unwrap_or(&mut self.usual).run_on(workers, task, own)
    }
}

/// A seat for a worker that no other worker ever wakes.
pub(super) const BLOCKING: Seat<'static> = Seat::Thread(&Threads::BLOCKING);

/// Threads that start and end with each task, so that the task may borrow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scoped(pub(crate) NonZeroU16);

impl<'env> WorkerPool<'env> for Scoped {
    fn workers(&self) -> usize {
        usize::from(self.0.get())
    }

    fn run_on<R>(
        &mut self,
        workers: usize,
        task: &Arc<dyn Task + 'env>,
        own: impl FnOnce(Seat<'_>) -> R,
    ) -> R {
        std::thread::scope(|scope| {
            for worker in (1..self.0.get()).take(workers.saturating_sub(1)) {
                let task = Arc::clone(task);
                let body = inherit_bug(move || {
                    task.run(WorkerId(worker), BLOCKING);
                    drop(task);
                });
                // Fewer threads are slower but correct: the calling thread suffices.
                let _ = std::thread::Builder::new()
                    .name(format!("braid-scoped-{worker}"))
                    .spawn_scoped(scope, body);
            }
            own(BLOCKING)
        })
    }
}

/// Number of locations of a plain transfer; the store grows if there are more.
const LOCATIONS_PER_TRANSACTION: usize = 4;

/// Returns an empty store for a block of about `transactions` transactions under `rules`.
pub(super) fn empty_store<'env>(
    worker_pool: &mut impl WorkerPool<'env>,
    config: &Config,
    rules: &ChainRules,
    transactions: usize,
) -> Store<EvmLocation> {
    let shards = config.shards(worker_pool.workers(), transactions);
    let store =
        worker_pool.take_store().map(|spare| spare.0).filter(|store| store.shards() >= shards);
    let store = store
        .unwrap_or_else(|| Store::with_capacity(shards, LOCATIONS_PER_TRANSACTION * transactions));
    // On slow storage, a worker that waits for a predicted write would not fetch values meanwhile.
    // With declared accesses, every dependency is known, and a prediction could only be wrong.
    let predicts = !worker_pool.is_wide() && !rules.declared_accesses;
    store.with_workers(if predicts { worker_pool.workers() } else { 0 })
}
