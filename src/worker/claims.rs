//! Claims: the rights to run and to publish a job. Each is taken once, by a worker or by the
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
enum ClaimStage {
    /// A worker is running the job, or the coordinator has taken it back.
    Begun = 1,
    /// The worker is publishing the first transaction, or the coordinator has taken that right. For
    /// a private batch: one of the workers that run it is reporting it.
    Published = 2,
}

/// Flag in the stage of a private batch that the coordinator has taken back, until a worker runs
/// it. While it is set, no helper may report the batch.
const TAKEN_BACK: u32 = 1 << 31;

impl Job {
    /// Returns the number of a stage: an incarnation has two, and the numbers increase over the
    /// runs of a job.
    fn stage(self, stage: ClaimStage) -> u32 {
        self.incarnation.0.saturating_mul(2).saturating_add(stage as u32)
    }
}

impl<W: Workload, G: LedgerOf<W>> Shared<W, G> {
    /// Takes the right to run `job`. Returns true for exactly one caller.
    pub(super) fn claim(&self, job: Job) -> bool {
        let twice = mutant!(ClaimedTwice);
        self.enter(job, ClaimStage::Begun).is_some_and(|is_first| is_first || twice)
    }

    /// Takes `job` back for the coordinator, unless a worker has begun it.
    pub(super) fn take_back(&self, job: Job) -> bool {
        if job.batch().is_none() {
            return self.claim(job);
        }
        let begun = job.stage(ClaimStage::Begun);
        let taken_back = if mutant!(TakenBackHelped) { begun } else { begun | TAKEN_BACK };
        let is_new = |stage: u32| (stage < begun).then_some(taken_back);
        self.claim_of(job).is_some_and(|claim| claim.fetch_update(SeqCst, SeqCst, is_new).is_ok())
    }

    /// Records that the coordinator's worker runs `job`, outside the channel.
    pub(super) fn note_begun(&self, job: Job) {
        match self.claim_of(job).filter(|_| job.batch().is_some()) {
            // A swap, because loom does not order a plain store against swaps.
            Some(claim) => _ = claim.swap(job.stage(ClaimStage::Begun), SeqCst),
            None => _ = self.enter(job, ClaimStage::Begun),
        }
    }

    /// Takes the right of a worker to publish the first transaction of `job`, or to report `job` if
    /// it is a private batch.
    pub(super) fn may_publish(&self, job: Job) -> bool {
        let ignores_claim = match job.mode {
            RunMode::Private { .. } => mutant!(ReportedTwice),
            _ => mutant!(LatePublished),
        };
        self.enter(job, ClaimStage::Published).is_none_or(|is_first| is_first || ignores_claim)
    }

    /// Takes the right to publish from the worker that runs `job`, unless it is publishing.
    pub(super) fn take_over(&self, job: Job) -> bool {
        self.enter(job, ClaimStage::Published).unwrap_or_default()
    }

    /// Returns whether a worker has sent, or is about to send, the report of `job`, a private
    /// batch.
    pub(super) fn is_reported(&self, job: Job) -> bool {
        let claim = self.claim_of(job);
        claim.is_some_and(|claim| claim.load(SeqCst) >= job.stage(ClaimStage::Published))
    }

    /// Returns the transaction or batch that a worker is running at the frontier and has not
    /// published.
    pub(super) fn frontier_run(&self, frontier: TxIndex) -> Option<FrontierRun> {
        let is_begun = |claim: u32| claim < TAKEN_BACK && claim % 2 == ClaimStage::Begun as u32;
        if self.batches.is_empty() {
            let claim = self.claims.get(frontier)?.load(SeqCst);
            is_begun(claim).then_some(FrontierRun::Transaction(frontier))
        } else {
            let id = self.batches.partition_point(|batch| batch.end <= frontier);
            let batch = self.batches.get(id)?;
            let claim = self.batch_claims.get(id)?.load(SeqCst);
            let mode = RunMode::Private { batch: BatchId(u32::try_from(id).ok()?) };
            let job = Job { chunk: *batch, incarnation: Incarnation(claim / 2), mode };
            is_begun(claim).then_some(FrontierRun::Batch(job))
        }
    }

    /// Enters `stage` of `job`. Returns true if the job had not reached the stage, and `None` if
    /// the job has no claim.
    fn enter(&self, job: Job, stage: ClaimStage) -> Option<bool> {
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

/// A run at the frontier that a worker has begun and not published.
#[derive(Clone, Copy, Debug)]
pub(super) enum FrontierRun {
    Transaction(TxIndex),
    /// The job of a private batch.
    Batch(Job),
}

impl FrontierRun {
    /// Returns the frontier and the incarnation of the batch, which identify the run.
    pub(super) const fn id(self) -> (TxIndex, Incarnation) {
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
    /// Answers the job of `message`, which was taken over before its worker began it. A private
    /// batch was reported already.
    pub(super) fn answer_superseded(
        &mut self,
        message: Option<JobMessage<W>>,
        shared: &Shared<W, G>,
    ) {
        if let Some(JobMessage { job, .. }) = message
            && !matches!(job.mode, RunMode::Private { .. })
        {
            let report = JobReport { void: true, ..JobReport::unrun(job) };
            shared.log.record(|| EngineEvent::Sent(report.clone()));
            let answered = self.apply(shared, Event::Reported(report));
            self.record_broken(shared, answered);
        }
    }
}
