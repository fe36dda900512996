//! The transactions of one sender.

use super::{account::SenderAccount, transaction::PoolTransaction};
use alloy_primitives::{Address, U256};
use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

/// A transaction, with its position in the order of arrival.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) tx: Arc<PoolTransaction>,
    pub(super) arrival: u64,
}

/// Order of the senders whose next transaction can be handed out: highest tip first, then earliest
/// arrival. The transaction's gas limit is part of the key, so that a search for one that fits
/// reads only keys.
pub(super) type ReadyKey = (Reverse<u128>, u64, Address, u64);

/// Value of a transaction to a full pool. Lowest are transactions that cannot be included in the
/// next block, then those with the lowest tip in it, then those that arrived last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Worth {
    /// Whether the next block can include the transaction and all of its sender's before it: no
    /// nonce is missing, and each pays the base fee.
    pub(super) is_next: bool,
    /// Tip in the next block; zero if the transaction does not pay its base fee.
    pub(super) tip: u128,
    pub(super) arrival: Reverse<u64>,
}

/// Fees of the next block, in wei per gas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fees {
    pub(super) base: u128,
    /// Price of blob gas.
    pub(super) blob: u128,
}

impl Fees {
    /// Returns the tip of a transaction; `None` if it does not pay the fees.
    pub(super) fn tip(self, tx: &PoolTransaction) -> Option<u128> {
        tx.tip(self.base).filter(|_| tx.pays_for_blobs(self.blob))
    }
}

/// The transactions of one sender, by nonce.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub(super) account: SenderAccount,
    pub(super) entries: BTreeMap<u64, Entry>,
    /// Total cost of the transactions, which does not exceed the account's balance.
    pub(super) cost: U256,
    /// Nonce of the transaction to hand out next.
    pub(super) next: u64,
    /// Key of that transaction among the ready queues, if it is ready.
    pub(super) ready: Option<ReadyKey>,
    /// Value of the last transaction, as it stands in the pool's order of eviction.
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

    /// Returns the first missing nonce, from the account's nonce on.
    pub(super) fn gap(&self) -> u64 {
        consecutive(self.account.nonce, self.entries.keys())
    }

    /// Returns the first nonce, from the account's nonce on, that a block with these fees cannot
    /// include.
    fn end(&self, fees: Fees) -> u64 {
        let payers = self.entries.iter().filter(|(_, entry)| fees.tip(&entry.tx).is_some());
        consecutive(self.account.nonce, payers.map(|(nonce, _)| nonce))
    }

    /// Returns the value of `entry` at this nonce in the queue, where it is, or would be added or
    /// replace another one.
    pub(super) fn worth(&self, nonce: u64, entry: &Entry, fees: Fees) -> Worth {
        let tip = fees.tip(&entry.tx);
        let is_next = tip.is_some() && nonce <= self.end(fees);
        Worth { is_next, tip: tip.unwrap_or_default(), arrival: Reverse(entry.arrival) }
    }

    /// Adds a transaction, and returns the one that it replaces.
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

/// Returns the first number from `first` on that is not among `nonces`, which must be ascending.
fn consecutive<'n>(first: u64, nonces: impl Iterator<Item = &'n u64>) -> u64 {
    nonces.fold(first, |next, nonce| if *nonce == next { next + 1 } else { next })
}
