//! A block in the middle: what its transactions have left so far, and how the next ones run.

use super::alone::Alone;
use super::base::StateSource;
use super::crew::Crew;
use super::error::{At, BlockErrorKind, Rejection};
use super::ledger::{Committed, EvmLedger};
use super::location::EvmLocation;
use super::plan::plan_block;
use super::run::DbError;
use super::workload::EvmWorkload;
use crate::config::Config;
use crate::error::Invariant;
use crate::ids::{TxIndex, WorkerId};
use crate::mv::Store;
use crate::protocol::{Counters, Halt};
use crate::runtime::{Caller, Task, Threads};
use crate::sync::bounded;
use crate::worker::{BlockEnd, Setup, Shared, TxError, work};
use core::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// Locations of a plain transfer; the store grows where there are more.
const LOCATIONS_PER_TRANSACTION: usize = 4;

/// Where and why the transactions ended early.
pub(super) type Failure<S> = (At, BlockErrorKind<DbError<S>>);

/// A block between two rounds of transactions. A block that is given whole has one round.
pub(super) struct Session<S: StateSource> {
    pub(super) workload: EvmWorkload<S>,
    pub(super) ledger: EvmLedger,
    pub(super) store: Store<EvmLocation>,
    pub(super) counters: Counters,
    /// Everything below is committed.
    pub(super) frontier: TxIndex,
    /// What the transactions have left, if they run one after the other.
    pub(super) alone: Option<Alone>,
}

/// The part of the other workers.
struct RunTask<S: StateSource>(Shared<EvmWorkload<S>, EvmLedger>);

impl<S: StateSource> Task for RunTask<S> {
    fn run(&self, worker: WorkerId) {
        work(&self.0, worker, &Threads);
    }
}

impl<S: StateSource> Session<S> {
    /// A block of which nothing has run; `transactions` are expected. With `alone` they run one after
    /// the other on the calling thread.
    pub(super) fn new(
        workload: EvmWorkload<S>,
        shards: usize,
        transactions: usize,
        alone: bool,
    ) -> Self {
        let transactions = if alone { 0 } else { transactions };
        Self {
            alone: alone.then(Alone::default),
            ledger: EvmLedger::new(&workload.recipe),
            store: Store::with_capacity(shards, LOCATIONS_PER_TRANSACTION * transactions),
            workload,
            counters: Counters::default(),
            frontier: TxIndex(0),
        }
    }

    /// Runs all transactions that have not run, on all workers; the caller is one of them.
    pub(super) fn run<'env, F, C>(
        mut self,
        crew: &mut C,
        config: &Config,
        on_commit: Option<&mut F>,
    ) -> (Self, Option<Failure<S>>)
    where
        S: 'env,
        F: FnMut(Committed) -> ControlFlow<()>,
        C: Crew<'env>,
    {
        if let Some(alone) = self.alone.take() {
            return self.run_alone(alone, config.mode, on_commit);
        }
        let workers = crew.workers();
        let left = self.left();
        let alone = workers == 1 || left < 2;
        // Each outcome is sent once, so sending never waits.
        let (sender, stream) = bounded(if on_commit.is_some() { left.max(1) } else { 1 });
        let (mut setup, counters) = self.set_up(config, workers);
        setup.ledger.stream_to(on_commit.is_some().then_some(sender));
        let shared = Shared::new(setup);
        let task = Arc::new(RunTask(shared));
        let (mut panicked, mut ended) = (None, false);
        let own = || match on_commit {
            Some(on_commit) => {
                let deliver = |committed| {
                    if ended {
                        return;
                    }
                    match catch_unwind(AssertUnwindSafe(|| on_commit(committed))) {
                        Ok(ControlFlow::Continue(())) => return,
                        Ok(ControlFlow::Break(())) => {}
                        Err(payload) => panicked = Some(payload),
                    }
                    ended = true;
                    task.0.cancel();
                };
                let caller = Caller::new(stream, deliver);
                work(&task.0, WorkerId(0), &caller);
                caller.drain();
            }
            None => work(&task.0, WorkerId(0), &Threads),
        };
        if alone {
            own();
        } else {
            let others: Arc<dyn Task + 'env> = task.clone();
            crew.run(&others, own);
        }
        if let Some(payload) = panicked {
            resume_unwind(payload);
        }
        match Arc::into_inner(task) {
            Some(task) => Self::after(task.0.into_end(), counters, ended),
            // `Crew::run` returns when nobody holds the task.
            None => unreachable!("a worker still holds the block"),
        }
    }

    /// Number of transactions that have not run.
    fn left(&self) -> usize {
        self.workload.recipe.block.transactions.len().saturating_sub(self.frontier.position())
    }

    /// Makes the transactions that have not run ready for workers; also returns what was counted
    /// before.
    pub(super) fn set_up(
        self,
        config: &Config,
        workers: usize,
    ) -> (Setup<EvmWorkload<S>, EvmLedger>, Counters) {
        let alone = workers == 1 || self.left() < 2;
        let Self { workload, ledger, store, counters, frontier, alone: _ } = self;
        let plan = plan_block(&workload.recipe.block, frontier, workers, config.chunk);
        let (limits, patience) = (config.limits(workers, alone), config.patience);
        (Setup { workload, ledger, store, limits, plan, patience }, counters)
    }

    pub(super) fn after(
        end: BlockEnd<EvmWorkload<S>, EvmLedger>,
        before: Counters,
        cancelled: bool,
    ) -> (Self, Option<Failure<S>>) {
        let BlockEnd {
            mut ledger, store, workload, frontier, halt, error, broken, counters, ..
        } = end;
        ledger.stream_to(None);
        let counters = before.plus(counters);
        // Whoever cancels hears of it, also if everything was committed by then.
        let all = workload.recipe.block.transactions.len();
        let cancelled = cancelled.then(|| self::cancelled(frontier, all));
        let failure = failure(frontier, halt, error, broken).or(cancelled);
        (Self { workload, ledger, store, counters, frontier, alone: None }, failure)
    }
}

/// The caller wanted no more, when all below `frontier` was committed, of `all`.
pub(super) fn cancelled<E>(frontier: TxIndex, all: usize) -> (At, BlockErrorKind<E>) {
    let at = if all <= frontier.position() { At::PostBlock } else { At::Transaction(frontier) };
    (at, BlockErrorKind::Cancelled)
}

/// Why the transactions did not all commit, if so. Re-raises the panic of user code.
pub(super) fn failure<E>(
    frontier: TxIndex,
    halt: Option<Halt>,
    error: Option<TxError<Rejection, E>>,
    broken: Option<Invariant>,
) -> Option<(At, BlockErrorKind<E>)> {
    if let Some(broken) = broken {
        return Some((At::Transaction(frontier), BlockErrorKind::Internal(broken)));
    }
    let (tx, kind) = match (halt?, error) {
        (Halt::Cancelled, _) => (frontier, BlockErrorKind::Cancelled),
        (Halt::Failed(tx, _) | Halt::NoRoom(tx), Some(error)) => match error {
            TxError::Rejected(rejection) => (tx, BlockErrorKind::Invalid(rejection)),
            TxError::Base(error) => (tx, BlockErrorKind::Base(error)),
            TxError::Panicked(payload) => resume_unwind(payload),
        },
        (Halt::Failed(tx, _) | Halt::NoRoom(tx), None) => {
            (tx, BlockErrorKind::Internal(Invariant::MissingResult { tx }))
        }
    };
    Some((At::Transaction(tx), kind))
}
