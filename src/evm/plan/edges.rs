//! Predicted dependencies: for each transaction, the lower one that it waits for.
//!
//! Every prediction becomes an edge of [`Chunks::dependencies`]. A wrong edge costs time, but never
//! changes a result.
//!
//! [`Chunks::dependencies`]: crate::protocol::Chunks::dependencies

use super::known::KnownDependencies;
use super::tx::{dependency_keys, probable_gas};
use crate::evm::exec::input::Block;
use crate::evm::exec::payees::Payees;
use crate::ids::TxIndex;
use crate::thresholds::MAX_CHAIN_FIFTHS;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// Source of the predicted dependencies of a segment, in addition to the senders.
#[derive(Clone, Copy, Debug)]
pub(in crate::evm) enum Prediction<'a> {
    /// No other source: transactions of different senders seldom conflict.
    Senders,
    /// The call (contract and first argument) and the payee of each transaction. Payments to these
    /// payees are blind credits.
    Calls(&'a Payees),
    /// Declared accesses, or an untrusted access list.
    Known(&'a KnownDependencies),
}

/// Returns the predicted dependencies of the transactions of `block` from `first` up to `end`, as
/// pairs of a transaction and a lower one of the same range. A transaction for which `prediction`
/// has no dependency waits for the previous one of its sender.
pub(super) fn edges(
    block: &Block,
    prediction: Prediction<'_>,
    first: TxIndex,
    end: usize,
) -> Vec<(TxIndex, TxIndex)> {
    let transactions = block.transactions.get(first.position()..end).unwrap_or_default();
    let by_calls = match prediction {
        Prediction::Calls(payees) => by_calls(block, payees, first, end),
        Prediction::Senders | Prediction::Known(_) => Vec::new(),
    };
    let mut by_calls = by_calls.into_iter();
    let mut last = HashMap::with_capacity_and_hasher(transactions.len(), RandomState::default());
    let mut edges = Vec::new();
    for (tx, env) in (first.0..).map(TxIndex).zip(transactions) {
        let same_sender = last.insert(&env.caller, tx);
        let predicted = match prediction {
            Prediction::Senders => None,
            Prediction::Calls(_) => by_calls.next().flatten(),
            Prediction::Known(known) => known.waits_for(tx, first),
        };
        edges.extend(predicted.or(same_sender).map(|on| (tx, on)));
    }
    edges
}

/// Returns, for each transaction, the last lower one with the same sender, call or payee. Empty if
/// one chain of such pairs has most of the gas, because all other workers would wait for it.
fn by_calls(block: &Block, payees: &Payees, first: TxIndex, end: usize) -> Vec<Option<TxIndex>> {
    let transactions = block.transactions.get(first.position()..end).unwrap_or_default();
    let hasher = RandomState::default();
    // The last transaction with each key, and the gas of the longest chain that ends with it.
    let mut last = HashMap::with_capacity_and_hasher(2 * transactions.len(), hasher.clone());
    let mut waits_for = Vec::with_capacity(transactions.len());
    let mut total = 0_u64;
    let mut longest = 0_u64;
    for (tx, env) in (first.0..).map(TxIndex).zip(transactions) {
        let keys = dependency_keys(env, payees, &hasher);
        let before = keys.iter().flatten().filter_map(|key| last.get(key).copied());
        let (on, chain) = before.fold((None, 0), |(on, chain), (lower, gas): (TxIndex, u64)| {
            (on.max(Some(lower)), chain.max(gas))
        });
        let weight = probable_gas(block, env);
        let chain = chain.saturating_add(weight);
        total = total.saturating_add(weight);
        longest = longest.max(chain);
        last.extend(keys.into_iter().flatten().map(|key| (key, (tx, chain))));
        waits_for.push(on);
    }
    let is_chain = longest > total / 5 * MAX_CHAIN_FIFTHS;
    if is_chain { Vec::new() } else { waits_for }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evm::exec::input::ChainRules;
    use alloy_eips::eip2930::{AccessList, AccessListItem};
    use alloy_primitives::{Address, B256, TxKind, U256};
    use revm::context::TxEnv;

    fn address(number: u8) -> Address {
        Address::repeat_byte(number)
    }

    fn pay(from: u8, to: u8) -> TxEnv {
        TxEnv {
            caller: address(from),
            kind: TxKind::Call(address(to)),
            value: U256::ONE,
            ..TxEnv::default()
        }
    }

    /// A call with this first argument.
    fn call(from: u8, contract: u8, argument: u8) -> TxEnv {
        let mut data = vec![0xa9, 0x05, 0x9c, 0xbb];
        data.extend([argument; 32]);
        TxEnv { value: U256::ZERO, data: data.into(), ..pay(from, contract) }
    }

    /// A call that declares a slot.
    fn declared(from: u8, slot: u8) -> TxEnv {
        let storage_keys = vec![B256::repeat_byte(slot)];
        let item = AccessListItem { address: address(200), storage_keys };
        TxEnv { tx_type: 1, access_list: AccessList(vec![item]), ..call(from, 200, from) }
    }

    fn block(transactions: impl IntoIterator<Item = TxEnv>) -> Block {
        Block { transactions: transactions.into_iter().collect(), ..Block::default() }
    }

    /// The edges from each source of predictions.
    #[test]
    fn each_transaction_waits_for_at_most_one() {
        // The fourth one pays the sender of the first, and has the sender of the second.
        let payments =
            [pay(1, 2), pay(3, 4), pay(5, 6), pay(3, 1), pay(7, 8), pay(9, 2), pay(8, 2)];
        let payments = block(payments);
        let calls = block([call(1, 9, 1), call(2, 9, 2), call(3, 9, 1), call(4, 9, 2)]);
        // Of six transactions, five or four have one sender.
        let chain = |own: u8| block((0..6).map(|it| pay(it.min(own), 100 + it)));
        let rules = ChainRules { declared_accesses: true, ..ChainRules::default() };
        let places = [declared(1, 1), declared(2, 2), declared(3, 1), declared(2, 3)];
        let places = Block { rules, ..block(places) };
        let known = KnownDependencies::declared(&places).expect("they are declared");
        let (senders, by_calls) = (Prediction::Senders, Prediction::Calls(Payees::NONE));
        let known = Prediction::Known(&known);
        for (name, block, prediction, first, expected) in [
            ("senders", &payments, senders, 0, &[(3, 1)][..]),
            ("payees", &payments, by_calls, 0, &[(3, 1), (5, 0), (6, 5)]),
            ("payees, later", &payments, by_calls, 2, &[(6, 5)]),
            ("calls by sender", &calls, senders, 0, &[]),
            ("first arguments", &calls, by_calls, 0, &[(2, 0), (3, 1)]),
            (
                "most is one chain: only senders",
                &chain(1),
                by_calls,
                0,
                &[(2, 1), (3, 2), (4, 3), (5, 4)],
            ),
            ("a shorter chain", &chain(2), by_calls, 0, &[(3, 2), (4, 3), (5, 4)]),
            ("declared places and senders", &places, known, 0, &[(2, 0), (3, 1)]),
            ("what is committed is not waited for", &places, known, 1, &[(3, 1)]),
        ] {
            let found = edges(block, prediction, TxIndex(first), block.transactions.len());
            let found: Vec<_> = found.iter().map(|(tx, on)| (tx.0, on.0)).collect();
            assert_eq!(found, expected, "{name}");
        }
    }
}
