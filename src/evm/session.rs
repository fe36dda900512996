//! State of a block between two segments, and how the next transactions run.

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
use super::plan::chooser::Totals;
use super::plan::known::KnownDependencies;
use super::plan::longest::Seen;
use super::plan::progress::is_mostly_access;
use super::segment::{How, RunTask};
use super::worker_pool::{BLOCKING, Scoped, WorkerPool};
use crate::config::{Config, Forced, Policy};
use crate::ids::{TxIndex, WorkerId};
use crate::mv::Store;
use crate::panics::caught;
use crate::protocol::Waste;
use crate::runtime::{Caller, Seat, Task};
use crate::sync::bounded;
use crate::worker::{Shared, work};
use core::num::NonZeroU16;
use core::ops::ControlFlow;
use std::sync::Arc;

/// Capacity of the caller's stream in a sequential segment, in outcomes.
const IN_ORDER_AHEAD: usize = 16;

/// A partly executed block. A block built from a pool receives its transactions in rounds, any
/// other block all at once.
pub(super) struct Session<S: StateSource> {
    pub(super) workload: Arc<EvmWorkload<S>>,
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
pub(super) struct Ended<S: StateSource> {
    pub(super) failure: Option<Failure<S>>,
    /// Whether speculation fell back to sequential because most of it was aborted.
    pub(super) was_given_up: bool,
    /// Private batches that committed.
    pub(super) batches: u64,
    pub(super) seen: Seen,
}

impl<S: StateSource> Default for Ended<S> {
    fn default() -> Self {
        let (failure, seen) = (None, Seen::default());
        Self { failure, was_given_up: false, batches: 0, seen }
    }
}

impl<S: StateSource> Session<S> {
    /// Creates a session of a block that has not started, with an empty store.
    pub(super) fn new(workload: EvmWorkload<S>, store: Store<EvmLocation>) -> Self {
        Self {
            carry: None,
            longest: Vec::new(),
            known: None,
            ledger: EvmLedger::new(&workload.block_context),
            store: Arc::new(store),
            workload: Arc::new(workload),
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

    /// Runs the uncommitted transactions below `end` sequentially, on the calling thread.
    pub(super) fn run_in_order(
        &mut self,
        end: usize,
        config: &Config,
        on_commit: Option<OnCommit<'_>>,
    ) -> Ended<S> {
        if on_commit.is_none() {
            let failure = self.run_straight(end, config);
            if failure.is_some() || self.left(end) == 0 {
                let long = core::mem::take(&mut self.ledger.long);
                let seen = Seen { long, ..Seen::default() };
                return Ended { failure, seen, ..Ended::default() };
            }
        }
        let no_others = &mut Scoped(NonZeroU16::MIN);
        self.run_shared(end, no_others, config, on_commit, How::Sequential)
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
    ) -> Ended<S>
    where
        S: 'env,
    {
        let left = self.left(end);
        let alone = worker_pool.workers() == 1 || left < 2;
        // Sending never blocks: each outcome is sent once, and in a sequential segment the caller
        // takes one before the next exists.
        let most = if matches!(how, How::Sequential) { IN_ORDER_AHEAD } else { left.max(1) };
        let (sender, stream) = bounded(if on_commit.is_some() { most } else { 1 });
        Arc::make_mut(&mut self.workload).streams = on_commit.is_some();
        self.ledger.stream_to(on_commit.is_some().then_some(sender));
        let task = Arc::new(self.task(end, worker_pool, config, how));
        let (mut panicked, mut ended) = (None, false);
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
        if alone {
            own(BLOCKING);
        } else {
            let others: Arc<dyn Task + 'env> = task.clone();
            worker_pool.run(&others, own);
        }
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
    fn after_task(&mut self, task: &RunTask<S>, ended: bool) -> Ended<S> {
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
