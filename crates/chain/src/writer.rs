//! The thread that writes executed blocks to the store, one transaction per block.

use crate::{
    CacheUse, ChainError, DurableBatch, Head, Keep, StateStore, StoreError,
    ahead::{Ahead, TrieTask},
    commit::Committer,
    mutants,
    pipeline::{Named, Pipeline, WriterEnded, WriterEndedFor},
};
use alloy_consensus::EthereumReceipt;
use alloy_primitives::{B256, Bytes};
use braid_evm::AccessList;
use revm::database::BundleState;
use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

/// Name of the thread on which a [`Chain`](crate::Chain) writes to its store.
pub const WRITER_THREAD: &str = "braid-writer";

/// A block that was executed, with all its changes.
#[derive(Debug)]
pub struct ExecutedBlock {
    /// The block.
    pub head: Head,
    /// State changes of the block.
    pub changes: BundleState,
    /// State root after the block, as its header states it.
    pub state_root: Option<B256>,
    /// Receipts of the block. May be empty if the chain keeps no receipts.
    pub receipts: Arc<[EthereumReceipt]>,
    /// The block in RLP, including its transactions; empty if the chain keeps no blocks.
    pub rlp: Bytes,
    /// Header of the block in RLP; empty if unknown.
    pub header: Bytes,
}

impl Named for Arc<ExecutedBlock> {
    type Name = Head;

    fn name(&self) -> Head {
        self.head
    }
}

type Blocks = Pipeline<Arc<ExecutedBlock>, StoreError>;

/// State shared between the writer's thread and the thread that executes blocks.
#[derive(Debug)]
struct Shared {
    blocks: Mutex<Blocks>,
    changed: Condvar,
    committer: Committer,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Blocks> {
        // A poisoned lock is usable: each critical section leaves the fields consistent.
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the pipeline, and wakes waiting threads if needed.
    fn change<T>(&self, change: impl FnOnce(&mut Blocks) -> T) -> T {
        let mut blocks = self.lock();
        let answer = change(&mut blocks);
        self.wake(&mut blocks);
        answer
    }

    /// Blocks until `ask`, which may change the pipeline, returns an answer.
    fn wait_for<T>(&self, mut ask: impl FnMut(&mut Blocks) -> Option<T>) -> T {
        let mut blocks = self.lock();
        loop {
            let answer = ask(&mut blocks);
            self.wake(&mut blocks);
            if let Some(answer) = answer {
                return answer;
            }
            let woken = self.changed.wait(blocks);
            blocks = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Wakes waiting threads if the pipeline requests it. No other function wakes them.
    fn wake(&self, blocks: &mut Blocks) {
        if blocks.take_wake() {
            self.changed.notify_all();
        }
    }
}

/// Handle to read the last durable block of a [`Chain`](crate::Chain), from any thread and even
/// after the chain was dropped.
#[derive(Clone, Debug)]
pub struct DurableHead(Arc<Shared>);

impl DurableHead {
    /// Returns the last durable block: reopening the store finds this block or a later one.
    #[must_use]
    pub fn get(&self) -> Head {
        self.0.lock().durable()
    }

    /// Returns the hits and misses of the writer's trie-node cache.
    #[must_use]
    pub fn node_cache(&self) -> CacheUse {
        self.0.committer.cache().get()
    }

    /// Returns the number of blocks since the chain was opened whose trie nodes were computed while
    /// they executed. Such a block has an access list, and no earlier block was waiting for the
    /// writer.
    #[must_use]
    pub fn roots_ahead(&self) -> u64 {
        self.0.committer.roots_ahead()
    }
}

/// The writer's thread. Dropping it waits until all blocks are written, or the writer has failed.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread on `store`, whose last block is `durable`.
    pub(crate) fn start<S: StateStore>(
        store: Arc<S>,
        durable: Head,
        keep: Keep,
    ) -> io::Result<Self> {
        let blocks = Mutex::new(Pipeline::new(durable));
        let committer = Committer::new(keep);
        let shared = Arc::new(Shared { blocks, changed: Condvar::new(), committer });
        let ends = EndGuard(Arc::clone(&shared));
        let run = mutants::carried(move || write_all(&*store, &ends.0));
        let thread = thread::Builder::new().name(WRITER_THREAD.to_owned()).spawn(run)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Starts the trie work of a block with this access list while the block executes. All earlier
    /// blocks must be [written](Self::has_written_all).
    pub(crate) fn start_trie_task<S: StateStore>(
        &self,
        store: &Arc<S>,
        list: &Arc<AccessList>,
    ) -> Option<TrieTask> {
        self.shared.committer.start_trie_task(store, list)
    }

    /// Computes trie nodes and state root of the block `head`, which comes next and makes these
    /// `changes`, once all earlier blocks are durable. The chain must have state roots.
    pub(crate) fn tries_after<S: StateStore>(
        &self,
        store: &S,
        head: Head,
        changes: &BundleState,
    ) -> Result<Ahead, ChainError> {
        self.flush()?;
        let tries = self.shared.committer.tries_after(store, DurableBatch::new(head, changes));
        tries.map_err(|error| ChainError::Writer { number: head.number, error })
    }

    /// Sets the trie work of the next block that is handed over.
    pub(crate) fn go_on_with(&self, trie_task: TrieTask) {
        self.shared.committer.set_trie_task(Some(trie_task));
    }

    /// Whether no block waits for the writer.
    pub(crate) fn has_written_all(&self) -> bool {
        self.shared.lock().layers().next().is_none()
    }

    /// Returns the blocks that are not durable yet, newest first.
    pub(crate) fn pending(&self) -> Arc<[Arc<ExecutedBlock>]> {
        self.shared.lock().layers().cloned().collect()
    }

    /// Returns the last durable block.
    pub(crate) fn durable(&self) -> Head {
        self.shared.lock().durable()
    }

    /// Returns a handle from which other threads can read the last durable block.
    pub(crate) fn durable_head(&self) -> DurableHead {
        DurableHead(Arc::clone(&self.shared))
    }

    /// Returns an error if the writer has ended.
    pub(crate) fn check(&self) -> Result<(), ChainError> {
        let checked = self.shared.lock().check();
        checked.map_err(|end| self.error(end))
    }

    /// Hands a block to the writer. Waits while two executed blocks are not durable yet.
    pub(crate) fn write(&self, block: &Arc<ExecutedBlock>) -> Result<(), ChainError> {
        self.shared.wait_for(|blocks| blocks.offer(block)).map_err(|end| self.error(end))
    }

    /// Waits until all blocks are durable, and returns the last of them.
    pub(crate) fn flush(&self) -> Result<Head, ChainError> {
        let flushed = self.shared.wait_for(|blocks| blocks.flushed());
        flushed.map_err(|end| self.error(end))
    }

    /// Continues after the block `head`, which the store now ends with because something else has
    /// changed it. All blocks must be [written](Self::flush).
    pub(crate) fn rebase(&self, head: Head) {
        self.shared.committer.set_trie_task(None);
        if !mutant!(UnwoundNodesKept) {
            self.shared.committer.forget_nodes();
        }
        self.shared.change(|blocks| blocks.rebase(head));
    }

    fn error(&self, end: WriterEndedFor<Arc<ExecutedBlock>, StoreError>) -> ChainError {
        match end {
            WriterEnded::Failed(head, error) => ChainError::Writer { number: head.number, error },
            WriterEnded::Gone => {
                ChainError::WriterEnded { number: self.durable().number.saturating_add(1) }
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.change(Pipeline::close);
        if let Some(thread) = self.thread.take() {
            // A panic was reported on the writer's thread, and by `check` to each later call.
            let _ = thread.join();
        }
        // Drop the task of a block that the writer never took.
        self.shared.committer.set_trie_task(None);
    }
}

/// Marks the writer as ended when it is dropped, even by a panic.
struct EndGuard(Arc<Shared>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.change(Pipeline::gone);
    }
}

fn write_all<S: StateStore>(store: &S, shared: &Shared) {
    while let Some(block) = shared.wait_for(Pipeline::take) {
        #[cfg(feature = "tracing")]
        let number = block.head.number;
        #[cfg(feature = "tracing")]
        let _span = tracing::debug_span!(target: "braid", "write_back", number).entered();
        let mut batch = DurableBatch::new(block.head, &block.changes);
        batch.state_root = block.state_root;
        batch.receipts = Arc::clone(&block.receipts);
        batch.rlp = block.rlp.clone();
        batch.header = block.header.clone();
        let written = shared.committer.commit(store, &batch);
        shared.change(|blocks| match written {
            Ok(()) => blocks.written(),
            Err(error) => blocks.failed(error),
        });
    }
}
