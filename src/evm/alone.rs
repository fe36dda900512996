//! Runs transactions one after the other on the calling thread: where there is nobody to share them
//! with, or nothing to gain.
//!
//! Everything below a transaction is final here, so nothing is recorded, compared or published:
//! revm's journal is kept for as long as its rules allow (see `journal`), and only what leaves it
//! goes into the one version of the state that is needed.

use super::base::StateSource;
use super::error::{cancelled, failure};
use super::follower::Feed;
use super::ledger::{Committed, EvmLedger};
use super::location::EvmLocation;
use super::machine::{EvmMachine, Recipe};
use super::mutants::is_evm_mutant;
use super::runner::{NotRun, Runner, take_over};
use super::session::{Failure, Session};
use super::view::EvmView;
use crate::config::Mode;
use crate::ids::{Incarnation, TxIndex, Version, WorkerId};
use crate::mv::{Latest, Store};
use crate::protocol::{Failure as Kind, Halt};
use crate::runtime::Threads;
use crate::sync::bounded;
use crate::worker::{Ledger, Machine, TxError};
use alloy_primitives::{Address, B256, U256};
use core::convert::Infallible;
use core::ops::ControlFlow;
use revm::state::{Account, AccountInfo, Bytecode, EvmState};
use revm::{Database, DatabaseRef};

/// What transactions that ran alone have left.
#[derive(Debug, Default)]
pub(super) struct Alone {
    /// All that has left the journal.
    pub(super) latest: Latest<EvmLocation>,
    /// What is still in journals, those of later transactions behind.
    pub(super) journals: Vec<EvmState>,
    /// The lowest transaction whose changes may still be in them.
    pub(super) first_in_journal: usize,
    /// The first of them, if others have left something in the store before.
    pub(super) first: Option<TxIndex>,
}

impl Alone {
    /// Nothing yet: those from `first` on will run alone.
    pub(super) fn from(first: TxIndex) -> Self {
        Self { first_in_journal: first.position(), first: Some(first), ..Self::default() }
    }

    /// What parts of a block have left, the first transaction of which is `first`; `under` it somebody else has
    /// left something in the store. Without `journals` it is taken from `ledger`.
    pub(super) fn after_parts(
        latest: Latest<EvmLocation>,
        journals: Option<Vec<EvmState>>,
        (first, under): (TxIndex, Option<TxIndex>),
        ledger: &EvmLedger,
        recipe: &Recipe,
    ) -> Self {
        let is_in_journals = journals.is_some();
        let journals = journals.unwrap_or_default();
        let mut alone = Self { latest, journals, first_in_journal: first.position(), first: under };
        if !is_in_journals {
            alone.leave_journals(ledger, recipe);
        }
        alone
    }

    /// Whether any transaction below `frontier`, the lowest that is left, is among those that it is of.
    pub(super) fn has_run(&self, frontier: TxIndex) -> bool {
        self.first != Some(frontier)
    }

    /// Whether nothing is left in the journal of what transactions below `end` have changed.
    pub(super) const fn is_complete(&self, end: usize) -> bool {
        self.first_in_journal >= end
    }

    /// Takes over what is in the journals.
    pub(super) fn leave_journals(&mut self, ledger: &EvmLedger, recipe: &Recipe) {
        self.journals.clear();
        let end = ledger.outcomes.len();
        let first = core::mem::replace(&mut self.first_in_journal, end);
        take_over(&mut self.latest, ledger, first..end, recipe);
    }

    /// Remembers, of a block that began with it, what is credited later: each credit is added at once then.
    fn keep_receivers(&mut self, recipe: &Recipe, store: &Store<EvmLocation>) {
        for receiver in recipe.receivers().filter(|_| self.first.is_none()) {
            let location = EvmLocation::Account(receiver);
            if let Some(value) = store.base(&location) {
                self.latest.keep_base(location, value);
            }
        }
    }

    /// What lies under it.
    pub(super) fn under<'a>(
        &self,
        store: &'a Store<EvmLocation>,
    ) -> Option<(&'a Store<EvmLocation>, TxIndex)> {
        self.first.map(|first| (store, first))
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
        let mut alone = self.alone.take().unwrap_or_else(|| match self.speculates {
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
        alone.keep_receivers(recipe, &self.store);
        let view = EvmView::after(recipe, alone.latest, under, base, &Threads::SLEEPY);
        let machine = EvmMachine::over(recipe, view);
        let (first_in_journal, is_bottom) = (alone.first_in_journal, under.is_none());
        let mut runner = Runner::new(machine, recipe, (first_in_journal, is_bottom));
        runner.feed = feed;
        if on_commit.is_some() {
            runner.stream();
        }
        runner.go_on_from(self.growing.take_split(), end, &mut self.ledger);
        // An earlier round's journal was another EVM's.
        runner.leave_journal(self.frontier.position(), &mut self.ledger);
        runner.machine.expect(self.frontier.position()..end);
        let mut failed = None;
        while self.frontier.position() < end && failed.is_none() {
            failed = step(&mut runner, self.frontier, mode, &mut self.ledger);
            runner.hand_on(&self.ledger);
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
        self.growing.split = core::mem::take(&mut runner.split);
        drop(runner);
        self.ledger.stream_to(None);
        self.alone = Some(Alone { latest, journals: vec![journal], first_in_journal, first });
        (self, failed)
    }

    /// Puts what transactions that ran alone have left into the store, where others will read it.
    pub(super) fn hand_back(&mut self) {
        let Some(mut alone) = self.alone.take() else { return };
        let Self { workload, ledger, store, frontier, .. } = self;
        let recipe = &workload.recipe;
        let first = alone.first.unwrap_or(TxIndex(0));
        alone.leave_journals(ledger, recipe);
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
            Err(NotRun::TooEarly) => unreachable!("everything below is final"),
            Err(NotRun::Error(error)) => (Halt::Failed(tx, Kind::Fatal), error),
        },
        Err(room) => (Halt::NoRoom(tx), TxError::Rejected(room)),
    };
    match error {
        TxError::Rejected(reason)
            if mode == Mode::Build && EvmMachine::<D, Threads>::may_skip(&reason) =>
        {
            ledger.skip(tx, reason);
            runner.catch_up(ledger);
            None
        }
        error => failure(tx, Some(halt), Some(error), None),
    }
}

/// The state after the last transaction: journals, each over those before it, and what has left them.
pub(super) struct AfterJournals<DB> {
    pub(super) journals: Vec<EvmState>,
    pub(super) below: DB,
}

impl<DB> AfterJournals<DB> {
    /// What the journals have of `address`, the newest first.
    fn accounts(&self, address: Address) -> impl Iterator<Item = &Account> {
        self.journals.iter().rev().filter_map(move |journal| journal.get(&address))
    }
}

impl<DB: Database> Database for AfterJournals<DB> {
    type Error = DB::Error;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, DB::Error> {
        let account = self.accounts(address).next();
        match account {
            Some(account) if account.is_loaded_as_not_existing() => Ok(None),
            Some(account) => Ok(Some(account.info.clone())),
            None => self.below.basic(address),
        }
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, DB::Error> {
        self.below.code_by_hash(hash)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, DB::Error> {
        let value = self.accounts(address).find_map(|account| account.storage.get(&slot));
        match value.map(|value| value.present_value) {
            Some(value) => Ok(value),
            None => self.below.storage(address, slot),
        }
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, DB::Error> {
        self.below.block_hash(number)
    }
}
