//! Runs of private batches on a worker.

use super::actor::Actor;
use super::events::EngineEvent;
use super::machine::{BatchMachine, BatchStart, LedgerOf, RanBatch, Workload};
use super::message::{JobMessage, ReportMessage};
use super::ran::NoResultOf;
use super::stop::{NoResult, Stop};
use super::{Activity, Context, Point};
use crate::ids::TxIndex;
use crate::panics::caught;
use crate::protocol::{BatchReport, Job, JobReport};
use crate::spans::span;

impl<'a, W, G, X> Actor<'a, W, G, X>
where
    W: Workload,
    G: LedgerOf<W>,
    X: Context,
{
    /// Runs the members of a private batch in block order, until work has to stop or a member has
    /// no result. The cause (an invalid transaction, a database error, a panic) is final only at
    /// the frontier.
    pub(super) fn run_batch(&mut self, message: JobMessage<W>) -> Option<ReportMessage<W>> {
        let JobMessage { job, .. } = message;
        self.shared.log.record(|| EngineEvent::BatchBegan(job));
        self.context.report(Activity::Batch(job.chunk));
        let ended = match self.take_batches() {
            Err(why) => BatchRun { held: Some((job.chunk.first, why)), ran: None },
            Ok(machine) => self.run_on(machine, job, false),
        };
        self.report_batch(job, ended, false)
    }

    /// Helps with the private batch of `job`: runs it on the same snapshot as the worker that began
    /// it. Both runs have the same result, and the worker that finishes first reports it.
    pub(super) fn help_with_batch(&mut self, job: Job) -> Option<ReportMessage<W>> {
        let machine = self.take_batches().ok()?;
        let ended = self.run_on(machine, job, true);
        // The other run may succeed where this one met a database error or a panic.
        let may_succeed = |(_, why): &HeldMember<W>| {
            matches!(why, NoResult::Stopped(Stop::Base(_)) | NoResult::Panicked(_))
        };
        if ended.held.as_ref().is_some_and(may_succeed) {
            None
        } else {
            self.report_batch(job, ended, true)
        }
    }

    /// Runs the batch of `job` on `machine`.
    fn run_on(&mut self, mut machine: W::Batches<'a, X>, job: Job, is_second: bool) -> BatchRun<W> {
        let shared = self.shared;
        let log = shared.empty_log.clone();
        let txs = job.chunk;
        let snapshot = shared.snapshot;
        machine.begin(BatchStart { txs, snapshot, log, is_second });
        let (held, panicked) = self.run_members(&mut machine, job);
        let ran = machine.end();
        // After a panic the machine is dropped, because its caches may be inconsistent.
        self.batches = (!panicked).then_some(machine);
        BatchRun { held, ran: Some(ran) }
    }

    /// Returns the report of a run, unless another worker has already reported the batch.
    fn report_batch(
        &self,
        job: Job,
        BatchRun { held, ran }: BatchRun<W>,
        is_second: bool,
    ) -> Option<ReportMessage<W>> {
        let shared = self.shared;
        self.context.yield_at(Point::Publish);
        if !shared.may_publish(job) {
            return None;
        }
        let groups = ran.iter().flat_map(|ran| ran.groups.iter().map(|(txs, _)| *txs)).collect();
        let held = held.map(|(held, _)| held);
        let batch = BatchReport { groups, held };
        shared.log.record(|| EngineEvent::BatchEnded {
            job,
            groups: ran
                .as_ref()
                .and_then(|ran| Some(ran.log.as_ref()?.exact().groups().to_vec()))
                .unwrap_or_default(),
            held,
            is_second,
        });
        let report = JobReport { job, results: Vec::new(), batch, void: false };
        Some(ReportMessage { report, kept: Vec::new(), batch: ran, is_second })
    }

    /// Runs the members of the batch. Returns the member without a result, if there is one, and
    /// whether it panicked.
    fn run_members(
        &self,
        machine: &mut W::Batches<'a, X>,
        job: Job,
    ) -> (Option<HeldMember<W>>, bool) {
        let shared = self.shared;
        for tx in job.chunk.indices() {
            if shared.is_stopped() || shared.is_reported(job) {
                break;
            }
            let _span = span!(TRACE, "run", tx = tx.0);
            match caught(|| machine.run(tx)) {
                Ok(Ok(())) => {}
                Ok(Err(_)) if mutant!(BatchGoesOn) => {}
                Ok(Err(why)) => {
                    if why.is_early() {
                        self.context.report(Activity::Blocked(tx));
                    }
                    return (Some((tx, why)), false);
                }
                Err(payload) => return (Some((tx, NoResult::Panicked(payload))), true),
            }
        }
        (None, false)
    }

    /// Takes the machine for private batches, or creates it.
    fn take_batches(&mut self) -> Result<W::Batches<'a, X>, NoResultOf<W>> {
        if let Some(machine) = self.batches.take() {
            return Ok(machine);
        }
        let Self { shared, worker, context, .. } = *self;
        let build = || shared.workload.batches(worker, &shared.store, context);
        caught(build).map_err(NoResult::Panicked)?.map_err(NoResult::base)
    }
}

/// A member without a result, and the reason.
type HeldMember<W> = (TxIndex, NoResultOf<W>);

/// Result of a run of a private batch.
struct BatchRun<W: Workload> {
    held: Option<HeldMember<W>>,
    ran: Option<RanBatch<W::Location, W::Group>>,
}
