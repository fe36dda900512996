//! The thread that owns the store: it writes executed blocks, one transaction each.

use crate::{ChainError, DurableBatch, Head, Keep, StateStore, StoreError, commit::Committer};
use alloy_primitives::B256;
use crossbeam_channel::{Receiver, Sender, bounded};
use revm::database::BundleState;
use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

/// Blocks that wait while one is being written. With that one, two are ahead of the durable block.
const QUEUE: usize = 1;

/// A block that was executed, with all that it changes.
#[derive(Debug)]
pub struct ExecutedBlock {
    /// The block.
    pub head: Head,
    /// Its state changes.
    pub changes: BundleState,
    /// The state root after it, as its header states it.
    pub state_root: Option<B256>,
}

/// What the writer and the thread that executes blocks both know.
#[derive(Debug)]
struct Progress {
    /// Executed blocks that are not durable yet, newest first.
    pending: VecDeque<Arc<ExecutedBlock>>,
    durable: Head,
    /// Why the writer has ended, if not because its queue was closed.
    failure: Option<(u64, StoreError)>,
    ended: bool,
}

#[derive(Debug)]
struct Shared {
    progress: Mutex<Progress>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        // Each critical section leaves the fields consistent.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer's thread. Dropping it waits until the queue is written, or the writer has failed.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    queue: Option<Sender<Arc<ExecutedBlock>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread on `store`, whose last block is `durable`.
    pub(crate) fn start<S: StateStore>(
        store: Arc<S>,
        durable: Head,
        keep: Keep,
    ) -> io::Result<Self> {
        let pending = VecDeque::new();
        let progress = Progress { pending, durable, failure: None, ended: false };
        let shared = Arc::new(Shared { progress: Mutex::new(progress), changed: Condvar::new() });
        let (queue, blocks) = bounded(QUEUE);
        let ends = EndGuard(Arc::clone(&shared));
        let run = move || {
            write_all(&*store, &blocks, &ends.0, keep);
            // The queue is closed before the guard says that the writer has ended.
            drop(blocks);
            drop(ends);
        };
        let thread = thread::Builder::new().name("braid-writer".to_owned()).spawn(run)?;
        Ok(Self { shared, queue: Some(queue), thread: Some(thread) })
    }

    /// Blocks that are not durable yet, newest first.
    pub(crate) fn pending(&self) -> Arc<[Arc<ExecutedBlock>]> {
        self.shared.lock().pending.iter().cloned().collect()
    }

    /// The last block that is durable.
    pub(crate) fn durable(&self) -> Head {
        self.shared.lock().durable
    }

    /// Whether the writer is still there.
    pub(crate) fn check(&self) -> Result<(), ChainError> {
        self.shared.lock().check()
    }

    /// Hands over a block. Waits while two are ahead of the durable one.
    pub(crate) fn write(&self, block: Arc<ExecutedBlock>) -> Result<(), ChainError> {
        self.shared.lock().pending.push_front(Arc::clone(&block));
        let sent = self.queue.as_ref().is_some_and(|queue| queue.send(block).is_ok());
        if sent {
            return Ok(());
        }
        // The block is refused, so it is no part of the chain's state. The writer took none later.
        self.shared.lock().pending.pop_front();
        self.wait_until(|_| false).map(|_| ())
    }

    /// Waits until `done`, or the writer has ended: it says so after it has closed the queue.
    fn wait_until(&self, done: impl Fn(&Progress) -> bool) -> Result<Head, ChainError> {
        let mut progress = self.shared.lock();
        loop {
            progress.check()?;
            if done(&progress) {
                return Ok(progress.durable);
            }
            let woken = self.shared.changed.wait(progress);
            progress = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until all blocks are durable.
    pub(crate) fn flush(&self) -> Result<Head, ChainError> {
        self.wait_until(|progress| progress.pending.is_empty())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic was reported on its own thread, and by `check` to each later call.
            let _ = thread.join();
        }
    }
}

impl Progress {
    fn check(&self) -> Result<(), ChainError> {
        if let Some((number, error)) = &self.failure {
            return Err(ChainError::Writer { number: *number, error: error.clone() });
        }
        if self.ended {
            let number = self.durable.number.saturating_add(1);
            return Err(ChainError::WriterEnded { number });
        }
        Ok(())
    }
}

/// Says that the writer has ended, also if it ends by a panic.
struct EndGuard(Arc<Shared>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.changed.notify_all();
    }
}

fn write_all<S: StateStore>(
    store: &S,
    blocks: &Receiver<Arc<ExecutedBlock>>,
    shared: &Shared,
    keep: Keep,
) {
    let committer = Committer::new(keep);
    for block in blocks {
        let mut batch = DurableBatch::new(block.head, &block.changes);
        batch.state_root = block.state_root;
        let written = committer.commit(store, &batch);
        let mut progress = shared.lock();
        match written {
            Ok(()) => {
                progress.durable = block.head;
                progress.pending.pop_back();
            }
            Err(error) => progress.failure = Some((block.head.number, error)),
        }
        let failed = progress.failure.is_some();
        drop(progress);
        shared.changed.notify_all();
        if failed {
            return;
        }
    }
}
