//! A block in parts: private batches of neighbours, up to the first that may not go on.

use super::block::committed::Committed;
use super::block::error::Failure;
use super::crew::Crew;
use super::exec::base::StateSource;
use super::exec::input::Block;
use super::experience::Experience;
use super::plan::{begins_apart, looks_independent, mean_gas_limit};
use super::session::Session;
use super::stretch::{PrivateStretch, Stretch};
use crate::config::Config;
use crate::ids::{Chunk, TxIndex};
use crate::protocol::{Batch, Policy};
use crate::schedule::cut;
use core::ops::{ControlFlow, Range};

/// Transactions of which a block is tried in parts: less is not worth a trial that fails.
const WORTH_PARTING: usize = 1_000;
/// First parts for each worker that a shorter block has to have, if next to nothing ties its
/// transactions to each other.
const PARTS_OF_SHORT: usize = 2;
/// How much gas the transactions of a first part may ask for together, and how many there are at
/// least and at most. If they do not hold, not much was wasted.
const TRIAL_GAS: u64 = 2_000_000;
const TRIAL: (usize, usize) = (8, 64);
/// Transactions of a first part where parts are forced.
const FORCED: usize = 2;
/// Transactions for each worker that forced parts have together, so that wasted work is bounded
/// there, too.
const FORCED_TOGETHER: usize = 8;
/// Transactions that run in order between forced parts.
const TURN: usize = 3;
/// Workers up to which one of them can make the bundle besides, of what all others have left.
pub(super) const FEW: usize = 4;

/// How short the first parts of a block are.
fn shortest(block: &Block) -> usize {
    let (least, most) = TRIAL;
    usize::try_from(TRIAL_GAS / mean_gas_limit(block).max(1))
        .map_or(most, |fit| fit.clamp(least, most))
}

/// Whether the block should be tried in parts, of which nothing has run.
pub(super) fn is_worth_parting<'env, S: StateSource>(
    crew: &mut impl Crew<'env>,
    config: &Config,
    session: &Session<S>,
) -> bool {
    // Where reads are slow there are more workers than cores, and who waits for one is not in the
    // way.
    let may = config.policy == Policy::Auto && crew.workers() > 1 && !crew.is_wide();
    let recipe = &session.workload.recipe;
    let is_chain = session.tally.foreseen_stretches > 0;
    if !may || is_chain || !recipe.shares {
        return false;
    }
    let transactions = &recipe.block.transactions;
    if transactions.len() >= WORTH_PARTING {
        return begins_apart(transactions, shortest(&recipe.block));
    }
    // A crew that does not last cannot remember that they did not hold.
    let least = PARTS_OF_SHORT * crew.workers() * shortest(&recipe.block);
    let tries = |experience: &mut Experience| !config.learn || experience.short_parts.tries();
    transactions.len() >= least
        && looks_independent(transactions)
        && crew.experience().is_some_and(tries)
}

impl<S: StateSource> Session<S> {
    /// Runs what has not run by turns in parts and in order.
    pub(super) fn run_parts_by_turns<'env, F, C>(
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
            let together = FORCED_TOGETHER * crew.workers();
            let until = end.min(self.frontier.position() + together);
            let mut failure;
            let hears = on_commit.as_deref_mut();
            (self, failure) = self.run_parts(until, crew, config, hears, FORCED);
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

    /// Tries parts for all transactions, of which none has run, and remembers of a short block
    /// whether that paid.
    pub(super) fn try_parts<'env, F, C>(
        self,
        crew: &mut C,
        config: &Config,
        on_commit: Option<&mut F>,
    ) -> (Self, Option<Failure<S>>)
    where
        S: 'env,
        F: FnMut(Committed) -> ControlFlow<()>,
        C: Crew<'env>,
    {
        let block = &self.workload.recipe.block;
        let (end, shortest) = (block.transactions.len(), shortest(block));
        let (session, failure) = self.run_parts(end, crew, config, on_commit, shortest);
        let learns = config.learn && end < WORTH_PARTING;
        if let Some(experience) = crew.experience().filter(|_| learns) {
            experience.short_parts.learn(session.left(end) == 0);
        }
        (session, failure)
    }

    /// Runs what has not run of the transactions below `end` in private batches of neighbours, of
    /// `shortest` transactions or more, up to the first that may not go on.
    pub(super) fn run_parts<'env, F, C>(
        mut self,
        end: usize,
        crew: &mut C,
        config: &Config,
        on_commit: Option<&mut F>,
        shortest: usize,
    ) -> (Self, Option<Failure<S>>)
    where
        S: 'env,
        F: FnMut(Committed) -> ControlFlow<()>,
        C: Crew<'env>,
    {
        if self.left(end) == 0 {
            return (self, None);
        }
        self.ledger.catch_up();
        let at = |place: usize| TxIndex(u32::try_from(place).unwrap_or(u32::MAX));
        let range = |range: Range<usize>| {
            Batch::Range(Chunk { first: at(range.start), end: at(range.end) })
        };
        let ranges = cut(self.frontier.position()..end, crew.workers(), shortest);
        let batches = ranges.into_iter().map(range).collect();
        let (publishes, folding) = (false, None);
        let stretch = PrivateStretch { batches, hands_over_rest: true, publishes, folding };
        let speculates = self.speculates;
        let (mut session, failure) =
            self.run_shared(end, crew, config, on_commit, Stretch::Private(Box::new(stretch)));
        session.handed_over = false;
        session.speculates = speculates;
        (session, failure)
    }
}
