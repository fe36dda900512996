//! Memory of earlier blocks, bounded in size. Queries do not change it: it learns only at the end
//! of a segment, from the segment's outcome.
//!
//! Its contents depend on schedules; results do not.

use super::backoff::Backoff;
use super::calls::Calls;
use super::choice::Choice;
use super::longest::{Longest, Seen};
use super::progress::SegmentOutcome;
use super::strategy::{Reason, Strategy};
use crate::evm::exec::input::Block;

/// Memory of earlier blocks.
#[derive(Debug, Default)]
pub(crate) struct Feedback {
    /// Calls that depend on each other.
    pub(super) calls: Calls,
    /// Calls that take long.
    pub(super) longest: Longest,
    /// Back-off for predicted dependencies.
    predictions: Backoff,
    /// Back-off for contiguous batches.
    contiguous: Backoff,
}

/// A finished segment, to learn from.
pub(in crate::evm) struct SegmentFeedback<'a> {
    pub(in crate::evm) block: &'a Block,
    pub(in crate::evm) choice: &'a Choice,
    pub(in crate::evm) outcome: SegmentOutcome,
    /// Minimum number of commits before speculation may fall back to sequential.
    pub(in crate::evm) least: usize,
    /// Whether speculation may fall back to sequential.
    pub(in crate::evm) may_fall_back: bool,
    pub(in crate::evm) seen: &'a Seen,
}

impl Feedback {
    pub(super) const fn tries_predictions(&self) -> bool {
        self.predictions.tries()
    }

    /// Whether predicted dependencies paid in the last block that tried them.
    pub(super) const fn predictions_have_paid(&self) -> bool {
        self.predictions.has_paid
    }

    pub(super) const fn tries_contiguous(&self) -> bool {
        self.contiguous.tries()
    }

    /// Learns from a segment.
    pub(in crate::evm) fn learn(&mut self, lesson: &SegmentFeedback<'_>) {
        let SegmentFeedback { block, choice, outcome, least, may_fall_back, seen } = *lesson;
        if choice.untried.predictions {
            self.predictions.skip();
        }
        if choice.untried.contiguous {
            self.contiguous.skip();
        }
        let committed = outcome.next - outcome.first;
        match choice.strategy {
            Strategy::Speculative if choice.predicts() && !outcome.has_failed => {
                self.predictions.learn(!outcome.fell_back);
            }
            // Each worker has started a batch, which may have been aborted. An error that ends the
            // block says nothing about batches.
            Strategy::ContiguousBatches if !outcome.has_failed => {
                self.contiguous.learn(committed >= choice.workers * choice.shortest);
            }
            _ => {}
        }
        if !may_fall_back {
            return;
        }
        let of = |end: usize| block.transactions.get(outcome.first..end).unwrap_or_default();
        if choice.reason == Reason::LearnedConflicts {
            self.calls.believe(of(choice.end));
        }
        let is_speculative = choice.strategy == Strategy::Speculative;
        // With fewer commits, speculation never falls back, whatever the transactions are.
        let tells = !outcome.has_failed && committed >= least;
        if is_speculative && tells {
            self.calls.learn(of(outcome.next), outcome.fell_back);
        }
        // Private batches, and segments that are sequential from the start, say nothing about long
        // calls.
        if is_speculative || (choice.strategy == Strategy::Sequential && !choice.is_rest) {
            self.longest.learn(block, outcome.next, is_speculative, seen);
        }
    }

    /// For tests: records that speculation on `transactions` fell back to sequential.
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
    fn contiguous_batches_have_paid_if_a_batch_of_each_worker_holds() {
        let choice = Choice {
            strategy: Strategy::ContiguousBatches,
            reason: Reason::DisjointStart,
            end: 5_000,
            workers: 8,
            shortest: 64,
            is_rest: false,
            untried: Tried::default(),
        };
        let tries = |next, has_failed| {
            let mut feedback = Feedback::default();
            feedback.learn(&SegmentFeedback {
                block: &Block::default(),
                choice: &choice,
                outcome: SegmentOutcome { first: 0, next, all: 5_000, fell_back: true, has_failed },
                least: 32,
                may_fall_back: true,
                seen: &Seen::default(),
            });
            feedback.tries_contiguous()
        };
        let held = [3, 511, 512, 5_000].map(|next| tries(next, false));
        assert_eq!(held, [false, false, true, true]);
        assert!(tries(3, true), "an invalid block tells nothing");
    }
}
