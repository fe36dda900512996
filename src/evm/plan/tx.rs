//! Properties of transactions before they run.

use crate::evm::exec::input::{Block, regular_gas_limit};
use crate::evm::exec::payees::Payees;
use crate::thresholds::{DEPENDENT_ONE_IN, MAX_CHAIN_FIFTHS, SAMPLE_TXS};
use alloy_primitives::{Address, U256};
use core::hash::BuildHasher;
use foldhash::fast::RandomState;
use hashbrown::HashSet;
use revm::context::TxEnv;

/// Gas of a plain payment, whatever its gas limit (EIP-2).
const PAYMENT_GAS: u64 = 21_000;

/// The called contract and function, with the first argument. Calls of a router are related if they
/// name the same pool; transfers of a token, if they have the same recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Call {
    pub(super) contract: Address,
    selector: [u8; 4],
    argument: [u8; 32],
}

impl Call {
    pub(super) fn of(tx: &TxEnv) -> Option<Self> {
        let (selector, remaining) = tx.data.split_first_chunk()?;
        let argument = remaining.first_chunk().copied().unwrap_or_default();
        Some(Self { contract: *tx.kind.to()?, selector: *selector, argument })
    }

    /// The first argument as an account, if it looks like one: a word of twenty bytes that is not a
    /// small number.
    fn named(&self) -> Option<Address> {
        let (padding, account) = self.argument.split_first_chunk::<12>()?;
        let (high, _) = account.split_first_chunk::<8>()?;
        (*padding == [0; 12] && *high != [0; 8]).then(|| Address::from_slice(account))
    }
}

/// Estimates the gas that `tx` uses: its gas limit, unless it is a plain payment, for which wallets
/// set any limit. Few contracts do much without call data.
pub(super) fn probable_gas(block: &Block, tx: &TxEnv) -> u64 {
    let limit = regular_gas_limit(block, tx.gas_limit);
    if is_payment(tx) { limit.min(PAYMENT_GAS) } else { limit }
}

/// Whether `tx` is a plain payment, provided that the recipient has no code.
pub(super) fn is_payment(tx: &TxEnv) -> bool {
    tx.data.is_empty() && tx.kind.is_call() && tx.authorization_list.is_empty()
}

/// Whether `tx` can be admitted if the block has `room` gas left. If not, a speculative run is
/// wasted, and the gas limit may be absurd (I9).
pub(super) fn may_fit(block: &Block, tx: &TxEnv, room: u64) -> bool {
    let bounded = !block.cfg.enable_amsterdam_eip8037 || tx.gas_limit <= room;
    bounded && regular_gas_limit(block, tx.gas_limit) <= room
}

/// Returns the keys of `tx` for predicting dependencies: transactions that share a key probably
/// conflict. The keys are its sender, its call, the account that it pays, and its sender as an
/// account of the called contract. Calls of a function with the same first argument are probably
/// related. A call that names an account, such as the pool of a router or the holder of a token, is
/// related to all other calls of the contract that name it, and to the account's own calls. A
/// payment to one of the `payees` has no key.
pub(super) fn dependency_keys(
    tx: &TxEnv,
    payees: &Payees,
    hasher: &RandomState,
) -> [Option<u64>; 4] {
    let account = |address: Address| Some(hasher.hash_one(address));
    let known = |contract: Address, account: Address| hasher.hash_one((contract, account));
    let call = Call::of(tx);
    let named = call.map(|call| match call.named() {
        Some(account) => known(call.contract, account),
        None => hasher.hash_one(call),
    });
    let own = call.map(|call| known(call.contract, tx.caller));
    // A call that names its own sender has only one key for that.
    let own = own.filter(|own| named != Some(*own));
    [account(tx.caller), named, paid(tx, payees).and_then(account), own]
}

/// Returns the account that `tx` pays, unless the payment is a blind credit.
fn paid(tx: &TxEnv, payees: &Payees) -> Option<Address> {
    let to = tx.kind.to().copied();
    let to = to.filter(|_| tx.value > U256::ZERO || tx.data.is_empty());
    to.filter(|to| !payees.contains(*to))
}

/// Whether few of the `transactions` have a predicted dependency on an earlier one.
pub(super) fn looks_independent(transactions: &[TxEnv], payees: &Payees) -> bool {
    let hasher = RandomState::default();
    let mut seen = HashSet::with_capacity_and_hasher(2 * transactions.len(), hasher.clone());
    let mut dependent = 0;
    transactions.iter().enumerate().all(|(index, tx)| {
        let keys = dependency_keys(tx, payees, &hasher);
        // Insert all keys, even if the first is known.
        let new = keys.iter().flatten().filter(|key| seen.insert(**key)).count();
        dependent += usize::from(new < keys.iter().flatten().count());
        dependent <= 2 + index / DEPENDENT_ONE_IN
    })
}

/// Whether the first `length` of `transactions` and the next `length` have no paying or paid
/// account in common.
pub(super) fn starts_disjoint(transactions: &[TxEnv], payees: &Payees, length: usize) -> bool {
    let (first, remaining) = transactions.split_at(length.min(transactions.len()));
    let accounts = |tx: &TxEnv| [Some(tx.caller), paid(tx, payees)].into_iter().flatten();
    let known: HashSet<_, RandomState> = first.iter().flat_map(accounts).collect();
    !remaining.iter().take(length).flat_map(accounts).any(|account| known.contains(&account))
}

/// Mean probable gas per transaction, by a sample.
pub(super) fn mean_gas(block: &Block) -> u64 {
    mean(block, probable_gas)
}

/// Mean gas limit per transaction, by a sample.
pub(super) fn mean_gas_limit(block: &Block) -> u64 {
    mean(block, |block, tx| regular_gas_limit(block, tx.gas_limit))
}

fn mean(block: &Block, gas: impl Fn(&Block, &TxEnv) -> u64) -> u64 {
    let step = block.transactions.len().div_ceil(SAMPLE_TXS).max(1);
    let sample = block.transactions.iter().step_by(step);
    let sampled = sample.len() as u64;
    sample.map(|tx| gas(block, tx)).fold(0, u64::saturating_add) / sampled.max(1)
}

/// Returns the total weight, and the key that has at least four fifths of it, if there is one.
pub(super) fn weigh<K: PartialEq + Default>(
    weights: impl Iterator<Item = (K, u128)> + Clone,
) -> (u128, Option<K>) {
    // The majority vote of Boyer and Moore finds the key with more than half of the weight.
    let mut leader = K::default();
    let mut lead = 0;
    let mut total = 0;
    for (key, weight) in weights.clone() {
        total += weight;
        if key == leader {
            lead += weight;
        } else if lead >= weight {
            lead -= weight;
        } else {
            leader = key;
            lead = weight - lead;
        }
    }
    // All other keys together reduce the lead by at most their weight.
    let most = u128::from(MAX_CHAIN_FIFTHS);
    if lead * 5 < total * (2 * most - 5) {
        return (total, None);
    }
    let own: u128 = weights.filter(|(key, _)| *key == leader).map(|(_, weight)| weight).sum();
    (total, (own * 5 >= total * most).then_some(leader))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::TxKind;

    #[test]
    fn who_shares_sender_call_or_payee_is_tied() {
        let address = |number: u64| Address::left_padding_from(&number.to_be_bytes());
        let pay = |from: u64, to: u64| TxEnv {
            caller: address(from),
            kind: TxKind::Call(address(to)),
            ..TxEnv::default()
        };
        let call =
            |from: u64, argument: u8| TxEnv { data: vec![argument; 36].into(), ..pay(from, 7) };
        let looks = |tx: &dyn Fn(u64) -> TxEnv| {
            looks_independent(&(0..300).map(tx).collect::<Vec<_>>(), Payees::NONE)
        };
        assert!(looks(&|number| pay(1_000 + number, 2_000 + number)));
        // Calls of one contract, each with a different argument.
        assert!(looks_independent(
            &(0..200).map(|of| call(1_000 + u64::from(of), of)).collect::<Vec<_>>(),
            Payees::NONE
        ));
        // Each sender names itself.
        let address = |number: u64| Address::left_padding_from(&(number + (1 << 40)).to_be_bytes());
        let itself = |number: u64| {
            let account = Address::repeat_byte(7).create(number);
            let data = [&[1; 4], &account.into_word()[..]].concat().into();
            TxEnv { caller: account, kind: TxKind::Call(address(0)), data, ..TxEnv::default() }
        };
        assert!(looks(&itself));
        // The account that one call names sends the next call.
        assert!(!looks(&|number| {
            let named = if number % 2 == 0 { itself(number + 1) } else { itself(number) };
            TxEnv { caller: itself(number).caller, ..named }
        }));
        // A few dependencies do no harm.
        assert!(looks(&|number| pay(1_000 + number, 2_000 + number - number % 100 / 99)));
        assert!(!looks(&|number| pay(1_000 + number, 2_000 + number / 8 * 8)));
        assert!(!looks(&|number| pay(1_000, 2_000 + number)));
        assert!(!looks(&|number| call(1_000 + number, 3)));
    }

    #[test]
    fn a_payment_takes_no_more_gas_than_payments_do() {
        let wallet = TxEnv { gas_limit: 250_000, ..TxEnv::default() };
        let call = TxEnv { data: vec![0].into(), ..wallet.clone() };
        let creation = TxEnv { kind: TxKind::Create, ..wallet.clone() };
        let gas = |tx: &TxEnv| probable_gas(&Block::default(), tx);
        assert_eq!([&wallet, &call, &creation].map(gas), [21_000, 250_000, 250_000]);
        assert_eq!(gas(&TxEnv { gas_limit: 5_000, ..wallet.clone() }), 5_000);
    }

    #[test]
    fn a_block_begins_apart_if_no_account_pays_or_is_paid_in_both_its_first_parts() {
        let address = |number: u64| Address::left_padding_from(&number.to_be_bytes());
        let pay = |from: u64, to: u64| TxEnv {
            caller: address(from),
            kind: TxKind::Call(address(to)),
            ..TxEnv::default()
        };
        let mut transactions: Vec<_> = (0..30).map(|number| pay(number, 100 + number)).collect();
        assert!(starts_disjoint(&transactions, Payees::NONE, 10));
        // Accounts shared within one of the two parts, or after them, do not matter.
        transactions[1] = pay(0, 100);
        transactions[25] = pay(0, 100);
        assert!(
            starts_disjoint(&transactions, Payees::NONE, 10)
                && !starts_disjoint(&transactions, Payees::NONE, 13)
        );
        for meets in [pay(0, 900), pay(900, 0), pay(900, 100), pay(100, 900)] {
            transactions[15] = meets;
            assert!(!starts_disjoint(&transactions, Payees::NONE, 10));
        }
        // A call that pays nothing may be unrelated to the others.
        transactions[15] = TxEnv { data: vec![0].into(), ..pay(900, 100) };
        assert!(
            starts_disjoint(&transactions, Payees::NONE, 10)
                && starts_disjoint(&[], Payees::NONE, 10)
        );
    }
}
