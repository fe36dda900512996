//! Rules for the state that sequential runs hand to each other.

use super::store_rules::{Why, ensure};
use braid_evm::ids::TxIndex;
use braid_evm::protocol::{Job, JobReport, Plan, RunMode};

/// Writes of the transactions from `first` up to `end`, held by the coordinator.
#[derive(Clone, Copy, Debug)]
struct Carried {
    first: TxIndex,
    end: TxIndex,
}

/// The sequential runs of a block.
#[derive(Debug)]
pub(super) struct Sequential {
    carried: Option<Carried>,
    /// Start of the writes that the requested run carries.
    pub(super) running: TxIndex,
    stride: u32,
}

impl Sequential {
    /// Creates the state at the start of a block with this plan.
    pub(super) fn new(plan: &Plan, stride: u32) -> Self {
        let carried = plan.continues.then_some(Carried { first: plan.first, end: plan.first });
        Self { carried, running: plan.first, stride }
    }

    /// Lets the first run continue from writes that begin with `first`.
    pub(super) fn carry_from(&mut self, first: Option<TxIndex>) {
        if let (Some(carried), Some(first)) = (&mut self.carried, first) {
            carried.first = first;
        }
    }

    /// Checks the request for a sequential run, and returns the index below which the store must be
    /// complete.
    ///
    /// # Errors
    /// Returns the reason if the run would continue from anything but the last commit, or is too
    /// long.
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

    /// Records that `tx`, before which a run has ended, is skipped.
    pub(super) fn skip(&mut self, tx: TxIndex) {
        if let Some(carried) = self.carried.as_mut().filter(|carried| carried.end == tx) {
            carried.end = tx.next();
        }
    }

    /// Records a report that the protocol receives.
    pub(super) fn hear(&mut self, report: &JobReport) {
        if let RunMode::Sequential { continues, .. } = report.job.mode {
            let last = report.batch.groups.last().map(|group| group.end);
            // A run that began on the store and ran no transaction leaves nothing to continue from.
            let end = last.or(continues.then_some(report.job.chunk.first));
            self.carried = end.map(|end| Carried { first: self.running, end });
        }
    }
}
