//! Memory of calls that formed chains of dependent transactions in earlier blocks.

use super::backoff::Backoff;
use super::tx::{Call, weigh};
use crate::thresholds::{MAX_KNOWN_CALLS, SAMPLE_TXS};
use alloy_primitives::Address;
use core::hash::BuildHasher;
use foldhash::fast::RandomState;
use revm::context::TxEnv;
use std::collections::HashMap;

/// Entry of a call.
#[derive(Clone, Copy, Debug)]
struct CallEntry {
    call: Call,
    /// Back-off before the call runs speculatively again.
    sharing: Backoff,
}

/// Memory of calls whose speculation failed, bounded in size: a call evicts the one that had its
/// place.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Indexed by hash; empty until there is something to remember.
    known: Vec<Option<CallEntry>>,
    hasher: RandomState,
}

impl Calls {
    /// Learns that `segment` ran speculatively, and whether speculation fell back to sequential.
    pub(super) fn learn(&mut self, segment: &[TxEnv], fell_back: bool) {
        if self.known.is_empty() {
            if !fell_back {
                return;
            }
            self.known = vec![None; MAX_KNOWN_CALLS];
        }
        let Some(contract) = contract_of_most(segment, |_| true) else { return };
        for (call, times) in calls_of(contract, segment) {
            let Some(place) = self.place(&call) else { continue };
            if fell_back && times < 2 {
                // A call that occurs once does not help later blocks, and there may be hundreds of
                // them.
                continue;
            }
            let known = place.filter(|known| known.call == call);
            if fell_back || known.is_some() {
                let mut sharing = known.map_or_else(Backoff::default, |known| known.sharing);
                sharing.learn(!fell_back);
                *place = Some(CallEntry { call, sharing });
            }
        }
    }

    /// Whether speculation on `transactions` is expected to fail: most of their gas limits belong
    /// to calls of one contract that depend on each other.
    pub(super) fn expects_chain(&self, transactions: &[TxEnv]) -> bool {
        self.chain_of(transactions).is_some()
    }

    fn chain_of(&self, transactions: &[TxEnv]) -> Option<Address> {
        if self.known.is_empty() || transactions.len() < 2 {
            return None;
        }
        contract_of_most(transactions, |call| self.is_chain(call))
    }

    /// Records that `transactions` ran sequentially because a chain was predicted.
    pub(super) fn believe(&mut self, transactions: &[TxEnv]) {
        let Some(contract) = self.chain_of(transactions) else { return };
        for (call, _) in calls_of(contract, transactions) {
            let Some(Some(known)) = self.place(&call) else { continue };
            if known.call == call {
                known.sharing.skip();
            }
        }
    }

    fn is_chain(&self, call: &Call) -> bool {
        let known = self.known.get(self.index(call)).copied().flatten();
        known.is_some_and(|known| known.call == *call && !known.sharing.tries())
    }

    fn place(&mut self, call: &Call) -> Option<&mut Option<CallEntry>> {
        let index = self.index(call);
        self.known.get_mut(index)
    }

    fn index(&self, call: &Call) -> usize {
        self.hasher.hash_one(call) as usize % MAX_KNOWN_CALLS
    }
}

/// The contract whose calls have most of the gas limits, by a sample. Only calls that `counts`
/// accepts are considered.
fn contract_of_most(transactions: &[TxEnv], counts: impl Fn(&Call) -> bool) -> Option<Address> {
    let step = transactions.len().div_ceil(SAMPLE_TXS).max(1);
    let weights = transactions.iter().step_by(step).map(|tx| {
        let call = Call::of(tx).filter(&counts);
        (call.map(|call| call.contract), u128::from(tx.gas_limit))
    });
    weigh(weights).1.flatten()
}

/// The calls of `contract` among `transactions`, with their numbers.
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
    use crate::thresholds::LONGEST_BACKOFF;
    use alloy_primitives::{Bytes, TxKind};

    fn call(contract: u16, selector: u8) -> TxEnv {
        TxEnv {
            kind: TxKind::Call(Address::left_padding_from(&contract.to_be_bytes())),
            data: Bytes::from(vec![selector; 36]),
            gas_limit: 100_000,
            ..TxEnv::default()
        }
    }

    fn taught(segment: &[TxEnv]) -> Calls {
        let mut known_calls = Calls::default();
        assert!(!known_calls.expects_chain(segment));
        known_calls.learn(segment, true);
        known_calls
    }

    #[test]
    fn what_was_given_up_is_not_tried() {
        let segment = [7, 8, 7, 8, 7].map(|selector| call(1, selector));
        let segment = [&segment[..], &[call(2, 7)]].concat();
        let known_calls = taught(&segment);
        assert!(known_calls.expects_chain(&segment));
        // Another function of the same contract, another contract, both mixed, and another
        // argument.
        let elsewhere = TxEnv { data: Bytes::from([[7; 18], [1; 18]].concat()), ..call(1, 7) };
        for others in [
            [call(1, 9), call(1, 9)],
            [call(2, 7), call(2, 7)],
            [call(1, 7), call(3, 7)],
            [elsewhere.clone(), elsewhere],
        ] {
            assert!(!known_calls.expects_chain(&others));
        }
        assert!(!known_calls.expects_chain(&segment[..1]), "one has no other to wait for");
        // Data after the first argument does not count; a missing argument is zero.
        let longer = TxEnv { data: Bytes::from([7; 60].as_slice()), ..call(1, 7) };
        assert!(known_calls.expects_chain(&[longer.clone(), call(1, 7), longer]));
        let short = |input: &'static [u8]| TxEnv { data: Bytes::from(input), ..call(1, 7) };
        let known_calls = taught(&[short(&[7; 4]), short(&[7; 4])]);
        assert!(known_calls.expects_chain(&[short(&[7; 4]), short(&[7, 7, 7, 7, 1])]));
        assert!(!known_calls.expects_chain(&[short(&[7; 3]), short(&[7; 3])]), "no function");
    }

    #[test]
    fn one_segment_that_goes_through_is_forgiven_all() {
        let segment = [call(1, 7), call(1, 7)];
        let mut known_calls = taught(&segment);
        known_calls.learn(&segment, true);
        known_calls.learn(&segment, false);
        assert!(!known_calls.expects_chain(&segment));
        known_calls.learn(&segment, true);
        assert!(known_calls.expects_chain(&segment));
        known_calls.believe(&segment);
        assert!(!known_calls.expects_chain(&segment));
    }

    #[test]
    fn what_was_given_up_is_tried_later_and_later() {
        let segment = [call(1, 7), call(1, 7)];
        let mut known_calls = taught(&segment);
        for skips in [1, 3, 7, 15, LONGEST_BACKOFF, LONGEST_BACKOFF] {
            for _ in 0..skips {
                assert!(known_calls.expects_chain(&segment) && known_calls.expects_chain(&segment));
                known_calls.believe(&segment);
            }
            assert!(!known_calls.expects_chain(&segment));
            known_calls.learn(&segment, true);
        }
    }

    #[test]
    fn many_contracts_that_are_given_up_together_tell_nothing() {
        let segment: Vec<_> = (0..20).map(|contract| call(contract, 7)).collect();
        let payments = vec![TxEnv { gas_limit: 21_000, ..TxEnv::default() }; 20];
        for segment in [segment, payments] {
            let known_calls = taught(&segment);
            assert!(known_calls.known.iter().all(Option::is_none));
        }
    }

    /// Arguments that occur once do not evict what is known.
    #[test]
    fn calls_that_are_not_repeated_are_not_remembered() {
        let segment = [call(1, 7), call(1, 7)];
        let mut known_calls = taught(&segment);
        let recipients = (0..50_000_u64).map(|to| TxEnv {
            data: Bytes::from([&[9; 28], &to.to_be_bytes()[..]].concat()),
            ..call(1, 9)
        });
        known_calls.learn(&recipients.collect::<Vec<_>>(), true);
        assert_eq!(known_calls.known.iter().flatten().count(), 1);
        assert!(known_calls.expects_chain(&segment));
    }

    #[test]
    fn memory_is_bounded() {
        let mut known_calls = Calls::default();
        for contract in 0..20_000 {
            known_calls.learn(&[call(contract, 7), call(contract, 7)], true);
        }
        assert_eq!(known_calls.known.len(), MAX_KNOWN_CALLS);
        assert!(known_calls.known.iter().flatten().all(|known| !known.sharing.tries()));
    }
}
