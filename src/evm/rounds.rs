//! How long rounds of lanes are, what is in one, and whether they pay.

use super::block::Block;
use super::plan::regular_gas_limit;
use crate::schedule::{Lanes, Ties, lanes};
use alloy_primitives::{Address, U256};
use core::hash::BuildHasher;
use core::ops::Range;
use foldhash::fast::RandomState;
use revm::context::TxEnv;

/// Lanes for each worker: whoever is done with one takes the next, so that all end at about the same time.
const LANES_EACH: usize = 2;
/// Transactions for each worker in the shortest round, and in the longest.
const ROUND: (usize, usize) = (32, 64);
/// Rounds in a row in which nothing was in vain before the first longer one.
const PATIENCE: u32 = 3;
/// Rounds in a row that are mostly one chain, from which on lanes are given up.
const ENOUGH_CHAINS: u32 = 3;
/// Transactions of a round where lanes are forced, and those that run in order after it.
const FORCED: usize = 7;
pub(super) const TURN: usize = 2;

/// How lanes come on.
#[derive(Debug)]
pub(super) struct Pace {
    length: usize,
    shortest: usize,
    longest: usize,
    adopted: usize,
    discarded: usize,
    /// Rounds in a row that were mostly one chain.
    chains: u32,
    /// Rounds in a row in which nothing was in vain, and how many there have to be before they get longer.
    good: u32,
    patience: u32,
    /// The last round had one that was too long beside all else.
    is_tight: bool,
    is_forced: bool,
    is_over: bool,
}

impl Pace {
    pub(super) const fn new(workers: usize) -> Self {
        let (shortest, longest) = (ROUND.0 * workers, ROUND.1 * workers);
        Self {
            length: shortest,
            shortest,
            longest,
            adopted: 0,
            discarded: 0,
            chains: 0,
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

    /// Whether lanes were of use to the end.
    pub(super) const fn has_paid(&self) -> bool {
        !self.is_over
    }

    /// Whether a round in these `lanes` can pay for `workers` workers. If not, the next one is shorter.
    pub(super) const fn allows(&mut self, lanes: &Lanes, workers: usize) -> bool {
        let Lanes { heaviest, total, .. } = *lanes;
        self.is_tight = heaviest.saturating_mul(workers as u64) > total.saturating_add(total / 4);
        let is_chain = lanes.lanes.len() < 2 || heaviest > total / 4 * 3;
        if self.is_forced {
            // A single lane would do, but there has to be one.
            self.is_over = lanes.lanes.is_empty();
            return !self.is_over;
        }
        if !is_chain {
            self.chains = 0;
            return true;
        }
        self.chains += 1;
        self.is_over = self.chains >= ENOUGH_CHAINS;
        self.shorten();
        false
    }

    const fn shorten(&mut self) {
        let half = self.length / 2;
        self.length = if half > self.shortest { half } else { self.shortest };
    }

    /// A round came to so many transactions, and as many were in vain.
    pub(super) const fn ran(&mut self, adopted: usize, discarded: usize) {
        self.adopted += adopted;
        self.discarded += discarded;
        if discarded > 0 {
            // The longer a round the more meet in it: it grows again, but later.
            self.shorten();
            (self.good, self.patience) = (0, self.patience * 2);
        } else if self.is_tight {
            self.shorten();
        } else {
            self.good += 1;
            if self.good >= self.patience && self.length < self.longest {
                (self.good, self.length) = (0, self.length * 2);
            }
        }
        self.is_over = self.is_forced || 4 * self.discarded > self.adopted + self.shortest / 2;
    }
}

/// Shares the transactions of `round` out among lanes, as far as each of them alone has room in the block,
/// which has used `used` gas so far.
pub(super) fn plan_round(block: &Block, round: Range<usize>, used: u64, workers: usize) -> Lanes {
    let first = round.start;
    let room = block.env.gas_limit.saturating_sub(used);
    let transactions = block.transactions.get(round).unwrap_or_default().iter();
    // What will be refused is not run for nothing; its gas may be absurd (I9).
    let fitting = transactions.take_while(|tx| regular_gas_limit(block, tx.gas_limit) <= room);
    let hasher = RandomState::default();
    let ties: Vec<_> = fitting.map(|tx| ties(block, tx, &hasher)).collect();
    let mut shared = lanes(&ties, LANES_EACH * workers);
    shared.lanes.iter_mut().flatten().for_each(|place| *place += first);
    shared
}

/// What ties a transaction to others: its sender, what it calls, and whom it pays. Calls of one function with
/// the same first argument probably have to do with each other: that is the pool of a router, the receiver of a
/// token.
fn ties(block: &Block, tx: &TxEnv, hasher: &RandomState) -> Ties {
    const TRANSFER: u64 = 3;
    /// Gas that a call asks for, of which it will probably use about a microsecond's worth.
    const ASKED_IN_A_MICROSECOND: u64 = 4_000;
    let account = |address: Address| Some(hasher.hash_one(address));
    let to = tx.kind.to().copied();
    let call = to.zip(tx.data.get(..4)).map(|(to, selector)| {
        let argument = tx.data.get(4..).unwrap_or_default();
        hasher.hash_one((to, selector, argument.get(..32).unwrap_or(argument)))
    });
    let paid = to.filter(|_| tx.value > U256::ZERO || tx.data.is_empty()).and_then(account);
    let weight = if tx.data.is_empty() {
        TRANSFER
    } else {
        TRANSFER + regular_gas_limit(block, tx.gas_limit) / ASKED_IN_A_MICROSECOND
    };
    Ties { weight, keys: [account(tx.caller), call, paid] }
}
