//! Transactions of a sequential segment, run one after the other.
//!
//! Everything below a transaction is final: reads are not logged, rewards are visible, and each run
//! continues from the journal of the one before.

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

/// Runs sequential transactions.
pub(in crate::evm) struct SequentialRunner<'a, D: DatabaseRef> {
    runner: Runner<'a, D>,
    store: &'a Store<EvmLocation>,
}

/// A run of consecutive transactions, which commit together.
pub(in crate::evm) struct OpenRun {
    ledger: EvmLedger,
    first: TxIndex,
    /// The run holds the writes of transactions from here on; earlier ones are in the store.
    carried: TxIndex,
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

    /// Begins a run of `txs`. It continues from `pending`; without one, all writes below are in the
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
        let ledger = EvmLedger::of_part(runner.block_context, range.clone(), before);
        let pending = pending.filter(|_| !mutant!(CarryDropped)).unwrap_or_else(|| {
            let mut pending = PendingWrites::from(first);
            pending.keep_receivers(runner.block_context, store);
            pending
        });
        let carried = pending.first;
        runner.begin_sequential(range, pending);
        OpenRun { ledger, first, carried }
    }

    /// Runs the next transaction of a run, for which the block has room.
    ///
    /// # Errors
    /// Why it has no result. The reason is final.
    pub(in crate::evm) fn run(
        &mut self,
        tx: TxIndex,
        run: &mut OpenRun,
    ) -> Result<(), NoResult<Rejection, D::Error>> {
        self.runner.run_admitted(tx, &mut run.ledger)
    }

    /// Skips the next transaction of a run, which continues with the same journal and room.
    pub(in crate::evm) fn skip(&mut self, tx: TxIndex, reason: Rejection, run: &mut OpenRun) {
        self.runner.skip(tx, reason, &mut run.ledger);
    }

    /// Ends a run: returns its group, if any transaction has a result, and what the next run
    /// continues from.
    pub(in crate::evm) fn end(
        &mut self,
        run: OpenRun,
    ) -> (Option<(Chunk, BatchGroup)>, PendingWrites) {
        let OpenRun { mut ledger, first, carried } = run;
        self.runner.settle(&mut ledger);
        let pending = self.runner.end_sequential(carried, &ledger);
        let group = self.runner.end_group(ledger, first);
        (group, pending)
    }
}
