//! Accounts that are paid often.

use super::tx::is_payment;
use crate::evm::exec::input::Block;
use crate::thresholds::{FREQUENT_PAYEE_ONE_IN, SAMPLE_TXS};
use alloy_primitives::Address;
use alloy_primitives::map::AddressMap;

/// Returns accounts that receive many payments in `block`, by a sample, and send no transaction:
/// usually deposit addresses of exchanges.
///
/// A run that reads the balance of such an account waits for all payments below it. If the account
/// were a sender, each of its transactions would do so.
pub(in crate::evm) fn frequent_payees(block: &Block) -> Vec<Address> {
    let step = block.transactions.len().div_ceil(SAMPLE_TXS).max(1);
    let sample = block.transactions.iter().step_by(step);
    // A single payment is not frequent, however short the block.
    let least = sample.len().div_ceil(FREQUENT_PAYEE_ONE_IN).max(2);
    let payees = sample.filter(|tx| is_payment(tx)).filter_map(|tx| tx.kind.to());
    let mut times = AddressMap::<usize>::default();
    times.reserve(payees.clone().count());
    for payee in payees {
        *times.entry(*payee).or_default() += 1;
    }
    let mut often: Vec<_> = times.into_iter().filter(|(_, times)| *times >= least).collect();
    if !often.is_empty() {
        for tx in &block.transactions {
            often.retain(|(payee, _)| *payee != tx.caller);
        }
    }
    // Sort, so that the same block runs the same way each time.
    let mut often: Vec<Address> = often.into_iter().map(|(payee, _)| payee).collect();
    often.sort_unstable();
    often
}

#[cfg(test)]
mod tests {
    use super::*;
    use revm::context::TxEnv;
    use revm::primitives::TxKind;

    fn pay(from: u64, to: u64) -> TxEnv {
        let [caller, to] = [from, to].map(|it| Address::left_padding_from(&it.to_be_bytes()));
        TxEnv { caller, kind: TxKind::Call(to), ..TxEnv::default() }
    }

    fn paid(transactions: impl IntoIterator<Item = TxEnv>) -> Vec<u64> {
        let transactions = transactions.into_iter().collect();
        let often = frequent_payees(&Block { transactions, ..Block::default() });
        let number = |it: Address| it.into_word().0.last_chunk().map(|it| u64::from_be_bytes(*it));
        often.into_iter().filter_map(number).collect()
    }

    #[test]
    fn who_is_paid_by_one_in_sixteen_and_sends_nothing_is_paid_often() {
        let one_in = |every: u64| {
            move |tx: u64| pay(1_000 + tx, if tx.is_multiple_of(every) { 7 } else { 5_000 + tx })
        };
        assert_eq!(paid((0..800).map(one_in(16))), [7]);
        assert!(paid((0..800).map(one_in(17))).is_empty());
        // By a sample of every tenth transaction.
        assert_eq!(paid((0..10_240).map(one_in(10))), [7]);
        // A single payment is not frequent, however short the block.
        assert!(paid((0..1).map(|tx: u64| pay(1_000 + tx, 7))).is_empty());
        assert_eq!(paid((0..2).map(|tx: u64| pay(1_000 + tx, 7))), [7]);
        let two = |tx: u64| pay(1_000 + tx, 7 + tx % 2);
        assert_eq!(paid((0..80).map(two)), [7, 8]);
        assert_eq!(paid((0..80).map(two).chain([pay(8, 9)])), [7]);
    }

    #[test]
    fn what_calls_or_creates_is_no_payment() {
        let call = |tx: u64| TxEnv { data: vec![1].into(), ..pay(1_000 + tx, 7) };
        let create = |tx: u64| TxEnv { kind: TxKind::Create, ..pay(1_000 + tx, 7) };
        assert!(paid((0..80).map(call)).is_empty());
        assert!(paid((0..80).map(create)).is_empty());
    }
}
