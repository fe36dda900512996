//! Runs transactions one after the other on the calling thread: where there is nobody to share them
//! with, or nothing to gain.
//!
//! Everything below a transaction is final here, so nothing is recorded, compared or published:
//! revm's journal is kept for as long as its rules allow (see `journal`), and only what leaves it
//! goes into the one version of the state that is needed.

use super::base::StateSource;
use super::change::AccountChange;
use super::effects::{remember, write_set};
use super::error::Rejection;
use super::follower::Feed;
use super::ledger::{Committed, EvmLedger};
use super::location::{EvmLocation, EvmValue};
use super::machine::{EvmMachine, Ran, Recipe, TxOutput};
use super::mutants::is_evm_mutant;
use super::session::{Failure, Session, cancelled, failure};
use super::view::EvmView;
use super::window::Window;
use crate::config::Mode;
use crate::ids::{Incarnation, TxIndex, Version, WorkerId};
use crate::mv::{Entry, Latest, Store};
use crate::protocol::{Failure as Kind, Halt};
use crate::runtime::Threads;
use crate::sync::bounded;
use crate::worker::{Ledger, Machine, Stop, TxError};
use alloy_primitives::{Address, B256, U256};
use core::convert::Infallible;
use core::ops::{ControlFlow, Range};
use revm::state::{AccountInfo, Bytecode, EvmState};
use revm::{Database, DatabaseRef};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What transactions that ran alone have left.
#[derive(Debug, Default)]
pub(super) struct Alone {
    /// All that has left the journal.
    pub(super) latest: Latest<EvmLocation>,
    /// What is still in it.
    pub(super) journal: EvmState,
    /// The lowest transaction whose changes may still be in it.
    first_in_journal: usize,
    /// The first of them, if others have left something in the store before.
    first: Option<TxIndex>,
}

impl Alone {
    /// Nothing yet: those from `first` on will run alone.
    fn from(first: TxIndex) -> Self {
        Self { first_in_journal: first.position(), first: Some(first), ..Self::default() }
    }

    /// Whether nothing is left in the journal of what transactions below `end` have changed.
    pub(super) const fn is_complete(&self, end: usize) -> bool {
        self.first_in_journal >= end
    }

    /// Takes over what is in the journal.
    pub(super) fn leave_journal(
        &mut self,
        outcomes: &[Result<Arc<TxOutput>, Rejection>],
        recipe: &Recipe,
    ) {
        self.journal = EvmState::default();
        let first = core::mem::replace(&mut self.first_in_journal, outcomes.len());
        take_over(&mut self.latest, outcomes, first..outcomes.len(), recipe);
    }

    /// What lies under it.
    pub(super) fn under<'a>(
        &self,
        store: &'a Store<EvmLocation>,
    ) -> Option<(&'a Store<EvmLocation>, TxIndex)> {
        self.first.map(|first| (store, first))
    }
}

/// Takes over into `latest` what transactions of `range` have left in a journal.
fn take_over(
    latest: &mut Latest<EvmLocation>,
    outcomes: &[Result<Arc<TxOutput>, Rejection>],
    range: Range<usize>,
    recipe: &Recipe,
) {
    if is_evm_mutant!(recipe.mutant, JournalLost) {
        return;
    }
    for (tx, outcome) in outcomes.iter().enumerate().take(range.end).skip(range.start) {
        // Most have nothing: what they have changed was taken together with others.
        let Some(output) = outcome.as_ref().ok().filter(|output| !output.changes.is_empty()) else {
            continue;
        };
        let tx = TxIndex(u32::try_from(tx).unwrap_or(u32::MAX));
        for (location, entry) in write_set(&output.changes, recipe) {
            latest.put(tx, location, entry);
        }
    }
}

/// An EVM that runs transactions alone.
struct Runner<'a, D: DatabaseRef> {
    machine: EvmMachine<'a, D, Threads>,
    recipe: &'a Recipe,
    first_in_journal: usize,
    /// Whether nothing of this block lies under it.
    is_bottom: bool,
    /// Takes together what transactions change, unless somebody wants to hear of each.
    window: Option<Window>,
    /// Who folds what has been settled, if somebody does.
    feed: Option<Feed>,
}

impl<D: DatabaseRef> Runner<'_, D> {
    /// Runs `tx` and keeps what it leaves.
    fn run(
        &mut self,
        tx: TxIndex,
        ledger: &mut EvmLedger,
    ) -> Result<(), TxError<Rejection, D::Error>> {
        let forgotten = is_evm_mutant!(self.recipe.mutant, JournalForgotten);
        let is_complete = self.first_in_journal >= tx.position() || forgotten;
        self.machine.view_mut().set_complete(is_complete);
        self.machine.begin(tx);
        let window = self.window.as_mut();
        let ran = catch_unwind(AssertUnwindSafe(|| self.machine.run_tx(tx, window)));
        let (result, goes_on, earlier) = match ran {
            Ok(Ran { result, goes_on, earlier }) => (Ok(result), goes_on, earlier),
            Err(payload) => (Err(payload), false, self.machine.undo(self.window.as_mut())),
        };
        self.give(earlier, ledger);
        // The latch counts, whatever the EVM made of it.
        match (self.machine.end().1, result) {
            (Some(Stop::Base(error)), _) => Err(TxError::Base(error)),
            (Some(Stop::Blocked(_) | Stop::TooEarly), _) if !is_complete => {
                // It asked who has written what, and part of that is in the journal.
                self.leave_journal(tx.position(), ledger);
                self.run(tx, ledger)
            }
            (Some(Stop::Blocked(_) | Stop::TooEarly), _) => {
                unreachable!("everything below is final")
            }
            (None, Err(payload)) => Err(TxError::Panicked(payload)),
            (None, Ok(Err(reason))) => {
                // revm leaves loaded accounts in the journal.
                self.leave_journal(tx.position() + 1, ledger);
                Err(TxError::Rejected(reason))
            }
            (None, Ok(Ok(output))) => {
                self.keep(tx, &output);
                ledger.commit(tx, Arc::new(output));
                if !goes_on {
                    self.leave_journal(tx.position() + 1, ledger);
                } else if self.window.as_ref().is_some_and(Window::is_full) {
                    self.settle(ledger);
                }
                Ok(())
            }
        }
    }

    fn latest(&mut self) -> &mut Latest<EvmLocation> {
        let Some(latest) = self.machine.view_mut().latest_mut() else {
            unreachable!("the view was made over what is final")
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
        let unseen = is_evm_mutant!(recipe.mutant, RewardUnseen);
        for (to, reward) in recipe.rewards(output).filter(|_| !unseen) {
            self.latest().put(tx, EvmLocation::Account(to), Entry::Delta(reward));
        }
    }

    /// Ends the journal, in which there is what transactions below `end` have left, and takes that
    /// over.
    fn leave_journal(&mut self, end: usize, ledger: &mut EvmLedger) {
        self.settle(ledger);
        let journal = self.machine.end_journal();
        let first = core::mem::replace(&mut self.first_in_journal, end);
        let recipe = self.recipe;
        take_over(self.latest(), &ledger.outcomes, first..end, recipe);
        if self.is_bottom {
            self.latest().keep_slots(&journal);
        }
    }

    /// Takes together what the last transactions have changed.
    fn settle(&mut self, ledger: &mut EvmLedger) {
        if let Some(window) = self.window.as_mut().filter(|window| window.len() > 0) {
            let changes = window.take(self.machine.journal());
            self.give(changes, ledger);
        }
    }

    /// Gives what was taken together to the last of those that have changed it.
    fn give(&mut self, changes: Vec<AccountChange>, ledger: &mut EvmLedger) {
        if changes.is_empty() {
            return;
        }
        // Whoever follows does not share accounts out.
        let mask = match &self.feed {
            Some(_) => u64::MAX,
            None => self.recipe.spread.mask(&changes),
        };
        ledger.give(changes, mask);
    }

    /// Lets go of what is settled.
    fn hand_on(&mut self, ledger: &mut EvmLedger) {
        if self.window.as_ref().is_none_or(|window| window.len() == 0)
            && let Some(feed) = &mut self.feed
        {
            feed.send(&mut ledger.outcomes);
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

impl<S: StateSource> Session<S> {
    /// Runs what has not run of the transactions below `end`; `on_commit` hears of each at once, and
    /// `feed` of what is settled.
    pub(super) fn run_alone<F>(
        mut self,
        end: usize,
        mode: Mode,
        mut on_commit: Option<&mut F>,
        feed: Option<Feed>,
    ) -> (Self, Option<Failure<S>>)
    where
        F: FnMut(Committed) -> ControlFlow<()>,
    {
        let alone = self.alone.take().unwrap_or_else(|| match self.speculates {
            true => Alone::from(self.frontier),
            false => Alone::default(),
        });
        if self.frontier.position() >= end {
            self.alone = Some(alone);
            return (self, None);
        }
        let base = match self.workload.base(WorkerId(0)) {
            Ok(base) => base,
            Err(error) => {
                let halt = Halt::Failed(self.frontier, Kind::Fatal);
                let failed = failure(self.frontier, Some(halt), Some(TxError::Base(error)), None);
                self.alone = Some(alone);
                return (self, failed);
            }
        };
        let (sender, stream) = bounded(1);
        self.ledger.stream_to(on_commit.is_some().then_some(sender));
        let recipe = &self.workload.recipe;
        let under = alone.under(&self.store);
        let view = EvmView::after(recipe, alone.latest, under, base, &Threads::SLEEPY);
        let mut machine = EvmMachine::over(recipe, view);
        // Each brings its sender, and a plain payment its receiver; contracts are often the same.
        let left = recipe.block.transactions.get(self.frontier.position()..end);
        let left = left.unwrap_or_default().iter();
        machine.expect_accounts(left.map(|tx| 1 + usize::from(tx.data.is_empty())).sum());
        let window = Window::with_mutant(recipe.mutant);
        let window = Some(window).filter(|_| recipe.shares && on_commit.is_none());
        let (first_in_journal, is_bottom) = (alone.first_in_journal, under.is_none());
        let mut runner = Runner { machine, recipe, first_in_journal, is_bottom, window, feed };
        // An earlier round's journal was another EVM's.
        runner.leave_journal(self.frontier.position(), &mut self.ledger);
        let mut failed = None;
        while self.frontier.position() < end && failed.is_none() {
            failed = step(&mut runner, self.frontier, mode, &mut self.ledger);
            runner.hand_on(&mut self.ledger);
            if failed.is_some() {
                break;
            }
            self.tally.protocol.runs += 1;
            self.frontier = self.frontier.next();
            if let Some(on_commit) = &mut on_commit
                && let Ok(committed) = stream.try_recv()
                && on_commit(committed).is_break()
            {
                failed = Some(cancelled(self.frontier, recipe.block.transactions.len()));
            }
        }
        let (first_in_journal, first) = (runner.first_in_journal, alone.first);
        runner.settle(&mut self.ledger);
        let journal = runner.machine.end_journal();
        let latest = core::mem::take(runner.latest());
        drop(runner);
        self.ledger.stream_to(None);
        self.alone = Some(Alone { latest, journal, first_in_journal, first });
        (self, failed)
    }

    /// Puts what transactions that ran alone have left into the store, where others will read it.
    pub(super) fn hand_back(&mut self) {
        let Some(mut alone) = self.alone.take() else { return };
        let Self { workload, ledger, store, frontier, .. } = self;
        let recipe = &workload.recipe;
        let first = alone.first.unwrap_or(TxIndex(0));
        alone.leave_journal(&ledger.outcomes, recipe);
        let mut latest = alone.latest;
        let unsummed = is_evm_mutant!(recipe.mutant, HandBackUnsummed);
        for receiver in recipe.receivers().filter(|_| !unsummed) {
            let location = EvmLocation::Account(receiver);
            let base = || -> Result<_, Infallible> { unreachable!("it was seeded") };
            let Ok(_) = latest.read(&location, || store.newest(&location, first, base));
        }
        let lost = is_evm_mutant!(recipe.mutant, HandBackLost);
        for (tx, location, entry) in latest.into_entries().filter(|_| !lost) {
            let version = Version { tx, incarnation: Incarnation(0) };
            store.publish(version, &location, entry, &mut Vec::new());
        }
        store.set_frontier(*frontier);
    }
}

/// Runs the lowest transaction that is left, or leaves it out. Returns why the block ends with it,
/// if it does.
fn step<D: DatabaseRef>(
    runner: &mut Runner<'_, D>,
    tx: TxIndex,
    mode: Mode,
    ledger: &mut EvmLedger,
) -> Option<(super::error::At, super::error::BlockErrorKind<D::Error>)> {
    let (halt, error) = match ledger.admit(tx) {
        Ok(()) => match runner.run(tx, ledger) {
            Ok(()) => return None,
            Err(error) => (Halt::Failed(tx, Kind::Fatal), error),
        },
        Err(room) => (Halt::NoRoom(tx), TxError::Rejected(room)),
    };
    match error {
        TxError::Rejected(reason)
            if mode == Mode::Build && EvmMachine::<D, Threads>::may_skip(&reason) =>
        {
            ledger.skip(tx, reason);
            None
        }
        error => failure(tx, Some(halt), Some(error), None),
    }
}

/// The state after the last transaction: the journal, over what has left it.
pub(super) struct AfterJournal<DB> {
    pub(super) journal: EvmState,
    pub(super) below: DB,
}

impl<DB: Database> Database for AfterJournal<DB> {
    type Error = DB::Error;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, DB::Error> {
        match self.journal.get(&address) {
            Some(account) if account.is_loaded_as_not_existing() => Ok(None),
            Some(account) => Ok(Some(account.info.clone())),
            None => self.below.basic(address),
        }
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, DB::Error> {
        self.below.code_by_hash(hash)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, DB::Error> {
        let account = self.journal.get(&address);
        match account.and_then(|account| account.storage.get(&slot)) {
            Some(value) => Ok(value.present_value),
            None => self.below.storage(address, slot),
        }
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, DB::Error> {
        self.below.block_hash(number)
    }
}
