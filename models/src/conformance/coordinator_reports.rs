//! Rules for reports: each job is answered once, and the report of a job that was taken over does
//! not count.

use super::coordinator_rules::CoordinatorRules;
use super::store_rules::{Why, ensure};
use braid_evm::ids::TxIndex;
use braid_evm::protocol::{Job, JobReport, RunMode, RunResult, TxReport};

impl CoordinatorRules {
    /// Checks a report as a worker sends it.
    ///
    /// # Errors
    /// Returns the reason if the worker continued after a transaction without a result.
    pub fn sent(&mut self, report: &JobReport) -> Result<(), Why> {
        let goes_on = |result: &TxReport| matches!(result.result, RunResult::Executed { .. });
        let last = report.results.len().saturating_sub(1);
        ensure(report.results.iter().take(last).all(goes_on), || {
            format!("I14: a chunk goes on without a result: {report:?}")
        })?;
        self.sent.push(report.clone());
        Ok(())
    }

    /// Checks that the coordinator has requested a run of `tx` outside the channel.
    ///
    /// # Errors
    /// Returns the reason if it has not.
    pub(super) fn check_owner_run(&self, tx: TxIndex) -> Result<(), Why> {
        let runs = self.owner_job.is_some_and(|own| own.chunk.first == tx);
        ensure(runs, || format!("{tx} runs beside another one and is not asked for"))
    }

    pub(super) fn supersede(&mut self, job: Job) {
        if self.owner_job.take_if(|own| *own == job).is_none() {
            self.jobs.retain(|other| *other != job);
        }
        self.superseded.push(job);
        self.helped_transactions += 1;
    }

    /// Returns the number of runs of the first transaction of `job` in a report that was sent and
    /// not received.
    pub(super) fn unreceived_runs(&self, job: Job) -> u32 {
        let sent = self.sent.iter().find(|sent| sent.job == job);
        sent.and_then(|sent| sent.results.first()).map_or(0, |first| first.runs)
    }

    /// Forgets the job of `report` if it was taken over. Returns whether it was.
    ///
    /// # Errors
    /// Returns the reason if no worker has sent the report.
    pub(super) fn take_superseded(&mut self, report: &JobReport) -> Result<bool, Why> {
        let Some(at) = self.superseded.iter().position(|job| *job == report.job) else {
            return Ok(false);
        };
        self.superseded.swap_remove(at);
        self.was_sent(report).map(|()| true)
    }

    fn was_sent(&mut self, report: &JobReport) -> Result<(), Why> {
        let sent = self.sent.iter().position(|sent| sent == report);
        let sent = sent.ok_or_else(|| format!("no worker sent {report:?}"))?;
        self.sent.remove(sent);
        Ok(())
    }

    pub(super) fn reported(&mut self, report: &JobReport) -> Result<(), Why> {
        self.was_sent(report)?;
        let job = report.job;
        // A batch that was claimed back runs outside the channel as the same job.
        if job.mode == RunMode::Frontier || (self.owner_job == Some(job) && !report.void) {
            ensure(self.owner_job.take() == Some(job), || format!("{job:?} was not run here"))?;
        } else {
            let dispatched = self.jobs.iter().position(|other| *other == job);
            let dispatched = dispatched.ok_or_else(|| format!("{job:?} was not dispatched"))?;
            self.jobs.remove(dispatched);
            let taken_back = self.taken_back.iter().position(|other| *other == job);
            ensure(taken_back.is_some() == report.void, || {
                format!("{job:?} was taken back: {}", !report.void)
            })?;
            taken_back.map(|index| self.taken_back.remove(index));
        }
        let is_final = job.mode == RunMode::Frontier && job.chunk.first == self.frontier;
        let Some(first) = report.results.first().filter(|_| is_final) else { return Ok(()) };
        match first.result {
            RunResult::Executed { .. } => Ok(()),
            RunResult::Failed(failure) => {
                self.failed = Some(failure);
                Ok(())
            }
            RunResult::TooEarly => Err(format!("I8: {} runs too early", self.frontier)),
            RunResult::Blocked { on } => Err(format!("I8: {} is blocked on {on}", self.frontier)),
        }
    }
}
