//! What a transaction tells before it runs.

use super::exec::input::{Block, regular_gas_limit};
use super::experience::Call;
use crate::ids::TxIndex;
use crate::protocol::Plan;
use crate::schedule::{Grain, Hint, plan};
use alloy_primitives::{Address, U256};
use core::hash::BuildHasher;
use foldhash::fast::RandomState;
use hashbrown::HashSet;
use revm::context::TxEnv;
use std::num::NonZeroU32;

/// Gas of a plain payment.
const PAYMENT: u64 = 21_000;

/// Gas that `tx` probably takes, at most: wallets ask for any amount of it for a plain payment, and
/// where there is no data few contracts do much.
pub(super) fn probable_gas(block: &Block, tx: &TxEnv) -> u64 {
    let limit = regular_gas_limit(block, tx.gas_limit);
    let is_payment = tx.data.is_empty() && tx.kind.is_call() && tx.authorization_list.is_empty();
    if is_payment { limit.min(PAYMENT) } else { limit }
}

/// Whether `tx` can be admitted where `room` gas is left. If not, running it early is wasted, and
/// its gas may be absurd (I9).
pub(super) fn may_fit(block: &Block, tx: &TxEnv, room: u64) -> bool {
    let bounded = !block.cfg.enable_amsterdam_eip8037 || tx.gas_limit <= room;
    bounded && regular_gas_limit(block, tx.gas_limit) <= room
}

/// Plans the transactions of `block` from `first` up to `end` for `workers` workers.
pub(super) fn plan_block(
    block: &Block,
    (first, end): (TxIndex, usize),
    workers: usize,
    chunk: Option<NonZeroU32>,
) -> Plan {
    let room = block.env.gas_limit;
    let hint = |tx: &TxEnv| Hint::<Address> {
        cost: tx.gas_limit,
        serial_key: tx.caller,
        target: tx.kind.to().copied().filter(|_| !tx.data.is_empty()),
        frontier_only: !may_fit(block, tx, room),
    };
    let transactions = block.transactions.get(first.position()..end).unwrap_or_default();
    let grain = match chunk {
        Some(chunk) => Grain { transactions: chunk.get(), cost: u64::MAX, shared_cost: u64::MAX },
        None => Grain::for_block(transactions.len(), workers),
    };
    // First all that has to be fetched from memory, transaction by transaction; then the map of
    // senders.
    let hints: Vec<_> = transactions.iter().map(hint).collect();
    plan(first, &hints, grain)
}

/// What ties `tx` to others that have the same: its sender, what it calls, and whom it pays. Calls
/// of one function with the same first argument probably have to do with each other: that is the
/// pool of a router, the receiver of a token.
pub(super) fn ties(tx: &TxEnv, hasher: &RandomState) -> [Option<u64>; 3] {
    let account = |address: Address| Some(hasher.hash_one(address));
    let call = Call::of(tx).map(|call| hasher.hash_one(call));
    [account(tx.caller), call, paid(tx).and_then(account)]
}

/// Whom `tx` pays.
fn paid(tx: &TxEnv) -> Option<Address> {
    let to = tx.kind.to().copied();
    to.filter(|_| tx.value > U256::ZERO || tx.data.is_empty())
}

/// Whether next to none of `transactions` is tied to an earlier one.
pub(super) fn looks_independent(transactions: &[TxEnv]) -> bool {
    /// One transaction in this many may depend on another, and two in the beginning.
    const FEW: usize = 64;
    let hasher = RandomState::default();
    let mut seen = HashSet::with_capacity_and_hasher(2 * transactions.len(), hasher.clone());
    let mut tied = 0;
    transactions.iter().enumerate().all(|(place, tx)| {
        let ties = ties(tx, &hasher);
        // All keys are put there, whatever was found of the first.
        let new = ties.iter().flatten().filter(|tie| seen.insert(**tie)).count();
        tied += usize::from(new < ties.iter().flatten().count());
        tied <= 2 + place / FEW
    })
}

/// Whether no account that pays or is paid in the first `length` of `transactions` does so in the
/// `length` after them.
pub(super) fn begins_apart(transactions: &[TxEnv], length: usize) -> bool {
    let (first, rest) = transactions.split_at(length.min(transactions.len()));
    let accounts = |tx: &TxEnv| [Some(tx.caller), paid(tx)].into_iter().flatten();
    let known: HashSet<_, RandomState> = first.iter().flat_map(accounts).collect();
    !rest.iter().take(length).flat_map(accounts).any(|account| known.contains(&account))
}

/// What its transactions probably take in the mean, as far as a sample tells.
pub(super) fn mean_gas(block: &Block) -> u64 {
    mean(block, probable_gas)
}

/// What they ask for in the mean, as far as a sample tells.
pub(super) fn mean_gas_limit(block: &Block) -> u64 {
    mean(block, |block, tx| regular_gas_limit(block, tx.gas_limit))
}

fn mean(block: &Block, gas: impl Fn(&Block, &TxEnv) -> u64) -> u64 {
    const SAMPLE: usize = 1_024;
    let step = block.transactions.len().div_ceil(SAMPLE).max(1);
    let sample = block.transactions.iter().step_by(step);
    let sampled = sample.len() as u64;
    sample.map(|tx| gas(block, tx)).fold(0, u64::saturating_add) / sampled.max(1)
}

/// Gas of a block below which starting other workers costs more than they can save.
const WORTH_SHARING: u64 = 2_000_000;

/// Gas per transaction below which a second worker saves less by running transactions than handing
/// over costs. A native transfer takes 21,000, a token transfer twice as much and more.
const WORTH_A_SECOND: u128 = 35_000;
/// The same where it makes the bundle meanwhile otherwise.
const WORTH_A_FOLLOWER: u128 = 50_000;
/// The same for any number of workers: native transfers, which do not hold in parts, and next to
/// nothing else.
const WORTH_MORE: u128 = 22_000;

/// Whether sharing the transactions of `block` out among `workers` workers cannot pay: there is too
/// little to do, or too little in each, or almost all of it is one sender's, whose transactions
/// depend on each other by their nonces. `is_followed`: where the caller runs them alone, another
/// worker folds what they leave. `tries_parts`: they may run in parts before.
pub(super) fn is_serial(
    block: &Block,
    workers: usize,
    (is_followed, tries_parts): (bool, bool),
) -> bool {
    let weight = |tx: &TxEnv| (tx.caller, u128::from(probable_gas(block, tx)));
    let (total, leader) = weigh(block.transactions.iter().map(weight));
    let transactions = block.transactions.len() as u128;
    let cheap = match workers {
        ..=2 if is_followed => WORTH_A_FOLLOWER,
        ..=2 => WORTH_A_SECOND,
        _ if is_followed && tries_parts => WORTH_MORE,
        _ => 0,
    };
    total < u128::from(WORTH_SHARING) || total < cheap * transactions || leader.is_some()
}

/// Whether starting other workers for the transactions of `block` costs more than they can save,
/// also if none of them waits for another.
pub(super) fn is_small(block: &Block) -> bool {
    let gas = block.transactions.iter().map(|tx| probable_gas(block, tx));
    gas.fold(0, u64::saturating_add) < WORTH_SHARING
}

/// All weight together, and the key that has at least four fifths of it, if one has.
pub(super) fn weigh<K: PartialEq + Default>(
    weights: impl Iterator<Item = (K, u128)> + Clone,
) -> (u128, Option<K>) {
    // A key with more than half of it is left over by a majority vote (Boyer and Moore).
    let (mut leader, mut lead, mut total) = (K::default(), 0, 0);
    for (who, weight) in weights.clone() {
        total += weight;
        if who == leader {
            lead += weight;
        } else if lead >= weight {
            lead -= weight;
        } else {
            (leader, lead) = (who, weight - lead);
        }
    }
    // All others together cannot take more of a leader's lead than they have.
    if lead * 5 < total * 3 {
        return (total, None);
    }
    let own: u128 = weights.filter(|(who, _)| *who == leader).map(|(_, weight)| weight).sum();
    (total, (own * 5 >= total * 4).then_some(leader))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::TxKind;

    fn block(gas_by_sender: &[(u8, u64)]) -> Block {
        let tx = |(sender, gas_limit): &(u8, u64)| TxEnv {
            caller: Address::repeat_byte(*sender),
            gas_limit: *gas_limit,
            data: vec![0].into(),
            ..TxEnv::default()
        };
        Block { transactions: gas_by_sender.iter().map(tx).collect(), ..Block::default() }
    }

    #[test]
    fn one_sender_with_most_of_the_gas_makes_a_block_serial() {
        assert!(is_serial(
            &block(&[(1, 3_000_000), (1, 3_000_000), (2, 1_000_000)]),
            2,
            (false, true)
        ));
        assert!(!is_serial(
            &block(&[(1, 3_000_000), (2, 1_000_000), (1, 3_000_000), (3, 2_000_000)]),
            2,
            (false, true)
        ));
        assert!(!is_serial(&block(&[(1, 3_000_000), (2, 3_000_000)]), 2, (false, true)));
        let shuffled = [(2, 100_000), (1, 3_000_000), (3, 90_000), (1, 50_000), (4, 100_000)];
        assert!(is_serial(&block(&shuffled), 2, (false, true)));
    }

    #[test]
    fn a_small_block_is_serial() {
        assert!(is_serial(&block(&[(1, 21_000), (2, 21_000)]), 2, (false, true)));
        assert!(is_serial(&block(&[]), 2, (false, true)));
    }

    #[test]
    fn cheap_transactions_are_not_worth_a_second_worker() {
        let transfers: Vec<_> = (0..200).map(|sender| (sender, 21_000)).collect();
        assert!(is_serial(&block(&transfers), 2, (false, true)));
        assert!(
            !is_serial(&block(&transfers), 3, (false, true))
                && is_serial(&block(&transfers), 3, (true, true))
        );
        assert!(!is_serial(&block(&transfers), 3, (true, false)));
        let tokens: Vec<_> = (0..200).map(|sender| (sender, 60_000)).collect();
        assert!(!is_serial(&block(&tokens), 2, (true, true)));
        let few: Vec<_> = (0..200).map(|sender| (sender, 26_000)).collect();
        assert!(
            is_serial(&block(&few), 2, (true, true)) && !is_serial(&block(&few), 3, (true, true))
        );
        let mixed: Vec<_> = (0..200).map(|sender| (sender, 40_000)).collect();
        assert!(
            is_serial(&block(&mixed), 2, (true, true))
                && !is_serial(&block(&mixed), 2, (false, true))
        );
    }

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
        let looks =
            |tx: &dyn Fn(u64) -> TxEnv| looks_independent(&(0..300).map(tx).collect::<Vec<_>>());
        assert!(looks(&|number| pay(1_000 + number, 2_000 + number)));
        // One contract, with another argument each time.
        assert!(looks_independent(
            &(0..200).map(|of| call(1_000 + u64::from(of), of)).collect::<Vec<_>>()
        ));
        // A few that are tied do no harm.
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
        // A hundred of them are not worth a second worker, whatever they ask for.
        let transactions = vec![wallet; 100];
        let block = Block { transactions, ..Block::default() };
        assert!(is_serial(&block, 2, (false, true)));
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
        assert!(begins_apart(&transactions, 10));
        // Within a part, and beyond the two, it does not matter.
        transactions[1] = pay(0, 100);
        transactions[25] = pay(0, 100);
        assert!(begins_apart(&transactions, 10) && !begins_apart(&transactions, 13));
        for meets in [pay(0, 900), pay(900, 0), pay(900, 100), pay(100, 900)] {
            transactions[15] = meets;
            assert!(!begins_apart(&transactions, 10));
        }
        // A call that pays nothing may have nothing to do with others.
        transactions[15] = TxEnv { data: vec![0].into(), ..pay(900, 100) };
        assert!(begins_apart(&transactions, 10) && begins_apart(&[], 10));
    }
}
