//! Runs transactions one after the other on the calling thread: where there is nobody to share them
//! with, or nothing to gain.
//!
//! Everything below a transaction is final here, so nothing is recorded, compared or published:
//! revm's journal is kept for as long as its rules allow (see `journal`), and only what leaves it
//! goes into the one version of the state that is needed.

use super::block::committed::Committed;
use super::block::error::{Failure, cancelled, failure};
use super::engine::feed::Feed;
use super::engine::ledger::EvmLedger;
use super::engine::runner::{NotRun, Runner, take_over, take_over_credits};
use super::exec::base::StateSource;
use super::exec::location::EvmLocation;
use super::exec::machine::EvmMachine;
use super::exec::recipe::Recipe;
use super::exec::stopped::ViewStopped;
use super::exec::view::EvmView;
use super::mutants::{EvmMutant, is_evm_mutant};
use super::session::Session;
use crate::config::Mode;
use crate::ids::{Incarnation, TxIndex, Version, WorkerId};
use crate::mv::{ConflictIndex, Latest, Store};
use crate::protocol::{Failure as Kind, Halt};
use crate::runtime::Threads;
use crate::sync::bounded;
use crate::worker::{Ledger, Machine, TxError};
use alloy_primitives::{Address, B256, U256, map::AddressSet};
use core::convert::Infallible;
use core::ops::ControlFlow;
use revm::state::{Account, AccountInfo, Bytecode, EvmState};
use revm::{Database, DatabaseRef};

/// Where transactions have left what is not in `latest` yet.
#[derive(Debug, Default)]
pub(super) enum Pending {
    #[default]
    Nothing,
    /// In the journal of the EVM that has run them.
    Journal(EvmState),
    /// Private batches have changed these locations: only the ledger has the values, and what is credited, but for those
    /// of accounts that are `known`.
    Batches { changed: ConflictIndex<EvmLocation>, known: AddressSet },
}

/// What transactions that ran alone have left.
#[derive(Debug, Default)]
pub(super) struct Alone {
    /// All that has left the journal.
    pub(super) latest: Latest<EvmLocation>,
    /// What has not.
    pub(super) pending: Pending,
    /// The lowest transaction of which something may be pending.
    pub(super) first_pending: usize,
    /// The first of them, if others have left something in the store before.
    pub(super) first: Option<TxIndex>,
}

impl Alone {
    /// Nothing yet: those from `first` on will run alone.
    pub(super) fn from(first: TxIndex) -> Self {
        Self { first_pending: first.position(), first: Some(first), ..Self::default() }
    }

    /// What private batches have left from `first` on, which is not in the store; they have written what is in `changed`.
    pub(super) fn after_batches(changed: ConflictIndex<EvmLocation>, first: TxIndex) -> Self {
        let pending = Pending::Batches { changed, known: AddressSet::default() };
        Self { pending, ..Self::from(first) }
    }

    /// Whether any transaction below `frontier`, the lowest that is left, is among those that it is of.
    pub(super) fn has_run(&self, frontier: TxIndex) -> bool {
        self.first != Some(frontier)
    }

    /// Whether nothing is pending of what transactions below `end` have changed.
    pub(super) const fn is_complete(&self, end: usize) -> bool {
        self.first_pending >= end
    }

    /// Takes over what is pending.
    pub(super) fn complete(&mut self, ledger: &EvmLedger, recipe: &Recipe) {
        let pending = core::mem::take(&mut self.pending);
        let end = ledger.outcomes.len();
        let first = core::mem::replace(&mut self.first_pending, end);
        take_over(&mut self.latest, (ledger, first..end), recipe, |_| true);
        if let Pending::Batches { known, .. } = pending
            && known.is_empty()
        {
            take_over_credits(&mut self.latest, (ledger, first..end), recipe);
        }
    }

    /// Takes over what private batches have changed of `asked`, for which somebody asks, and of `others`, for which he will. If he
    /// comes again, or nobody knows for what he asks, all that is pending is taken over.
    pub(super) fn complete_for(
        &mut self,
        (asked, others): (Option<Address>, impl IntoIterator<Item = Address>),
        ledger: &EvmLedger,
        recipe: &Recipe,
    ) {
        match (asked, &mut self.pending) {
            // The first time: nothing has been taken over yet.
            (Some(asked), Pending::Batches { known, .. }) if known.is_empty() => {
                known.insert(asked);
                known.extend(others);
                let is_lost = is_evm_mutant!(recipe.mutant, PendingUntaken);
                let counts = |address: &Address| known.contains(address) && !is_lost;
                let range = self.first_pending..ledger.outcomes.len();
                take_over(&mut self.latest, (ledger, range.clone()), recipe, counts);
                take_over_credits(&mut self.latest, (ledger, range), recipe);
            }
            _ => self.complete(ledger, recipe),
        }
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
        if self.frontier.position() >= end {
            return (self, None);
        }
        let mut alone = self.take_alone();
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
        let pending = (alone.first_pending, under.is_none());
        let mut runner = Runner::new(machine, recipe, pending);
        runner.feed = feed;
        if on_commit.is_some() {
            runner.stream();
        }
        let split = self.ledger.growing.take_split();
        runner.go_on_from(split, end, &mut self.ledger);
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
        let (first_pending, first) = (runner.first_pending, alone.first);
        runner.settle(&mut self.ledger);
        let pending = Pending::Journal(runner.machine.end_journal());
        let latest = core::mem::take(runner.latest());
        self.ledger.growing.split = core::mem::take(&mut runner.split);
        drop(runner);
        self.ledger.stream_to(None);
        self.alone = Some(Alone { latest, pending, first_pending, first });
        (self, failed)
    }

    /// What those before the frontier have left beside the store.
    fn take_alone(&mut self) -> Alone {
        let mut alone = self.alone.take().unwrap_or_else(|| match self.speculates {
            true => Alone::from(self.frontier),
            false => Alone::default(),
        });
        if matches!(alone.pending, Pending::Batches { .. }) {
            alone.complete(&self.ledger, &self.workload.recipe);
        }
        alone
    }

    /// Puts what transactions that ran alone have left into the store, where others will read it.
    pub(super) fn hand_back(&mut self) {
        let Some(mut alone) = self.alone.take() else { return };
        let Self { workload, ledger, store, frontier, .. } = self;
        let recipe = &workload.recipe;
        let first = alone.first.unwrap_or(TxIndex(0));
        alone.complete(ledger, recipe);
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
    runner: &mut Runner<'_, D, Threads>,
    tx: TxIndex,
    mode: Mode,
    ledger: &mut EvmLedger,
) -> Option<(super::block::error::At, super::block::error::BlockErrorKind<D::Error>)> {
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

/// The state after the last transaction: what is pending, over all that is not.
pub(super) struct AfterLast<'a, D: DatabaseRef> {
    pub(super) pending: Pending,
    pub(super) below: EvmView<'a, D, Threads>,
    /// An account of which there was no answer, as private batches have changed it.
    pub(super) refused: Option<Address>,
    /// Accounts that may have been credited.
    pub(super) receivers: Vec<Address>,
    pub(super) mutant: EvmMutant,
}

impl<D: DatabaseRef> AfterLast<'_, D> {
    /// What the journal has of `address`. Refuses an answer if a batch has changed one of `locations`, unless that is
    /// known.
    fn account<const N: usize>(
        &mut self,
        address: Address,
        locations: [EvmLocation; N],
    ) -> Result<Option<&Account>, ViewStopped> {
        let (changed, known) = match &self.pending {
            Pending::Nothing => return Ok(None),
            Pending::Journal(journal) => return Ok(journal.get(&address)),
            Pending::Batches { changed, known } => (changed, known),
        };
        let is_changed = locations.iter().any(|it| changed.has(it));
        let is_credited = known.is_empty() && self.receivers.contains(&address);
        let is_pending = (is_changed && !known.contains(&address)) || is_credited;
        if is_pending && !is_evm_mutant!(self.mutant, PendingUnasked) {
            self.refused = Some(address);
            self.below.require_complete()?;
        }
        Ok(None)
    }
}

impl<D: DatabaseRef> Database for AfterLast<'_, D> {
    type Error = ViewStopped;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, ViewStopped> {
        let kinds =
            [EvmLocation::Lifecycle, EvmLocation::Account, EvmLocation::Balance, EvmLocation::Code];
        match self.account(address, kinds.map(|location| location(address)))? {
            Some(account) if account.is_loaded_as_not_existing() => Ok(None),
            Some(account) => Ok(Some(account.info.clone())),
            None => self.below.basic(address),
        }
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, ViewStopped> {
        self.below.code_by_hash(hash)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, ViewStopped> {
        let locations = [EvmLocation::Lifecycle(address), EvmLocation::Storage(address, slot)];
        let account = self.account(address, locations)?;
        match account.and_then(|account| account.storage.get(&slot)) {
            Some(value) => Ok(value.present_value),
            None => self.below.storage(address, slot),
        }
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, ViewStopped> {
        self.below.block_hash(number)
    }
}
