//! Estimates of how much work transactions are.

use revm::context::TxEnv;
use revm::context_interface::journaled_state::entry::JournalEntry;

/// Work from which on a transaction begins before its turn, as gas of common instructions: a fifth
/// of a millisecond. Of real blocks on two workers with 0.5, 0.2 and 0.1 ms: 1.45, 1.51 and 1.46 in
/// the median, 1.35 without.
pub(in crate::evm) const LONG: u64 = 400_000;

/// Gas of precompiles takes longer than that of common instructions by about this: pairings,
/// signatures and proofs take 8 to 16 ns for each unit, common instructions 0.5 ns.
const PRECOMPILE: u64 = 20;

/// Gas of the transaction itself, and of accesses and changes of the state, takes less time than
/// that of common instructions by about this: 0.08 ns for each unit.
const STATE: u64 = 6;

/// How much work transactions are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::evm) struct Work {
    /// As gas of common instructions, half a nanosecond for each unit.
    pub(in crate::evm) all: u64,
    /// Accounts and slots that they have loaded.
    pub(in crate::evm) accesses: u64,
}

impl Work {
    /// Work of a transaction that has used `gas`, beside `precompiles` more.
    pub(super) fn of(
        gas: u64,
        ForState { gas: for_state, accesses }: ForState,
        precompiles: u64,
    ) -> Self {
        let for_state = for_state.min(gas);
        let more = precompiles.saturating_mul(PRECOMPILE - 1);
        let all = (gas - for_state).saturating_add(for_state / STATE).saturating_add(more);
        Self { all, accesses }
    }

    /// The same in private batches, which share no store.
    pub(in crate::evm) const fn in_batches(self) -> Self {
        Self { accesses: 0, ..self }
    }

    pub(in crate::evm) const fn plus(self, other: Self) -> Self {
        let all = self.all.saturating_add(other.all);
        Self { all, accesses: self.accesses.saturating_add(other.accesses) }
    }

    pub(in crate::evm) const fn minus(self, other: Self) -> Self {
        let all = self.all.saturating_sub(other.all);
        Self { all, accesses: self.accesses.saturating_sub(other.accesses) }
    }
}

/// What a transaction has done to the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ForState {
    /// Gas charged for the transaction itself, and for accesses and changes of the state (EIP-2929,
    /// EIP-2200).
    gas: u64,
    /// Accounts and slots that were loaded.
    accesses: u64,
}

impl ForState {
    /// As the `entries` of its journal tell it.
    pub(super) fn of(entries: &[JournalEntry]) -> Self {
        const TRANSACTION: u64 = 21_000;
        // A slot is charged for when it is loaded and when it is changed first, not each time.
        let is_load = |entry: &&JournalEntry| matches!(entry, JournalEntry::StorageWarmed { .. });
        let slots = entries.iter().filter(is_load).count();
        let mut unchanged = slots;
        let mut changes = |gas| {
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
                changes(20_000)
            }
            JournalEntry::StorageChanged { .. } => changes(2_900),
            _ => 0,
        };
        let gas = entries.iter().map(charged).fold(TRANSACTION, u64::saturating_add);
        Self { gas, accesses: accounts + slots as u64 }
    }
}

/// How many accounts `transactions` will probably load: each brings its sender, and a plain payment
/// its receiver; contracts are often the same. So are senders, in some blocks: room that is not
/// used costs more than growing does.
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
    // Of n senders that are equally likely, s samples meet s * s / 2n times.
    match sampled - senders.len() {
        0 => most,
        met => most.min(sampled * sampled / met),
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
        assert_eq!(ForState::of(&[]), ForState { gas: 21_000, accesses: 0 });
        let entries = [warmed.clone(), slot(0), warmed, slot(7), slot(0), slot(8)];
        assert_eq!(ForState::of(&entries), ForState { gas: 48_300, accesses: 2 });
        let work = |gas, for_state, precompiles| {
            let for_state = ForState { gas: for_state, accesses: 3 };
            let work = Work::of(gas, for_state, precompiles);
            assert_eq!(work.accesses, 3);
            work.all
        };
        // A payment; a token; as many instructions; a precompile; less than was charged.
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
        // Each has a receiver, too.
        assert_eq!((expected(50_000, 50_000), expected(0, 1)), (100_000, 0));
        // A few too many do no harm, as many as there are transactions would.
        assert!((20..500).contains(&expected(50_000, 20)));
        // Too few to be sampled.
        assert_eq!(expected(1_000, 20), 2_000);
    }
}
