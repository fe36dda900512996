//! State of a block between two segments: sets up the engine for the next segment and collects its
//! results.

use super::bal::prepared_list::index_of;
use super::block::error::{Cause, cancelled, cause};
use super::block::output::BlockCounters;
use super::bundle::block_effects::BlockEffects;
use super::engine::batches::{SegmentSetting, UsedGas};
use super::engine::ledger::EvmLedger;
use super::engine::pending_writes::{PendingWrites, Unmerged};
use super::engine::workload::EvmWorkload;
use super::exec::base::StateSource;
use super::exec::location::{Account, EvmLocation, EvmValue};
use super::exec::rejection::Rejection;
use super::plan::chooser::Totals;
use super::plan::edges::Prediction;
use super::plan::known::KnownDependencies;
use super::plan::longest::LongRuns;
use super::plan::partition::plan_block;
use crate::config::Config;
use crate::ids::{Chunk, TxIndex};
use crate::mv::Store;
use crate::protocol::{self, Chunks, Halt, Jobs, Limits, Plan, Waste};
use crate::thresholds::PREDICTED_WINDOW;
use crate::worker::{BlockEnd, Ledger, NoResult, Setup};
use std::sync::Arc;

/// A partly executed block. A block built from a pool receives its transactions in rounds, any
/// other block all at once.
pub(super) struct BlockExecution<S: StateSource> {
    pub(super) workload: EvmWorkload<S>,
    pub(super) ledger: EvmLedger,
    pub(super) store: Arc<Store<EvmLocation>>,
    pub(super) counters: BlockCounters,
    /// Everything below is committed.
    pub(super) frontier: TxIndex,
    /// Writes of committed transactions that are not in the store yet.
    pub(super) pending: Option<PendingWrites>,
    /// Transactions of the next segment that start before their turn: see `longest`.
    pub(super) longest: Vec<TxIndex>,
    /// Dependencies that are known before execution; read before the first speculative segment.
    pub(super) known_dependencies: Option<Box<KnownDependencies>>,
}

/// How a segment ended.
pub(super) struct SegmentEnd<S: StateSource> {
    pub(super) failure: Option<Cause<S>>,
    /// Whether the segment ended early: speculation was wasted or did not pay, or the next part of
    /// a private batch conflicts, does not fit into the block, or has no result.
    pub(super) fell_back: bool,
    /// Number of private batches that committed.
    pub(super) batches: u64,
    pub(super) long_runs: LongRuns,
}

impl<S: StateSource> Default for SegmentEnd<S> {
    fn default() -> Self {
        Self { failure: None, fell_back: false, batches: 0, long_runs: LongRuns::default() }
    }
}

impl<S: StateSource> BlockExecution<S> {
    /// Creates the execution of a block that has not started, with an empty store.
    pub(super) fn new(workload: EvmWorkload<S>, store: Store<EvmLocation>) -> Self {
        Self {
            pending: None,
            longest: Vec::new(),
            known_dependencies: None,
            ledger: EvmLedger::new(&workload.block_context),
            store: Arc::new(store),
            workload,
            counters: BlockCounters::default(),
            frontier: TxIndex(0),
        }
    }

    /// Seeds the store with the accounts that may receive blind credits.
    pub(super) fn seed(&self, effects: &BlockEffects) {
        for receiver in self.workload.block_context.receivers() {
            let mut receivers = effects.receivers.iter();
            if let Some((_, info)) = receivers.find(|(address, _)| *address == receiver) {
                // The pre-block calls may have changed the account.
                let overlaid = self.workload.overlay.account(&receiver);
                let info = overlaid.map_or(info, |account| &account.info);
                let value = EvmValue::Account(info.as_ref().map(Account::of));
                self.store.seed(&EvmLocation::Account(receiver), value);
            }
        }
    }

    /// Reads the dependencies that are known before execution, if any, and extends them to
    /// transactions that were pulled since.
    fn read_dependencies(&mut self) {
        let block_context = &self.workload.block_context;
        let is_unread = mutant!(HintUnread);
        if self.known_dependencies.is_none() && block_context.access_list.is_none() && !is_unread {
            let first = u64::from(!mutant!(HintShifted));
            let receivers = block_context.receivers();
            let known = KnownDependencies::of(&block_context.block, receivers, first);
            self.known_dependencies = known.map(Box::new);
        }
        if let Some(known) = &mut self.known_dependencies {
            known.extend(&block_context.block);
        }
    }

    /// Sets up a segment that runs the uncommitted transactions below `end` in chunks. `fallback`:
    /// the waste that ends the segment, if any. `predicts`: whether dependencies are predicted from
    /// calls.
    pub(super) fn set_up(
        &mut self,
        end: usize,
        config: &Config,
        workers: usize,
        fallback: Option<Waste>,
        predicts: bool,
    ) -> Setup<EvmWorkload<S>, EvmLedger> {
        self.read_dependencies();
        let longest = core::mem::take(&mut self.longest);
        let block_context = &self.workload.block_context;
        let prediction = match self.known_dependencies.as_deref() {
            Some(known) => Prediction::Known(known),
            None if predicts => Prediction::Calls(block_context.batch_payees()),
            None => Prediction::Senders,
        };
        let (block, chunk) = (&block_context.block, config.engine.chunk);
        let chunks = plan_block(block, prediction, self.frontier, end, workers, chunk);
        let mut limits = config.limits(workers, fallback);
        if predicts {
            // While a long chain runs, other workers run transactions that do not depend on it.
            limits.window = limits.window.max(PREDICTED_WINDOW);
        }
        self.set_up_jobs(config, limits, Jobs::Chunks(Chunks { longest, ..chunks }))
    }

    /// Sets up a segment of private batches.
    pub(super) fn set_up_private(
        &mut self,
        config: &Config,
        workers: usize,
        batches: Vec<Chunk>,
    ) -> Setup<EvmWorkload<S>, EvmLedger> {
        let limits = Limits {
            // The batches bound how far workers run ahead.
            window: u32::MAX,
            ..config.limits(workers, None)
        };
        self.set_up_jobs(config, limits, Jobs::Batches(batches))
    }

    /// Number of transactions per sequential run, which commit together. A worker that builds the
    /// bundle receives them in batches of this size.
    pub(super) fn stride(&self) -> u32 {
        let feed = self.ledger.feed.as_ref();
        feed.map_or(u32::MAX, |feed| u32::try_from(feed.batch).unwrap_or(u32::MAX))
    }

    /// Merges the pending writes of private batches, which are in the ledger.
    pub(super) fn merge_batches(&mut self) {
        if let Some(pending) = &mut self.pending
            && matches!(pending.unmerged, Unmerged::Batches { .. })
        {
            pending.complete(&self.ledger, &self.workload.block_context);
        }
    }

    /// Moves the frontier to `frontier`: everything below it is committed.
    pub(super) fn advance(&mut self, frontier: TxIndex) {
        self.frontier = frontier;
        self.store.set_frontier(frontier);
    }

    /// Sets up the engine with `jobs`. Moves the ledger into the setup, and the pending writes into
    /// the store, which the workers read.
    fn set_up_jobs(
        &mut self,
        config: &Config,
        limits: Limits,
        jobs: Jobs,
    ) -> Setup<EvmWorkload<S>, EvmLedger> {
        self.merge_batches();
        let empty = EvmLedger::new(&self.workload.block_context);
        let ledger = core::mem::replace(&mut self.ledger, empty);
        if let Some(pending) = self.pending.take() {
            // No run has begun, so no reader has to be named.
            let store = &self.store;
            pending.into_entries(
                &self.workload.block_context,
                store,
                |version, location, entry| {
                    store.publish(version, &location, entry, &mut Vec::new());
                },
            );
        }
        let segment = SegmentSetting {
            used: UsedGas::new(ledger.gas().admitted(&self.workload.block_context.block)),
            streams: ledger.is_streamed(),
        };
        Setup {
            workload: Arc::new(self.workload.for_segment(segment)),
            ledger,
            store: Arc::clone(&self.store),
            limits,
            plan: Plan { first: self.frontier, jobs },
            patience: config.engine.patience,
        }
    }

    /// Returns the mismatch that the transaction at the frontier found in the block's access list,
    /// if any, as a failure. Everything below matches the list, so the transaction has read the
    /// right values and need not run again. A transaction that does not fit into the block is left
    /// to a sequential segment, which reports that.
    fn list_mismatch(&self, frontier: TxIndex, ledger: &mut EvmLedger) -> Option<Cause<S>> {
        let block_context = &self.workload.block_context;
        let wrong = block_context.readable_list()?.mismatch_at(index_of(frontier))?;
        let is_found = !mutant!(WrongRunsAgain);
        let has_room = ledger.admit(frontier).is_ok();
        let error = NoResult::Rejected(Rejection::AccessList(Box::new(wrong)));
        let halt = Halt::Failed(frontier, protocol::Failure::Rejected);
        (has_room && is_found).then(|| cause(frontier, Some(halt), Some(error), None)).flatten()
    }

    /// Collects the results of a segment.
    pub(super) fn end_segment(
        &mut self,
        end: BlockEnd<EvmWorkload<S>, EvmLedger>,
        was_cancelled: bool,
    ) -> SegmentEnd<S> {
        let BlockEnd { mut ledger, frontier, published, .. } = end;
        let BlockEnd { conflicts, batches, halt, error, broken, counters, longest, .. } = end;
        ledger.stream_to(None);
        ledger.trial = None;
        self.counters.protocol = self.counters.protocol.plus(counters);
        // Report a cancellation by the caller even if everything had committed by then.
        let all = self.workload.block_context.block.transactions.len();
        let cancellation = was_cancelled.then(|| cancelled(frontier, all));
        let failure = match (halt, &broken) {
            (Some(Halt::Cancelled), None) => Some(cancelled(frontier, all)),
            (Some(Halt::Fallback), None) if !was_cancelled => {
                self.list_mismatch(frontier, &mut ledger)
            }
            _ => cause(frontier, halt, error, broken).or(cancellation),
        };
        let fell_back = halt == Some(Halt::Fallback);
        let pending =
            (published < frontier).then(|| PendingWrites::after_batches(conflicts, published));
        let long_runs =
            LongRuns { long: core::mem::take(&mut ledger.long), started_early: longest };
        (self.ledger, self.frontier, self.pending) = (ledger, frontier, pending);
        SegmentEnd { failure, fell_back, batches, long_runs }
    }

    /// Totals of the block so far.
    pub(super) fn totals(&self) -> Totals {
        Totals {
            work: self.ledger.work,
            aborts: self.counters.protocol.aborts,
            is_slow: self.workload.activity.seems_slow(),
        }
    }

    /// Number of uncommitted transactions below `end`.
    pub(super) const fn uncommitted(&self, end: usize) -> usize {
        end.saturating_sub(self.frontier.position())
    }
}
