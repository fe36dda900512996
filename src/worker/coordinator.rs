//! The coordinator, which owns the protocol.

use super::batches::Batches;
use super::events::EngineEvent;
use super::machine::{LedgerOf, Workload};
use super::message::{JobMessage, KeptRun, ReportMessage};
use super::ran::NoResultOf;
use super::shared::{BlockEnd, Shared};
use super::stop::NoResult;
use super::{Context, Point};
use crate::error::Invariant;
use crate::ids::{Incarnation, PerTx, TxIndex, Version};
use crate::mv::{ConflictIndex, ReadSet, Store};
use crate::protocol::{Command, Event, Halt, Job, JobReport, Protocol, Verdict};
use crate::sync::Sender;
use crate::trace::Log;
use std::sync::Arc;

/// Data of one transaction.
pub(super) struct TxRecord<W: Workload> {
    pub(super) reads: ReadSet<W::Location>,
    /// Locations of the entries of the last published incarnation.
    pub(super) written: Vec<W::Location>,
    pub(super) incarnation: Incarnation,
    pub(super) output: Option<W::Output>,
    /// Why the last run has no output; `None` if it has one.
    pub(super) no_result: Option<NoResultOf<W>>,
}

/// The state behind the coordinator lock.
pub(super) struct Coordinator<W: Workload, G> {
    pub(super) protocol: Protocol,
    pub(super) ledger: G,
    records: PerTx<TxRecord<W>>,
    pub(super) batches: Batches<W>,
    /// Sender of jobs; dropped once the block is over, which ends the workers.
    pub(super) jobs: Option<Sender<JobMessage<W>>>,
    /// Why the frontier was not admitted.
    pub(super) refusal: Option<W::Rejection>,
    broken: Option<Invariant>,
    lag: Lag,
}

/// Distance between the frontier and the jobs of workers.
#[derive(Clone, Copy, Debug, Default)]
struct Lag {
    /// Number of reported jobs.
    reports: u64,
    /// Sum, over these jobs, of the distance between the frontier and their first transaction.
    ahead: u64,
}

impl<W: Workload, G> Coordinator<W, G> {
    pub(super) fn new(
        protocol: Protocol,
        ledger: G,
        index: ConflictIndex<W::Location>,
        jobs: Sender<JobMessage<W>>,
    ) -> Self {
        let record = || TxRecord {
            reads: ReadSet::default(),
            written: Vec::new(),
            incarnation: Incarnation(0),
            output: None,
            no_result: None,
        };
        let first = protocol.frontier();
        let records = PerTx::new(first, protocol.published_range().map(|_| record()));
        let batches = Batches::new(index, protocol.batches().len());
        Self {
            protocol,
            ledger,
            records,
            batches,
            jobs: Some(jobs),
            refusal: None,
            broken: None,
            lag: Lag::default(),
        }
    }

    pub(super) fn into_end(
        mut self,
        workload: Arc<W>,
        store: Arc<Store<W::Location>>,
        log: Log<EngineEvent<W::Location>>,
    ) -> BlockEnd<W, G> {
        let halt = self.protocol.halt();
        let mut counters = self.protocol.counters();
        counters.helped_batches = self.batches.helped;
        (counters.reports, counters.ahead) = (self.lag.reports, self.lag.ahead);
        // The next segment reads the store. So do the post-block calls of a cancelled block.
        let is_store_read = matches!(halt, Some(Halt::Fallback | Halt::Cancelled));
        if is_store_read && !mutant!(SpeculationStays) {
            counters.fallback_aborts = self.withdraw_speculation(&store);
            counters.aborts += counters.fallback_aborts;
        }
        let error = match halt {
            Some(Halt::NoRoom(_)) => self.refusal.take().map(NoResult::Rejected),
            Some(Halt::Failed(..)) if mutant!(ErrorOfAnother) => {
                let failed = |why: &mut NoResultOf<W>| !why.is_early();
                let mut records = self.records.iter_mut().rev();
                records.find_map(|(_, record)| record.no_result.take_if(failed))
            }
            Some(Halt::Failed(tx, _)) => {
                self.records.get_mut(tx).and_then(|record| record.no_result.take())
            }
            Some(Halt::Cancelled | Halt::Fallback) | None => None,
        };
        if self.broken.is_none() && !self.protocol.is_finished() {
            self.broken = Some(Invariant::WorkersGone);
        }
        BlockEnd {
            frontier: self.protocol.frontier(),
            published: self.protocol.published(),
            batches: self.batches.committed,
            conflicts: self.batches.index,
            longest: self.protocol.longest().collect(),
            counters,
            ledger: self.ledger,
            broken: self.broken,
            store,
            workload,
            halt,
            error,
            log,
        }
    }
}

impl<W: Workload, G> Coordinator<W, G> {
    /// Withdraws all entries above the frontier, because their transactions will run again from
    /// their first incarnation. Returns the number of aborted results.
    fn withdraw_speculation(&mut self, store: &Store<W::Location>) -> u64 {
        let mut results = 0;
        for (tx, record) in self.records.iter_mut() {
            results += u64::from(record.output.is_some());
            let version = Version { tx, incarnation: Incarnation(u32::MAX) };
            for location in &record.written {
                store.withdraw(version, location, &mut Vec::new());
            }
        }
        results
    }
}

impl<W, G> Coordinator<W, G>
where
    W: Workload,
    G: LedgerOf<W>,
{
    /// Applies all reports to the protocol, and performs commands until there are none. Returns a
    /// job that the caller must run at once, if there is one.
    pub(super) fn step<X: Context>(
        &mut self,
        shared: &Shared<W, G>,
        context: &X,
    ) -> Option<JobMessage<W>> {
        self.take_fault(shared);
        self.jobs.as_ref()?;
        loop {
            while let Ok(report) = shared.reports.try_recv() {
                let taken = self.take_report(report, shared);
                self.record_broken(shared, taken);
            }
            // Checked after the reports, because a worker may have seen the cancellation first and
            // ended its run early.
            let is_broken = self.broken.is_some();
            if is_broken || shared.is_cancelled() {
                let event = if is_broken { Event::Broken } else { Event::Cancelled };
                let cancelled = self.apply(shared, event);
                self.record_broken(shared, cancelled);
            }
            let polled = self.protocol.poll();
            if let Ok(Some(command)) = &polled {
                shared.log.record(|| EngineEvent::Commanded(command.clone()));
            }
            let performed = match polled {
                Ok(None) => return None,
                Ok(Some(Command::RunHere(job))) => {
                    shared.note_begun(job);
                    return Some(self.message(job));
                }
                Ok(Some(Command::Finish)) => {
                    self.jobs = None;
                    return None;
                }
                Ok(Some(command)) => self.perform(command, shared, context),
                Err(broken) => Err(broken),
            };
            self.record_broken(shared, performed);
        }
    }

    /// Ends the block at once if a fault was posted. After the end, drains the channel of reports,
    /// so that no worker takes the lock for them again.
    pub(super) fn take_fault(&mut self, shared: &Shared<W, G>) {
        if let Some(broken) = shared.take_fault() {
            self.broken.get_or_insert(broken);
            shared.cancel();
            self.jobs = None;
        }
        if self.jobs.is_none() {
            while shared.reports.try_recv().is_ok() {}
        }
    }

    /// Records a broken invariant, which ends the block as soon as all workers are idle.
    pub(super) fn record_broken(&mut self, shared: &Shared<W, G>, result: Result<(), Invariant>) {
        if let Err(broken) = result {
            self.broken.get_or_insert(broken);
            shared.cancel();
        }
    }

    pub(super) fn apply(&mut self, shared: &Shared<W, G>, event: Event) -> Result<(), Invariant> {
        shared.log.record(|| EngineEvent::Received(event.clone()));
        self.protocol.apply(event)
    }

    fn take_report(
        &mut self,
        message: ReportMessage<W>,
        shared: &Shared<W, G>,
    ) -> Result<(), Invariant> {
        let ReportMessage { report, kept, batch, is_second } = message;
        let job = report.job;
        if self.protocol.is_superseded(job) {
            return self.apply(shared, Event::Reported(report));
        }
        self.batches.helped += u64::from(is_second);
        self.lag.reports += 1;
        self.lag.ahead += u64::from(job.chunk.first.0.saturating_sub(self.protocol.frontier().0));
        if let (Some(id), Some(ran)) = (job.batch(), batch) {
            self.batches.keep(id, ran);
        }
        for ((tx, kept), result) in job.chunk.indices().zip(kept).zip(&report.results) {
            let started = if tx == job.chunk.first { job.incarnation } else { Incarnation(0) };
            let record = self.record(tx)?;
            match kept {
                Ok(KeptRun { reads, written, output }) => {
                    record.incarnation = Incarnation(started.0 + result.runs.saturating_sub(1));
                    record.reads = reads;
                    record.written = written;
                    (record.output, record.no_result) = (Some(output), None);
                }
                Err(why) => (record.output, record.no_result) = (None, Some(why)),
            }
        }
        self.apply(shared, Event::Reported(report))
    }

    pub(super) fn record(&mut self, tx: TxIndex) -> Result<&mut TxRecord<W>, Invariant> {
        self.records.get_mut(tx).ok_or(Invariant::MissingResult { tx })
    }

    fn message(&self, job: Job) -> JobMessage<W> {
        let record = self.records.get(job.chunk.first);
        // Cloned, because the job may be taken back and sent again.
        let previous = record.map(|record| record.written.clone()).unwrap_or_default();
        JobMessage { job, previous }
    }

    fn perform<X: Context>(
        &mut self,
        command: Command,
        shared: &Shared<W, G>,
        context: &X,
    ) -> Result<(), Invariant> {
        match command {
            Command::Dispatch(job) => self.dispatch(job, shared),
            Command::Abort(tx) => self.abort(tx, shared),
            Command::Recheck(tx) => {
                let current = shared.store.is_current(&self.record(tx)?.reads, tx);
                self.answer_check(tx, current, shared)
            }
            Command::Validate(tx) => {
                context.yield_at(Point::Validate);
                let valid = shared.store.validate(&self.record(tx)?.reads, tx);
                self.answer_check(tx, valid, shared)
            }
            Command::Admit(tx) => {
                let admission = self.ledger.admit(tx);
                let fits = admission.is_ok();
                self.refusal = admission.err();
                self.apply(shared, Event::Admitted { tx, fits })
            }
            Command::Claim(job) => {
                let tx = job.chunk.first;
                self.apply(shared, Event::Claimed { tx, claimed: shared.take_back(job) })
            }
            Command::Help(job) => {
                let tx = job.chunk.first;
                self.apply(shared, Event::Helped { tx, taken: shared.take_over(job) })
            }
            Command::Commit(tx) => {
                context.yield_at(Point::Commit);
                self.commit(tx, shared, context)
            }
            Command::Skip(tx) => self.skip(tx, shared, context),
            Command::StopWork => {
                shared.stop_work();
                Ok(())
            }
            Command::Compare { batch, tx } => {
                context.yield_at(Point::Validate);
                let conflict = self.batches.compare(batch, tx)?;
                self.apply(shared, Event::Compared { tx, conflict })
            }
            Command::AdmitGroup { batch, group } => {
                let fits = self.batches.admits(batch, group, &mut self.ledger)?;
                self.apply(shared, Event::Admitted { tx: group.first, fits })
            }
            Command::CommitGroup { batch, group } => {
                context.yield_at(Point::Commit);
                self.commit_group(batch, group, shared, context)
            }
            // `step` performs these commands, because it can release the lock.
            Command::RunHere(_) | Command::Finish => Ok(()),
        }
    }

    fn answer_check(
        &mut self,
        tx: TxIndex,
        holds: bool,
        shared: &Shared<W, G>,
    ) -> Result<(), Invariant> {
        let verdict = if holds { Verdict::Valid } else { Verdict::Stale };
        self.apply(shared, Event::Checked { tx, verdict })
    }

    fn dispatch(&mut self, job: Job, shared: &Shared<W, G>) -> Result<(), Invariant> {
        let message = self.message(job);
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.try_send(message).is_ok());
        if sent {
            return Ok(());
        }
        // No worker will report the job, and the block cannot end while it counts as in flight.
        self.apply(shared, Event::Reported(JobReport { void: true, ..JobReport::unrun(job) }))?;
        Err(Invariant::ChannelFull { channel: "jobs" })
    }

    fn abort(&mut self, tx: TxIndex, shared: &Shared<W, G>) -> Result<(), Invariant> {
        let record = self.record(tx)?;
        record.output = None;
        let version = Version { tx, incarnation: record.incarnation };
        for location in &record.written {
            shared.store.mark_estimate(version, location);
        }
        Ok(())
    }
}
