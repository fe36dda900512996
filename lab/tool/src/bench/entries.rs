//! The entries through which a node executes a block: [`Executor`], [`BraidExecutorFactory`], and
//! alloy-evm's own `EthBlockExecutor`.

use alloy_consensus::{EthereumReceipt, TxEnvelope, transaction::Recovered};
use alloy_evm::{
    EthEvmFactory, EvmEnv, EvmFactory,
    block::{BlockExecutionResult, BlockExecutor, BlockExecutorFactory},
    eth::{EthBlockExecutionCtx, EthBlockExecutorFactory},
};
use alloy_primitives::Bytes;
use braid_blocks::{
    block::Block,
    compare::{Execution, braid::outputs, differences},
    sequential::{ForkSpec, OnInvalid, Prepared, Receipts, envelope},
    timing::{Pauses, Times, Timing, times_of},
};
use braid_cli::bench::{BenchError, Series};
use braid_evm::{
    BlockError, BlockOutput, Cloned, Config, Executor, alloy::BraidExecutorFactory,
    runtime::simulated::Random,
};
use core::{fmt, hint::black_box, num::NonZeroU16, ops::ControlFlow};
use revm::{
    DatabaseRef,
    context::{BlockEnv, TxEnv},
    database::{
        BundleState, State, WrapDatabaseRef, states::bundle_state::BundleRetention::Reverts,
    },
    primitives::hardfork::SpecId,
};
use std::{borrow::Cow, sync::Arc};

/// A way into the execution of a whole block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// alloy-evm's `EthBlockExecutor`: sequential, over revm's `State`.
    Alloy,
    /// [`Executor`], whose workers have a handle each.
    Executor,
    /// As [`Executor`](Self::Executor), with a callback for each commit, which looks at its changes.
    Streamed,
    /// As [`Executor`](Self::Executor), with the changes of each transaction in the output.
    Changes,
    /// [`BraidExecutorFactory`] over revm's `State`, whose workers have a handle each.
    Handles,
    /// [`BraidExecutorFactory`] over revm's `State`, from which all reads come.
    Factory,
}

impl Entry {
    /// Entries that take a number of workers.
    pub const PARALLEL: [Self; 5] =
        [Self::Executor, Self::Streamed, Self::Changes, Self::Handles, Self::Factory];
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alloy => "EthBlockExecutor",
            Self::Executor => "Executor",
            Self::Streamed => "Executor, on_commit",
            Self::Changes => "Executor, keep_changes",
            Self::Handles => "factory, handles",
            Self::Factory => "factory",
        })
    }
}

/// Times of one entry on one block.
#[derive(Clone, Debug)]
pub struct EntryTimes {
    /// The entry.
    pub entry: Entry,
    /// Number of workers; `None` for [`Entry::Alloy`].
    pub workers: Option<NonZeroU16>,
    /// One sample per round.
    pub series: Series,
}

/// A database of which each execution gets a clone.
pub trait Source: DatabaseRef<Error: Send> + Clone + fmt::Debug + Send + Sync + 'static {}

impl<D: DatabaseRef<Error: Send> + Clone + fmt::Debug + Send + Sync + 'static> Source for D {}

type Transactions = Vec<(TxEnv, Recovered<TxEnvelope>)>;
type Output = (BlockExecutionResult<EthereumReceipt>, BundleState);

/// A factory of either kind, for the blocks of this project.
trait Factory:
    for<'a> BlockExecutorFactory<
        EvmFactory: EvmFactory<Spec = SpecId, BlockEnv = BlockEnv, Tx = TxEnv>,
        Transaction = TxEnvelope,
        Receipt = EthereumReceipt,
        ExecutionCtx<'a> = EthBlockExecutionCtx<'a>,
    >
{
}

impl<F> Factory for F where
    F: for<'a> BlockExecutorFactory<
            EvmFactory: EvmFactory<Spec = SpecId, BlockEnv = BlockEnv, Tx = TxEnv>,
            Transaction = TxEnvelope,
            Receipt = EthereumReceipt,
            ExecutionCtx<'a> = EthBlockExecutionCtx<'a>,
        >
{
}

/// Everything that executes one block on one number of workers.
struct Workers {
    count: NonZeroU16,
    executor: Executor,
    streamed: Executor,
    changes: Executor,
    handles: BraidExecutorFactory<Receipts, ForkSpec>,
    factory: BraidExecutorFactory<Receipts, ForkSpec>,
}

/// A block in the form that each entry takes.
struct Subject<'b, D> {
    block: &'b Block,
    shared: Arc<braid_evm::Block>,
    transactions: Transactions,
    database: &'b dyn Fn() -> D,
    alloy: EthBlockExecutorFactory<Receipts, ForkSpec, EthEvmFactory>,
    workers: Vec<Workers>,
}

/// Executes `block` through each entry, on each number of workers, and compares the results in
/// full. Then times each entry once a round, in random order.
///
/// # Errors
/// The block is invalid, a result differs from the sequential one, or the system refuses a thread.
pub fn measure<D: Source>(
    block: &Block,
    database: &dyn Fn() -> D,
    workers: &[NonZeroU16],
    timing: Timing,
) -> Result<Vec<EntryTimes>, BenchError> {
    let mut subject = Subject::new(block, database, workers)?;
    subject.compare()?;
    let empty = |entry, workers| EntryTimes { entry, workers, series: Series::default() };
    let of_workers = |workers: &NonZeroU16| Entry::PARALLEL.map(|it| empty(it, Some(*workers)));
    let mut times = vec![empty(Entry::Alloy, None)];
    times.extend(workers.iter().flat_map(of_workers));
    let mut order: Vec<usize> = (0..times.len()).collect();
    let mut random = Random::new(1);
    for _ in 0..timing.rounds {
        for last in (1..order.len()).rev() {
            let other = usize::try_from(random.below(last as u64 + 1)).unwrap_or(last);
            order.swap(last, other);
        }
        for at in &order {
            let Some(EntryTimes { entry, workers, series }) = times.get_mut(*at) else { continue };
            series.samples.extend(subject.time(*entry, *workers, timing));
        }
    }
    Ok(times)
}

impl<'b, D: Source> Subject<'b, D> {
    fn new(
        block: &'b Block,
        database: &'b dyn Fn() -> D,
        workers: &[NonZeroU16],
    ) -> Result<Self, BenchError> {
        let spec = ForkSpec::new(block.cfg.spec, &block.rules, block.env.number.saturating_to());
        let of = |count: &NonZeroU16| {
            let config = Config::with_workers(*count);
            let mut with_changes = config;
            with_changes.keep_changes = true;
            let [executor, streamed] = [Executor::new(config)?, Executor::new(config)?];
            let changes = Executor::new(with_changes)?;
            let new = || BraidExecutorFactory::new(Receipts, spec, config);
            let state = database();
            let handles = new().with_handles(move |_| Some(Cloned(state.clone())));
            Ok(Workers { count: *count, executor, streamed, changes, handles, factory: new() })
        };
        let workers: std::io::Result<_> = workers.iter().map(of).collect();
        Ok(Self {
            block,
            shared: Arc::new(braid_evm::Block::from(block)),
            transactions: block.transactions.iter().map(|it| (it.clone(), envelope(it))).collect(),
            database,
            alloy: EthBlockExecutorFactory::new(Receipts, spec, EthEvmFactory::default()),
            workers: workers.map_err(|error| BenchError::Invalid(error.to_string()))?,
        })
    }

    /// Compares the result of each entry with sequential execution.
    fn compare(&mut self) -> Result<(), BenchError> {
        let invalid = |error: &dyn fmt::Display| BenchError::Invalid(error.to_string());
        let expected = Prepared::new(self.block).run((self.database)(), OnInvalid::Reject);
        let expected = expected.map_err(|error| invalid(&error))?;
        let same = |who: String, output: &Output| {
            let expected = Execution { outcomes: Vec::new(), ..Execution::from(&expected) };
            let (result, bundle) = output;
            let found = Execution {
                outcomes: Vec::new(),
                receipts: &result.receipts,
                requests: &result.requests,
                gas_used: result.gas_used,
                blob_gas_used: result.blob_gas_used,
                bundle,
            };
            let found = differences(&expected, &found);
            if found.is_empty() {
                return Ok(());
            }
            Err(BenchError::Different { who, differences: found.to_string() })
        };
        let state = state_over((self.database)());
        let found = run(&self.alloy, self.block, self.transactions.clone(), state);
        same(Entry::Alloy.to_string(), &found.map_err(|error| invalid(&error))?)?;
        for Workers { count, executor, streamed, changes, handles, factory } in &mut self.workers {
            let who = |entry: Entry| format!("{entry}, {count} workers");
            let engines = [
                (Entry::Executor, executor),
                (Entry::Streamed, streamed),
                (Entry::Changes, changes),
            ];
            for (entry, executor) in engines {
                let shared = Arc::clone(&self.shared);
                let found = execute(executor, shared, (self.database)(), entry);
                let found = outputs(&expected, &found.map_err(|error| invalid(&error))?);
                if !found.is_empty() {
                    let (who, differences) = (who(entry), found.to_string());
                    return Err(BenchError::Different { who, differences });
                }
            }
            for (entry, factory) in [(Entry::Handles, handles), (Entry::Factory, factory)] {
                let state = state_over((self.database)());
                let found = run(factory, self.block, self.transactions.clone(), state);
                same(who(entry), &found.map_err(|error| invalid(&error))?)?;
            }
        }
        Ok(())
    }

    /// Times one execution. Inputs are copied before the clock starts.
    fn time(&mut self, entry: Entry, count: Option<NonZeroU16>, timing: Timing) -> Option<Times> {
        let Self { block, shared, transactions, database, alloy, workers } = self;
        let mut on = workers.iter_mut().find(|it| Some(it.count) == count);
        let (database, transactions) = (database(), transactions.clone());
        let pauses = Pauses { before: timing.pause, after: timing.pause };
        Some(match entry {
            Entry::Alloy => {
                let state = state_over(database);
                times_of(pauses, || run(alloy, block, transactions, state))
            }
            Entry::Executor | Entry::Streamed | Entry::Changes => {
                let on = on.as_mut()?;
                let executor = match entry {
                    Entry::Streamed => &mut on.streamed,
                    Entry::Changes => &mut on.changes,
                    _ => &mut on.executor,
                };
                let shared = Arc::clone(shared);
                times_of(pauses, || execute(executor, shared, database, entry))
            }
            Entry::Handles => {
                let (factory, state) = (&on?.handles, state_over(database));
                times_of(pauses, || run(factory, block, transactions, state))
            }
            Entry::Factory => {
                let (factory, state) = (&on?.factory, state_over(database));
                times_of(pauses, || run(factory, block, transactions, state))
            }
        })
    }
}

/// Executes a block on `executor`.
fn execute<D: Source>(
    executor: &mut Executor,
    block: Arc<braid_evm::Block>,
    database: D,
    entry: Entry,
) -> Result<BlockOutput, BlockError<D::Error>> {
    let request = executor.block(block).database(database);
    if entry != Entry::Streamed {
        return request.execute();
    }
    let mut changed = 0_usize;
    let output = request.on_commit(|committed| {
        changed = changed.saturating_add(committed.changes().len());
        ControlFlow::Continue(())
    });
    let output = output.execute();
    black_box(changed);
    output
}

fn state_over<D: DatabaseRef>(database: D) -> State<WrapDatabaseRef<D>> {
    State::builder().with_database(WrapDatabaseRef(database)).with_bundle_update().build()
}

/// Executes a block as a node does, up to the bundle with its reverts.
fn run<D: DatabaseRef + fmt::Debug>(
    factory: &impl Factory,
    block: &Block,
    transactions: Transactions,
    mut state: State<WrapDatabaseRef<D>>,
) -> Result<Output, alloy_evm::block::BlockExecutionError> {
    let env = EvmEnv { cfg_env: block.cfg.clone(), block_env: block.env.clone() };
    let evm = factory.evm_factory().create_evm(&mut state, env);
    let context = EthBlockExecutionCtx {
        parent_hash: block.parent_hash,
        parent_beacon_block_root: block.parent_beacon_block_root,
        ommers: &[],
        withdrawals: block.withdrawals.as_deref().map(Cow::Borrowed),
        extra_data: Bytes::new(),
        tx_count_hint: Some(transactions.len()),
        slot_number: None,
    };
    let result = factory.create_executor(evm, context).execute_block(transactions)?;
    state.merge_transitions(Reverts);
    Ok((result, state.take_bundle()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::U256;
    use braid_blocks::workload::Preset;
    use core::{cell::Cell, time::Duration};
    use revm::database::CacheDB;

    const TIMING: Timing = Timing { rounds: 2, pause: Duration::ZERO };

    #[test]
    fn each_entry_is_timed_in_each_round() {
        let (block, state) = Preset::Erc20.block(40, 1).unwrap().to_block().unwrap();
        let workers = [1, 2].map(|workers| NonZeroU16::new(workers).unwrap());
        let times = measure(&block, &|| state.clone(), &workers, TIMING).unwrap();
        let found: Vec<_> =
            times.iter().map(|it| (it.entry, it.workers.map(NonZeroU16::get))).collect();
        let mut expected = vec![(Entry::Alloy, None)];
        expected.extend(
            [1, 2]
                .into_iter()
                .flat_map(|workers| Entry::PARALLEL.map(|entry| (entry, Some(workers)))),
        );
        assert_eq!(found, expected);
        for EntryTimes { series, .. } in times {
            assert_eq!(series.samples.len(), 2);
            assert!(series.samples.iter().all(|it| !it.wall.is_zero()));
        }
    }

    /// A copy of the state that differs from the others: the error names the entry that got it.
    #[test]
    fn another_result_is_named() {
        let (block, state) = Preset::Erc20.block(40, 1).unwrap().to_block().unwrap();
        let sender = block.transactions[7].caller;
        let mut wrong = CacheDB::new(state.clone());
        let mut info = state.basic_ref(sender).unwrap().unwrap();
        info.balance += U256::from(1);
        wrong.insert_account_info(sender, info);
        let right = CacheDB::new(state);
        // One copy is that of the handles, and the first comparison is with the second copy.
        let named = [
            (3, "EthBlockExecutor"),
            (4, "Executor, 1 workers"),
            (5, "Executor, on_commit, 1 workers"),
            (6, "Executor, keep_changes, 1 workers"),
            (1, "factory, handles, 1 workers"),
            (8, "factory, 1 workers"),
        ];
        for (copy, named) in named {
            let copies = Cell::new(0);
            let database = || {
                copies.set(copies.get() + 1);
                if copies.get() == copy { wrong.clone() } else { right.clone() }
            };
            // On one worker, a block that need not run in parallel would not read the handles.
            let workers = [NonZeroU16::new(if copy == 1 { 2 } else { 1 }).unwrap()];
            let error = measure(&block, &database, &workers, TIMING).unwrap_err();
            let BenchError::Different { who, .. } = &error else { panic!("{error}") };
            assert_eq!(*who, named.replace('1', &workers[0].to_string()));
        }
    }
}
