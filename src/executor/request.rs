//! A block to execute or build, with its state and options.

use super::{Executor, RequestParts};
use crate::evm::{
    AnySource, Block, BlockError, BlockOutput, BuiltBlock, CancellationToken, Cloned, Committed,
    StateSource, TransactionPool,
};
use core::fmt;
use core::num::NonZeroU16;
use core::ops::ControlFlow;
use revm::DatabaseRef;
use revm::database::BundleState;
use std::sync::Arc;

/// A block to be executed or built: see [`Executor::block`]. `S` is the source of the state before
/// the block.
#[must_use = "nothing runs before `execute` or `build`"]
pub struct BlockRequest<'r, S> {
    executor: &'r mut Executor,
    block: Arc<Block>,
    state: S,
    parent: Option<BundleState>,
    on_commit: Option<Box<dyn FnMut(Committed) -> ControlFlow<()> + 'r>>,
    cancel: Option<CancellationToken>,
    max_workers: usize,
}

/// State parameter of a [`BlockRequest`] that has no state source yet.
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
    /// Starts a request for `block`. Add the state and options, then run it with
    /// [`execute`](BlockRequest::execute) or [`build`](BlockRequest::build).
    ///
    /// ```
    /// # use braid_evm::{Block, CancellationToken, ChainRules, Config, Executor};
    /// # use revm::database::{BundleState, CacheDB, EmptyDB};
    /// # use std::ops::ControlFlow;
    /// # let rules = ChainRules { system_calls: false, ..ChainRules::default() };
    /// # let block = Block { rules, ..Block::default() };
    /// # let database = CacheDB::new(EmptyDB::new());
    /// # let parent = BundleState::default();
    /// let mut executor = Executor::new(Config::default())?;
    /// let token = CancellationToken::new();
    /// let request = executor.block(block).database(database).parent(parent).cancel(token);
    /// let output = request.on_commit(|_| ControlFlow::Continue(())).execute()?;
    /// # assert_eq!(output.gas_used, 0);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn block(&mut self, block: impl Into<Arc<Block>>) -> BlockRequest<'_, NoState> {
        BlockRequest {
            executor: self,
            block: block.into(),
            state: NoState,
            parent: None,
            on_commit: None,
            cancel: None,
            max_workers: usize::MAX,
        }
    }
}

impl<'r> BlockRequest<'r, NoState> {
    /// Sets the state before the block; each worker opens its own handle of `source`.
    pub fn state<S: StateSource + 'static>(self, source: S) -> BlockRequest<'r, S> {
        let Self { executor, block, state: NoState, parent, on_commit, cancel, max_workers } = self;
        BlockRequest { executor, block, state: source, parent, on_commit, cancel, max_workers }
    }

    /// Sets the state before the block to a database, which is cloned for each worker.
    pub fn database<D>(self, database: D) -> BlockRequest<'r, Cloned<D>>
    where
        D: DatabaseRef + Clone + Send + Sync + 'static,
    {
        self.state(Cloned(database))
    }
}

impl<'r, S> BlockRequest<'r, S> {
    /// Sets the bundle of preceding blocks whose changes the state does not contain yet. The
    /// output's bundle continues `parent`.
    pub fn parent(mut self, parent: BundleState) -> Self {
        self.parent = Some(parent);
        self
    }

    /// Calls `on_commit` with each transaction's outcome as soon as the transaction commits: in
    /// block order, on the calling thread, with no lock held, while later transactions still run.
    /// [`ControlFlow::Break`] ends the block with [`Cancelled`](crate::BlockErrorKind::Cancelled);
    /// transactions that have run by then are committed without a call to `on_commit`.
    ///
    /// If the block is rejected later, the commits before the rejection have already been streamed.
    /// With a callback, private batches keep the changes of each transaction separate, which makes
    /// them slower.
    pub fn on_commit(mut self, on_commit: impl FnMut(Committed) -> ControlFlow<()> + 'r) -> Self {
        self.on_commit = Some(Box::new(on_commit));
        self
    }

    /// Lets `token` end the block from any thread. Each worker finishes its current transaction and
    /// starts no other. Results that are complete by then are committed, up to the first
    /// transaction without one.
    ///
    /// After a cancellation, [`execute`](Self::execute) fails with
    /// [`Cancelled`](crate::BlockErrorKind::Cancelled) and the committed prefix, unless all
    /// transactions were committed. [`build`](Self::build) returns a complete block of the
    /// committed transactions, including the post-block calls.
    pub fn cancel(mut self, token: CancellationToken) -> Self {
        self.cancel = Some(token);
        self
    }

    /// Uses at most this many workers, including the calling thread, so that other work keeps its
    /// cores. The result does not depend on it.
    pub fn most_workers(mut self, workers: NonZeroU16) -> Self {
        self.max_workers = workers.get().into();
        self
    }
}

impl<S: StateSource + 'static> BlockRequest<'_, S> {
    /// Executes the block.
    ///
    /// # Errors
    /// Returns a [`BlockError`], with the committed prefix, if the database fails, if a transaction
    /// is invalid, or if the block is cancelled. The error names the same transaction as in
    /// sequential execution.
    ///
    /// # Panics
    /// Panics with the payload of a panic in `on_commit`, or of a panic in the database or in a
    /// precompile that recurs on the committed state. The executor stays usable.
    pub fn execute(self) -> Result<BlockOutput, BlockError<<S::State as DatabaseRef>::Error>> {
        let Self { executor, block, state, parent, mut on_commit, cancel, max_workers } = self;
        let on_commit = on_commit.as_mut().map(|on_commit| &mut **on_commit as _);
        let parts = RequestParts { parent: parent.map(Arc::new), on_commit, cancel, max_workers };
        executor.run(block, AnySource::new(state), parts).map_err(BlockError::typed)
    }

    /// Builds a block from the transactions in the requested block, then from transactions of
    /// `pool` while the block has room. Invalid transactions are skipped. The pool `()` is empty.
    ///
    /// The result depends on the pool, the state and the time of a cancellation, but not on the
    /// number of workers.
    ///
    /// # Errors
    /// As [`execute`](Self::execute), except that a cancellation is not an error.
    ///
    /// # Panics
    /// As [`execute`](Self::execute).
    pub fn build(
        self,
        pool: &mut impl TransactionPool,
    ) -> Result<BuiltBlock, BlockError<<S::State as DatabaseRef>::Error>> {
        let Self { executor, block, state, parent, mut on_commit, cancel, max_workers } = self;
        let on_commit = on_commit.as_mut().map(|on_commit| &mut **on_commit as _);
        let parts = RequestParts { parent: parent.map(Arc::new), on_commit, cancel, max_workers };
        let block = Arc::unwrap_or_clone(block);
        executor.run_build(block, AnySource::new(state), pool, parts).map_err(BlockError::typed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Forced, Policy};
    use crate::evm::ChainRules;
    use alloy_primitives::{Address, TxKind};
    use revm::context::TxEnv;
    use revm::database::{CacheDB, EmptyDB};

    #[test]
    fn a_block_uses_no_more_workers_than_it_may() {
        let pay = |number: u64| TxEnv {
            caller: Address::left_padding_from(&(number + 1_000).to_be_bytes()),
            kind: TxKind::Call(Address::ZERO),
            gas_limit: 21_000,
            chain_id: Some(1),
            ..TxEnv::default()
        };
        let rules = ChainRules { system_calls: false, ..ChainRules::default() };
        let transactions = (0..200).map(pay).collect();
        let block = Arc::new(Block { transactions, rules, ..Block::default() });
        let workers = |count| NonZeroU16::new(count).expect("not zero");
        let policy = Policy::Forced(Forced::Speculative);
        let mut executor =
            Executor::new(Config { policy, ..Config::with_workers(workers(4)) }).expect("threads");
        let mut run = |max_workers: Option<u16>| {
            let request = executor.block(Arc::clone(&block));
            let request = request.database(CacheDB::new(EmptyDB::new()));
            let request = match max_workers {
                Some(max_workers) => request.most_workers(workers(max_workers)),
                None => request,
            };
            request.execute().expect("a valid block")
        };
        let whole = run(None);
        assert_eq!(whole.stats.workers, 4);
        for max_workers in [1, 2, 3, 9] {
            let output = run(Some(max_workers));
            assert_eq!(output.stats.workers, u64::from(max_workers.min(4)));
            assert_eq!((&output.receipts, &output.bundle), (&whole.receipts, &whole.bundle));
        }
    }
}
