//! A block in lanes, where most of its transactions have something to do with few others: those that share a
//! sender or a call run one after the other, on one worker and in one journal, beside all others.
//!
//! A round of transactions is shared out among lanes, each of which runs on the state before the round; what it
//! writes goes into the store at once, where nobody of this round looks for it. Then the caller finds out up to
//! which transaction everything is as if they had run in order ([`in_order_below`]), commits that much, and
//! takes the rest back. What cannot be told by what was read and written - whoever is credited as
//! transactions commit, slots of blank accounts, transactions that are invalid or cannot be run - ends a lane
//! before the transaction that needs it, which then runs alone.

use super::alone::Alone;
use super::base::StateSource;
use super::crew::Crew;
use super::effects::for_each_write;
use super::error::{At, BlockErrorKind};
use super::experience::Experience;
use super::ledger::{Committed, EvmLedger};
use super::location::EvmLocation;
use super::machine::{EvmMachine, Ran, TxOutput};
use super::mutants::is_evm_mutant;
use super::plan::mean_gas_limit;
use super::rounds::{Pace, TURN, plan_round};
use super::run::DbError;
use super::session::{Failure, Session};
use super::view::EvmView;
use super::workload::EvmWorkload;
use crate::config::Config;
use crate::error::Invariant;
use crate::ids::{Incarnation, TxIndex, Version, WorkerId};
use crate::mv::{Digests, Entry, Footprint, Latest, Store, Trail, in_order_below};
use crate::protocol::Policy;
use crate::runtime::{Task, Threads};
use crate::schedule::Lanes;
use crate::sync::{AtomicU64, Mutex, SeqCst};
use crate::worker::{Ledger, Machine};
use core::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Transactions of which a block is tried in lanes: of a shorter one a trial that fails costs too much.
const WORTH_A_TRIAL: usize = 256;

/// Gas limit of a mean transaction below which lanes cost more than they save. A native transfer asks for 21,000.
const WORTH_LANES: u64 = 24_000;

/// What a worker has made of a lane.
struct Lane {
    trail: Trail,
    /// What became of its transactions, as far as they have run.
    outputs: Vec<(TxIndex, Arc<TxOutput>)>,
    /// The first one that has to run alone.
    ended: Option<TxIndex>,
}

/// A round: the part of each worker.
struct LanesTask<S> {
    workload: EvmWorkload<S>,
    store: Store<EvmLocation>,
    /// Where the round begins.
    first: TxIndex,
    lanes: Vec<Vec<TxIndex>>,
    /// The lane that is begun next.
    next: AtomicU64,
    /// With their places.
    done: Mutex<Vec<(usize, Lane)>>,
    /// None, of which those of all lanes are made.
    digests: Digests,
    /// Gas that was used before the round, and by what has run of it.
    used: AtomicU64,
}

const fn version(tx: TxIndex) -> Version {
    Version { tx, incarnation: Incarnation(0) }
}

impl<S: StateSource> LanesTask<S> {
    /// An EVM over the state before the round.
    fn machine(&self, worker: WorkerId) -> Result<EvmMachine<'_, S::State, Threads>, DbError<S>> {
        let Self { workload, store, first, digests, .. } = self;
        let base = workload.base(worker)?;
        let under = Some((store, *first));
        let view =
            EvmView::of_part(&workload.recipe, digests.clone(), under, base, &Threads::SLEEPY);
        Ok(EvmMachine::over(&workload.recipe, view))
    }

    fn run_lane(
        &self,
        machine: &mut EvmMachine<'_, S::State, Threads>,
        transactions: &[TxIndex],
    ) -> Lane {
        let recipe = &self.workload.recipe;
        let outputs = Vec::with_capacity(transactions.len());
        let mut lane = Lane { trail: Trail::new(&self.digests), outputs, ended: None };
        // Where the changes begin that are in the journal only.
        let mut in_journal = 0;
        for &tx in transactions {
            // If there is no room for those that have run what follows is in vain, whichever they are (I9).
            if self.used.load(SeqCst) > recipe.block.env.gas_limit {
                lane.ended = Some(tx);
                break;
            }
            machine.begin(tx);
            let ran = catch_unwind(AssertUnwindSafe(|| machine.run_tx(tx, None)));
            let stop = machine.end().1;
            if ran.is_err() {
                machine.undo(None);
            }
            let (Ok(Ran { result: Ok(output), goes_on, .. }), None) = (ran, stop) else {
                lane.ended = Some(tx);
                break;
            };
            self.used.fetch_add(output.result.tx_gas_used(), SeqCst);
            for_each_write(&output.changes, recipe, |location, entry| {
                lane.trail.write(&location);
                self.store.publish(version(tx), &location, entry, &mut Vec::new());
            });
            lane.trail.end(tx, machine.view_mut().reads_from_below());
            lane.outputs.push((tx, Arc::new(output)));
            if !goes_on {
                machine.end_journal();
                let Some(latest) = machine.view_mut().latest_mut() else { break };
                for (tx, output) in lane.outputs.iter().skip(in_journal) {
                    for_each_write(&output.changes, recipe, |location, entry| {
                        latest.put(*tx, location, entry);
                    });
                }
                in_journal = lane.outputs.len();
            }
        }
        machine.end_journal();
        if let Some(latest) = machine.view_mut().latest_mut() {
            *latest = Default::default();
        }
        if let Some(reads) = machine.view_mut().take_reads() {
            lane.trail.set_reads(reads);
        }
        lane
    }

    /// The end of those that have run as if in order, of the transactions below `end`, and the first one that has
    /// not run, if there is one.
    fn holds_below(&self, done: &[(usize, Lane)], end: TxIndex) -> (TxIndex, Option<TxIndex>) {
        let ended = done.iter().filter_map(|(_, lane)| lane.ended);
        let has_run = |place: usize| done.iter().any(|(other, _)| *other == place);
        let missing = self.lanes.iter().enumerate().filter(|(place, _)| !has_run(*place));
        let not_run = ended.chain(missing.filter_map(|(_, lane)| lane.first().copied())).min();
        if is_evm_mutant!(self.workload.recipe.mutant, LaneUnchecked) {
            return (end, not_run);
        }
        let trails: Vec<_> = done.iter().map(|(_, lane)| &lane.trail).collect();
        (in_order_below(&trails, end), not_run)
    }

    /// Commits what holds of the round, and takes the rest back.
    fn settle(&self, ledger: &mut EvmLedger, latest: &mut Latest<EvmLocation>) -> Came {
        let last = self.lanes.iter().filter_map(|lane| lane.last()).max();
        let end = last.map_or(self.first, |last| last.next());
        let mut done = core::mem::take(&mut *self.done.lock());
        let begun = self.next.load(SeqCst).min(self.lanes.len() as u64);
        let is_lost = (done.len() as u64) < begun;
        let (conflict, not_run) = self.holds_below(&done, end);
        let below = not_run.map_or(conflict, |not_run| not_run.min(conflict));
        let outputs = done.iter_mut().flat_map(|(_, lane)| core::mem::take(&mut lane.outputs));
        let mut outputs: Vec<_> = outputs.collect();
        outputs.sort_unstable_by_key(|(tx, _)| *tx);
        let (runs, mut frontier) = (outputs.len() as u64, self.first);
        let recipe = &self.workload.recipe;
        let lost = is_evm_mutant!(recipe.mutant, LaneCreditsLost);
        let unasked = is_evm_mutant!(recipe.mutant, LaneNotAdmitted);
        for (tx, output) in outputs {
            // All below it are committed if it comes next.
            if tx != frontier || tx >= below || !(ledger.admit(tx).is_ok() || unasked) {
                self.take_back(tx, &output);
                continue;
            }
            for (to, reward) in recipe.rewards(&output).filter(|_| !lost) {
                latest.put(tx, EvmLocation::Account(to), Entry::Delta(reward));
            }
            ledger.commit(tx, output);
            frontier = tx.next();
        }
        let is_held = frontier < end && (frontier < below || not_run == Some(frontier));
        Came { frontier, runs, end, is_held, is_lost }
    }

    /// Takes back what a transaction has written.
    fn take_back(&self, tx: TxIndex, output: &TxOutput) {
        let recipe = &self.workload.recipe;
        let stays = is_evm_mutant!(recipe.mutant, LaneStays);
        for_each_write(&output.changes, recipe, |location, _| {
            if !stays {
                self.store.withdraw(version(tx), &location, &mut Vec::new());
            }
        });
    }
}

impl<S: StateSource> Task for LanesTask<S> {
    fn run(&self, worker: WorkerId) {
        // If it cannot be opened that is found out where transactions run in order.
        let Ok(mut machine) = self.machine(worker) else { return };
        loop {
            let place = self.next.fetch_add(1, SeqCst) as usize;
            let Some(lane) = self.lanes.get(place) else { return };
            let lane = self.run_lane(&mut machine, lane);
            self.done.lock().push((place, lane));
        }
    }
}

/// What a round came to.
#[derive(Clone, Copy)]
struct Came {
    /// Everything below it is committed.
    frontier: TxIndex,
    /// Transactions that have run.
    runs: u64,
    /// The end of the round.
    end: TxIndex,
    /// Whether the next transaction has to run alone.
    is_held: bool,
    /// Whoever ran a lane has failed, by a bug of ours.
    is_lost: bool,
}

/// Whether what has not run of a block should be tried in lanes.
pub(super) fn is_worth_lanes<'env, S: StateSource>(
    crew: &mut impl Crew<'env>,
    config: &Config,
    session: &Session<S>,
) -> bool {
    let Session { workload, tally, .. } = session;
    // Where reads are slow there are more workers than cores, and who waits for one is not in the way.
    let may = config.policy == Policy::Auto && crew.workers() > 1 && !crew.is_wide();
    let is_enough = session.left(workload.recipe.block.transactions.len()) >= WORTH_A_TRIAL;
    let is_chain = tally.foreseen_stretches > 0;
    let is_cheap = || mean_gas_limit(&workload.recipe.block) < WORTH_LANES;
    let fits = may && is_enough && !is_chain && workload.recipe.shares && !is_cheap();
    // Threads that are started for each round cost more than they save; a lasting crew remembers.
    let tries = |experience: &mut Experience| !config.learn || experience.tries_lanes();
    fits && crew.experience().is_some_and(tries)
}

impl<S: StateSource> Session<S> {
    /// Runs a round in lanes and a few transactions in order, by turns.
    pub(super) fn run_lanes_by_turns<'env, F, C>(
        mut self,
        crew: &mut C,
        config: &Config,
        mut on_commit: Option<&mut F>,
    ) -> (Self, Option<Failure<S>>)
    where
        S: 'env,
        F: FnMut(Committed) -> ControlFlow<()>,
        C: Crew<'env>,
    {
        let end = self.workload.recipe.block.transactions.len();
        loop {
            let mut failure = None;
            if on_commit.is_none() {
                let mut pace = Pace::forced();
                (self, failure) = self.run_lanes(end, crew, config, &mut pace);
            }
            if failure.is_none() {
                let until = end.min(self.frontier.position() + TURN);
                let hears = on_commit.as_deref_mut();
                (self, failure) = self.run_alone(until, config.mode, hears, None);
            }
            if failure.is_some() || self.frontier.position() >= end {
                return (self, failure);
            }
        }
    }

    /// Tries lanes for the transactions below `end`, and remembers whether that paid.
    pub(super) fn try_lanes<'env, C>(
        self,
        end: usize,
        crew: &mut C,
        config: &Config,
    ) -> (Self, Option<Failure<S>>)
    where
        S: 'env,
        C: Crew<'env>,
    {
        let mut pace = Pace::new(crew.workers());
        let (session, failure) = self.run_lanes(end, crew, config, &mut pace);
        if let Some(experience) = crew.experience().filter(|_| config.learn) {
            experience.learn_lanes(pace.has_paid());
        }
        (session, failure)
    }

    /// Runs transactions below `end` in lanes for as long as `pace` says that this pays.
    pub(super) fn run_lanes<'env, C>(
        mut self,
        end: usize,
        crew: &mut C,
        config: &Config,
        pace: &mut Pace,
    ) -> (Self, Option<Failure<S>>)
    where
        S: 'env,
        C: Crew<'env>,
    {
        if self.alone.is_some() {
            self.hand_back();
            self.alone = Some(Alone::from(self.frontier));
        }
        while self.left(end) > 0 && !pace.is_over() {
            let first = self.frontier.position();
            let round = first..end.min(first + pace.length());
            let used = self.ledger.gas().admitted(&self.workload.recipe.block);
            let lanes = plan_round(&self.workload.recipe.block, round, used, crew.workers());
            if !pace.allows(&lanes, crew.workers()) {
                continue;
            }
            let came;
            (self, came) = self.run_round(lanes, crew);
            if came.is_lost {
                let lost = BlockErrorKind::Internal(Invariant::WorkersGone);
                let lost = (At::Transaction(self.frontier), lost);
                return (self, Some(lost));
            }
            let committed = came.frontier.position() - first;
            pace.ran(committed, came.end.position() - came.frontier.position());
            if came.is_held {
                let failure;
                let next = self.frontier.position() + 1;
                let nobody = None::<&mut fn(Committed) -> ControlFlow<()>>;
                (self, failure) = self.run_alone(next, config.mode, nobody, None);
                if failure.is_some() {
                    return (self, failure);
                }
                self.hand_back();
                self.alone = Some(Alone::from(self.frontier));
            }
        }
        (self, None)
    }

    /// Runs one round.
    fn run_round<'env, C>(self, lanes: Lanes, crew: &mut C) -> (Self, Came)
    where
        S: 'env,
        C: Crew<'env>,
    {
        let Self { workload, store, mut ledger, mut tally, frontier: first, alone, .. } = self;
        let Self { growing, speculates, handed_over, .. } = self;
        let at = |place: usize| TxIndex(u32::try_from(place).unwrap_or(u32::MAX));
        let lanes = lanes.lanes.into_iter().map(|lane| lane.into_iter().map(at).collect());
        let lanes: Vec<Vec<TxIndex>> = lanes.collect();
        let digests = Footprint::default().digests();
        let (next, done) = (AtomicU64::new(0), Mutex::new(Vec::with_capacity(lanes.len())));
        let used = AtomicU64::new(ledger.gas().admitted(&workload.recipe.block));
        let task = Arc::new(LanesTask { workload, store, first, lanes, next, done, digests, used });
        let others: Arc<dyn Task + 'env> = task.clone();
        crew.run(&others, || task.run(WorkerId(0)));
        drop(others);
        let Some(task) = Arc::into_inner(task) else {
            // `Crew::run` returns when nobody holds the task.
            unreachable!("a worker still holds the block")
        };
        let mut alone = alone.unwrap_or_else(|| Alone::from(first));
        let came = task.settle(&mut ledger, &mut alone.latest);
        let frontier = came.frontier;
        let committed = u64::from(frontier.0 - first.0);
        (alone.first_in_journal, alone.first) = (frontier.position(), Some(frontier));
        tally.protocol.runs += came.runs;
        tally.protocol.discarded += came.runs - committed;
        // The first one would have run first anyway.
        tally.protocol.speculative_commits += committed.saturating_sub(1);
        tally.rounds += u64::from(committed > 0);
        let LanesTask { workload, store, .. } = task;
        let alone = Some(alone);
        let session = Self {
            workload,
            ledger,
            store,
            tally,
            frontier,
            alone,
            growing,
            speculates,
            handed_over,
        };
        (session, came)
    }
}
