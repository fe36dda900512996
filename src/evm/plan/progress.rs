//! Progress of a block: observations of its segments so far.

use super::choice::{Choice, Tried};
use super::strategy::{Reason, Strategy};
use super::trials::Trials;
use crate::config::{Forced, Policy};
use crate::evm::exec::work::Work;
use crate::thresholds::{MAX_CONFLICTING_WORKERS, SHARED_ACCESS_GAS, SHARING_GAS};

/// Number of transactions that run sequentially between forced contiguous batches.
const FORCED_SEQUENTIAL: usize = 3;

/// Outcome of a segment.
#[derive(Clone, Copy, Debug)]
pub(in crate::evm) struct SegmentOutcome {
    /// First transaction of the segment.
    pub(in crate::evm) first: usize,
    /// First transaction that has not committed.
    pub(in crate::evm) next: usize,
    /// Number of transactions of the block; of a pool, transactions pulled so far.
    pub(in crate::evm) all: usize,
    /// Whether the segment ended early: see `SegmentEnd::fell_back`.
    pub(in crate::evm) fell_back: bool,
    /// Whether the segment ended with an error.
    pub(in crate::evm) has_failed: bool,
}

/// Findings about the transactions of a segment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SegmentFindings {
    /// Number of transactions after the segment that are probably too short to share, as the
    /// segment's were; zero if the segment's were worth sharing.
    pub(super) cheap_following: usize,
    /// Whether many runs of the segment were aborted.
    pub(super) is_contended: bool,
}

/// Observations of a block so far. In a block built from a pool, they persist over all rounds.
#[derive(Clone, Copy, Debug)]
pub(in crate::evm) struct Progress {
    /// Strategies that were tried, or skipped because they have not paid in earlier blocks.
    pub(super) tried: Tried,
    pub(super) trials: Trials,
    /// Whether contiguous batches conflicted, or many speculative runs were aborted.
    pub(super) is_contended: bool,
    /// Whether the last speculative segment predicted dependencies and did not fall back.
    pub(super) predictions_pay: bool,
    /// Number of transactions that run sequentially next, and the reason.
    pub(super) next_sequential: Option<(usize, Reason)>,
    /// Length of the last sequential segment that followed an insufficient access list.
    mismatch_length: usize,
}

impl Progress {
    /// Progress of a block that has not started. `may_fall_back`: speculation may fall back to
    /// sequential.
    pub(in crate::evm) const fn new(policy: Policy, may_fall_back: bool) -> Self {
        Self {
            tried: Tried { contiguous: false, predictions: false },
            trials: Trials::new(policy, may_fall_back),
            is_contended: false,
            predictions_pay: false,
            next_sequential: None,
            mismatch_length: 1,
        }
    }

    /// Records the outcome of `choice`. `found`: findings about its transactions.
    pub(super) fn learn(
        &mut self,
        policy: Policy,
        choice: &Choice,
        outcome: &SegmentOutcome,
        found: SegmentFindings,
    ) {
        self.tried.contiguous |= choice.skipped.contiguous;
        self.tried.predictions |= choice.skipped.predictions;
        match choice.strategy {
            Strategy::Speculative => {
                let predicts = choice.predicts();
                self.predictions_pay = predicts && !outcome.fell_back;
                self.tried.predictions |= predicts && outcome.fell_back;
                self.is_contended = found.is_contended;
            }
            // Contiguous batches usually end because one depends on another.
            Strategy::ContiguousBatches => self.is_contended = true,
            _ => {}
        }
        let cheap = Self::cheap_segment(policy, choice, outcome, found);
        let next = self.segment_after(policy, choice, outcome);
        self.next_sequential = cheap.or(next);
    }

    /// Length of the sequential segment after transactions that were too short to share; `None`
    /// after access lists, which make sharing cheaper.
    fn cheap_segment(
        policy: Policy,
        choice: &Choice,
        outcome: &SegmentOutcome,
        found: SegmentFindings,
    ) -> Option<(usize, Reason)> {
        let counts = match choice.strategy {
            Strategy::Speculative | Strategy::ContiguousBatches => true,
            Strategy::Sequential => {
                matches!(choice.reason, Reason::Aborts | Reason::ShortTransactions)
            }
            Strategy::AccessList => false,
        };
        let has_more = outcome.next < outcome.all;
        let applies = counts && found.cheap_following > 0 && has_more && policy == Policy::Auto;
        applies.then_some((found.cheap_following, Reason::ShortTransactions))
    }

    /// Length of the sequential segment after `choice`, if one follows. None follows at the end of
    /// a pool's round, where the next transactions get a new choice.
    fn segment_after(
        &mut self,
        policy: Policy,
        choice: &Choice,
        outcome: &SegmentOutcome,
    ) -> Option<(usize, Reason)> {
        let committed = outcome.next.saturating_sub(outcome.first);
        let next = match choice.strategy {
            Strategy::Sequential => None,
            Strategy::ContiguousBatches => {
                self.tried.contiguous = true;
                forced_sequential(policy, Forced::ContiguousBatches, FORCED_SEQUENTIAL)
            }
            Strategy::AccessList => {
                // The sequential segment grows each time batches end early, to bound wasted work.
                let longer = self.mismatch_length.saturating_mul(2);
                self.mismatch_length = if committed > self.mismatch_length { 1 } else { longer };
                Some((self.mismatch_length, Reason::Unlisted))
            }
            Strategy::Speculative if outcome.fell_back => {
                Some((self.trials.record_failure(committed), Reason::Aborts))
            }
            Strategy::Speculative => {
                if outcome.next < outcome.all {
                    self.trials.record_success();
                }
                None
            }
        };
        next.filter(|_| outcome.next < outcome.all)
    }
}

/// Whether sharing `transactions` transactions with this total `work` among `workers` costs more
/// than it saves.
pub(in crate::evm) const fn is_cheap(transactions: usize, work: Work, workers: usize) -> bool {
    saved(work, workers) < SHARING_GAS.saturating_mul(transactions as u64)
}

/// Whether sharing `work` costs more than it saves because of its accesses, each of which
/// speculation looks up in the store.
pub(in crate::evm) fn is_mostly_access(work: Work, workers: usize) -> bool {
    saved(work, workers.min(MAX_CONFLICTING_WORKERS))
        < SHARED_ACCESS_GAS.saturating_mul(work.accesses)
}

/// Upper bound, in units times the number of workers, on the work that other workers take over.
const fn saved(work: Work, workers: usize) -> u64 {
    work.units.saturating_mul(workers.saturating_sub(1) as u64)
}

/// Returns a sequential segment of `length` transactions if the policy forces `forced`.
fn forced_sequential(policy: Policy, forced: Forced, length: usize) -> Option<(usize, Reason)> {
    (policy == Policy::Forced(forced)).then_some((length, Reason::Policy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evm::exec::trial::Trial;
    use core::ops::Range;
    use std::sync::Arc;

    /// A choice of two workers for the transactions up to `end`.
    fn choice(strategy: Strategy, reason: Reason, end: usize) -> Choice {
        Choice {
            strategy,
            reason,
            end,
            workers: 2,
            shortest: 0,
            runs_to_end: false,
            skipped: Tried::default(),
        }
    }

    /// The transactions of a pool's next round may be of another kind.
    #[test]
    fn nothing_is_left_to_run_in_order_at_the_end_of_a_round() {
        let choice = choice(Strategy::Speculative, Reason::Default, 256);
        let outcome =
            |next| SegmentOutcome { first: 0, next, all: 256, fell_back: true, has_failed: false };
        let mut progress = Progress::new(Policy::Auto, true);
        progress.learn(Policy::Auto, &choice, &outcome(255), SegmentFindings::default());
        assert_eq!(progress.next_sequential, Some((64, Reason::Aborts)));
        progress.learn(Policy::Auto, &choice, &outcome(256), SegmentFindings::default());
        assert_eq!(progress.next_sequential, None);
    }

    #[test]
    fn what_does_little_else_than_access_slots_is_given_up_on_two_workers() {
        let after = |workers, count, work| {
            let mut trial = Trial::new(is_mostly_access, workers, &Arc::default());
            (0..count).for_each(|_| trial.note(work));
            trial.is_lost()
        };
        // A thousand slots and a loop over them.
        let reads = Work { units: 390_000, accesses: 1_003 };
        assert_eq!([1, 2].map(|count| after(2, count, reads)), [false, true]);
        assert!(!after(3, 2, reads), "there are others to share it with");
        assert!(!after(2, 100, Work { units: 390_000, accesses: 500 }), "there is much else");
        assert!(!after(2, 1_000, Work { units: 3_500, accesses: 2 }), "payments");
    }

    /// Cheap transactions run sequentially, in segments that grow.
    #[test]
    fn cheap_transactions_run_in_order_until_others_come() {
        let trial = choice(Strategy::Speculative, Reason::Default, 5_000);
        let sequential =
            |progress: &mut Progress, choice: &Choice, segment: Range<usize>, is_cheap| {
                let cheap_following = if is_cheap { 8 * segment.len() } else { 0 };
                let found = SegmentFindings { cheap_following, is_contended: false };
                let outcome = SegmentOutcome {
                    first: segment.start,
                    next: segment.end,
                    all: 5_000,
                    fell_back: false,
                    has_failed: false,
                };
                progress.learn(Policy::Auto, choice, &outcome, found);
                progress.next_sequential
            };
        let cheap = |length| Some((length, Reason::ShortTransactions));
        let mut progress = Progress::new(Policy::Auto, true);
        assert_eq!(sequential(&mut progress, &trial, 0..128, true), cheap(1_024));
        let choice = choice(Strategy::Sequential, Reason::ShortTransactions, 5_000);
        assert_eq!(sequential(&mut progress, &choice, 128..1_152, true), cheap(8_192));
        assert_eq!(sequential(&mut progress, &choice, 1_152..4_000, false), None);
        assert_eq!(sequential(&mut progress, &choice, 4_000..5_000, true), None);
    }

    #[test]
    fn the_more_workers_the_cheaper_transactions_are_shared_out() {
        let of = |units, accesses| Work { units, accesses };
        let least = |workers| (0..20_000).find(|each| !is_cheap(10, of(each * 10, 0), workers));
        let expected = [Some(11_000), Some(5_500), Some(3_667), Some(1_572)];
        assert_eq!([2, 3, 4, 8].map(least), expected);
        assert!(is_cheap(10, of(1_000_000, 0), 1));
        // Each access takes longer when it is shared.
        let found = |accesses, workers| is_mostly_access(of(1_000_000, accesses), workers);
        assert_eq!([0, 1_666, 1_667].map(|it| found(it, 2)), [false, false, true]);
        assert_eq!([1_667, 3_333, 3_334].map(|it| found(it, 3)), [false, false, true]);
    }

    /// Segments never become empty: each round of a pool tries again, and an empty segment would
    /// never end.
    #[test]
    fn segments_in_order_get_longer_and_never_empty() {
        let choice = choice(Strategy::AccessList, Reason::AccessList, 256);
        let outcome =
            SegmentOutcome { first: 0, next: 0, all: 256, fell_back: false, has_failed: false };
        let mut progress = Progress::new(Policy::Auto, true);
        let mut last = 0;
        for _ in 0..200 {
            progress.learn(Policy::Auto, &choice, &outcome, SegmentFindings::default());
            let (length, _) = progress.next_sequential.expect("some run sequentially");
            assert!(length > 0 && length >= last, "{length} after {last}");
            last = length;
        }
    }
}
