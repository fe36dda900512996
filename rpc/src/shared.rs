//! What the node tells the interface.

use crate::{history::History, limits::NodeConfig, stored::StoredBlock};
use alloy_primitives::{Address, B256};
use braid_chain::{
    DurableHead, LayeredState, Rules, Snapshot, StoreError,
    pool::{Admission, PoolError, PoolHandle, PoolTransaction, SenderAccount, SignedTransaction},
};
use crossbeam_channel::Sender;
use revm::context::{BlockEnv, CfgEnv};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The chain after its last block.
#[derive(Debug)]
pub(crate) struct View<S> {
    pub(crate) head: Arc<StoredBlock>,
    pub(crate) state: LayeredState<S>,
    /// Rules and environment of the last block.
    pub(crate) cfg: CfgEnv,
    pub(crate) env: BlockEnv,
    /// What transactions of the next block must obey, and its base fee.
    pub(crate) admission: Admission,
    pub(crate) next_base_fee: u64,
}

/// What a [`Node`](crate::Node) tells a [`Server`](crate::Server), which may be on other threads.
#[derive(Debug)]
pub struct Shared<S> {
    pub(crate) rules: Rules,
    pub(crate) pool: PoolHandle,
    pub(crate) durable: DurableHead,
    view: RwLock<Arc<View<S>>>,
    history: RwLock<History>,
    wake: Sender<()>,
    /// Why the node has stopped.
    stopped: Mutex<Option<String>>,
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Snapshot> Shared<S> {
    pub(crate) fn new(
        rules: Rules,
        pool: PoolHandle,
        durable: DurableHead,
        view: View<S>,
        config: &NodeConfig,
        wake: Sender<()>,
    ) -> Self {
        Self {
            rules,
            pool,
            durable,
            view: RwLock::new(Arc::new(view)),
            history: RwLock::new(History::new(config.history_blocks, config.history_bytes)),
            wake,
            stopped: Mutex::new(None),
        }
    }

    pub(crate) fn view(&self) -> Arc<View<S>> {
        Arc::clone(&read(&self.view))
    }

    pub(crate) fn history(&self) -> RwLockReadGuard<'_, History> {
        read(&self.history)
    }

    /// The chain has another block. `apply` tells the pool, while no transaction is admitted.
    pub(crate) fn publish(&self, view: View<S>, apply: impl FnOnce()) {
        // A call that sees the new view finds its block.
        self.remember(Arc::clone(&view.head));
        let mut current = write(&self.view);
        apply();
        *current = Arc::new(view);
    }

    pub(crate) fn remember(&self, block: Arc<StoredBlock>) {
        write(&self.history).push(block);
    }

    /// Adds a transaction to the pool, and wakes the node.
    pub(crate) fn send(&self, signed: SignedTransaction) -> Result<B256, SendError> {
        // Recovering the sender takes most of the time; it needs no lock.
        let admission = self.view().admission.clone();
        let transaction = PoolTransaction::recover(signed, &admission)?;
        // Its account and the pool are after the same block while this is held.
        let view = read(&self.view);
        let account = account(&view.state, transaction.sender())?;
        let hash = self.pool.add(transaction, account, view.head.number())?;
        drop(view);
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

fn account<S: Snapshot>(
    state: &LayeredState<S>,
    sender: Address,
) -> Result<SenderAccount, StoreError> {
    SenderAccount::read(state, sender)
}

/// Why a transaction was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    State(#[from] StoreError),
}
