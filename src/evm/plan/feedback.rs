//! What earlier blocks have shown, in bounded memory. Questions do not change it: it learns at the
//! end of a stretch, and only from what became of it.
//!
//! What it holds depends on schedules; no result does.

use super::backoff::Backoff;
use super::calls::Calls;
use super::choice::Choice;
use super::longest::{Longest, Seen};
use super::progress::Outcome;
use super::strategy::{Reason, Strategy};
use crate::evm::exec::input::Block;

/// What earlier blocks have shown.
#[derive(Debug, Default)]
pub(crate) struct Feedback {
    /// Which calls need each other.
    pub(super) calls: Calls,
    /// Which calls take long.
    pub(super) longest: Longest,
    /// Whether batches of tied transactions have paid.
    groups: Backoff,
    /// Whether batches of neighbours have.
    neighbours: Backoff,
}

/// What a stretch that has run teaches.
pub(in crate::evm) struct StretchFeedback<'a> {
    pub(in crate::evm) block: &'a Block,
    pub(in crate::evm) choice: &'a Choice,
    pub(in crate::evm) outcome: Outcome,
    /// Commits with which speculation may be given up at all.
    pub(in crate::evm) least: usize,
    /// Whether it may be.
    pub(in crate::evm) gives_up: bool,
    pub(in crate::evm) seen: &'a Seen,
}

impl Feedback {
    pub(super) const fn tries_groups(&self) -> bool {
        self.groups.tries()
    }

    /// Whether they have paid in the last block that was tried.
    pub(super) const fn groups_have_paid(&self) -> bool {
        self.groups.has_paid
    }

    pub(super) const fn tries_neighbours(&self) -> bool {
        self.neighbours.tries()
    }

    /// Learns from a stretch.
    pub(in crate::evm) fn learn(&mut self, lesson: &StretchFeedback<'_>) {
        let StretchFeedback { block, choice, outcome, least, gives_up, seen } = *lesson;
        if choice.untried.groups {
            self.groups.skip();
        }
        if choice.untried.neighbours {
            self.neighbours.skip();
        }
        let committed = outcome.next - outcome.first;
        match choice.strategy {
            Strategy::Groups => self.groups.learn(outcome.rounds_paid),
            // Each worker has begun with a batch, and perhaps thrown it away. An error that ends
            // the block tells nothing.
            Strategy::Neighbours if !outcome.has_failed => {
                self.neighbours.learn(committed >= choice.workers * choice.shortest);
            }
            _ => {}
        }
        if !gives_up {
            return;
        }
        let of = |end: usize| block.transactions.get(outcome.first..end).unwrap_or_default();
        if choice.reason == Reason::KnownChain {
            self.calls.believe(of(choice.end));
        }
        let is_speculative = choice.strategy == Strategy::Speculative;
        // Less than that is never given up, whatever it is.
        let tells = !outcome.has_failed && committed >= least;
        if is_speculative && tells {
            self.calls.learn(of(outcome.next), outcome.was_given_up);
        }
        // What runs in private batches, or in order from the start, teaches nothing of long calls.
        if is_speculative || (choice.strategy == Strategy::InOrder && !choice.is_rest) {
            self.longest.learn(block, outcome.next, is_speculative, seen);
        }
    }

    /// For tests: rounds have paid.
    #[cfg(test)]
    pub(in crate::evm) fn rounds_have_paid(&mut self) {
        self.groups.learn(true);
    }

    /// For tests: `transactions` were given up.
    #[cfg(test)]
    pub(in crate::evm) fn give_up(&mut self, transactions: &[revm::context::TxEnv]) {
        self.calls.learn(transactions, true);
    }
}

#[cfg(test)]
mod tests {
    use super::super::choice::Tried;
    use super::*;

    #[test]
    fn neighbours_have_paid_if_a_batch_of_each_worker_holds() {
        let (strategy, reason) = (Strategy::Neighbours, Reason::BeginsApart);
        let (end, workers, shortest, untried) = (5_000, 8, 64, Tried::default());
        let choice = Choice { strategy, reason, end, workers, shortest, is_rest: false, untried };
        let (block, seen) = (Block::default(), Seen::default());
        let tries = |next, has_failed| {
            let (first, all, was_given_up, rounds_paid) = (0, end, true, false);
            let outcome = Outcome { first, next, all, was_given_up, has_failed, rounds_paid };
            let (block, choice, seen, least, gives_up) = (&block, &choice, &seen, 32, true);
            let mut feedback = Feedback::default();
            feedback.learn(&StretchFeedback { block, choice, outcome, least, gives_up, seen });
            feedback.tries_neighbours()
        };
        let held = [3, 511, 512, 5_000].map(|next| tries(next, false));
        assert_eq!(held, [false, false, true, true]);
        assert!(tries(3, true), "an invalid block tells nothing");
    }
}
