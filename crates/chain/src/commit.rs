//! Writing a block, or a chain's initial state, in one transaction of the store.

use crate::{
    AccountChange, AccountRecord, DurableBatch, Head, SCHEMA, Snapshot, StateReader, StateStore,
    StoreError, Table, Undo, Writes,
    ahead::{Ahead, TrieTask},
    archive,
    block_index::{self, Limits, NewBlock},
    open,
    record::{
        FIRST_KEY, FirstBlock, GENESIS_KEY, HEAD_KEY, HEADER_KEY, NODES_HEAD_KEY, SCHEMA_KEY,
        STATE_ROOT_KEY, slot_key, slot_value,
    },
    trie::{CacheCounts, ChangedNodes, NodeCache, NodeOverlay, UpdatedTries},
};
use alloy_primitives::{Address, B256, U256};
use braid_evm::AccessList;
use revm::DatabaseRef;
use std::{
    collections::BTreeMap,
    mem,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

/// Records that the store keeps in addition to the state, and settings of the state root's
/// computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Keep {
    /// Number of blocks that can be unwound, counted from the head. Default: 128.
    pub undo_blocks: u64,
    /// Number of blocks whose receipts are kept, counted from the head. With 0, no receipts are
    /// written, and receipts in the store stay. Receipts older than a block without receipts also
    /// stay, until [`prune`](crate::prune) removes them. Default: 0.
    pub receipt_blocks: u64,
    /// Number of blocks that are kept with their transactions, counted from the head, if they come
    /// with their RLP. Otherwise like `receipt_blocks`. Default: 0.
    pub rlp_blocks: u64,
    /// Maximum size of the kept blocks and receipts in the store, in bytes of RLP. When a block is
    /// added, the oldest blocks are removed with their receipts, at most 64 at a time, until the
    /// others fit; the last block always stays. Default: no limit.
    pub history_bytes: u64,
    /// Whether the state after every block can be read, however old: the store also keeps the values
    /// before each block that changed them, which no other setting removes. The chain records it with
    /// the next block and keeps an archive from then on, even if it is opened without; states after
    /// earlier blocks are not in the archive. Default: false.
    pub archive: bool,
    /// Number of threads that compute a block's state root, if the chain has state roots and the
    /// block changes many entries. Default: one per core.
    pub root_threads: NonZeroUsize,
    /// Size of the writer's cache of trie nodes in bytes, if the chain has state roots. Default:
    /// [`NODE_CACHE_BYTES`].
    pub node_cache: u64,
    /// Maximum number of blocks after which changed trie nodes are written, if the chain has state
    /// roots. Until then they are in memory, and are computed again from the undo records after a
    /// restart, so no more blocks than `undo_blocks` are left between. Nodes are also written when
    /// they take more than [`NODE_FLUSH_BYTES`]. Default: 16.
    pub node_flush_blocks: u64,
}

/// Default size of the cache of trie nodes, in bytes.
pub const NODE_CACHE_BYTES: u64 = 128 << 20;

/// Size in memory, in bytes, at which changed trie nodes are written.
pub const NODE_FLUSH_BYTES: usize = 32 << 20;

/// Whether a chain has state roots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateRoots {
    /// The store holds the nodes of all tries, and each block's state root is computed before the
    /// block is written.
    Computed,
    /// No state roots are computed: a block costs less, but its header's state root is not
    /// verified.
    Disabled,
}

impl Keep {
    /// Keeps the undo records of the last `undo_blocks` blocks; all other fields have their
    /// defaults.
    #[must_use]
    pub fn blocks(undo_blocks: u64) -> Self {
        Self { undo_blocks, ..Self::default() }
    }
}

impl Default for Keep {
    fn default() -> Self {
        let root_threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self {
            undo_blocks: 128,
            receipt_blocks: 0,
            rlp_blocks: 0,
            history_bytes: u64::MAX,
            archive: false,
            root_threads,
            node_cache: NODE_CACHE_BYTES,
            node_flush_blocks: 16,
        }
    }
}

/// Writes the initial state of a chain into an empty store. `genesis` describes the chain;
/// [`StateReader::genesis`] returns it.
///
/// # Errors
/// The store already holds a chain, or it failed.
pub fn create<S: StateStore>(
    store: &S,
    genesis: &[u8],
    batch: &DurableBatch,
    roots: StateRoots,
) -> Result<(), StoreError> {
    match open(store) {
        Err(StoreError::Empty) => {}
        Ok(reader) => return Err(StoreError::Occupied { number: reader.head().number }),
        Err(error) => return Err(error),
    }
    let mut writes = Writes::default();
    writes.put(Table::Meta, GENESIS_KEY, genesis);
    put_state(&mut writes, batch, &BTreeMap::new());
    let state_root = match roots {
        StateRoots::Computed => {
            let nodes = NodeOverlay::new(store.snapshot()?, ChangedNodes::default());
            Some(put_root(nodes, &mut writes, batch, Keep::default().root_threads)?)
        }
        StateRoots::Disabled => {
            writes.put(Table::Meta, SCHEMA_KEY, SCHEMA.to_be_bytes());
            batch.state_root
        }
    };
    block_index::begin(&mut writes, batch.head);
    writes.put(Table::Meta, FIRST_KEY, FirstBlock { head: batch.head, state_root }.encode());
    store.write(writes)
}

/// Writes all changes of a block in one transaction: state, codes, block hash, undo record, and the
/// head that names it. If the chain has state roots, computes the block's state root first. The
/// block is durable when this function returns.
///
/// # Errors
/// The block does not follow the head, its state root differs from the batch's, or the store
/// failed.
pub fn commit<S: StateStore>(
    store: &S,
    batch: &DurableBatch,
    keep: Keep,
) -> Result<(), StoreError> {
    // Nothing stays in memory, as no further block is committed.
    Committer::new(Keep { node_cache: 0, node_flush_blocks: 1, ..keep }).commit(store, batch)
}

/// Commits blocks to a store that nothing else writes to, one after the other, and caches trie
/// nodes between them.
#[derive(Debug)]
pub(crate) struct Committer {
    keep: Keep,
    nodes: Arc<NodeCache>,
    /// Trie work of the next block to commit, if it was started or finished before the commit.
    trie_task: Mutex<Option<TrieTask>>,
    roots_ahead: AtomicU64,
}

impl Committer {
    pub(crate) fn new(keep: Keep) -> Self {
        Self {
            keep,
            nodes: Arc::new(NodeCache::new(keep.node_cache)),
            trie_task: Mutex::new(None),
            roots_ahead: AtomicU64::new(0),
        }
    }

    /// Starts the trie work of a block with this access list, on the state after the last committed
    /// block. Nothing may be committed until the work ends: otherwise it could start from nodes in
    /// memory that are newer than its snapshot. Returns `None` if no thread can be started.
    pub(crate) fn start_trie_task<S: StateStore>(
        &self,
        store: &Arc<S>,
        list: &Arc<AccessList>,
    ) -> Option<TrieTask> {
        let (store, list) = (Arc::clone(store), Arc::clone(list));
        let (cache, threads) = (Arc::clone(&self.nodes), self.keep.root_threads);
        let compute = move |cancel: &_| {
            let snapshot = store.snapshot().ok()?;
            Ahead::compute(snapshot, &cache, &list, threads, cancel)
        };
        TrieTask::start(compute).ok()
    }

    /// Computes trie nodes and state root of the next block, which makes the changes in `batch`, on
    /// the state after the last committed block. Nothing may be committed meanwhile, and the chain
    /// must have state roots.
    pub(crate) fn tries_after<S: StateStore>(
        &self,
        store: &S,
        batch: DurableBatch,
    ) -> Result<Ahead, StoreError> {
        let reader = StateReader::new(store.snapshot()?)?;
        let threads = self.keep.root_threads;
        let nodes = self.nodes.of_head(&reader, threads)?;
        // If the block is not committed after all, nodes are read from the store again.
        let tries = self.nodes.take(&batch);
        Ahead::after(reader.head(), &nodes, tries, batch, threads)
    }

    /// Sets the trie work of the next block to commit. That commit waits for the work, and uses its
    /// result if the block makes the same changes. The previous task, if any, is cancelled.
    pub(crate) fn set_trie_task(&self, trie_task: Option<TrieTask>) {
        let before = mem::replace(&mut *self.trie_task(), trie_task);
        drop(before);
    }

    fn trie_task(&self) -> MutexGuard<'_, Option<TrieTask>> {
        self.trie_task.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the cached trie nodes, because something else has changed them in the store.
    pub(crate) fn forget_nodes(&self) {
        self.nodes.clear();
    }

    /// Number of blocks whose trie nodes were computed while they executed.
    pub(crate) fn roots_ahead(&self) -> u64 {
        self.roots_ahead.load(SeqCst)
    }

    /// Counters of the trie-node cache.
    pub(crate) fn cache(&self) -> Arc<CacheCounts> {
        self.nodes.counts()
    }

    /// Commits a block like [`commit`]. After an error, nothing more may be committed.
    pub(crate) fn commit<S: StateStore>(
        &self,
        store: &S,
        batch: &DurableBatch,
    ) -> Result<(), StoreError> {
        let reader = StateReader::new(store.snapshot()?)?;
        let mut writes = writes_of(&reader, batch, self.keep)?;
        let trie_task = self.trie_task().take();
        let ahead = trie_task.and_then(TrieTask::join);
        let ahead = ahead.filter(|ahead| ahead.is_of(reader.head(), batch));
        let is_listed = ahead.as_ref().is_some_and(|ahead| ahead.is_listed);
        self.roots_ahead.fetch_add(u64::from(is_listed), SeqCst);
        if reader.state_root()?.is_none() {
            return store.write(writes);
        }
        let threads = self.keep.root_threads;
        let mut changed = self.nodes.take_changed(&reader, threads)?;
        let updated = match ahead {
            Some(ahead) => ahead.updated,
            None => {
                let nodes = NodeOverlay::new(reader.snapshot().clone(), changed.clone());
                UpdatedTries::new(&nodes, self.nodes.take(batch), batch, threads)?
            }
        };
        put_found(&mut writes, batch, updated.root)?;
        changed.add(updated.nodes);
        let mut nodes_head = reader.nodes_head()?;
        if self.must_flush(batch.head.number.saturating_sub(nodes_head.number), changed.bytes()) {
            match mutant!(NodesUnflushed) {
                true => changed = ChangedNodes::default(),
                false => changed.flush(&mut writes),
            }
            nodes_head = batch.head;
        }
        put_nodes_head(&mut writes, nodes_head);
        store.write(writes)?;
        self.nodes.put(updated.tries, batch.head, changed);
        Ok(())
    }

    /// Whether changed nodes of `blocks` blocks, which take `bytes`, are written now. Until they
    /// are, the undo records of these blocks must stay.
    fn must_flush(&self, blocks: u64, bytes: usize) -> bool {
        let most = self.keep.node_flush_blocks.min(self.keep.undo_blocks);
        blocks >= most || bytes > NODE_FLUSH_BYTES
    }
}

/// Returns the writes that make `batch` durable on the state of `reader`, without those of the
/// tries.
fn writes_of<S: Snapshot>(
    reader: &StateReader<S>,
    batch: &DurableBatch,
    keep: Keep,
) -> Result<Writes, StoreError> {
    let (parent, number) = (reader.head(), batch.head.number);
    if parent.number.checked_add(1) != Some(number) {
        return Err(StoreError::Order { number, head: parent.number });
    }
    let cleared = cleared_slots(reader, batch)?;
    let mut writes = Writes::default();
    put_state(&mut writes, batch, &cleared);
    if !batch.header.is_empty() {
        writes.put(Table::Meta, HEADER_KEY, batch.header.as_ref());
    }
    let is_archive = keep.archive || reader.archived_since()?.is_some();
    if keep.undo_blocks > 0 || is_archive {
        let undo = undo(reader, batch, &cleared)?;
        if is_archive {
            archive::extend(reader, &mut writes, &undo, number)?;
        }
        if keep.undo_blocks > 0 {
            writes.put(Table::Undo, number.to_be_bytes(), undo.encode());
        }
    }
    for number in
        block_index::run_before(reader, Table::Undo, number.checked_sub(keep.undo_blocks.max(1)))?
    {
        writes.remove(Table::Undo, number.to_be_bytes());
    }
    let mut receipts = Vec::new();
    if keep.receipt_blocks > 0 {
        alloy_rlp::encode_list(&batch.receipts, &mut receipts);
    }
    let block = NewBlock { head: batch.head, rlp: &batch.rlp, receipts: &receipts };
    let limits = Limits {
        blocks: keep.rlp_blocks,
        receipts: keep.receipt_blocks,
        bytes: keep.history_bytes,
    };
    block_index::extend(reader, &mut writes, block, limits)?;
    Ok(writes)
}

/// Applies `batch` to the tries whose nodes are `nodes`, writes all nodes that the store lacks,
/// compares the state root with the one in `batch`, and returns it.
pub(crate) fn put_root<S: Snapshot>(
    mut nodes: NodeOverlay<S>,
    writes: &mut Writes,
    batch: &DurableBatch,
    threads: NonZeroUsize,
) -> Result<B256, StoreError> {
    let found = nodes.update(batch, threads)?;
    put_found(writes, batch, found)?;
    nodes.into_changed().flush(writes);
    put_nodes_head(writes, batch.head);
    Ok(found)
}

/// Writes the trie nodes of the head that the store lacks, so that no undo record is needed to
/// compute them.
pub(crate) fn flush_nodes<S: StateStore>(store: &S) -> Result<(), StoreError> {
    let reader = StateReader::new(store.snapshot()?)?;
    if reader.state_root()?.is_none() || reader.nodes_head()? == reader.head() {
        return Ok(());
    }
    let mut writes = Writes::default();
    let nodes = NodeOverlay::of_head(&reader, Keep::default().root_threads)?;
    nodes.into_changed().flush(&mut writes);
    put_nodes_head(&mut writes, reader.head());
    store.write(writes)
}

/// Notes that the store has the trie nodes of the block `head`.
fn put_nodes_head(writes: &mut Writes, head: Head) {
    writes.put(Table::Meta, NODES_HEAD_KEY, head.encode());
    writes.put(Table::Meta, SCHEMA_KEY, SCHEMA.to_be_bytes());
}

fn put_found(writes: &mut Writes, batch: &DurableBatch, found: B256) -> Result<(), StoreError> {
    if let Some(stated) = batch.state_root.filter(|stated| *stated != found) {
        return Err(StoreError::StateRoot { stated, found });
    }
    writes.put(Table::Meta, STATE_ROOT_KEY, found.as_slice());
    Ok(())
}

/// Slots of accounts that the block cleared, with their values before the block.
type Cleared = BTreeMap<(Address, U256), U256>;

fn cleared_slots<S: Snapshot>(
    reader: &StateReader<S>,
    batch: &DurableBatch,
) -> Result<Cleared, StoreError> {
    let mut slots = Cleared::new();
    for AccountChange { address, .. } in batch.accounts.iter().filter(|change| change.cleared) {
        for entry in reader.slots(*address) {
            let (slot, value) = entry?;
            slots.insert((*address, slot), value);
        }
    }
    Ok(slots)
}

/// Writes the state of `batch`. Each key is written once, as the writes of a transaction are not
/// ordered.
pub(crate) fn put_state(writes: &mut Writes, batch: &DurableBatch, cleared: &Cleared) {
    for AccountChange { address, before, after, .. } in &batch.accounts {
        match after {
            Some(record) if Some(record) != before.as_ref() => {
                writes.put(Table::Accounts, address.as_slice(), record.encode());
            }
            Some(_) => {}
            None => writes.remove(Table::Accounts, address.as_slice()),
        }
    }
    let mut removed = cleared.clone();
    for change in &batch.slots {
        removed.remove(&(change.address, change.slot));
        let key = slot_key(change.address, change.slot);
        if change.after.is_zero() {
            writes.remove(Table::Slots, key);
        } else {
            writes.put(Table::Slots, key, slot_value(change.after));
        }
    }
    for (address, slot) in removed.into_keys() {
        writes.remove(Table::Slots, slot_key(address, slot));
    }
    for (hash, code) in &batch.codes {
        writes.put(Table::Codes, hash.as_slice(), code.as_ref());
    }
    let Head { number, hash } = batch.head;
    writes.put(Table::BlockHashes, number.to_be_bytes(), hash.as_slice());
    writes.put(Table::Meta, HEAD_KEY, batch.head.encode());
}

fn undo<S: Snapshot>(
    reader: &StateReader<S>,
    batch: &DurableBatch,
    cleared: &Cleared,
) -> Result<Undo, StoreError> {
    let changed = batch.accounts.iter().filter(|change| change.before != change.after);
    let accounts: Vec<(Address, Option<AccountRecord>)> =
        changed.map(|change| (change.address, change.before)).collect();
    let mut slots = cleared.clone();
    for change in &batch.slots {
        let key = (change.address, change.slot);
        if slots.contains_key(&key) {
            continue;
        }
        let found = batch.accounts.binary_search_by_key(&change.address, |it| it.address);
        let account = found.ok().and_then(|at| batch.accounts.get(at));
        // revm reads the slots of an account without nonce and code as zero, even if a genesis has
        // set them.
        let blank =
            account.is_none_or(|account| account.before.is_none_or(AccountRecord::is_blank));
        let before = if blank { reader.storage_ref(key.0, key.1)? } else { change.before };
        slots.insert(key, before);
    }
    let slots = slots.into_iter().map(|((address, slot), value)| (address, slot, value));
    Ok(Undo { parent: reader.head(), accounts, slots: slots.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_changed_nodes_are_flushed_early() {
        let committer = Committer::new(Keep { undo_blocks: 9, ..Keep::default() });
        assert!(!committer.must_flush(8, NODE_FLUSH_BYTES));
        assert!(committer.must_flush(9, 0));
        assert!(committer.must_flush(1, NODE_FLUSH_BYTES + 1));
    }
}
