//! A block in parts, where its transactions have nothing to do with each other: each worker runs parts of it
//! by itself, as one runs a block alone, with journals of its own.
//!
//! A part is adopted if nothing that it has read from below was changed by those before it. For what
//! cannot be told like that - whoever is credited as transactions commit, slots of blank accounts,
//! transactions that are invalid or cannot be run - a part ends before the transaction that needs it.

use super::alone::Alone;
use super::block::error::{At, BlockErrorKind, Failure};
use super::block::ledger::{Committed, EvmLedger};
use super::block::output::Tally;
use super::block::receipts::Splitting;
use super::bundle::growing::Growing;
use super::crew::{Crew, SLEEPY};
use super::exec::base::{DbError, StateSource};
use super::exec::effects::for_each_write;
use super::exec::input::Block;
use super::exec::location::EvmLocation;
use super::exec::machine::EvmMachine;
use super::exec::recipe::Recipe;
use super::exec::view::EvmView;
use super::exec::workload::EvmWorkload;
use super::experience::Experience;
use super::mutants::{EvmMutant, is_evm_mutant};
use super::plan::{begins_apart, looks_independent, mean_gas_limit};
use super::runner::Runner;
use super::session::Session;
use crate::config::Config;
use crate::error::Invariant;
use crate::ids::{TxIndex, WorkerId};
use crate::mv::{Digests, Entry, Footprint, Latest, Store};
use crate::protocol::Policy;
use crate::runtime::{Seat, Task, Threads};
use crate::sync::{AtomicU64, Receiver, SeqCst};
use crate::worker::{Done, Ledger, Parts};
use core::ops::{ControlFlow, Range};
use std::sync::Arc;

/// Transactions of which a block is tried in parts: less is not worth a trial that fails.
const WORTH_PARTING: usize = 1_000;
/// First parts for each worker that a shorter block has to have, if next to nothing ties its transactions to each
/// other.
const PARTS_OF_SHORT: usize = 2;
/// How much gas the transactions of a first part may ask for together, and how many there are at least and
/// at most. If they do not hold, not much was in vain.
const TRIAL_GAS: u64 = 2_000_000;
const TRIAL: (usize, usize) = (8, 64);
/// Transactions of a first part where parts are forced.
const FORCED: usize = 2;
/// Transactions for each worker that forced parts have together, so that what is in vain is bounded there, too.
const FORCED_TOGETHER: usize = 8;
/// Transactions that run in order between forced parts.
const TURN: usize = 3;
/// Workers up to which one of them can make the bundle besides, of what all others have left.
pub(super) const FEW: usize = 4;

/// What a worker has made of a part.
struct Part {
    /// Without results, which are in `split`.
    ledger: EvmLedger,
    split: Splitting,
    /// What it has read from below.
    reads: Digests,
    writes: Digests,
    /// What is set aside; and what has left the journal, for its own transactions: the ledger has that, too.
    latest: Latest<EvmLocation>,
    /// Whether what follows it may count.
    goes_on: bool,
}

/// The part of each worker.
struct PartsTask<S> {
    workload: EvmWorkload<S>,
    store: Store<EvmLocation>,
    /// Where the first part begins.
    first: TxIndex,
    parts: Parts<Part>,
    /// None, to be compared with what was written.
    digests: Digests,
    /// Gas that all parts have used which have come to an end.
    used: AtomicU64,
}

impl<S: StateSource> PartsTask<S> {
    /// An EVM over the state before all parts.
    fn runner(&self, worker: WorkerId) -> Result<Runner<'_, S::State>, DbError<S>> {
        let Self { workload, store, first, digests, .. } = self;
        let recipe = &workload.recipe;
        let base = workload.base(worker)?;
        let under = (*first > TxIndex(0)).then_some((store, *first));
        let view = EvmView::of_part(recipe, digests.clone(), under, base, &Threads::SLEEPY);
        let machine = EvmMachine::over(recipe, view);
        // What it leaves is thrown away with the part: no base value is worth keeping.
        let (first_pending, is_bottom) = (first.position(), false);
        Ok(Runner::new(machine, recipe, (first_pending, is_bottom)))
    }

    /// Runs the transactions of a part, for as long as somebody needs it and nothing prevents it.
    fn run_part(&self, runner: &mut Runner<'_, S::State>, range: Range<usize>) -> Part {
        let Self { workload, parts, digests, .. } = self;
        let recipe = &workload.recipe;
        let mut ledger = EvmLedger::of_part(recipe, range.clone());
        runner.split = Splitting::with_capacity(range.start, range.len());
        runner.first_pending = range.start;
        runner.machine.expect(range.clone());
        // If there is no room for those that have ended what follows is in vain, whichever they are (I9).
        let is_full = self.used.load(SeqCst) > recipe.block.env.gas_limit;
        for tx in range.clone().filter(|_| !is_full) {
            let tx = TxIndex(u32::try_from(tx).unwrap_or(u32::MAX));
            // What a part alone has no room for the block has not either: so no part runs for longer
            // than a block (I9).
            if parts.is_over() || ledger.admit(tx).is_err() {
                break;
            }
            ledger.ask(tx);
            if runner.run(tx, &mut ledger).is_err() {
                break;
            }
        }
        runner.settle(&mut ledger);
        let split = core::mem::take(&mut runner.split);
        self.used.fetch_add(ledger.gas().admitted(&recipe.block), SeqCst);
        let is_whole = ledger.outcomes.len() == range.len();
        // The ledger has all that is in it.
        runner.machine.clear_journal();
        let Some(reads) = runner.machine.view_mut().take_reads() else {
            unreachable!("the view is one of a part")
        };
        let mut part = Part {
            reads,
            writes: digests.clone(),
            latest: core::mem::take(runner.latest()),
            goes_on: is_whole,
            ledger,
            split,
        };
        part.note_writes(recipe);
        part
    }
}

impl Part {
    /// Transactions that have run.
    const fn len(&self) -> usize {
        self.ledger.outcomes.len()
    }

    fn note_writes(&mut self, recipe: &Recipe) {
        self.writes.reserve_like(&self.reads);
        for output in self.ledger.outcomes.iter().flatten().flatten() {
            for_each_write(&output.changes, recipe, |location, entry| {
                self.writes.add(&location);
                // It ends the life of what nobody compares.
                self.goes_on &= !matches!(entry, Entry::Tombstone);
            });
        }
    }
}

impl<S: StateSource> Task for PartsTask<S> {
    fn run(&self, worker: WorkerId, seat: Seat<'_>) {
        // If it cannot be opened that is found out where transactions run in order.
        if let Ok(mut runner) = self.runner(worker) {
            self.parts.help(&seat, |range| self.run_part(&mut runner, range));
        }
    }
}

/// What the adopted parts have left.
struct Adopted<'a> {
    ledger: &'a mut EvmLedger,
    growing: &'a mut Growing,
    tally: &'a mut Tally,
    footprint: Footprint,
    latest: Latest<EvmLocation>,
    /// Whoever ran the next part has failed, by a bug of ours.
    is_lost: bool,
    mutant: EvmMutant,
}

impl Adopted<'_> {
    /// Adopts the next part, if it holds. Returns whether the one after it may.
    fn adopt(&mut self, part: Option<Part>) -> bool {
        let mutant = self.mutant;
        let Some(part) = part else {
            self.is_lost = true;
            return false;
        };
        let runs = part.len() as u64;
        self.tally.protocol.runs += runs;
        let meets = self.footprint.meets(&part.reads) && !is_evm_mutant!(mutant, PartUnchecked);
        if meets || !self.ledger.admits(&part.ledger) {
            self.tally.protocol.discarded += runs;
            return false;
        }
        // The first one is what would have run first anyway.
        self.tally.protocol.speculative_commits += if self.tally.parts == 0 { 0 } else { runs };
        self.tally.parts += u64::from(runs > 0);
        self.footprint.extend(&part.writes);
        self.growing.append(&part.ledger.outcomes, part.split);
        self.ledger.append(part.ledger);
        if !is_evm_mutant!(mutant, PartCreditsLost) {
            self.latest.add_deltas(part.latest);
        }
        part.goes_on
    }
}

/// Adopts parts, and tells of those that were in vain.
fn lead<'env, S, C>(
    task: &Arc<PartsTask<S>>,
    crew: &mut C,
    inbox: &Receiver<Done<Part>>,
    mut adopt: impl FnMut(Option<Part>) -> bool,
) -> usize
where
    S: StateSource + 'env,
    C: Crew<'env>,
{
    let mut own = |seat: Seat<'_>| {
        // Whatever happens here, the others do not go on for nothing.
        let _over = task.parts.over_when_dropped();
        // If it cannot be opened that is found out where transactions run in order.
        let Ok(mut runner) = task.runner(WorkerId(0)) else { return 0 };
        let run = |range| task.run_part(&mut runner, range);
        task.parts.lead(inbox, &seat, run, &mut adopt).map(|part| part.len()).sum()
    };
    let in_vain: usize = if crew.workers() > 1 {
        let others: Arc<dyn Task + 'env> = task.clone();
        crew.run(&others, own)
    } else {
        own(SLEEPY)
    };
    let late = core::iter::from_fn(|| inbox.try_recv().ok()).filter_map(|(_, part)| part);
    in_vain + late.map(|part| part.len()).sum::<usize>()
}

/// How short the first parts of a block are.
fn shortest(block: &Block) -> usize {
    let (least, most) = TRIAL;
    usize::try_from(TRIAL_GAS / mean_gas_limit(block).max(1))
        .map_or(most, |fit| fit.clamp(least, most))
}

/// Whether the block should be tried in parts, of which nothing has run.
pub(super) fn is_worth_parting<'env, S: StateSource>(
    crew: &mut impl Crew<'env>,
    config: &Config,
    session: &Session<S>,
) -> bool {
    // Where reads are slow there are more workers than cores, and who waits for one is not in the way.
    let may = config.policy == Policy::Auto && crew.workers() > 1 && !crew.is_wide();
    let recipe = &session.workload.recipe;
    let is_chain = session.tally.foreseen_stretches > 0;
    if !may || is_chain || !recipe.shares {
        return false;
    }
    let transactions = &recipe.block.transactions;
    if transactions.len() >= WORTH_PARTING {
        return begins_apart(transactions, shortest(&recipe.block));
    }
    // A crew that does not last cannot remember that they did not hold.
    let least = PARTS_OF_SHORT * crew.workers() * shortest(&recipe.block);
    let tries = |experience: &mut Experience| !config.learn || experience.short_parts.tries();
    transactions.len() >= least
        && looks_independent(transactions)
        && crew.experience().is_some_and(tries)
}

impl<S: StateSource> Session<S> {
    /// Runs what has not run by turns in parts and in order.
    pub(super) fn run_parts_by_turns<'env, F, C>(
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
            if on_commit.is_none() {
                self.hand_back();
                let lost;
                let together = FORCED_TOGETHER * crew.workers();
                let until = end.min(self.frontier.position() + together);
                (self, lost) = self.run_parts(until, crew, FORCED);
                if lost.is_some() {
                    return (self, lost);
                }
            }
            let until = end.min(self.frontier.position() + TURN);
            let failure;
            (self, failure) = self.run_alone(until, config.mode, on_commit.as_deref_mut(), None);
            if failure.is_some() || self.frontier.position() >= end {
                return (self, failure);
            }
        }
    }

    /// Tries parts for all transactions, of which none has run, and remembers of a short block whether that paid.
    pub(super) fn try_parts<'env, C>(
        self,
        crew: &mut C,
        config: &Config,
    ) -> (Self, Option<Failure<S>>)
    where
        S: 'env,
        C: Crew<'env>,
    {
        let block = &self.workload.recipe.block;
        let (end, shortest) = (block.transactions.len(), shortest(block));
        let (session, failure) = self.run_parts(end, crew, shortest);
        let learns = config.learn && end < WORTH_PARTING;
        if let Some(experience) = crew.experience().filter(|_| learns) {
            experience.short_parts.learn(session.left(end) == 0);
        }
        (session, failure)
    }

    /// Runs what has not run of the transactions below `end` in parts, of `shortest` transactions or more, for as long as they have nothing to
    /// do with each other. What earlier transactions have left must be in the store.
    pub(super) fn run_parts<'env, C>(
        self,
        end: usize,
        crew: &mut C,
        shortest: usize,
    ) -> (Self, Option<Failure<S>>)
    where
        S: 'env,
        C: Crew<'env>,
    {
        let Self { workload, store, mut ledger, mut tally, frontier: first, .. } = self;
        let Self { mut growing, speculates, handed_over, .. } = self;
        growing.catch_up(&mut ledger);
        let (parts, inbox) = Parts::new(first.position()..end, crew.workers(), shortest);
        #[cfg(feature = "mutants")]
        let parts = parts.with_mutant(workload.recipe.mutant.of_workers());
        let footprint = Footprint::default();
        let digests = footprint.digests();
        let used = AtomicU64::new(ledger.gas().admitted(&workload.recipe.block));
        let task = Arc::new(PartsTask { workload, store, first, parts, digests, used });
        let mut adopted = Adopted {
            ledger: &mut ledger,
            growing: &mut growing,
            tally: &mut tally,
            footprint,
            latest: Latest::default(),
            is_lost: false,
            mutant: task.workload.recipe.mutant,
        };
        let in_vain = lead(&task, crew, &inbox, |part| adopted.adopt(part)) as u64;
        let Adopted { latest, footprint, is_lost, .. } = adopted;
        tally.protocol.runs += in_vain;
        tally.protocol.discarded += in_vain;
        let Some(PartsTask { workload, store, .. }) = Arc::into_inner(task) else {
            // `Crew::run` returns when nobody holds the task.
            unreachable!("a worker still holds the block")
        };
        let under = speculates.then_some(first);
        let alone = Some(Alone::after_parts(latest, footprint, (first, under)));
        let frontier = TxIndex(u32::try_from(ledger.outcomes.len()).unwrap_or(u32::MAX));
        let lost = (At::Transaction(frontier), BlockErrorKind::Internal(Invariant::WorkersGone));
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
            longest: Vec::new(),
        };
        (session, is_lost.then_some(lost))
    }
}
