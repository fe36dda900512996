//! A worker: takes a job, runs it, publishes, reports, and tries to take the coordinator lock.

use super::coordinate::{coordinate, fail_block};
use super::events::EngineEvent;
use super::machine::{Effects, LedgerOf, Machine, Workload};
use super::message::{JobMessage, KeptResult, KeptRun, NextTask, ReportMessage};
use super::ran::{NoResultOf, UnpublishedRun};
use super::shared::Shared;
use super::stop::{NoResult, Stop};
use super::watch::StallWatch;
use super::{Activity, Context, Point};
use crate::error::Invariant;
use crate::ids::{Incarnation, TxIndex, Version, WorkerId};
use crate::mv::{Location, ReadSet};
use crate::panics::caught;
use crate::protocol::{Failure, Job, JobReport, RunMode, RunResult, TxReport};
use crate::spans::span;
use crate::sync::SeqCst;
use foldhash::fast::RandomState;
use hashbrown::HashSet;

/// Works on the block until it is over. Each worker calls this function once, on its own thread.
pub fn work<W, G, X>(shared: &Shared<W, G>, worker: WorkerId, context: &X)
where
    W: Workload,
    G: LedgerOf<W>,
    X: Context,
{
    let _guard = LossGuard { shared };
    let _span = shared.span.enter();
    let mut actor = Actor {
        shared,
        worker,
        context,
        machine: None,
        batches: None,
        watch: StallWatch::default(),
        helper_run: None,
    };
    let mut owner_job = coordinate(shared, context, None);
    loop {
        let next = owner_job.take().map(NextTask::Run);
        let report = match next.or_else(|| actor.next()) {
            None => return,
            Some(NextTask::Run(message)) => actor.run_job(message),
            Some(NextTask::Return(message)) => Some(actor.return_unrun(message)),
            Some(NextTask::Report(report)) => Some(*report),
        };
        if let Some(report) = report {
            context.yield_at(Point::Message);
            shared.log.record(|| EngineEvent::Sent(report.report.clone()));
            if shared.report_sender.try_send(report).is_err() {
                fail_block(shared, Invariant::ChannelFull { channel: "reports" });
            }
        }
        #[cfg(feature = "mutants")]
        super::delayed::publish(&shared.store, worker, context);
        // A worker that is preempted here, between jobs, delays no other worker.
        context.yield_at(Point::Between);
        owner_job = coordinate(shared, context, None);
    }
}

/// Returns the locations in `previous` that are not in `written`.
fn leftovers<'p, L: Location>(previous: &'p [L], written: &[L]) -> Vec<&'p L> {
    // Most transactions run for the first time.
    let written = if previous.is_empty() { &[] } else { written };
    let written: HashSet<&L, RandomState> = written.iter().collect();
    previous.iter().filter(|location| !written.contains(location)).collect()
}

/// Guard that ends the block if its worker panics because of a bug in Braid, so that the other
/// workers do not wait forever.
struct LossGuard<'a, W, G>
where
    W: Workload,
    G: LedgerOf<W>,
{
    shared: &'a Shared<W, G>,
}

impl<W, G> Drop for LossGuard<'_, W, G>
where
    W: Workload,
    G: LedgerOf<W>,
{
    fn drop(&mut self) {
        if std::thread::panicking() {
            fail_block(self.shared, Invariant::WorkersGone);
        }
    }
}

pub(super) struct Actor<'a, W: Workload, G, X: Context> {
    pub(super) shared: &'a Shared<W, G>,
    pub(super) worker: WorkerId,
    pub(super) context: &'a X,
    /// The machine for published transactions, created for the first job and again after a panic.
    machine: Option<W::Machine<'a, X>>,
    /// The machine for private batches.
    pub(super) batches: Option<W::Batches<'a, X>>,
    /// Observation of the frontier while the worker is idle.
    pub(super) watch: StallWatch,
    /// Result of helping with the frontier, for the next job.
    pub(super) helper_run: Option<(TxIndex, UnpublishedRun<W>)>,
}

impl<'a, W, G, X> Actor<'a, W, G, X>
where
    W: Workload,
    G: LedgerOf<W>,
    X: Context,
{
    /// Returns the report of a job that the coordinator has taken back.
    fn return_unrun(&self, message: JobMessage<W>) -> ReportMessage<W> {
        let report = JobReport { void: true, ..JobReport::unrun(message.job) };
        ReportMessage::of(report, Vec::new())
    }

    /// Runs a job. Returns `None` if another worker has already reported it.
    fn run_job(&mut self, message: JobMessage<W>) -> Option<ReportMessage<W>> {
        let _span = span!(TRACE, "batch", job = ?message.job);
        if message.job.batch().is_some() {
            return self.run_batch(message);
        }
        let JobMessage { job, previous, .. } = message;
        let mut report = JobReport::unrun(job);
        let mut kept = Vec::new();
        let mut helper_run = self.take_helper_run(job);
        if let (Some(machine), None) = (&mut self.machine, &helper_run) {
            machine.begin_chunk();
        }
        let mut cost = 0;
        for tx in job.chunk.indices() {
            if self.ends_early(job, tx, cost) {
                break;
            }
            let ran = self.run_tx(job, tx, helper_run.take(), &previous);
            if !mutant!(RunsForEver) {
                self.shared.store.set_running(self.worker, None);
            }
            let Some((result, kept_result, run_cost)) = ran else {
                return Some(self.return_unrun(JobMessage { job, previous }));
            };
            let is_executed = matches!(result.result, RunResult::Executed { .. });
            report.results.push(result);
            kept.push(kept_result);
            cost += run_cost;
            if !is_executed && !mutant!(ChunkGoesOn) {
                break;
            }
        }
        Some(ReportMessage::of(report, kept))
    }

    /// Returns whether a chunk ends before `next`: because work has to stop, or because the chunk
    /// holds up the frontier and has used much gas.
    fn ends_early(&self, job: Job, next: TxIndex, cost: u64) -> bool {
        let holds_up_frontier = || self.shared.frontier.load(SeqCst) >= job.chunk.first.0;
        self.shared.is_stopped()
            || (next > job.chunk.first && cost > self.shared.patience && holds_up_frontier())
    }

    /// Takes the result of helping with the frontier, if `job` runs the same transaction.
    fn take_helper_run(&mut self, job: Job) -> Option<UnpublishedRun<W>> {
        let (tx, ran) = self.helper_run.take()?;
        let is_same = job.mode == RunMode::Frontier && job.chunk.first == tx;
        (is_same || mutant!(SecondOfAnother)).then_some(ran)
    }

    /// Runs `tx`, unless `helper_run` is its result, and publishes the result. Runs `tx` again at
    /// once if its reads changed during the run. Returns `None`, and publishes nothing, if a helper
    /// has taken over the job.
    fn run_tx(
        &mut self,
        job: Job,
        tx: TxIndex,
        helper_run: Option<UnpublishedRun<W>>,
        previous: &[W::Location],
    ) -> Option<(TxReport, KeptResult<W>, u64)> {
        let is_first = tx == job.chunk.first;
        let is_final = is_first && job.mode == RunMode::Frontier;
        let mut incarnation = if is_first { job.incarnation } else { Incarnation(0) };
        let mut runs = 1;
        let mut ran = match helper_run {
            Some(ran) => {
                self.shared.log.record(|| EngineEvent::RanSecond { tx, end: ran.end() });
                ran
            }
            None => self.run_once(tx, is_final),
        };
        let may_repeat = incarnation.0 + 1 < self.shared.limits.max_speculative_runs;
        if may_repeat && matches!(ran.result, Err(NoResult::Stopped(Stop::Overtaken))) {
            incarnation = incarnation.next();
            runs += 1;
            // The machine has cached the reads, too.
            if let Some(machine) = &mut self.machine {
                machine.begin_chunk();
            }
            ran = self.run_once(tx, is_final);
        }
        let version = Version { tx, incarnation };
        let previous = if is_first { previous } else { &[] };
        let (result, kept, cost) = match ran.result {
            Ok(_) if is_first && !self.shared.may_publish(job) => return None,
            Ok(effects) => self.publish(version, ran.reads, effects, previous),
            Err(why) => (Self::run_result(&why), Err(why), 0),
        };
        Some((TxReport { runs, result }, kept, cost))
    }

    /// Returns the result to report for a run that has no result because of `why`.
    fn run_result(why: &NoResultOf<W>) -> RunResult {
        match why {
            NoResult::Stopped(Stop::Blocked(on)) => RunResult::Blocked { on: *on },
            // A transaction that is overtaken twice waits for the frontier.
            NoResult::Stopped(Stop::TooEarly | Stop::Overtaken) => RunResult::TooEarly,
            NoResult::Rejected(reason) if W::Machine::<'a, X>::may_skip(reason) => {
                RunResult::Failed(Failure::Rejected)
            }
            NoResult::Rejected(_) | NoResult::Stopped(Stop::Base(_)) | NoResult::Panicked(_) => {
                RunResult::Failed(Failure::Fatal)
            }
        }
    }

    /// Runs `tx` once. A run that is not final is [`Stop::Overtaken`] if a value that it read has
    /// changed before its end.
    fn run_once(&mut self, tx: TxIndex, is_final: bool) -> UnpublishedRun<W> {
        let log = &self.shared.log;
        log.record(|| EngineEvent::RunBegan(tx));
        self.shared.store.set_running(self.worker, Some(tx));
        let ran = self.run_guarded(tx, W::Machine::begin);
        log.record(|| EngineEvent::RunEnded { tx, end: ran.end() });
        if matches!(ran.result, Err(NoResult::Stopped(Stop::Blocked(_) | Stop::TooEarly))) {
            self.context.report(Activity::Blocked(tx));
        }
        if is_final || !self.is_overtaken(tx, &ran) {
            return ran;
        }
        self.context.report(Activity::Overtaken(tx));
        UnpublishedRun::without_result(Stop::Overtaken.into())
    }

    /// Runs `tx`, which another worker is running. The run is registered nowhere and publishes
    /// nothing.
    pub(super) fn run_as_helper(&mut self, tx: TxIndex) -> UnpublishedRun<W> {
        if let Some(machine) = &mut self.machine {
            machine.begin_chunk();
        }
        self.run_guarded(tx, W::Machine::begin_second)
    }

    fn run_guarded(
        &mut self,
        tx: TxIndex,
        begin: impl FnOnce(&mut W::Machine<'a, X>, TxIndex),
    ) -> UnpublishedRun<W> {
        let _span = span!(TRACE, "run", tx = tx.0);
        let Self { shared, worker, context, machine, .. } = self;
        let machine = match machine {
            Some(machine) => machine,
            empty => {
                let build = || shared.workload.machine(*worker, &shared.store, *context);
                match caught(build) {
                    Ok(Ok(machine)) => empty.insert(machine),
                    Ok(Err(error)) => return UnpublishedRun::without_result(NoResult::base(error)),
                    Err(payload) => {
                        return UnpublishedRun::without_result(NoResult::Panicked(payload));
                    }
                }
            }
        };
        begin(machine, tx);
        let result = caught(|| machine.run(tx));
        let result = match result {
            Ok(result) => result,
            Err(payload) => {
                // The machine is dropped, because its caches may be inconsistent.
                let (reads, stop) = machine.end();
                self.machine = None;
                let why = stop.map_or(NoResult::Panicked(payload), NoResult::Stopped);
                return UnpublishedRun { reads, result: Err(why) };
            }
        };
        // A stop of the view takes precedence over the result of the machine.
        let (reads, mut stop) = machine.end();
        if mutant!(LatchIgnored) && result.is_ok() {
            stop = None;
        }
        let result = match stop {
            Some(stop) => Err(stop.into()),
            None => result.map_err(NoResult::Rejected),
        };
        UnpublishedRun { reads, result }
    }

    fn is_overtaken(&self, tx: TxIndex, ran: &UnpublishedRun<W>) -> bool {
        self.context.yield_at(Point::Check);
        match ran.result {
            Ok(_) | Err(NoResult::Rejected(_)) => !self.shared.store.is_current(&ran.reads, tx),
            Err(NoResult::Stopped(Stop::Overtaken)) => true,
            Err(NoResult::Stopped(_) | NoResult::Panicked(_)) => false,
        }
    }

    /// Returns the transactions above `tx` that may have read a location before the tombstone of
    /// its scope was published. All of them lie within the window above the current frontier.
    fn readers_above(&self, tx: TxIndex) -> impl Iterator<Item = TxIndex> + use<W, G, X> {
        let frontier = self.shared.frontier.load(SeqCst);
        let end = frontier.saturating_add(self.shared.limits.window);
        (tx.0.saturating_add(1)..end.min(self.shared.transactions)).map(TxIndex)
    }

    /// Publishes the complete write set of a run, and returns its report and data.
    fn publish(
        &mut self,
        version: Version,
        reads: ReadSet<W::Location>,
        effects: Effects<W::Location, W::Output>,
        previous: &[W::Location],
    ) -> (RunResult, KeptResult<W>, u64) {
        let Effects { writes, output, cost } = effects;
        #[cfg(feature = "mutants")]
        if mutant!(ReportBeforePublish) {
            let written = writes.iter().map(|(location, _)| location.clone()).collect();
            let previous = previous.to_vec();
            super::delayed::DelayedWrites { version, writes, previous }.keep(self.worker);
            let kept = Ok(KeptRun { reads, written, output });
            return (RunResult::Executed { stale_readers: Vec::new() }, kept, cost);
        }
        let store = &self.shared.store;
        let mut stale_readers = Vec::new();
        let mut written = Vec::with_capacity(writes.len());
        for (location, entry) in writes {
            self.context.yield_at(Point::Publish);
            store.publish(version, &location, entry, &mut stale_readers);
            written.push(location);
        }
        if written.iter().any(|location| store.has_unknown_readers(location)) {
            stale_readers.extend(self.readers_above(version.tx));
        }
        let withdraws = !mutant!(LeftoversKept);
        for location in leftovers(previous, &written).into_iter().filter(|_| withdraws) {
            self.context.yield_at(Point::Publish);
            store.withdraw(version, location, &mut stale_readers);
        }
        stale_readers.sort_unstable();
        stale_readers.dedup();
        self.shared.notify_readers(&stale_readers, self.context);
        if mutant!(StaleNotSent) {
            stale_readers.clear();
        }
        let kept = Ok(KeptRun { reads, written, output });
        (RunResult::Executed { stale_readers }, kept, cost)
    }
}
