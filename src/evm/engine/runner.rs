//! Runs transactions one after the other, and keeps revm's journal for as long as its rules allow
//! (see `journal`).

use super::group::{BatchGroup, Combined};
use super::ledger::EvmLedger;
use super::pending_writes::{Journal, PendingWrites, Unmerged, merge_changes};
use crate::evm::block::receipts::OutcomesBuilder;
use crate::evm::exec::block_context::BlockContext;
use crate::evm::exec::change::AccountChange;
use crate::evm::exec::effects::{for_each_write, pin_slots};
use crate::evm::exec::location::{EvmLocation, EvmValue};
use crate::evm::exec::machine::EvmMachine;
use crate::evm::exec::rejection::Rejection;
use crate::evm::exec::tx_output::TxOutput;
use crate::evm::exec::window::Window;
use crate::evm::fees::blind_credits::BlindCredits;
use crate::ids::{Chunk, TxIndex};
use crate::mv::{Entry, Latest};
use crate::panics::caught;
use crate::worker::{Ledger, Machine, NoResult, Stop};
use core::ops::Range;
use revm::DatabaseRef;
use revm::state::EvmState;
use std::sync::Arc;

/// An EVM that runs transactions one after the other.
pub(in crate::evm) struct Runner<'a, D: DatabaseRef> {
    pub(in crate::evm) machine: EvmMachine<'a, D>,
    pub(in crate::evm) block_context: &'a BlockContext,
    /// The lowest transaction whose changes may not be in `latest` yet: they are in the journal, or
    /// only in the ledger.
    first_unmerged: usize,
    /// Outputs of transactions below the ledger's first one whose changes may be only in the
    /// journal.
    journaled: Vec<(TxIndex, Arc<TxOutput>)>,
    /// Whether the block has no writes before this run.
    is_block_start: bool,
    /// Combines the changes of transactions, if they share a journal and commits are not streamed.
    window: Option<Window>,
    /// Whether another worker folds commits into the bundle, so that shard masks are not needed.
    pub(super) has_bundle_thread: bool,
    /// Outcomes and receipts of the transactions so far, unless commits are streamed.
    pub(in crate::evm) outcomes_builder: OutcomesBuilder,
    is_streamed: bool,
    /// Whether the transactions are a private batch, whose writes stay with its groups and which
    /// reads no blind credits.
    is_private: bool,
    /// Blind credits of the transactions whose changes are being combined.
    credits: BlindCredits,
}

impl<'a, D: DatabaseRef> Runner<'a, D> {
    /// Creates a runner on `machine`, without a bundle thread.
    pub(in crate::evm) fn new(machine: EvmMachine<'a, D>, is_streamed: bool) -> Self {
        let block_context = machine.block_context();
        let has_window = block_context.shares_journals && !is_streamed;
        Self {
            machine,
            block_context,
            first_unmerged: 0,
            journaled: Vec::new(),
            is_block_start: false,
            window: has_window.then(Window::default),
            has_bundle_thread: false,
            outcomes_builder: OutcomesBuilder::default(),
            is_streamed,
            is_private: true,
            credits: BlindCredits::default(),
        }
    }

    /// Begins the transactions of a private batch, on a snapshot.
    pub(in crate::evm) fn begin_private(&mut self, txs: Range<usize>) {
        self.first_unmerged = txs.start;
        self.is_block_start = false;
        self.is_private = true;
        self.begin(txs);
    }

    /// Begins transactions of a sequential segment, which continues from `pending`.
    pub(in crate::evm) fn begin_sequential(&mut self, txs: Range<usize>, pending: PendingWrites) {
        self.is_block_start = pending.is_block_start();
        self.is_private = false;
        let PendingWrites { latest, unmerged, first_unmerged, journaled, first } = pending;
        let journal = match unmerged {
            Unmerged::Journal(journal) => journal,
            Unmerged::Nothing | Unmerged::Batches { .. } => Journal::default(),
        };
        self.first_unmerged = first_unmerged;
        self.journaled = journaled;
        self.machine.view_mut().begin_sequential(latest, first);
        self.machine.put_journal(journal.state, journal.transaction);
        self.begin(txs);
    }

    fn begin(&mut self, txs: Range<usize>) {
        if !self.is_streamed {
            self.outcomes_builder = OutcomesBuilder::with_capacity(txs.start, txs.len());
        }
        self.machine.expect(txs);
    }

    /// Ends a run of a sequential segment and returns the pending writes for the next run, which
    /// begin at `first`. The transactions in `ledger` commit before the next run.
    pub(in crate::evm) fn end_sequential(
        &mut self,
        first: TxIndex,
        ledger: &EvmLedger,
    ) -> PendingWrites {
        let mut journaled = core::mem::take(&mut self.journaled);
        let unmerged = ledger.outputs_of(self.first_unmerged..usize::MAX);
        journaled.extend(unmerged.map(|(tx, output)| (tx, Arc::clone(output))));
        let latest = core::mem::take(self.latest());
        let (state, transaction) = self.machine.take_journal();
        let unmerged = Unmerged::Journal(Journal { state, transaction });
        PendingWrites { latest, unmerged, first_unmerged: self.first_unmerged, journaled, first }
    }

    /// Runs `tx`, for which `ledger` has room, and keeps its writes.
    ///
    /// # Errors
    /// Returns why the transaction has no result. The reason [is early](NoResult::is_early) if the
    /// transaction needs a value that is not final.
    pub(in crate::evm) fn run_admitted(
        &mut self,
        tx: TxIndex,
        ledger: &mut EvmLedger,
    ) -> Result<(), NoResult<Rejection, D::Error>> {
        let required = ledger.required_with(tx);
        let before = self.machine.view_mut().log_mut().map(|log| log.mark());
        let ran = self.run(tx, ledger);
        if ran.is_ok() {
            // The next segment admits a transaction without a result again.
            ledger.required = required;
        } else if let (Some(log), Some(before)) = (self.machine.view_mut().log_mut(), before) {
            log.forget_since(before);
        }
        ran
    }

    fn run(
        &mut self,
        tx: TxIndex,
        ledger: &mut EvmLedger,
    ) -> Result<(), NoResult<Rejection, D::Error>> {
        let forgotten = mutant!(JournalForgotten);
        let is_complete = self.first_unmerged >= tx.position() || forgotten;
        self.machine.view_mut().set_complete(is_complete);
        self.machine.begin(tx);
        let window = self.window.as_mut();
        let ran = match caught(|| self.machine.run_tx(tx, window)) {
            Ok(ran) => ran,
            Err(payload) => {
                let earlier = self.machine.undo(self.window.as_mut());
                self.store_combined(earlier, ledger);
                return match self.machine.end().1 {
                    Some(stop) => self.stopped(tx, stop, is_complete, ledger),
                    None => Err(NoResult::Panicked(payload)),
                };
            }
        };
        self.store_combined(ran.earlier, ledger);
        // A latched stop overrides the EVM's result.
        if let Some(stop) = self.machine.end().1 {
            return self.stopped(tx, stop, is_complete, ledger);
        }
        match ran.result {
            Err(reason) => {
                // revm leaves loaded accounts in the journal.
                self.flush_journal(tx.position() + 1, ledger);
                Err(NoResult::Rejected(reason))
            }
            Ok(output) => {
                self.keep_writes(tx, &output);
                self.commit(tx, output, ledger);
                if !ran.keeps_journal {
                    self.flush_journal(tx.position() + 1, ledger);
                } else if self.window.as_ref().is_some_and(Window::is_full) {
                    self.settle(ledger);
                }
                Ok(())
            }
        }
    }

    /// Skips `tx`, which is invalid or does not fit into the block.
    pub(in crate::evm) fn skip(&mut self, tx: TxIndex, reason: Rejection, ledger: &mut EvmLedger) {
        if !self.is_streamed {
            self.outcomes_builder.add_skipped(reason.clone());
        }
        ledger.skip(tx, reason);
    }

    /// Ends the run and returns its transactions as a group, unless none has a result.
    pub(in crate::evm) fn end_group(
        &mut self,
        ledger: EvmLedger,
        first: TxIndex,
    ) -> Option<(Chunk, BatchGroup)> {
        let outcomes_builder = core::mem::take(&mut self.outcomes_builder);
        let block_context = self.block_context;
        let ran = u32::try_from(ledger.outcomes.len()).unwrap_or(u32::MAX);
        let txs = Chunk { first, end: TxIndex(first.0.saturating_add(ran)) };
        if txs.is_empty() {
            return None;
        }
        if let Some(log) = self.machine.view_mut().log_mut() {
            log.expect_writes();
            for output in ledger.outcomes.iter().flatten().flatten() {
                for_each_write(&output.changes, block_context, |location, _| log.write(&location));
            }
            log.end_group(txs);
        }
        let outcomes_builder = (!self.is_streamed).then_some(outcomes_builder);
        Some((txs, BatchGroup::Combined(Box::new(Combined { ledger, outcomes_builder }))))
    }

    /// Handles a run of `tx` whose view has stopped.
    fn stopped(
        &mut self,
        tx: TxIndex,
        stop: Stop<D::Error>,
        is_complete: bool,
        ledger: &mut EvmLedger,
    ) -> Result<(), NoResult<Rejection, D::Error>> {
        let why = NoResult::from(stop);
        // Nothing is final in a private batch, whatever its position.
        if why.is_early() && !is_complete && !self.is_private {
            // The read needs the writer of a value, and some writes are only in the journal.
            self.flush_journal(tx.position(), ledger);
            return self.run(tx, ledger);
        }
        Err(why)
    }

    /// Commits `tx` to the ledger.
    fn commit(&mut self, tx: TxIndex, mut output: Arc<TxOutput>, ledger: &mut EvmLedger) {
        if self.is_streamed {
            return ledger.commit(tx, output);
        }
        let Some(only) = Arc::get_mut(&mut output) else {
            unreachable!("the output is shared only after its commit")
        };
        ledger.record_accesses(tx, only.access_records.take());
        ledger.note_work(tx, output.work);
        ledger.add_gas(tx, output.result.gas());
        if let Some(tx) = self.block_context.block.transactions.get(tx.position()) {
            self.outcomes_builder.add_executed(tx, TxOutput::take_result(&mut output));
        }
        let output = if self.is_settled() {
            Some(output)
        } else {
            // The window has the changes.
            self.credits.append(&output.credits);
            None
        };
        ledger.commit_changes(tx, output);
    }

    pub(in crate::evm) fn latest(&mut self) -> &mut Latest<EvmLocation> {
        let Some(latest) = self.machine.view_mut().latest_mut() else {
            unreachable!("the view is for private batches or sequential runs")
        };
        latest
    }

    /// Keeps the writes of `tx` that are not in the journal.
    fn keep_writes(&mut self, tx: TxIndex, output: &TxOutput) {
        let mut writes = Vec::new();
        pin_slots(&mut writes, &output.changes, self.machine.view_mut().pinned_slots());
        for (location, entry) in writes {
            self.latest().put(tx, location, entry);
        }
        let block_context = self.block_context;
        let unseen = mutant!(RewardUnseen) || self.is_private;
        for (to, reward) in block_context.rewards(output).filter(|_| !unseen) {
            self.latest().put(tx, EvmLocation::Account(to), Entry::Delta(reward));
        }
    }

    /// Ends the journal and copies the changes of transactions below `end` from the outputs to
    /// `latest`.
    pub(in crate::evm) fn flush_journal(&mut self, end: usize, ledger: &mut EvmLedger) {
        self.settle(ledger);
        let journal = self.machine.end_journal();
        let first = core::mem::replace(&mut self.first_unmerged, end);
        let block_context = self.block_context;
        let journaled = core::mem::take(&mut self.journaled);
        let earlier = journaled.iter().map(|(tx, output)| (*tx, output));
        merge_changes(
            self.latest(),
            earlier.chain(ledger.outputs_of(first..end)),
            block_context,
            |_| true,
        );
        if self.is_block_start {
            self.latest().cache_slots(&journal);
        }
    }

    /// Combines the changes of the transactions in the window.
    pub(in crate::evm) fn settle(&mut self, ledger: &mut EvmLedger) {
        if let Some(window) = self.window.as_mut().filter(|window| window.len() > 0) {
            let changes = window.take(self.machine.journal());
            self.store_combined(changes, ledger);
        }
    }

    /// Stores the combined changes of several transactions with the last of them.
    fn store_combined(&mut self, mut changes: Vec<AccountChange>, ledger: &mut EvmLedger) {
        if !changes.is_empty() {
            let paid = self.machine.view_mut().take_payments(&mut changes);
            self.credits.pay(paid, self.block_context.block.env.beneficiary);
        }
        if changes.is_empty() && (self.credits.is_empty() || !self.is_settled()) {
            return;
        }
        let mut credits = core::mem::take(&mut self.credits);
        if mutant!(DeferredLost) {
            credits = BlindCredits::default();
        }
        // A bundle thread needs no shard masks.
        let shard_mask = if self.has_bundle_thread {
            u64::MAX
        } else {
            self.block_context.bundle_shards.shard_mask(&changes)
        };
        ledger.store_combined(TxOutput::combined(changes, shard_mask, credits));
    }

    /// Whether the changes of all transactions so far are known.
    fn is_settled(&self) -> bool {
        self.window.as_ref().is_none_or(|window| window.len() == 0)
    }
}

impl Latest<EvmLocation> {
    /// Caches slots that were read but not written, so that later runs do not read them from the
    /// database.
    fn cache_slots(&mut self, journal: &EvmState) {
        let slots = journal.values().map(|account| account.storage.len()).sum();
        self.reserve(slots);
        let has_base_slots =
            |account: &revm::state::Account| !account.is_created() && !account.is_selfdestructed();
        for (address, account) in journal.iter().filter(|(_, account)| has_base_slots(account)) {
            for (slot, value) in &account.storage {
                let location = EvmLocation::Storage(*address, *slot);
                self.keep_base(location, EvmValue::Slot(value.present_value));
            }
        }
    }
}
