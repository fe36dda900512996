//! The result of a block.

use super::replay::{Replay, ReplayError, Replayed};
use super::replay_evm::ReplayContext;
use super::replays::Replays;
use crate::evm::bal::declaration::Undeclared;
use crate::evm::exec::any::AnySource;
use crate::evm::exec::base::{DbError, StateSource};
use crate::evm::exec::rejection::Rejection;
use crate::evm::plan::{Reason, Strategy, Stretch};
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

/// How an executed transaction ended. Its logs are in its receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecutedStatus {
    /// It succeeded.
    Success {
        /// The opcode that ended it.
        reason: SuccessReason,
        /// Returned data, or the address of the created contract with its code.
        output: Output,
    },
    /// It reverted; the gas that was left went back.
    Revert {
        /// Returned data.
        output: Bytes,
    },
    /// It failed and used up its gas.
    Halt {
        /// Why.
        reason: HaltReason,
    },
}

/// What an executed transaction left beside its receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Executed {
    /// How it ended.
    pub status: ExecutedStatus,
    /// Its gas, before and after refunds.
    pub gas: ResultGas,
}

impl Executed {
    /// The same in revm's type. Nothing is copied. `logs` are those of the transaction's receipt.
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

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the block.
    Executed(Executed),
    /// It is left out (build mode only).
    Skipped(Rejection),
}

/// The result of a block, or of its committed prefix.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct BlockOutput {
    /// One for each transaction, in order.
    pub outcomes: Vec<Outcome>,
    /// Receipts of the executed transactions, in order. Each converts into alloy's
    /// `ReceiptEnvelope`, which has the bloom, with [`From`]; its logs are moved.
    pub receipts: Vec<EthereumReceipt>,
    /// Requests to the consensus layer (EIP-7685), from Prague.
    pub requests: Requests,
    /// Gas used by the block as its header counts it: after refunds; from Amsterdam the larger of
    /// regular and state gas.
    pub gas_used: u64,
    /// Blob gas of the executed transactions (EIP-4844).
    pub blob_gas_used: u64,
    /// All state changes with their reverts, system calls and rewards included.
    pub bundle: BundleState,
    /// What the block accesses and changes (EIP-7928), in canonical order, if
    /// [`Config::access_list`](crate::Config::access_list) asks for it; `compute_hash` gives the
    /// hash for the header. Index 0 are the calls before the transactions, 1 to n the executed
    /// transactions - skipped ones have no index -, and n + 1 withdrawals, rewards of the block and
    /// the calls after the transactions. Of a block that ends with an error it has the committed
    /// prefix, and `None` if that is nothing.
    pub access_list: Option<Bal>,
    /// Transactions that have left what they declare, in order, if the chain's rules say that they
    /// declare it ([`ChainRules::declared_accesses`](crate::ChainRules::declared_accesses)). They
    /// halted.
    pub undeclared: Vec<(TxIndex, Undeclared)>,
    /// What [`replay`](Self::replay) needs, if
    /// [`Config::keeps_changes`](crate::Config::keeps_changes) asks for it.
    pub(in crate::evm) replay: Option<Replay>,
    /// How its transactions ran, stretch by stretch, and why; a trial that committed nothing is not
    /// there. This and `stats` are the only parts that may differ from run to run.
    pub path: Vec<Stretch>,
    /// How it was executed, in numbers.
    pub stats: Stats,
}

impl BlockOutput {
    /// Moves the outcomes out, in revm's type: one for each transaction, in order. Nothing is
    /// copied: the logs are moved out of the receipts, which keep everything else. Take blooms and
    /// the receipts root before.
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

    /// Runs `tx` again, alone, on the state that it saw, with `inspector`. `source` is the state
    /// before the block, as the block was given it; a parent's bundle is kept.
    ///
    /// It takes [`Config::keeps_changes`](crate::Config::keeps_changes), and keeps nothing where an
    /// EVM of the caller's runs the transactions. The state is put together
    /// from what the transactions below `tx` have changed: nothing else runs again. Of a block that
    /// ends with an error the committed output also runs the transaction that is to blame.
    ///
    /// # Errors
    /// [`ReplayError`].
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

    /// Runs all committed transactions again, one after the other, each with an inspector of its
    /// own. [`replay`](Self::replay) puts together the state before its transaction anew; here each
    /// one goes on from the state before the last one, so a whole block takes time in proportion to
    /// its length.
    ///
    /// ```
    /// # use braid_evm::{Block, ChainRules, Cloned, Config, Executor};
    /// # use revm::database::{CacheDB, EmptyDB};
    /// # use revm::inspector::NoOpInspector;
    /// # let rules = ChainRules { system_calls: false, ..ChainRules::default() };
    /// # let block = Block { rules, ..Block::default() };
    /// # let config = Config::builder().keeps_changes(true).build()?;
    /// # let (mut executor, database) = (Executor::new(config)?, CacheDB::new(EmptyDB::new()));
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

/// How a block was executed. No result depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Workers that ran transactions together, at most, the calling thread included.
    pub workers: u64,
    /// Whether the transactions ran one after the other on the calling thread, without speculation.
    pub alone: bool,
    /// Transactions that are committed or skipped.
    pub transactions: u64,
    /// Runs of transactions, all incarnations.
    pub incarnations: u64,
    /// Runs whose result was thrown away.
    pub discarded: u64,
    /// Discarded runs of private batches: another batch had written what they read.
    pub discarded_in_batches: u64,
    /// Discarded runs that had results when speculation was given up or the block was cancelled.
    pub discarded_given_up: u64,
    /// Discarded runs that met an estimate of a lower transaction. What is left of `discarded` had
    /// read a value that changed.
    pub blocked: u64,
    /// Transactions whose committed result comes from a speculative job: one that was begun above
    /// the frontier, on a guess.
    pub speculative: u64,
    /// Jobs taken back from the channel because the frontier had reached them.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    pub claims: u64,
    /// Stretches that ran in order because speculation was mostly wasted.
    pub in_order_stretches: u64,
    /// Stretches that ran in order without a trial, because speculation on such calls was given up
    /// before: see [`Config::learn`](crate::Config::learn).
    pub predicted_stretches: u64,
    /// Transactions that were to begin before their turn, because they probably take much longer
    /// than others: see [`Config::learn`](crate::Config::learn). Once for each stretch that is
    /// shared out.
    pub begun_first: u64,
    /// Transactions that the calling thread took over from a worker which the system seemed to have
    /// suspended.
    pub taken_over: u64,
    /// Private batches that the calling thread ran beside such a worker, and ended first.
    pub helped_batches: u64,
    /// Parts of the block that workers ran by themselves, each on the state before all of them, and
    /// that were committed: nothing that they had read was changed by those before them.
    pub parts: u64,
    /// Rounds of transactions that ran in lanes: each worker ran transactions that have something
    /// to do with each other one after the other, on the state before the round.
    pub lane_rounds: u64,
    /// Private batches that committed at least one transaction, in parts and lanes.
    pub batches: u64,
    /// Jobs - a few transactions, or a batch - that workers reported.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    pub reports: u64,
    /// Sum over those jobs of the transactions that were not committed below them at that time. By
    /// job it is how far workers are ahead of the frontier.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    pub ahead: u64,
}

/// What was counted so far, for the block's statistics.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::evm) struct BlockCounters {
    pub(in crate::evm) protocol: Counters,
    /// Stretches that ran in order because of what earlier blocks have shown.
    pub(in crate::evm) predicted_stretches: u64,
    /// Transactions that were to begin before their turn.
    pub(in crate::evm) begun_first: u64,
    /// Parts of the block that were committed.
    pub(in crate::evm) parts: u64,
    /// Rounds of transactions that ran in lanes.
    pub(in crate::evm) rounds: u64,
    /// Private batches that have committed, but for stretches in order.
    pub(in crate::evm) batches: u64,
}

impl BlockCounters {
    /// A stretch has committed this number of private batches.
    pub(in crate::evm) fn count(&mut self, (strategy, reason): (Strategy, Reason), batches: u64) {
        self.predicted_stretches += u64::from(reason == Reason::KnownChain);
        if !matches!(strategy, Strategy::InOrder) {
            self.batches += batches;
        }
        // Rounds are counted, not their batches.
        if matches!(strategy, Strategy::Neighbours | Strategy::AccessList) {
            self.parts += batches;
        }
    }
}

impl Stats {
    pub(in crate::evm) fn new(
        workers: usize,
        alone: bool,
        done: u32,
        counted: BlockCounters,
    ) -> Self {
        let BlockCounters { protocol: counters, predicted_stretches, begun_first, .. } = counted;
        let BlockCounters { parts, rounds, batches, .. } = counted;
        let alone = alone && parts == 0 && rounds == 0;
        Self {
            workers: if alone { 1 } else { workers as u64 },
            alone,
            transactions: u64::from(done),
            incarnations: counters.runs,
            discarded: counters.discarded,
            discarded_in_batches: counters.discarded_in_batches,
            discarded_given_up: counters.discarded_given_up,
            blocked: counters.blocked,
            speculative: counters.speculative_commits,
            claims: counters.claims,
            in_order_stretches: counters.in_order_stretches,
            predicted_stretches,
            begun_first,
            taken_over: counters.taken_over,
            helped_batches: counters.helped_batches,
            parts,
            lane_rounds: rounds,
            batches,
            reports: counters.reports,
            ahead: counters.ahead,
        }
    }

    /// Share of the transactions whose result was computed speculatively, from 0 to 1.
    #[must_use]
    pub fn speculative_share(&self) -> f64 {
        if self.transactions == 0 {
            return 0.0;
        }
        self.speculative as f64 / self.transactions as f64
    }
}
