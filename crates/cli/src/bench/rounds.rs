//! Rounds: each way of executing the block takes one turn, in random order.

use super::{
    cores,
    figures::{Figures, Series},
    latency::ReadCounter,
    runs::{self, Halves},
};
use braid_blocks::{
    block::Block,
    compare::{Execution, braid, differences},
    sequential::{OnInvalid, OneJournal, Plain, Prepared, SequentialOutcome, SequentialOutput},
    timing::{Pauses, Times, Timing},
};
use braid_evm::{Executor, Stats, runtime::simulated::Random};
use revm::{DatabaseRef, context::result::ExecutionResult};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    sync::Arc,
    thread,
    time::Duration,
};
use thiserror::Error;

/// The block to be measured, with the state before it.
pub struct Subject<'a, D> {
    /// Name in reports.
    pub name: &'a str,
    /// The block.
    pub block: &'a Block,
    /// The block as Braid executes it, with its access list if it has one.
    pub shared: &'a Arc<braid_evm::Block>,
    /// Returns the state before the block; called before each execution.
    pub database: &'a dyn Fn() -> D,
    /// Counts the reads of `database`, if set.
    pub reads: Option<ReadCounter>,
}

impl<D> core::fmt::Debug for Subject<'_, D> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Subject").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why a block was not measured.
#[derive(Debug, Error)]
pub enum BenchError {
    /// The block is invalid.
    #[error("the block does not execute: {0}")]
    Invalid(String),
    /// The sequential result differs from the block's header or file.
    #[error("{0}")]
    Wrong(String),
    /// A result differs from the sequential one.
    #[error("{who}: the result differs from sequential execution\n{differences}")]
    Different {
        /// The way of execution with that result.
        who: String,
        /// The differences, one per line.
        differences: String,
    },
}

/// Returns the default number of rounds for a block of this many transactions.
#[must_use]
pub const fn rounds_for(transactions: usize) -> u32 {
    if transactions < 1_000 { 28 } else { 7 }
}

/// Facts established before anything is timed.
struct Verified {
    gas: u64,
    journal: bool,
    stats: Vec<Stats>,
    /// Reads of the baseline and of each executor.
    reads: Option<(u64, Vec<u64>)>,
}

/// A way of executing the block.
#[derive(Clone, Copy, Debug)]
enum Way {
    Sequential,
    /// This many concurrent sequential executions.
    Copies(u16),
    Journal,
    Halves,
    /// The executor with this index.
    Parallel(usize),
}

/// Shuffles `ways`.
fn shuffle(ways: &mut [Way], random: &mut Random) {
    for last in (1..ways.len()).rev() {
        let other = usize::try_from(random.below(last as u64 + 1)).unwrap_or(last);
        ways.swap(last, other);
    }
}

/// Compares all results of the block, then times it. Returns one entry per executor.
///
/// # Errors
/// Returns an error if the block is invalid or a result differs from the sequential one.
pub fn measure<D>(
    subject: &Subject<'_, D>,
    executors: &mut [Executor],
    timing: Timing,
) -> Result<Vec<Figures>, BenchError>
where
    D: DatabaseRef<Error: Display + Send> + Clone + Send + Sync + 'static,
{
    let Subject { name, block, .. } = *subject;
    let verified = verify(subject, executors)?;
    let times = time(subject, executors, timing, verified.journal);
    let Verified { gas, stats, reads, .. } = verified;
    let AllSeries { sequential, copies, journal, halves, parallel, round_trips } = times;
    let made = |series: &Series| (!series.samples.is_empty()).then(|| series.clone());
    let figures = parallel.into_iter().zip(stats).zip(executors.iter()).enumerate();
    let figures = figures.map(|(index, ((parallel, stats), executor))| Figures {
        workload: name.to_owned(),
        workers: executor.config().workers.get(),
        transactions: block.transactions.len(),
        gas,
        sequential: sequential.clone(),
        copies: copies.get(&executor.config().workers.get()).and_then(made),
        journal: made(&journal),
        halves: made(&halves),
        parallel,
        round_trips: match executor.config().workers.get() {
            1 => Vec::new(),
            _ => round_trips.clone(),
        },
        stats,
        reads: reads.as_ref().and_then(|(one, all)| Some([*one, *all.get(index)?])),
        stages: None,
        memory: None,
        simulated: None,
    });
    Ok(figures.collect())
}

/// Times all rounds. `journal`: whether one journal for the block gives the right results.
fn time<D>(
    subject: &Subject<'_, D>,
    executors: &mut [Executor],
    timing: Timing,
    journal: bool,
) -> AllSeries
where
    D: DatabaseRef<Error: Display + Send> + Clone + Send + Sync + 'static,
{
    let Subject { block, shared, database, .. } = *subject;
    let (halves, pause) = (Halves::of(block), timing.pause);
    let pauses = Pauses::new(pause);
    let mut times =
        AllSeries { parallel: vec![Series::default(); executors.len()], ..AllSeries::default() };
    let mut ways = vec![Way::Sequential, Way::Halves];
    ways.extend(copied(executors).into_iter().map(Way::Copies));
    ways.extend(journal.then_some(Way::Journal));
    ways.extend((0..executors.len()).map(Way::Parallel));
    // The order differs between blocks, and is the same each time.
    let seed =
        subject.name.bytes().fold(1, |seed: u64, byte| seed.wrapping_mul(31) ^ u64::from(byte));
    let mut random = Random::new(seed);
    let is_shared = executors.iter().any(|executor| executor.config().workers.get() > 1);
    for _ in 0..timing.rounds {
        times.round_trips.extend(is_shared.then(cores::round_trip).flatten());
        shuffle(&mut ways, &mut random);
        for way in &ways {
            match *way {
                Way::Sequential => {
                    times.sequential.add(runs::sequential(block, database(), pauses));
                }
                Way::Copies(count) => {
                    let sample = runs::copies(block, count, &database(), pause);
                    times.copies.entry(count).or_default().extend(sample);
                }
                Way::Journal => times.journal.add(runs::journal(block, database(), pauses)),
                Way::Halves => times.halves.extend(halves.run(&database(), pause)),
                Way::Parallel(index) => {
                    let both = executors.get_mut(index).zip(times.parallel.get_mut(index));
                    if let Some((executor, series)) = both {
                        series.add(runs::parallel(executor, shared, database(), pauses));
                    }
                }
            }
        }
    }
    times
}

/// Returns the worker counts of `executors` that do not exceed the number of cores.
fn copied(executors: &[Executor]) -> BTreeSet<u16> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let workers = executors.iter().map(|executor| executor.config().workers.get());
    workers.filter(|workers| *workers > 1 && usize::from(*workers) <= cores).collect()
}

/// Times of all ways.
#[derive(Default)]
struct AllSeries {
    sequential: Series,
    /// Times by the number of concurrent sequential executions.
    copies: BTreeMap<u16, Series>,
    journal: Series,
    halves: Series,
    parallel: Vec<Series>,
    /// How fast the cores were to pass a cache line, at the start of each round.
    round_trips: Vec<Duration>,
}

impl Series {
    fn add(&mut self, sample: Times) {
        self.samples.push(sample);
    }

    fn extend(&mut self, sample: Option<Times>) {
        self.samples.extend(sample);
    }
}

/// Executes the block in every way and compares the results.
fn verify<D>(subject: &Subject<'_, D>, executors: &mut [Executor]) -> Result<Verified, BenchError>
where
    D: DatabaseRef<Error: Display + Send> + Clone + Send + Sync + 'static,
{
    let Subject { block, shared, database, reads, .. } = subject;
    let mut prepared = Prepared::new(block);
    if executors.iter().any(|executor| executor.config().access_list) {
        prepared = prepared.with_access_lists();
    }
    let expected = prepared
        .run(database(), OnInvalid::Reject)
        .map_err(|error| BenchError::Invalid(error.to_string()))?;
    let taken = || reads.as_ref().map(ReadCounter::take);
    taken();
    let (plain, _) = Plain::new(block).run_keeping(database());
    let plain = plain.map_err(|error| BenchError::Invalid(error.to_string()))?;
    let baseline_reads = taken();
    let found = differences(&Execution::from(&expected), &Execution::from(&plain));
    same("the baseline", &found)?;
    drop(plain);
    let (journal, _) = OneJournal::new(block).run_keeping(database());
    let journal = journal.is_ok_and(|(results, _)| agrees(&expected, &results));
    taken();
    let (mut stats, mut all_reads) = (Vec::new(), Vec::new());
    for executor in executors {
        let workers = executor.config().workers;
        let found = executor
            .block(Arc::clone(shared))
            .database(database())
            .execute()
            .map_err(|error| BenchError::Invalid(format!("{workers} workers: {error}")))?;
        same(&format!("{workers} workers"), &braid::outputs(&expected, &found))?;
        stats.push(found.stats);
        all_reads.extend(taken());
    }
    let reads = baseline_reads.map(|one| (one, all_reads));
    Ok(Verified { gas: expected.gas_used, journal, stats, reads })
}

fn same(who: &str, differences: &braid_blocks::compare::Differences) -> Result<(), BenchError> {
    if differences.is_empty() {
        return Ok(());
    }
    Err(BenchError::Different { who: who.to_owned(), differences: differences.to_string() })
}

/// Returns whether one journal for the block gives the results of sequential execution.
fn agrees(expected: &SequentialOutput, found: &[ExecutionResult]) -> bool {
    let outcomes = expected.outcomes.iter().zip(&expected.receipts);
    expected.outcomes.len() == found.len()
        && outcomes.zip(found).all(|((outcome, receipt), found)| match outcome {
            SequentialOutcome::Executed(expected) => {
                expected.gas() == found.gas()
                    && expected.is_success() == found.is_success()
                    && expected.output() == found.output()
                    && receipt.logs == found.logs()
            }
            SequentialOutcome::Skipped(_) => false,
        })
}

#[cfg(test)]
mod tests {
    //! A database whose values change from its n-th copy on: the error must name the executor that
    //! got that copy.

    use super::*;
    use alloy_primitives::{Address, B256, U256};
    use braid_blocks::{block_file::FileDatabase, workload::Preset};
    use braid_evm::Config;
    use core::{convert::Infallible, num::NonZeroU16};
    use revm::state::{AccountInfo, Bytecode};
    use std::sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    };

    struct Fickle {
        inner: FileDatabase,
        copies: Arc<AtomicU32>,
        copy: u32,
        wrong: core::ops::Range<u32>,
        spoiled: Arc<Mutex<Option<Address>>>,
    }

    impl Clone for Fickle {
        fn clone(&self) -> Self {
            Self {
                inner: self.inner.clone(),
                copies: Arc::clone(&self.copies),
                copy: self.copies.fetch_add(1, SeqCst),
                wrong: self.wrong.clone(),
                spoiled: Arc::clone(&self.spoiled),
            }
        }
    }

    impl DatabaseRef for Fickle {
        type Error = Infallible;

        fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
            let mut info = self.inner.basic_ref(address)?;
            if self.wrong.contains(&self.copy)
                && *self.spoiled.lock().unwrap() == Some(address)
                && let Some(info) = &mut info
            {
                info.balance += U256::from(1);
            }
            Ok(info)
        }

        fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, Infallible> {
            self.inner.code_by_hash_ref(code_hash)
        }

        fn storage_ref(&self, address: Address, index: U256) -> Result<U256, Infallible> {
            let value = self.inner.storage_ref(address, index)?;
            // A slot of a token, so that the results of calls differ too.
            let wrong = self.wrong.contains(&self.copy) && self.spoiled.lock().unwrap().is_none();
            Ok(if wrong { U256::ZERO } else { value })
        }

        fn block_hash_ref(&self, number: u64) -> Result<B256, Infallible> {
            self.inner.block_hash_ref(number)
        }
    }

    /// Measures 30 token transfers on states of which the copies in `wrong` differ: in a sender's
    /// balance or, with `results`, in all slots.
    fn figures(wrong: core::ops::Range<u32>, results: bool) -> Result<Vec<Figures>, BenchError> {
        let file = Preset::Erc20.block(30, 1).unwrap();
        let (block, inner) = file.to_block().unwrap();
        let spoiled = (!results).then(|| block.transactions[7].caller);
        let copies = Arc::new(AtomicU32::new(1));
        let spoiled = Arc::new(Mutex::new(spoiled));
        let database = Fickle { inner, copies, copy: 0, wrong, spoiled };
        let config = Config::with_workers(NonZeroU16::MIN);
        let mut executors = [Executor::new(config).unwrap()];
        let shared = Arc::new(braid_evm::Block::from(&block));
        let database = || database.clone();
        let subject =
            Subject { name: "x", block: &block, shared: &shared, database: &database, reads: None };
        let timing = Timing { rounds: 3, pause: Duration::ZERO };
        measure(&subject, &mut executors, timing)
    }

    #[test]
    fn another_result_is_named() {
        let all = figures(0..0, false).unwrap();
        assert_eq!((all.len(), all[0].parallel.samples.len()), (1, 3));
        assert!(all[0].journal.is_some() && all[0].halves.is_some());
        for (wrong, named) in [(2..3, "the baseline"), (4..u32::MAX, "1 workers")] {
            let error = figures(wrong, false).unwrap_err();
            let BenchError::Different { who, .. } = &error else { panic!("{error}") };
            assert_eq!(who, named);
        }
    }

    #[test]
    fn a_journal_with_other_results_has_no_figures() {
        let all = figures(3..4, true).unwrap();
        assert!(all[0].journal.is_none() && all[0].halves.is_some());
    }

    #[test]
    fn small_blocks_have_more_rounds() {
        assert_eq!((rounds_for(999), rounds_for(1_000)), (28, 7));
    }
}
