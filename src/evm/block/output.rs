//! The output of a block.

use super::replay::{Replay, ReplayError, Replayed};
use super::replay_evm::ReplayContext;
use super::replays::Replays;
use crate::evm::bal::declaration::Undeclared;
use crate::evm::exec::any::AnySource;
use crate::evm::exec::base::{DbError, StateSource};
use crate::evm::exec::rejection::Rejection;
use crate::evm::plan::{Reason, Segment, Strategy};
use crate::ids::TxIndex;
use crate::protocol::Counters;
use alloy_consensus::EthereumReceipt;
use alloy_eip7928::bal::Bal;
use alloy_eips::eip7685::Requests;
use alloy_primitives::{Bytes, Log};
use revm::Inspector;
use revm::context::result::{ExecutionResult, HaltReason, Output, ResultGas, SuccessReason};
use revm::database::BundleState;
use revm::interpreter::interpreter::EthInterpreter;

/// How an executed transaction ended. The transaction's logs are in its receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecutedStatus {
    /// The transaction succeeded.
    Success {
        /// The opcode that ended it.
        reason: SuccessReason,
        /// Return data, or the address and code of the created contract.
        output: Output,
    },
    /// The transaction reverted; unused gas was refunded.
    Revert {
        /// Return data.
        output: Bytes,
    },
    /// The transaction failed and consumed all its gas.
    Halt {
        /// Why the transaction halted.
        reason: HaltReason,
    },
}

/// Result of an executed transaction, without its logs, which are in its receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Executed {
    /// How the transaction ended.
    pub status: ExecutedStatus,
    /// Gas of the transaction, before and after refunds.
    pub gas: ResultGas,
}

impl Executed {
    /// Converts into revm's [`ExecutionResult`] without copying. `logs` are the logs of the
    /// transaction's receipt.
    #[must_use]
    pub fn into_result(self, logs: Vec<Log>) -> ExecutionResult {
        let gas = self.gas;
        match self.status {
            ExecutedStatus::Success { reason, output } => {
                ExecutionResult::Success { reason, gas, logs, output }
            }
            ExecutedStatus::Revert { output } => ExecutionResult::Revert { gas, logs, output },
            ExecutedStatus::Halt { reason } => ExecutionResult::Halt { reason, gas, logs },
        }
    }
}

/// Outcome of a transaction: executed, or skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The transaction is in the block.
    Executed(Executed),
    /// The transaction was left out of the block, in a block that was built.
    Skipped(Rejection),
}

/// The result of a block, or of its committed prefix.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct BlockOutput {
    /// One outcome per transaction, in block order.
    pub outcomes: Vec<Outcome>,
    /// Receipts of the executed transactions, in block order. Each converts with [`From`] into
    /// alloy's `ReceiptEnvelope`, which has the bloom; the logs are moved, not copied.
    pub receipts: Vec<EthereumReceipt>,
    /// Requests to the consensus layer (EIP-7685); empty before Prague.
    pub requests: Requests,
    /// Gas used as the block header counts it: after refunds; from Amsterdam, the larger of regular
    /// and state gas.
    pub gas_used: u64,
    /// Blob gas of the executed transactions (EIP-4844).
    pub blob_gas_used: u64,
    /// All state changes with their reverts, including system calls and rewards.
    pub bundle: BundleState,
    /// Block access list (EIP-7928) in canonical order, if enabled by
    /// [`Config::access_list`](crate::Config::access_list); `compute_hash` returns the hash for the
    /// header. Index 0 holds the system calls before the transactions, indices 1 to n the executed
    /// transactions (skipped ones have no index), and index n + 1 withdrawals, block rewards and
    /// the system calls after the transactions. If the block ended with an error, the list covers
    /// the committed prefix, and is `None` if nothing was committed.
    pub access_list: Option<Bal>,
    /// Transactions that halted because they accessed state outside their declaration, in block
    /// order. Empty unless [`ChainRules::declared_accesses`](crate::ChainRules::declared_accesses)
    /// is set.
    pub undeclared: Vec<(TxIndex, Undeclared)>,
    /// Data for [`replay`](Self::replay), if
    /// [`Config::keep_changes`](crate::Config::keep_changes) is set.
    pub(in crate::evm) replay: Option<Replay>,
    /// How the transactions ran and why, segment by segment; a trial that committed nothing is
    /// omitted. Only `segments` and `stats` may differ from run to run.
    pub segments: Vec<Segment>,
    /// Execution statistics.
    pub stats: Stats,
}

impl BlockOutput {
    /// Moves the outcomes out as revm results, one per transaction, in block order. Nothing is
    /// copied: the logs are moved out of the receipts, which keep everything else, so compute
    /// blooms and the receipts root first.
    ///
    /// ```
    /// # use braid_evm::{Block, ChainRules, Config, Executor, Rejection};
    /// # use revm::context::result::ExecutionResult;
    /// # use revm::database::{CacheDB, EmptyDB};
    /// # let rules = ChainRules { system_calls: false, ..ChainRules::default() };
    /// # let block = Block { rules, ..Block::default() };
    /// # let mut executor = Executor::new(Config::default())?;
    /// # let request = executor.block(block).database(CacheDB::new(EmptyDB::new()));
    /// let mut output = request.execute()?;
    /// let results: Vec<Result<ExecutionResult, Rejection>> = output.take_results().collect();
    /// # assert!(results.is_empty());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn take_results(&mut self) -> impl Iterator<Item = Result<ExecutionResult, Rejection>> {
        let outcomes = core::mem::take(&mut self.outcomes);
        let mut receipts = self.receipts.iter_mut();
        outcomes.into_iter().map(move |outcome| match outcome {
            Outcome::Executed(executed) => {
                let logs = receipts.next().map(|receipt| core::mem::take(&mut receipt.logs));
                Ok(executed.into_result(logs.unwrap_or_default()))
            }
            Outcome::Skipped(rejection) => Err(rejection),
        })
    }

    /// Replays `tx` alone, with `inspector`, on the state that the transaction read in the block.
    /// `source` must provide the state before the block, as it did when the block was executed; a
    /// parent bundle given to that execution is kept and need not be given again.
    ///
    /// Requires [`Config::keep_changes`](crate::Config::keep_changes), and is not available for
    /// blocks executed with the caller's own EVM. No other transaction runs again: the state is
    /// rebuilt from the recorded changes of the transactions below `tx`. If the block ended with an
    /// error, the committed output can also replay the transaction that caused it.
    ///
    /// # Errors
    /// Returns a [`ReplayError`] if the transaction cannot be replayed.
    pub fn replay<'s, S, I>(
        &self,
        tx: TxIndex,
        source: S,
        inspector: I,
    ) -> Result<Replayed<'s, I>, ReplayError<DbError<S>>>
    where
        S: StateSource + 's,
        I: Inspector<ReplayContext<'s>, EthInterpreter>,
        DbError<S>: core::error::Error + Send + Sync + 'static,
    {
        self.replay.as_ref().ok_or(ReplayError::NotKept)?.inspect(tx, source, inspector)
    }

    /// Replays all committed transactions in block order, each with its own inspector. Where
    /// [`replay`](Self::replay) rebuilds the state for every call, this iterator advances one state
    /// from transaction to transaction, so replaying a whole block takes time linear in its length.
    ///
    /// ```
    /// # use braid_evm::{Block, ChainRules, Cloned, Config, Executor};
    /// # use revm::database::{CacheDB, EmptyDB};
    /// # use revm::inspector::NoOpInspector;
    /// # let rules = ChainRules { system_calls: false, ..ChainRules::default() };
    /// # let block = Block { rules, ..Block::default() };
    /// # let config = Config::builder().keep_changes(true).build()?;
    /// # let mut executor = Executor::new(config)?;
    /// # let database = CacheDB::new(EmptyDB::new());
    /// # let output = executor.block(block).database(database.clone()).execute()?;
    /// let mut replays = output.replays(Cloned(database))?;
    /// while let Some(replayed) = replays.replay_next(NoOpInspector) {
    ///     let replayed = replayed?;
    ///     println!("{}: {:?}", replayed.tx, replayed.result);
    /// }
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ReplayError::NotKept`], or [`ReplayError::Base`] if the database cannot be opened.
    pub fn replays<'s, S>(
        &self,
        source: S,
    ) -> Result<Replays<'_, 's, DbError<S>>, ReplayError<DbError<S>>>
    where
        S: StateSource + 's,
        DbError<S>: core::error::Error + Send + Sync + 'static,
    {
        let replay = self.replay.as_ref().ok_or(ReplayError::NotKept)?;
        Replays::new(replay, &AnySource::new(source))
    }
}

/// Statistics of a block's execution. No result depends on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Maximum number of workers that ran transactions at the same time, including the calling
    /// thread.
    pub workers: u64,
    /// Whether all transactions ran sequentially on the calling thread, without speculation.
    pub sequential: bool,
    /// Transactions that were committed or skipped.
    pub transactions: u64,
    /// Executions of transactions, counting every incarnation.
    pub incarnations: u64,
    /// Executions that were aborted: their result was thrown away.
    pub aborts: u64,
    /// Aborted executions of private batches: another batch had written a value that they read, or
    /// the block had no room for their group.
    pub batch_aborts: u64,
    /// Aborted executions that already had results when the block was cancelled or fell back to
    /// sequential execution.
    pub fallback_aborts: u64,
    /// Aborted executions that had to wait: they read an estimate of a lower transaction, or needed
    /// a value that is final only at the frontier. All other aborted executions failed, or had read
    /// a value that changed later.
    pub estimate_reads: u64,
    /// Transactions whose committed result was computed speculatively, by a job started above the
    /// frontier.
    pub speculative_commits: u64,
    /// Jobs the coordinator took back from the channel because the frontier had reached them.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    pub claims: u64,
    /// Speculative segments that ended early: speculation was wasted or did not pay.
    pub fallback_segments: u64,
    /// Segments that ran sequentially without trying speculation, because speculation on the same
    /// calls failed in earlier blocks: see [`Config::learn`](crate::Config::learn).
    pub learned_conflict_segments: u64,
    /// Transactions scheduled before their turn because they are predicted to run much longer than
    /// others: see [`Config::learn`](crate::Config::learn). A transaction counts once per segment
    /// that workers share.
    pub scheduled_early: u64,
    /// Transactions that the calling thread ran in place of a worker that seemed to be preempted.
    pub helped_transactions: u64,
    /// Private batches that the calling thread ran at the same time as such a worker, and finished
    /// first.
    pub helped_batches: u64,
    /// Committed private batches of contiguous transactions: no earlier batch had changed a value
    /// that they read.
    pub contiguous_batches: u64,
    /// Jobs that workers reported; a job is a few transactions, or a batch.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    pub reports: u64,
    /// Sum, over the reported jobs, of the number of uncommitted transactions below each. Divided
    /// by `reports`, it is the mean distance of workers from the frontier.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    pub ahead: u64,
}

/// Counters of a block so far, from which its [`Stats`] are computed.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::evm) struct BlockCounters {
    pub(in crate::evm) protocol: Counters,
    /// Segments that ran sequentially because the same calls conflicted in earlier blocks.
    pub(in crate::evm) learned_conflict_segments: u64,
    /// Transactions scheduled before their turn.
    pub(in crate::evm) scheduled_early: u64,
    /// Committed contiguous batches.
    pub(in crate::evm) batches: u64,
}

impl BlockCounters {
    /// Counts a segment that committed `batches` private batches.
    pub(in crate::evm) fn count(&mut self, strategy: Strategy, reason: Reason, batches: u64) {
        self.learned_conflict_segments += u64::from(reason == Reason::LearnedConflicts);
        if matches!(strategy, Strategy::ContiguousBatches | Strategy::AccessList) {
            self.batches += batches;
        }
    }
}

impl Stats {
    pub(in crate::evm) fn new(
        workers: usize,
        is_sequential: bool,
        done: u32,
        counted: BlockCounters,
    ) -> Self {
        let BlockCounters {
            protocol: counters, learned_conflict_segments, scheduled_early, ..
        } = counted;
        let is_sequential = is_sequential && counted.batches == 0;
        Self {
            workers: if is_sequential { 1 } else { workers as u64 },
            sequential: is_sequential,
            transactions: u64::from(done),
            incarnations: counters.runs,
            aborts: counters.aborts,
            batch_aborts: counters.batch_aborts,
            fallback_aborts: counters.fallback_aborts,
            estimate_reads: counters.blocked,
            speculative_commits: counters.speculative_commits,
            claims: counters.claims,
            fallback_segments: counters.fallback_segments,
            learned_conflict_segments,
            scheduled_early,
            helped_transactions: counters.helped_transactions,
            helped_batches: counters.helped_batches,
            contiguous_batches: counted.batches,
            reports: counters.reports,
            ahead: counters.ahead,
        }
    }

    /// Share of transactions whose committed result was computed speculatively, from 0 to 1.
    #[must_use]
    pub fn speculative_share(&self) -> f64 {
        if self.transactions == 0 {
            return 0.0;
        }
        self.speculative_commits as f64 / self.transactions as f64
    }
}
