//! The executors and settings shared by the executors of a factory.

use super::handles::Handles;
use super::runner::BlockThread;
use crate::config::{Config, Mode};
use crate::evm::{CustomEvm, Precompile, Surcharge};
use crate::executor::Executor;
use crate::sync::{AtomicU64, Receiver, Sender, SeqCst, bounded};
use std::num::NonZeroU16;
use std::sync::Arc;

/// Number of executors, which is the number of blocks that run on several threads at once.
const EXECUTORS: usize = 2;

/// Settings and threads shared by the executors of a factory and of its clones.
#[derive(Clone)]
pub(super) struct Engine {
    pub(super) config: Config,
    pub(super) precompiles: Vec<Arc<dyn Precompile>>,
    pub(super) surcharge: Option<Arc<dyn Surcharge>>,
    pub(super) evm: Option<Arc<dyn CustomEvm>>,
    /// Per-worker handles, if the factory has them.
    pub(super) handles: Option<Arc<Handles>>,
    pub(super) shared: Arc<Shared>,
}

/// The executors, and the counters.
pub(super) struct Shared {
    /// One item per executor that is not leased; `None` if its threads have not been started.
    idle: (Sender<Option<IdleExecutor>>, Receiver<Option<IdleExecutor>>),
    pub(super) blocks: AtomicU64,
    pub(super) transactions: AtomicU64,
    pub(super) sequential: AtomicU64,
}

impl Default for Shared {
    fn default() -> Self {
        let idle = bounded(EXECUTORS);
        (0..EXECUTORS).for_each(|_| drop(idle.0.try_send(None)));
        Self {
            idle,
            blocks: AtomicU64::new(0),
            transactions: AtomicU64::new(0),
            sequential: AtomicU64::new(0),
        }
    }
}

/// An executor that is not in use, and its thread if that was started.
struct IdleExecutor {
    executor: Box<Executor>,
    runner: Option<BlockThread>,
}

/// An executor, and the thread that it runs on while the calling thread serves reads.
pub(super) struct ThreadedExecutor {
    pub(super) executor: Box<Executor>,
    pub(super) runner: BlockThread,
}

/// The right to use one of the executors, until it is dropped.
pub(super) struct ExecutorLease<'e> {
    idle: Option<IdleExecutor>,
    shared: &'e Shared,
}

impl Drop for ExecutorLease<'_> {
    fn drop(&mut self) {
        // The channel has room, because the item was taken from it.
        drop(self.shared.idle.0.try_send(self.idle.take()));
    }
}

impl Engine {
    pub(super) fn new(config: Config) -> Self {
        let mut config = Config { reverts: false, ..config.clamped() };
        config.engine.mode = Mode::Validate;
        Self {
            config,
            precompiles: Vec::new(),
            surcharge: None,
            evm: None,
            handles: None,
            shared: Arc::default(),
        }
    }

    /// Returns whether transactions pay a surcharge that their own `Evm` does not know.
    pub(super) const fn takes_surcharge(&self) -> bool {
        self.surcharge.is_some() && self.evm.is_none()
    }

    /// Returns whether transactions follow rules that their own `Evm` does not know.
    pub(super) const fn has_own_rules(&self) -> bool {
        self.takes_surcharge() || (!self.precompiles.is_empty() && self.evm.is_none())
    }

    /// Starts an executor with `workers` workers, or fewer if the system refuses a thread.
    pub(super) fn start(&self, workers: NonZeroU16) -> std::io::Result<Executor> {
        let config = Config { workers, ..self.config };
        let executor = match Executor::new(config) {
            Ok(executor) => executor,
            Err(error) => {
                let half = NonZeroU16::new(workers.get() / 2);
                return half.map_or(Err(error), |half| self.start(half));
            }
        };
        let executor = executor.without_surrounding_calls();
        let executor = executor.with_precompiles(self.precompiles.clone());
        let executor = match &self.surcharge {
            Some(surcharge) => executor.with_surcharge(Arc::clone(surcharge)),
            None => executor,
        };
        Ok(match &self.evm {
            Some(evm) => executor.with_evm(Arc::clone(evm)),
            None => executor,
        })
    }

    /// Returns the number of workers of a shared executor.
    pub(super) fn workers(&self) -> NonZeroU16 {
        match &self.handles {
            Some(_) => self.config.workers,
            None => self.served_workers(),
        }
    }

    /// Returns the number of workers for a block whose reads the calling thread serves; it runs no
    /// transactions.
    pub(super) fn served_workers(&self) -> NonZeroU16 {
        NonZeroU16::new(self.config.workers.get() - 1).unwrap_or(NonZeroU16::MIN)
    }

    /// Leases an executor. If all are in use, waits for one if `waits` is set, and otherwise
    /// returns `None`.
    pub(super) fn lease(&self, waits: bool) -> Option<ExecutorLease<'_>> {
        let Shared { idle: (kept, idle), .. } = &*self.shared;
        let mut first = if waits { idle.recv().ok()? } else { idle.try_recv().ok()? };
        // One that has started is preferred: it has threads, and has learned from earlier blocks.
        if first.is_none()
            && let Ok(other) = idle.try_recv()
        {
            drop(kept.try_send(core::mem::replace(&mut first, other)));
        }
        Some(ExecutorLease { idle: first, shared: &self.shared })
    }

    /// Counts a block of `transactions` transactions that an executor ran.
    pub(super) fn count_block(&self, transactions: usize) {
        self.shared.blocks.fetch_add(1, SeqCst);
        self.shared.transactions.fetch_add(transactions as u64, SeqCst);
    }
}

impl ExecutorLease<'_> {
    /// Returns the executor. `start` starts it the first time.
    ///
    /// # Errors
    /// Returns any error of `start`.
    pub(super) fn executor(
        &mut self,
        start: impl FnOnce() -> std::io::Result<Executor>,
    ) -> std::io::Result<&mut Executor> {
        let idle = match self.idle.take() {
            Some(idle) => idle,
            None => IdleExecutor { executor: Box::new(start()?), runner: None },
        };
        Ok(&mut self.idle.insert(idle).executor)
    }

    /// Takes the executor, which must have been started, out of the lease, with the thread that it
    /// runs on while the calling thread serves reads.
    ///
    /// # Errors
    /// Returns an error if the system refuses the thread.
    pub(super) fn take_threaded(&mut self) -> std::io::Result<ThreadedExecutor> {
        let runner = match self.idle.as_mut().and_then(|idle| idle.runner.take()) {
            Some(runner) => runner,
            None => BlockThread::start()?,
        };
        let Some(IdleExecutor { executor, .. }) = self.idle.take() else {
            unreachable!("the caller has started it")
        };
        Ok(ThreadedExecutor { executor, runner })
    }

    /// Puts the executor back.
    pub(super) fn put_back(&mut self, ThreadedExecutor { executor, runner }: ThreadedExecutor) {
        self.idle = Some(IdleExecutor { executor, runner: Some(runner) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn executors_are_few_and_are_kept() {
        let engine = Engine::new(Config::with_workers(NonZeroU16::MIN));
        let all = Barrier::new(EXECUTORS);
        std::thread::scope(|scope| {
            for _ in 0..EXECUTORS {
                scope.spawn(|| {
                    let mut lease = engine.lease(false).expect("one is idle");
                    lease.executor(|| engine.start(engine.workers())).expect("it needs no thread");
                    all.wait();
                    assert!(engine.lease(false).is_none(), "all are in use");
                    all.wait();
                });
            }
        });
        for _ in 0..2 * EXECUTORS {
            let mut lease = engine.lease(true).expect("all are idle");
            lease.executor(|| panic!("they are started")).expect("an executor");
        }
    }

    #[test]
    fn an_executor_comes_back_after_a_panic() {
        let engine = Engine::new(Config::with_workers(NonZeroU16::MIN));
        for _ in 0..2 * EXECUTORS {
            let caught = crate::panics::caught(|| {
                let _lease = engine.lease(false).expect("one is idle");
                panic!("in the block");
            });
            assert!(caught.is_err());
        }
        assert!(engine.lease(false).is_some());
    }
}
