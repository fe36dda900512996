//! Memory of earlier blocks, bounded in size. Queries do not change it: it learns only at the end
//! of a segment, from the segment's outcome.
//!
//! Its contents depend on thread schedules; results do not depend on its contents.

use super::backoff::Backoff;
use super::calls::Calls;
use super::choice::Choice;
use super::longest::{LongRuns, Longest};
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
    /// Observations of long transactions.
    pub(in crate::evm) long_runs: &'a LongRuns,
}

impl Feedback {
    pub(super) const fn tries_predictions(&self) -> bool {
        self.predictions.is_due()
    }

    /// Whether predicted dependencies paid in the last block that tried them.
    pub(super) const fn predictions_have_paid(&self) -> bool {
        self.predictions.has_paid
    }

    pub(super) const fn tries_contiguous(&self) -> bool {
        self.contiguous.is_due()
    }

    /// Learns from a segment.
    pub(in crate::evm) fn learn(&mut self, segment: &SegmentFeedback<'_>) {
        let SegmentFeedback { block, choice, outcome, least, may_fall_back, long_runs } = *segment;
        if choice.skipped.predictions {
            self.predictions.skip();
        }
        if choice.skipped.contiguous {
            self.contiguous.skip();
        }
        let committed = outcome.next - outcome.first;
        match choice.strategy {
            Strategy::Speculative if choice.predicts() && !outcome.has_failed => {
                self.predictions.learn(!outcome.fell_back);
            }
            // Batches have paid if as many transactions committed as the first batch of each worker
            // has. An error that ends the block says nothing about batches.
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
            self.calls.record_sequential(of(choice.end));
        }
        let is_speculative = choice.strategy == Strategy::Speculative;
        // With fewer commits speculation never falls back, so the outcome says nothing.
        let is_conclusive = !outcome.has_failed && committed >= least;
        if is_speculative && is_conclusive {
            self.calls.learn(of(outcome.next), outcome.fell_back);
        }
        // Private batches, and segments that are sequential from the start, say nothing about long
        // calls.
        if is_speculative || (choice.strategy == Strategy::Sequential && !choice.runs_to_end) {
            self.longest.learn(block, outcome.next, is_speculative, long_runs);
        }
    }

    /// For tests: records that speculation on `transactions` fell back to sequential.
    #[cfg(test)]
    pub(in crate::evm) fn learn_fallback(&mut self, transactions: &[revm::context::TxEnv]) {
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
            runs_to_end: false,
            skipped: Tried::default(),
        };
        let tries = |next, has_failed| {
            let mut feedback = Feedback::default();
            feedback.learn(&SegmentFeedback {
                block: &Block::default(),
                choice: &choice,
                outcome: SegmentOutcome { first: 0, next, all: 5_000, fell_back: true, has_failed },
                least: 32,
                may_fall_back: true,
                long_runs: &LongRuns::default(),
            });
            feedback.tries_contiguous()
        };
        let held = [3, 511, 512, 5_000].map(|next| tries(next, false));
        assert_eq!(held, [false, false, true, true]);
        assert!(tries(3, true), "an invalid block tells nothing");
    }
}
