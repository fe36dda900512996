//! Private batches of Ethereum transactions: one after the other over one journal, on a snapshot.
//!
//! A range of neighbours is one group: its changes are taken together, window by window, and its results are outcomes
//! and receipts already. Where transactions of others lie between, or somebody hears of each commit, each transaction
//! is a group with an output of its own.
//!
//! What cannot be settled privately makes a transaction wait for the frontier: whoever is credited as transactions
//! commit, slots of blank accounts, transactions that are invalid or cannot be run.

use super::ledger::{BatchGroup, EvmLedger, Neighbours};
use super::runner::Runner;
use crate::evm::block::receipts::Splitting;
use crate::evm::exec::effects::for_each_write;
use crate::evm::exec::location::EvmLocation;
use crate::evm::exec::machine::{EvmMachine, Ran};
use crate::evm::mutants::is_evm_mutant;
use crate::ids::{Chunk, TxIndex};
use crate::mv::AccessLog;
use crate::protocol::Batch;
use crate::sync::{AtomicU64, SeqCst};
use crate::worker::{BatchMachine, Context, Ledger, Machine, MustWait, RanBatch};
use core::ops::Range;
use revm::DatabaseRef;
use std::sync::Arc;

/// A batch that runs.
enum Open {
    Neighbours { ledger: Box<EvmLedger>, first: TxIndex },
    Scattered { groups: Vec<(Chunk, BatchGroup)>, in_journal: usize },
}

/// Gas that private batches of a stretch have used, and what the block used before.
///
/// If there is no room for what has run, what follows is wasted, whichever of it commits: no more runs than would fit into
/// the block, beside one transaction on each worker (I9).
#[derive(Debug, Default)]
pub(in crate::evm) struct UsedGas(AtomicU64);

impl UsedGas {
    pub(in crate::evm) fn set(&self, gas: u64) {
        self.0.store(gas, SeqCst);
    }

    fn add(&self, gas: u64) {
        self.0.fetch_add(gas, SeqCst);
    }

    fn exceeds(&self, limit: u64) -> bool {
        self.0.load(SeqCst) > limit
    }
}

/// Runs private batches for one worker.
pub(in crate::evm) struct EvmBatches<'a, D: DatabaseRef, X: Context> {
    runner: Runner<'a, D, X>,
    used: &'a UsedGas,
    /// Somebody hears of each commit.
    streams: bool,
    open: Open,
}

impl<'a, D: DatabaseRef, X: Context> EvmBatches<'a, D, X> {
    /// Over `machine`, whose view is one of private batches.
    pub(in crate::evm) fn new(
        machine: EvmMachine<'a, D, X>,
        used: &'a UsedGas,
        streams: bool,
    ) -> Self {
        let recipe = machine.recipe();
        // What it leaves is with its groups: no base value is worth keeping.
        let runner = Runner::new(machine, recipe, (0, false)).for_batches();
        let open = Open::Scattered { groups: Vec::new(), in_journal: 0 };
        Self { runner, used, streams, open }
    }

    /// Runs the next one of neighbours, whose changes are taken together.
    fn run_neighbour(
        runner: &mut Runner<'a, D, X>,
        ledger: &mut EvmLedger,
        tx: TxIndex,
    ) -> Result<(), MustWait> {
        // What a batch alone has no room for the block has not either.
        if ledger.admit(tx).is_err() {
            return Err(MustWait);
        }
        ledger.ask(tx);
        let before = runner.machine.view_mut().log_mut().map(|log| log.mark());
        runner.run(tx, ledger).map_err(|_| {
            if let (Some(log), Some(before)) = (runner.machine.view_mut().log_mut(), before) {
                log.forget_since(before);
            }
            MustWait
        })
    }

    /// Runs the next one by itself.
    fn run_single(&mut self, tx: TxIndex) -> Result<(), MustWait> {
        let Self { runner, used, open: Open::Scattered { groups, in_journal }, .. } = self else {
            return Err(MustWait);
        };
        let recipe = runner.recipe;
        let machine = &mut runner.machine;
        machine.begin(tx);
        let Ran { result, goes_on, .. } = machine.run_tx(tx, None);
        let (Ok(output), None) = (result, machine.end().1) else { return Err(MustWait) };
        used.add(output.result.tx_gas_used());
        let txs = Chunk { first: tx, end: tx.next() };
        if let Some(log) = machine.view_mut().log_mut() {
            for_each_write(&output.changes, recipe, |location, _| log.write(&location));
            log.end_group(txs);
        }
        groups.push((txs, BatchGroup::One(Arc::new(output))));
        if !goes_on {
            machine.clear_journal();
            let Some(latest) = machine.view_mut().latest_mut() else { return Err(MustWait) };
            for (txs, group) in groups.iter().skip(*in_journal) {
                let BatchGroup::One(output) = group else { continue };
                for_each_write(&output.changes, recipe, |location, entry| {
                    latest.put(txs.first, location, entry);
                });
            }
            *in_journal = groups.len();
        }
        Ok(())
    }

    /// What neighbours have left, if any of them has run.
    fn end_neighbours(
        &mut self,
        mut ledger: EvmLedger,
        first: TxIndex,
    ) -> Option<(Chunk, BatchGroup)> {
        let runner = &mut self.runner;
        runner.settle(&mut ledger);
        let split = core::mem::take(&mut runner.split);
        let recipe = runner.recipe;
        self.used.add(ledger.gas().admitted(&recipe.block));
        let ran = u32::try_from(ledger.outcomes.len()).unwrap_or(u32::MAX);
        let txs = Chunk { first, end: TxIndex(first.0.saturating_add(ran)) };
        if txs.is_empty() {
            return None;
        }
        if let Some(log) = runner.machine.view_mut().log_mut() {
            log.expect_writes();
            for output in ledger.outcomes.iter().flatten().flatten() {
                for_each_write(&output.changes, recipe, |location, _| log.write(&location));
            }
            log.end_group(txs);
        }
        Some((txs, BatchGroup::Many(Box::new(Neighbours { ledger, split }))))
    }
}

impl<D: DatabaseRef, X: Context> BatchMachine for EvmBatches<'_, D, X> {
    type Location = EvmLocation;
    type Group = BatchGroup;

    fn begin(
        &mut self,
        batch: &Batch,
        first: TxIndex,
        snapshot: TxIndex,
        log: AccessLog<EvmLocation>,
    ) {
        let runner = &mut self.runner;
        runner.machine.view_mut().begin_batch(snapshot, log);
        self.open = match batch {
            Batch::Range(_) if !self.streams && runner.recipe.shares => {
                let range: Range<usize> = first.position()..batch.end().position();
                runner.split = Splitting::with_capacity(range.start, range.len());
                runner.first_pending = range.start;
                runner.machine.expect(range.clone());
                let ledger = Box::new(EvmLedger::of_part(runner.recipe, range));
                Open::Neighbours { ledger, first }
            }
            _ => Open::Scattered { groups: Vec::new(), in_journal: 0 },
        };
    }

    fn run(&mut self, tx: TxIndex) -> Result<(), MustWait> {
        match &mut self.open {
            _ if self.used.exceeds(self.runner.recipe.block.env.gas_limit) => Err(MustWait),
            Open::Neighbours { ledger, .. } => Self::run_neighbour(&mut self.runner, ledger, tx),
            Open::Scattered { .. } => self.run_single(tx),
        }
    }

    fn end(&mut self) -> RanBatch<EvmLocation, BatchGroup> {
        let empty = Open::Scattered { groups: Vec::new(), in_journal: 0 };
        let groups = match core::mem::replace(&mut self.open, empty) {
            Open::Neighbours { ledger, first } => {
                self.end_neighbours(*ledger, first).into_iter().collect()
            }
            Open::Scattered { groups, .. } => groups,
        };
        // The groups have all that is in it.
        if !is_evm_mutant!(self.runner.recipe.mutant, BatchJournalKept) {
            self.runner.machine.clear_journal();
        }
        let view = self.runner.machine.view_mut();
        if let Some(latest) = view.latest_mut() {
            latest.clear();
        }
        let Some(log) = view.end_batch() else { unreachable!("a batch has begun") };
        RanBatch { groups, log }
    }
}
