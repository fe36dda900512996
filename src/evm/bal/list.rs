//! Builds a block's access list in canonical order from the accesses of each index.

use super::accesses::{Accesses, AccountIndex};
use crate::evm::fees::reward::Reward;
use alloy_eip7928::bal::Bal;
use alloy_eip7928::{
    AccountChanges, BalanceChange, BlockAccessIndex, CodeChange, NonceChange, SlotChanges,
    StorageChange,
};
use alloy_primitives::map::{AddressMap, HashMap};
use alloy_primitives::{Address, U256};
use core::hash::{Hash, Hasher};

/// An account that may receive blind credits.
#[derive(Clone, Copy, Debug)]
pub(in crate::evm) struct Receiver {
    pub(in crate::evm) address: Address,
    /// The balance so far; `None` if the account does not exist.
    pub(in crate::evm) balance: Option<U256>,
}

/// A slot of an account. Hashing it as numbers takes a fraction of the time of hashing bytes.
#[derive(Debug, PartialEq, Eq)]
struct SlotKey {
    /// Position of the account in the list.
    account: usize,
    slot: U256,
}

impl Hash for SlotKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.account);
        self.slot.as_limbs().iter().for_each(|limb| state.write_u64(*limb));
    }
}

/// An access list under construction, extended index by index.
#[derive(Debug)]
pub(in crate::evm) struct ListBuilder {
    /// Positions of accounts in `list`.
    account_positions: AddressMap<usize>,
    /// Accounts, and their slots, in the order of first access. Until `build`, slots that were only
    /// read are entries of `storage_changes` without changes.
    list: Vec<AccountChanges>,
    /// Positions of slots in their accounts.
    slot_positions: HashMap<SlotKey, usize>,
    /// The receivers of rewards and of surcharges.
    receivers: [Receiver; 2],
    touch_creates: bool,
    next: BlockAccessIndex,
    /// Positions of the accounts of the accesses being added.
    accessed: Vec<usize>,
}

impl ListBuilder {
    /// Creates an empty list with room for `room` accounts. `touch_creates`: whether touching an
    /// account creates it (before EIP-161).
    pub(in crate::evm) fn new(receivers: [Receiver; 2], touch_creates: bool, room: usize) -> Self {
        Self {
            account_positions: AddressMap::with_capacity_and_hasher(room, Default::default()),
            list: Vec::with_capacity(room),
            slot_positions: HashMap::default(),
            receivers,
            touch_creates,
            next: BlockAccessIndex::PRE_EXECUTION,
            accessed: Vec::new(),
        }
    }

    /// Adds the accesses of the next index.
    pub(in crate::evm) fn add(&mut self, accesses: &Accesses) {
        let index = self.next;
        self.next.increment();
        let mut accessed = core::mem::take(&mut self.accessed);
        accessed.clear();
        accessed.extend(accesses.accounts.iter().map(|address| self.account_position(*address)));
        let at = |account_index: &AccountIndex| accessed.get(*account_index as usize).copied();
        for (account_index, balance) in &accesses.balances {
            let Some(position) = at(account_index) else { continue };
            self.set_balance(index, position, *balance);
        }
        for (account_index, nonce) in &accesses.nonces {
            let account = at(account_index).and_then(|position| self.list.get_mut(position));
            let Some(account) = account else { continue };
            let change = NonceChange::new(index, *nonce);
            set(&mut account.nonce_changes, change, |change| change.block_access_index);
        }
        for (account_index, code) in &accesses.codes {
            let account = at(account_index).and_then(|position| self.list.get_mut(position));
            let Some(account) = account else { continue };
            let change = CodeChange::new(index, code.clone());
            set(&mut account.code_changes, change, |change| change.block_access_index);
        }
        for (account_index, slot) in &accesses.reads {
            let Some(account) = at(account_index) else { continue };
            self.slot_position(account, *slot);
        }
        for (account_index, slot, value) in &accesses.writes {
            let Some(account) = at(account_index) else { continue };
            let position = self.slot_position(account, *slot);
            let account = self.list.get_mut(account);
            let slot = account.and_then(|account| account.storage_changes.get_mut(position));
            let Some(slot) = slot else { continue };
            let change = StorageChange::new(index, *value);
            set(&mut slot.changes, change, |change| change.block_access_index);
        }
        self.accessed = accessed;
        for (receiver_index, credit) in accesses.credits.iter().enumerate() {
            if let Some(amount) = credit {
                self.credit(index, receiver_index, *amount);
            }
        }
    }

    /// Adds a blind credit of a transaction to a receiver.
    fn credit(&mut self, index: BlockAccessIndex, receiver_index: usize, amount: U256) {
        let touch_creates = self.touch_creates;
        let Some(receiver) = self.receivers.get_mut(receiver_index) else { return };
        let before = receiver.balance;
        receiver.balance = Reward { amount, touch_creates }.apply(before);
        let Receiver { address, balance } = *receiver;
        let position = self.account_position(address);
        let balance = balance.unwrap_or_default();
        if balance != before.unwrap_or_default() && !mutant!(CreditUnlisted) {
            self.set_balance(index, position, balance);
        }
    }

    fn set_balance(&mut self, index: BlockAccessIndex, position: usize, balance: U256) {
        let Some(account) = self.list.get_mut(position) else { return };
        let address = account.address;
        let change = BalanceChange::new(index, balance);
        set(&mut account.balance_changes, change, |change| change.block_access_index);
        for receiver in &mut self.receivers {
            if receiver.address == address {
                receiver.balance = Some(balance);
            }
        }
    }

    /// Returns the position of an account in the list; adds the account if it is missing.
    fn account_position(&mut self, address: Address) -> usize {
        let next = self.list.len();
        let position = *self.account_positions.entry(address).or_insert(next);
        if position == next {
            self.list.push(AccountChanges::new(address));
        }
        position
    }

    fn slot_position(&mut self, account: usize, slot: U256) -> usize {
        let Some(changes) = self.list.get_mut(account).map(|account| &mut account.storage_changes)
        else {
            return 0;
        };
        let next = changes.len();
        let position = *self.slot_positions.entry(SlotKey { account, slot }).or_insert(next);
        if position == next {
            changes.push(SlotChanges::new(slot, Vec::new()));
        }
        position
    }

    /// Returns the list in canonical order.
    pub(in crate::evm) fn build(self) -> Bal {
        let Self { mut list, .. } = self;
        for account in &mut list {
            let slots = &mut account.storage_changes;
            slots.sort_unstable_by_key(|slot| slot.slot);
            let read = slots.iter().filter(|slot| slot.changes.is_empty());
            account.storage_reads.extend(read.map(|slot| slot.slot));
            slots.retain(|slot| !slot.changes.is_empty());
        }
        // Sort positions instead of accounts: an account is large and should be moved only once.
        let mut order: Vec<(Address, usize)> = (0..list.len())
            .zip(&list)
            .map(|(position, account)| (account.address, position))
            .collect();
        order.sort_unstable();
        let mut take = |position| list.get_mut(position).map(core::mem::take).unwrap_or_default();
        Bal::new(order.into_iter().map(|(_, position)| take(position)).collect())
    }
}

/// Adds a change, or replaces the one with the same index.
fn set<C>(changes: &mut Vec<C>, change: C, index: impl Fn(&C) -> BlockAccessIndex) {
    match changes.last_mut() {
        Some(last) if index(last) == index(&change) => *last = change,
        Some(_) => changes.push(change),
        // Most items change once, and `push` would allocate room for four.
        None => *changes = vec![change],
    }
}
