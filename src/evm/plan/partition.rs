//! Partition of a block's transactions among workers: chunks with predicted dependencies, and
//! contiguous batches.

use super::known::KnownDependencies;
use super::thresholds::{
    FIRST_BATCH_GAS, LONGEST_FIRST_BATCH, MOST_OF_FIVE, SEGMENT_GROWTH, SHORTEST_BATCH,
};
use super::tx::{may_fit, mean_gas_limit, probable_gas, ties};
use crate::evm::exec::input::Block;
use crate::evm::exec::payees::Payees;
use crate::ids::TxIndex;
use crate::protocol::Plan;
use crate::schedule::{Grain, Hint, plan};
use alloy_primitives::Address;
use core::ops::Range;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use revm::context::TxEnv;
use std::num::NonZeroU32;

/// Plans the transactions of `block` from `first` up to `end` for `workers` workers. With `payees`,
/// each transaction waits for its predicted dependency; payments to `payees` are blind credits.
pub(in crate::evm) fn plan_block(
    block: &Block,
    known: Option<&KnownDependencies>,
    first: TxIndex,
    end: usize,
    workers: usize,
    chunk: Option<NonZeroU32>,
    payees: Option<&Payees>,
) -> Plan {
    let room = block.env.gas_limit;
    let hint = |tx: &TxEnv| Hint::<Address> {
        cost: probable_gas(block, tx),
        serial_key: tx.caller,
        frontier_only: !may_fit(block, tx, room),
    };
    let transactions = block.transactions.get(first.position()..end).unwrap_or_default();
    let grain = match chunk {
        Some(chunk) => Grain { transactions: chunk.get(), cost: u64::MAX },
        None => Grain::for_block(transactions.len(), workers),
    };
    // Loads all transactions from memory first, one by one; the map of senders is built afterwards.
    let hints: Vec<_> = transactions.iter().map(hint).collect();
    let mut plan = plan(first, &hints, grain);
    if let Some(known) = known {
        let indices = plan.chunks.iter().flat_map(|chunk| chunk.indices());
        // If a transaction has several dependencies, the last entry wins; the known ones cover
        // those by sender, too.
        plan.dependencies.extend(indices.filter_map(|tx| Some((tx, known.waits_for(tx, first)?))));
    } else if let Some(payees) = payees {
        plan.dependencies.extend(predicted_dependencies(block, payees, first, end));
    }
    plan
}

/// For each transaction of `block` from `first` up to `end`, the highest lower one of these with the
/// same sender, call or payee, if there is one. Empty if most of the gas is on one chain of such
/// pairs, for which all other workers would wait.
fn predicted_dependencies(
    block: &Block,
    payees: &Payees,
    first: TxIndex,
    end: usize,
) -> Vec<(TxIndex, TxIndex)> {
    let transactions = block.transactions.get(first.position()..end).unwrap_or_default();
    let hasher = RandomState::default();
    // The last transaction with a key, and the gas of the longest chain that ends with it.
    let mut last = HashMap::with_capacity_and_hasher(2 * transactions.len(), hasher.clone());
    let mut pairs = Vec::new();
    let mut total = 0_u64;
    let mut longest = 0_u64;
    for (tx, of) in (first.0..).map(TxIndex).zip(transactions) {
        let keys = ties(of, payees, &hasher);
        let before = keys.iter().flatten().filter_map(|key| last.get(key).copied());
        let (on, chain) = before.fold((None, 0), |(on, chain), (lower, gas): (TxIndex, u64)| {
            (on.max(Some(lower)), chain.max(gas))
        });
        let weight = probable_gas(block, of);
        let chain = chain.saturating_add(weight);
        total = total.saturating_add(weight);
        longest = longest.max(chain);
        last.extend(keys.into_iter().flatten().map(|key| (key, (tx, chain))));
        pairs.extend(on.map(|on| (tx, on)));
    }
    let is_chain = longest > total / 5 * MOST_OF_FIVE;
    if is_chain { Vec::new() } else { pairs }
}

/// Length of the first contiguous batches in `block`.
pub(in crate::evm) fn first_batch(block: &Block) -> usize {
    usize::try_from(FIRST_BATCH_GAS / mean_gas_limit(block).max(1))
        .map_or(LONGEST_FIRST_BATCH, |fit| fit.clamp(SHORTEST_BATCH, LONGEST_FIRST_BATCH))
}

/// Number of transactions after `segment` that are as cheap, by probable gas: at most a multiple of
/// its length, with at most that multiple of its gas.
pub(super) fn as_cheap(block: &Block, segment: Range<usize>) -> usize {
    let end = segment.end;
    let asked = |tx: &TxEnv| probable_gas(block, tx);
    let most = SEGMENT_GROWTH.saturating_mul(segment.len());
    let transactions = block.transactions.get(segment).unwrap_or_default().iter();
    let sum = transactions.map(asked).fold(0, u64::saturating_add);
    let room = sum.saturating_mul(SEGMENT_GROWTH as u64);
    let next = block.transactions.get(end..).unwrap_or_default().iter().take(most);
    let sums = next.scan(0_u64, |sum, tx| {
        *sum = sum.saturating_add(asked(tx));
        Some(*sum)
    });
    sums.take_while(|sum| *sum <= room).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{TxKind, U256};

    #[test]
    fn a_transaction_waits_for_the_last_one_that_shares_a_key() {
        let address = |number: u8| Address::repeat_byte(number);
        let pay = |from: u8, to: u8| TxEnv {
            caller: address(from),
            kind: TxKind::Call(address(to)),
            value: U256::ONE,
            ..TxEnv::default()
        };
        // The fourth one pays the sender of the first, and has the sender of the second.
        let transactions = [pay(1, 2), pay(3, 4), pay(5, 6), pay(3, 1), pay(7, 8), pay(7, 2)];
        let block = |transactions: Vec<_>| Block { transactions, ..Block::default() };
        let found = |block: &Block, first, end| {
            predicted_dependencies(block, Payees::NONE, TxIndex(first), end)
        };
        let pair = |(tx, on)| (TxIndex(tx), TxIndex(on));
        let mixed = block(transactions.into());
        assert_eq!(found(&mixed, 0, 6), [(3, 1), (5, 4)].map(pair));
        assert_eq!(found(&mixed, 2, 6), [(5, 4)].map(pair));
        // Of six transactions, five or four have one sender.
        let chain = |own: u8| block((0..6).map(|it| pay(it.min(own), 100 + it)).collect());
        assert_eq!(found(&chain(1), 0, 6), []);
        assert_eq!(found(&chain(2), 0, 6), [(3, 2), (4, 3), (5, 4)].map(pair));
    }
}
