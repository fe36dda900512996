//! An executor that reports the actions of its workers to an observer, with the shipped code and
//! real threads.

use super::block::error::BlockError;
use super::block::output::BlockOutput;
use super::drive::{Options, execute};
use super::exec::activity::DatabaseActivity;
use super::exec::any::AnySource;
use super::exec::base::{DbError, StateSource};
use super::exec::extensions::Extensions;
use super::exec::input::Block;
use super::worker_pool::{Memory, ThreadPool, WorkerPool};
use crate::config::Config;
use crate::ids::WorkerId;
use crate::runtime::{CallerStage, Observed, Observer, Seat, Task};
use crate::worker::Point;
use std::sync::Arc;

/// An [`Executor`](crate::Executor) that reports the actions of its workers to an [`Observer`].
#[derive(Debug)]
pub struct ObservedExecutor {
    config: Config,
    team: ObservedPool,
}

impl ObservedExecutor {
    /// Creates an executor and starts its threads.
    ///
    /// # Errors
    /// Returns an error if the system refuses to start a thread.
    pub fn new(config: Config, observer: Arc<dyn Observer>) -> std::io::Result<Self> {
        let config = config.clamped();
        let threads = ThreadPool::for_config(&config)?;
        Ok(Self { config, team: ObservedPool { threads, observer, stage: CallerStage::Before } })
    }

    /// Executes `block` on the state of `source`.
    ///
    /// # Errors
    /// As [`BlockRequest::execute`](crate::BlockRequest::execute).
    ///
    /// # Panics
    /// As [`BlockRequest::execute`](crate::BlockRequest::execute).
    pub fn execute<S: StateSource + 'static>(
        &mut self,
        block: impl Into<Arc<Block>>,
        source: S,
    ) -> Result<BlockOutput, BlockError<DbError<S>>> {
        let options = Options {
            config: self.config,
            extensions: Extensions::default(),
            parent: None,
            on_commit: None,
            cancel: None,
        };
        let output = execute(&mut self.team, block.into(), AnySource::new(source), options);
        self.team.observer.ends(WorkerId(0));
        // Workers that finish late still belong to this block.
        self.team.threads.wait_idle();
        output.map_err(BlockError::typed)
    }
}

/// Threads whose tasks are observed.
struct ObservedPool {
    threads: ThreadPool,
    observer: Arc<dyn Observer>,
    /// Stage of the caller outside tasks.
    stage: CallerStage,
}

impl core::fmt::Debug for ObservedPool {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ObservedPool").field("threads", &self.threads).finish_non_exhaustive()
    }
}

impl WorkerPool<'static> for ObservedPool {
    fn workers(&self) -> usize {
        self.threads.workers()
    }

    fn is_wide(&self) -> bool {
        self.threads.is_wide()
    }

    fn memory(&mut self) -> Option<&mut Memory> {
        self.threads.memory()
    }

    fn report_activity(&mut self, activity: &DatabaseActivity, workers: usize) {
        self.threads.report_activity(activity, workers);
    }

    fn wake(&mut self, workers: usize) {
        self.threads.wake(workers);
    }

    fn enter_stage(&mut self, stage: CallerStage) {
        self.stage = stage;
        self.observer.calls(stage);
    }

    fn run_on<R>(
        &mut self,
        workers: usize,
        task: &Arc<dyn Task>,
        own: impl FnOnce(Seat<'_>) -> R,
    ) -> R {
        let Self { threads, observer, stage } = self;
        let first = if *stage == CallerStage::After { Point::Fold } else { Point::Message };
        let task = Arc::clone(task);
        let watched: Arc<dyn Task> =
            Arc::new(ObservedTask { task, observer: Arc::clone(observer), first });
        let own = |seat: Seat<'_>| own(observed(seat, &**observer, WorkerId(0)));
        let result = threads.run_on(workers, &watched, own);
        observer.calls(*stage);
        result
    }
}

fn observed<'a>(seat: Seat<'a>, observer: &'a dyn Observer, worker: WorkerId) -> Seat<'a> {
    match seat {
        Seat::Thread(threads) => Seat::Observed(Observed { threads, observer, worker }),
        other => other,
    }
}

/// A task that reports its workers to the observer.
struct ObservedTask {
    task: Arc<dyn Task>,
    observer: Arc<dyn Observer>,
    /// The first point that a worker passes.
    first: Point,
}

impl Task for ObservedTask {
    fn run(&self, worker: WorkerId, seat: Seat<'_>) {
        self.observer.passes(worker, self.first);
        self.task.run(worker, observed(seat, &*self.observer, worker));
        self.observer.ends(worker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Forced, Policy};
    use crate::evm::exec::base::Cloned;
    use crate::evm::exec::input::ChainRules;
    use crate::executor::Executor;
    use crate::sync::Mutex;
    use alloy_primitives::{Address, TxKind};
    use revm::context::TxEnv;
    use revm::database::{CacheDB, EmptyDB};
    use std::collections::HashSet;
    use std::num::NonZeroU16;

    #[derive(Default)]
    struct Seen(Mutex<HashSet<(u16, String)>>);

    impl Seen {
        fn note(&self, worker: WorkerId, what: impl core::fmt::Debug) {
            self.0.lock().insert((worker.0, format!("{what:?}")));
        }
    }

    impl Observer for Seen {
        fn passes(&self, worker: WorkerId, point: Point) {
            self.note(worker, point);
        }

        fn waits(&self, worker: WorkerId) {
            self.note(worker, "waits");
        }

        fn ends(&self, worker: WorkerId) {
            self.note(worker, "ends");
        }

        fn calls(&self, stage: CallerStage) {
            self.note(WorkerId(0), stage);
        }
    }

    /// Payments of zero wei among few accounts.
    fn payments() -> Arc<Block> {
        let address = |number: u64| Address::left_padding_from(&(number + 1_000).to_be_bytes());
        let pay = |number: u64| TxEnv {
            caller: address(number),
            kind: TxKind::Call(address(number % 50)),
            gas_limit: 21_000,
            chain_id: Some(1),
            ..TxEnv::default()
        };
        let transactions = (0..300).map(pay).collect();
        let rules = ChainRules { system_calls: false, ..ChainRules::default() };
        Arc::new(Block { transactions, rules, ..Block::default() })
    }

    #[test]
    fn an_observed_block_has_the_same_result_and_shows_every_stage() {
        let state = || Cloned(CacheDB::new(EmptyDB::new()));
        let policy = Policy::Forced(Forced::Speculative);
        let config =
            Config { policy, ..Config::with_workers(NonZeroU16::new(2).expect("not zero")) };
        let mut executor = Executor::new(config).expect("a thread");
        let expected = executor.block(payments()).state(state()).execute().expect("valid");
        let seen = Arc::new(Seen::default());
        let mut observed = ObservedExecutor::new(config, seen.clone()).expect("a thread");
        // A thread that has not started by the end of a block is not observed, so repeat the block.
        for _ in 0..100 {
            let output = observed.execute(payments(), state()).expect("valid");
            assert_eq!((&output.receipts, &output.bundle), (&expected.receipts, &expected.bundle));
            if seen.0.lock().contains(&(1, "\"ends\"".into())) {
                break;
            }
        }
        let seen = seen.0.lock();
        let saw = |what: &str| seen.iter().any(|(_, it)| it == what);
        for what in ["Before", "Plan", "Run", "After", "Begin", "Commit", "Coordinator", "Fold"] {
            assert!(saw(what), "{what}");
        }
        assert!(seen.contains(&(1, "\"ends\"".into())), "the second worker is observed");
    }
}
