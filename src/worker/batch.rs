//! A run of a private batch on one worker.

use super::actor::Actor;
use super::events::EngineEvent;
use super::machine::{BatchMachine, BatchStart, LedgerOf, MustWait, RanBatch, TxError, Workload};
use super::message::{JobMessage, ReportMessage};
use super::mutants::is_worker_mutant;
use super::{Context, Point};
use crate::ids::{BatchId, Chunk, TxIndex};
use crate::protocol::{BatchReport, JobReport};
use std::panic::{AssertUnwindSafe, catch_unwind};

impl<'a, W, G, X> Actor<'a, W, G, X>
where
    W: Workload,
    G: LedgerOf<W>,
    X: Context,
{
    /// Runs the members of a private batch from the first transaction of the job on, until work is
    /// to stop or one has no result. Whatever prevents that one - it is invalid, storage fails, it
    /// panics - is found out at the frontier, with authority; in a stretch in order it is there
    /// already.
    pub(super) fn run_batch(
        &mut self,
        message: JobMessage<W>,
        (id, snapshot): (BatchId, TxIndex),
    ) -> ReportMessage<W> {
        let JobMessage { job, in_order, .. } = message;
        let shared = self.shared;
        shared.log.note(|| EngineEvent::BatchBegan(job));
        let is_compared = in_order.is_none() || shared.compares_all;
        let machine = self.batches.take().map_or_else(|| self.build_batches(), Ok);
        let (held, ran) = match machine {
            Err(error) => {
                let carry = in_order.and_then(|in_order| in_order.carry);
                let ran = carry.map(|carry| RanBatch::nothing(Some(carry)));
                (Some((job.chunk.first, Some(error))), ran)
            }
            Ok(mut machine) => {
                if let Some(batch) = shared.batches.get(id.0 as usize) {
                    let log = is_compared.then(|| shared.empty_log.clone());
                    machine.begin(BatchStart { batch, txs: job.chunk, snapshot, log, in_order });
                }
                let (held, panicked) = self.run_members(&mut machine, id, job.chunk);
                let ran = machine.end();
                // Whatever it kept in the middle of a run goes with it.
                self.batches = (!panicked).then_some(machine);
                (held, Some(ran))
            }
        };
        self.context.yield_at(Point::Publish);
        let groups = ran.iter().flat_map(|ran| ran.groups.iter().map(|(txs, _)| *txs)).collect();
        let (held, error) = held.map_or((None, None), |(held, error)| (Some(held), error));
        let failure = error.as_ref().map(Self::failure);
        let batch = BatchReport { groups, held, failure };
        shared.log.note(|| EngineEvent::BatchEnded {
            job,
            groups: ran
                .as_ref()
                .and_then(|ran| Some(ran.log.as_ref()?.exact().groups().to_vec()))
                .unwrap_or_default(),
            held,
        });
        let report = JobReport { job, results: Vec::new(), batch, void: false };
        ReportMessage { report, kept: Vec::new(), batch: ran, error }
    }

    /// The member that has no result, if there is one, and whether it panicked.
    fn run_members(
        &self,
        machine: &mut W::Batches<'a, X>,
        id: BatchId,
        txs: Chunk,
    ) -> (Option<Held<W>>, bool) {
        let shared = self.shared;
        let members = shared.batches.get(id.0 as usize).into_iter();
        let members = members.flat_map(|batch| batch.from(txs.first));
        for tx in members.take_while(|tx| *tx < txs.end) {
            if shared.is_stopped() {
                break;
            }
            match catch_unwind(AssertUnwindSafe(|| machine.run(tx))) {
                Ok(Ok(())) => {}
                Ok(Err(_)) if is_worker_mutant!(shared.mutant, BatchGoesOn) => {}
                Ok(Err(MustWait { error })) => return (Some((tx, error)), false),
                Err(payload) => return (Some((tx, Some(TxError::Panicked(payload)))), true),
            }
        }
        (None, false)
    }

    /// The machine for private batches.
    fn build_batches(&self) -> Result<W::Batches<'a, X>, ErrorOf<W>> {
        let Self { shared, worker, context, .. } = *self;
        let build = || shared.workload.batches(worker, &shared.store, context);
        catch_unwind(AssertUnwindSafe(build)).map_err(TxError::Panicked)?.map_err(TxError::Base)
    }
}

type ErrorOf<W> = TxError<<W as Workload>::Rejection, <W as Workload>::BaseError>;

/// A member that has no result, and why.
type Held<W> = (TxIndex, Option<ErrorOf<W>>);
