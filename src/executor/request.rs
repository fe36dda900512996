//! A block, and what goes with it.

use super::Executor;
use crate::evm::{
    AnySource, Block, BlockError, BlockOutput, BuiltBlock, CancellationToken, Cloned, Committed,
    StateSource, TransactionPool,
};
use core::fmt;
use core::ops::ControlFlow;
use revm::DatabaseRef;
use revm::database::BundleState;
use std::sync::Arc;

/// A block that is to be executed or built: see [`Executor::block`]. `S` is the state before it.
#[must_use = "nothing runs before `execute` or `build`"]
pub struct BlockRequest<'r, S> {
    executor: &'r mut Executor,
    block: Arc<Block>,
    state: S,
    parent: Option<BundleState>,
    on_commit: Option<Box<dyn FnMut(Committed) -> ControlFlow<()> + 'r>>,
    cancel: Option<CancellationToken>,
}

/// A [`BlockRequest`] has no state yet.
#[derive(Clone, Copy, Debug)]
pub struct NoState;

impl<S: fmt::Debug> fmt::Debug for BlockRequest<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockRequest")
            .field("transactions", &self.block.transactions.len())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Executor {
    /// Asks for `block`: what goes with it is added, and [`execute`](BlockRequest::execute) or
    /// [`build`](BlockRequest::build) runs it.
    ///
    /// ```
    /// # use braid_evm::{Block, CancellationToken, ChainRules, Config, Executor};
    /// # use revm::database::{BundleState, CacheDB, EmptyDB};
    /// # use std::ops::ControlFlow;
    /// # let rules = ChainRules { system_calls: false, ..ChainRules::default() };
    /// # let block = Block { rules, ..Block::default() };
    /// # let (database, parent) = (CacheDB::new(EmptyDB::new()), BundleState::default());
    /// let mut executor = Executor::new(Config::default())?;
    /// let token = CancellationToken::new();
    /// let request = executor.block(block).database(database).parent(parent).cancel(token);
    /// let output = request.on_commit(|_| ControlFlow::Continue(())).execute()?;
    /// # assert_eq!(output.gas_used, 0);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn block(&mut self, block: impl Into<Arc<Block>>) -> BlockRequest<'_, NoState> {
        let (parent, on_commit, cancel) = Default::default();
        let block = block.into();
        BlockRequest { executor: self, block, state: NoState, parent, on_commit, cancel }
    }
}

impl<'r> BlockRequest<'r, NoState> {
    /// The state before the block; each worker opens a handle of it.
    pub fn state<S: StateSource + 'static>(self, source: S) -> BlockRequest<'r, S> {
        let Self { executor, block, state: NoState, parent, on_commit, cancel } = self;
        BlockRequest { executor, block, state: source, parent, on_commit, cancel }
    }

    /// The state before the block, as a database that is cloned for each worker.
    pub fn database<D>(self, database: D) -> BlockRequest<'r, Cloned<D>>
    where
        D: DatabaseRef + Clone + Send + Sync + 'static,
    {
        self.state(Cloned(database))
    }
}

impl<'r, S> BlockRequest<'r, S> {
    /// The bundle of blocks before this one that the state does not have yet. The output's bundle
    /// is `parent` continued.
    pub fn parent(mut self, parent: BundleState) -> Self {
        self.parent = Some(parent);
        self
    }

    /// Hands each transaction's outcome to `on_commit` as soon as it is committed, in order, on the
    /// calling thread, with no lock held, while later ones still run. [`ControlFlow::Break`] ends
    /// the block with [`Cancelled`](crate::BlockErrorKind::Cancelled): what has run by then is
    /// committed, and `on_commit` does not hear of it.
    ///
    /// A block that is rejected later has already streamed what was committed before. Private
    /// batches keep the changes of each transaction apart then, and so gain less.
    pub fn on_commit(mut self, on_commit: impl FnMut(Committed) -> ControlFlow<()> + 'r) -> Self {
        self.on_commit = Some(Box::new(on_commit));
        self
    }

    /// Lets `token` end the block from any thread. Each worker ends the transaction that it runs,
    /// and begins no other one. Results that are there by then are committed, up to the first
    /// transaction without one.
    ///
    /// [`execute`](Self::execute) ends with [`Cancelled`](crate::BlockErrorKind::Cancelled) and the
    /// committed prefix then, unless all transactions were committed.
    /// [`build`](Self::build) ends with the block of the transactions that were committed:
    /// post-block calls are made, so it is whole.
    pub fn cancel(mut self, token: CancellationToken) -> Self {
        self.cancel = Some(token);
        self
    }
}

impl<S: StateSource + 'static> BlockRequest<'_, S> {
    /// Executes the block.
    ///
    /// # Errors
    /// [`BlockError`], with what was committed before: the database failed, (in validate mode) a
    /// transaction is invalid, or the block was cancelled. It names the transaction that sequential
    /// execution would name.
    ///
    /// # Panics
    /// With the payload of a panic in the database or a precompile that recurs on the real state,
    /// or of `on_commit`. The executor stays usable.
    pub fn execute(self) -> Result<BlockOutput, BlockError<<S::State as DatabaseRef>::Error>> {
        let Self { executor, block, state, parent, mut on_commit, cancel } = self;
        let on_commit = on_commit.as_mut().map(|on_commit| &mut **on_commit as _);
        let around = (parent.map(Arc::new), on_commit, cancel);
        executor.run(block, AnySource::new(state), around).map_err(BlockError::typed)
    }

    /// Builds a block from transactions that `pool` hands out while the block fills. Invalid ones
    /// are left out, whatever the configured mode. The block that was asked for is the one without,
    /// or with the first of, its transactions.
    ///
    /// The result depends on the pool and the state, not on the number of workers; with a token
    /// also on when it was cancelled.
    ///
    /// # Errors
    /// As [`execute`](Self::execute), but for the token, which is no error here.
    ///
    /// # Panics
    /// As [`execute`](Self::execute).
    pub fn build(
        self,
        pool: &mut impl TransactionPool,
    ) -> Result<BuiltBlock, BlockError<<S::State as DatabaseRef>::Error>> {
        let Self { executor, block, state, parent, mut on_commit, cancel } = self;
        let on_commit = on_commit.as_mut().map(|on_commit| &mut **on_commit as _);
        let around = (parent.map(Arc::new), on_commit, cancel);
        let block = Arc::unwrap_or_clone(block);
        executor.run_build(block, AnySource::new(state), pool, around).map_err(BlockError::typed)
    }
}
