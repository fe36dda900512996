//! A block in the middle: what its transactions have left so far, and how the next ones run.

use super::block::committed::Committed;
use super::block::error::Failure;
use super::block::output::Tally;
use super::bundle::block_effects::BlockEffects;
use super::crew::{Crew, SLEEPY, Scoped};
use super::engine::carry::Carry;
use super::engine::ledger::EvmLedger;
use super::engine::workload::EvmWorkload;
use super::exec::base::StateSource;
use super::exec::location::{Account, EvmLocation, EvmValue};
use super::experience::Experience;
use super::stretch::{Fold, RunTask, Stretch, Unpublished};
use super::trials::{Trials, waste};
use crate::config::Config;
use crate::ids::{TxIndex, WorkerId};
use crate::mv::Store;
use crate::protocol::{Policy, Waste};
use crate::runtime::{Caller, Seat, Task};
use crate::sync::{Mutex, bounded};
use crate::worker::{Shared, work};
use core::num::NonZeroU16;
use core::ops::{ControlFlow, Range};
use revm::context::TxEnv;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// Outcomes that a stretch in order may be ahead of the caller.
const IN_ORDER_AHEAD: usize = 16;

/// A block between two rounds of transactions. A block that is given whole has one round.
pub(super) struct Session<S: StateSource> {
    pub(super) workload: Arc<EvmWorkload<S>>,
    pub(super) ledger: EvmLedger,
    pub(super) store: Arc<Store<EvmLocation>>,
    pub(super) tally: Tally,
    /// Everything below is committed.
    pub(super) frontier: TxIndex,
    /// What the last transactions have left that is not in the store.
    pub(super) carry: Option<Carry>,
    /// Whether transactions are shared out at all.
    pub(super) speculates: bool,
    /// Speculation was mostly wasted.
    pub(super) handed_over: bool,
    /// Those of the next stretch, or the last, that begin before their turn, and their runs.
    pub(super) longest: Vec<(TxIndex, u32)>,
}

impl<S: StateSource> Session<S> {
    /// A block of which nothing has run, with an empty store. With `alone` the transactions run one
    /// after the other on the calling thread.
    pub(super) fn new(workload: EvmWorkload<S>, store: Store<EvmLocation>, alone: bool) -> Self {
        Self {
            carry: None,
            speculates: !alone,
            handed_over: false,
            longest: Vec::new(),
            ledger: EvmLedger::new(&workload.recipe),
            store: Arc::new(store),
            workload: Arc::new(workload),
            tally: Tally::default(),
            frontier: TxIndex(0),
        }
    }

    /// Gives the store what is known of those for whom something may be set aside.
    pub(super) fn seed(&self, effects: &BlockEffects) {
        for receiver in self.workload.recipe.receivers() {
            let known = [&effects.beneficiary, &effects.surcharged];
            if let Some((_, info)) = known.into_iter().find(|(address, _)| *address == receiver) {
                // The pre-block calls may have changed it.
                let over = self.workload.overlay.account(&receiver);
                let info = over.map_or(info, |account| &account.info);
                let value = EvmValue::Account(info.as_ref().map(Account::of));
                self.store.seed(&EvmLocation::Account(receiver), value);
            }
        }
    }

    /// Runs all transactions that have not run.
    pub(super) fn run<'env, F, C>(
        mut self,
        crew: &mut C,
        config: &Config,
        trials: &mut Trials,
        mut on_commit: Option<&mut F>,
    ) -> (Self, Option<Failure<S>>)
    where
        S: 'env,
        F: FnMut(Committed) -> ControlFlow<()>,
        C: Crew<'env>,
    {
        let end = self.workload.recipe.block.transactions.len();
        match config.policy {
            Policy::Parts => return self.run_parts_by_turns(crew, config, on_commit),
            Policy::Lanes => return self.run_lanes_by_turns(crew, config, on_commit),
            Policy::Listed => return self.run_in_order(end, config, on_commit),
            _ => {}
        }
        if !self.speculates {
            return self.run_followed(end, crew, config, on_commit);
        }
        loop {
            let first = self.frontier.position();
            // A block that is given whole was asked about before; what a pool brings is not known.
            let until = if first > 0 && expects_chain(crew, config, self.transactions(first..end)) {
                self.tally.foreseen_stretches += 1;
                end
            } else {
                let until = end.min(first.saturating_add(trials.length()));
                self.choose_longest(until, crew, config);
                let failure;
                let hears = on_commit.as_deref_mut();
                (self, failure) = self.run_shared(until, crew, config, hears, Stretch::Published);
                self.remember_longest(crew, config, failure.is_none());
                let next = self.frontier.position();
                // Less than that is never given up, whatever it is.
                let least = self.waste(config, crew.workers()).commits;
                let tells = failure.is_none() && next - first >= least as usize;
                if let Some(experience) = experience(crew, config).filter(|_| tells) {
                    experience.learn(self.transactions(first..next), self.handed_over);
                }
                if failure.is_some() || (!self.handed_over && until == end) {
                    return (self, failure);
                }
                if !self.handed_over {
                    trials.paid();
                    continue;
                }
                end.min(next.saturating_add(trials.wasted(next - first)))
            };
            let failure;
            (self, failure) = self.run_in_order(until, config, on_commit.as_deref_mut());
            self.remember_longest(crew, config, failure.is_none());
            if failure.is_some() || self.frontier.position() >= end {
                return (self, failure);
            }
        }
    }

    /// Runs what has not run of the transactions below `end` in order, on the calling thread.
    pub(super) fn run_in_order<F>(
        self,
        end: usize,
        config: &Config,
        on_commit: Option<&mut F>,
    ) -> (Self, Option<Failure<S>>)
    where
        F: FnMut(Committed) -> ControlFlow<()>,
    {
        if self.left(end) == 0 {
            return (self, None);
        }
        let (speculates, handed_over, parts) =
            (self.speculates, self.handed_over, self.tally.parts);
        let no_others = &mut Scoped(NonZeroU16::MIN);
        let (mut session, failure) =
            self.run_shared(end, no_others, config, on_commit, Stretch::InOrder);
        (session.speculates, session.handed_over) = (speculates, handed_over);
        // Batches that run beside others are counted.
        session.tally.parts = parts;
        (session, failure)
    }

    /// Runs the transactions below `end` on all workers, the caller being one of them, until all
    /// have run or speculation turns out to be wasted.
    pub(super) fn run_shared<'env, F, C>(
        mut self,
        end: usize,
        crew: &mut C,
        config: &Config,
        on_commit: Option<&mut F>,
        stretch: Stretch,
    ) -> (Self, Option<Failure<S>>)
    where
        S: 'env,
        F: FnMut(Committed) -> ControlFlow<()>,
        C: Crew<'env>,
    {
        let left = self.left(end);
        let alone = crew.workers() == 1 || left < 2;
        // Each outcome is sent once, so sending never waits; in order the caller takes one before
        // the next is there.
        let most = if matches!(stretch, Stretch::InOrder) { IN_ORDER_AHEAD } else { left.max(1) };
        let (sender, stream) = bounded(if on_commit.is_some() { most } else { 1 });
        Arc::make_mut(&mut self.workload).streams = on_commit.is_some();
        self.ledger.stream_to(on_commit.is_some().then_some(sender));
        let (task, tally) = self.task(end, crew, config, stretch);
        let task = Arc::new(task);
        let (mut panicked, mut ended) = (None, false);
        let own = |seat: Seat<'_>| match on_commit {
            Some(on_commit) => {
                let deliver = |committed| {
                    if ended {
                        return;
                    }
                    match catch_unwind(AssertUnwindSafe(|| on_commit(committed))) {
                        Ok(ControlFlow::Continue(())) => return,
                        Ok(ControlFlow::Break(())) => {}
                        Err(payload) => panicked = Some(payload),
                    }
                    ended = true;
                    task.shared.cancel();
                };
                task.fold(seat);
                let caller = Caller::new(seat, stream, deliver);
                work(&task.shared, WorkerId(0), &caller);
                task.publish(WorkerId(0), seat);
                task.wait_published();
                caller.drain();
            }
            None => {
                task.run(WorkerId(0), seat);
                task.wait_published();
            }
        };
        if alone {
            own(SLEEPY);
        } else {
            let others: Arc<dyn Task + 'env> = task.clone();
            crew.run(&others, own);
        }
        if let Some(payload) = panicked {
            resume_unwind(payload);
        }
        Self::after_task(&task, tally, ended)
    }

    /// What all workers run, and what was counted before.
    fn task<'env>(
        self,
        end: usize,
        crew: &impl Crew<'env>,
        config: &Config,
        stretch: Stretch,
    ) -> (RunTask<S>, Tally) {
        #[cfg(feature = "mutants")]
        let mutant = self.workload.recipe.mutant;
        let (mut folding, mut unpublished) = (None, None);
        let (setup, tally) = match stretch {
            Stretch::Published => self.set_up(end, config, crew.workers(), !crew.is_wide()),
            Stretch::InOrder => self.set_up_in_order(end, config),
            Stretch::Private(mut stretch) => {
                folding = stretch.folding.take();
                unpublished = stretch.publishes.then(|| Unpublished::by(crew.workers()));
                self.set_up_private(config, crew.workers(), *stretch)
            }
        };
        let shared = Shared::new(setup);
        #[cfg(feature = "mutants")]
        let shared = shared.with_mutant(mutant.of_workers());
        let fold = folding.map(|folding| Mutex::new(Some(Fold::Waiting(folding))));
        (RunTask { shared, fold, unpublished }, tally)
    }

    /// The block after the caller's part of `task`. Other workers may still hold the task, with
    /// nothing that is needed.
    fn after_task(task: &RunTask<S>, tally: Tally, ended: bool) -> (Self, Option<Failure<S>>) {
        let Some(mut end) = task.shared.end() else {
            unreachable!("only the caller takes the end of the block")
        };
        if task.unpublished.is_some() {
            end.published = end.frontier;
        }
        let (mut session, failure) = Self::after(end, tally, ended);
        if let Some(growing) = task.folded() {
            session.ledger.growing = growing;
        }
        (session, failure)
    }

    /// Chooses who of those below `end` begins before his turn.
    fn choose_longest<'env>(&mut self, end: usize, crew: &mut impl Crew<'env>, config: &Config) {
        let Some(experience) = experience(crew, config) else { return };
        let range = self.frontier.position()..end;
        let longest = experience.longest.of(&self.workload.recipe.block, range);
        self.tally.begun_first += longest.len() as u64;
        self.longest = longest.into_iter().map(|tx| (tx, 0)).collect();
    }

    /// Remembers who took long, and, if the stretch `has_ended` well, what came of it that some
    /// began before their turn.
    fn remember_longest<'env>(
        &mut self,
        crew: &mut impl Crew<'env>,
        config: &Config,
        has_ended: bool,
    ) {
        let long = core::mem::take(&mut self.ledger.long);
        let mut began = core::mem::take(&mut self.longest);
        if !has_ended {
            began.clear();
        }
        if let Some(experience) = experience(crew, config) {
            let block = &self.workload.recipe.block;
            experience.longest.learn(block, self.frontier, &long, &began);
        }
    }

    fn transactions(&self, which: Range<usize>) -> &[TxEnv] {
        self.workload.recipe.block.transactions.get(which).unwrap_or_default()
    }

    /// Number of transactions below `end` that have not run.
    pub(super) const fn left(&self, end: usize) -> usize {
        end.saturating_sub(self.frontier.position())
    }

    /// From when on speculation on `workers` workers counts as wasted here.
    pub(super) fn waste(&self, config: &Config, workers: usize) -> Waste {
        let transactions = self.workload.recipe.block.transactions.len();
        waste(transactions, config.max_speculative_runs, workers)
    }
}

/// Whether `transactions` are known for speculation that is given up.
pub(super) fn expects_chain<'env>(
    crew: &mut impl Crew<'env>,
    config: &Config,
    transactions: &[TxEnv],
) -> bool {
    experience(crew, config).is_some_and(|experience| experience.expects_chain(transactions))
}

/// What is remembered, where speculation may be given up.
fn experience<'crew, 'env>(
    crew: &'crew mut impl Crew<'env>,
    config: &Config,
) -> Option<&'crew mut Experience> {
    // Where reads are slow, a run ahead has read for the others.
    let may_give_up = config.learn && config.policy == Policy::Auto && !crew.is_wide();
    crew.experience().filter(|_| may_give_up)
}
