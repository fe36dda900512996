//! Blocks one after the other.

use crate::{
    ChainError, DurableHead, ExecutedBlock, Expected, Head, Keep, LayeredState, StateReader,
    StateStore, open, writer::Writer,
};
use alloy_primitives::{B256, Bytes};
use braid_evm::{
    AccessList, Block, BlockOutput, BuiltBlock, Config, Executor, Mode, TransactionPool,
};
use std::{mem, sync::Arc};

/// Choices of a chain.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ChainConfig {
    /// Choices of the executor.
    pub executor: Config,
    /// What the store keeps beside the state.
    pub keep: Keep,
}

/// A block that is to be executed.
#[derive(Clone, Debug, Default)]
pub struct ChainBlock {
    /// The block.
    pub block: Block,
    /// Its hash.
    pub hash: B256,
    /// What its header says of the execution.
    pub expected: Expected,
    /// Its header in RLP, which the store keeps as long as the block is the last one, for
    /// [`export`](crate::export). Empty if it is not known.
    pub header: Bytes,
}

/// A block that was built: its hash, and the block in RLP for a chain that
/// [keeps](Keep::rlp_blocks) blocks.
#[derive(Clone, Debug, Default)]
pub struct Sealed {
    /// Its hash.
    pub hash: B256,
    /// Header and transactions; empty if the block is not to be kept.
    pub rlp: Bytes,
    /// The header alone in RLP, as [`ChainBlock::header`]. It may be empty where `rlp` is kept.
    pub header: Bytes,
}

impl From<B256> for Sealed {
    fn from(hash: B256) -> Self {
        Self { hash, ..Self::default() }
    }
}

/// What executing a block gave.
#[derive(Clone, Debug)]
pub struct Executed {
    /// Outcomes, receipts, requests and gas. The bundle has moved to [`changes`](Self::changes).
    pub output: BlockOutput,
    /// The block with its state changes, which the writer shares.
    pub changes: Arc<ExecutedBlock>,
}

/// What building a block gave.
#[derive(Clone, Debug)]
pub struct Built {
    /// The block with all transactions that the pool handed out; its outcomes tell which are in it.
    pub block: Arc<Block>,
    /// Outcomes, receipts, requests and gas. The bundle has moved to [`changes`](Self::changes).
    pub output: BlockOutput,
    /// The block with its state changes, which the writer shares.
    pub changes: Arc<ExecutedBlock>,
}

/// A chain: executes blocks on the last one's state, while one thread writes to the store.
///
/// Each block executes on the store plus at most two blocks that are not yet durable. Dropping the
/// chain waits until all of them are durable.
pub struct Chain<S: StateStore> {
    store: Arc<S>,
    executor: Executor,
    writer: Writer,
    head: Head,
    keeps_receipts: bool,
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

    /// Opens the chain in `store` with an executor of the caller's, for example one with
    /// [precompiles](Executor::with_precompiles) beside Ethereum's. Starts the writer.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(store: S, executor: Executor, keep: Keep) -> Result<Self, ChainError> {
        let store = Arc::new(store);
        let head = open(&*store)?.head();
        let writer = Writer::start(Arc::clone(&store), head, keep);
        let writer = writer.map_err(ChainError::Thread)?;
        let keeps_receipts = keep.receipt_blocks > 0;
        Ok(Self { store, executor, writer, head, keeps_receipts })
    }

    /// The last executed block. It may not be durable yet.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// The last durable block: reopening the store finds this one or a later one.
    #[must_use]
    pub fn durable(&self) -> Head {
        self.writer.durable()
    }

    /// Tells other threads what [`durable`](Self::durable) is.
    #[must_use]
    pub fn durable_head(&self) -> DurableHead {
        self.writer.durable_head()
    }

    /// The state after the last executed block.
    ///
    /// # Errors
    /// The store failed.
    pub fn state(&self) -> Result<LayeredState<S::Snapshot>, ChainError> {
        // In this order: what is written between the two is in both.
        let layers = self.writer.pending();
        let reader = StateReader::new(self.store.snapshot()?)?;
        Ok(LayeredState::new(layers, reader))
    }

    /// Executes a block and hands its changes to the writer. Waits while two blocks are ahead of the
    /// durable one. A block that fails leaves the chain as it was.
    ///
    /// # Errors
    /// The block does not follow the head, is invalid, or is not what its header says; the store
    /// failed for this block or an earlier one, or an earlier one has another state root.
    ///
    /// # Panics
    /// As `BlockRequest::execute` of braid-evm: with the payload of a panic in a precompile.
    pub fn execute(&mut self, block: impl Into<ChainBlock>) -> Result<Executed, ChainError> {
        let ChainBlock { block, hash, expected, header } = block.into();
        self.writer.check()?;
        let head = self.follows(&block, hash)?;
        let state = self.state().map_err(|error| error.before(head.number))?;
        let block = Arc::new(block);
        // It is cancelled if the block fails.
        let list = self.list_ahead(&block);
        let trie_task = list.and_then(|list| self.writer.start_trie_task(&self.store, list));
        let output = self.executor.block(Arc::clone(&block)).state(state).execute();
        let mut output = output.map_err(|error| ChainError::of_block(&block, error))?;
        expected.check(head.number, &output)?;
        if let Some(trie_task) = trie_task {
            self.writer.go_on_with(trie_task);
        }
        let changes =
            ExecutedBlock { header, ..self.changes(head, &mut output, expected.state_root) };
        let changes = self.write(changes)?;
        Ok(Executed { output, changes })
    }

    /// The access list from which trie work can be done beside the execution of `block`: execution
    /// compares it, it is no longer than the block's gas allows, and no block is still to be written.
    fn list_ahead<'b>(&self, block: &'b Block) -> Option<&'b Arc<AccessList>> {
        let is_compared = self.executor.config().mode == Mode::Validate;
        let list = block.access_list.as_ref().filter(|_| is_compared)?;
        if !self.writer.has_written_all() {
            return None;
        }
        list.validate_gas_limit(block.env.gas_limit).ok()?;
        list.validate_structure(block.transactions.len()).ok()?;
        Some(list)
    }

    /// Builds the next block from transactions that `pool` hands out, and hands its changes to the
    /// writer, as [`execute`](Self::execute) does. `template` is the block without its transactions
    /// (`BlockRequest::build` of braid-evm). `seal` is given the executed block and returns its hash, or a
    /// [`Sealed`] block that the store keeps. The hash cannot
    /// commit to the state root, which is not known then: the writer computes it afterwards, if the
    /// chain has state roots.
    ///
    /// # Errors
    /// As [`execute`](Self::execute); invalid transactions are left out.
    ///
    /// # Panics
    /// As [`execute`](Self::execute), or with the payload of `pool` or `seal`.
    pub fn build<T: Into<Sealed>>(
        &mut self,
        template: Block,
        pool: &mut impl TransactionPool,
        seal: impl FnOnce(&BuiltBlock) -> T,
    ) -> Result<Built, ChainError> {
        self.writer.check()?;
        let mut head = self.follows(&template, B256::ZERO)?;
        let state = self.state().map_err(|error| error.before(head.number))?;
        let built = self.executor.block(template).state(state).build(pool);
        let mut built = built.map_err(|error| ChainError::block(head.number, error))?;
        let Sealed { hash, rlp, header } = seal(&built).into();
        head.hash = hash;
        let changes = ExecutedBlock { rlp, header, ..self.changes(head, &mut built.output, None) };
        let changes = self.write(changes)?;
        Ok(Built { block: built.block, output: built.output, changes })
    }

    /// Hands over the changes of a block that was executed elsewhere, on [`state`](Self::state).
    /// Waits while two blocks are ahead of the durable one.
    ///
    /// # Errors
    /// The block's number does not follow the head's; the store failed for an earlier block, or one
    /// has another state root.
    pub fn append(&mut self, executed: ExecutedBlock) -> Result<(), ChainError> {
        let (number, head) = (executed.head.number, self.head.number);
        if head.checked_add(1) != Some(number) {
            return Err(ChainError::Number { number, head });
        }
        self.write(executed).map(drop)
    }

    /// What the writer gets of `output`.
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

    /// Waits until all executed blocks are durable, and returns the last one.
    ///
    /// # Errors
    /// The writer has failed.
    pub fn flush(&self) -> Result<Head, ChainError> {
        self.writer.flush()
    }
}
