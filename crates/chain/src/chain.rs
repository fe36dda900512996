//! Execution of a chain's blocks, one after the other.

use crate::{
    AccountEdit, ChainError, DurableHead, Edited, ExecutedBlock, Expected, Head, Keep,
    LayeredState, StateReader, StateStore, StoreError, ahead::Ahead, block_index, edit, open,
    unwind, writer::Writer,
};
use alloy_primitives::{Address, B256, Bytes};
use braid_evm::{AccessList, Block, BlockOutput, BuiltBlock, Config, Executor, TransactionPool};
use std::{
    io, mem,
    num::{NonZeroU16, NonZeroUsize},
    sync::Arc,
};

/// Configuration of a [`Chain`].
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ChainConfig {
    /// Configuration of the executor.
    pub executor: Config,
    /// Records that the store keeps in addition to the state.
    pub keep: Keep,
}

/// A block to execute, with the results that its header claims.
#[derive(Clone, Debug, Default)]
pub struct ChainBlock {
    /// The block.
    pub block: Block,
    /// Hash of the block.
    pub hash: B256,
    /// Results that the header claims; the execution is compared with them.
    pub expected: Expected,
    /// Header of the block in RLP; empty if unknown. The store keeps it while the block is the last
    /// one, for [`export`](crate::export).
    pub header: Bytes,
    /// Header and body in RLP, for a chain that [keeps](Keep::rlp_blocks) blocks; empty if unknown.
    pub rlp: Bytes,
}

/// Hash of a block that was built, and its RLP for a chain that [keeps](Keep::rlp_blocks) blocks.
#[derive(Clone, Debug, Default)]
pub struct Sealed {
    /// Hash of the block.
    pub hash: B256,
    /// Header and transactions in RLP; empty if the block is not kept.
    pub rlp: Bytes,
    /// The header alone in RLP, as in [`ChainBlock::header`]. It may be empty even if `rlp` is not.
    pub header: Bytes,
}

impl From<B256> for Sealed {
    fn from(hash: B256) -> Self {
        Self { hash, ..Self::default() }
    }
}

/// Result of executing a block.
#[derive(Clone, Debug)]
pub struct Executed {
    /// Outcomes, receipts, requests and gas. The bundle was moved to [`changes`](Self::changes).
    pub output: BlockOutput,
    /// The block with its state changes, shared with the writer.
    pub changes: Arc<ExecutedBlock>,
}

/// Result of building a block.
#[derive(Clone, Debug)]
pub struct Built {
    /// The block with every transaction that the pool handed out; `output.outcomes` says which of
    /// them are included.
    pub block: Arc<Block>,
    /// Outcomes, receipts, requests and gas. The bundle was moved to [`changes`](Self::changes).
    pub output: BlockOutput,
    /// The block with its state changes, shared with the writer.
    pub changes: Arc<ExecutedBlock>,
}

/// Executes blocks on the state of the last one, while a thread writes to the store.
///
/// Each block executes on the store plus at most two blocks that are not durable yet. Dropping the
/// chain waits until all of them are durable.
pub struct Chain<S: StateStore> {
    store: Arc<S>,
    executor: Executor,
    writer: Writer,
    head: Head,
    has_roots: bool,
    /// Whether the writer was still busy with an earlier block when the last one had executed.
    writer_lags: bool,
    keeps_receipts: bool,
    root_threads: NonZeroUsize,
}

impl<S: StateStore> core::fmt::Debug for Chain<S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Chain").field("head", &self.head).finish_non_exhaustive()
    }
}

impl<S: StateStore> Chain<S> {
    /// Opens the chain in `store`, and starts the writer and the executor's threads.
    ///
    /// # Errors
    /// The store holds no chain of this schema version, or the system refused to start a thread.
    pub fn open(store: S, config: ChainConfig) -> Result<Self, ChainError> {
        let executor = Executor::new(config.executor).map_err(ChainError::Thread)?;
        Self::open_with(store, executor, config.keep)
    }

    /// Opens the chain in `store` with the caller's executor, for example one with additional
    /// [precompiles](Executor::with_precompiles). Starts the writer.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(store: S, executor: Executor, keep: Keep) -> Result<Self, ChainError> {
        let store = Arc::new(store);
        block_index::complete(&*store)?;
        let reader = open(&*store)?;
        let (head, has_roots) = (reader.head(), reader.state_root()?.is_some());
        drop(reader);
        let writer = Writer::start(Arc::clone(&store), head, keep);
        let writer = writer.map_err(ChainError::Thread)?;
        let keeps_receipts = keep.receipt_blocks > 0;
        let root_threads = keep.root_threads;
        Ok(Self {
            store,
            executor,
            writer,
            head,
            has_roots,
            writer_lags: false,
            keeps_receipts,
            root_threads,
        })
    }

    /// Returns the last executed block, which may not be durable yet.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// Returns the last durable block: reopening the store finds this block or a later one.
    #[must_use]
    pub fn durable(&self) -> Head {
        self.writer.durable()
    }

    /// Returns a handle from which other threads can read [`durable`](Self::durable).
    #[must_use]
    pub fn durable_head(&self) -> DurableHead {
        self.writer.durable_head()
    }

    /// Returns a function that opens the state after the last durable block, also on other threads.
    pub fn durable_state(
        &self,
    ) -> impl Fn() -> Result<StateReader<S::Snapshot>, StoreError> + Send + Sync + use<S> {
        let store = Arc::downgrade(&self.store);
        move || match store.upgrade() {
            Some(store) => open(&*store),
            None => Err(StoreError::backend(io::Error::other("the chain is closed"))),
        }
    }

    /// Returns the state after the last executed block.
    ///
    /// # Errors
    /// The store failed.
    pub fn state(&self) -> Result<LayeredState<S::Snapshot>, ChainError> {
        // Layers first, store second: a block written in between is then in both, not in neither.
        let layers = self.writer.pending();
        let reader = StateReader::new(self.store.snapshot()?)?;
        Ok(LayeredState::new(layers, reader))
    }

    /// Executes a block and hands its changes to the writer. Waits while two executed blocks are
    /// not durable yet. If the block fails, the chain is unchanged.
    ///
    /// # Errors
    /// The block does not follow the head, is invalid, or differs from its header; the store failed
    /// for this block or an earlier one; or an earlier block has a different state root than its
    /// header.
    ///
    /// # Panics
    /// Like `BlockRequest::execute` of braid-evm: with the payload of a panic in a precompile.
    pub fn execute(&mut self, block: impl Into<ChainBlock>) -> Result<Executed, ChainError> {
        let ChainBlock { block, hash, expected, header, rlp } = block.into();
        self.writer.check()?;
        let head = self.follows(&block, hash)?;
        let state = self.state().map_err(|error| error.before(head.number))?;
        let block = Arc::new(block);
        // The task is dropped, and so cancelled, if the block fails.
        let list = self.list_ahead(&block);
        let trie_task = list.and_then(|list| self.writer.start_trie_task(&self.store, list));
        let workers = self.workers();
        let request = self.executor.block(Arc::clone(&block)).state(state);
        let output = request.most_workers(workers).execute();
        self.writer_lags = !self.writer.has_written_all();
        let mut output = output.map_err(|error| ChainError::of_block(&block, error))?;
        expected.check(head.number, &output)?;
        if let Some(trie_task) = trie_task {
            self.writer.go_on_with(trie_task);
        }
        let changes =
            ExecutedBlock { header, rlp, ..self.changes(head, &mut output, expected.state_root) };
        let changes = self.write(changes)?;
        Ok(Executed { output, changes })
    }

    /// Workers for the next block. If blocks wait for the writer, it gets a core: on two cores,
    /// execution on both would only make it slower.
    fn workers(&self) -> NonZeroU16 {
        let all = self.executor.config().workers;
        let fewer = NonZeroU16::new(all.get().saturating_sub(1)).filter(|_| self.writer_lags);
        fewer.unwrap_or(all)
    }

    /// Returns the access list from which to compute trie nodes while `block` executes. Returns
    /// `None` unless the list, which the execution verifies, is well-formed and fits into the
    /// block's gas limit, and all earlier blocks are written.
    fn list_ahead<'b>(&self, block: &'b Block) -> Option<&'b Arc<AccessList>> {
        let list = block.access_list.as_ref()?;
        if !self.writer.has_written_all() {
            return None;
        }
        list.validate_gas_limit(block.env.gas_limit).ok()?;
        list.validate_structure(block.transactions.len()).ok()?;
        Some(list)
    }

    /// Builds the next block from transactions that `pool` hands out, and passes its changes to the
    /// writer, as [`execute`](Self::execute) does. `template` is the block without transactions
    /// (see `BlockRequest::build` of braid-evm). `seal` receives the executed block and returns its
    /// hash, or a [`Sealed`] block for the store to keep. The hash cannot commit to the state root,
    /// which the writer computes later; [`build_with_root`](Self::build_with_root) computes it
    /// first.
    ///
    /// # Errors
    /// As for [`execute`](Self::execute), but invalid transactions are left out.
    ///
    /// # Panics
    /// As for [`execute`](Self::execute), or with the payload of a panic in `pool` or `seal`.
    pub fn build<T: Into<Sealed>>(
        &mut self,
        template: Block,
        pool: &mut impl TransactionPool,
        seal: impl FnOnce(&BuiltBlock) -> T,
    ) -> Result<Built, ChainError> {
        let (head, built) = self.fill(template, pool)?;
        let sealed = seal(&built).into();
        self.hand_over(head, built, sealed, None)
    }

    /// Builds the next block like [`build`](Self::build), with a header that commits to the state:
    /// `seal` also receives the state root after the block, or `None` if the chain has no state
    /// roots. The root is computed on the calling thread once all earlier blocks are durable, so at
    /// most one block waits for the writer.
    ///
    /// # Errors
    /// As for [`build`](Self::build).
    ///
    /// # Panics
    /// As for [`build`](Self::build).
    pub fn build_with_root<T: Into<Sealed>>(
        &mut self,
        template: Block,
        pool: &mut impl TransactionPool,
        seal: impl FnOnce(&BuiltBlock, Option<B256>) -> T,
    ) -> Result<Built, ChainError> {
        let (head, built) = self.fill(template, pool)?;
        let tries = match self.has_roots {
            true => Some(self.writer.tries_after(&*self.store, head, &built.output.bundle)?),
            false => None,
        };
        let sealed = seal(&built, tries.as_ref().map(|tries| tries.updated.root)).into();
        self.hand_over(head, built, sealed, tries)
    }

    /// Executes the next block with transactions of `pool`. The hash of its head is not known yet.
    fn fill(
        &mut self,
        template: Block,
        pool: &mut impl TransactionPool,
    ) -> Result<(Head, BuiltBlock), ChainError> {
        self.writer.check()?;
        let head = self.follows(&template, B256::ZERO)?;
        let state = self.state().map_err(|error| error.before(head.number))?;
        let workers = self.workers();
        let request = self.executor.block(template).state(state);
        let built = request.most_workers(workers).build(pool);
        self.writer_lags = !self.writer.has_written_all();
        Ok((head, built.map_err(|error| ChainError::block(head.number, error))?))
    }

    /// Hands a built block to the writer, with its trie nodes if they are known.
    fn hand_over(
        &mut self,
        head: Head,
        built: BuiltBlock,
        sealed: Sealed,
        tries: Option<Ahead>,
    ) -> Result<Built, ChainError> {
        let BuiltBlock { block, mut output, .. } = built;
        let Sealed { hash, rlp, header } = sealed;
        let root = tries.as_ref().map(|tries| tries.updated.root);
        if let Some(tries) = tries {
            self.writer.go_on_with(tries.into());
        }
        let changes = self.changes(Head { hash, ..head }, &mut output, root);
        let changes = self.write(ExecutedBlock { rlp, header, ..changes })?;
        Ok(Built { block, output, changes })
    }

    /// Appends a block that was executed elsewhere on [`state`](Self::state), and passes its
    /// changes to the writer. Waits while two executed blocks are not durable yet.
    ///
    /// # Errors
    /// The block's number does not follow the head's; the store failed for an earlier block; or an
    /// earlier block has a different state root than its header.
    pub fn append(&mut self, executed: ExecutedBlock) -> Result<(), ChainError> {
        let (number, head) = (executed.head.number, self.head.number);
        if head.checked_add(1) != Some(number) {
            return Err(ChainError::Number { number, head });
        }
        self.write(executed).map(drop)
    }

    /// Moves the bundle out of `output`, into the block for the writer.
    fn changes(
        &self,
        head: Head,
        output: &mut BlockOutput,
        state_root: Option<B256>,
    ) -> ExecutedBlock {
        let kept = if self.keeps_receipts { &*output.receipts } else { &[] };
        let receipts = kept.into();
        ExecutedBlock {
            head,
            changes: mem::take(&mut output.bundle),
            state_root,
            receipts,
            rlp: Bytes::new(),
            header: Bytes::new(),
        }
    }

    fn write(&mut self, executed: ExecutedBlock) -> Result<Arc<ExecutedBlock>, ChainError> {
        let executed = Arc::new(executed);
        self.writer.write(&executed)?;
        self.head = executed.head;
        Ok(executed)
    }

    fn follows(&self, block: &Block, hash: B256) -> Result<Head, ChainError> {
        let number = block.env.number.saturating_to::<u64>();
        if self.head.number.checked_add(1) != Some(number) {
            return Err(ChainError::Number { number, head: self.head.number });
        }
        if block.parent_hash != self.head.hash {
            let (found, head) = (block.parent_hash, self.head.hash);
            return Err(ChainError::Parent { number, found, head });
        }
        Ok(Head { number, hash })
    }

    /// Waits until all executed blocks are durable, and returns the last of them.
    ///
    /// # Errors
    /// The writer failed.
    pub fn flush(&self) -> Result<Head, ChainError> {
        self.writer.flush()
    }

    /// Unwinds the last `blocks` blocks like [`unwind`](crate::unwind), and returns the new last
    /// block. Handles from [`state`](Self::state) still read the state before.
    ///
    /// # Errors
    /// As for [`flush`](Self::flush) and [`unwind`](crate::unwind).
    pub fn unwind(&mut self, blocks: u64) -> Result<Head, ChainError> {
        let threads = self.root_threads;
        self.rewrite(|store| unwind(store, blocks, threads))
    }

    /// Changes the account at `address` in the state after the last block, without a block. For
    /// development chains: no transaction explains the change, which the state root of a later
    /// header includes. Unwinding the last block does not undo
    /// it, [`undo_edit`](Self::undo_edit) does.
    ///
    /// # Errors
    /// As for [`flush`](Self::flush), or the store failed.
    pub fn edit(&mut self, address: Address, change: &AccountEdit) -> Result<Edited, ChainError> {
        let threads = self.root_threads;
        self.rewrite(|store| edit::edit(store, address, change, threads))
    }

    /// Undoes the last [`edit`](Self::edit). The last block must be the same as then.
    ///
    /// # Errors
    /// As for [`flush`](Self::flush), or the store failed.
    pub fn undo_edit(&mut self, edited: Edited) -> Result<(), ChainError> {
        self.rewrite(|store| edited.undo(store))
    }

    /// Lets `rewrite` change the store while the writer is idle, and continues after the block that
    /// the store then ends with, even if `rewrite` failed halfway.
    fn rewrite<T>(
        &mut self,
        rewrite: impl FnOnce(&S) -> Result<T, StoreError>,
    ) -> Result<T, ChainError> {
        self.flush()?;
        let rewritten = rewrite(&*self.store);
        self.head = open(&*self.store)?.head();
        self.writer.rebase(self.head);
        Ok(rewritten?)
    }
}
