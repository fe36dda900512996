//! State of a block between two segments, and how the next transactions run.

use super::bal::ahead::Ahead;
use super::block::committed::OnCommit;
use super::block::error::Failure;
use super::block::output::BlockCounters;
use super::bundle::block_effects::BlockEffects;
use super::engine::carry::Carry;
use super::engine::ledger::EvmLedger;
use super::engine::workload::EvmWorkload;
use super::exec::base::StateSource;
use super::exec::location::{Account, EvmLocation, EvmValue};
use super::exec::trial::Trial;
use super::plan::choice::Choice;
use super::plan::chooser::{StrategyChooser, Totals};
use super::plan::known::KnownDependencies;
use super::plan::longest::Seen;
use super::plan::progress::is_mostly_access;
use super::plan::{Reason, Strategy};
use super::segment::{How, RunTask};
use super::worker_pool::{Scoped, WorkerPool, empty_store};
use crate::config::{Config, Forced, Policy};
use crate::ids::{Chunk, TxIndex, WorkerId};
use crate::mv::Store;
use crate::panics::caught;
use crate::protocol::Waste;
use crate::runtime::{Caller, Seat, Task};
use crate::schedule::cut;
use crate::sync::bounded;
use crate::worker::{Shared, work};
use core::num::NonZeroU16;
use core::ops::{ControlFlow, Range};
use std::sync::Arc;

/// Number of transactions pulled from a pool per round. The round size influences the block, so it
/// does not depend on the number of workers.
pub(super) const ROUND: usize = 256;
/// Capacity of the caller's stream in a sequential segment, in outcomes.
const IN_ORDER_AHEAD: usize = 16;

/// A partly executed block. A block built from a pool receives its transactions in rounds, any
/// other block all at once.
pub(super) struct BlockExecution<S: StateSource> {
    pub(super) workload: EvmWorkload<S>,
    pub(super) ledger: EvmLedger,
    pub(super) store: Arc<Store<EvmLocation>>,
    pub(super) counters: BlockCounters,
    /// Everything below is committed.
    pub(super) frontier: TxIndex,
    /// Writes of the last transactions that are not in the store yet.
    pub(super) carry: Option<Carry>,
    /// Transactions of the next segment that start before their turn.
    pub(super) longest: Vec<TxIndex>,
    /// Dependencies known before execution; read once transactions run speculatively.
    pub(super) known: Option<Box<KnownDependencies>>,
}

/// How a segment ended.
pub(super) struct SegmentEnd<S: StateSource> {
    pub(super) failure: Option<Failure<S>>,
    /// Whether the segment ended early: because most speculation was aborted, or because the rest of
    /// a private batch must not commit.
    pub(super) was_given_up: bool,
    /// Private batches that committed.
    pub(super) batches: u64,
    pub(super) seen: Seen,
}

impl<S: StateSource> Default for SegmentEnd<S> {
    fn default() -> Self {
        Self { failure: None, was_given_up: false, batches: 0, seen: Seen::default() }
    }
}

impl<S: StateSource> BlockExecution<S> {
    /// Creates the execution of a block that has not started, with an empty store.
    pub(super) fn new(workload: EvmWorkload<S>, store: Store<EvmLocation>) -> Self {
        Self {
            carry: None,
            longest: Vec::new(),
            known: None,
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
            let mut known = effects.paid.iter().chain([&effects.beneficiary, &effects.surcharged]);
            if let Some((_, info)) = known.find(|(address, _)| *address == receiver) {
                // The pre-block calls may have changed the account.
                let over = self.workload.overlay.account(&receiver);
                let info = over.map_or(info, |account| &account.info);
                let value = EvmValue::Account(info.as_ref().map(Account::of));
                self.store.seed(&EvmLocation::Account(receiver), value);
            }
        }
    }

    /// Prepares a segment: the bundle built meanwhile, the store, and the transactions to start
    /// first.
    pub(super) fn begin_segment<'env>(
        &mut self,
        worker_pool: &mut impl WorkerPool<'env>,
        chooser: &mut StrategyChooser,
        choice: &Choice,
        config: &Config,
        effects: &BlockEffects,
    ) {
        let features = &chooser.features;
        let all = self.workload.block_context.block.transactions.len();
        let first = self.frontier.position();
        let is_most_left = first == 0 || self.left(all) > all / 2;
        match features.makes_bundle(choice) {
            Some(true)
                if is_most_left
                    && self.workload.block_context.extensions.returns_changes()
                    && self.ledger.output_builder.may_begin(first) =>
            {
                self.make_bundle_meanwhile(effects, config);
            }
            // All workers build the bundle at the end.
            Some(false) => self.ledger.output_builder.give_up_bundle(),
            _ => {}
        }
        if features.needs_store(choice) && !core::mem::replace(&mut chooser.has_store, true) {
            let room = if features.setting.is_pool { ROUND } else { all };
            // A sequential segment up to the end of the block can use the empty store.
            if !choice.is_rest {
                self.store = Arc::new(empty_store(worker_pool, config, room));
            }
            if !mutant!(NewStoreUntold) {
                // Contiguous batches may have committed before there was a store.
                self.store.set_frontier(self.frontier);
            }
            self.seed(effects);
        }
        if choice.strategy == Strategy::Speculative {
            self.longest = chooser.longest(
                worker_pool.feedback(),
                &self.workload.block_context.block,
                first,
                choice,
            );
            self.counters.scheduled_early += self.longest.len() as u64;
        }
    }

    /// Runs a segment.
    pub(super) fn run<'env, C: WorkerPool<'env>>(
        &mut self,
        worker_pool: &mut C,
        choice: &Choice,
        config: &Config,
        on_commit: Option<OnCommit<'_>>,
    ) -> SegmentEnd<S>
    where
        S: 'env,
    {
        let Choice { end, shortest, .. } = *choice;
        match choice.strategy {
            // A policy that alternates uses the bundle thread for the shortest segments, too.
            Strategy::Sequential if choice.is_rest || choice.reason == Reason::Policy => {
                self.run_with_bundle_thread(end, worker_pool, config, on_commit)
            }
            Strategy::Sequential => self.run_in_order(end, config, on_commit),
            Strategy::Speculative => {
                // A policy that alternates has every kind of speculation.
                let alternates = config.policy == Policy::Forced(Forced::Alternate);
                let predicts = choice.reason == Reason::Contended || alternates;
                let how = How::Published { predicts };
                self.run_shared(end, worker_pool, config, on_commit, how)
            }
            Strategy::ContiguousBatches | Strategy::AccessList => {
                self.run_neighbours(end, worker_pool, config, on_commit, shortest)
            }
        }
    }

    /// Runs the uncommitted transactions below `end` sequentially, on the calling thread.
    pub(super) fn run_in_order(
        &mut self,
        end: usize,
        config: &Config,
        on_commit: Option<OnCommit<'_>>,
    ) -> SegmentEnd<S> {
        if on_commit.is_none() {
            let failure = self.run_straight(end, config);
            if failure.is_some() || self.left(end) == 0 {
                let long = core::mem::take(&mut self.ledger.long);
                let seen = Seen { long, ..Seen::default() };
                return SegmentEnd { failure, seen, ..SegmentEnd::default() };
            }
        }
        let no_others = &mut Scoped(NonZeroU16::MIN);
        self.run_shared(end, no_others, config, on_commit, How::Sequential)
    }

    /// Runs the uncommitted transactions below `end` in contiguous batches of at least `shortest`
    /// transactions, up to the first batch that must not commit as a whole.
    pub(super) fn run_neighbours<'env, C: WorkerPool<'env>>(
        &mut self,
        end: usize,
        worker_pool: &mut C,
        config: &Config,
        on_commit: Option<OnCommit<'_>>,
        shortest: usize,
    ) -> SegmentEnd<S>
    where
        S: 'env,
    {
        self.ledger.catch_up();
        self.share_reads(worker_pool, config);
        let at = |place: usize| TxIndex(u32::try_from(place).unwrap_or(u32::MAX));
        let batch = |range: Range<usize>| Chunk { first: at(range.start), end: at(range.end) };
        let ranges = cut(self.frontier.position()..end, worker_pool.workers(), shortest);
        let batches = ranges.into_iter().map(batch).collect();
        self.run_shared(end, worker_pool, config, on_commit, How::Private(batches))
    }

    /// With slow storage, lets the extra workers prefetch the state that the block's access list
    /// names, and shares it among all workers.
    fn share_reads<'env>(&mut self, worker_pool: &impl WorkerPool<'env>, config: &Config) {
        let usual = usize::from(config.workers.get());
        let is_of_use =
            worker_pool.is_wide() && worker_pool.workers() > usual && self.workload.ahead.is_none();
        let block_context = &self.workload.block_context;
        let is_seeded = mutant!(NothingReadAhead);
        if let Some(claims) = block_context.told_claims().filter(|_| is_of_use && !is_seeded) {
            let ahead = Ahead::new(claims.list(), WorkerId(config.workers.get()));
            self.workload.ahead = Some(Arc::new(ahead));
        }
    }

    /// Runs the transactions below `end` on all workers, including the caller, until all have run
    /// or speculation proves wasteful.
    pub(super) fn run_shared<'env, C: WorkerPool<'env>>(
        &mut self,
        end: usize,
        worker_pool: &mut C,
        config: &Config,
        on_commit: Option<OnCommit<'_>>,
        how: How,
    ) -> SegmentEnd<S>
    where
        S: 'env,
    {
        let left = self.left(end);
        let workers = if left < 2 { 1 } else { worker_pool.workers() };
        // Sending never blocks: each outcome is sent once, and in a sequential segment the caller
        // takes one before the next exists.
        let most = if matches!(how, How::Sequential) { IN_ORDER_AHEAD } else { left.max(1) };
        let (sender, stream) = bounded(if on_commit.is_some() { most } else { 1 });
        self.workload.streams = on_commit.is_some();
        self.ledger.stream_to(on_commit.is_some().then_some(sender));
        let task = Arc::new(self.task(end, worker_pool, config, how));
        let mut panicked = None;
        let mut ended = false;
        let own = |seat: Seat<'_>| match on_commit {
            Some(on_commit) => {
                let deliver = |committed| {
                    if panicked.is_some() {
                        return;
                    }
                    match caught(|| on_commit(committed)) {
                        Ok(ControlFlow::Continue(())) => return,
                        Ok(ControlFlow::Break(())) => {}
                        Err(payload) => panicked = Some(payload),
                    }
                    ended = true;
                    task.shared.cancel();
                };
                let caller = Caller::new(seat, stream, deliver);
                work(&task.shared, WorkerId(0), &caller);
                caller.drain();
            }
            None => task.run(WorkerId(0), seat),
        };
        let others: Arc<dyn Task + 'env> = task.clone();
        worker_pool.run_on(workers, &others, own);
        if let Some(payload) = panicked {
            payload.resume();
        }
        self.after_task(&task, ended)
    }

    /// Creates the task that all workers run.
    fn task<'env>(
        &mut self,
        end: usize,
        worker_pool: &impl WorkerPool<'env>,
        config: &Config,
        how: How,
    ) -> RunTask<S> {
        let setup = match how {
            How::Published { predicts } => {
                let waste = match config.policy {
                    Policy::Forced(Forced::Alternate) => Some(Waste::AFTER_TWO),
                    _ => (!worker_pool.is_wide()).then(|| Waste::on(worker_pool.workers())),
                };
                let watches = waste.is_some() && config.policy == Policy::Auto;
                let activity = &self.workload.activity;
                let trial =
                    watches.then(|| Trial::new(is_mostly_access, worker_pool.workers(), activity));
                self.ledger.trial = trial;
                self.set_up(end, config, worker_pool.workers(), waste, predicts)
            }
            How::Sequential => self.set_up_in_order(end, config),
            How::Private(batches) => self.set_up_private(config, worker_pool.workers(), batches),
        };
        let is_unheard = mutant!(TokenUnheard);
        let token = self.workload.cancel.clone().filter(|_| !is_unheard);
        RunTask { shared: Shared::new(setup).with_token(token) }
    }

    /// Collects the results of the caller's part of `task`. Other workers may still hold the task,
    /// but nothing in it is needed.
    fn after_task(&mut self, task: &RunTask<S>, ended: bool) -> SegmentEnd<S> {
        let Some(end) = task.shared.end() else {
            unreachable!("only the caller takes the end of the block")
        };
        self.after(end, ended)
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
    pub(super) const fn left(&self, end: usize) -> usize {
        end.saturating_sub(self.frontier.position())
    }
}
