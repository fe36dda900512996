//! How long rounds of lanes are, what is in one, and whether they pay.

use super::exec::input::{Block, regular_gas_limit};
use super::plan::{may_fit, ties};
use crate::schedule::{Lanes, Ties, lanes};
use core::ops::Range;
use foldhash::fast::RandomState;
use revm::context::TxEnv;

/// Lanes for each worker: one that is done with its lane takes the next, so that all end at about
/// the same time.
const LANES_EACH: usize = 2;
/// Transactions of the shortest round: the longer it is, the more meet in it, however many run it.
const SHORTEST: usize = 64;
/// Transactions of the longest round for each worker.
const LONGEST_EACH: usize = 64;
/// Workers for which it grows.
const LONGEST_FOR: usize = 8;
/// Lanes are given up where one transaction was wasted for this number that were not, beside a few
/// in the beginning: that much of the shortest round counts as if it had paid. Speculation wastes
/// less there.
const WASTE: usize = 24;
const ALLOWED: usize = 24;
/// Rounds in a row in which nothing was wasted before the first longer one.
const PATIENCE: u32 = 3;
/// Transactions of a round where lanes are forced, and those that run in order after it.
const FORCED: usize = 7;
pub(super) const TURN: usize = 2;

/// How lanes come on.
#[derive(Debug)]
pub(super) struct Pace {
    length: usize,
    longest: usize,
    adopted: usize,
    discarded: usize,
    /// Rounds in which nothing was wasted since one was, and how many there have to be before they
    /// get longer.
    good: u32,
    patience: u32,
    /// The last round had one that was too long beside all else.
    is_tight: bool,
    is_forced: bool,
    is_over: bool,
}

impl Pace {
    pub(super) const fn new(workers: usize) -> Self {
        let longest = LONGEST_EACH * if workers < LONGEST_FOR { workers } else { LONGEST_FOR };
        Self {
            length: SHORTEST,
            longest,
            adopted: 0,
            discarded: 0,
            good: 0,
            patience: PATIENCE,
            is_tight: false,
            is_forced: false,
            is_over: false,
        }
    }

    /// One round, whatever it brings.
    pub(super) const fn forced() -> Self {
        Self { length: FORCED, is_forced: true, ..Self::new(1) }
    }

    /// Transactions of the next round.
    pub(super) const fn length(&self) -> usize {
        self.length
    }

    /// Whether no more rounds are to be run.
    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether lanes were of use.
    pub(super) const fn has_paid(&self) -> bool {
        self.adopted > 0 && !self.is_wasteful()
    }

    const fn is_wasteful(&self) -> bool {
        WASTE * self.discarded > self.adopted + ALLOWED * SHORTEST
    }

    /// Whether a round in these `lanes` can pay for `workers` workers. If not, a shorter one may.
    pub(super) const fn allows(&mut self, lanes: &Lanes, workers: usize) -> bool {
        let Lanes { heaviest, total, .. } = *lanes;
        self.is_tight = heaviest.saturating_mul(workers as u64) > total.saturating_add(total / 4);
        let is_chain = lanes.lanes.len() < 2 || heaviest > total / 4 * 3;
        if self.is_forced {
            // A single lane would do, but there has to be one.
            self.is_over = lanes.lanes.is_empty();
            return !self.is_over;
        }
        self.is_over = is_chain && self.length == SHORTEST;
        if is_chain {
            self.shorten();
        }
        !is_chain
    }

    const fn shorten(&mut self) {
        let half = self.length / 2;
        self.length = if half > SHORTEST { half } else { SHORTEST };
    }

    /// A round committed `adopted` transactions, and `discarded` more of it were wasted or have not
    /// run.
    pub(super) const fn ran(&mut self, adopted: usize, discarded: usize) {
        self.adopted += adopted;
        self.discarded += discarded;
        if discarded > 0 {
            // The longer a round the more meet in it: it grows again, but later.
            self.shorten();
            (self.good, self.patience) = (0, self.patience.saturating_mul(2));
        } else if self.is_tight {
            self.shorten();
        } else {
            self.good += 1;
            if self.good >= self.patience && self.length < self.longest {
                let double = self.length * 2;
                self.length = if double < self.longest { double } else { self.longest };
                self.good = 0;
            }
        }
        self.is_over = self.is_forced || self.is_wasteful();
    }
}

/// Shares the transactions of `round` out among lanes, as far as each of them alone has room in the
/// block, which has used `used` gas so far.
///
/// `begun`: number of transactions that one of the `workers` folds first.
pub(super) fn plan_round(
    block: &Block,
    round: Range<usize>,
    used: u64,
    (workers, begun): (usize, usize),
) -> Lanes {
    /// About a microsecond for each.
    const FOLDING: u64 = 1;
    let first = round.start;
    let room = block.env.gas_limit.saturating_sub(used);
    let transactions = block.transactions.get(round).unwrap_or_default().iter();
    let fitting = transactions.take_while(|tx| may_fit(block, tx, room));
    let hasher = RandomState::default();
    let ties: Vec<_> = fitting.map(|tx| tied(block, tx, &hasher)).collect();
    let mut shared = lanes(&ties, LANES_EACH * workers, FOLDING * begun as u64);
    shared.lanes.iter_mut().flatten().for_each(|place| *place += first);
    shared
}

/// What ties a transaction to others, and how long it will probably run.
fn tied(block: &Block, tx: &TxEnv, hasher: &RandomState) -> Ties {
    const TRANSFER: u64 = 3;
    /// Gas that a call asks for, of which it will probably use about a microsecond's worth.
    const ASKED_IN_A_MICROSECOND: u64 = 4_000;
    let weight = if tx.data.is_empty() {
        TRANSFER
    } else {
        TRANSFER + regular_gas_limit(block, tx.gas_limit) / ASKED_IN_A_MICROSECOND
    };
    Ties { weight, keys: ties(tx, hasher) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::Address;

    fn shared(heaviest: u64, total: u64) -> Lanes {
        Lanes { lanes: vec![vec![0], vec![1]], heaviest, total }
    }

    #[test]
    fn rounds_get_longer_while_they_pay_and_shorter_where_they_do_not() {
        let mut pace = Pace::new(2);
        let lengths: Vec<_> = (0..8)
            .map(|_| {
                assert!(pace.allows(&shared(10, 100), 2) && !pace.is_over());
                pace.ran(pace.length(), 0);
                pace.length()
            })
            .collect();
        assert_eq!(lengths, [64, 64, 128, 128, 128, 128, 128, 128]);
        pace.ran(100, 28);
        assert_eq!(pace.length(), 64);
        // One lane that is too long beside the others.
        (0..9).for_each(|_| pace.ran(64, 0));
        assert_eq!(pace.length(), 128);
        assert!(pace.allows(&shared(70, 100), 2));
        pace.ran(128, 0);
        assert_eq!(pace.length(), 64);
        assert!(pace.has_paid());
    }

    #[test]
    fn rounds_are_as_long_as_workers_can_share() {
        for (workers, longest) in [(1, 64), (2, 128), (3, 192), (5, 320), (8, 512), (64, 512)] {
            let mut pace = Pace::new(workers);
            assert_eq!(pace.length(), 64);
            (0..20).for_each(|_| pace.ran(pace.length(), 0));
            assert_eq!(pace.length(), longest);
        }
    }

    #[test]
    fn chains_end_lanes_where_shorter_rounds_do_not_help() {
        let mut pace = Pace::new(2);
        (0..3).for_each(|_| pace.ran(64, 0));
        assert!(!pace.allows(&shared(90, 100), 2) && !pace.is_over() && pace.length() == 64);
        assert!(!pace.allows(&shared(90, 100), 2) && pace.is_over());
        // What was done before has paid.
        assert!(pace.has_paid());
        assert!(!Pace::new(2).has_paid());
    }

    #[test]
    fn waste_ends_lanes_but_a_little_never_does() {
        let mut pace = Pace::new(2);
        for _ in 0..100 {
            pace.ran(63, 1);
            assert!(!pace.is_over());
        }
        let rounds = (0..1_000).take_while(|_| {
            pace.ran(40, 24);
            !pace.is_over()
        });
        assert!((5..20).contains(&rounds.count()) && !pace.has_paid());
    }

    #[test]
    fn forced_rounds_run_whatever_they_bring() {
        let mut pace = Pace::forced();
        assert!(pace.allows(&Lanes { lanes: vec![vec![0]], heaviest: 5, total: 5 }, 1));
        assert!(!pace.allows(&Lanes::default(), 1) && pace.is_over());
    }

    #[test]
    fn a_round_ends_before_what_has_no_room() {
        let tx = |gas_limit: u64| {
            let caller = Address::left_padding_from(&gas_limit.to_be_bytes());
            TxEnv { gas_limit, caller, ..TxEnv::default() }
        };
        let transactions = [30_000, 40_000, 90_000, 20_000].map(tx).into();
        let mut block = Block { transactions, ..Block::default() };
        block.env.gas_limit = 100_000;
        let places = |used| -> Vec<usize> {
            let lanes = plan_round(&block, 1..4, used, (2, 0)).lanes;
            let mut places: Vec<_> = lanes.into_iter().flatten().collect();
            places.sort_unstable();
            places
        };
        assert_eq!(places(0), [1, 2, 3]);
        assert_eq!(places(20_000), [1]);
        assert!(places(70_000).is_empty());
    }
}
