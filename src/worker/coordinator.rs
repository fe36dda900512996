//! The coordinating role: the owner of the protocol.

use super::machine::{Ledger, TxError, Workload};
use super::message::{JobMessage, ReportMessage};
use super::shared::{BlockEnd, Shared};
use super::{Context, Point};
use crate::error::Invariant;
use crate::ids::{Incarnation, TxIndex, Version};
use crate::mv::{ReadSet, Store};
use crate::protocol::{Command, Event, Halt, Job, Protocol, Verdict};
use crate::sync::{Sender, SeqCst};

/// What the role knows of one transaction.
struct Record<W: Workload> {
    reads: ReadSet<W::Location>,
    /// Where its last published incarnation left entries.
    written: Vec<W::Location>,
    incarnation: Incarnation,
    output: Option<W::Output>,
    error: Option<TxError<W::Rejection, W::BaseError>>,
}

/// The state behind the role.
pub(super) struct Coordinator<W: Workload, G> {
    protocol: Protocol,
    ledger: G,
    records: Vec<Record<W>>,
    /// Gone once the block is over: that ends the workers.
    jobs: Option<Sender<JobMessage<W::Location>>>,
    /// Why the frontier was refused by admission.
    refusal: Option<W::Rejection>,
    broken: Option<Invariant>,
}

/// Takes the role if it is free, does what there is to do, and looks again afterwards. Returns
/// the job that the caller has to run at once, if there is one.
pub(super) fn coordinate<W, G, X>(
    shared: &Shared<W, G>,
    context: &X,
) -> Option<JobMessage<W::Location>>
where
    W: Workload,
    G: Ledger<Output = W::Output, Rejection = W::Rejection>,
    X: Context,
{
    loop {
        context.yield_at(Point::Role);
        // Somebody else has it: he looks again after giving it back, and finds our report.
        let mut role = shared.role.try_lock()?;
        let here = role.step(shared, context);
        drop(role);
        context.yield_at(Point::Role);
        if here.is_some() || shared.reports.is_empty() {
            return here;
        }
    }
}

impl<W: Workload, G> Coordinator<W, G> {
    pub(super) fn new(
        protocol: Protocol,
        ledger: G,
        jobs: Sender<JobMessage<W::Location>>,
    ) -> Self {
        let record = |_| Record {
            reads: ReadSet::default(),
            written: Vec::new(),
            incarnation: Incarnation(0),
            output: None,
            error: None,
        };
        let records = (0..protocol.len()).map(record).collect();
        Self { protocol, ledger, records, jobs: Some(jobs), refusal: None, broken: None }
    }

    /// A worker panicked outside a transaction: nobody will report its job.
    pub(super) fn worker_lost(&mut self) {
        self.broken.get_or_insert(Invariant::WorkersGone);
        self.jobs = None;
    }

    /// The channel of reports was full.
    pub(super) fn channel_full(&mut self) {
        self.broken.get_or_insert(Invariant::ChannelFull { channel: "reports" });
        self.jobs = None;
    }

    pub(super) fn into_end(mut self, workload: W, store: Store<W::Location>) -> BlockEnd<W, G> {
        let halt = self.protocol.halt();
        let error = match halt {
            Some(Halt::NoRoom(_)) => self.refusal.take().map(TxError::Rejected),
            Some(Halt::Failed(tx, _)) => {
                self.records.get_mut(tx.position()).and_then(|record| record.error.take())
            }
            Some(Halt::Cancelled) | None => None,
        };
        if self.broken.is_none() && !self.protocol.is_finished() {
            self.broken = Some(Invariant::WorkersGone);
        }
        BlockEnd {
            frontier: self.protocol.frontier(),
            counters: self.protocol.counters(),
            ledger: self.ledger,
            broken: self.broken,
            store,
            workload,
            halt,
            error,
        }
    }
}

impl<W, G> Coordinator<W, G>
where
    W: Workload,
    G: Ledger<Output = W::Output, Rejection = W::Rejection>,
{
    /// Feeds all reports to the protocol and performs commands until it has no more.
    fn step<X: Context>(
        &mut self,
        shared: &Shared<W, G>,
        context: &X,
    ) -> Option<JobMessage<W::Location>> {
        // Once the block is over there is nothing to answer.
        self.jobs.as_ref()?;
        loop {
            if shared.is_cancelled() {
                let cancelled = self.protocol.apply(Event::Cancelled);
                self.note(shared, cancelled);
            }
            while let Ok(report) = shared.reports.try_recv() {
                let taken = self.take_report(report);
                self.note(shared, taken);
            }
            let performed = match self.protocol.poll() {
                Ok(None) => return None,
                Ok(Some(Command::RunHere(job))) => return self.message(job),
                Ok(Some(Command::Finish)) => {
                    self.jobs = None;
                    return None;
                }
                Ok(Some(command)) => self.perform(command, shared, context),
                Err(broken) => Err(broken),
            };
            self.note(shared, performed);
        }
    }

    /// A broken rule ends the block as soon as all workers are idle.
    fn note(&mut self, shared: &Shared<W, G>, result: Result<(), Invariant>) {
        if let Err(broken) = result {
            self.broken.get_or_insert(broken);
            shared.cancel();
        }
    }

    fn take_report(&mut self, message: ReportMessage<W>) -> Result<(), Invariant> {
        let ReportMessage { report, kept } = message;
        let job = report.job;
        for ((tx, kept), result) in job.chunk.indices().zip(kept).zip(&report.results) {
            let started = if tx == job.chunk.first { job.incarnation } else { Incarnation(0) };
            let record = self.record(tx)?;
            record.error = kept.error;
            record.output = kept.output;
            if record.output.is_some() {
                record.incarnation = Incarnation(started.0 + result.runs.saturating_sub(1));
                record.reads = kept.reads;
                record.written = kept.written;
            }
        }
        self.protocol.apply(Event::Reported(report))
    }

    fn record(&mut self, tx: TxIndex) -> Result<&mut Record<W>, Invariant> {
        self.records.get_mut(tx.position()).ok_or(Invariant::MissingResult { tx })
    }

    fn message(&self, job: Job) -> Option<JobMessage<W::Location>> {
        let record = self.records.get(job.chunk.first.position())?;
        // Copied, not moved: the job may be claimed back and run from here instead.
        Some(JobMessage { job, previous: record.written.clone() })
    }

    fn perform<X: Context>(
        &mut self,
        command: Command,
        shared: &Shared<W, G>,
        context: &X,
    ) -> Result<(), Invariant> {
        match command {
            Command::Dispatch(job) => self.dispatch(job),
            Command::Discard(tx) => self.discard(tx, shared),
            Command::Recheck(tx) => {
                let current = shared.store.is_current(&self.record(tx)?.reads, tx);
                self.answer_check(tx, current)
            }
            Command::Validate(tx) => {
                context.yield_at(Point::Validate);
                let valid = shared.store.validate(&self.record(tx)?.reads, tx);
                self.answer_check(tx, valid)
            }
            Command::Admit(tx) => {
                let admission = self.ledger.admit(tx);
                let fits = admission.is_ok();
                self.refusal = admission.err();
                self.protocol.apply(Event::Admitted { tx, fits })
            }
            Command::Claim(job) => {
                let tx = job.chunk.first;
                self.protocol.apply(Event::Claimed { tx, claimed: shared.claim(job) })
            }
            Command::Commit(tx) => {
                context.yield_at(Point::Commit);
                self.commit(tx, shared)
            }
            Command::Skip(tx) => self.skip(tx, shared),
            Command::StopWork => {
                shared.stop_work();
                Ok(())
            }
            // Handled where the role can be given back.
            Command::RunHere(_) | Command::Finish => Ok(()),
        }
    }

    fn answer_check(&mut self, tx: TxIndex, holds: bool) -> Result<(), Invariant> {
        let verdict = if holds { Verdict::Valid } else { Verdict::Stale };
        self.protocol.apply(Event::Checked { tx, verdict })
    }

    fn dispatch(&mut self, job: Job) -> Result<(), Invariant> {
        let message = self.message(job).ok_or(Invariant::MissingResult { tx: job.chunk.first })?;
        let full = Invariant::ChannelFull { channel: "jobs" };
        self.jobs.as_ref().map_or(Ok(()), |jobs| jobs.try_send(message).map_err(|_| full))
    }

    fn discard(&mut self, tx: TxIndex, shared: &Shared<W, G>) -> Result<(), Invariant> {
        let record = self.record(tx)?;
        record.output = None;
        let version = Version { tx, incarnation: record.incarnation };
        for location in &record.written {
            shared.store.mark_estimate(version, location);
        }
        Ok(())
    }

    fn commit(&mut self, tx: TxIndex, shared: &Shared<W, G>) -> Result<(), Invariant> {
        let record = self.record(tx)?;
        record.reads = ReadSet::default();
        record.written = Vec::new();
        let output = record.output.take().ok_or(Invariant::MissingResult { tx })?;
        self.ledger.commit(tx, output);
        self.move_frontier(tx, shared);
        Ok(())
    }

    fn skip(&mut self, tx: TxIndex, shared: &Shared<W, G>) -> Result<(), Invariant> {
        let refusal = self.refusal.take();
        let record = self.record(tx)?;
        let reason = match (refusal, record.error.take()) {
            (Some(refusal), _) | (None, Some(TxError::Rejected(refusal))) => refusal,
            _ => return Err(Invariant::MissingResult { tx }),
        };
        // Whatever any incarnation has left goes.
        let version = Version { tx, incarnation: Incarnation(u32::MAX) };
        let mut stale_readers = Vec::new();
        for location in core::mem::take(&mut record.written) {
            shared.store.withdraw(version, &location, &mut stale_readers);
        }
        stale_readers.sort_unstable();
        stale_readers.dedup();
        self.ledger.skip(tx, reason);
        self.move_frontier(tx, shared);
        self.protocol.apply(Event::Withdrawn { tx, stale_readers })
    }

    fn move_frontier(&self, tx: TxIndex, shared: &Shared<W, G>) {
        shared.frontier.store(tx.next().0, SeqCst);
        shared.store.set_frontier(tx.next());
    }
}
