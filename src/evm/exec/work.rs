//! Estimates how much work transactions take.

use crate::thresholds::{COMPUTE_WEIGHT, PRECOMPILE_WEIGHT};
use revm::context::TxEnv;
use revm::context_interface::journaled_state::entry::JournalEntry;

/// Work of one or more transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::evm) struct Work {
    /// Work in units of one gas of common instructions, which takes half a nanosecond.
    pub(in crate::evm) units: u64,
    /// Number of loaded accounts and slots.
    pub(in crate::evm) accesses: u64,
}

impl Work {
    /// Work of a transaction that has used `gas`, of which `precompiles` in precompiles.
    pub(super) fn of(
        gas: u64,
        StateCost { gas: state_cost, accesses }: StateCost,
        precompiles: u64,
    ) -> Self {
        let state_cost = state_cost.min(gas);
        let more = precompiles.saturating_mul(PRECOMPILE_WEIGHT - 1);
        let units =
            (gas - state_cost).saturating_add(state_cost / COMPUTE_WEIGHT).saturating_add(more);
        Self { units, accesses }
    }

    /// The same work in a private batch, where accesses do not go through the shared store.
    pub(in crate::evm) const fn in_batches(self) -> Self {
        Self { accesses: 0, ..self }
    }

    pub(in crate::evm) const fn plus(self, other: Self) -> Self {
        let units = self.units.saturating_add(other.units);
        Self { units, accesses: self.accesses.saturating_add(other.accesses) }
    }

    pub(in crate::evm) const fn minus(self, other: Self) -> Self {
        let units = self.units.saturating_sub(other.units);
        Self { units, accesses: self.accesses.saturating_sub(other.accesses) }
    }
}

/// Gas and accesses that a transaction spends on state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StateCost {
    /// Gas charged for the transaction itself and for state accesses and changes (EIP-2929,
    /// EIP-2200).
    gas: u64,
    /// Number of loaded accounts and slots.
    accesses: u64,
}

impl StateCost {
    /// Sums up the journal `entries` of one transaction.
    pub(super) fn of(entries: &[JournalEntry]) -> Self {
        const TRANSACTION: u64 = 21_000;
        // A slot is charged when it is loaded and when it first changes, not on every access.
        let is_load = |entry: &&JournalEntry| matches!(entry, JournalEntry::StorageWarmed { .. });
        let slots = entries.iter().filter(is_load).count();
        let mut unchanged = slots;
        let mut change_gas = |gas| {
            let is_first = unchanged > 0;
            unchanged = unchanged.saturating_sub(1);
            if is_first { gas } else { 100 }
        };
        let mut accounts = 0;
        let charged = |entry: &JournalEntry| match entry {
            JournalEntry::AccountWarmed { .. } => {
                accounts += 1;
                2_600
            }
            JournalEntry::StorageWarmed { .. } => 2_100,
            JournalEntry::StorageChanged { had_value, .. } if had_value.is_zero() => {
                change_gas(20_000)
            }
            JournalEntry::StorageChanged { .. } => change_gas(2_900),
            _ => 0,
        };
        let gas = entries.iter().map(charged).fold(TRANSACTION, u64::saturating_add);
        Self { gas, accesses: accounts + slots as u64 }
    }
}

/// Estimates how many accounts `transactions` will load: each loads its sender, and a plain payment
/// its recipient; contracts are often the same. The senders are sampled, because many transactions
/// may share one, and unused capacity costs more than growing.
pub(super) fn expected_accounts(transactions: &[TxEnv]) -> usize {
    const SAMPLE: usize = 256;
    let most = transactions.iter().map(|tx| 1 + usize::from(tx.data.is_empty())).sum();
    if transactions.len() < 4 * SAMPLE {
        return most;
    }
    let step = transactions.len() / SAMPLE;
    let mut senders: Vec<_> = transactions.iter().step_by(step).map(|tx| tx.caller).collect();
    let sampled = senders.len();
    senders.sort_unstable();
    senders.dedup();
    // With n equally likely senders, s samples are expected to collide s * s / 2n times.
    match sampled - senders.len() {
        0 => most,
        collisions => most.min(sampled * sampled / collisions),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, U256};

    #[test]
    fn work_is_what_takes_time() {
        let slot = |had_value| JournalEntry::StorageChanged {
            address: Address::ZERO,
            key: U256::ZERO,
            had_value: U256::from(had_value),
        };
        let warmed = JournalEntry::StorageWarmed { address: Address::ZERO, key: U256::ZERO };
        assert_eq!(StateCost::of(&[]), StateCost { gas: 21_000, accesses: 0 });
        let entries = [warmed.clone(), slot(0), warmed, slot(7), slot(0), slot(8)];
        assert_eq!(StateCost::of(&entries), StateCost { gas: 48_300, accesses: 2 });
        let work = |gas, state_cost, precompiles| {
            let state_cost = StateCost { gas: state_cost, accesses: 3 };
            let work = Work::of(gas, state_cost, precompiles);
            assert_eq!(work.accesses, 3);
            work.units
        };
        // A payment; a token transfer; the same gas in instructions; a precompile; less gas than
        // was charged for state.
        assert_eq!(work(21_000, 21_000, 0), 3_500);
        assert_eq!(work(46_000, 46_000, 0), 7_666);
        assert_eq!(work(46_000, 21_000, 0), 28_500);
        assert_eq!(work(46_000, 46_000, 10_000), 197_666);
        assert_eq!(work(12_000, 46_000, 0), 2_000);
    }

    #[test]
    fn as_many_accounts_are_expected_as_senders_suggest() {
        let expected = |count: u64, senders: u64| {
            let pay = |number: u64| TxEnv {
                caller: Address::left_padding_from(&(number % senders).to_be_bytes()),
                ..TxEnv::default()
            };
            expected_accounts(&(0..count).map(pay).collect::<Vec<_>>())
        };
        // Each payment also has a recipient.
        assert_eq!((expected(50_000, 50_000), expected(0, 1)), (100_000, 0));
        // A few too many do no harm; one per transaction would.
        assert!((20..500).contains(&expected(50_000, 20)));
        // Too few to be sampled.
        assert_eq!(expected(1_000, 20), 2_000);
    }
}
