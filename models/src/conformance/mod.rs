//! Replays traces of the engine, and checks each step independently.
//!
//! A trace has every lookup, publication and withdrawal in the store, every run, check and report
//! of the workers, and every event and command of the protocol, in order. The replay keeps a
//! reference store, an ordered map, and recomputes each lookup, stamp, hint and verdict. It knows
//! the reads of each run, so it validates each commit itself, even if the protocol did not. It
//! shares no code with the store or the protocol.
//!
//! On threads, events that are recorded under one lock are in the order of that lock. A check
//! takes many locks; its verdict is right if it was right at some time between its start and its
//! end.

mod batch_coordinator;
mod batch_rules;
mod batch_runs;
mod coordinator_reports;
mod coordinator_rules;
mod history;
mod reference;
mod runs;
mod store_rules;

pub use batch_rules::{BatchRules, SeenBatches};
pub use coordinator_rules::CoordinatorRules;
pub use reference::Reference;
pub use runs::Runs;
pub use store_rules::{StoreRules, Why};

use braid_evm::ids::{Incarnation, TxIndex};
use braid_evm::mv::{Change, Found, Location, Origin, StoreEvent};
use braid_evm::protocol::{Command, JobReport, Limits, Plan};
use braid_evm::trace::Ticket;
use braid_evm::worker::{EngineEvent, TraceEvent};
use store_rules::ensure;

/// A trace, as returned by [`BlockEnd::take_trace`](braid_evm::worker::BlockEnd::take_trace).
pub type Trace<L> = Vec<(Ticket, TraceEvent<L>)>;

/// The first violation in a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Position of the event in the trace.
    pub at: usize,
    /// Why the event is not permitted.
    pub why: Why,
}

/// Events counted in traces, as evidence that rare ones occurred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// All events.
    pub events: u64,
    /// Lookups that found an estimate.
    pub blocked: u64,
    /// Lookups that found a predicted writer.
    pub predicted: u64,
    /// Lookups that summed deltas.
    pub folds: u64,
    /// Lookups that found a tombstone.
    pub tombstones: u64,
    /// Publications that named readers.
    pub hints: u64,
    /// Checks that failed.
    pub stale: u64,
    /// Estimates set.
    pub estimates: u64,
    /// Entries removed.
    pub removals: u64,
    /// Skipped transactions.
    pub skips: u64,
    /// Commits.
    pub commits: u64,
    /// Runs by helpers that replaced the run of a worker.
    pub seconds: u64,
    /// Counts of private batches.
    pub batches: SeenBatches,
}

/// All reference state except the coordinator's.
#[derive(Debug)]
struct World<L: Location> {
    store: StoreRules<L>,
    runs: Vec<Runs<L>>,
    batches: BatchRules<L>,
}

/// Replay of one block.
#[derive(Debug)]
struct Replay<L: Location> {
    world: World<L>,
    coordinator: CoordinatorRules,
    /// Transactions whose reads are being checked.
    checked: Vec<TxIndex>,
}

/// Replays the trace of a whole block with the plan `plan`.
///
/// # Errors
/// Returns the first event that is not permitted.
pub fn replay<L: Location>(
    trace: &[(Ticket, TraceEvent<L>)],
    limits: Limits,
    plan: &Plan,
    seen: &mut Seen,
) -> Result<(), Rejected> {
    Rounds::default().replay(trace, limits, plan, seen)
}

/// Like [`replay`], but private batches read from an access list instead of a snapshot, so that no
/// commit of another batch invalidates their reads.
///
/// # Errors
/// Returns the first event that is not permitted.
pub fn replay_listed<L: Location>(
    trace: &[(Ticket, TraceEvent<L>)],
    limits: Limits,
    plan: &Plan,
    seen: &mut Seen,
) -> Result<(), Rejected> {
    let batches = BatchRules::new(plan).with_list();
    Rounds::default().replay_by(trace, limits, (plan, batches), seen)
}

/// Replay of a block in several segments, each of which continues from the state of the preceding
/// one.
#[derive(Debug)]
pub struct Rounds<L: Location>(Option<World<L>>);

impl<L: Location> Default for Rounds<L> {
    fn default() -> Self {
        Self(None)
    }
}

impl<L: Location> Rounds<L> {
    /// Replays the trace of the next segment, with the plan `plan`.
    ///
    /// # Errors
    /// Returns the first event that is not permitted.
    pub fn replay(
        &mut self,
        trace: &[(Ticket, TraceEvent<L>)],
        limits: Limits,
        plan: &Plan,
        seen: &mut Seen,
    ) -> Result<(), Rejected> {
        let batches = BatchRules::new(plan);
        self.replay_by(trace, limits, (plan, batches), seen)
    }

    fn replay_by(
        &mut self,
        trace: &[(Ticket, TraceEvent<L>)],
        limits: Limits,
        (plan, mut batches): (&Plan, BatchRules<L>),
        seen: &mut Seen,
    ) -> Result<(), Rejected> {
        let end = plan.end();
        let runs = vec![Runs::default(); end.position()];
        let mut store = StoreRules::default();
        if let Some(before) = self.0.take() {
            store = before.store;
            batches.continue_from(before.batches);
            let mut above =
                (plan.first.0..end.0).flat_map(|tx| store.cells.entries_of(TxIndex(tx)));
            if let Some((location, ..)) = above.next() {
                let why = format!("{location:?} is left above {} by an earlier round", plan.first);
                return Err(Rejected { at: 0, why });
            }
        }
        let world = World { store, runs, batches };
        let coordinator = CoordinatorRules::new(limits, plan.first, end.0);
        let mut replay = Replay { world, coordinator, checked: Vec::new() };
        let judged = replay.run(trace, seen);
        seen.batches.add(replay.world.batches.seen);
        self.0 = Some(replay.world);
        judged
    }
}

impl<L: Location> Replay<L> {
    fn run(&mut self, trace: &[(Ticket, TraceEvent<L>)], seen: &mut Seen) -> Result<(), Rejected> {
        let replay = self;
        for (at, (ticket, event)) in trace.iter().enumerate() {
            let judged = match event {
                TraceEvent::Store(event) => replay.store_event(*ticket, event),
                TraceEvent::Engine(event) => replay.engine_event(*ticket, event),
            };
            judged.map_err(|why| Rejected { at, why })?;
            seen.note(event);
        }
        let over = replay.coordinator.check_end(&replay.world.store);
        over.map_err(|why| Rejected { at: trace.len(), why })
    }
}

/// Replays the events of a store without an engine.
///
/// # Errors
/// Returns the first event that is not permitted.
pub fn replay_store<L: Location>(events: &[(Ticket, StoreEvent<L>)]) -> Result<(), Rejected> {
    let mut store = StoreRules::default();
    for (at, (ticket, event)) in events.iter().enumerate() {
        store.event(*ticket, event).map_err(|why| Rejected { at, why })?;
    }
    Ok(())
}

impl<L: Location> StoreRules<L> {
    /// Checks one event on its own.
    fn event(&mut self, ticket: Ticket, event: &StoreEvent<L>) -> Result<(), Why> {
        match event {
            StoreEvent::Base { location, value } => {
                self.cells.set_base(location, value);
                Ok(())
            }
            StoreEvent::Life { reader, scope, at, floor } => {
                self.life(ticket, *reader, scope, (*at, *floor))
            }
            StoreEvent::Look { reader, location, at, began, life, found } => {
                self.look(*reader, location, *at, (*began, *life), found)
            }
            StoreEvent::Changed { version, location, change, at, took, stale } => {
                self.changed(ticket, *version, (location, change), (*at, *took), stale)
            }
            StoreEvent::Frontier(frontier) => {
                self.frontier = *frontier;
                Ok(())
            }
            StoreEvent::CheckBegan { .. } | StoreEvent::CheckEnded { .. } => Ok(()),
            StoreEvent::Predicted { reader, location, life, .. } => {
                self.predicted(*reader, location, *life)
            }
        }
    }
}

impl<L: Location> Replay<L> {
    fn runs(&mut self, tx: TxIndex) -> Result<&mut Runs<L>, Why> {
        self.world.runs.get_mut(tx.position()).ok_or_else(|| format!("there is no {tx}"))
    }

    fn store_event(&mut self, ticket: Ticket, event: &StoreEvent<L>) -> Result<(), Why> {
        self.world.store.event(ticket, event)?;
        match event {
            StoreEvent::Look { reader, location, found, .. } => {
                // Fails for a lookup after the block, which belongs to no transaction.
                self.runs(*reader)?.look(*reader, location, found)
            }
            StoreEvent::Changed { version, location, change, stale, .. } => {
                let tx = version.tx;
                let by_coordinator = self.coordinator.is_aborting(tx)
                    && *change == Change::Estimate
                    || self.coordinator.is_withdrawing(tx) && *change == Change::Remove;
                let history = &mut self.world.batches.history;
                if matches!(change, Change::Put(_)) && history.publishes(tx) {
                    ensure(version.incarnation == Incarnation(0), || {
                        format!("{version} is published for a private batch")
                    })?;
                    history.put(tx, location)?;
                } else if !by_coordinator {
                    self.runs(tx)?.publishes(*version, (location, change), stale)?;
                }
                self.compare_again()
            }
            StoreEvent::Base { location, value } => {
                self.world.batches.bases.set(location, value)?;
                self.compare_again()
            }
            StoreEvent::CheckBegan { reader, by_value } => {
                self.checked.push(*reader);
                let World { runs, store, .. } = &mut self.world;
                let runs = runs.get_mut(reader.position()).ok_or("no such transaction")?;
                runs.begin_check(*reader, *by_value, &store.cells)
            }
            StoreEvent::CheckEnded { reader, holds } => {
                self.checked.retain(|checked| checked != reader);
                self.runs(*reader)?.end_check(*reader, *holds)
            }
            StoreEvent::Frontier(frontier) => {
                self.coordinator.frontier_moved(*frontier, &self.world)
            }
            StoreEvent::Predicted { reader, location, began, on, .. } => {
                let is_lower = || format!("{reader} waits for {on}, which is not lower");
                ensure(on < reader, is_lower)?;
                ensure(self.runs(*on)?.ran_at(*began), || format!("{on} does not run"))?;
                self.runs(*reader)?.look(*reader, location, &Found::Blocked(*on))
            }
            StoreEvent::Life { .. } => Ok(()),
        }
    }

    fn compare_again(&mut self) -> Result<(), Why> {
        for tx in &self.checked {
            let World { runs, store, .. } = &mut self.world;
            let runs = runs.get_mut(tx.position()).ok_or("no such transaction")?;
            runs.compare(*tx, &store.cells);
        }
        Ok(())
    }

    fn engine_event(&mut self, ticket: Ticket, event: &EngineEvent<L>) -> Result<(), Why> {
        match event {
            EngineEvent::RunBegan(tx) => {
                let bound = self.coordinator.bound();
                self.runs(*tx)?.begin(*tx, bound)
            }
            EngineEvent::RunEnded { tx, end } => self.runs(*tx)?.end(*tx, end),
            EngineEvent::RanSecond { tx, end } => {
                let bound = self.coordinator.bound();
                self.coordinator.check_owner_run(*tx)?;
                self.runs(*tx)?.ran_second(*tx, end, bound)
            }
            EngineEvent::BatchBegan(job) => self.world.batches.began(*job),
            EngineEvent::BatchEnded { job, groups, held, is_second } => {
                let bound = self.coordinator.bound();
                let ran = groups.iter().flat_map(|group| group.txs.indices()).chain(*held);
                for tx in ran {
                    self.runs(tx)?.ran_in_batch(tx, bound)?;
                }
                let World { store, batches, .. } = &mut self.world;
                batches.ended(*job, groups, (*held, *is_second), &store.cells)
            }
            EngineEvent::Sent(report) => self.sent(ticket, report),
            EngineEvent::Received(event) => self.coordinator.check_event(event, &mut self.world),
            EngineEvent::Commanded(command) => {
                self.coordinator.check_command(command, &mut self.world)
            }
        }
    }

    fn sent(&mut self, ticket: Ticket, report: &JobReport) -> Result<(), Why> {
        for (tx, result) in report.job.chunk.indices().zip(&report.results) {
            let World { runs, store, .. } = &mut self.world;
            let runs = runs.get_mut(tx.position()).ok_or("no such transaction")?;
            match runs.superseded_run_of(report.job) {
                Some(superseded) => superseded.sent(ticket, (tx, result), &store.cells)?,
                None => runs.sent(ticket, (tx, result), &store.cells)?,
            }
        }
        if report.void && report.job.batch().is_none() {
            self.runs(report.job.chunk.first)?.returned(ticket, report.job)?;
        }
        self.world.batches.reported(report, false)?;
        self.coordinator.sent(report)
    }
}

impl Seen {
    fn note<L: Location>(&mut self, event: &TraceEvent<L>) {
        self.events += 1;
        match event {
            TraceEvent::Store(StoreEvent::Look { found, .. }) => match found {
                Found::Blocked(_) => self.blocked += 1,
                Found::Seen(Origin::Folded(_), _) => self.folds += 1,
                Found::Seen(Origin::Tombstone(_), _) => self.tombstones += 1,
                Found::Seen(..) | Found::UnknownBase => {}
            },
            TraceEvent::Store(StoreEvent::Predicted { .. }) => self.predicted += 1,
            TraceEvent::Store(StoreEvent::Changed { change, stale, .. }) => {
                self.hints += u64::from(!stale.is_empty());
                self.estimates += u64::from(*change == Change::Estimate);
                self.removals += u64::from(*change == Change::Remove);
            }
            TraceEvent::Store(StoreEvent::CheckEnded { holds: false, .. }) => self.stale += 1,
            TraceEvent::Engine(EngineEvent::RanSecond { .. }) => self.seconds += 1,
            TraceEvent::Engine(EngineEvent::Commanded(Command::Commit(_))) => self.commits += 1,
            TraceEvent::Engine(EngineEvent::Commanded(Command::Skip(_))) => self.skips += 1,
            TraceEvent::Store(_) | TraceEvent::Engine(_) => {}
        }
    }
}
