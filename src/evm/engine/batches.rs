//! Private batches of Ethereum transactions, run one after the other with one journal on a
//! snapshot.
//!
//! A batch is one group: its changes are combined, window by window, and its results are split into
//! outcomes and receipts as they arise. If commits are streamed, or transactions do not share a
//! journal, every transaction is a group with its own output.
//!
//! In a sequential segment, everything below a transaction is final: reads are not logged, rewards
//! are visible, and each run continues from the journal of the one before.
//!
//! Above the frontier, a transaction has no result if it reads accounts with blind credits
//! or slots of blank accounts, if it is invalid, or if it cannot run.

use super::carry::Carry;
use super::group::{BatchGroup, Combined};
use super::ledger::EvmLedger;
use super::runner::{NotRun, Runner};
use crate::evm::bal::claims::index_of;
use crate::evm::block::gas::BlockGas;
use crate::evm::exec::effects::for_each_write;
use crate::evm::exec::location::EvmLocation;
use crate::evm::exec::machine::{EvmMachine, Ran};
use crate::evm::exec::rejection::Rejection;
use crate::ids::{Chunk, TxIndex};
use crate::mv::Store;
use crate::sync::{AtomicU64, SeqCst};
use crate::worker::{
    BatchMachine, BatchStart, Ledger, Machine, MustWait, RanBatch, Sequential, Stop, TxError,
};
use core::ops::Range;
use revm::DatabaseRef;

/// A running batch.
enum Open {
    /// All of it is one group.
    Combined { ledger: Box<EvmLedger>, first: TxIndex },
    /// A sequential segment. The run itself holds the writes of transactions from `carried` on;
    /// earlier ones are in the store.
    Sequential { ledger: Box<EvmLedger>, first: TxIndex, carried: TxIndex, skips_rejected: bool },
    /// Each transaction is a group. The outputs of those from `in_journal` on are in the journal.
    Single { groups: Vec<(Chunk, BatchGroup)>, in_journal: usize },
}

/// Why a transaction has no result yet.
type Wait<E> = MustWait<Rejection, E>;

/// Gas used by the private batches of a segment, plus the gas that the block used before.
///
/// Once the transactions that have run exceed the block's gas, all later ones are wasted, whichever
/// transactions commit. So, beyond one transaction per worker, no more transactions run than fit
/// into the block (I9).
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
    /// Whether another worker builds the bundle while transactions commit.
    pub(in crate::evm) has_bundle_thread: bool,
}

/// Runs private batches for one worker.
pub(in crate::evm) struct EvmBatches<'a, D: DatabaseRef> {
    runner: Runner<'a, D>,
    store: &'a Store<EvmLocation>,
    segment: &'a SegmentSetting,
    /// Whether another worker runs the same batch already, and this one helps.
    is_second: bool,
    open: Open,
}

impl<'a, D: DatabaseRef> EvmBatches<'a, D> {
    /// Creates a runner of private batches on `machine`, whose view reads private batches over
    /// `store`.
    pub(in crate::evm) fn new(
        machine: EvmMachine<'a, D>,
        store: &'a Store<EvmLocation>,
        segment: &'a SegmentSetting,
    ) -> Self {
        let block_context = machine.block_context();
        let runner =
            Runner::new(machine, block_context, segment.has_bundle_thread, segment.streams);
        let open = Open::Single { groups: Vec::new(), in_journal: 0 };
        Self { runner, store, segment, is_second: false, open }
    }

    /// Runs the next transaction of a contiguous batch, whose changes are combined.
    fn run_neighbour(
        runner: &mut Runner<'a, D>,
        ledger: &mut EvmLedger,
        tx: TxIndex,
    ) -> Result<(), Wait<D::Error>> {
        // A transaction without room in the batch alone has no room in the block either.
        if ledger.admit(tx).is_err() {
            return Err(MustWait::UNKNOWN);
        }
        let asked = ledger.asked_with(tx);
        let before = runner.machine.view_mut().log_mut().map(|log| log.mark());
        runner.run(tx, ledger).map_err(|why| {
            if let (Some(log), Some(before)) = (runner.machine.view_mut().log_mut(), before) {
                log.forget_since(before);
            }
            match why {
                NotRun::TooEarly => MustWait::UNKNOWN,
                NotRun::Error(error) => MustWait { error: Some(error) },
            }
        })?;
        // A transaction without a result is admitted by the next segment.
        ledger.asked = asked;
        Ok(())
    }

    /// Runs the next transaction of a sequential segment. If `skips_rejected` is set, an invalid
    /// transaction is skipped, and the run continues with the same journal and room.
    fn run_in_order(
        runner: &mut Runner<'a, D>,
        ledger: &mut EvmLedger,
        tx: TxIndex,
        skips_rejected: bool,
    ) -> Result<(), Wait<D::Error>> {
        if !skips_rejected {
            return Self::run_neighbour(runner, ledger, tx);
        }
        let reason = match ledger.admit(tx) {
            Err(reason) => reason,
            Ok(()) => match Self::run_neighbour(runner, ledger, tx) {
                Err(MustWait { error: Some(TxError::Rejected(reason)) })
                    if EvmMachine::<'a, D>::may_skip(&reason) =>
                {
                    reason
                }
                ran => return ran,
            },
        };
        runner.skip(tx, reason, ledger);
        Ok(())
    }

    /// Runs the next transaction as a group of its own.
    fn run_single(&mut self, tx: TxIndex) -> Result<(), Wait<D::Error>> {
        let Self { runner, segment, is_second, open, .. } = self;
        let Open::Single { groups, in_journal } = open else { return Err(MustWait::UNKNOWN) };
        let block_context = runner.block_context;
        let machine = &mut runner.machine;
        machine.begin(tx);
        let Ran { result, goes_on, .. } = machine.run_tx(tx, None);
        let output = match (result, machine.end().1) {
            (Ok(output), None) => output,
            (Err(reason), None) => return Err(MustWait { error: Some(TxError::Rejected(reason)) }),
            (_, Some(Stop::Base(error))) => {
                return Err(MustWait { error: Some(TxError::Base(error)) });
            }
            (_, Some(Stop::Blocked(_) | Stop::TooEarly | Stop::Overtaken)) => {
                return Err(MustWait::UNKNOWN);
            }
        };
        // A helper's run uses the same gas as the run it helps.
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
        if !goes_on {
            machine.clear_journal();
            let Some(latest) = machine.view_mut().latest_mut() else {
                return Err(MustWait::UNKNOWN);
            };
            for (txs, group) in groups.iter().skip(*in_journal) {
                let BatchGroup::Single(output) = group else { continue };
                for_each_write(&output.changes, block_context, |location, entry| {
                    latest.put(txs.first, location, entry);
                });
            }
            *in_journal = groups.len();
        }
        Ok(())
    }

    /// Ends a contiguous batch; returns its group if any transaction has run.
    fn end_neighbours(
        runner: &mut Runner<'a, D>,
        ledger: EvmLedger,
        first: TxIndex,
        is_streamed: bool,
    ) -> Option<(Chunk, BatchGroup)> {
        let split = core::mem::take(&mut runner.split);
        let block_context = runner.block_context;
        let ran = u32::try_from(ledger.outcomes.len()).unwrap_or(u32::MAX);
        let txs = Chunk { first, end: TxIndex(first.0.saturating_add(ran)) };
        if txs.is_empty() {
            return None;
        }
        if let Some(log) = runner.machine.view_mut().log_mut() {
            log.expect_writes();
            for output in ledger.outcomes.iter().flatten().flatten() {
                for_each_write(&output.changes, block_context, |location, _| log.write(&location));
            }
            log.end_group(txs);
        }
        let split = (!is_streamed).then_some(split);
        Some((txs, BatchGroup::Combined(Box::new(Combined { ledger, split }))))
    }
}

impl<D: DatabaseRef> BatchMachine for EvmBatches<'_, D> {
    type Location = EvmLocation;
    type Group = BatchGroup;
    type Carry = Carry;
    type Room = BlockGas;
    type Rejection = Rejection;
    type BaseError = D::Error;

    fn begin(&mut self, start: BatchStart<EvmLocation, Carry, BlockGas>) {
        let BatchStart { txs, snapshot, log, in_order, is_second } = start;
        self.is_second = is_second;
        let runner = &mut self.runner;
        let first = txs.first;
        let range: Range<usize> = first.position()..txs.end.position();
        if let Some(Sequential { carry, room, skips_rejected }) = in_order {
            let ledger = Box::new(EvmLedger::of_part(runner.block_context, range.clone(), room));
            let carry = carry.unwrap_or_else(|| {
                let mut carry = Carry::from(first);
                carry.keep_receivers(runner.block_context, self.store);
                carry
            });
            let carried = carry.first;
            self.open = Open::Sequential { ledger, first, carried, skips_rejected };
            return runner.begin_in_order(range, carry, log);
        }
        // Values read from the access list cannot change, whatever other batches commit.
        let logs = mutant!(ToldReadsLogged);
        let is_told = runner.block_context.reads_claims && !logs;
        let log = log.map(|log| if is_told { log.of_writes() } else { log });
        runner.machine.view_mut().begin_batch(first, snapshot, log, is_second);
        self.open = if !self.segment.streams && runner.block_context.shares {
            let none = BlockGas::default();
            let ledger = Box::new(EvmLedger::of_part(runner.block_context, range.clone(), none));
            runner.begin_private(range);
            Open::Combined { ledger, first }
        } else {
            Open::Single { groups: Vec::new(), in_journal: 0 }
        };
    }

    fn run(&mut self, tx: TxIndex) -> Result<(), Wait<D::Error>> {
        let claims = self.runner.block_context.told_claims();
        let ran = match &mut self.open {
            Open::Sequential { ledger, skips_rejected, .. } => {
                return Self::run_in_order(&mut self.runner, ledger, tx, *skips_rejected);
            }
            _ if self.segment.used.exceeds(self.runner.block_context.block.env.gas_limit)
                || claims.is_some_and(|claims| claims.is_beyond_wrong(index_of(tx))) =>
            {
                return Err(MustWait::UNKNOWN);
            }
            Open::Combined { ledger, .. } => Self::run_neighbour(&mut self.runner, ledger, tx),
            Open::Single { .. } => self.run_single(tx),
        };
        if let (Some(claims), Err(MustWait { error: Some(TxError::Rejected(reason)) })) =
            (claims, &ran)
            && let Rejection::AccessList(wrong) = reason
        {
            claims.note_wrong(index_of(tx), wrong);
        }
        ran
    }

    fn end(&mut self) -> RanBatch<EvmLocation, BatchGroup, Carry> {
        let Self { runner, segment, is_second, open, .. } = self;
        let empty = Open::Single { groups: Vec::new(), in_journal: 0 };
        let groups = match core::mem::replace(open, empty) {
            Open::Sequential { mut ledger, first, carried, .. } => {
                runner.settle(&mut ledger);
                let carry = Some(runner.end_in_order(carried, &ledger));
                let groups = Self::end_neighbours(runner, *ledger, first, segment.streams);
                let log = runner.machine.view_mut().end_batch();
                return RanBatch { groups: groups.into_iter().collect(), log, carry };
            }
            Open::Combined { mut ledger, first } => {
                runner.settle(&mut ledger);
                if !*is_second {
                    segment.used.add(ledger.gas().admitted(&runner.block_context.block));
                }
                Self::end_neighbours(runner, *ledger, first, false).into_iter().collect()
            }
            Open::Single { groups, .. } => groups,
        };
        // The groups contain all changes in the journal.
        if !mutant!(BatchJournalKept) {
            self.runner.machine.clear_journal();
        }
        let view = self.runner.machine.view_mut();
        if let Some(latest) = view.latest_mut() {
            latest.clear();
        }
        RanBatch { groups, log: view.end_batch(), carry: None }
    }
}
