//! New blocks and new transactions of the pool, for filters and subscriptions. These hold a
//! position in the feed instead of a queue, so a slow client costs no memory.

use crate::{shared::Shared, stored::StoredBlock};
use alloy_primitives::B256;
use braid_chain::Snapshot;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

/// Maximum number of transaction hashes in the feed.
const TRANSACTIONS: usize = 8_192;

/// New transactions, unwound blocks, and a signal that wakes waiting clients at each change.
#[derive(Debug)]
pub(crate) struct Feed {
    /// Changes whenever a block is made, becomes visible or is unwound, or a transaction arrives.
    signal: watch::Sender<u64>,
    /// Last block after each time that blocks were unwound.
    rewinds: Mutex<Vec<u64>>,
    transactions: Mutex<Transactions>,
}

/// Hashes of the transactions that the pool admitted last.
#[derive(Debug, Default)]
struct Transactions {
    /// Number of transactions before the first one in `hashes`.
    before: u64,
    hashes: VecDeque<B256>,
}

/// Position in the chain, before the next block to report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockCursor {
    next: u64,
    rewinds: usize,
}

/// Position among the pool's new transactions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TransactionCursor(u64);

/// Error: the next block is no longer in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missed;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Feed {
    fn default() -> Self {
        let (signal, _) = watch::channel(0);
        Self { signal, rewinds: Mutex::default(), transactions: Mutex::default() }
    }
}

impl Feed {
    /// Returns a receiver that is notified of each change.
    pub(crate) fn signal(&self) -> watch::Receiver<u64> {
        self.signal.subscribe()
    }

    /// Notifies all receivers of [`signal`](Self::signal).
    pub(crate) fn changed(&self) {
        self.signal.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Records that the blocks after `head` were unwound.
    pub(crate) fn rewound(&self, head: u64) {
        lock(&self.rewinds).push(head);
        self.changed();
    }

    /// Records a transaction that the pool has admitted.
    pub(crate) fn admitted(&self, hash: B256) {
        let mut transactions = lock(&self.transactions);
        if transactions.hashes.len() == TRANSACTIONS {
            transactions.hashes.pop_front();
            transactions.before = transactions.before.saturating_add(1);
        }
        transactions.hashes.push_back(hash);
        drop(transactions);
        self.changed();
    }

    /// Returns the position after the last transaction.
    pub(crate) fn last_transaction(&self) -> TransactionCursor {
        let transactions = lock(&self.transactions);
        TransactionCursor(transactions.before.saturating_add(transactions.hashes.len() as u64))
    }

    /// Returns at most `limit` transactions after `cursor`, and moves the cursor past them. The
    /// oldest are missing if the feed no longer has them.
    pub(crate) fn transactions(&self, cursor: &mut TransactionCursor, limit: usize) -> Vec<B256> {
        let transactions = lock(&self.transactions);
        let from = cursor.0.max(transactions.before);
        let skipped = usize::try_from(from - transactions.before).unwrap_or(usize::MAX);
        let hashes: Vec<_> =
            transactions.hashes.iter().skip(skipped).take(limit).copied().collect();
        cursor.0 = from.saturating_add(hashes.len() as u64);
        hashes
    }

    /// Returns the position after block `head`.
    fn after(&self, head: u64) -> BlockCursor {
        BlockCursor { next: head.saturating_add(1), rewinds: lock(&self.rewinds).len() }
    }
}

impl BlockCursor {
    /// Moves the cursor back if blocks before it were unwound.
    fn follow(&mut self, feed: &Feed) {
        let rewinds = lock(&feed.rewinds);
        for head in rewinds.iter().skip(self.rewinds) {
            self.next = self.next.min(head.saturating_add(1));
        }
        self.rewinds = rewinds.len();
    }
}

impl<S: Snapshot> Shared<S> {
    /// Returns the position after the last block that clients see.
    pub(crate) fn last_block(&self) -> BlockCursor {
        self.feed.after(self.view().head.number())
    }

    /// Returns the next block after `cursor` that clients see, and moves the cursor past it.
    ///
    /// # Errors
    /// The block is no longer in memory.
    pub(crate) fn next_block(
        &self,
        cursor: &mut BlockCursor,
    ) -> Result<Option<Arc<StoredBlock>>, Missed> {
        cursor.follow(&self.feed);
        if cursor.next > self.view().head.number() {
            return Ok(None);
        }
        let block = self.history().by_number(cursor.next).ok_or(Missed)?;
        cursor.next = cursor.next.saturating_add(1);
        Ok(Some(block))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_client_misses_the_oldest_transactions_and_costs_no_memory() {
        let feed = Feed::default();
        let hash = |number: usize| B256::left_padding_from(&number.to_be_bytes());
        feed.admitted(hash(0));
        let (mut fast, mut slow) = (feed.last_transaction(), feed.last_transaction());
        let all = TRANSACTIONS + 5;
        for number in 1..=all {
            feed.admitted(hash(number));
            assert_eq!(feed.transactions(&mut fast, 10), [hash(number)]);
        }
        assert_eq!(lock(&feed.transactions).hashes.len(), TRANSACTIONS);
        let first = all + 1 - TRANSACTIONS;
        assert_eq!(feed.transactions(&mut slow, 2), [hash(first), hash(first + 1)]);
        assert_eq!(feed.transactions(&mut slow, usize::MAX).len(), TRANSACTIONS - 2);
        assert!(feed.transactions(&mut slow, 1).is_empty());
    }

    #[test]
    fn a_position_follows_unwound_blocks() {
        let feed = Feed::default();
        let mut cursor = feed.after(9);
        for head in [5, 7] {
            feed.rewound(head);
        }
        cursor.follow(&feed);
        assert_eq!(cursor.next, 6);
        let mut later = feed.after(9);
        later.follow(&feed);
        assert_eq!(later.next, 10);
    }
}
