//! Block access lists (EIP-7928) of a sequential execution, by two builders that share no code:
//! revm's own, and the one below, which receives the state that each transaction and each call has
//! loaded.

use alloy_eip7928::{
    AccountChanges, BalanceChange, BlockAccessIndex, BlockAccessList, CodeChange, NonceChange,
    SlotChanges, StorageChange,
};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use revm::Database;
use revm::database::State;
use revm::state::{Account, AccountInfo, EvmState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// The access list of a block, from both builders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLists {
    /// The list of revm's `BalState`.
    pub revm: BlockAccessList,
    /// The list of the oracle's own builder.
    pub own: BlockAccessList,
    /// Accounts for which revm's builder is wrong, in three cases. An amount that overflows a
    /// balance is not returned, but if the surrounding call is reverted, the account counts as
    /// untouched: the change is in the list and not in the state. Of two commits at one index, as
    /// by post-block calls, the second one removes the change of the first from the list if it
    /// leaves the value alone. Slots of an account that is destroyed before Cancun keep their
    /// values in the list unless the same transaction has loaded them.
    pub doubtful: BTreeSet<Address>,
    /// Recipients of the block's rewards, which may be zero: by the EIP, that is no access, but
    /// both builders count it as one.
    pub rewarded: BTreeSet<Address>,
    /// Same without the steps after the transactions, if the transactions succeeded.
    pub before_end: Option<Box<Self>>,
}

impl AccessLists {
    /// Describes how `found` differs from the two lists, or they from each other.
    #[must_use]
    pub fn difference(&self, found: &[AccountChanges]) -> Option<String> {
        let certain = |list: &[AccountChanges]| -> Vec<_> {
            let accounts = list.iter().filter(|it| !self.doubtful.contains(&it.address));
            accounts.cloned().collect()
        };
        difference(&certain(&self.own), &certain(&self.revm))
            .map(|words| format!("revm's list differs from the oracle's: {words}"))
            .or_else(|| difference(&self.accessed(&self.own), &self.accessed(found)))
    }
}

impl AccessLists {
    /// Returns `list` without recipients of rewards that have no other access.
    fn accessed(&self, list: &[AccountChanges]) -> BlockAccessList {
        let is_idle = |it: &&AccountChanges| it.is_empty() && self.rewarded.contains(&it.address);
        list.iter().filter(|it| !is_idle(it)).cloned().collect()
    }
}

/// Describes the first account in which two lists differ.
fn difference(expected: &[AccountChanges], found: &[AccountChanges]) -> Option<String> {
    for place in 0..expected.len().max(found.len()) {
        let (expected, found) = (expected.get(place), found.get(place));
        if expected != found {
            return Some(format!(
                "access list, account {place}: expected {expected:?}, found {found:?}"
            ));
        }
    }
    None
}

/// The values before and after each index.
type Spans<V> = BTreeMap<u64, (V, V)>;

/// The accesses to an account.
#[derive(Debug, Default)]
struct Life {
    balances: Spans<U256>,
    nonces: Spans<u64>,
    codes: Spans<B256>,
    slots: BTreeMap<U256, Spans<U256>>,
}

/// Builds a list from the committed states: all loaded accounts and slots, with their values before
/// and after.
#[derive(Debug, Default)]
struct ListOracle {
    /// Index of the next commit.
    index: u64,
    accounts: BTreeMap<Address, Life>,
    codes: BTreeMap<B256, Bytes>,
    doubtful: BTreeSet<Address>,
    /// The lists at the end of the transactions.
    before_end: Option<Box<AccessLists>>,
}

/// Both builders, which observe each commit into a [`State`].
#[derive(Clone, Debug, Default)]
pub struct Lists(Arc<Mutex<ListOracle>>);

impl Lists {
    /// Lists everything that is committed into `state` from now on, at index 0.
    pub fn listen<D: Database>(&self, state: &mut State<D>) {
        let told = self.clone();
        let told = move |left: EvmState| told.with(|own| own.add(&left));
        state.bal_state = core::mem::take(&mut state.bal_state).with_bal_builder();
        state.set_state_hook(Some(Box::new(told)));
    }

    /// Sets the index of the following commits.
    pub fn set_index<D: Database>(&self, state: &mut State<D>, index: u64) {
        state.set_bal_index(BlockAccessIndex::new(index));
        self.with(|own| own.index = index);
    }

    /// Ends the transactions, and sets the index of the following commits.
    pub fn end_transactions<D: Database>(&self, state: &mut State<D>, index: u64) {
        let before_end = Box::new(self.copy(state));
        self.with(|own| own.before_end = Some(before_end));
        self.set_index(state, index);
    }

    /// Returns the lists of everything that was committed.
    pub fn take<D: Database>(&self, state: &mut State<D>) -> AccessLists {
        let before_end = self.with(|own| own.before_end.take());
        AccessLists { before_end, ..self.copy(state) }
    }

    fn copy<D: Database>(&self, state: &State<D>) -> AccessLists {
        let revm = state.bal_state.bal_builder().expect("it listens").into_alloy_bal();
        let (own, doubtful) = self.with(|own| (own.list(), own.doubtful.clone()));
        AccessLists { revm, own, doubtful, rewarded: BTreeSet::new(), before_end: None }
    }

    fn with<T>(&self, act: impl FnOnce(&mut ListOracle) -> T) -> T {
        // The lock is poisoned if the database has panicked before.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ListOracle {
    /// Adds the accesses of a transaction, a call, or a payment after them.
    fn add(&mut self, state: &EvmState) {
        for (address, account) in state {
            let life = self.accounts.entry(*address).or_default();
            let before = account.original_info();
            let after = if account.is_touched() { end_of(account) } else { before.clone() };
            if !account.is_touched() && account.info.balance != before.balance {
                self.doubtful.insert(*address);
            }
            // Before Cancun, the account may have slots that this transaction has not loaded:
            // revm's builder keeps their values.
            if account.is_selfdestructed() && !account.is_created() {
                self.doubtful.insert(*address);
            }
            let index = self.index;
            let mut lost = extend(&mut life.balances, index, before.balance, after.balance);
            lost |= extend(&mut life.nonces, index, before.nonce, after.nonce);
            lost |= extend(&mut life.codes, index, before.code_hash, after.code_hash);
            if let Some(code) = &after.code {
                self.codes.insert(after.code_hash, code.original_bytes());
            }
            for (slot, value) in &account.storage {
                let kept =
                    if account.is_selfdestructed() { U256::ZERO } else { value.present_value };
                let spans = life.slots.entry(*slot).or_default();
                lost |= extend(spans, index, value.original_value, kept);
            }
            if lost {
                self.doubtful.insert(*address);
            }
        }
    }

    /// Returns the list of everything that was committed.
    fn list(&self) -> BlockAccessList {
        self.accounts.iter().map(|(address, life)| self.account(*address, life)).collect()
    }

    fn account(&self, address: Address, life: &Life) -> AccountChanges {
        let code = |hash: &B256| match *hash == KECCAK256_EMPTY {
            true => Bytes::new(),
            false => self.codes.get(hash).cloned().expect("a new code is there"),
        };
        let mut account = AccountChanges::new(address);
        for (slot, spans) in &life.slots {
            let changes: Vec<_> = changes(spans, |index, value| StorageChange::new(index, *value));
            match changes.is_empty() {
                true => account.storage_reads.push(*slot),
                false => account.storage_changes.push(SlotChanges::new(*slot, changes)),
            }
        }
        account.balance_changes =
            changes(&life.balances, |index, value| BalanceChange::new(index, *value));
        account.nonce_changes =
            changes(&life.nonces, |index, value| NonceChange::new(index, *value));
        account.code_changes =
            changes(&life.codes, |index, value| CodeChange::new(index, code(value)));
        account
    }
}

/// Returns the account after a transaction; an empty one if it was destroyed.
fn end_of(account: &Account) -> AccountInfo {
    if account.is_selfdestructed() { AccountInfo::default() } else { account.info.clone() }
}

/// Adds the values before and after a commit. Returns whether an earlier commit at this index has
/// changed the value and this one has not.
fn extend<V: PartialEq>(spans: &mut Spans<V>, index: u64, before: V, after: V) -> bool {
    match spans.get_mut(&index) {
        Some((first, last)) => {
            let lost = first != last && before == after;
            *last = after;
            lost
        }
        None => {
            spans.insert(index, (before, after));
            false
        }
    }
}

/// Returns the values that differ before and after an index.
fn changes<V: PartialEq, C>(
    spans: &Spans<V>,
    change: impl Fn(BlockAccessIndex, &V) -> C,
) -> Vec<C> {
    let changed = spans.iter().filter(|(_, (before, after))| before != after);
    changed.map(|(index, (_, after))| change(BlockAccessIndex::new(*index), after)).collect()
}
