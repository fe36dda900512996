//! Who lends the threads: a lasting pool, or threads for one call.

use super::exec::activity::DatabaseActivity;
use super::exec::location::EvmLocation;
use super::mutants::EvmMutant;
use super::plan::feedback::Feedback;
use crate::config::Config;
use crate::ids::WorkerId;
use crate::mv::Store;
use crate::runtime::{Pool, Seat, Task, Threads};
use std::num::NonZeroU16;
use std::sync::Arc;

/// Transactions that a running worker has surely folded within the time that is waited for a
/// message.
pub(super) const IN_TIME: usize = 500;

/// An empty store: the memory of one block's, for the next one's.
#[derive(Debug)]
pub(crate) struct EmptyStore(pub(super) Store<EvmLocation>);

/// What blocks leave for those after them.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    store: Option<EmptyStore>,
    feedback: Feedback,
}

/// Threads that take part in a task together with the caller, who is worker 0.
pub(crate) trait WorkerPool<'env> {
    /// Number of workers, the caller included.
    fn workers(&self) -> usize;

    /// Whether there are more of them than usual, because storage is slow.
    fn is_wide(&self) -> bool {
        false
    }

    /// A block that has run on `workers` workers has shown who waits for storage: that may change
    /// their number.
    fn hear(&mut self, activity: &DatabaseActivity, workers: usize) {
        let _ = (activity, workers);
    }

    /// What is kept from block to block, where anything is.
    fn memory(&mut self) -> Option<&mut Memory> {
        None
    }

    /// What earlier blocks have shown, where it is remembered.
    fn feedback(&mut self) -> Option<&mut Feedback> {
        self.memory().map(|memory| &mut memory.feedback)
    }

    /// What an earlier block has left, if it is there.
    fn take_store(&mut self) -> Option<EmptyStore> {
        self.memory()?.store.take()
    }

    /// Keeps it for the next block.
    fn keep_store(&mut self, store: EmptyStore) {
        if let Some(memory) = self.memory() {
            // The store of a block that ran alone has no memory worth keeping, and has taken none.
            memory.store.get_or_insert(store);
        }
    }

    /// Runs `task` on all other workers and `own` here, and returns when `own` does. A worker that
    /// has not begun by then is left out. One that has may still hold the task.
    fn run<R>(&mut self, task: &Arc<dyn Task + 'env>, own: impl FnOnce(Seat<'_>) -> R) -> R {
        self.run_on(self.workers(), task, own)
    }

    /// The same on no more than this number of workers, the caller included.
    fn run_on<R>(
        &mut self,
        workers: usize,
        task: &Arc<dyn Task + 'env>,
        own: impl FnOnce(Seat<'_>) -> R,
    ) -> R;
}

/// No more than some of a pool's workers: the others are not woken.
pub(super) struct Fewer<'c, C> {
    pub(super) worker_pool: &'c mut C,
    pub(super) most: usize,
}

impl<'env, C: WorkerPool<'env>> WorkerPool<'env> for Fewer<'_, C> {
    fn workers(&self) -> usize {
        self.worker_pool.workers().min(self.most).max(1)
    }

    fn is_wide(&self) -> bool {
        self.worker_pool.is_wide()
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

/// Lasting threads: as many as there are workers, and more for as long as those have to wait for
/// storage.
#[derive(Debug)]
pub(crate) struct ThreadPool {
    usual: Pool,
    /// Started when they are needed first.
    wide: Option<Pool>,
    most: u16,
    is_wide: bool,
    spreads: bool,
    memory: Memory,
}

fn pool(workers: u16, spreads: bool) -> std::io::Result<Pool> {
    let pool = Pool::new(workers)?;
    Ok(if spreads { pool } else { pool.anywhere() })
}

impl ThreadPool {
    /// Threads for `workers` workers, and for `most` where storage is slow; if they are to spread,
    /// not on the processor of the caller.
    ///
    /// # Errors
    /// The system refused to start a thread.
    pub(crate) fn new((workers, most): (u16, u16), spreads: bool) -> std::io::Result<Self> {
        let usual = pool(workers, spreads)?;
        let memory = Memory::default();
        Ok(Self { usual, wide: None, most, is_wide: false, spreads, memory })
    }

    /// Waits until no thread holds anything of a block any more.
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

    fn hear(&mut self, activity: &DatabaseActivity, workers: usize) {
        if workers < 2 {
            // One that reads in order is always inside when it looks: that tells nothing.
            return;
        }
        let usual = workers.min(self.usual.workers());
        let Some(is_slow) = activity.is_slow(usual) else { return };
        if is_slow && self.wide.is_none() && usize::from(self.most) > self.usual.workers() {
            // Without them blocks are slower, not wrong.
            self.wide = pool(self.most, self.spreads).ok();
        }
        self.is_wide = is_slow && self.wide.is_some();
    }

    fn memory(&mut self) -> Option<&mut Memory> {
        Some(&mut self.memory)
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

/// Threads that are started for each task and end with it, so the task may borrow.
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
                let body = move || {
                    task.run(WorkerId(worker), BLOCKING);
                    drop(task);
                };
                // Fewer threads are slower, not wrong: the block needs only the caller.
                let _ = std::thread::Builder::new()
                    .name(format!("braid-scoped-{worker}"))
                    .spawn_scoped(scope, body);
            }
            own(BLOCKING)
        })
    }
}

/// Locations of a plain transfer; the store grows where there are more.
const LOCATIONS_PER_TRANSACTION: usize = 4;

/// An empty store for a block of about `transactions`.
pub(super) fn empty_store<'env>(
    worker_pool: &mut impl WorkerPool<'env>,
    config: &Config,
    transactions: usize,
) -> Store<EvmLocation> {
    let shards = config.shards(worker_pool.workers(), transactions);
    let store =
        worker_pool.take_store().map(|spare| spare.0).filter(|store| store.shards() >= shards);
    let store = store
        .unwrap_or_else(|| Store::with_capacity(shards, LOCATIONS_PER_TRANSACTION * transactions));
    // Where storage is slow a worker that waits for one that will probably write reads nothing
    // ahead meanwhile.
    store.with_workers(if worker_pool.is_wide() { 0 } else { worker_pool.workers() })
}

/// The store, with the bug that is to be seeded.
pub(super) fn seeded(store: Store<EvmLocation>, mutant: EvmMutant) -> Store<EvmLocation> {
    #[cfg(feature = "mutants")]
    let store = store.with_mutant(mutant.of_store());
    #[cfg(not(feature = "mutants"))]
    let _ = mutant;
    store
}
