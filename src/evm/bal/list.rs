//! Puts together what all of a block has accessed: the list in its canonical order.

use super::accesses::{Accesses, AccountIndex};
use crate::evm::fees::reward::Reward;
use crate::evm::mutants::{EvmMutant, is_evm_mutant};
use alloy_eip7928::bal::Bal;
use alloy_eip7928::{
    AccountChanges, BalanceChange, BlockAccessIndex, CodeChange, NonceChange, SlotChanges,
    StorageChange,
};
use alloy_primitives::map::{AddressMap, HashMap};
use alloy_primitives::{Address, U256};
use core::hash::{Hash, Hasher};

/// An account for which something may be deferred.
#[derive(Clone, Copy, Debug)]
pub(in crate::evm) struct Receiver {
    pub(in crate::evm) address: Address,
    /// What it owns so far; `None` if there is no account.
    pub(in crate::evm) balance: Option<U256>,
}

/// A slot of the account at a place. As numbers, which are hashed in a fraction of the time that
/// bytes take.
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

/// A list that grows index by index.
#[derive(Debug)]
pub(in crate::evm) struct ListBuilder {
    /// Places of accounts in `list`.
    places: AddressMap<usize>,
    /// Accounts in the order in which they are found, and so are their slots: until the end slots
    /// that were only read are among the changed ones.
    list: Vec<AccountChanges>,
    /// Places of slots in their accounts.
    slot_places: HashMap<SlotKey, usize>,
    /// The receivers of rewards and of surcharges.
    receivers: [Receiver; 2],
    touch_creates: bool,
    next: BlockAccessIndex,
    mutant: EvmMutant,
    /// Places of the accounts of the accesses in hand.
    found: Vec<usize>,
}

impl ListBuilder {
    /// An empty list, with room for as many accounts. `touch_creates`: a touch alone creates an
    /// account, before EIP-161.
    pub(in crate::evm) fn new(
        receivers: [Receiver; 2],
        touch_creates: bool,
        mutant: EvmMutant,
        room: usize,
    ) -> Self {
        Self {
            places: AddressMap::with_capacity_and_hasher(room, Default::default()),
            list: Vec::with_capacity(room),
            slot_places: HashMap::default(),
            receivers,
            touch_creates,
            next: BlockAccessIndex::PRE_EXECUTION,
            mutant,
            found: Vec::new(),
        }
    }

    /// Adds what the next index has accessed.
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

    /// Adds to a receiver what a transaction has deferred for it.
    fn credit(&mut self, index: BlockAccessIndex, which: usize, amount: U256) {
        let (touch_creates, mutant) = (self.touch_creates, self.mutant);
        let Some(receiver) = self.receivers.get_mut(which) else { return };
        let before = receiver.balance;
        receiver.balance = Reward { amount, touch_creates, mutant }.apply(before);
        let Receiver { address, balance } = *receiver;
        let place = self.place(address);
        let balance = balance.unwrap_or_default();
        if balance != before.unwrap_or_default() && !is_evm_mutant!(mutant, CreditUnlisted) {
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

    /// The place of an account in the list, which has it from then on.
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

    /// The list of all that was added.
    pub(in crate::evm) fn build(self) -> Bal {
        let Self { mut list, .. } = self;
        for account in &mut list {
            let slots = &mut account.storage_changes;
            slots.sort_unstable_by_key(|slot| slot.slot);
            let read = slots.iter().filter(|slot| slot.changes.is_empty());
            account.storage_reads.extend(read.map(|slot| slot.slot));
            slots.retain(|slot| !slot.changes.is_empty());
        }
        // Accounts are large, and are moved once.
        let mut order: Vec<(Address, usize)> =
            (0..list.len()).zip(&list).map(|(place, account)| (account.address, place)).collect();
        order.sort_unstable();
        let mut take = |place| list.get_mut(place).map(core::mem::take).unwrap_or_default();
        Bal::new(order.into_iter().map(|(_, place)| take(place)).collect())
    }
}

/// Adds a change, or replaces one with the same index.
fn set<C>(changes: &mut Vec<C>, change: C, index: impl Fn(&C) -> BlockAccessIndex) {
    match changes.last_mut() {
        Some(last) if index(last) == index(&change) => *last = change,
        Some(_) => changes.push(change),
        // Most change once: a vector that grows makes room for four.
        None => *changes = vec![change],
    }
}
