//! The threads and settings shared by the executors of a factory.

use crate::config::{Config, Mode};
use crate::evm::{CustomEvm, Precompile, Surcharge};
use crate::executor::Executor;
use crate::sync::{AtomicU64, Mutex, SeqCst};
use std::sync::Arc;

/// Maximum number of idle executors whose threads are kept for later blocks. The threads of any
/// others end with their block.
const IDLE_EXECUTORS: usize = 2;

/// Settings and threads shared by the executors of a factory and of its clones.
#[derive(Clone)]
pub(super) struct Engine {
    pub(super) config: Config,
    pub(super) precompiles: Vec<Arc<dyn Precompile>>,
    pub(super) surcharge: Option<Arc<dyn Surcharge>>,
    pub(super) evm: Option<Arc<dyn CustomEvm>>,
    pub(super) shared: Arc<Shared>,
}

/// Idle executors, and the counters.
#[derive(Default)]
pub(super) struct Shared {
    idle: Mutex<Vec<Executor>>,
    pub(super) blocks: AtomicU64,
    pub(super) transactions: AtomicU64,
    pub(super) sequential: AtomicU64,
}

impl Engine {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config: Config { mode: Mode::Validate, reverts: false, ..config },
            precompiles: Vec::new(),
            surcharge: None,
            evm: None,
            shared: Arc::default(),
        }
    }

    /// Returns whether transactions pay a surcharge that their own `Evm` does not know.
    pub(super) const fn takes_surcharge(&self) -> bool {
        self.surcharge.is_some() && self.evm.is_none()
    }

    pub(super) const fn config(&self) -> &Config {
        &self.config
    }

    fn start(&self) -> std::io::Result<Executor> {
        let executor = Executor::new(self.config)?.with_surroundings_apart();
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

    /// Lends an executor to `run`, which makes it record access lists if `lists` is set. The
    /// executor is dropped if `run` panics.
    pub(super) fn with<T>(
        &self,
        (transactions, lists): (usize, bool),
        run: impl FnOnce(&mut Executor) -> std::io::Result<T>,
    ) -> std::io::Result<T> {
        let idle = self.shared.idle.lock().pop();
        let mut executor = match idle {
            Some(executor) => executor,
            None => self.start()?,
        };
        executor.set_access_list(lists);
        let result = run(&mut executor);
        if result.is_ok() {
            self.shared.blocks.fetch_add(1, SeqCst);
            self.shared.transactions.fetch_add(transactions as u64, SeqCst);
        }
        let mut idle = self.shared.idle.lock();
        if idle.len() < IDLE_EXECUTORS {
            idle.push(executor);
        } else {
            // Dropping waits for the threads, so it happens without the lock.
            drop(idle);
            drop(executor);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU16;
    use std::sync::Barrier;

    #[test]
    fn threads_of_few_executors_wait_for_blocks() {
        let engine = Engine::new(Config::with_workers(NonZeroU16::MIN));
        let all = Barrier::new(16);
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| engine.with((0, false), |_| Ok(all.wait())).expect("it starts"));
            }
        });
        assert_eq!(engine.shared.idle.lock().len(), IDLE_EXECUTORS);
        assert_eq!(engine.shared.blocks.load(SeqCst), 16);
    }
}
