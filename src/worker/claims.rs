//! The rights to run and to publish a job, each of which is taken once, by a worker or the
//! coordinator.

use super::coordinator::Coordinator;
use super::events::EngineEvent;
use super::machine::{LedgerOf, Workload};
use super::message::JobMessage;
use super::shared::Shared;
use crate::ids::{BatchId, Incarnation, TxIndex};
use crate::protocol::{Event, Job, JobReport, RunMode};
use crate::sync::{AtomicU32, SeqCst};

/// Progress of a job. Each incarnation has two stages.
#[derive(Clone, Copy)]
enum Stage {
    /// A worker is running the job, or the coordinator has taken it back.
    Begun = 1,
    /// Its worker is publishing the first transaction, or the coordinator has taken that right. For
    /// a private batch: one of the workers that run it is reporting it.
    Published = 2,
}

/// Added to the stage of a private batch that the coordinator has taken back, until a worker runs
/// it. A helper must not report it meanwhile.
const TAKEN_BACK: u32 = 1 << 31;

impl Job {
    /// Returns the number of a stage: an incarnation has two, and the numbers increase over the
    /// runs of a job.
    fn stage(self, stage: Stage) -> u32 {
        self.incarnation.0.saturating_mul(2).saturating_add(stage as u32)
    }
}

impl<W: Workload, G: LedgerOf<W>> Shared<W, G> {
    /// Takes the right to run `job`: true for exactly one worker.
    pub(super) fn claim(&self, job: Job) -> bool {
        let twice = mutant!(ClaimedTwice);
        self.enter(job, Stage::Begun).is_some_and(|is_first| is_first || twice)
    }

    /// Takes `job` back for the coordinator, unless a worker has begun it.
    pub(super) fn take_back(&self, job: Job) -> bool {
        if job.batch().is_none() {
            return self.claim(job);
        }
        let begun = job.stage(Stage::Begun);
        let taken = if mutant!(TakenBackHelped) { begun } else { begun | TAKEN_BACK };
        let is_new = |stage: u32| (stage < begun).then_some(taken);
        self.claim_of(job).is_some_and(|claim| claim.fetch_update(SeqCst, SeqCst, is_new).is_ok())
    }

    /// Records that a worker runs `job`, which did not pass through the channel.
    pub(super) fn note_begun(&self, job: Job) {
        match self.claim_of(job).filter(|_| job.batch().is_some()) {
            // A swap: loom does not order a plain store against swaps.
            Some(claim) => _ = claim.swap(job.stage(Stage::Begun), SeqCst),
            None => _ = self.enter(job, Stage::Begun),
        }
    }

    /// Takes the right of a worker to publish the first transaction of `job`, or to report `job` if
    /// it is a private batch.
    pub(super) fn may_publish(&self, job: Job) -> bool {
        let is_late = match job.mode {
            RunMode::Private { .. } => mutant!(ReportedTwice),
            _ => mutant!(LatePublished),
        };
        self.enter(job, Stage::Published).is_none_or(|is_first| is_first || is_late)
    }

    /// Takes the right to publish from the worker that runs `job`.
    pub(super) fn take_over(&self, job: Job) -> bool {
        self.enter(job, Stage::Published).unwrap_or_default()
    }

    /// Returns whether the report of `job`, a private batch that a worker runs, was sent or is about
    /// to be sent.
    pub(super) fn is_reported(&self, job: Job) -> bool {
        let claim = self.claim_of(job);
        claim.is_some_and(|claim| claim.load(SeqCst) >= job.stage(Stage::Published))
    }

    /// Returns the transaction or batch that a worker is running at the frontier and has not
    /// published.
    pub(super) fn begun(&self, frontier: TxIndex) -> Option<Begun> {
        let is_begun = |claim: u32| claim < TAKEN_BACK && claim % 2 == Stage::Begun as u32;
        if self.batches.is_empty() {
            let claim = self.claims.get(frontier)?.load(SeqCst);
            is_begun(claim).then_some(Begun::Transaction(frontier))
        } else {
            let id = self.batches.partition_point(|batch| batch.end <= frontier);
            let batch = self.batches.get(id)?;
            let claim = self.batch_claims.get(id)?.load(SeqCst);
            let mode = RunMode::Private { batch: BatchId(u32::try_from(id).ok()?) };
            let job = Job { chunk: *batch, incarnation: Incarnation(claim / 2), mode };
            is_begun(claim).then_some(Begun::Batch(job))
        }
    }

    /// Enters `stage` of `job`. Returns true if the job had not reached it, and `None` if no claim
    /// is kept for the job.
    fn enter(&self, job: Job, stage: Stage) -> Option<bool> {
        let stage = job.stage(stage);
        Some(self.claim_of(job)?.fetch_max(stage, SeqCst) < stage)
    }

    fn claim_of(&self, job: Job) -> Option<&AtomicU32> {
        match job.batch() {
            Some(batch) => self.batch_claims.get(batch.position()),
            None => self.claims.get(job.chunk.first),
        }
    }
}

/// The job that a worker has begun at the frontier.
#[derive(Clone, Copy, Debug)]
pub(super) enum Begun {
    Transaction(TxIndex),
    /// A private batch, with the run to repeat.
    Batch(Job),
}

impl Begun {
    /// Returns the frontier, and the incarnation of the batch.
    pub(super) const fn run(self) -> (TxIndex, Incarnation) {
        match self {
            Self::Transaction(tx) => (tx, Incarnation(0)),
            Self::Batch(job) => (job.chunk.first, job.incarnation),
        }
    }
}

impl<W, G> Coordinator<W, G>
where
    W: Workload,
    G: LedgerOf<W>,
{
    /// Answers a job that was taken over before its worker began it. For a private batch there is
    /// already a report.
    pub(super) fn answer_late(&mut self, late: Option<JobMessage<W>>, shared: &Shared<W, G>) {
        if let Some(JobMessage { job, .. }) = late
            && !matches!(job.mode, RunMode::Private { .. })
        {
            let report = JobReport { void: true, ..JobReport::unrun(job) };
            shared.log.record(|| EngineEvent::Sent(report.clone()));
            let answered = self.apply(shared, Event::Reported(report));
            self.note(shared, answered);
        }
    }
}
