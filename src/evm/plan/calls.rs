//! Memory of calls that formed chains of dependent transactions in earlier blocks.

use super::backoff::Backoff;
use super::tx::{Call, weigh};
use crate::thresholds::{MAX_KNOWN_CALLS, SAMPLE_TXS};
use alloy_primitives::Address;
use core::hash::BuildHasher;
use foldhash::fast::RandomState;
use revm::context::TxEnv;
use std::collections::HashMap;

/// Entry of a call in the memory.
#[derive(Clone, Copy, Debug)]
struct CallEntry {
    call: Call,
    /// Number of segments before the call runs speculatively again.
    backoff: Backoff,
}

/// Memory of calls on which speculation failed. Bounded in size: a new call evicts the one with the
/// same index.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Indexed by hash; empty until a call is remembered.
    known: Vec<Option<CallEntry>>,
    hasher: RandomState,
}

impl Calls {
    /// Records that `segment` ran speculatively, and whether speculation fell back to sequential.
    pub(super) fn learn(&mut self, segment: &[TxEnv], fell_back: bool) {
        if self.known.is_empty() {
            if !fell_back {
                return;
            }
            self.known = vec![None; MAX_KNOWN_CALLS];
        }
        let Some(contract) = dominant_contract(segment, |_| true) else { return };
        for (call, times) in calls_of(contract, segment) {
            let Some(entry) = self.entry(&call) else { continue };
            if fell_back && times < 2 {
                // Calls that occur once do not help later blocks, and there may be hundreds.
                continue;
            }
            let known = entry.filter(|known| known.call == call);
            if fell_back || known.is_some() {
                let mut backoff = known.map_or_else(Backoff::default, |known| known.backoff);
                backoff.learn(!fell_back);
                *entry = Some(CallEntry { call, backoff });
            }
        }
    }

    /// Whether speculation on `transactions` is expected to fail: calls of one contract that depend
    /// on each other have most of the gas limits.
    pub(super) fn expects_chain(&self, transactions: &[TxEnv]) -> bool {
        self.chain_of(transactions).is_some()
    }

    fn chain_of(&self, transactions: &[TxEnv]) -> Option<Address> {
        if self.known.is_empty() || transactions.len() < 2 {
            return None;
        }
        dominant_contract(transactions, |call| self.is_chain(call))
    }

    /// Records that `transactions` ran sequentially because a chain was predicted.
    pub(super) fn record_sequential(&mut self, transactions: &[TxEnv]) {
        let Some(contract) = self.chain_of(transactions) else { return };
        for (call, _) in calls_of(contract, transactions) {
            let Some(Some(known)) = self.entry(&call) else { continue };
            if known.call == call {
                known.backoff.skip();
            }
        }
    }

    fn is_chain(&self, call: &Call) -> bool {
        let known = self.known.get(self.index(call)).copied().flatten();
        known.is_some_and(|known| known.call == *call && !known.backoff.is_due())
    }

    fn entry(&mut self, call: &Call) -> Option<&mut Option<CallEntry>> {
        let index = self.index(call);
        self.known.get_mut(index)
    }

    fn index(&self, call: &Call) -> usize {
        self.hasher.hash_one(call) as usize % MAX_KNOWN_CALLS
    }
}

/// Returns the contract whose calls have most of the gas limits, by a sample. Only calls that
/// `counts` accepts are considered.
fn dominant_contract(transactions: &[TxEnv], counts: impl Fn(&Call) -> bool) -> Option<Address> {
    let step = transactions.len().div_ceil(SAMPLE_TXS).max(1);
    let weights = transactions.iter().step_by(step).map(|tx| {
        let call = Call::of(tx).filter(&counts);
        (call.map(|call| call.contract), u128::from(tx.gas_limit))
    });
    weigh(weights).1.flatten()
}

/// Returns the calls of `contract` among `transactions`, and how often each occurs.
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
        // Another function of the same contract; another contract; a mix of both; another argument.
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
        known_calls.record_sequential(&segment);
        assert!(!known_calls.expects_chain(&segment));
    }

    #[test]
    fn what_was_given_up_is_tried_later_and_later() {
        let segment = [call(1, 7), call(1, 7)];
        let mut known_calls = taught(&segment);
        for skips in [1, 3, 7, 15, LONGEST_BACKOFF, LONGEST_BACKOFF] {
            for _ in 0..skips {
                assert!(known_calls.expects_chain(&segment) && known_calls.expects_chain(&segment));
                known_calls.record_sequential(&segment);
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

    /// Calls that occur once do not evict known calls.
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
        assert!(known_calls.known.iter().flatten().all(|known| !known.backoff.is_due()));
    }
}
