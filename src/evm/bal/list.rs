//! Builds a block's access list, in canonical order, from the accesses of each index.

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

/// A slot of the account at a place. Hashed as numbers, which takes a fraction of the time of
/// bytes.
#[derive(Debug, PartialEq, Eq)]
struct SlotKey {
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
    places: AddressMap<usize>,
    /// Accounts, and their slots, in the order of first access. Until `build`, slots that were only
    /// read are among the changed ones.
    list: Vec<AccountChanges>,
    /// Positions of slots in their accounts.
    slot_places: HashMap<SlotKey, usize>,
    /// The receivers of rewards and of surcharges.
    receivers: [Receiver; 2],
    touch_creates: bool,
    next: BlockAccessIndex,
    /// Positions of the accounts of the accesses being added.
    found: Vec<usize>,
}

impl ListBuilder {
    /// Creates an empty list with room for `room` accounts. `touch_creates`: whether touching an
    /// account creates it (before EIP-161).
    pub(in crate::evm) fn new(receivers: [Receiver; 2], touch_creates: bool, room: usize) -> Self {
        Self {
            places: AddressMap::with_capacity_and_hasher(room, Default::default()),
            list: Vec::with_capacity(room),
            slot_places: HashMap::default(),
            receivers,
            touch_creates,
            next: BlockAccessIndex::PRE_EXECUTION,
            found: Vec::new(),
        }
    }

    /// Adds the accesses of the next index.
    pub(in crate::evm) fn add(&mut self, accesses: &Accesses) {
        let index = self.next;
        self.next.increment();
        let mut found = core::mem::take(&mut self.found);
        found.clear();
        found.extend(accesses.accounts.iter().map(|address| self.place(*address)));
        let at = |place: &AccountIndex| found.get(*place as usize).copied();
        for (place, balance) in &accesses.balances {
            let Some(place) = at(place) else { continue };
            self.set_balance(index, place, *balance);
        }
        for (place, nonce) in &accesses.nonces {
            let account = at(place).and_then(|place| self.list.get_mut(place));
            let Some(account) = account else { continue };
            let change = NonceChange::new(index, *nonce);
            set(&mut account.nonce_changes, change, |change| change.block_access_index);
        }
        for (place, code) in &accesses.codes {
            let account = at(place).and_then(|place| self.list.get_mut(place));
            let Some(account) = account else { continue };
            let change = CodeChange::new(index, code.clone());
            set(&mut account.code_changes, change, |change| change.block_access_index);
        }
        for (place, slot) in &accesses.reads {
            let Some(account) = at(place) else { continue };
            self.slot_place(account, *slot);
        }
        for (place, slot, value) in &accesses.writes {
            let Some(account) = at(place) else { continue };
            let place = self.slot_place(account, *slot);
            let account = self.list.get_mut(account);
            let slot = account.and_then(|account| account.storage_changes.get_mut(place));
            let Some(slot) = slot else { continue };
            let change = StorageChange::new(index, *value);
            set(&mut slot.changes, change, |change| change.block_access_index);
        }
        self.found = found;
        for (which, credit) in accesses.credits.iter().enumerate() {
            if let Some(amount) = credit {
                self.credit(index, which, *amount);
            }
        }
    }

    /// Adds a transaction's blind credit to a receiver.
    fn credit(&mut self, index: BlockAccessIndex, which: usize, amount: U256) {
        let touch_creates = self.touch_creates;
        let Some(receiver) = self.receivers.get_mut(which) else { return };
        let before = receiver.balance;
        receiver.balance = Reward { amount, touch_creates }.apply(before);
        let Receiver { address, balance } = *receiver;
        let place = self.place(address);
        let balance = balance.unwrap_or_default();
        if balance != before.unwrap_or_default() && !mutant!(CreditUnlisted) {
            self.set_balance(index, place, balance);
        }
    }

    fn set_balance(&mut self, index: BlockAccessIndex, place: usize, balance: U256) {
        let Some(account) = self.list.get_mut(place) else { return };
        let address = account.address;
        let change = BalanceChange::new(index, balance);
        set(&mut account.balance_changes, change, |change| change.block_access_index);
        for receiver in &mut self.receivers {
            if receiver.address == address {
                receiver.balance = Some(balance);
            }
        }
    }

    /// Position of an account in the list; adds the account if it is missing.
    fn place(&mut self, address: Address) -> usize {
        let next = self.list.len();
        let place = *self.places.entry(address).or_insert(next);
        if place == next {
            self.list.push(AccountChanges::new(address));
        }
        place
    }

    fn slot_place(&mut self, account: usize, slot: U256) -> usize {
        let Some(changes) = self.list.get_mut(account).map(|account| &mut account.storage_changes)
        else {
            return 0;
        };
        let next = changes.len();
        let place = *self.slot_places.entry(SlotKey { account, slot }).or_insert(next);
        if place == next {
            changes.push(SlotChanges::new(slot, Vec::new()));
        }
        place
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
        // Sort indices instead of accounts: an account is large and should be moved only once.
        let mut order: Vec<(Address, usize)> =
            (0..list.len()).zip(&list).map(|(place, account)| (account.address, place)).collect();
        order.sort_unstable();
        let mut take = |place| list.get_mut(place).map(core::mem::take).unwrap_or_default();
        Bal::new(order.into_iter().map(|(_, place)| take(place)).collect())
    }
}

/// Adds a change, or replaces the one with the same index.
fn set<C>(changes: &mut Vec<C>, change: C, index: impl Fn(&C) -> BlockAccessIndex) {
    match changes.last_mut() {
        Some(last) if index(last) == index(&change) => *last = change,
        Some(_) => changes.push(change),
        // Most items change once, and a growing vector would allocate room for four.
        None => *changes = vec![change],
    }
}
