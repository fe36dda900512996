//! A pool of signed transactions, from which blocks are built.
//!
//! Any thread [adds](PoolHandle::add) transactions, also while a block is being built. The thread
//! that builds owns the [`Pool`]: it [fills](Pool::fill) a block from it, and tells it
//! [what the block changed](Pool::applied).
//!
//! Each sender has a queue, ordered by nonce. A queue never costs more than its sender's balance.
//! Blocks take the transaction that pays the highest tip first, of those whose nonce is next.
//! Both the number of transactions and their bytes are bounded: a full pool gives up the last
//! transaction of a queue for one that pays more in the next block.

mod account;
mod config;
mod error;
mod fill;
#[cfg(test)]
mod filling;
#[cfg(test)]
mod model;
#[cfg(test)]
mod mutants;
mod queue;
mod queues;
mod room;
mod transaction;

pub use account::SenderAccount;
pub use config::{PoolConfig, PoolStatus};
pub use error::PoolError;
pub use fill::Fill;
pub use transaction::{Admission, PoolTransaction, SignedTransaction, recover_all};

use crate::Head;
use alloy_primitives::{Address, B256};
use queues::Queues;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A pool, owned by the thread that builds blocks.
#[derive(Debug)]
pub struct Pool {
    handle: PoolHandle,
}

/// Adds transactions to a [`Pool`] and asks about them, on any thread.
#[derive(Clone, Debug)]
pub struct PoolHandle(Arc<Mutex<Queues>>);

impl Pool {
    /// An empty pool. Accounts are those after the block `head`, and `base_fee` is that of the next one.
    #[must_use]
    pub fn new(config: PoolConfig, head: Head, base_fee: u64) -> Self {
        let queues = Queues::new(config, head.number, u128::from(base_fee));
        Self { handle: PoolHandle(Arc::new(Mutex::new(queues))) }
    }

    /// A handle for other threads.
    #[must_use]
    pub fn handle(&self) -> PoolHandle {
        self.handle.clone()
    }

    /// Begins to fill the next block. What is added meanwhile is handed out, too.
    pub fn fill(&mut self) -> Fill<'_> {
        self.handle.lock().begin();
        Fill::new(&self.handle)
    }

    /// The chain has the block `head`, and `base_fee` is that of the next one. `changed` are the
    /// accounts that the block changed: nonce and balance after it. Accounts without transactions in the
    /// pool may be left out, if none can be added meanwhile. Transactions that are in the
    /// block, or that their senders can no longer pay for, leave the pool.
    pub fn applied(
        &mut self,
        head: Head,
        base_fee: u64,
        changed: impl IntoIterator<Item = (Address, SenderAccount)>,
    ) {
        self.handle.lock().applied(head.number, u128::from(base_fee), changed);
    }
}

impl PoolHandle {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        // No call of foreign code happens while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a transaction. `account` is its sender after the block with the number `at`.
    ///
    /// # Errors
    /// The transaction is not admitted; the pool is as it was.
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

    /// Whether [`add`](Self::add) would take `transaction` now: before its authorities are recovered.
    ///
    /// # Errors
    /// As `add`.
    pub fn check(
        &self,
        transaction: &Arc<PoolTransaction>,
        account: SenderAccount,
        at: u64,
    ) -> Result<(), PoolError> {
        self.lock().would_add(transaction, account, at)
    }

    /// The transaction with this hash, if it is in the pool.
    #[must_use]
    pub fn get(&self, hash: &B256) -> Option<Arc<PoolTransaction>> {
        self.lock().get(hash)
    }

    /// The first nonce from its account's on that `sender` has no transaction with; `None` if it
    /// has none at all.
    #[must_use]
    pub fn next_nonce(&self, sender: &Address) -> Option<u64> {
        self.lock().next_nonce(sender)
    }

    /// The accounts among `accounts` that have transactions in the pool. [`Pool::applied`] needs these and
    /// ignores all others.
    #[must_use]
    pub fn senders_among<'a>(
        &self,
        accounts: impl IntoIterator<Item = &'a Address>,
    ) -> Vec<Address> {
        let queues = self.lock();
        accounts.into_iter().filter(|it| queues.senders.contains_key(*it)).copied().collect()
    }

    /// Whether the next transaction of some sender lacks nothing but the base fee, and pays `least`:
    /// it can go into a block once the fee has fallen to that, as it does with each empty block
    /// (EIP-1559).
    #[must_use]
    pub fn waits_for_base_fee(&self, least: u64) -> bool {
        self.lock().waits_for_base_fee(least.into())
    }

    /// How much the pool holds.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        self.lock().status()
    }
}
