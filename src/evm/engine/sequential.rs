//! Transactions of a sequential segment, run one after the other.
//!
//! Everything below a transaction is final: reads are not logged, rewards are visible, and each run
//! continues from the journal of the one before.

use super::carry::Carry;
use super::group::BatchGroup;
use super::ledger::EvmLedger;
use super::runner::Runner;
use crate::evm::block::gas::BlockGas;
use crate::evm::exec::location::EvmLocation;
use crate::evm::exec::machine::EvmMachine;
use crate::evm::exec::rejection::Rejection;
use crate::ids::{Chunk, TxIndex};
use crate::mv::Store;
use crate::worker::{Ledger, Machine, MustWait, TxError};
use revm::DatabaseRef;

/// Runs sequential transactions.
pub(in crate::evm) struct SequentialMachine<'a, D: DatabaseRef> {
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

/// Why a sequential transaction has no result.
pub(in crate::evm) enum NoResult<E> {
    /// The block has no room for it.
    NoRoom,
    Error(TxError<Rejection, E>),
    /// A broken rule: everything below is final, so nothing can be missing.
    Missing,
}

impl<'a, D: DatabaseRef> SequentialMachine<'a, D> {
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

    /// Begins a run of `txs`. It continues from `carry`; without one, all writes below are in the
    /// store. `room` is left in the block.
    pub(in crate::evm) fn begin(
        &mut self,
        txs: Chunk,
        carry: Option<Carry>,
        room: BlockGas,
    ) -> OpenRun {
        let Self { runner, store, .. } = self;
        let first = txs.first;
        let range = first.position()..txs.end.position();
        let ledger = EvmLedger::of_part(runner.block_context, range.clone(), room);
        let carry = carry.filter(|_| !mutant!(CarryDropped)).unwrap_or_else(|| {
            let mut carry = Carry::from(first);
            carry.keep_receivers(runner.block_context, store);
            carry
        });
        let carried = carry.first;
        runner.begin_sequential(range, carry);
        OpenRun { ledger, first, carried }
    }

    /// Runs the next transaction of a run. If `skips_rejected` is set, an invalid transaction is
    /// skipped, and the run continues with the same journal and room.
    ///
    /// # Errors
    /// [`NoResult::NoRoom`], or the final error of the transaction.
    pub(in crate::evm) fn run(
        &mut self,
        tx: TxIndex,
        run: &mut OpenRun,
        skips_rejected: bool,
    ) -> Result<(), NoResult<D::Error>> {
        let (runner, ledger) = (&mut self.runner, &mut run.ledger);
        let reason = match ledger.admit(tx) {
            Err(reason) if skips_rejected => reason,
            Err(_) => return Err(NoResult::NoRoom),
            Ok(()) => match runner.run_admitted(tx, ledger) {
                Err(MustWait { error: Some(TxError::Rejected(reason)) })
                    if skips_rejected && EvmMachine::<'a, D>::may_skip(&reason) =>
                {
                    reason
                }
                Err(MustWait { error: Some(error) }) => return Err(NoResult::Error(error)),
                // Everything below is final.
                Err(MustWait { error: None }) => return Err(NoResult::Missing),
                Ok(()) => return Ok(()),
            },
        };
        runner.skip(tx, reason, ledger);
        Ok(())
    }

    /// Ends a run: returns its group, if any transaction has a result, and what the next run
    /// continues from.
    pub(in crate::evm) fn end(&mut self, run: OpenRun) -> (Option<(Chunk, BatchGroup)>, Carry) {
        let OpenRun { mut ledger, first, carried } = run;
        self.runner.settle(&mut ledger);
        let carry = self.runner.end_sequential(carried, &ledger);
        let group = self.runner.end_group(ledger, first);
        (group, carry)
    }
}
