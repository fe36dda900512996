//! A run of a private batch on one worker.

use super::actor::Actor;
use super::events::EngineEvent;
use super::machine::{BatchMachine, LedgerOf, MustWait, Workload};
use super::message::{JobMessage, ReportMessage};
use super::mutants::is_worker_mutant;
use super::{Context, Point};
use crate::ids::{BatchId, TxIndex};
use crate::protocol::{BatchReport, JobReport};
use std::panic::{AssertUnwindSafe, catch_unwind};

impl<'a, W, G, X> Actor<'a, W, G, X>
where
    W: Workload,
    G: LedgerOf<W>,
    X: Context,
{
    /// Runs the members of a private batch from the first transaction of the job on, until work is to stop or one must
    /// wait for the frontier. Whatever prevents that one - it is invalid, storage fails, it panics - is found out there,
    /// with authority.
    pub(super) fn run_batch(
        &mut self,
        message: &JobMessage<W::Location>,
        (id, snapshot): (BatchId, TxIndex),
    ) -> ReportMessage<W> {
        let job = message.job;
        let shared = self.shared;
        shared.log.note(|| EngineEvent::BatchBegan(job));
        let machine = self.batches.take().or_else(|| self.build_batches());
        let (held, ran) = match machine {
            // What fails here fails at the frontier, too, if it is to fail the block.
            None => (Some(job.chunk.first), None),
            Some(mut machine) => {
                if let Some(batch) = shared.batches.get(id.0 as usize) {
                    let log = shared.empty_log.clone();
                    machine.begin(batch, job.chunk.first, snapshot, log);
                }
                let (held, panicked) = self.run_members(&mut machine, (id, job.chunk.first));
                let ran = machine.end();
                // Whatever it kept in the middle of a run goes with it.
                self.batches = (!panicked).then_some(machine);
                (held, Some(ran))
            }
        };
        self.context.yield_at(Point::Publish);
        let groups = ran.iter().flat_map(|ran| ran.groups.iter().map(|(txs, _)| *txs)).collect();
        let batch = BatchReport { groups, held };
        shared.log.note(|| EngineEvent::BatchEnded {
            job,
            groups: ran.as_ref().map(|ran| ran.log.exact().groups().to_vec()).unwrap_or_default(),
            held,
        });
        let report = JobReport { job, results: Vec::new(), batch, void: false };
        ReportMessage { report, kept: Vec::new(), batch: ran }
    }

    /// The member that must wait, if one must, and whether it panicked.
    fn run_members(
        &self,
        machine: &mut W::Batches<'a, X>,
        (id, first): (BatchId, TxIndex),
    ) -> (Option<TxIndex>, bool) {
        let shared = self.shared;
        let members = shared.batches.get(id.0 as usize);
        for tx in members.into_iter().flat_map(|batch| batch.from(first)) {
            if shared.is_stopped() {
                break;
            }
            match catch_unwind(AssertUnwindSafe(|| machine.run(tx))) {
                Ok(Ok(())) => {}
                Ok(Err(MustWait)) if is_worker_mutant!(shared.mutant, BatchGoesOn) => {}
                Ok(Err(MustWait)) => return (Some(tx), false),
                Err(_) => return (Some(tx), true),
            }
        }
        (None, false)
    }

    /// The machine for private batches; none if the base state cannot be opened, or that panics.
    fn build_batches(&self) -> Option<W::Batches<'a, X>> {
        let Self { shared, worker, context, .. } = *self;
        let build = || shared.workload.batches(worker, &shared.store, context);
        catch_unwind(AssertUnwindSafe(build)).ok()?.ok()
    }
}
