//! Who runs a job and who publishes it: rights that one worker, or the role, takes once.

use super::coordinator::Coordinator;
use super::events::EngineEvent;
use super::machine::{LedgerOf, Workload};
use super::message::JobMessage;
use super::mutants::is_worker_mutant;
use super::shared::Shared;
use crate::ids::TxIndex;
use crate::protocol::{Event, Job, JobReport, Mode};
use crate::sync::SeqCst;

/// How far a job has come. An incarnation has two of them.
#[derive(Clone, Copy)]
enum Stage {
    /// A worker runs it, or the role has taken it back.
    Begun = 1,
    /// Its worker publishes the first transaction, or the role has taken that right.
    Published = 2,
}

impl<W: Workload, G: LedgerOf<W>> Shared<W, G> {
    /// Takes the right to run `job`: true for exactly one worker that asks.
    pub(super) fn claim(&self, job: Job) -> bool {
        let twice = is_worker_mutant!(self.mutant, ClaimedTwice);
        self.enter(job, Stage::Begun).is_some_and(|is_first| is_first || twice)
    }

    /// A worker runs `job`, which did not go through the channel.
    pub(super) fn note_begun(&self, job: Job) {
        self.enter(job, Stage::Begun);
    }

    /// Takes the right to publish the first transaction of `job`, as the worker that runs it.
    pub(super) fn may_publish(&self, job: Job) -> bool {
        // Of a private plan it is kept nowhere, and never taken over.
        let is_late = is_worker_mutant!(self.mutant, LatePublished);
        self.enter(job, Stage::Published).is_none_or(|is_first| is_first || is_late)
    }

    /// Takes that right from the worker that runs `job`. Of a private batch nothing is published
    /// before the role says so.
    pub(super) fn take_over(&self, job: Job) -> bool {
        matches!(job.mode, Mode::Private { .. })
            || self.enter(job, Stage::Published).unwrap_or_default()
    }

    /// Whether a worker runs the job whose first transaction is `tx`, and has published nothing of
    /// it.
    pub(super) fn is_begun(&self, tx: TxIndex) -> bool {
        let claim = self.claims.get(tx).map_or(0, |claim| claim.load(SeqCst));
        claim % 2 == Stage::Begun as u32
    }

    /// Notes that `job` has come to `stage`: true if it had not; `None` if that is not kept.
    fn enter(&self, job: Job, stage: Stage) -> Option<bool> {
        let claim = match job.mode {
            Mode::Private { batch, .. } | Mode::InOrder { batch, .. } => {
                self.batch_claims.get(batch.0 as usize)
            }
            Mode::Speculative | Mode::Frontier => self.claims.get(job.chunk.first),
        };
        let stage = job.incarnation.0.saturating_mul(2).saturating_add(stage as u32);
        Some(claim?.fetch_max(stage, SeqCst) < stage)
    }
}

impl<W, G> Coordinator<W, G>
where
    W: Workload,
    G: LedgerOf<W>,
{
    /// Answers a job that was taken over before its worker began it.
    pub(super) fn answer_late(&mut self, late: Option<JobMessage<W>>, shared: &Shared<W, G>) {
        if let Some(JobMessage { job, .. }) = late {
            let report = JobReport { void: true, ..JobReport::unrun(job) };
            shared.log.note(|| EngineEvent::Sent(report.clone()));
            let answered = self.apply(shared, Event::Reported(report));
            self.note(shared, answered);
        }
    }
}
