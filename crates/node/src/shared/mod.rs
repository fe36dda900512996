//! State that the node shares with the JSON-RPC interface.

use crate::{
    checkpoint::Checkpoints,
    clock::now,
    dev::{Command, Dev},
    feed::Feed,
    filters::Filters,
    header::Producer,
    history::History,
    kzg,
    limits::NodeConfig,
    past::Past,
    pool_file::{self, Kept, PoolFile},
    read_blocks::ReadBlocks,
    stored::StoredBlock,
    upstream::Upstream,
    usage::Usage,
};
use alloy_consensus::Transaction as _;
use alloy_consensus::transaction::Recovered;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256};
use braid_chain::{
    DurableHead, LayeredState, Snapshot, StoreError,
    pool::{
        Admission, NetworkTransaction, PoolError, PoolHandle, PoolTransaction, SenderAccount,
        SignedTransaction, recover_all_network,
    },
};
use crossbeam_channel::Sender;
use revm::{DatabaseRef, primitives::hardfork::SpecId};
use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    thread::available_parallelism,
};

/// Name and version of the node.
pub(crate) const CLIENT_VERSION: &str = concat!("braid/", env!("CARGO_PKG_VERSION"));

/// The chain after a block.
#[derive(Debug)]
pub(crate) struct View<S> {
    pub(crate) head: Arc<StoredBlock>,
    pub(crate) state: LayeredState<S>,
    pub(crate) next_base_fee: u64,
    /// Price of blob gas in the next block; 0 before Cancun.
    pub(crate) next_blob_fee: u128,
    /// Lowest base fee that later blocks can have.
    pub(crate) least_base_fee: u64,
    /// Whether an empty block lowers the base fee, or the price of blob gas.
    pub(crate) do_fees_fall: bool,
}

/// State that a [`Node`](crate::Node) shares with a [`Server`](crate::Server), which may run on
/// other threads.
#[derive(Debug)]
pub struct Shared<S> {
    pub(crate) producer: Producer,
    /// The pool after the last block that was made. The lock of `made` is held while a block is
    /// applied to it.
    pool: PoolHandle,
    pub(crate) durable: DurableHead,
    made: RwLock<Made<S>>,
    /// The chain after the last block that clients see, which is durable.
    view: RwLock<Arc<View<S>>>,
    history: RwLock<History>,
    /// Whether the size of the kept blocks is limited, so that their number changes.
    is_limited_by_bytes: bool,
    pub(crate) read_blocks: ReadBlocks,
    pub(crate) past: Past,
    pub(crate) feed: Feed,
    pub(crate) filters: Filters,
    wake: Sender<()>,
    usage: Usage,
    /// Set on a development node.
    dev: Option<Dev>,
    /// Set if clients may ask for checkpoints.
    pub(crate) checkpoints: OnceLock<Arc<Checkpoints<S>>>,
    /// Set if the pool is kept over a restart.
    pool_file: OnceLock<PoolFile>,
    /// The node that this one follows, if it makes no blocks of its own.
    pub(crate) upstream: OnceLock<Arc<Upstream>>,
    /// Response to `web3_clientVersion`.
    client_version: OnceLock<String>,
    /// Reason why the node has stopped.
    stopped: Mutex<Option<String>>,
}

/// Blocks that were made. A receipt that a client has seen must stay in the chain, so clients see a
/// block only once it is durable; making the next block does not wait for that.
#[derive(Debug)]
struct Made<S> {
    /// The chain after the last block that was made.
    view: Arc<View<S>>,
    /// Blocks that clients do not see yet, oldest first.
    unseen: VecDeque<Arc<View<S>>>,
}

/// The chain and the pool after the last block that was made. While it is held, no block is
/// published, and no further block becomes visible to clients.
pub(crate) struct Held<'s, S> {
    made: RwLockReadGuard<'s, Made<S>>,
    pub(crate) pool: &'s PoolHandle,
    is_dev: bool,
}

impl<S: Snapshot> Held<'_, S> {
    /// Returns the chain after the last block that was made.
    pub(crate) fn view(&self) -> &View<S> {
        &self.made.view
    }

    /// Returns a transaction by its hash from the blocks that clients do not see yet.
    pub(crate) fn unseen(&self, hash: &B256) -> Option<Recovered<SignedTransaction>> {
        let transactions = self.made.unseen.iter().flat_map(|view| &view.head.transactions);
        transactions.into_iter().find(|it| it.hash() == hash).cloned()
    }

    /// Calls `tell` with the pool, the account of `sender` after the last block, and the block's
    /// number.
    fn tell<T>(
        &self,
        sender: Address,
        tell: impl FnOnce(&PoolHandle, SenderAccount, u64) -> Result<T, PoolError>,
    ) -> Result<T, SendError> {
        let view = self.view();
        let account = account(&view.state, sender, self.is_dev)?;
        Ok(tell(self.pool, account, view.head.number())?)
    }
}

/// Reads the account of a sender. On a development chain, contracts may send transactions, too: they
/// are impersonated.
pub(crate) fn account<D: DatabaseRef>(
    state: &D,
    sender: Address,
    is_dev: bool,
) -> Result<SenderAccount, D::Error> {
    let account = SenderAccount::read(state, sender)?;
    Ok(SenderAccount { is_contract: account.is_contract && !is_dev, ..account })
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
        (wake, dev): (Sender<()>, Option<Dev>),
    ) -> Self {
        let view = Arc::new(view);
        let made = Made { view: Arc::clone(&view), unseen: VecDeque::new() };
        Self {
            producer,
            usage: Usage::new(pool.clone()),
            pool,
            durable,
            made: RwLock::new(made),
            view: RwLock::new(view),
            history: RwLock::new(History::new(config.history_blocks, config.history_bytes)),
            is_limited_by_bytes: config.chain.keep.history_bytes < u64::MAX,
            read_blocks: ReadBlocks::default(),
            past: Past::new(config),
            feed: Feed::default(),
            filters: Filters::default(),
            wake,
            dev,
            checkpoints: OnceLock::new(),
            pool_file: OnceLock::new(),
            upstream: OnceLock::new(),
            client_version: OnceLock::new(),
            stopped: Mutex::new(None),
        }
    }

    /// Returns the chain as clients see it.
    pub(crate) fn view(&self) -> Arc<View<S>> {
        Arc::clone(&read(&self.view))
    }

    /// Returns the chain after the last block that was made, which may not be durable yet.
    pub(crate) fn made(&self) -> Arc<View<S>> {
        Arc::clone(&read(&self.made).view)
    }

    pub(crate) fn hold(&self) -> Held<'_, S> {
        Held { made: read(&self.made), pool: &self.pool, is_dev: self.dev.is_some() }
    }

    /// Returns the controls of a development node; `None` on an ordinary node.
    pub(crate) const fn dev(&self) -> Option<&Dev> {
        self.dev.as_ref()
    }

    /// Makes the blocks visible to clients that have become durable. Each call begins with this.
    pub(crate) fn show(&self) {
        let durable = self.durable.get().number;
        let is_durable = |view: &Arc<View<S>>| view.head.number() <= durable;
        if !read(&self.made).unseen.front().is_some_and(is_durable) {
            return;
        }
        let mut made = write(&self.made);
        while let Some(view) = made.unseen.pop_front_if(|view| is_durable(view)) {
            self.remember(Arc::clone(&view.head));
            if self.is_limited_by_bytes
                && let Ok(Some(oldest)) = view.state.reader().oldest_block()
            {
                write(&self.history).remove_before(oldest);
            }
            *write(&self.view) = view;
        }
        drop(made);
        self.feed.changed();
    }

    /// Whether blocks were made that clients do not see yet.
    pub(crate) fn has_unseen(&self) -> bool {
        !read(&self.made).unseen.is_empty()
    }

    pub(crate) fn history(&self) -> RwLockReadGuard<'_, History> {
        read(&self.history)
    }

    /// Publishes a new block. `read` reads the state after the block, and `apply` passes the result
    /// to the pool; no transaction is admitted meanwhile. If `read` fails, the block never becomes
    /// visible to clients.
    pub(crate) fn publish<T>(
        &self,
        view: View<S>,
        read: impl FnOnce(&LayeredState<S>) -> Result<T, StoreError>,
        apply: impl FnOnce(T),
    ) -> Result<(), StoreError> {
        let mut made = write(&self.made);
        let changed = read(&view.state)?;
        apply(changed);
        made.view = Arc::new(view);
        let unseen = Arc::clone(&made.view);
        made.unseen.push_back(unseen);
        drop(made);
        self.feed.changed();
        self.show();
        Ok(())
    }

    /// Sets the block that the chain began with, and the oldest other block in the store, or the
    /// next block if there is none.
    pub(crate) fn begin(&self, first: Option<Arc<StoredBlock>>, oldest: u64) {
        write(&self.history).begin(first, oldest);
    }

    /// Returns the number of the oldest block that is kept, and how many blocks are kept at most, or
    /// now if their size is limited.
    pub(crate) fn window(&self) -> (u64, u64) {
        let head = self.view().head.number();
        let history = self.history();
        let oldest = history.oldest_kept().unwrap_or_default();
        let now = head.saturating_add(1).saturating_sub(oldest);
        (oldest, if self.is_limited_by_bytes { now } else { history.max_blocks() })
    }

    /// Returns the number of the block that the chain began with.
    pub(crate) fn first(&self) -> u64 {
        self.history().first().map_or(0, |first| first.number())
    }

    /// Replaces the chain by `view`, because blocks were unwound or the state was changed. No block
    /// may be on its way to the store.
    pub(crate) fn rewind(&self, view: View<S>) {
        self.show();
        let mut made = write(&self.made);
        made.view = Arc::new(view);
        made.unseen.clear();
        // In this order, nobody misses a block of the history that the view still has.
        *write(&self.view) = Arc::clone(&made.view);
        write(&self.history).truncate(made.view.head.number());
        self.feed.rewound(made.view.head.number());
    }

    pub(crate) fn remember(&self, block: Arc<StoredBlock>) {
        write(&self.history).push(block);
    }

    /// Returns the counters of client requests.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.usage.clone()
    }

    /// Sets the response to `web3_clientVersion`, unless it is already set. Some tools look for the
    /// name of a development node in it.
    pub fn set_client_version(&self, name: String) {
        self.client_version.get_or_init(|| name);
    }

    pub(crate) fn client_version(&self) -> &str {
        self.client_version.get().map_or(CLIENT_VERSION, String::as_str)
    }

    /// Returns the rules for transactions of a block that is made `now`. They depend on the time: a
    /// fork may begin while no block is made.
    pub(crate) fn admission(&self, now: u64) -> Admission {
        let view = self.made();
        let (cfg, env) = self.producer.next_environment(&view.head, now);
        Admission::new(cfg, env).with_least_fee(view.least_base_fee)
    }

    /// Adds a transaction to the pool, counts it, and wakes the node. On a development node, waits
    /// until the transaction is in a block if it can be.
    pub(crate) fn send(&self, signed: SignedTransaction) -> Result<B256, SendError> {
        self.count(self.admit(signed, now()))
    }

    /// Like [`send`](Self::send), for a transaction that may have a sidecar.
    pub(crate) fn send_network(&self, signed: NetworkTransaction) -> Result<B256, SendError> {
        let transaction = PoolTransaction::recover_network(signed, &self.admission(now()));
        let sent = transaction.map_err(SendError::from).and_then(|it| self.add(it));
        self.count(sent)
    }

    /// Like [`send`](Self::send), without a signature.
    pub(crate) fn send_as(
        &self,
        sender: Address,
        signed: SignedTransaction,
    ) -> Result<B256, SendError> {
        let transaction = PoolTransaction::new(signed, sender, &self.admission(now()));
        let sent = transaction.map_err(SendError::from).and_then(|it| self.add(it));
        self.count(sent)
    }

    fn count(&self, sent: Result<B256, SendError>) -> Result<B256, SendError> {
        match &sent {
            Ok(_) => self.usage.admitted(),
            Err(SendError::Pool(why)) => self.usage.refused(why),
            Err(SendError::State(_)) => {}
        }
        if let (Ok(_), Some(dev)) = (&sent, &self.dev) {
            // If the node has stopped, the transaction waits like any other.
            let _ = dev.run(Command::Settle);
        }
        sent
    }

    /// Adds a transaction by the rules of a block that is made `now`, in seconds since 1970.
    pub(crate) fn admit(&self, signed: SignedTransaction, now: u64) -> Result<B256, SendError> {
        // Recovering signatures takes most of the time, and needs no lock.
        let admission = self.admission(now);
        self.add(PoolTransaction::recover_sender(signed, &admission)?)
    }

    fn add(&self, transaction: Arc<PoolTransaction>) -> Result<B256, SendError> {
        let sender = transaction.sender();
        // Authorities and proofs are looked at only if the pool would admit the transaction.
        self.hold().tell(sender, |pool, account, at| pool.check(&transaction, account, at))?;
        self.check_blobs(&transaction)?;
        let transaction = transaction.with_authorities();
        let kept = self.pool_file.get().map(|file| (file, Arc::clone(&transaction)));
        let add = |pool: &PoolHandle, account, at| pool.add(transaction, account, at);
        let hash = self.hold().tell(sender, add)?;
        if let Some((file, transaction)) = kept {
            file.append(&transaction, || self.pending());
        }
        self.feed.admitted(hash);
        // If the channel is full, the node is going to check the pool anyway.
        let _ = self.wake.try_send(());
        Ok(hash)
    }

    /// Checks the sidecar of a blob transaction.
    fn check_blobs(&self, transaction: &PoolTransaction) -> Result<(), PoolError> {
        let Some(sidecar) = transaction.sidecar() else { return Ok(()) };
        let (cfg, _) = self.producer.next_environment(&self.made().head, now());
        let hashes = transaction.signed().blob_versioned_hashes().unwrap_or_default();
        kzg::check(hashes, sidecar, cfg.spec.is_enabled_in(SpecId::OSAKA))
    }

    /// Keeps the pool in a file from now on, and adds the transactions that the file has, by the
    /// rules of a block that is made `now`. `report` is told what was read.
    pub(crate) fn keep_pool_in(&self, path: &Path, now: u64, report: fn(String)) {
        match pool_file::read(path) {
            Ok(kept) => self.restore(path, kept, now, report),
            Err(error) => report(format!("{}: {error}; the pool is empty", path.display())),
        }
        let file = self.pool_file.get_or_init(|| PoolFile::new(path, report));
        file.rewrite(&self.pending());
    }

    fn restore(&self, path: &Path, kept: Kept, now: u64, report: fn(String)) {
        let name = path.display();
        if kept.unread > 0 {
            let aside = match pool_file::set_aside(path) {
                Ok(aside) => format!("the file is now {}", aside.display()),
                Err(error) => format!("it is overwritten, as it cannot be renamed: {error}"),
            };
            report(format!("{name}: the last {} bytes are no transactions; {aside}", kept.unread));
        }
        let (all, admission) = (kept.transactions.len(), self.admission(now));
        let threads = available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let recovered = recover_all_network(kept.transactions, &admission, threads);
        let admitted = recovered.into_iter().flatten().filter(|it| self.add(it.clone()).is_ok());
        let admitted = admitted.inspect(|_| self.usage.admitted()).count();
        if all > 0 {
            let others = all.saturating_sub(admitted);
            report(format!(
                "{name}: {admitted} transactions wait in the pool again, {others} are in blocks or \
                 cannot be in one any more"
            ));
        }
    }

    /// Returns the transactions that are in no durable block, encoded as peers send them.
    fn pending(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let held = self.hold();
        // A killed process loses the blocks that clients do not see yet. Their transactions have no
        // sidecars.
        let blocks = held.made.unseen.iter().flat_map(|view| &view.head.transactions);
        let plain = blocks.filter(|it| !it.is_eip4844());
        plain.for_each(|it| it.inner().network_encode(&mut bytes));
        let waiting = held.pool.transactions();
        waiting.iter().for_each(|(it, _)| it.encode_network(&mut bytes));
        bytes
    }

    /// Writes the pool to its file for the last time.
    pub(crate) fn close_pool(&self) {
        if let Some(file) = self.pool_file.get() {
            file.close(&self.pending(), self.pool.status().transactions);
        }
    }

    /// Returns the last block that clients see, and that of the followed node, if the latter has
    /// more than one block more. One block may have just been made.
    pub(crate) fn behind(&self) -> Option<(u64, u64)> {
        let head = self.view().head.number();
        let highest = self.upstream.get()?.known_head();
        (highest > head.saturating_add(1)).then_some((head, highest))
    }

    /// Records why the node has stopped.
    pub(crate) fn stop(&self, why: String) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    /// Returns the reason why the node has stopped; `None` if it runs.
    pub(crate) fn stopped(&self) -> Option<String> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reason why a transaction was not added to the pool.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    State(#[from] StoreError),
}

#[cfg(test)]
mod tests;
