//! An EVM that runs transactions one after the other, keeping revm's journal for as long as its rules
//! allow (see `journal`).

use super::feed::Feed;
use super::ledger::EvmLedger;
use crate::evm::block::receipts::Splitting;
use crate::evm::exec::change::AccountChange;
use crate::evm::exec::effects::{for_each_write, remember};
use crate::evm::exec::location::{EvmLocation, EvmValue};
use crate::evm::exec::machine::EvmMachine;
use crate::evm::exec::recipe::Recipe;
use crate::evm::exec::rejection::Rejection;
use crate::evm::exec::tx_output::TxOutput;
use crate::evm::exec::window::Window;
use crate::evm::fees::aside::Aside;
use crate::evm::mutants::is_evm_mutant;
use crate::ids::TxIndex;
use crate::mv::{Entry, Latest};
use crate::worker::{Context, Ledger, Machine, Stop, TxError};
use alloy_primitives::Address;
use core::ops::Range;
use revm::DatabaseRef;
use revm::state::EvmState;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Takes over into `latest` what transactions of `range` have left in the ledger alone, of the accounts that `counts`
/// says yes to.
pub(in crate::evm) fn take_over(
    latest: &mut Latest<EvmLocation>,
    (ledger, range): (&EvmLedger, Range<usize>),
    recipe: &Recipe,
    counts: impl Fn(&Address) -> bool,
) {
    if is_evm_mutant!(recipe.mutant, JournalLost) {
        return;
    }
    for (tx, outcome) in ledger.outcomes_of(range) {
        // Most have nothing: what they have changed was taken together with others.
        let Ok(Some(output)) = outcome else { continue };
        for change in output.changes.iter().filter(|change| counts(&change.address)) {
            let change = core::slice::from_ref(change);
            for_each_write(change, recipe, |location, entry| latest.put(tx, location, entry));
        }
    }
}

/// Takes over into `latest` what transactions of `range` have credited.
pub(in crate::evm) fn take_over_credits(
    latest: &mut Latest<EvmLocation>,
    (ledger, range): (&EvmLedger, Range<usize>),
    recipe: &Recipe,
) {
    let lost = is_evm_mutant!(recipe.mutant, PartCreditsLost);
    for (tx, outcome) in ledger.outcomes_of(range).filter(|_| !lost) {
        let Ok(Some(output)) = outcome else { continue };
        for (to, reward) in recipe.rewards(output) {
            latest.put(tx, EvmLocation::Account(to), Entry::Delta(reward));
        }
    }
}

/// Why a transaction has not run.
pub(in crate::evm) enum NotRun<E> {
    /// Not everything below it is final.
    TooEarly,
    Error(TxError<Rejection, E>),
}

/// An EVM that runs transactions one after the other.
pub(in crate::evm) struct Runner<'a, D: DatabaseRef, X: Context> {
    pub(in crate::evm) machine: EvmMachine<'a, D, X>,
    pub(in crate::evm) recipe: &'a Recipe,
    /// The lowest transaction whose changes may not be in `latest` yet: they are in the journal, or with the ledger alone.
    pub(in crate::evm) first_pending: usize,
    /// Whether nothing of this block lies under it.
    pub(in crate::evm) is_bottom: bool,
    /// Takes together what transactions change, if they share a journal and nobody wants to hear of each.
    window: Option<Window>,
    /// Who folds what has been settled, if somebody does.
    pub(in crate::evm) feed: Option<Feed>,
    /// Outcomes and receipts of those before the next one, unless somebody hears of each.
    pub(in crate::evm) split: Splitting,
    is_streamed: bool,
    /// What it leaves is kept with the groups of a private batch, which reads nothing that is credited.
    is_private: bool,
    /// What those that were taken together have set aside.
    aside: Aside,
}

impl<'a, D: DatabaseRef, X: Context> Runner<'a, D, X> {
    /// Runs transactions on `machine`.
    pub(in crate::evm) fn new(
        machine: EvmMachine<'a, D, X>,
        recipe: &'a Recipe,
        (first_pending, is_bottom): (usize, bool),
    ) -> Self {
        Self {
            machine,
            recipe,
            first_pending,
            is_bottom,
            window: recipe.shares.then(|| Window::with_mutant(recipe.mutant)),
            feed: None,
            split: Splitting::default(),
            is_streamed: false,
            is_private: false,
            aside: Aside::default(),
        }
    }

    /// The same for private batches.
    pub(in crate::evm) const fn for_batches(mut self) -> Self {
        self.is_private = true;
        self
    }

    /// Somebody hears of each transaction.
    pub(in crate::evm) fn stream(&mut self) {
        (self.is_streamed, self.window) = (true, None);
    }

    /// Goes on from `split`, which has the results of the first transactions, and will have those of all below `end`.
    pub(in crate::evm) fn go_on_from(
        &mut self,
        split: Splitting,
        end: usize,
        ledger: &mut EvmLedger,
    ) {
        self.split = split;
        if !self.is_streamed {
            self.split.expect(end);
        }
        self.catch_up(ledger);
    }

    /// Runs `tx` and keeps what it leaves.
    pub(in crate::evm) fn run(
        &mut self,
        tx: TxIndex,
        ledger: &mut EvmLedger,
    ) -> Result<(), NotRun<D::Error>> {
        let forgotten = is_evm_mutant!(self.recipe.mutant, JournalForgotten);
        let is_complete = self.first_pending >= tx.position() || forgotten;
        self.machine.view_mut().set_complete(is_complete);
        self.machine.begin(tx);
        let window = self.window.as_mut();
        let ran = match catch_unwind(AssertUnwindSafe(|| self.machine.run_tx(tx, window))) {
            Ok(ran) => ran,
            Err(payload) => {
                let earlier = self.machine.undo(self.window.as_mut());
                self.give(earlier, ledger);
                return match self.machine.end().1 {
                    Some(stop) => self.stopped(tx, stop, is_complete, ledger),
                    None => Err(NotRun::Error(TxError::Panicked(payload))),
                };
            }
        };
        self.give(ran.earlier, ledger);
        // The latch counts, whatever the EVM made of it.
        if let Some(stop) = self.machine.end().1 {
            return self.stopped(tx, stop, is_complete, ledger);
        }
        match ran.result {
            Err(reason) => {
                // revm leaves loaded accounts in the journal.
                self.leave_journal(tx.position() + 1, ledger);
                Err(NotRun::Error(TxError::Rejected(reason)))
            }
            Ok(output) => {
                self.keep(tx, &output);
                self.commit(tx, output, ledger);
                if !ran.goes_on {
                    self.leave_journal(tx.position() + 1, ledger);
                } else if self.window.as_ref().is_some_and(Window::is_full) {
                    self.settle(ledger);
                }
                Ok(())
            }
        }
    }

    /// A read of `tx` had no answer.
    fn stopped(
        &mut self,
        tx: TxIndex,
        stop: Stop<D::Error>,
        is_complete: bool,
        ledger: &mut EvmLedger,
    ) -> Result<(), NotRun<D::Error>> {
        match stop {
            Stop::Base(error) => Err(NotRun::Error(TxError::Base(error))),
            Stop::Blocked(_) | Stop::TooEarly if !is_complete => {
                // It asked who has written what, and part of that is in the journal.
                self.leave_journal(tx.position(), ledger);
                self.run(tx, ledger)
            }
            Stop::Blocked(_) | Stop::TooEarly => Err(NotRun::TooEarly),
        }
    }

    /// Commits `tx`.
    fn commit(&mut self, tx: TxIndex, output: TxOutput, ledger: &mut EvmLedger) {
        if self.is_streamed {
            return ledger.commit(tx, Arc::new(output));
        }
        let TxOutput { result, changes, mask, aside, work } = output;
        let left = if self.is_settled() {
            Some(TxOutput::left(changes, mask, aside))
        } else {
            // It is in the window.
            self.aside.append(&aside);
            None
        };
        ledger.note_work(tx, work);
        ledger.commit_left(tx, result.gas(), left);
        if let Some(tx) = self.recipe.block.transactions.get(tx.position()) {
            self.split.add_executed(tx, result);
        }
    }

    /// Takes over the results of transactions that it has not run, or that were left out.
    pub(in crate::evm) fn catch_up(&mut self, ledger: &mut EvmLedger) {
        if !self.is_streamed {
            ledger.split_into(&mut self.split);
        }
    }

    pub(in crate::evm) fn latest(&mut self) -> &mut Latest<EvmLocation> {
        let Some(latest) = self.machine.view_mut().latest_mut() else {
            unreachable!("the view was made over what is final or of one part")
        };
        latest
    }

    /// Keeps what lies outside the journal.
    fn keep(&mut self, tx: TxIndex, output: &TxOutput) {
        let mut writes = Vec::new();
        remember(&mut writes, &output.changes, self.machine.view_mut().remembered());
        for (location, entry) in writes {
            self.latest().put(tx, location, entry);
        }
        let recipe = self.recipe;
        let unseen = is_evm_mutant!(recipe.mutant, RewardUnseen) || self.is_private;
        for (to, reward) in recipe.rewards(output).filter(|_| !unseen) {
            self.latest().put(tx, EvmLocation::Account(to), Entry::Delta(reward));
        }
    }

    /// Ends the journal, in which there is what transactions below `end` have left, and takes that
    /// over.
    pub(in crate::evm) fn leave_journal(&mut self, end: usize, ledger: &mut EvmLedger) {
        self.settle(ledger);
        let journal = self.machine.end_journal();
        let first = core::mem::replace(&mut self.first_pending, end);
        let recipe = self.recipe;
        take_over(self.latest(), (ledger, first..end), recipe, |_| true);
        if self.is_bottom {
            self.latest().keep_slots(&journal);
        }
    }

    /// Takes together what the last transactions have changed.
    pub(in crate::evm) fn settle(&mut self, ledger: &mut EvmLedger) {
        if let Some(window) = self.window.as_mut().filter(|window| window.len() > 0) {
            let changes = window.take(self.machine.journal());
            self.give(changes, ledger);
        }
    }

    /// Gives what was taken together to the last of those that have left it.
    fn give(&mut self, changes: Vec<AccountChange>, ledger: &mut EvmLedger) {
        if changes.is_empty() && (self.aside.is_empty() || !self.is_settled()) {
            return;
        }
        let mut aside = core::mem::take(&mut self.aside);
        if is_evm_mutant!(self.recipe.mutant, AsideLost) {
            aside = Aside::default();
        }
        // Whoever follows does not share accounts out.
        let mask = match &self.feed {
            Some(_) => u64::MAX,
            None => self.recipe.spread.mask(&changes),
        };
        ledger.give(TxOutput::left(changes, mask, aside));
    }

    /// Whether it is known what all of them have changed.
    pub(in crate::evm) fn is_settled(&self) -> bool {
        self.window.as_ref().is_none_or(|window| window.len() == 0)
    }

    /// Lets whoever follows have what is settled.
    pub(in crate::evm) fn hand_on(&mut self, ledger: &EvmLedger) {
        if self.is_settled()
            && let Some(feed) = &mut self.feed
        {
            feed.send(&ledger.outcomes);
        }
    }
}

impl Latest<EvmLocation> {
    /// Slots that were read and not written: nobody has to ask the database for them again.
    fn keep_slots(&mut self, journal: &EvmState) {
        let lasting =
            |account: &revm::state::Account| !account.is_created() && !account.is_selfdestructed();
        for (address, account) in journal.iter().filter(|(_, account)| lasting(account)) {
            for (slot, value) in &account.storage {
                let location = EvmLocation::Storage(*address, *slot);
                self.keep_base(location, EvmValue::Slot(value.present_value));
            }
        }
    }
}
