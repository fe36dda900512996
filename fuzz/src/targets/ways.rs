//! Other entry points of the executor: borrowed databases, streams, pools.

use super::reached;
use crate::lineup::executor;
use crate::oracle::Expected;
use braid_evm::{
    Block, Cloned, Committed, Config, Executor, Forced, Mode, Policy, Rejection, TransactionPool,
    execute_scoped,
};
use core::ops::ControlFlow;
use revm::DatabaseRef;
use revm::context::TxEnv;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::sync::Arc;

const WORKERS: u16 = 3;

thread_local! {
    static EXECUTOR: RefCell<Executor> =
        RefCell::new(executor(WORKERS, Policy::Forced(Forced::Speculative), Mode::Build));
}

/// Checks that `block` gives the same result through the entry point that `seed` selects.
pub(super) fn check<D>(block: &Arc<Block>, database: &D, seed: u64) -> Result<(), String>
where
    D: DatabaseRef<Error: core::fmt::Display> + Clone + Send + Sync + 'static,
{
    let mut config = Config::with_workers(NonZeroU16::new(WORKERS).unwrap_or(NonZeroU16::MIN));
    config.policy = Policy::Forced(Forced::Speculative);
    let (way, checked) = match seed % 3 {
        0 => ("borrowed database", scoped(config, block, database)),
        1 => ("stream", EXECUTOR.with_borrow_mut(|one| stream(one, block, database))),
        _ => ("pool", EXECUTOR.with_borrow_mut(|one| pool(one, block, database))),
    };
    checked.map_err(|wrong| format!("{way}: {wrong}"))
}

/// Checks an execution on threads that are started for this block.
pub(super) fn scoped<D>(config: Config, block: &Arc<Block>, database: &D) -> Result<(), String>
where
    D: DatabaseRef<Error: core::fmt::Display> + Sync,
{
    let found = execute_scoped(config, Arc::clone(block), database);
    reached::note_block(&config, &found);
    Expected::new(block, config.engine.mode, database).compare(&found)
}

/// Checks that the streamed commits equal the output.
pub(super) fn stream<D>(
    executor: &mut Executor,
    block: &Arc<Block>,
    database: &D,
) -> Result<(), String>
where
    D: DatabaseRef<Error: core::fmt::Display> + Clone + Send + Sync + 'static,
{
    let mut heard = Vec::new();
    let on_commit = |committed: Committed| {
        heard.push(committed);
        ControlFlow::Continue(())
    };
    let source = Cloned(database.clone());
    let found = executor.block(Arc::clone(block)).state(source).on_commit(on_commit).execute();
    reached::note_block(executor.config(), &found);
    Expected::new(block, executor.config().engine.mode, database).compare(&found)?;
    let Ok(output) = found else { return Ok(()) };
    let mut receipts = output.receipts.iter();
    for (index, committed) in heard.iter().enumerate() {
        let right = match (committed.result(), committed.rejection()) {
            (Some(result), None) => receipts.next().is_some_and(|receipt| {
                receipt.logs == result.logs()
                    && receipt.cumulative_gas_used == committed.cumulative_gas_used
                    && committed.changes().iter().any(|change| change.after.is_some())
            }),
            (None, Some(_)) => committed.changes().is_empty() && committed.reward().is_none(),
            _ => false,
        };
        if !right || committed.tx.position() != index {
            return Err(format!("outcome {index} was heard as {committed:?}"));
        }
    }
    let missed = heard.len() != output.outcomes.len() || receipts.next().is_some();
    if missed { Err(format!("{} of {} heard", heard.len(), output.outcomes.len())) } else { Ok(()) }
}

/// Hands out its transactions in order.
struct Queue(VecDeque<TxEnv>);

impl TransactionPool for Queue {
    fn next(&mut self, _: u64) -> Option<TxEnv> {
        self.0.pop_front()
    }

    fn skipped(&mut self, _: &TxEnv, _: &Rejection) {}
}

/// Checks that the built block equals sequential execution of its transactions.
pub(super) fn pool<D>(
    executor: &mut Executor,
    block: &Arc<Block>,
    database: &D,
) -> Result<(), String>
where
    D: DatabaseRef<Error: core::fmt::Display> + Clone + Send + Sync + 'static,
{
    let mut template = Block::clone(block);
    let mut queue = Queue(core::mem::take(&mut template.transactions).into());
    match executor.block(template).state(Cloned(database.clone())).build(&mut queue) {
        Ok(built) => {
            let found = Ok(built.output);
            reached::note_block(executor.config(), &found);
            Expected::new(&built.block, Mode::Build, database).compare(&found)
        }
        // The block ended before the pool was empty, so there is only its error.
        Err(error) => match Expected::new(block, Mode::Build, database).error() {
            Some(_) => Ok(()),
            None => Err(format!("expected success, found {error}")),
        },
    }
}
