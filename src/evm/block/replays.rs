//! Replays all transactions of an executed block in block order, with inspectors.

use super::commit::Codes;
use super::replay::{Replay, ReplayError, ReplayRun, failed};
use super::replay_evm::{ReplayBase, ReplayContext};
use crate::evm::exec::any::AnySource;
use crate::ids::TxIndex;
use core::fmt;
use core::marker::PhantomData;
use revm::Inspector;
use revm::context::result::ExecutionResult;
use revm::database::State;
use revm::database_interface::ErasedError;
use revm::interpreter::interpreter::EthInterpreter;
use revm::state::EvmState;

/// Replays the committed transactions of a block sequentially: see
/// [`BlockOutput::replays`](crate::BlockOutput::replays). `E` is the database's error type.
pub struct Replays<'o, 's, E> {
    replay: &'o Replay,
    /// The state before `next`; `None` after an inspector panicked.
    before: Option<State<ReplayBase<'s>>>,
    codes: Codes,
    /// The transaction to replay next, unless it was skipped.
    next: TxIndex,
    /// Transactions below this one are applied to `before`.
    applied: TxIndex,
    error: PhantomData<fn() -> E>,
}

impl<E> fmt::Debug for Replays<'_, '_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replays").field("next", &self.next).finish_non_exhaustive()
    }
}

/// A transaction replayed by [`Replays`].
#[derive(Debug)]
#[non_exhaustive]
pub struct ReplayedNext<'r, 's, I> {
    /// The transaction's index in the block.
    pub tx: TxIndex,
    /// Result of the execution: see [`Replayed::result`](crate::Replayed::result).
    pub result: ExecutionResult,
    /// Accounts and slots that the transaction loaded, with its changes; not committed anywhere.
    pub state: EvmState,
    /// The state before the transaction.
    pub before: &'r mut State<ReplayBase<'s>>,
    /// The inspector, with what it recorded.
    pub inspector: I,
}

impl<'o, 's, E: core::error::Error + Send + Sync + 'static> Replays<'o, 's, E> {
    pub(super) fn new(replay: &'o Replay, source: &AnySource<'s>) -> Result<Self, ReplayError<E>> {
        let before = replay.first_state(source).map_err(ReplayError::typed)?;
        Ok(Self {
            replay,
            before: Some(before),
            codes: Codes::default(),
            next: TxIndex(0),
            applied: TxIndex(0),
            error: PhantomData,
        })
    }

    /// Replays the next executed transaction; returns `None` after the last committed one.
    ///
    /// # Errors
    /// Returns a [`ReplayError`]. The next call continues with the following transaction; after a
    /// database error it retries the same one.
    pub fn replay_next<I>(
        &mut self,
        inspector: I,
    ) -> Option<Result<ReplayedNext<'_, 's, I>, ReplayError<E>>>
    where
        I: Inspector<ReplayContext<'s>, EthInterpreter>,
    {
        while self.replay.rejection(self.next).is_some() {
            self.next = self.next.next();
        }
        if self.next.position() >= self.replay.known() {
            return None;
        }
        let tx = self.next;
        let mut before = self.before.take()?;
        let ran = match self.catch_up(&mut before) {
            Ok(()) => {
                let (after, ran) = self.replay.run_on(tx, before, inspector);
                before = after;
                ran
            }
            Err(error) => Err(error),
        };
        if !matches!(ran, Err(ReplayError::Base(_))) {
            self.next = tx.next();
        }
        let before = self.before.insert(before);
        let replayed = ran.map(|ReplayRun { result, state, inspector }| ReplayedNext {
            tx,
            result,
            state,
            before,
            inspector,
        });
        Some(replayed.map_err(ReplayError::typed))
    }

    /// Applies the changes of the transactions below the next one.
    fn catch_up(
        &mut self,
        before: &mut State<ReplayBase<'s>>,
    ) -> Result<(), ReplayError<ErasedError>> {
        while self.applied < self.next {
            let applied = self.replay.apply(self.applied, before, &mut self.codes);
            applied.map_err(|error| failed(self.next, error))?;
            self.applied = self.applied.next();
        }
        Ok(())
    }
}
