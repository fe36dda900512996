//! A block in lanes: rounds of private batches. Transactions that share a sender, a call or a payee
//! run one after the other in one batch, beside all others.
//!
//! Where a bundle thread would do it if the rest ran in order, what a round leaves is folded into
//! the bundle while the next one runs, by the worker that begins first: its memory is of use again
//! soon, and little is left to do at the end.

use super::block::committed::Committed;
use super::block::error::Failure;
use super::crew::Crew;
use super::exec::base::StateSource;
use super::experience::Experience;
use super::plan::mean_gas;
use super::rounds::{Pace, TURN, plan_round};
use super::session::Session;
use super::stretch::{PrivateStretch, Stretch};
use crate::config::Config;
use crate::ids::TxIndex;
use crate::protocol::{Batch, Policy};
use crate::schedule::Lanes;
use core::ops::ControlFlow;

/// Transactions of which a block is tried in lanes: of a shorter one a trial that fails costs too
/// much.
const WORTH_A_TRIAL: usize = 256;

/// Gas of a mean transaction below which lanes cost more than they save. A native transfer takes
/// 21,000.
const WORTH_LANES: u64 = 24_000;

/// Whether what has not run of a block should be tried in lanes.
pub(super) fn is_worth_lanes<'env, S: StateSource>(
    crew: &mut impl Crew<'env>,
    config: &Config,
    session: &Session<S>,
) -> bool {
    let Session { workload, tally, .. } = session;
    // Where reads are slow there are more workers than cores, and who waits for one is not in the
    // way.
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
            let mut pace = Pace::forced();
            let hears = on_commit.as_deref_mut();
            let mut failure;
            (self, failure) = self.run_lanes(end, crew, config, hears, &mut pace);
            if failure.is_none() {
                let until = end.min(self.frontier.position() + TURN);
                let hears = on_commit.as_deref_mut();
                (self, failure) = self.run_in_order(until, config, hears);
            }
            if failure.is_some() || self.frontier.position() >= end {
                return (self, failure);
            }
        }
    }

    /// Tries lanes for the transactions below `end`, and remembers whether that paid.
    pub(super) fn try_lanes<'env, F, C>(
        self,
        end: usize,
        crew: &mut C,
        config: &Config,
        on_commit: Option<&mut F>,
    ) -> (Self, Option<Failure<S>>)
    where
        S: 'env,
        F: FnMut(Committed) -> ControlFlow<()>,
        C: Crew<'env>,
    {
        let mut pace = Pace::new(crew.workers());
        let (session, failure) = self.run_lanes(end, crew, config, on_commit, &mut pace);
        if let Some(experience) = crew.experience().filter(|_| config.learn) {
            experience.lanes.learn(pace.has_paid());
        }
        (session, failure)
    }

    /// Runs transactions below `end` in lanes for as long as `pace` says that this pays.
    fn run_lanes<'env, F, C>(
        mut self,
        end: usize,
        crew: &mut C,
        config: &Config,
        mut on_commit: Option<&mut F>,
        pace: &mut Pace,
    ) -> (Self, Option<Failure<S>>)
    where
        S: 'env,
        F: FnMut(Committed) -> ControlFlow<()>,
        C: Crew<'env>,
    {
        let speculates = self.speculates;
        let mut failure = None;
        while failure.is_none() && self.left(end) > 0 && !pace.is_over() {
            let first = self.frontier.position();
            let round = first..end.min(first + pace.length());
            let used = self.ledger.gas().admitted(&self.workload.recipe.block);
            let unfolded = self.ledger.growing.bundled();
            let begun = unfolded.map_or(0, |from| first.saturating_sub(from));
            let block = &self.workload.recipe.block;
            let lanes = plan_round(block, round, used, (crew.workers(), begun));
            if !pace.allows(&lanes, crew.workers()) {
                continue;
            }
            let before = self.tally.protocol.discarded;
            let hears = on_commit.as_deref_mut();
            (self, failure) = self.run_round(lanes, crew, config, hears);
            let committed = self.frontier.position() - first;
            let discarded = self.tally.protocol.discarded - before;
            pace.ran(committed, usize::try_from(discarded).unwrap_or(usize::MAX));
            self.tally.rounds += u64::from(committed > 0);
        }
        self.speculates = speculates;
        (self, failure)
    }

    /// Runs one round.
    fn run_round<'env, F, C>(
        mut self,
        lanes: Lanes,
        crew: &mut C,
        config: &Config,
        on_commit: Option<&mut F>,
    ) -> (Self, Option<Failure<S>>)
    where
        S: 'env,
        F: FnMut(Committed) -> ControlFlow<()>,
        C: Crew<'env>,
    {
        let at = |place: usize| TxIndex(u32::try_from(place).unwrap_or(u32::MAX));
        let end = lanes.lanes.iter().flatten().max().map_or(0, |last| last + 1);
        let batch = |lane: Vec<usize>| Batch::Members(lane.into_iter().map(at).collect());
        let batches = lanes.lanes.into_iter().map(batch).collect();
        let unfolded = self.ledger.growing.bundled();
        let ledger = &mut self.ledger;
        let folding =
            unfolded.map(|from| (core::mem::take(&mut ledger.growing), ledger.hand_over(from)));
        let (hands_over_rest, publishes) = (false, true);
        let stretch = PrivateStretch { batches, hands_over_rest, publishes, folding };
        let parts = self.tally.parts;
        let (mut session, failure) =
            self.run_shared(end, crew, config, on_commit, Stretch::Private(Box::new(stretch)));
        // Rounds are counted, not their batches.
        session.tally.parts = parts;
        (session, failure)
    }
}
