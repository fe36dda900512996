//! What a block has shown so far.

use super::choice::{Choice, Tried};
use super::strategy::{Reason, Strategy};
use super::trials::Trials;
use crate::config::{Forced, Policy};

/// Transactions that run in order between forced batches of neighbours, and between forced rounds.
const PARTS_TURN: usize = 3;
const LANES_TURN: usize = 2;

/// What became of a stretch.
#[derive(Clone, Copy, Debug)]
pub(in crate::evm) struct Outcome {
    /// Its first transaction, and the first one that has not committed.
    pub(in crate::evm) first: usize,
    pub(in crate::evm) next: usize,
    /// The end of the block, as far as it is known.
    pub(in crate::evm) all: usize,
    /// Speculation was given up, as most of it was discarded.
    pub(in crate::evm) was_given_up: bool,
    /// It ended with an error.
    pub(in crate::evm) has_failed: bool,
    /// Batches of tied transactions were of use.
    pub(in crate::evm) has_paid: bool,
}

/// What a block has shown so far. It lasts over the rounds of a pool.
#[derive(Clone, Copy, Debug)]
pub(in crate::evm) struct Progress {
    /// What was tried, or would have been, but for what earlier blocks have shown.
    pub(super) tried: Tried,
    pub(super) trials: Trials,
    /// Transactions that run in order next, and why.
    pub(super) in_order: Option<(usize, Reason)>,
    /// The stretch in order that came last where the block's list told too little.
    unexpected: usize,
}

impl Progress {
    /// Of a block of which nothing has run. `gives_up`: speculation may be given up.
    pub(in crate::evm) const fn new(policy: Policy, gives_up: bool) -> Self {
        Self {
            tried: Tried { neighbours: false, groups: false },
            trials: Trials::new(policy, gives_up),
            in_order: None,
            unexpected: 1,
        }
    }

    /// Remembers what became of `choice`.
    pub(in crate::evm) fn learn(&mut self, policy: Policy, choice: &Choice, outcome: &Outcome) {
        let committed = outcome.next.saturating_sub(outcome.first);
        self.tried.neighbours |= choice.untried.neighbours;
        self.tried.groups |= choice.untried.groups;
        self.in_order = None;
        match choice.strategy {
            Strategy::InOrder => {}
            Strategy::Neighbours => {
                self.tried.neighbours = true;
                self.in_order = take_turns(policy, Policy::Forced(Forced::Neighbours), PARTS_TURN);
            }
            Strategy::Groups => {
                self.tried.groups = true;
                self.in_order = take_turns(policy, Policy::Forced(Forced::Groups), LANES_TURN);
            }
            Strategy::AccessList => {
                // The more often batches end early the more runs in order, so that what is thrown
                // away is bounded.
                self.unexpected = if committed > self.unexpected { 1 } else { 2 * self.unexpected };
                self.in_order = Some((self.unexpected, Reason::Unexpected));
            }
            Strategy::Speculative if outcome.was_given_up => {
                self.in_order = Some((self.trials.wasted(committed), Reason::Discarded));
            }
            Strategy::Speculative if outcome.next < outcome.all => self.trials.paid(),
            Strategy::Speculative => {}
        }
    }
}

/// What follows a stretch if `forced` is the policy.
fn take_turns(policy: Policy, forced: Policy, turn: usize) -> Option<(usize, Reason)> {
    (policy == forced).then_some((turn, Reason::Policy))
}
