//! Replays a single transaction of an executed block with an inspector.
//!
//! With [`Config::keep_changes`] set, the changes of each transaction are kept as it commits. The
//! state a transaction read consists of the state before the block, the changes of the pre-block
//! calls, and the changes of the transactions below it. A replay rebuilds that state and runs the
//! transaction on it with plain revm.
//!
//! [`Config::keep_changes`]: crate::Config::keep_changes

use super::commit::Codes;
use super::committed::{Committed, OnCommit};
use super::replay_evm::{ReplayBase, ReplayContext, ReplayHandler};
use crate::evm::exec::any::AnySource;
use crate::evm::exec::base::{BlockBase, DbError, Overlay, StateSource};
use crate::evm::exec::block_context::BlockContext;
use crate::evm::exec::extensions::Extensions;
use crate::evm::exec::input::Block;
use crate::evm::exec::precompile::BlockPrecompiles;
use crate::evm::exec::rejection::Rejection;
use crate::ids::{TxIndex, WorkerId};
use core::cell::RefCell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::ControlFlow;
use revm::context::result::{EVMError, ExecutionResult, InvalidTransaction};
use revm::context::{Context, ContextTr, Evm, JournalTr};
use revm::database::State;
use revm::database_interface::ErasedError;
use revm::database_interface::bal::EvmDatabaseError;
use revm::handler::{MainBuilder, MainContext};
use revm::inspector::InspectorHandler;
use revm::interpreter::interpreter::EthInterpreter;
use revm::state::EvmState;
use revm::{Database, DatabaseCommit, Inspector};
use std::sync::Arc;

/// Data of an executed block for replaying its transactions.
#[derive(Clone)]
pub(in crate::evm) struct Replay {
    block: Arc<Block>,
    extensions: Extensions,
    /// The parent's bundle and the changes of the pre-block calls.
    overlay: Arc<Overlay>,
    committed: Vec<Committed>,
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.committed.len();
        f.debug_struct("Replay").field("transactions", &kept).finish_non_exhaustive()
    }
}

/// A replayed transaction.
#[derive(Debug)]
#[non_exhaustive]
pub struct Replayed<'s, I> {
    /// Same result as in the block, unless the inspector interfered. A transaction that halted in
    /// the block for an undeclared access (`BlockOutput::undeclared`) continues here.
    pub result: ExecutionResult,
    /// Accounts and slots that the transaction loaded, with its changes; not committed anywhere.
    pub state: EvmState,
    /// The state before the transaction.
    pub before: State<ReplayBase<'s>>,
    /// The inspector, with what it recorded.
    pub inspector: I,
}

/// Why a transaction cannot be replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError<E> {
    /// Nothing was kept: `Config::keep_changes` was not set, or the caller's own EVM ran the
    /// block.
    #[error(
        "nothing was kept of the block: set `Config::keep_changes` and execute it again, not with \
         an EVM of your own"
    )]
    NotKept,
    /// The block ended before this transaction, or has no such transaction.
    #[error(
        "transaction {tx} cannot run again: {known} transactions of the block are committed; \
         choose one of these, or the one after them"
    )]
    Unknown {
        /// The requested transaction.
        tx: TxIndex,
        /// Number of transactions that were committed or skipped.
        known: usize,
    },
    /// The transaction is not in the block that was built.
    #[error("transaction {tx} was left out of the block, choose another one: {reason}")]
    Skipped {
        /// The requested transaction.
        tx: TxIndex,
        /// Why it was skipped.
        reason: Rejection,
    },
    /// The transaction is invalid, and so is its block.
    #[error("transaction {tx} is invalid: {reason}")]
    Invalid {
        /// The requested transaction.
        tx: TxIndex,
        /// Why it is invalid.
        reason: InvalidTransaction,
    },
    /// The state before the block could not be read.
    #[error("the database failed: {0}; once it can be read, replay again")]
    Base(E),
    /// A precompile failed, or the block's environment is invalid.
    #[error("transaction {tx} cannot run again: {message}; correct the block or the precompile")]
    Failed {
        /// The requested transaction.
        tx: TxIndex,
        /// Message of the failure.
        message: String,
    },
}

impl<E> ReplayError<E> {
    fn map<F>(self, base: impl FnOnce(E) -> F) -> ReplayError<F> {
        match self {
            Self::NotKept => ReplayError::NotKept,
            Self::Unknown { tx, known } => ReplayError::Unknown { tx, known },
            Self::Skipped { tx, reason } => ReplayError::Skipped { tx, reason },
            Self::Invalid { tx, reason } => ReplayError::Invalid { tx, reason },
            Self::Base(error) => ReplayError::Base(base(error)),
            Self::Failed { tx, message } => ReplayError::Failed { tx, message },
        }
    }
}

impl ReplayError<ErasedError> {
    /// Converts the error into the database's own error type.
    pub(super) fn typed<E: core::error::Error + Send + Sync + 'static>(self) -> ReplayError<E> {
        self.map(|error| match error.into_inner().downcast() {
            Ok(error) => *error,
            Err(_) => unreachable!("a replay reads from one source"),
        })
    }
}

impl Replay {
    /// See [`BlockOutput::replay`](crate::BlockOutput::replay).
    pub(super) fn inspect<'s, S, I>(
        &self,
        tx: TxIndex,
        source: S,
        inspector: I,
    ) -> Result<Replayed<'s, I>, ReplayError<DbError<S>>>
    where
        S: StateSource + 's,
        I: Inspector<ReplayContext<'s>, EthInterpreter>,
        DbError<S>: core::error::Error + Send + Sync + 'static,
    {
        let replayed = self.run(tx, &AnySource::new(source), inspector);
        replayed.map_err(ReplayError::typed)
    }

    fn run<'s, I>(
        &self,
        tx: TxIndex,
        source: &AnySource<'s>,
        inspector: I,
    ) -> Result<Replayed<'s, I>, ReplayError<ErasedError>>
    where
        I: Inspector<ReplayContext<'s>, EthInterpreter>,
    {
        let known = self.committed.len();
        if tx.position() > known || tx.position() >= self.block.transactions.len() {
            return Err(ReplayError::Unknown { tx, known });
        }
        if let Some(reason) = self.rejection(tx) {
            return Err(ReplayError::Skipped { tx, reason: reason.clone() });
        }
        let mut before = self.first_state(source)?;
        let mut codes = Codes::default();
        for earlier in (0..tx.0).map(TxIndex) {
            self.apply(earlier, &mut before, &mut codes).map_err(|error| failed(tx, error))?;
        }
        let (before, ran) = self.run_on(tx, before, inspector);
        let ReplayRun { result, state, inspector } = ran?;
        Ok(Replayed { result, state, before, inspector })
    }

    /// Number of transactions whose outcome is known.
    pub(super) fn known(&self) -> usize {
        self.committed.len()
    }

    /// Why `tx` was skipped, or `None`.
    pub(super) fn rejection(&self, tx: TxIndex) -> Option<&Rejection> {
        self.committed.get(tx.position()).and_then(Committed::rejection)
    }

    /// The state before the first transaction.
    pub(super) fn first_state<'s>(
        &self,
        source: &AnySource<'s>,
    ) -> Result<State<ReplayBase<'s>>, ReplayError<ErasedError>> {
        let state = source.open(WorkerId(0)).map_err(ReplayError::Base)?;
        let base = BlockBase::new(state, Arc::clone(&self.overlay));
        Ok(State::builder().with_database(ReplayBase(RefCell::new(base))).build())
    }

    /// Runs `tx` on `before`, the state before it, and returns that state with the result.
    pub(super) fn run_on<'s, I>(
        &self,
        tx: TxIndex,
        before: State<ReplayBase<'s>>,
        inspector: I,
    ) -> (State<ReplayBase<'s>>, Result<ReplayRun<I>, ReplayError<ErasedError>>)
    where
        I: Inspector<ReplayContext<'s>, EthInterpreter>,
    {
        let Block { cfg, env, transactions, .. } = &*self.block;
        let own = Arc::clone(&self.extensions.precompiles);
        let context: ReplayContext<'s> = Context::mainnet().with_db(before);
        let mut evm = context
            .with_block(env.clone())
            .with_cfg(cfg.clone())
            .with_tx(transactions.get(tx.position()).cloned().unwrap_or_default())
            .build_mainnet_with_inspector(inspector)
            .with_precompiles(BlockPrecompiles::new(cfg.spec, own));
        let mut handler = ReplayHandler { extensions: &self.extensions, marker: PhantomData };
        let ran = handler.inspect_run(&mut evm);
        let state = evm.ctx.journal_mut().finalize();
        let Evm { ctx, inspector, .. } = evm;
        let ran =
            ran.map(|result| ReplayRun { result, state, inspector }).map_err(|error| match error {
                EVMError::Database(error) => failed(tx, error),
                EVMError::Transaction(reason) => ReplayError::Invalid { tx, reason },
                other => ReplayError::Failed { tx, message: other.to_string() },
            });
        (ctx.journaled_state.database, ran)
    }

    /// Applies the changes of `tx` to `state`. Does nothing if `tx` has not committed.
    pub(super) fn apply(
        &self,
        tx: TxIndex,
        state: &mut State<ReplayBase<'_>>,
        codes: &mut Codes,
    ) -> Result<(), EvmDatabaseError<ErasedError>> {
        let Some(committed) = self.committed.get(tx.position()) else { return Ok(()) };
        let mut changes = if mutant!(ReplayWithoutCredits) {
            committed.state_without_fees()
        } else {
            committed.state(|address| state.basic(address))?
        };
        codes.complete_all(&mut changes, committed.changes(), |address| state.basic(address))?;
        state.commit(changes);
        Ok(())
    }
}

/// Result of a replay, without the state before the transaction.
pub(super) struct ReplayRun<I> {
    pub(super) result: ExecutionResult,
    pub(super) state: EvmState,
    pub(super) inspector: I,
}

/// Converts an error of the state before the block.
pub(super) fn failed(
    tx: TxIndex,
    error: EvmDatabaseError<ErasedError>,
) -> ReplayError<ErasedError> {
    match error {
        EvmDatabaseError::Database(error) => ReplayError::Base(error),
        EvmDatabaseError::Bal(error) => ReplayError::Failed { tx, message: error.to_string() },
    }
}

/// Records commits for replays, and whether the caller has ended its stream.
pub(in crate::evm) struct CommitRecorder {
    kept: Option<Vec<Committed>>,
    has_ended: bool,
}

impl CommitRecorder {
    /// Creates a recorder that keeps the commits if `keeps` is set.
    pub(in crate::evm) fn new(keeps: bool) -> Self {
        Self { kept: keeps.then(Vec::new), has_ended: false }
    }

    /// Calls `transactions` with a callback that records each commit and passes it to `on_commit`.
    pub(in crate::evm) fn record<R>(
        &mut self,
        on_commit: Option<OnCommit<'_>>,
        transactions: impl FnOnce(Option<OnCommit<'_>>) -> R,
    ) -> R {
        let Self { kept, has_ended } = self;
        if kept.is_none() && on_commit.is_none() {
            return transactions(None);
        }
        let mut on_commit = on_commit;
        transactions(Some(&mut |committed: Committed| {
            if let Some(kept) = kept {
                kept.push(committed.clone());
            }
            if *has_ended {
                // Transactions that have already run still commit, but are no longer passed to the
                // caller.
                return ControlFlow::Break(());
            }
            let flow = on_commit.as_mut().map(|on_commit| on_commit(committed));
            *has_ended = flow == Some(ControlFlow::Break(()));
            flow.unwrap_or(ControlFlow::Continue(()))
        }))
    }

    /// Whether the caller has ended its stream.
    pub(in crate::evm) const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Returns the data for replays, if commits were kept and no custom EVM ran the block.
    pub(in crate::evm) fn end(
        self,
        block_context: &BlockContext,
        overlay: &Arc<Overlay>,
    ) -> Option<Replay> {
        let committed = self.kept.filter(|_| !block_context.extensions.has_custom_evm())?;
        Some(Replay {
            block: Arc::clone(&block_context.block),
            extensions: block_context.extensions.clone(),
            overlay: Arc::clone(overlay),
            committed,
        })
    }
}
