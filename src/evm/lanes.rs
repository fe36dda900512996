//! A block in lanes, where most of its transactions have something to do with few others: those that share a
//! sender or a call run one after the other, on one worker and in one journal, beside all others.
//!
//! A round of transactions is shared out among lanes, each of which runs on the state before the round; what it
//! writes goes into the store at once, where nobody of this round looks for it. Then the caller finds out up to
//! which transaction everything is as if they had run in order ([`in_order_below`]), commits that much, and
//! takes the rest back. What cannot be told by what was read and written - whoever is credited as
//! transactions commit, slots of blank accounts, transactions that are invalid or cannot be run - ends a lane
//! before the transaction that needs it, which then runs alone.
//!
//! Where a follower would do it if the rest ran in order, what a round leaves is folded into the bundle while the
//! next one runs, by whoever begins first: its memory is of use again soon, and little is left to do at the end.

use super::alone::Alone;
use super::block::error::{At, BlockErrorKind, Failure};
use super::block::ledger::Committed;
use super::bundle::growing::Growing;
use super::crew::Crew;
use super::exec::base::StateSource;
use super::experience::Experience;
use super::lane::{Came, LanesTask};
use super::plan::mean_gas;
use super::rounds::{Pace, TURN, plan_round};
use super::session::Session;
use crate::config::Config;
use crate::error::Invariant;
use crate::ids::{TxIndex, WorkerId};
use crate::protocol::Policy;
use crate::runtime::Task;
use crate::schedule::Lanes;
use core::ops::ControlFlow;
use std::sync::Arc;

/// Transactions of which a block is tried in lanes: of a shorter one a trial that fails costs too much.
const WORTH_A_TRIAL: usize = 256;

/// Gas of a mean transaction below which lanes cost more than they save. A native transfer takes 21,000.
const WORTH_LANES: u64 = 24_000;

/// Whether what has not run of a block should be tried in lanes.
pub(super) fn is_worth_lanes<'env, S: StateSource>(
    crew: &mut impl Crew<'env>,
    config: &Config,
    session: &Session<S>,
) -> bool {
    let Session { workload, tally, .. } = session;
    // Where reads are slow there are more workers than cores, and who waits for one is not in the way.
    let may = config.policy == Policy::Auto && crew.workers() > 1 && !crew.is_wide();
    let is_enough = session.left(workload.recipe.block.transactions.len()) >= WORTH_A_TRIAL;
    let is_chain = tally.foreseen_stretches > 0;
    let is_cheap = || mean_gas(&workload.recipe.block) < WORTH_LANES;
    let fits = may && is_enough && !is_chain && workload.recipe.shares && !is_cheap();
    // Threads that are started for each round cost more than they save; a lasting crew remembers.
    let tries = |experience: &mut Experience| !config.learn || experience.lanes.tries();
    fits && crew.experience().is_some_and(tries)
}

impl<S: StateSource> Session<S> {
    /// Runs a round in lanes and a few transactions in order, by turns.
    pub(super) fn run_lanes_by_turns<'env, F, C>(
        mut self,
        crew: &mut C,
        config: &Config,
        mut on_commit: Option<&mut F>,
    ) -> (Self, Option<Failure<S>>)
    where
        S: 'env,
        F: FnMut(Committed) -> ControlFlow<()>,
        C: Crew<'env>,
    {
        let end = self.workload.recipe.block.transactions.len();
        loop {
            let mut failure = None;
            if on_commit.is_none() {
                let mut pace = Pace::forced();
                (self, failure) = self.run_lanes(end, crew, config, &mut pace);
            }
            if failure.is_none() {
                let until = end.min(self.frontier.position() + TURN);
                let hears = on_commit.as_deref_mut();
                (self, failure) = self.run_alone(until, config.mode, hears, None);
            }
            if failure.is_some() || self.frontier.position() >= end {
                return (self, failure);
            }
        }
    }

    /// Tries lanes for the transactions below `end`, and remembers whether that paid.
    pub(super) fn try_lanes<'env, C>(
        self,
        end: usize,
        crew: &mut C,
        config: &Config,
    ) -> (Self, Option<Failure<S>>)
    where
        S: 'env,
        C: Crew<'env>,
    {
        let mut pace = Pace::new(crew.workers());
        let (session, failure) = self.run_lanes(end, crew, config, &mut pace);
        if let Some(experience) = crew.experience().filter(|_| config.learn) {
            experience.lanes.learn(pace.has_paid());
        }
        (session, failure)
    }

    /// Runs transactions below `end` in lanes for as long as `pace` says that this pays.
    pub(super) fn run_lanes<'env, C>(
        mut self,
        end: usize,
        crew: &mut C,
        config: &Config,
        pace: &mut Pace,
    ) -> (Self, Option<Failure<S>>)
    where
        S: 'env,
        C: Crew<'env>,
    {
        if self.alone.is_some() {
            self.hand_back();
            self.alone = Some(Alone::from(self.frontier));
        }
        while self.left(end) > 0 && !pace.is_over() {
            let first = self.frontier.position();
            let round = first..end.min(first + pace.length());
            let used = self.ledger.gas().admitted(&self.workload.recipe.block);
            let unfolded = self.growing.bundled();
            let begun = unfolded.map_or(0, |from| first.saturating_sub(from));
            let block = &self.workload.recipe.block;
            let lanes = plan_round(block, round, used, (crew.workers(), begun));
            if !pace.allows(&lanes, crew.workers()) {
                continue;
            }
            let came;
            (self, came) = self.run_round(lanes, crew);
            if came.is_lost {
                let lost = BlockErrorKind::Internal(Invariant::WorkersGone);
                let lost = (At::Transaction(self.frontier), lost);
                return (self, Some(lost));
            }
            let committed = came.frontier.position() - first;
            pace.ran(committed, came.end.position() - came.frontier.position());
            if came.is_held {
                let failure;
                let next = self.frontier.position() + 1;
                let nobody = None::<&mut fn(Committed) -> ControlFlow<()>>;
                (self, failure) = self.run_alone(next, config.mode, nobody, None);
                if failure.is_some() {
                    return (self, failure);
                }
                self.hand_back();
                self.alone = Some(Alone::from(self.frontier));
            }
        }
        (self, None)
    }

    /// Runs one round.
    fn run_round<'env, C>(self, lanes: Lanes, crew: &mut C) -> (Self, Came)
    where
        S: 'env,
        C: Crew<'env>,
    {
        // The first of those that are to be put into the bundle while others run, if they are.
        let unfolded = self.growing.bundled();
        let Self { workload, store, mut ledger, mut tally, frontier: first, alone, .. } = self;
        let Self { mut growing, speculates, handed_over, .. } = self;
        let at = |place: usize| TxIndex(u32::try_from(place).unwrap_or(u32::MAX));
        let lanes = lanes.lanes.into_iter().map(|lane| lane.into_iter().map(at).collect());
        let lanes: Vec<Vec<TxIndex>> = lanes.collect();
        let used = ledger.gas().admitted(&workload.recipe.block);
        let folding = unfolded.map(|from| (core::mem::take(&mut growing), ledger.hand_over(from)));
        let task = Arc::new(LanesTask::new((workload, store), first, lanes, used, folding));
        let others: Arc<dyn Task + 'env> = task.clone();
        crew.run(&others, |seat| task.run(WorkerId(0), seat));
        drop(others);
        let Some(task) = Arc::into_inner(task) else {
            // `Crew::run` returns when nobody holds the task.
            unreachable!("a worker still holds the block")
        };
        if unfolded.is_some() {
            growing = folded(&task);
        }
        let mut alone = alone.unwrap_or_else(|| Alone::from(first));
        let came = task.settle(&mut ledger, &mut alone.latest);
        let frontier = came.frontier;
        let committed = u64::from(frontier.0 - first.0);
        (alone.first_pending, alone.first) = (frontier.position(), Some(frontier));
        tally.protocol.runs += came.runs;
        tally.protocol.discarded += came.runs - committed;
        // The first one would have run first anyway.
        tally.protocol.speculative_commits += committed.saturating_sub(1);
        tally.rounds += u64::from(committed > 0);
        let LanesTask { workload, store, .. } = task;
        let alone = Some(alone);
        let session = Self {
            workload,
            ledger,
            store,
            tally,
            frontier,
            alone,
            growing,
            speculates,
            handed_over,
            longest: Vec::new(),
        };
        (session, came)
    }
}

/// What one of the workers has made while the lanes ran.
fn folded<S: StateSource>(task: &LanesTask<S>) -> Growing {
    match task.take_folded() {
        Some(growing) => growing,
        // Better than a block without receipts.
        None => unreachable!("whoever has begun to fold has come to the end"),
    }
}
