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
    /// The workers' own handles, if they have some.
    pub(super) handles: Option<Arc<Handles>>,
    pub(super) shared: Arc<Shared>,
}

/// The executors, and the counters.
pub(super) struct Shared {
    /// An item for each executor that is not lent; `None` if its threads have not been started.
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

/// An executor that is not in use, with its thread if that was started.
struct IdleExecutor {
    executor: Box<Executor>,
    runner: Option<BlockThread>,
}

/// An executor, and the thread that it runs on while the calling thread serves reads.
pub(super) struct Team {
    pub(super) executor: Box<Executor>,
    pub(super) runner: BlockThread,
}

/// The right to use one of the executors. It ends when this is dropped.
pub(super) struct Lent<'e> {
    idle: Option<IdleExecutor>,
    shared: &'e Shared,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        // There is room: the item was taken from this channel.
        drop(self.shared.idle.0.try_send(self.idle.take()));
    }
}

impl Engine {
    pub(super) fn new(config: Config) -> Self {
        let mut config = Config { reverts: false, ..config.within_bounds() };
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

    /// Returns an executor of `workers` workers, or of fewer if the system refuses a thread.
    pub(super) fn start(&self, workers: NonZeroU16) -> std::io::Result<Executor> {
        let config = Config { workers, ..self.config };
        let executor = match Executor::new(config) {
            Ok(executor) => executor,
            Err(error) => {
                let half = NonZeroU16::new(workers.get() / 2);
                return half.map_or(Err(error), |half| self.start(half));
            }
        };
        let executor = executor.with_surroundings_apart();
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

    /// Number of workers of a shared executor. Without handles, the calling thread serves reads and
    /// runs nothing.
    pub(super) fn workers(&self) -> NonZeroU16 {
        let all = self.config.workers;
        match &self.handles {
            Some(_) => all,
            None => NonZeroU16::new(all.get() - 1).unwrap_or(NonZeroU16::MIN),
        }
    }

    /// Lends an executor. If all are lent, waits for one, or returns `None` unless `waits` is set.
    pub(super) fn lend(&self, waits: bool) -> Option<Lent<'_>> {
        let Shared { idle: (_, idle), .. } = &*self.shared;
        let idle = if waits { idle.recv().ok() } else { idle.try_recv().ok() };
        Some(Lent { idle: idle?, shared: &self.shared })
    }

    /// Counts a block that the executors ran.
    pub(super) fn count(&self, transactions: usize) {
        self.shared.blocks.fetch_add(1, SeqCst);
        self.shared.transactions.fetch_add(transactions as u64, SeqCst);
    }
}

impl Lent<'_> {
    /// Returns the executor, which is started by `start` the first time.
    ///
    /// # Errors
    /// Returns any error of `start`.
    pub(super) fn executor(
        &mut self,
        start: impl FnOnce() -> std::io::Result<Executor>,
    ) -> std::io::Result<&mut Executor> {
        let team = match self.idle.take() {
            Some(team) => team,
            None => IdleExecutor { executor: Box::new(start()?), runner: None },
        };
        Ok(&mut self.idle.insert(team).executor)
    }

    /// Takes the executor out, with the thread that it runs on while the calling thread serves
    /// reads.
    ///
    /// # Errors
    /// Returns any error of `start`, or an error if the system refuses the thread.
    pub(super) fn take_team(
        &mut self,
        start: impl FnOnce() -> std::io::Result<Executor>,
    ) -> std::io::Result<Team> {
        self.executor(start)?;
        let runner = match self.idle.as_mut().and_then(|idle| idle.runner.take()) {
            Some(runner) => runner,
            None => BlockThread::start()?,
        };
        let Some(IdleExecutor { executor, .. }) = self.idle.take() else {
            unreachable!("it was started above")
        };
        Ok(Team { executor, runner })
    }

    /// Puts the executor back.
    pub(super) fn put_back(&mut self, Team { executor, runner }: Team) {
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
                    let mut lent = engine.lend(false).expect("one is idle");
                    lent.executor(|| engine.start(engine.workers())).expect("it needs no thread");
                    all.wait();
                    assert!(engine.lend(false).is_none(), "all are lent");
                    all.wait();
                });
            }
        });
        for _ in 0..2 * EXECUTORS {
            let mut lent = engine.lend(true).expect("all are idle");
            lent.executor(|| panic!("they are started")).expect("an executor");
        }
    }

    #[test]
    fn an_executor_comes_back_after_a_panic() {
        let engine = Engine::new(Config::with_workers(NonZeroU16::MIN));
        for _ in 0..2 * EXECUTORS {
            let caught = crate::panics::caught(|| {
                let _lent = engine.lend(false).expect("one is idle");
                panic!("in the block");
            });
            assert!(caught.is_err());
        }
        assert!(engine.lend(false).is_some());
    }
}
