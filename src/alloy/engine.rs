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
    /// One item per executor that is not leased.
    idle: (Sender<IdleExecutor>, Receiver<IdleExecutor>),
    pub(super) blocks: AtomicU64,
    pub(super) transactions: AtomicU64,
    pub(super) sequential: AtomicU64,
}

impl Default for Shared {
    fn default() -> Self {
        let idle = bounded(EXECUTORS);
        (0..EXECUTORS).for_each(|_| drop(idle.0.try_send(IdleExecutor::default())));
        Self {
            idle,
            blocks: AtomicU64::new(0),
            transactions: AtomicU64::new(0),
            sequential: AtomicU64::new(0),
        }
    }
}

/// An executor that is not in use, and what belongs to it.
#[derive(Default)]
struct IdleExecutor {
    /// `None` until it has started.
    executor: Option<Box<Executor>>,
    /// The thread that it runs on while the calling thread serves reads, if that was started.
    runner: Option<BlockThread>,
    /// Set if the executor has fewer workers than intended.
    retry: Option<Retry>,
}

/// When to start the threads of an executor again, after the system has refused some.
#[derive(Clone, Copy)]
struct Retry {
    /// Blocks until then.
    left: u32,
    /// Blocks between the last attempt and the next one.
    interval: u32,
}

impl Retry {
    /// The first interval. Each one is twice the one before, up to the last.
    const FIRST: u32 = 16;
    const LAST: u32 = 4_096;

    fn after(earlier: Option<Self>) -> Self {
        let interval = earlier.map_or(Self::FIRST, |it| Self::LAST.min(2 * it.interval));
        Self { left: interval, interval }
    }

    /// Counts a block, and returns whether it starts the threads.
    const fn is_due(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        self.left == 0
    }
}

/// An executor, and the thread that it runs on while the calling thread serves reads.
pub(super) struct ThreadedExecutor {
    pub(super) executor: Box<Executor>,
    pub(super) runner: BlockThread,
}

/// The right to use one of the executors, until it is dropped.
pub(super) struct ExecutorLease<'e> {
    idle: IdleExecutor,
    shared: &'e Shared,
}

impl Drop for ExecutorLease<'_> {
    fn drop(&mut self) {
        // The channel has room, because the item was taken from it.
        drop(self.shared.idle.0.try_send(core::mem::take(&mut self.idle)));
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
        if first.executor.is_none()
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
    /// Returns the executor. The first time, `start` starts it with `workers` workers. If the system
    /// refuses threads, `start` returns an executor with fewer workers, and later blocks try again.
    ///
    /// # Errors
    /// Returns any error of the first `start`.
    pub(super) fn start(
        &mut self,
        workers: NonZeroU16,
        start: impl FnOnce(NonZeroU16) -> std::io::Result<Executor>,
    ) -> std::io::Result<&mut Executor> {
        let IdleExecutor { executor, retry, .. } = &mut self.idle;
        let is_due = executor.is_none() || retry.as_mut().is_some_and(Retry::is_due);
        if is_due {
            let number = |executor: &Executor| executor.config().workers;
            match (start(workers), executor.as_deref().map(number)) {
                // The one with fewer workers is kept if there are not more: it has learned.
                (Ok(other), before) if before.is_none_or(|before| number(&other) > before) => {
                    *executor = Some(Box::new(other));
                }
                (Err(error), None) => return Err(error),
                _ => {}
            }
            let is_whole = executor.as_deref().is_some_and(|it| number(it) >= workers);
            *retry = (!is_whole).then(|| Retry::after(*retry));
        }
        Ok(self.executor())
    }

    /// Returns the executor, which must have been started.
    pub(super) fn executor(&mut self) -> &mut Executor {
        match &mut self.idle.executor {
            Some(executor) => executor,
            None => unreachable!("the caller has started it"),
        }
    }

    /// Takes the executor, which must have been started, out of the lease, with the thread that it
    /// runs on while the calling thread serves reads.
    ///
    /// # Errors
    /// Returns an error if the system refuses the thread.
    pub(super) fn take_threaded(&mut self) -> std::io::Result<ThreadedExecutor> {
        let runner = match self.idle.runner.take() {
            Some(runner) => runner,
            None => BlockThread::start()?,
        };
        let Some(executor) = self.idle.executor.take() else {
            unreachable!("the caller has started it")
        };
        Ok(ThreadedExecutor { executor, runner })
    }

    /// Puts the executor back.
    pub(super) fn put_back(&mut self, ThreadedExecutor { executor, runner }: ThreadedExecutor) {
        (self.idle.executor, self.idle.runner) = (Some(executor), Some(runner));
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
                    let started = lease.start(engine.workers(), |workers| engine.start(workers));
                    started.expect("it needs no thread");
                    all.wait();
                    assert!(engine.lease(false).is_none(), "all are in use");
                    all.wait();
                });
            }
        });
        for _ in 0..2 * EXECUTORS {
            let mut lease = engine.lease(true).expect("all are idle");
            assert!(lease.start(engine.workers(), |_| panic!("it is started")).is_ok());
        }
    }

    /// Starts executors as if the system refused all threads until block `until`. Returns the
    /// blocks that tried to start one, and the number of workers of the last block.
    fn attempts(engine: &Engine, blocks: u32, until: u32) -> (Vec<u32>, u16) {
        let (mut attempts, mut last) = (Vec::new(), 0);
        for block in 0..blocks {
            let start = |workers| {
                attempts.push(block);
                engine.start(if block < until { NonZeroU16::MIN } else { workers })
            };
            let mut lease = engine.lease(false).expect("one is idle");
            last = lease.start(engine.workers(), start).expect("one worker").config().workers.get();
        }
        (attempts, last)
    }

    #[test]
    fn threads_that_were_refused_are_started_later() {
        // Without handles, the calling thread is none of the workers.
        let workers = NonZeroU16::new(4).expect("not zero");
        let new = || Engine::new(Config::with_workers(workers));
        assert_eq!(attempts(&new(), 200, 40), (vec![0, 16, 48], 3));
        let (attempts, last) = attempts(&new(), 20_000, u32::MAX);
        assert_eq!((&attempts[..4], last), (&[0, 16, 48, 112][..], 1));
        let [.., before, after] = attempts[..] else { panic!("{attempts:?}") };
        assert_eq!(after - before, Retry::LAST);
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
