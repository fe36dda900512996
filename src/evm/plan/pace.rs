//! Length of rounds of batches, and whether they pay.

use super::thresholds::{FARTHEST, MOST_OF_FIVE, OFTEN_ONE_IN, SHORT, TRIAL_TIMES};
use crate::schedule::Lanes;

/// Transactions of a forced round, and forced rounds in a row: the changes of one are folded while
/// the next one runs.
const FORCED_ROUND: usize = 4;
const FORCED_ROUNDS: u32 = 2;

/// Whether most of a round is one group of dependent transactions, for which other workers would
/// wait.
pub(in crate::evm) const fn is_chain(round: &Lanes) -> bool {
    round.lanes.len() < 2 || round.heaviest > round.total / 5 * MOST_OF_FIVE
}

/// Progress of the rounds of a segment.
#[derive(Debug)]
pub(in crate::evm) struct Pace {
    length: usize,
    longest: usize,
    /// Length of the next round if a round of `length` turned out to be one group; otherwise 0.
    reach: usize,
    batched: usize,
    aborts: usize,
    /// Transactions that waited until everything before them had committed, because a transaction
    /// of their batch had to.
    held: usize,
    /// Number of consecutive rounds without waste; when it reaches `patience`, rounds get longer.
    good: usize,
    patience: usize,
    /// Whether the last round had a group that was too heavy compared with all others.
    is_tight: bool,
    /// Forced rounds left, which run whatever their outcome; `None` if rounds are not forced.
    forced: Option<u32>,
    is_over: bool,
    /// Whether the transactions of the last round were too cheap to share.
    is_cheap: bool,
}

impl Pace {
    /// Creates the pace of rounds for `workers` workers.
    pub(in crate::evm) const fn new(workers: usize) -> Self {
        Self {
            length: SHORT,
            longest: SHORT * workers,
            reach: 0,
            batched: 0,
            aborts: 0,
            held: 0,
            good: 0,
            patience: TRIAL_TIMES,
            is_tight: false,
            forced: None,
            is_over: false,
            is_cheap: false,
        }
    }

    /// Creates the pace of a few forced rounds, which run whatever their outcome.
    pub(in crate::evm) const fn forced() -> Self {
        Self { length: FORCED_ROUND, forced: Some(FORCED_ROUNDS), ..Self::new(1) }
    }

    /// Length of the next round.
    pub(in crate::evm) const fn length(&self) -> usize {
        if self.reach > self.length { self.reach } else { self.length }
    }

    /// Whether the rounds of this segment are over.
    pub(in crate::evm) const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether the rounds have paid.
    pub(in crate::evm) const fn have_paid(&self) -> bool {
        self.batched > 0 && !self.is_wasteful() && !self.is_cheap
    }

    /// Whether too many transactions have waited or were aborted, beyond an allowance of [`SHORT`]
    /// of either kind. Waiting counts because speculation, unlike rounds, continues meanwhile.
    const fn is_wasteful(&self) -> bool {
        self.is_too_much(OFTEN_ONE_IN, self.held) || self.is_too_much(SHORT, self.aborts)
    }

    const fn is_too_much(&self, committed_for_each: usize, count: usize) -> bool {
        committed_for_each * count > self.batched + committed_for_each * SHORT
    }

    /// Whether a round in these `lanes` can pay for `workers` workers. If not, a shorter one may,
    /// or a longer one that looks further ahead, unless the round `has_rest`: it contains all
    /// remaining transactions.
    pub(in crate::evm) const fn allows(
        &mut self,
        lanes: &Lanes,
        workers: usize,
        has_rest: bool,
    ) -> bool {
        let Lanes { heaviest, total, .. } = *lanes;
        let most = heaviest.saturating_mul(MOST_OF_FIVE);
        self.is_tight = most.saturating_mul(workers as u64) > total.saturating_mul(5);
        let is_chain = is_chain(lanes);
        if self.forced.is_some() {
            // A single lane is enough, but there must be one.
            self.is_over = lanes.lanes.is_empty();
            return !self.is_over;
        }
        let looks_ahead = self.reach > 0 || (is_chain && self.length == SHORT);
        if looks_ahead && (is_chain || self.is_tight) && !has_rest && self.length() < FARTHEST {
            self.reach = 2 * self.length();
            return false;
        }
        self.is_over = is_chain && looks_ahead;
        if is_chain {
            self.shorten();
        }
        !is_chain
    }

    const fn shorten(&mut self) {
        let half = self.length / 2;
        self.length = if half > SHORT { half } else { SHORT };
    }

    /// Records a round that has committed `batched` transactions and aborted `aborts` runs.
    /// `held`: committed transactions that waited until everything before them had committed.
    /// `is_cheap`: the transactions were too cheap to share.
    pub(in crate::evm) const fn ran(
        &mut self,
        batched: usize,
        aborts: usize,
        held: usize,
        is_cheap: bool,
    ) {
        self.batched += batched;
        self.aborts += aborts;
        self.held += held;
        if let Some(left) = &mut self.forced {
            *left = left.saturating_sub(1);
            self.is_over = *left == 0;
            return;
        }
        let has_reached = core::mem::replace(&mut self.reach, 0) > 0;
        if aborts > 0 {
            // Longer rounds have more conflicts. Rounds get longer again, but later than before.
            self.shorten();
            (self.good, self.patience) = (0, self.patience.saturating_mul(2));
        } else if self.is_tight {
            self.shorten();
        } else if !has_reached {
            self.good += 1;
            if self.good >= self.patience && self.length < self.longest {
                let double = self.length * 2;
                self.length = if double < self.longest { double } else { self.longest };
                self.good = 0;
            }
        }
        self.is_cheap = is_cheap;
        self.is_over = is_cheap || self.is_wasteful();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(heaviest: u64, total: u64) -> Lanes {
        Lanes { lanes: vec![vec![0], vec![1]], heaviest, total }
    }

    #[test]
    fn rounds_get_longer_while_they_pay_and_shorter_where_they_do_not() {
        let mut pace = Pace::new(2);
        let lengths: Vec<_> = (0..8)
            .map(|_| {
                assert!(pace.allows(&shared(10, 100), 2, false) && !pace.is_over());
                pace.ran(pace.length(), 0, 0, false);
                pace.length()
            })
            .collect();
        assert_eq!(lengths, [64, 128, 128, 128, 128, 128, 128, 128]);
        pace.ran(100, 28, 0, false);
        assert_eq!(pace.length(), 64);
        // One lane is too heavy compared with the others.
        (0..9).for_each(|_| pace.ran(64, 0, 0, false));
        assert_eq!(pace.length(), 128);
        assert!(pace.allows(&shared(70, 100), 2, false));
        pace.ran(128, 0, 0, false);
        assert_eq!(pace.length(), 64);
        assert!(pace.have_paid());
    }

    #[test]
    fn rounds_are_as_long_as_workers_can_share() {
        for (workers, longest) in [(1, 64), (2, 128), (3, 192), (5, 320), (8, 512)] {
            let mut pace = Pace::new(workers);
            assert_eq!(pace.length(), 64);
            (0..20).for_each(|_| pace.ran(pace.length(), 0, 0, false));
            assert_eq!(pace.length(), longest);
        }
    }

    #[test]
    fn chains_end_lanes_where_shorter_rounds_do_not_help() {
        let mut pace = Pace::new(2);
        (0..3).for_each(|_| pace.ran(64, 0, 0, false));
        assert!(!pace.allows(&shared(90, 100), 2, true) && !pace.is_over() && pace.length() == 64);
        assert!(!pace.allows(&shared(90, 100), 2, true) && pace.is_over());
        // Earlier rounds have paid.
        assert!(pace.have_paid());
        assert!(!Pace::new(2).have_paid());
    }

    #[test]
    fn a_worker_looks_ahead_where_one_group_has_a_round() {
        let mut pace = Pace::new(4);
        // At first a chain, then two groups, which is fewer than four workers can run, then five.
        for (heaviest, total, length) in [(64, 64, 128), (128, 128, 256), (150, 256, 512)] {
            assert!(!pace.allows(&shared(heaviest, total), 4, false) && !pace.is_over());
            assert_eq!(pace.length(), length);
        }
        assert!(pace.allows(&shared(150, 512), 4, false));
        // The next round looks only at the nearest transactions again.
        pace.ran(512, 0, 0, false);
        assert_eq!(pace.length(), 64);
        // There are only two groups, near or far.
        while !pace.allows(&shared(60, 100), 4, false) {}
        let looks =
            (0..).take_while(|_| !pace.allows(&shared(85, 100), 4, false) && !pace.is_over());
        assert_eq!((looks.count(), pace.length()), (6, FARTHEST));
    }

    #[test]
    fn waste_ends_lanes_but_a_little_never_does() {
        let mut pace = Pace::new(2);
        for _ in 0..100 {
            pace.ran(63, 1, 0, false);
            assert!(!pace.is_over());
        }
        let rounds = (0..1_000).take_while(|_| {
            pace.ran(56, 8, 0, false);
            !pace.is_over()
        });
        assert!((5..20).contains(&rounds.count()) && !pace.have_paid());
    }

    #[test]
    fn rounds_end_where_many_wait_for_all_before_them() {
        let mut pace = Pace::new(2);
        pace.ran(64, 0, 64, false);
        assert!(!pace.is_over());
        pace.ran(64, 0, 16, false);
        assert!(pace.is_over() && !pace.have_paid());
        // Now and then one transaction of a round waits, with those that follow it.
        let mut pace = Pace::new(2);
        for round in 0..100 {
            pace.ran(128, 0, if round % 4 == 0 { 32 } else { 0 }, false);
            assert!(!pace.is_over(), "{round}");
        }
    }

    #[test]
    fn rounds_end_where_transactions_are_cheap_and_have_not_paid() {
        let mut pace = Pace::new(2);
        pace.ran(64, 0, 0, false);
        assert!(!pace.is_over() && pace.have_paid());
        pace.ran(64, 0, 0, true);
        assert!(pace.is_over() && !pace.have_paid());
    }

    #[test]
    fn forced_rounds_run_whatever_they_bring() {
        let mut pace = Pace::forced();
        assert!(pace.allows(&Lanes { lanes: vec![vec![0]], heaviest: 5, total: 5 }, 1, false));
        assert!(!pace.allows(&Lanes::default(), 1, false) && pace.is_over());
    }
}
