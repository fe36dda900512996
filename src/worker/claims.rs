//! The rights to run and to publish a job, each of which is taken once, by a worker or the
//! coordinator.

use super::claim::{BatchClaim, Stage};
use super::coordinator::Coordinator;
use super::events::EngineEvent;
use super::machine::{LedgerOf, Workload};
use super::message::JobMessage;
use super::shared::Shared;
use crate::ids::{BatchId, Incarnation, TxIndex};
use crate::protocol::{Event, Job, JobReport, RunMode};
use crate::sync::SeqCst;

impl<W: Workload, G: LedgerOf<W>> Shared<W, G> {
    /// Takes the right to run `job`: true for exactly one worker.
    pub(super) fn claim(&self, job: Job) -> bool {
        let twice = mutant!(ClaimedTwice);
        self.enter(job, Stage::Begun).is_some_and(|is_first| is_first || twice)
    }

    /// Takes `job` back for the coordinator, unless a worker has begun it.
    pub(super) fn take_back(&self, job: Job) -> bool {
        let RunMode::Private { batch, snapshot } = job.mode else { return self.claim(job) };
        let is_helped = mutant!(TakenBackHelped);
        let alone = if is_helped { snapshot.0 } else { BatchClaim::ALONE };
        let claim = self.batch_claims.get(batch.0 as usize);
        claim.is_some_and(|claim| claim.enter(job.stage(Stage::Begun), alone))
    }

    /// Records that a worker runs `job`, which did not pass through the channel.
    pub(super) fn note_begun(&self, job: Job) {
        let RunMode::Private { batch, snapshot } = job.mode else {
            self.enter(job, Stage::Begun);
            return;
        };
        if let Some(claim) = self.batch_claims.get(batch.0 as usize) {
            claim.set(job.stage(Stage::Begun), snapshot.0);
        }
    }

    /// Takes the right of a worker to publish the first transaction of `job`, or to report `job` if
    /// it is a private batch.
    pub(super) fn may_publish(&self, job: Job) -> bool {
        // A plan of private batches keeps no claim for single transactions.
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

    /// Returns whether the report of `job`, a private batch, was sent or is about to be sent.
    pub(super) fn is_reported(&self, (job, batch): (Job, BatchId)) -> bool {
        let claim = self.batch_claims.get(batch.0 as usize);
        claim.is_some_and(|claim| claim.get().0 >= job.stage(Stage::Published))
    }

    /// Returns the transaction or batch that a worker is running at the frontier and has not
    /// published. A member of a private batch that runs alone is not helped.
    pub(super) fn begun(&self, frontier: TxIndex) -> Option<Begun> {
        let batches = self.batches.iter().zip(&self.batch_claims).zip(0..);
        let mut own = batches
            .filter(|((batch, _), _)| (batch.first..batch.end).contains(&frontier))
            .map(|((batch, claim), id)| claim.begun(*batch, BatchId(id), frontier));
        let begun = match own.next() {
            Some(job) => Begun::Batch(job?),
            None => {
                let claim = self.claims.get(frontier)?.load(SeqCst);
                (claim % 2 == Stage::Begun as u32).then_some(Begun::Transaction(frontier))?
            }
        };
        // A job that was only begun commits nothing, so this run is the frontier's if the frontier
        // has not moved.
        let is_still = self.frontier.load(SeqCst) == frontier.0 || mutant!(FrontierReadOnce);
        is_still.then_some(begun)
    }

    /// Enters `stage` of `job`. Returns true if the job had not reached it, and `None` if no claim
    /// is kept for the job.
    fn enter(&self, job: Job, stage: Stage) -> Option<bool> {
        let stage = job.stage(stage);
        let (batch, snapshot) = match job.mode {
            RunMode::Private { batch, snapshot } => (batch, snapshot.0),
            RunMode::Sequential { batch, .. } => (batch, BatchClaim::ALONE),
            RunMode::Speculative | RunMode::Frontier => {
                let claim = self.claims.get(job.chunk.first)?;
                return Some(claim.fetch_max(stage, SeqCst) < stage);
            }
        };
        Some(self.batch_claims.get(batch.0 as usize)?.enter(stage, snapshot))
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
            shared.log.note(|| EngineEvent::Sent(report.clone()));
            let answered = self.apply(shared, Event::Reported(report));
            self.note(shared, answered);
        }
    }
}
