//! What the node tells the interface.

use crate::{
    header::{Producer, now},
    history::History,
    limits::NodeConfig,
    past::Past,
    stored::StoredBlock,
    usage::Usage,
};
use alloy_primitives::{Address, B256};
use braid_chain::{
    DurableHead, LayeredState, Snapshot, StoreError,
    pool::{Admission, PoolError, PoolHandle, PoolTransaction, SenderAccount, SignedTransaction},
};
use crossbeam_channel::Sender;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The chain after its last block.
#[derive(Debug)]
pub(crate) struct View<S> {
    pub(crate) head: Arc<StoredBlock>,
    pub(crate) state: LayeredState<S>,
    pub(crate) next_base_fee: u64,
}

/// What a [`Node`](crate::Node) tells a [`Server`](crate::Server), which may be on other threads.
#[derive(Debug)]
pub struct Shared<S> {
    pub(crate) producer: Producer,
    /// After the same block as the view, whose lock is held while the pool is told of a block.
    pool: PoolHandle,
    pub(crate) durable: DurableHead,
    view: RwLock<Arc<View<S>>>,
    history: RwLock<History>,
    pub(crate) past: Past,
    wake: Sender<()>,
    usage: Usage,
    /// Why the node has stopped.
    stopped: Mutex<Option<String>>,
}

/// View and pool after one block, and so is the history.
pub(crate) struct Held<'s, S> {
    pub(crate) view: RwLockReadGuard<'s, Arc<View<S>>>,
    pub(crate) pool: &'s PoolHandle,
}

impl<S: Snapshot> Held<'_, S> {
    /// Tells the pool of the account of `sender` after the block.
    fn tell<T>(
        &self,
        sender: Address,
        tell: impl FnOnce(&PoolHandle, SenderAccount, u64) -> Result<T, PoolError>,
    ) -> Result<T, SendError> {
        let account = SenderAccount::read(&self.view.state, sender)?;
        Ok(tell(self.pool, account, self.view.head.number())?)
    }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Snapshot> Shared<S> {
    pub(crate) fn new(
        producer: Producer,
        pool: PoolHandle,
        durable: DurableHead,
        view: View<S>,
        config: &NodeConfig,
        wake: Sender<()>,
    ) -> Self {
        Self {
            producer,
            usage: Usage::new(pool.clone()),
            pool,
            durable,
            view: RwLock::new(Arc::new(view)),
            history: RwLock::new(History::new(config.history_blocks, config.history_bytes)),
            past: Past::new(config),
            wake,
            stopped: Mutex::new(None),
        }
    }

    pub(crate) fn view(&self) -> Arc<View<S>> {
        Arc::clone(&read(&self.view))
    }

    /// View, history and pool after one block: while this is held, none is published.
    pub(crate) fn hold(&self) -> Held<'_, S> {
        Held { view: read(&self.view), pool: &self.pool }
    }

    pub(crate) fn history(&self) -> RwLockReadGuard<'_, History> {
        read(&self.history)
    }

    /// The chain has another block. `apply` tells the pool what `read` has read of the state after it,
    /// while no transaction is admitted. A client that has seen the block in the history sees the state
    /// after it in its next call, which waits. If `read` fails, no client sees the block.
    pub(crate) fn publish<T>(
        &self,
        view: View<S>,
        read: impl FnOnce(&LayeredState<S>) -> Result<T, StoreError>,
        apply: impl FnOnce(T),
    ) -> Result<(), StoreError> {
        let mut current = write(&self.view);
        let changed = read(&view.state)?;
        self.remember(Arc::clone(&view.head));
        apply(changed);
        *current = Arc::new(view);
        Ok(())
    }

    pub(crate) fn remember(&self, block: Arc<StoredBlock>) {
        write(&self.history).push(block);
    }

    /// What clients have asked for.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.usage.clone()
    }

    /// What transactions of the next block must obey if it is made `now`: a fork may begin while there
    /// is no block.
    pub(crate) fn admission(&self, now: u64) -> Admission {
        let (cfg, env) = self.producer.next_environment(&self.view().head, now);
        Admission::new(cfg, env)
    }

    /// Adds a transaction to the pool, and wakes the node.
    pub(crate) fn send(&self, signed: SignedTransaction) -> Result<B256, SendError> {
        let sent = self.admit(signed, now());
        match &sent {
            Ok(_) => self.usage.admitted(),
            Err(SendError::Pool(why)) => self.usage.refused(why),
            Err(SendError::State(_)) => {}
        }
        sent
    }

    /// Adds a transaction by the rules of a block that is made `now`, in seconds since 1970.
    pub(crate) fn admit(&self, signed: SignedTransaction, now: u64) -> Result<B256, SendError> {
        // Recovering signatures takes most of the time; it needs no lock.
        let admission = self.admission(now);
        let transaction = PoolTransaction::recover_sender(signed, &admission)?;
        let sender = transaction.sender();
        // Only for what the pool would take are authorities recovered.
        self.hold().tell(sender, |pool, account, at| pool.check(&transaction, account, at))?;
        let transaction = transaction.with_authorities();
        let add = |pool: &PoolHandle, account, at| pool.add(transaction, account, at);
        let hash = self.hold().tell(sender, add)?;
        // If the channel is full, the node is about to look.
        let _ = self.wake.try_send(());
        Ok(hash)
    }

    /// Says why the node has stopped.
    pub(crate) fn stop(&self, why: String) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    /// Why the node has stopped, if it has.
    pub(crate) fn stopped(&self) -> Option<String> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Why a transaction was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    State(#[from] StoreError),
}
