//! Mutations that know transactions: one is inserted, removed, repeated, swapped with another, or
//! copied from another block.
//!
//! A transaction's bytes mean something else in a block with other features or accounts, but as
//! each choice takes one byte, most of them keep their meaning.

use crate::generate::Case;
use braid_evm::runtime::simulated::Random;
use std::ops::Range;

/// The transactions in an input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transactions {
    /// Position of each, in order and without gaps; empty if the input contains none.
    pub at: Vec<Range<usize>>,
}

impl Transactions {
    /// Locates the transactions in an input that begins with a block.
    pub(crate) fn of(input: &[u8]) -> Self {
        Self { at: Case::transactions_in(input) }
    }

    /// Locates the transactions in an input, if the generator reads `head` before it.
    pub(crate) fn after(head: &[u8], input: &[u8]) -> Self {
        let moved = |at: Range<usize>| {
            Some(at.start.checked_sub(head.len())?..at.end.checked_sub(head.len())?)
        };
        let all = Case::transactions_in(&[head, input].concat());
        Self { at: all.into_iter().filter_map(moved).collect() }
    }

    /// Changes the transactions of `input`, as `seed` chooses; `None` if there are none.
    #[must_use]
    pub fn change(&self, input: &[u8], seed: u64) -> Option<Vec<u8>> {
        let random = &mut Random::new(seed);
        let one = self.any(random)?;
        let bytes = &input[one.clone()];
        match random.below(4) {
            0 => {
                let new: Vec<u8> = bytes.iter().map(|_| random.next_u64() as u8).collect();
                self.inserted(input, &new, random)
            }
            1 => self.inserted(input, bytes, random),
            2 => {
                let rest = [&input[..one.start], &input[one.end..]].concat();
                self.counted(rest, |count| count.checked_sub(1))
            }
            _ => {
                let other = self.any(random)?;
                let (first, last) =
                    if one.start <= other.start { (one, other) } else { (other, one) };
                let between = input.get(first.end..last.start)?;
                let parts = [
                    &input[..first.start],
                    &input[last.clone()],
                    between,
                    &input[first.clone()],
                    &input[last.end..],
                ];
                Some(parts.concat())
            }
        }
    }

    /// Inserts one of the `others`, which are in `from`, into `input`, as `seed` chooses; `None` if
    /// either has no transactions.
    #[must_use]
    pub fn cross(&self, input: &[u8], others: &Self, from: &[u8], seed: u64) -> Option<Vec<u8>> {
        let random = &mut Random::new(seed);
        self.inserted(input, &from[others.any(random)?], random)
    }

    fn any(&self, random: &mut Random) -> Option<Range<usize>> {
        let index = random.below(self.at.len().max(1) as u64);
        self.at.get(index as usize).cloned()
    }

    /// Inserts `new` before one of the transactions.
    fn inserted(&self, input: &[u8], new: &[u8], random: &mut Random) -> Option<Vec<u8>> {
        let (before, after) = input.split_at(self.any(random)?.start);
        self.counted([before, new, after].concat(), |count| {
            count.checked_add(1).filter(|count| *count < Case::MOST)
        })
    }

    /// Changes the number of transactions less 1, which is the byte before the first one.
    fn counted(
        &self,
        mut input: Vec<u8>,
        change: impl FnOnce(u8) -> Option<u8>,
    ) -> Option<Vec<u8>> {
        let count = input.get_mut(self.at.first()?.start.checked_sub(1)?)?;
        *count = change(*count % Case::MOST)?;
        Some(input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::bytes_of_seed;
    use std::collections::BTreeSet;

    /// Number of bytes of an input: enough for all transactions of some blocks.
    const LENGTH: usize = 700;

    fn input(seed: u64) -> (Vec<u8>, Transactions) {
        let bytes = bytes_of_seed(seed, LENGTH);
        let transactions = Transactions::of(&bytes);
        (bytes, transactions)
    }

    /// What a transaction's own bytes choose, whatever comes before it.
    fn chosen(bytes: &[u8]) -> Vec<String> {
        let case = Case::from_bytes(bytes);
        let txs = case.block.transactions.iter();
        txs.map(|tx| format!("{} {:?} {}", tx.caller, tx.value, tx.gas_limit)).collect()
    }

    #[test]
    fn the_bytes_of_a_block_are_found() {
        for seed in 0..50 {
            let (bytes, Transactions { at }) = input(seed);
            let count = Case::from_bytes(&bytes).block.transactions.len();
            assert!(at.len() <= count && !at.is_empty(), "seed {seed}: {at:?}");
            assert!(at.windows(2).all(|pair| pair[0].end == pair[1].start), "seed {seed}: {at:?}");
            let said = bytes[at[0].start - 1] % Case::MOST;
            assert_eq!(usize::from(said) + 1, count, "seed {seed}");
        }
        assert_eq!(Transactions::of(&[]).change(&[], 1), None);
    }

    #[test]
    fn transactions_are_inserted_removed_repeated_and_moved() {
        let (mut lengths, mut kept, mut all) = (BTreeSet::new(), 0, 0);
        for seed in 0..400 {
            let (bytes, transactions) = input(seed % 20);
            let Some(changed) = transactions.change(&bytes, seed) else { continue };
            let (before, after) = (chosen(&bytes), chosen(&changed));
            lengths.insert(after.len() as i64 - before.len() as i64);
            kept += before.iter().filter(|tx| after.contains(tx)).count();
            all += before.len();
            // The accounts before the block, and its environment, stay.
            let [old, new] = [&bytes, &changed].map(|bytes| Case::from_bytes(bytes));
            assert_eq!(old.block.env, new.block.env, "seed {seed}");
        }
        assert_eq!(lengths, BTreeSet::from([-1, 0, 1]));
        println!("{kept} of {all} transactions stay");
        assert!(kept * 10 > all * 8, "{kept} of {all}");
    }

    #[test]
    fn a_transaction_is_copied_from_another_block() {
        let ((bytes, transactions), (from, others)) = (input(1), input(2));
        let crossed = transactions.cross(&bytes, &others, &from, 3).expect("both have some");
        let copied = others.at.iter().any(|at| {
            let tx = &from[at.clone()];
            crossed.windows(tx.len()).any(|bytes| bytes == tx)
        });
        assert!(copied);
        assert_eq!(chosen(&crossed).len(), chosen(&bytes).len() + 1);
        assert_eq!(transactions.cross(&bytes, &Transactions::default(), &from, 3), None);
    }
}
