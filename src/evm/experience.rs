//! What earlier blocks have shown of contracts: whose calls need each other, one after the other.
//!
//! Only speed depends on it. What it holds depends on schedules; no result does.

use super::longest::Longest;
use super::plan::weigh;
use alloy_primitives::Address;
use core::hash::BuildHasher;
use foldhash::fast::RandomState;
use revm::context::TxEnv;
use std::collections::HashMap;

/// Calls that are remembered, at most: about a quarter of a megabyte. One that comes to the place
/// of another takes it.
const PLACES: usize = 4096;
/// Stretches of nothing but one contract's calls that were given up, with none that went through in
/// between, from which on the next one is not tried.
const ENOUGH: u8 = 3;
/// Stretches that ran in order for it until one is tried again: contracts change, and so do their
/// callers.
const BELIEVED_FOR: u8 = 32;

/// Twice as many blocks go untried each time after lanes have not paid, up to two to this power.
const MOST_SKIPPED: u32 = 6;

/// What is called: a contract, which of its functions, and the first argument. Calls of one router
/// have as much to do with each other as the pools that they name, transfers of one token as much
/// as those who receive them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Call {
    contract: Address,
    selector: [u8; 4],
    argument: [u8; 32],
}

impl Call {
    pub(super) fn of(tx: &TxEnv) -> Option<Self> {
        let (selector, rest) = tx.data.split_first_chunk()?;
        let argument = rest.first_chunk().copied().unwrap_or_default();
        Some(Self { contract: *tx.kind.to()?, selector: *selector, argument })
    }
}

/// What is known of a call.
#[derive(Clone, Copy, Debug)]
struct Known {
    call: Call,
    /// Stretches that were given up, up to [`ENOUGH`].
    given_up: u8,
    /// Stretches that were not even tried since then.
    believed: u8,
}

/// What earlier blocks have shown, in bounded memory.
#[derive(Debug, Default)]
pub(crate) struct Experience {
    /// By hash; empty until there is something to remember.
    known: Vec<Option<Known>>,
    hasher: RandomState,
    /// Of transactions that take long.
    pub(super) longest: Longest,
    /// Of lanes.
    pub(super) lanes: Backoff,
    /// Of parts, in short blocks.
    pub(super) short_parts: Backoff,
}

/// When something is tried again after it has not paid.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    /// Blocks in a row for which they have not, up to [`MOST_SKIPPED`].
    failures: u32,
    /// Blocks that are not tried.
    skips: u32,
}

impl Backoff {
    /// Whether the next block is to be tried. Each time it says no counts.
    pub(super) const fn tries(&mut self) -> bool {
        let tries = self.skips == 0;
        self.skips = self.skips.saturating_sub(1);
        tries
    }

    /// Remembers whether it has paid for a block.
    pub(super) fn learn(&mut self, has_paid: bool) {
        let failures = if has_paid { 0 } else { MOST_SKIPPED.min(self.failures + 1) };
        *self = Self { failures, skips: (1 << failures) - 1 };
    }
}

impl Experience {
    /// Remembers that `stretch` was shared out, and whether that was given up.
    pub(super) fn learn(&mut self, stretch: &[TxEnv], was_given_up: bool) {
        if self.known.is_empty() {
            if !was_given_up {
                return;
            }
            self.known = vec![None; PLACES];
        }
        let Some(contract) = contract_of_most(stretch, |_| true) else { return };
        for (call, times) in calls_of(contract, stretch) {
            let Some(place) = self.place(&call) else { continue };
            if was_given_up && times < 2 {
                // No later block needs it; and there may be hundreds of such.
                continue;
            }
            let known = place.filter(|known| known.call == call);
            let given_up = known.map_or(0, |known| known.given_up);
            let given_up = if was_given_up { ENOUGH.min(given_up + 1) } else { 0 };
            if given_up > 0 || known.is_some() {
                *place = Some(Known { call, given_up, believed: 0 });
            }
        }
    }

    /// Whether `transactions` are known for giving up: almost all that they may do is calls of one
    /// contract that need each other. Each time it says so counts.
    pub(super) fn expects_chain(&mut self, transactions: &[TxEnv]) -> bool {
        if self.known.is_empty() || transactions.len() < 2 {
            return false;
        }
        let contract = contract_of_most(transactions, |call| self.is_chain(call));
        let Some(contract) = contract else { return false };
        for (call, _) in calls_of(contract, transactions) {
            let Some(Some(known)) = self.place(&call) else { continue };
            if known.call != call || known.given_up < ENOUGH {
                continue;
            }
            known.believed += 1;
            if known.believed == BELIEVED_FOR {
                // One more that is given up is enough then.
                (known.given_up, known.believed) = (ENOUGH - 1, 0);
            }
        }
        true
    }

    fn is_chain(&self, call: &Call) -> bool {
        let known = self.known.get(self.index(call)).copied().flatten();
        known.is_some_and(|known| known.call == *call && known.given_up >= ENOUGH)
    }

    fn place(&mut self, call: &Call) -> Option<&mut Option<Known>> {
        let index = self.index(call);
        self.known.get_mut(index)
    }

    fn index(&self, call: &Call) -> usize {
        self.hasher.hash_one(call) as usize % PLACES
    }
}

/// The contract whose calls - of those that `counts` says yes to - hold almost all of the gas
/// limits, as far as a sample tells.
fn contract_of_most(transactions: &[TxEnv], counts: impl Fn(&Call) -> bool) -> Option<Address> {
    const SAMPLE: usize = 1_024;
    let step = transactions.len().div_ceil(SAMPLE).max(1);
    let weights = transactions.iter().step_by(step).map(|tx| {
        let call = Call::of(tx).filter(&counts);
        (call.map(|call| call.contract), u128::from(tx.gas_limit))
    });
    weigh(weights).1.flatten()
}

/// How `contract` is called, and how often.
fn calls_of(contract: Address, transactions: &[TxEnv]) -> HashMap<Call, usize, RandomState> {
    let mut calls = HashMap::default();
    let all = transactions.iter().filter_map(Call::of);
    for call in all.filter(|call| call.contract == contract) {
        *calls.entry(call).or_default() += 1;
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Bytes, TxKind};

    fn call(contract: u16, selector: u8) -> TxEnv {
        TxEnv {
            kind: TxKind::Call(Address::left_padding_from(&contract.to_be_bytes())),
            data: Bytes::from(vec![selector; 36]),
            gas_limit: 100_000,
            ..TxEnv::default()
        }
    }

    fn taught(stretch: &[TxEnv]) -> Experience {
        let mut experience = Experience::default();
        for _ in 0..ENOUGH {
            assert!(!experience.expects_chain(stretch));
            experience.learn(stretch, true);
        }
        experience
    }

    #[test]
    fn who_was_given_up_again_and_again_is_not_tried() {
        let stretch = [7, 8, 7, 8, 7].map(|selector| call(1, selector));
        let stretch = [&stretch[..], &[call(2, 7)]].concat();
        let mut experience = taught(&stretch);
        assert!(experience.expects_chain(&stretch));
        // The same contract's other function, another contract, both mixed, and another argument.
        let elsewhere = TxEnv { data: Bytes::from([[7; 18], [1; 18]].concat()), ..call(1, 7) };
        for others in [
            [call(1, 9), call(1, 9)],
            [call(2, 7), call(2, 7)],
            [call(1, 7), call(3, 7)],
            [elsewhere.clone(), elsewhere],
        ] {
            assert!(!experience.expects_chain(&others));
        }
        assert!(!experience.expects_chain(&stretch[..1]), "one has no other to wait for");
        // What follows the first argument does not count, and where there is none it is zero.
        let longer = TxEnv { data: Bytes::from([7; 60].as_slice()), ..call(1, 7) };
        assert!(experience.expects_chain(&[longer.clone(), call(1, 7), longer]));
        let short = |input: &'static [u8]| TxEnv { data: Bytes::from(input), ..call(1, 7) };
        let mut experience = taught(&[short(&[7; 4]), short(&[7; 4])]);
        assert!(experience.expects_chain(&[short(&[7; 4]), short(&[7, 7, 7, 7, 1])]));
        assert!(!experience.expects_chain(&[short(&[7; 3]), short(&[7; 3])]), "no function");
    }

    #[test]
    fn one_stretch_that_goes_through_is_forgiven_all() {
        let stretch = [call(1, 7), call(1, 7)];
        let mut experience = taught(&stretch);
        experience.learn(&stretch, false);
        for _ in 1..ENOUGH {
            experience.learn(&stretch, true);
            assert!(!experience.expects_chain(&stretch));
        }
    }

    #[test]
    fn what_was_not_tried_for_long_is_tried_once() {
        let stretch = [call(1, 7), call(1, 7)];
        let mut experience = taught(&stretch);
        for _ in 0..3 {
            for _ in 0..BELIEVED_FOR {
                assert!(experience.expects_chain(&stretch));
            }
            assert!(!experience.expects_chain(&stretch));
            experience.learn(&stretch, true);
        }
    }

    #[test]
    fn many_contracts_that_are_given_up_together_tell_nothing() {
        let stretch: Vec<_> = (0..20).map(|contract| call(contract, 7)).collect();
        let payments = vec![TxEnv { gas_limit: 21_000, ..TxEnv::default() }; 20];
        for stretch in [stretch, payments] {
            let experience = taught(&stretch);
            assert!(experience.known.iter().all(Option::is_none));
        }
    }

    /// Arguments that come once do not drive out what is known.
    #[test]
    fn calls_that_are_not_repeated_are_not_remembered() {
        let stretch = [call(1, 7), call(1, 7)];
        let mut experience = taught(&stretch);
        let recipients = (0..50_000_u64).map(|to| TxEnv {
            data: Bytes::from([&[9; 28], &to.to_be_bytes()[..]].concat()),
            ..call(1, 9)
        });
        experience.learn(&recipients.collect::<Vec<_>>(), true);
        assert_eq!(experience.known.iter().flatten().count(), 1);
        assert!(experience.expects_chain(&stretch));
    }

    #[test]
    fn memory_is_bounded() {
        let mut experience = Experience::default();
        for contract in 0..20_000 {
            experience.learn(&[call(contract, 7), call(contract, 7)], true);
        }
        assert_eq!(experience.known.len(), PLACES);
        assert!(experience.known.iter().flatten().all(|known| known.given_up == 1));
    }
}
