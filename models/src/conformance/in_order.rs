//! What runs in order hand on to each other, and when one may go on from that.

use super::store_rules::{Why, ensure};
use braid_evm::ids::TxIndex;
use braid_evm::protocol::{Job, JobReport, Plan, RunMode};

/// What transactions have left from `first` up to `end`, in the hands of the coordinator.
#[derive(Clone, Copy, Debug)]
struct Carried {
    first: TxIndex,
    end: TxIndex,
}

/// The runs in order of a block.
#[derive(Debug)]
pub(super) struct InOrder {
    carried: Option<Carried>,
    /// From where on the run that is asked for has what was left.
    pub(super) running: TxIndex,
    stride: u32,
}

impl InOrder {
    /// The beginning of a block that is cut up so.
    pub(super) fn new(plan: &Plan, stride: u32) -> Self {
        let carried = plan.carried.map(|first| Carried { first, end: plan.first });
        Self { carried, running: plan.first, stride }
    }

    /// The protocol wants a run in order. Returns below which index the store must have all.
    ///
    /// # Errors
    /// It is to go on from something else than what was committed, or is too long.
    pub(super) fn ask(&mut self, job: Job, continues: bool) -> Result<TxIndex, Why> {
        let Job { chunk, .. } = job;
        ensure(chunk.len() <= self.stride, || format!("{job:?} is longer than {}", self.stride))?;
        let carried = self.carried.take().filter(|carried| carried.end == chunk.first);
        self.running = match carried {
            Some(carried) if continues => carried.first,
            None if continues => return Err(format!("{job:?} has nothing to go on from")),
            _ => chunk.first,
        };
        Ok(self.running)
    }

    /// The protocol hears of a report.
    pub(super) fn hear(&mut self, report: &JobReport) {
        if let RunMode::InOrder { continues, .. } = report.job.mode {
            let last = report.batch.groups.last().map(|group| group.end);
            // A run that began on the store and came nowhere leaves nothing to go on from.
            let end = last.or(continues.then_some(report.job.chunk.first));
            self.carried = end.map(|end| Carried { first: self.running, end });
        }
    }

    /// `tx` is left out: it has left nothing.
    pub(super) fn skip(&mut self, tx: TxIndex) {
        if let Some(carried) = self.carried.as_mut().filter(|carried| carried.end == tx) {
            carried.end = tx.next();
        }
    }

    /// What lies below `frontier` is put into the store; `carried`: all of it is what was handed on.
    ///
    /// # Errors
    /// It is not, or it is and that is not said.
    pub(super) fn publish(&mut self, carried: bool, frontier: TxIndex) -> Result<(), Why> {
        let is_there = self.carried.take().is_some_and(|carried| carried.end == frontier);
        ensure(is_there == carried, || format!("below {frontier} all is carried: {is_there}"))
    }
}
