//! The owner of the protocol: like the coordinator, it applies events and performs commands.

use crate::Scenario;
use crate::state::{Report, State};
use braid_evm::error::Invariant;
use braid_evm::ids::TxIndex;
use braid_evm::protocol::{Command, Event, Halt, Job, JobReport, RunMode, TxReport, Verdict};

impl State {
    /// Applies an event, and performs commands until there are none.
    pub(crate) fn apply_event(&mut self, event: Option<Event>, scenario: &Scenario) {
        if let Some(event) = event
            && let Err(broken) = self.protocol.apply(event)
        {
            self.broken = Some(broken.to_string());
            return;
        }
        loop {
            let performed = match self.protocol.poll() {
                Ok(None) => return,
                Ok(Some(Command::RunHere(job))) => return self.run_here(job),
                Ok(Some(Command::Finish)) => return self.finish(),
                Ok(Some(command)) => self.perform(command, scenario),
                Err(broken) => Err(broken),
            };
            if let Err(broken) = performed {
                self.broken = Some(broken.to_string());
                return;
            }
        }
    }

    /// Delivers a report.
    pub(crate) fn deliver(&mut self, report: Report, scenario: &Scenario) {
        let Report { job, results, private, batch, void, .. } = report;
        if self.protocol.is_superseded(job) {
            let report = JobReport { void, ..JobReport::unrun(job) };
            return self.apply_event(Some(Event::Reported(report)), scenario);
        }
        self.batches.keep(job, private, &batch, void);
        for (tx, (_, run)) in job.chunk.indices().zip(&results) {
            let result = &results[tx.position() - job.chunk.first.position()].0;
            let record = &mut self.records[tx.position()];
            record.has_output = matches!(result, braid_evm::protocol::RunResult::Executed { .. });
            if record.has_output {
                record.seen = run.seen;
                record.value = run.value;
                record.written = run.written.map(|(location, _)| location);
            }
        }
        let report = |(result, run): (_, crate::Run)| TxReport { runs: run.runs, result };
        let results = results.into_iter().map(report).collect();
        self.apply_event(Some(Event::Reported(JobReport { job, results, batch, void })), scenario);
    }

    fn run_here(&mut self, job: Job) {
        if self.owner_job.replace(job).is_some() {
            self.violation = Some("two jobs outside the channel");
        }
        let is_speculative = job.mode == RunMode::Speculative;
        if is_speculative || job.chunk.first.position() != self.outcomes.len() {
            self.violation = Some("a job outside the channel is not the frontier's");
        }
        self.check_private_run(job);
    }

    /// Ends the block: no job or report may remain (I13).
    fn finish(&mut self) {
        self.finished = true;
        let is_late = |report: &Report| self.protocol.is_superseded(report.job);
        let idle = self.workers.iter().all(|worker| match worker {
            crate::Worker::Idle => true,
            crate::Worker::Busy { report, .. } => is_late(report),
        });
        let answered = self.reports.iter().all(is_late);
        if !idle || !self.channel.is_empty() || !answered || self.owner_job.is_some() {
            self.violation = Some("I13: the block finished while jobs were in flight");
        }
    }

    fn perform(&mut self, command: Command, scenario: &Scenario) -> Result<(), Invariant> {
        match command {
            Command::Dispatch(job) => {
                let end = self.outcomes.len() as u32 + scenario.limits.window;
                if job.chunk.first.0 >= end {
                    self.violation = Some("a dispatch beyond the window");
                }
                self.check_private_run(job);
                self.channel.push_back(job);
                Ok(())
            }
            Command::Claim(job) => {
                let claimed = self.claim(job);
                self.protocol.apply(Event::Claimed { tx: job.chunk.first, claimed })
            }
            Command::Help(job) => {
                let taken = job.batch().is_some() || self.may_publish(job);
                // A worker that has not started the job no longer finds it.
                self.owner_job.take_if(|own| *own == job);
                self.protocol.apply(Event::Helped { tx: job.chunk.first, taken })
            }
            Command::Recheck(tx) => self.check(tx, false),
            Command::Validate(tx) => self.check(tx, true),
            Command::Abort(tx) => {
                let record = &mut self.records[tx.position()];
                record.has_output = false;
                if let Some(location) = record.written {
                    self.store.mark_estimate(location, tx.position());
                }
                Ok(())
            }
            Command::Admit(tx) => {
                let fits = Self::fits(scenario, tx);
                self.protocol.apply(Event::Admitted { tx, fits })
            }
            Command::Commit(tx) => {
                let record = self.records[tx.position()];
                if !record.has_output {
                    return Err(Invariant::MissingResult { tx });
                }
                self.settle(tx, Some(record.value));
                Ok(())
            }
            Command::Skip(tx) => {
                let written = self.records[tx.position()].written.take();
                let mut stale_readers = Vec::new();
                if let Some(location) = written {
                    stale_readers = self.store.withdraw(location, tx.position());
                }
                self.batches.skip();
                self.settle(tx, None);
                self.protocol.apply(Event::Withdrawn { tx, stale_readers })
            }
            Command::StopWork => {
                self.stopped = true;
                Ok(())
            }
            Command::RunHere(_) | Command::Finish => Ok(()),
            Command::Compare { .. } | Command::AdmitGroup { .. } | Command::CommitGroup { .. } => {
                self.perform_private(command, scenario)
            }
        }
    }

    fn check(&mut self, tx: TxIndex, by_value: bool) -> Result<(), Invariant> {
        let seen = self.records[tx.position()].seen;
        let holds = self.store.holds(seen, tx.position(), by_value);
        self.had_conflict |= by_value && !holds;
        let verdict = if holds { Verdict::Valid } else { Verdict::Stale };
        self.protocol.apply(Event::Checked { tx, verdict })
    }

    /// Records an outcome. Each index commits once and in order (I2). After work has stopped,
    /// transactions commit only in a cancelled block, and only after all jobs are reported (I13).
    pub(crate) fn settle(&mut self, tx: TxIndex, outcome: Option<u8>) {
        if tx.position() != self.outcomes.len() {
            self.violation = Some("I2: an outcome out of order");
        }
        let is_cancelled = self.protocol.halt() == Some(Halt::Cancelled);
        if self.stopped && (!is_cancelled || self.protocol.in_flight() > 0) {
            self.violation = Some("an outcome after work was stopped");
        }
        self.outcomes.push(outcome);
    }
}
