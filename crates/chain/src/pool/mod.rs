//! A pool of signed transactions, from which blocks are built.
//!
//! Any thread can [add](PoolHandle::add) transactions, even while a block is being built. The
//! thread that builds blocks owns the [`Pool`]: it [fills](Pool::fill) a block from the pool, and
//! then reports to the pool [what the block changed](Pool::applied).
//!
//! Each sender has a queue, ordered by nonce. The transactions in a queue never cost more than the
//! sender's balance. A block takes, among the next transactions of all senders, the one with the
//! highest tip. The number of transactions and their total size are both bounded: a full pool
//! evicts the last transaction of a queue to admit one that pays more in the next block.

mod account;
mod config;
mod error;
mod fill;
#[cfg(test)]
mod filling;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod model;
mod queue;
mod queues;
mod room;
mod transaction;

pub use account::SenderAccount;
pub use config::{PoolConfig, PoolStatus};
pub use error::PoolError;
pub use fill::Fill;
pub use transaction::{
    Admission, NetworkTransaction, PoolTransaction, SignedTransaction, recover_all,
    recover_all_network,
};

use crate::Head;
use alloy_primitives::{Address, B256};
use queues::Queues;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A pool of transactions, owned by the thread that builds blocks.
#[derive(Debug)]
pub struct Pool {
    handle: PoolHandle,
}

/// Handle to add transactions to a [`Pool`] and to query it, from any thread.
#[derive(Clone, Debug)]
pub struct PoolHandle(Arc<Mutex<Queues>>);

impl Pool {
    /// Creates an empty pool for a chain whose last block is `head`. `base_fee` is the base fee of
    /// the next block.
    #[must_use]
    pub fn new(config: PoolConfig, head: Head, base_fee: u64) -> Self {
        let queues = Queues::new(config, head.number, u128::from(base_fee));
        Self { handle: PoolHandle(Arc::new(Mutex::new(queues))) }
    }

    /// Returns a handle for other threads.
    #[must_use]
    pub fn handle(&self) -> PoolHandle {
        self.handle.clone()
    }

    /// Begins to fill the next block. Transactions added while it is filled can also be handed out.
    pub fn fill(&mut self) -> Fill<'_> {
        self.handle.lock().begin();
        Fill::new(&self.handle)
    }

    /// Updates the pool after the chain's new block `head`. `base_fee` is the base fee of the next
    /// block. `changed` are the accounts that the block changed, with nonce and balance after it.
    /// Accounts without transactions in the pool may be omitted, if none can be added meanwhile.
    /// Removes transactions that are in the block, and transactions that their senders can no
    /// longer pay for.
    pub fn applied(
        &mut self,
        head: Head,
        base_fee: u64,
        changed: impl IntoIterator<Item = (Address, SenderAccount)>,
    ) {
        self.handle.lock().applied(head.number, u128::from(base_fee), changed);
    }

    /// Sets the price of blob gas in the next block: blob transactions that pay less wait. Default:
    /// 0. Call it before [`applied`](Self::applied) and [`reset`](Self::reset).
    pub fn set_blob_fee(&mut self, fee: u128) {
        self.handle.lock().set_blob_fee(fee);
    }

    /// Removes all transactions, and continues after the block `head`, which may be earlier than
    /// the last one. `base_fee` is the base fee of the next block.
    pub fn reset(&mut self, head: Head, base_fee: u64) {
        let mut queues = self.handle.lock();
        let blob_fee = queues.fees.blob;
        *queues = Queues::new(queues.config, head.number, u128::from(base_fee));
        queues.set_blob_fee(blob_fee);
    }
}

impl PoolHandle {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        // The lock is never held during foreign code, so it is not poisoned by a panic there.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a transaction. `account` is its sender's account after the block with number `at`.
    ///
    /// # Errors
    /// The transaction is not admitted; the pool is unchanged.
    pub fn add(
        &self,
        transaction: Arc<PoolTransaction>,
        account: SenderAccount,
        at: u64,
    ) -> Result<B256, PoolError> {
        let hash = transaction.hash();
        self.lock().add(transaction, account, at)?;
        Ok(hash)
    }

    /// Checks whether [`add`](Self::add) would admit `transaction` now, to avoid recovering its
    /// authorities otherwise.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn check(
        &self,
        transaction: &Arc<PoolTransaction>,
        account: SenderAccount,
        at: u64,
    ) -> Result<(), PoolError> {
        self.lock().would_add(transaction, account, at)
    }

    /// Returns the transaction with this hash, if it is in the pool.
    #[must_use]
    pub fn get(&self, hash: &B256) -> Option<Arc<PoolTransaction>> {
        self.lock().get(hash)
    }

    /// Returns all transactions, by sender and nonce, and whether the pool has all transactions of
    /// the sender before it.
    #[must_use]
    pub fn transactions(&self) -> Vec<(Arc<PoolTransaction>, bool)> {
        self.lock().transactions()
    }

    /// Removes the transaction with this hash, and returns whether it was in the pool. Later
    /// transactions of its sender stay, and wait for another one with its nonce.
    #[must_use]
    pub fn remove(&self, hash: &B256) -> bool {
        let mut queues = self.lock();
        let Some(transaction) = queues.get(hash) else { return false };
        queues.remove(transaction.sender(), transaction.nonce());
        true
    }

    /// Returns the first nonce, from the account's nonce on, for which the pool has no transaction
    /// of `sender`; `None` if the pool has no transactions of `sender`.
    #[must_use]
    pub fn next_nonce(&self, sender: &Address) -> Option<u64> {
        self.lock().next_nonce(sender)
    }

    /// Returns the `accounts` that have transactions in the pool. [`Pool::applied`] needs only these,
    /// and ignores all others.
    #[must_use]
    pub fn senders_among<'a>(
        &self,
        accounts: impl IntoIterator<Item = &'a Address>,
    ) -> Vec<Address> {
        let queues = self.lock();
        accounts.into_iter().filter(|it| queues.senders.contains_key(*it)).copied().collect()
    }

    /// Whether fees alone keep some sender's next transaction out of the next block, and the
    /// transaction pays the base fee `least`: it can be included once the base fee has fallen to
    /// `least`, and the price of blob gas to 1. Each empty block lowers them.
    #[must_use]
    pub fn waits_for_base_fee(&self, least: u64) -> bool {
        self.lock().waits_for_base_fee(least.into())
    }

    /// Returns the current size of the pool.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        self.lock().status()
    }
}
