//! Private batches of Ethereum transactions, run one after the other with one journal on a
//! snapshot.
//!
//! A batch is one group: its changes are combined window by window, and its results are split into
//! outcomes and receipts as they arise. If commits are streamed, or transactions do not share a
//! journal, every transaction is a group with its own output.
//!
//! Above the frontier, a transaction has no result if it reads an account with blind credits or a
//! slot of an account without nonce and code, if it is invalid, or if it cannot run.

use super::group::BatchGroup;
use super::ledger::EvmLedger;
use super::runner::Runner;
use crate::evm::bal::prepared_list::index_of;
use crate::evm::block::gas::BlockGas;
use crate::evm::exec::effects::for_each_write;
use crate::evm::exec::location::EvmLocation;
use crate::evm::exec::machine::{EvmMachine, TxRun};
use crate::evm::exec::rejection::Rejection;
use crate::ids::{Chunk, TxIndex};
use crate::sync::{AtomicU64, SeqCst};
use crate::worker::{BatchMachine, BatchStart, Ledger, Machine, NoResult, RanBatch};
use core::ops::Range;
use revm::DatabaseRef;

/// A running batch.
enum RunningBatch {
    /// The whole batch is one group.
    Combined { ledger: Box<EvmLedger>, first: TxIndex },
    /// Each transaction is a group. The journal has the changes of the groups from
    /// `first_in_journal` on.
    Single { groups: Vec<(Chunk, BatchGroup)>, first_in_journal: usize },
}

/// Gas used by the private batches of a segment, plus the gas that the block used before.
///
/// Once the transactions that have run exceed the block's gas, all later runs are wasted, whichever
/// transactions commit. So each worker runs at most one batch, or one transaction if each is a
/// group, beyond what fits into the block (I9).
#[derive(Debug, Default)]
pub(in crate::evm) struct UsedGas(AtomicU64);

impl UsedGas {
    pub(in crate::evm) fn new(gas: u64) -> Self {
        Self(AtomicU64::new(gas))
    }

    fn add(&self, gas: u64) {
        self.0.fetch_add(gas, SeqCst);
    }

    fn exceeds(&self, limit: u64) -> bool {
        self.0.load(SeqCst) > limit
    }
}

/// Settings of one segment.
#[derive(Debug, Default)]
pub(in crate::evm) struct SegmentSetting {
    /// Gas that the block has used before the segment, and in its batches so far.
    pub(in crate::evm) used: UsedGas,
    /// Whether each commit is streamed to the caller.
    pub(in crate::evm) streams: bool,
}

/// Runs private batches for one worker.
pub(in crate::evm) struct EvmBatches<'a, D: DatabaseRef> {
    runner: Runner<'a, D>,
    segment: &'a SegmentSetting,
    /// Whether this worker helps another one that already runs the same batch.
    is_second: bool,
    running: RunningBatch,
}

impl<'a, D: DatabaseRef> EvmBatches<'a, D> {
    /// Creates a runner of private batches on `machine`, whose view must be for private batches.
    pub(in crate::evm) fn new(machine: EvmMachine<'a, D>, segment: &'a SegmentSetting) -> Self {
        let runner = Runner::new(machine, segment.streams);
        let running = RunningBatch::Single { groups: Vec::new(), first_in_journal: 0 };
        Self { runner, segment, is_second: false, running }
    }

    /// Runs the next transaction as a group of its own.
    fn run_single(&mut self, tx: TxIndex) -> Result<(), NoResult<Rejection, D::Error>> {
        let Self { runner, segment, is_second, running, .. } = self;
        let RunningBatch::Single { groups, first_in_journal } = running else {
            return Err(NoResult::TOO_EARLY);
        };
        let block_context = runner.block_context;
        let machine = &mut runner.machine;
        machine.begin(tx);
        let TxRun { result, keeps_journal, .. } = machine.run_tx(tx, None);
        let output = match (result, machine.end().1) {
            (Ok(output), None) => output,
            (Err(reason), None) => return Err(NoResult::Rejected(reason)),
            (_, Some(stop)) => return Err(stop.into()),
        };
        // A helper's run must not count the same gas twice.
        if !*is_second {
            let gas = BlockGas::of(None, output.result.gas());
            segment.used.add(gas.admitted(&block_context.block));
        }
        let txs = Chunk { first: tx, end: tx.next() };
        if let Some(log) = machine.view_mut().log_mut() {
            for_each_write(&output.changes, block_context, |location, _| log.write(&location));
            log.end_group(txs);
        }
        groups.push((txs, BatchGroup::Single(output)));
        if !keeps_journal {
            machine.clear_journal();
            let Some(latest) = machine.view_mut().latest_mut() else {
                return Err(NoResult::TOO_EARLY);
            };
            for (txs, group) in groups.iter().skip(*first_in_journal) {
                let BatchGroup::Single(output) = group else { continue };
                for_each_write(&output.changes, block_context, |location, entry| {
                    latest.put(txs.first, location, entry);
                });
            }
            *first_in_journal = groups.len();
        }
        Ok(())
    }
}

impl<D: DatabaseRef> BatchMachine for EvmBatches<'_, D> {
    type Location = EvmLocation;
    type Group = BatchGroup;
    type Rejection = Rejection;
    type BaseError = D::Error;

    fn begin(&mut self, start: BatchStart<EvmLocation>) {
        let BatchStart { txs, snapshot, log, is_second } = start;
        self.is_second = is_second;
        let runner = &mut self.runner;
        let first = txs.first;
        // Values read from the access list cannot change, whatever other batches commit.
        let logs = mutant!(ToldReadsLogged);
        let reads_list = runner.block_context.reads_list && !logs;
        let log = if reads_list { log.of_writes() } else { log };
        runner.machine.view_mut().begin_batch(first, snapshot, Some(log), is_second);
        let range: Range<usize> = first.position()..txs.end.position();
        self.running = if !self.segment.streams && runner.block_context.shares_journals {
            let none = BlockGas::default();
            let ledger = Box::new(EvmLedger::for_batch(runner.block_context, range.clone(), none));
            runner.begin_private(range);
            RunningBatch::Combined { ledger, first }
        } else {
            RunningBatch::Single { groups: Vec::new(), first_in_journal: 0 }
        };
    }

    fn run(&mut self, tx: TxIndex) -> Result<(), NoResult<Rejection, D::Error>> {
        let list = self.runner.block_context.readable_list();
        let ran = match &mut self.running {
            _ if self.segment.used.exceeds(self.runner.block_context.block.env.gas_limit)
                || list.is_some_and(|list| list.is_above_mismatch(index_of(tx))) =>
            {
                return Err(NoResult::TOO_EARLY);
            }
            // A transaction that does not fit into the batch does not fit into the block either.
            RunningBatch::Combined { ledger, .. } => match ledger.admit(tx) {
                Ok(()) => self.runner.run_admitted(tx, ledger),
                Err(_) => Err(NoResult::TOO_EARLY),
            },
            RunningBatch::Single { .. } => self.run_single(tx),
        };
        if let (Some(list), Err(NoResult::Rejected(Rejection::AccessList(wrong)))) = (list, &ran) {
            list.note_mismatch(index_of(tx), wrong);
        }
        ran
    }

    fn end(&mut self) -> RanBatch<EvmLocation, BatchGroup> {
        let Self { runner, segment, is_second, running, .. } = self;
        let empty = RunningBatch::Single { groups: Vec::new(), first_in_journal: 0 };
        let groups = match core::mem::replace(running, empty) {
            RunningBatch::Combined { mut ledger, first } => {
                runner.settle(&mut ledger);
                if !*is_second {
                    segment.used.add(ledger.gas().admitted(&runner.block_context.block));
                }
                runner.end_group(*ledger, first).into_iter().collect()
            }
            RunningBatch::Single { groups, .. } => groups,
        };
        // The groups contain all changes in the journal.
        if !mutant!(BatchJournalKept) {
            self.runner.machine.clear_journal();
        }
        let view = self.runner.machine.view_mut();
        if let Some(latest) = view.latest_mut() {
            latest.clear();
        }
        RanBatch { groups, log: view.end_batch() }
    }
}
