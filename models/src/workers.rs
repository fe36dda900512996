//! Steps of the workers. Other workers may act between any two steps.

use crate::Scenario;
use crate::scenario::{Kind, Tx, credits};
use crate::state::{Report, Run, Stage, State, Worker};
use crate::store::Seen;
use braid_evm::ids::TxIndex;
use braid_evm::protocol::{Job, RunResult};

impl State {
    /// Starts a job on an idle worker.
    pub(crate) fn begin(&mut self, worker: usize, job: Job, is_owner_job: bool) {
        let (results, private, batch) = Default::default();
        let mut report = Report { job, results, private, batch, is_owner_job, void: false };
        if !is_owner_job && !self.claim(job) {
            report.void = true;
            self.reports.push(report);
        } else if self.stopped {
            self.reports.push(report);
        } else {
            self.start(worker, report, job.chunk.first.position(), 1);
        }
    }

    pub(crate) fn start(&mut self, worker: usize, report: Report, tx: usize, runs: u32) {
        self.runs[tx] += 1;
        let run = Run { runs, seen: None, value: 0, written: None };
        let stage = Stage::Read;
        self.workers[worker] = Worker::Busy { report, tx, stage, run, stale: Vec::new() };
    }

    /// Takes the next step of a busy worker.
    pub(crate) fn step(&mut self, worker: usize, scenario: &Scenario) {
        let busy = core::mem::replace(&mut self.workers[worker], Worker::Idle);
        let Worker::Busy { report, tx, stage, mut run, mut stale } = busy else { return };
        let program = scenario.txs[tx];
        if report.job.batch().is_some() {
            return self.step_private(worker, report, tx, scenario);
        }
        match stage {
            Stage::Read => match self.read(&report, tx, program, scenario) {
                Err(stopped) => self.end_run(worker, report, stopped, run),
                Ok((seen, value)) => {
                    run.seen = seen;
                    run.value = value;
                    self.workers[worker] =
                        Worker::Busy { report, tx, stage: Stage::Check, run, stale };
                }
            },
            Stage::Check => {
                let is_first = tx == report.job.chunk.first.position();
                let incarnation = if is_first { report.job.incarnation.0 } else { 0 };
                let is_final = is_first && !report.is_speculative();
                let may_repeat = run.runs == 1
                    && !is_final
                    && incarnation + 1 < scenario.limits.max_speculative_runs;
                let failed = program.run(tx, run.value);
                // A fatal failure is not repeated at once.
                let is_fatal = failed == Err(braid_evm::protocol::Failure::Fatal);
                if may_repeat && !is_fatal && !self.store.holds(run.seen, tx, false) {
                    return self.start(worker, report, tx, 2);
                }
                if let Err(failure) = failed {
                    return self.end_run(worker, report, RunResult::Failed(failure), run);
                }
                self.workers[worker] =
                    Worker::Busy { report, tx, stage: Stage::Publish, run, stale };
            }
            Stage::Publish if !self.publishes(&report, tx, scenario) => {
                let (results, private, batch) = Default::default();
                self.reports.push(Report { results, private, batch, void: true, ..report });
            }
            Stage::Publish => {
                run.written = program.run(tx, run.value).unwrap_or(None);
                if let Some((location, value)) = run.written {
                    let incarnation = self.incarnation(&report, tx, &run);
                    stale.extend(self.store.publish(location, (tx, incarnation), value));
                }
                if self.leftover(tx, &run).is_some() {
                    self.workers[worker] =
                        Worker::Busy { report, tx, stage: Stage::Withdraw, run, stale };
                } else {
                    self.publish_done(worker, report, run, stale);
                }
            }
            Stage::Withdraw => {
                if let Some(location) = self.leftover(tx, &run) {
                    stale.extend(self.store.withdraw(location, tx));
                }
                self.publish_done(worker, report, run, stale);
            }
        }
    }

    /// Claims the right to publish, and returns whether the job was not taken over.
    fn publishes(&mut self, report: &Report, tx: usize, scenario: &Scenario) -> bool {
        let is_first = tx == report.job.chunk.first.position();
        !scenario.stalls || !is_first || self.may_publish(report.job)
    }

    fn publish_done(&mut self, worker: usize, report: Report, run: Run, mut stale: Vec<TxIndex>) {
        stale.sort_unstable();
        stale.dedup();
        self.end_run(worker, report, RunResult::Executed { stale_readers: stale }, run);
    }

    /// Returns the location of an entry of the previous incarnation that this one does not
    /// overwrite.
    fn leftover(&self, tx: usize, run: &Run) -> Option<usize> {
        let written = run.written.map(|(location, _)| location);
        self.records[tx].written.filter(|location| Some(*location) != written)
    }

    fn incarnation(&self, report: &Report, tx: usize, run: &Run) -> u32 {
        let is_first = tx == report.job.chunk.first.position();
        let started = if is_first { report.job.incarnation.0 } else { 0 };
        started + run.runs - 1
    }

    /// Returns the value that the transaction reads, and the recorded read. In a chunk with one
    /// journal, a read of a write of the same job is not recorded (I14). Credits are read only once
    /// everything below is committed.
    fn read(
        &mut self,
        report: &Report,
        tx: usize,
        program: Tx,
        scenario: &Scenario,
    ) -> Result<(Option<Seen>, u8), RunResult> {
        let mut added = 0;
        if program.kind == Kind::ReadsCredits {
            let below = self.outcomes.get(..tx).ok_or(RunResult::TooEarly)?;
            added = credits(below);
        }
        let Some(location) = program.read else { return Ok((None, added)) };
        if scenario.limits.shared_chunks {
            let own = report.results.iter().rev().filter_map(|(_, run)| run.written);
            if let Some((_, value)) = own.into_iter().find(|(at, _)| *at == location) {
                return Ok((None, value.wrapping_add(added)));
            }
        }
        let blocked = |on| RunResult::Blocked { on: TxIndex(on as u32) };
        let seen = self.store.read(location, tx).map_err(blocked)?;
        Ok((Some(seen), seen.value.wrapping_add(added)))
    }

    fn end_run(&mut self, worker: usize, mut report: Report, result: RunResult, run: Run) {
        let goes_on = matches!(result, RunResult::Executed { .. });
        report.results.push((result, run));
        let next = report.job.chunk.first.position() + report.results.len();
        if goes_on && !self.stopped && next < report.job.chunk.end.position() {
            self.start(worker, report, next, 1);
        } else {
            self.reports.push(report);
        }
    }

    /// Iterates over the running lower transactions for which this worker's next read may wait, if
    /// its transaction is above the frontier.
    pub(crate) fn predicted(
        &self,
        worker: usize,
        scenario: &Scenario,
    ) -> impl Iterator<Item = usize> {
        let is_private = |report: &Report| report.job.batch().is_some();
        let reader = match &self.workers[worker] {
            Worker::Busy { report, tx, stage: Stage::Read, .. } if !is_private(report) => Some(*tx),
            Worker::Busy { .. } | Worker::Idle => None,
        };
        let reader = reader
            .filter(|tx| scenario.txs[*tx].read.is_some() && self.outcomes.len() < *tx)
            .unwrap_or(0);
        let running = self.workers.iter().filter_map(move |other| match other {
            Worker::Busy { report, tx, .. } if !is_private(report) => Some(*tx),
            Worker::Busy { .. } | Worker::Idle => None,
        });
        running.filter(move |tx| *tx < reader)
    }

    pub(crate) fn predict(&mut self, worker: usize, on: usize) {
        let busy = core::mem::replace(&mut self.workers[worker], Worker::Idle);
        if let Worker::Busy { report, run, .. } = busy {
            let on = TxIndex(on as u32);
            self.end_run(worker, report, RunResult::Blocked { on }, run);
        }
    }

    /// Returns whether this worker may end its chunk early: it is between two transactions and
    /// holds up the frontier.
    pub(crate) fn may_end_early(&self, worker: usize) -> bool {
        match &self.workers[worker] {
            Worker::Busy { report, tx, stage: Stage::Read, run, .. } => {
                run.runs == 1
                    && report.job.batch().is_none()
                    && *tx > report.job.chunk.first.position()
                    && self.outcomes.len() >= report.job.chunk.first.position()
            }
            Worker::Busy { .. } | Worker::Idle => false,
        }
    }

    pub(crate) fn end_early(&mut self, worker: usize) {
        let busy = core::mem::replace(&mut self.workers[worker], Worker::Idle);
        if let Worker::Busy { report, tx, .. } = busy {
            self.runs[tx] -= 1;
            self.reports.push(report);
        }
    }

    /// Returns whether the block has room for `tx`.
    pub(crate) fn fits(scenario: &Scenario, tx: TxIndex) -> bool {
        scenario.txs.get(tx.position()).is_some_and(|tx| tx.kind != Kind::NoRoom)
    }
}
