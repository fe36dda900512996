//! A round of lanes: each runs on the state before the round, and the caller commits what holds.

use super::block::ledger::EvmLedger;
use super::bundle::growing::Growing;
use super::exec::base::{DbError, StateSource};
use super::exec::effects::for_each_write;
use super::exec::location::EvmLocation;
use super::exec::machine::{EvmMachine, Ran};
use super::exec::tx_output::{Fate, TxOutput};
use super::exec::view::EvmView;
use super::exec::workload::EvmWorkload;
use super::mutants::is_evm_mutant;
use crate::ids::{Incarnation, TxIndex, Version, WorkerId};
use crate::mv::{Digests, Entry, Footprint, Latest, Store, Trail, in_order_below};
use crate::runtime::{Seat, Task, Threads};
use crate::sync::{AtomicU64, Mutex, SeqCst};
use crate::worker::{Context, Ledger, Machine, Point};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What a worker has made of a lane.
struct Lane {
    trail: Trail,
    /// What became of its transactions, as far as they have run.
    outputs: Vec<(TxIndex, Arc<TxOutput>)>,
    /// The first one that has to run alone.
    ended: Option<TxIndex>,
}

/// What became of transactions that were committed before, and where it goes.
pub(super) type Folding = (Growing, Vec<Fate>);

/// A round: the part of each worker.
pub(super) struct LanesTask<S> {
    pub(super) workload: EvmWorkload<S>,
    pub(super) store: Store<EvmLocation>,
    /// One of the workers sees to it, if there is anything.
    folding: Mutex<Option<Folding>>,
    folded: Mutex<Option<Growing>>,
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
    /// A round from `first` on in these lanes, before which the block has used `used` gas.
    pub(super) fn new(
        (workload, store): (EvmWorkload<S>, Store<EvmLocation>),
        first: TxIndex,
        lanes: Vec<Vec<TxIndex>>,
        used: u64,
        folding: Option<Folding>,
    ) -> Self {
        Self {
            workload,
            store,
            folding: Mutex::new(folding),
            folded: Mutex::new(None),
            first,
            next: AtomicU64::new(0),
            done: Mutex::new(Vec::with_capacity(lanes.len())),
            lanes,
            digests: Footprint::default().digests(),
            used: AtomicU64::new(used),
        }
    }

    /// Puts into the bundle what has not been, if nobody has begun with it.
    fn fold(&self) {
        let folding = self.folding.lock().take();
        if let Some((mut growing, outcomes)) = folding {
            let recipe = &self.workload.recipe;
            if is_evm_mutant!(recipe.mutant, LaneUnfolded) && !outcomes.is_empty() {
                growing.give_up_bundle();
            }
            growing.extend(&recipe.block, outcomes);
            *self.folded.lock() = Some(growing);
        }
    }

    /// What was made while the lanes ran.
    pub(super) fn take_folded(&self) -> Option<Growing> {
        self.folded.lock().take()
    }

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
                machine.clear_journal();
                let Some(latest) = machine.view_mut().latest_mut() else { break };
                for (tx, output) in lane.outputs.iter().skip(in_journal) {
                    for_each_write(&output.changes, recipe, |location, entry| {
                        latest.put(*tx, location, entry);
                    });
                }
                in_journal = lane.outputs.len();
            }
        }
        machine.clear_journal();
        if let Some(latest) = machine.view_mut().latest_mut() {
            latest.clear();
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
    pub(super) fn settle(&self, ledger: &mut EvmLedger, latest: &mut Latest<EvmLocation>) -> Came {
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
    fn run(&self, worker: WorkerId, seat: Seat<'_>) {
        self.fold();
        seat.yield_at(Point::Between);
        // If it cannot be opened that is found out where transactions run in order.
        let Ok(mut machine) = self.machine(worker) else { return };
        loop {
            let place = self.next.fetch_add(1, SeqCst) as usize;
            let Some(lane) = self.lanes.get(place) else { return };
            let lane = self.run_lane(&mut machine, lane);
            self.done.lock().push((place, lane));
            seat.yield_at(Point::Between);
        }
    }
}

/// What a round came to.
#[derive(Clone, Copy)]
pub(super) struct Came {
    /// Everything below it is committed.
    pub(super) frontier: TxIndex,
    /// Transactions that have run.
    pub(super) runs: u64,
    /// The end of the round.
    pub(super) end: TxIndex,
    /// Whether the next transaction has to run alone.
    pub(super) is_held: bool,
    /// Whoever ran a lane has failed, by a bug of ours.
    pub(super) is_lost: bool,
}
