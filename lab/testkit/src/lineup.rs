//! Executors that are compared with sequential execution.

use crate::hostile::declared::Declared;
use crate::oracle::Expected;
use crate::pace::Gate;
use crate::spoil::{draws, scramble};
use alloy_eip7928::bal::Bal;
use braid_evm::{Block, BlockError, BlockOutput, Config, Executor, Forced, Mode, Policy, Stats};
use revm::DatabaseRef;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::time::Duration;

/// Numbers of workers with which every block is executed.
pub const WORKERS: [u16; 4] = [1, 2, 3, 8];

/// Settings with which blocks with faults are executed: sequentially, speculatively, alternating
/// between the two, sequentially with a helper that builds the bundle, and in batches.
pub const SETTINGS: [(u16, Policy); 8] = [
    (1, Policy::Sequential),
    (1, Policy::Forced(Forced::Speculative)),
    (2, Policy::Forced(Forced::Speculative)),
    (3, Policy::Forced(Forced::Speculative)),
    (8, Policy::Forced(Forced::Speculative)),
    (2, Policy::Forced(Forced::Alternate)),
    (2, Policy::Sequential),
    (2, Policy::Forced(Forced::ContiguousBatches)),
];

/// Further settings with which every block is executed: sequentially with and without helpers that
/// build the bundle, alternating with speculation, and in batches.
const OTHERS: [(u16, Policy); 7] = [
    (1, Policy::Sequential),
    (3, Policy::Sequential),
    (2, Policy::Forced(Forced::Alternate)),
    (8, Policy::Forced(Forced::Alternate)),
    (1, Policy::Forced(Forced::ContiguousBatches)),
    (2, Policy::Forced(Forced::ContiguousBatches)),
    (3, Policy::Forced(Forced::ContiguousBatches)),
];

/// Settings with which every valid block is executed again, with its own access list.
const LISTED: [(u16, Policy); 4] = [
    (2, Policy::Forced(Forced::AccessList)),
    (3, Policy::Forced(Forced::AccessList)),
    (1, Policy::Forced(Forced::AccessList)),
    (2, Policy::Forced(Forced::Speculative)),
];

/// Numbers of workers, with the length of the chunks that share a journal.
const CHUNKS: [(u16, u32); 4] = [(1, 7), (2, 3), (3, 2), (8, 64)];

/// Time that a lower transaction waits for a higher one to begin.
const PATIENCE: Duration = Duration::from_millis(50);

/// Creates an executor.
///
/// # Panics
/// Panics if the system cannot start threads, or if `workers` is 0.
#[must_use]
pub fn executor(workers: u16, policy: Policy, mode: Mode) -> Executor {
    chunked(workers, None, policy, mode)
}

/// Same, with chunks of `chunk` transactions, or of the executor's own choice.
///
/// # Panics
/// As [`executor`].
#[must_use]
pub fn chunked(workers: u16, chunk: Option<NonZeroU32>, policy: Policy, mode: Mode) -> Executor {
    started(config(workers, chunk, policy, mode))
}

/// As [`executor`], with access lists.
///
/// # Panics
/// As [`executor`].
#[must_use]
pub fn listing(workers: u16, policy: Policy, mode: Mode) -> Executor {
    let mut config = config(workers, None, policy, mode);
    config.access_list = true;
    started(config)
}

fn config(workers: u16, chunk: Option<NonZeroU32>, policy: Policy, mode: Mode) -> Config {
    let workers = NonZeroU16::new(workers).expect("at least one worker");
    let mut config = Config::with_workers(workers);
    (config.policy, config.engine.mode, config.engine.chunk) = (policy, mode, chunk);
    config
}

fn started(config: Config) -> Executor {
    Executor::new(config).expect("threads start")
}

/// A database that is cloned for every worker.
pub trait Copies: DatabaseRef<Error: core::fmt::Display> + Clone + Send + Sync + 'static {}

impl<D: DatabaseRef<Error: core::fmt::Display> + Clone + Send + Sync + 'static> Copies for D {}

/// Executors with different numbers of workers.
#[derive(Debug)]
pub struct Lineup {
    /// Executors of `WORKERS`, which cut small blocks into single transactions, then those of
    /// `CHUNKS`, then those of `OTHERS`.
    executors: Vec<Executor>,
    /// Executors of `LISTED`.
    listed: Vec<Executor>,
    mode: Mode,
    /// How often two transactions were in progress at once, as observed by the database.
    pub met: u64,
    /// Number of aborted runs, over all executions.
    pub aborts: u64,
    /// Number of transactions committed from a speculative run, over all executions.
    pub speculative: u64,
    /// The access list that an executor has returned last.
    pub access_list: Option<Bal>,
}

impl Lineup {
    /// Creates executors with 1, 2, 3 and 8 workers and chunks of different lengths.
    ///
    /// # Panics
    /// Panics if the system cannot start threads.
    #[must_use]
    pub fn new(policy: Policy, mode: Mode) -> Self {
        let single = WORKERS.map(|workers| config(workers, None, policy, mode));
        let chunked = CHUNKS.map(|(workers, length)| {
            config(workers, Some(NonZeroU32::new(length).expect("not 0")), policy, mode)
        });
        let others = OTHERS.map(|(workers, policy)| config(workers, None, policy, mode));
        // All except every fifth return access lists: nothing else may depend on that.
        let listing = |(place, mut config): (usize, Config)| {
            config.access_list = place % 5 != 4;
            started(config)
        };
        let executors = single.into_iter().chain(chunked).chain(others);
        let executors = executors.enumerate().map(listing).collect();
        let listed = LISTED.map(|(workers, policy)| config(workers, None, policy, mode));
        let listed = listed.into_iter().enumerate().map(listing).collect();
        let (met, aborts, speculative, access_list) = (0, 0, 0, None);
        Self { executors, listed, mode, met, aborts, speculative, access_list }
    }

    /// Executes `block` with every executor at full speed.
    ///
    /// # Errors
    /// Returns a description of the first difference from sequential execution.
    pub fn compare<D: Copies>(
        &mut self,
        block: &Arc<Block>,
        database: &D,
    ) -> Result<Expected<D::Error>, String> {
        let expected = Expected::new(block, self.mode, database);
        for (index, workers) in WORKERS.into_iter().enumerate() {
            self.run(index, block, database.clone(), &expected)
                .map_err(|difference| format!("{workers} workers: {difference}"))?;
        }
        for (index, (workers, length)) in CHUNKS.into_iter().enumerate() {
            self.run(WORKERS.len() + index, block, database.clone(), &expected).map_err(
                |difference| format!("{workers} workers, chunks of {length}: {difference}"),
            )?;
        }
        for (index, (workers, policy)) in OTHERS.into_iter().enumerate() {
            self.run(WORKERS.len() + CHUNKS.len() + index, block, database.clone(), &expected)
                .map_err(|difference| format!("{workers} workers, {policy:?}: {difference}"))?;
        }
        self.compare_listed(block, database, &expected)?;
        self.compare_hinted(block, database, &expected)?;
        Ok(expected)
    }

    /// Executes a block whose transactions declare their accesses with every executor.
    ///
    /// # Errors
    /// Returns a description of the first wrong result.
    pub fn compare_declared<D: Copies>(
        &mut self,
        declared: &Declared,
        database: &D,
    ) -> Result<(), String> {
        for executor in &mut self.executors {
            let block = Arc::clone(&declared.block);
            let found = executor.block(block).database(database.clone()).execute();
            let Config { workers, policy, engine, .. } = *executor.config();
            declared.judge(executor.config(), &found).map_err(|difference| {
                format!("{workers} workers, {policy:?}, chunks {:?}: {difference}", engine.chunk)
            })?;
            self.speculative += found.map_or(0, |output| output.stats.speculative_commits);
        }
        Ok(())
    }

    /// Executes the block with the last access list as a hint, which may be that of another block,
    /// and with the same list at other indices.
    fn compare_hinted<D: Copies>(
        &mut self,
        block: &Arc<Block>,
        database: &D,
        expected: &Expected<D::Error>,
    ) -> Result<(), String> {
        let Some(right) = &self.access_list else { return Ok(()) };
        let mut list: Vec<_> = right.iter().cloned().collect();
        let transactions = block.transactions.len();
        scramble(&mut list, transactions, &mut draws(transactions as u64));
        let hints = [right.clone(), Bal::new(list)].map(Arc::new);
        for (hint, index) in hints.iter().zip([1, 2]).chain(hints.iter().zip([WORKERS.len(), 1])) {
            let access_list_hint = Some(Arc::clone(hint));
            let block = Arc::new(Block { access_list_hint, ..Block::clone(block) });
            self.run(index, &block, database.clone(), expected)
                .map_err(|difference| format!("executor {index}, with a hint: {difference}"))?;
        }
        Ok(())
    }

    /// Executes a valid block with its own access list, which the first executor computes.
    fn compare_listed<D: Copies>(
        &mut self,
        block: &Arc<Block>,
        database: &D,
        expected: &Expected<D::Error>,
    ) -> Result<(), String> {
        if self.mode == Mode::Build || expected.output().is_none() {
            return Ok(());
        }
        let output =
            self.executors[0].block(Arc::clone(block)).database(database.clone()).execute();
        let list = output.ok().and_then(|output| output.access_list);
        let access_list = Some(Arc::new(list.ok_or("there is no access list")?));
        let block = Arc::new(Block { access_list, ..Block::clone(block) });
        for (index, (workers, policy)) in LISTED.into_iter().enumerate() {
            let found =
                self.listed[index].block(Arc::clone(&block)).database(database.clone()).execute();
            let config = *self.listed[index].config();
            self.judge(&config, &found, expected).map_err(|difference| {
                format!("{workers} workers, {policy:?}, with an access list: {difference}")
            })?;
        }
        Ok(())
    }

    /// Same, and then again with higher transactions running first.
    ///
    /// # Errors
    /// Returns a description of the first difference from sequential execution.
    pub fn compare_paced<D: Copies>(
        &mut self,
        block: &Arc<Block>,
        database: &D,
    ) -> Result<Expected<D::Error>, String> {
        let expected = self.compare(block, database)?;
        for (index, workers) in WORKERS.into_iter().enumerate().skip(1) {
            for offset in [0, 1] {
                let gate = Arc::new(Gate::pairs(block, offset, PATIENCE));
                let paced = gate.guard(database.clone());
                self.run(index, block, paced, &expected).map_err(|difference| {
                    format!("{workers} workers, pairs from {offset}: {difference}")
                })?;
                self.met += gate.met();
            }
        }
        Ok(expected)
    }

    fn run<D: Copies>(
        &mut self,
        index: usize,
        block: &Arc<Block>,
        database: D,
        expected: &Expected<D::Error>,
    ) -> Result<(), String> {
        let found = self.executors[index].block(Arc::clone(block)).database(database).execute();
        let config = *self.executors[index].config();
        self.judge(&config, &found, expected)
    }

    fn judge<E: core::fmt::Debug + core::fmt::Display>(
        &mut self,
        config: &Config,
        found: &Result<BlockOutput, BlockError<E>>,
        expected: &Expected<E>,
    ) -> Result<(), String> {
        expected.compare_with_list(found, config.access_list)?;
        let output = match found {
            Ok(output) => output,
            Err(error) => &error.committed,
        };
        if output.access_list.is_some() {
            self.access_list.clone_from(&output.access_list);
        }
        self.note(config.policy, output.stats)
    }

    fn note(&mut self, policy: Policy, stats: Stats) -> Result<(), String> {
        self.aborts += stats.aborts;
        self.speculative += stats.speculative_commits;
        // I9: with the default cap of 4, a transaction runs at most 5 times. With forced batches,
        // up to eight runs per worker are wasted for every three that commit.
        let in_parts = if matches!(
            policy,
            Policy::Forced(Forced::ContiguousBatches) | Policy::Forced(Forced::AccessList)
        ) {
            3 * stats.workers
        } else {
            0
        };
        let most = (5 + in_parts) * (stats.transactions + 64 * stats.workers);
        if stats.incarnations > most {
            return Err(format!("{} runs, and at most {most} are allowed", stats.incarnations));
        }
        Ok(())
    }
}
