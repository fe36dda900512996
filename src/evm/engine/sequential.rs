//! Runs the transactions of a sequential segment.
//!
//! Everything below a transaction is final: reads are not logged, rewards are visible, and each run
//! continues with the journal of the previous one.

use super::group::BatchGroup;
use super::ledger::EvmLedger;
use super::pending_writes::PendingWrites;
use super::runner::Runner;
use crate::evm::block::gas::BlockGas;
use crate::evm::exec::location::EvmLocation;
use crate::evm::exec::machine::EvmMachine;
use crate::evm::exec::rejection::Rejection;
use crate::ids::{Chunk, TxIndex};
use crate::mv::Store;
use crate::worker::{Ledger, NoResult};
use revm::DatabaseRef;

/// Runs the transactions of a sequential segment on one EVM.
pub(in crate::evm) struct SequentialRunner<'a, D: DatabaseRef> {
    runner: Runner<'a, D>,
    store: &'a Store<EvmLocation>,
}

/// A run of consecutive transactions, which commit together.
pub(in crate::evm) struct OpenRun {
    ledger: EvmLedger,
    first: TxIndex,
    /// The first transaction with pending writes; earlier writes are in the store.
    first_pending: TxIndex,
}

impl OpenRun {
    /// Checks that the block has room for `tx`, the next transaction.
    pub(in crate::evm) fn admit(&mut self, tx: TxIndex) -> Result<(), Rejection> {
        self.ledger.admit(tx)
    }
}

impl<'a, D: DatabaseRef> SequentialRunner<'a, D> {
    /// Creates a runner on `machine`, whose view reads over `store`.
    pub(in crate::evm) fn new(
        machine: EvmMachine<'a, D>,
        store: &'a Store<EvmLocation>,
        has_bundle_thread: bool,
        is_streamed: bool,
    ) -> Self {
        let mut runner = Runner::new(machine, is_streamed);
        runner.has_bundle_thread = has_bundle_thread;
        Self { runner, store }
    }

    /// Begins a run of `txs` on top of `pending`; if that is `None`, all writes below are in the
    /// store. `before` is the gas that the block has used.
    pub(in crate::evm) fn begin(
        &mut self,
        txs: Chunk,
        pending: Option<PendingWrites>,
        before: BlockGas,
    ) -> OpenRun {
        let Self { runner, store, .. } = self;
        let first = txs.first;
        let range = first.position()..txs.end.position();
        let ledger = EvmLedger::for_batch(runner.block_context, range.clone(), before);
        let pending = pending.filter(|_| !mutant!(CarryDropped)).unwrap_or_else(|| {
            let mut pending = PendingWrites::from(first);
            pending.cache_receivers(runner.block_context, store);
            pending
        });
        let first_pending = pending.first;
        runner.begin_sequential(range, pending);
        OpenRun { ledger, first, first_pending }
    }

    /// Runs the next transaction of a run, for which the block has room.
    ///
    /// # Errors
    /// Returns why the transaction has no result. The reason is final.
    pub(in crate::evm) fn run(
        &mut self,
        tx: TxIndex,
        run: &mut OpenRun,
    ) -> Result<(), NoResult<Rejection, D::Error>> {
        self.runner.run_admitted(tx, &mut run.ledger)
    }

    /// Skips the next transaction of a run.
    pub(in crate::evm) fn skip(&mut self, tx: TxIndex, reason: Rejection, run: &mut OpenRun) {
        self.runner.skip(tx, reason, &mut run.ledger);
    }

    /// Ends a run. Returns its group, if any transaction has a result, and the pending writes for
    /// the next run.
    pub(in crate::evm) fn end(
        &mut self,
        run: OpenRun,
    ) -> (Option<(Chunk, BatchGroup)>, PendingWrites) {
        let OpenRun { mut ledger, first, first_pending } = run;
        self.runner.settle(&mut ledger);
        let pending = self.runner.end_sequential(first_pending, &ledger);
        let group = self.runner.end_group(ledger, first);
        (group, pending)
    }
}
