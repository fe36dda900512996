//! Eviction of transactions from a full pool.

use super::{
    queue::{Entry, Queue, Worth},
    queues::Queues,
};
use alloy_primitives::Address;
use std::collections::{BTreeMap, BTreeSet};

impl Queues {
    /// Chooses the transactions to evict so that `entry` fits into `queue`, by sender and nonce,
    /// least valuable first. `old` is the size of the transaction that `entry` replaces, if any.
    /// Returns `None` if a chosen transaction would be worth as much as `entry`. Transactions of
    /// the same sender are never evicted.
    pub(super) fn room(
        &self,
        queue: &Queue,
        entry: &Entry,
        old: Option<usize>,
    ) -> Option<Vec<(Address, u64)>> {
        let freed = old.unwrap_or_default();
        let mut bytes = self.bytes.saturating_sub(freed).saturating_add(entry.tx.bytes());
        let mut count = self.len().saturating_add(usize::from(old.is_none()));
        let nonce = entry.tx.nonce();
        let fees = self.fees_of_worth();
        let worth = queue.worth(nonce, entry, fees);
        let mut given_up = Vec::new();
        // Queues that lose more than one transaction: their last remaining nonce, and its place in
        // the order.
        let mut shortened: BTreeMap<Address, u64> = BTreeMap::new();
        let mut again: BTreeSet<(Worth, Address)> = BTreeSet::new();
        let mut tails = self.tails.iter().peekable();
        while bytes > self.config.max_bytes || count > self.config.max_transactions {
            tails.next_if(|(_, sender)| *sender == entry.tx.sender());
            let (first, second) = (tails.peek().copied(), again.first());
            let is_again = second.is_some_and(|second| first.is_none_or(|first| second < first));
            let (least, sender) = if is_again { again.pop_first()? } else { *tails.next()? };
            if !self.is_given_up(least, worth) {
                return None;
            }
            let others = self.senders.get(&sender)?;
            let below = shortened.get(&sender).copied().unwrap_or(u64::MAX);
            let mut left = others.entries.range(..=below).rev();
            let (nonce, last) = left.next()?;
            bytes = bytes.saturating_sub(last.tx.bytes());
            count = count.saturating_sub(1);
            given_up.push((sender, *nonce));
            if let Some((nonce, before)) = left.next() {
                shortened.insert(sender, *nonce);
                again.insert((others.worth(*nonce, before, fees), sender));
            }
        }
        Some(given_up)
    }
}
