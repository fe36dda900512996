//! The thread that owns the store: it writes executed blocks, one transaction each.

use crate::{
    CacheUse, ChainError, DurableBatch, Head, Keep, StateStore, StoreError,
    ahead::TrieTask,
    commit::Committer,
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

/// A block that was executed, with all that it changes.
#[derive(Debug)]
pub struct ExecutedBlock {
    /// The block.
    pub head: Head,
    /// Its state changes.
    pub changes: BundleState,
    /// The state root after it, as its header states it.
    pub state_root: Option<B256>,
    /// Its receipts. They may be left out where the chain keeps none.
    pub receipts: Arc<[EthereumReceipt]>,
    /// The block in RLP, with its transactions; empty if the chain keeps none.
    pub rlp: Bytes,
    /// Its header in RLP; empty if it is not known.
    pub header: Bytes,
}

impl Named for Arc<ExecutedBlock> {
    type Name = Head;

    fn name(&self) -> Head {
        self.head
    }
}

type Blocks = Pipeline<Arc<ExecutedBlock>, StoreError>;

/// What the writer and the thread that executes blocks both know.
#[derive(Debug)]
struct Shared {
    blocks: Mutex<Blocks>,
    changed: Condvar,
    committer: Committer,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Blocks> {
        // Each critical section leaves the fields consistent.
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change.
    fn change<T>(&self, change: impl FnOnce(&mut Blocks) -> T) -> T {
        let mut blocks = self.lock();
        let answer = change(&mut blocks);
        self.wake(&mut blocks);
        answer
    }

    /// Waits until `ask` has an answer, which may be a change.
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

    /// Wakes the threads that sleep, if the pipeline says so: the one place that does.
    fn wake(&self, blocks: &mut Blocks) {
        if blocks.take_wake() {
            self.changed.notify_all();
        }
    }
}

/// Tells the last durable block of a [`Chain`](crate::Chain), on any thread and also after the chain.
#[derive(Clone, Debug)]
pub struct DurableHead(Arc<Shared>);

impl DurableHead {
    /// Reopening the store finds this block or a later one.
    #[must_use]
    pub fn get(&self) -> Head {
        self.0.lock().durable()
    }

    /// How often the writer has found nodes of tries in memory.
    #[must_use]
    pub fn node_cache(&self) -> CacheUse {
        self.0.committer.cache().get()
    }

    /// Number of blocks since the chain was opened whose trie work was done beside their execution:
    /// they came with an access list, and no earlier block had to be written.
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
        let run = move || write_all(&*store, &ends.0);
        let thread = thread::Builder::new().name(WRITER_THREAD.to_owned()).spawn(run)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Starts the trie work of a block with this access list beside its execution. All blocks before
    /// it have to be [written](Self::has_written_all).
    pub(crate) fn start_trie_task<S: StateStore>(
        &self,
        store: &Arc<S>,
        list: &Arc<AccessList>,
    ) -> Option<TrieTask> {
        self.shared.committer.start_trie_task(store, list)
    }

    /// The block that is handed over next is the one of this trie work.
    pub(crate) fn go_on_with(&self, trie_task: TrieTask) {
        self.shared.committer.set_trie_task(Some(trie_task));
    }

    /// Whether no block is on its way.
    pub(crate) fn has_written_all(&self) -> bool {
        self.shared.lock().layers().next().is_none()
    }

    /// Blocks that are not durable yet, newest first.
    pub(crate) fn pending(&self) -> Arc<[Arc<ExecutedBlock>]> {
        self.shared.lock().layers().cloned().collect()
    }

    /// The last block that is durable.
    pub(crate) fn durable(&self) -> Head {
        self.shared.lock().durable()
    }

    /// The same for other threads.
    pub(crate) fn durable_head(&self) -> DurableHead {
        DurableHead(Arc::clone(&self.shared))
    }

    /// Whether the writer is still there.
    pub(crate) fn check(&self) -> Result<(), ChainError> {
        let checked = self.shared.lock().check();
        checked.map_err(|end| self.error(end))
    }

    /// Hands over a block. Waits while two are ahead of the durable one.
    pub(crate) fn write(&self, block: &Arc<ExecutedBlock>) -> Result<(), ChainError> {
        self.shared.wait_for(|blocks| blocks.offer(block)).map_err(|end| self.error(end))
    }

    /// Waits until all blocks are durable.
    pub(crate) fn flush(&self) -> Result<Head, ChainError> {
        let flushed = self.shared.wait_for(|blocks| blocks.flushed());
        flushed.map_err(|end| self.error(end))
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
            // A panic was reported on its own thread, and by `check` to each later call.
            let _ = thread.join();
        }
        // Of a block that was never taken.
        self.shared.committer.set_trie_task(None);
    }
}

/// Says that the writer has ended, also if it ends by a panic.
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
