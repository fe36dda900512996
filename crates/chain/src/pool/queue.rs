//! The transactions of one sender.

use super::{account::SenderAccount, transaction::PoolTransaction};
use alloy_primitives::{Address, U256};
use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

/// A transaction with its place in the order of arrival.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) tx: Arc<PoolTransaction>,
    pub(super) arrival: u64,
}

/// Place of a sender among those whose next transaction can be handed out: the highest tip first,
/// then the one that came first. The gas limit of the transaction stands beside it, so that a look for
/// one that fits reads nothing else.
pub(super) type ReadyKey = (Reverse<u128>, u64, Address, u64);

/// What a transaction is worth to a full pool, least first: one that cannot be in the next block,
/// then the one with the lowest tip there, then the one that came last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Worth {
    /// The next block can have it, and all of its sender's before it: none is missing, and each pays the
    /// base fee.
    pub(super) is_next: bool,
    /// What it pays in the next block; nothing if that cannot have it.
    pub(super) tip: u128,
    pub(super) arrival: Reverse<u64>,
}

/// The transactions of one sender, by nonce.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub(super) account: SenderAccount,
    pub(super) entries: BTreeMap<u64, Entry>,
    /// What all of them cost: at most the account's balance.
    pub(super) cost: U256,
    /// Nonce of the transaction that is handed out next.
    pub(super) next: u64,
    /// Its key among the ready queues, if it is one.
    pub(super) ready: Option<ReadyKey>,
    /// Worth of the last transaction, as the pool's order of them has it.
    pub(super) tail: Option<Worth>,
}

impl Queue {
    pub(super) const fn new(account: SenderAccount) -> Self {
        Self {
            account,
            entries: BTreeMap::new(),
            cost: U256::ZERO,
            next: account.nonce,
            ready: None,
            tail: None,
        }
    }

    /// The first nonce from the account's on that is missing.
    pub(super) fn gap(&self) -> u64 {
        consecutive(self.account.nonce, self.entries.keys())
    }

    /// The first nonce from the account's on that a block with this base fee cannot have.
    fn end(&self, base_fee: u128) -> u64 {
        let payers = self.entries.iter().filter(|(_, entry)| entry.tx.tip(base_fee).is_some());
        consecutive(self.account.nonce, payers.map(|(nonce, _)| nonce))
    }

    /// Worth of `entry` if it has this nonce in the queue: it may be there, replace one or come after them.
    pub(super) fn worth(&self, nonce: u64, entry: &Entry, base_fee: u128) -> Worth {
        let tip = entry.tx.tip(base_fee);
        let is_next = tip.is_some() && nonce <= self.end(base_fee);
        Worth { is_next, tip: tip.unwrap_or_default(), arrival: Reverse(entry.arrival) }
    }

    /// Adds a transaction; returns the one that it replaces.
    pub(super) fn insert(&mut self, entry: Entry) -> Option<Entry> {
        self.cost = self.cost.saturating_add(entry.tx.cost());
        let old = self.entries.insert(entry.tx.nonce(), entry);
        self.give_back(old)
    }

    pub(super) fn remove(&mut self, nonce: u64) -> Option<Entry> {
        let old = self.entries.remove(&nonce);
        self.give_back(old)
    }

    fn give_back(&mut self, old: Option<Entry>) -> Option<Entry> {
        if let Some(entry) = &old {
            self.cost = self.cost.saturating_sub(entry.tx.cost());
        }
        old
    }
}

/// The first nonce from `first` on that rising `nonces` lack.
fn consecutive<'n>(first: u64, nonces: impl Iterator<Item = &'n u64>) -> u64 {
    nonces.fold(first, |next, nonce| if *nonce == next { next + 1 } else { next })
}
