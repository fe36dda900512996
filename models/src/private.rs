//! Private batches in the model: the steps of their workers, and the owner's commands.

use crate::Scenario;
use crate::batches::PrivateRun;
use crate::scenario::Kind;
use crate::state::{Report, State, Worker};
use braid_evm::error::Invariant;
use braid_evm::ids::{BatchId, Chunk, TxIndex};
use braid_evm::protocol::{Command, Event, Job};

impl State {
    /// Runs a transaction of a private batch in one step, because no other worker sees its writes.
    pub(crate) fn step_private(
        &mut self,
        worker: usize,
        mut report: Report,
        tx: usize,
        scenario: &Scenario,
    ) {
        let Some(run) = self.run_private(&report, tx, scenario) else {
            report.batch.held = Some(TxIndex(tx as u32));
            return self.report_private(report, scenario);
        };
        report.private.push(run);
        let next = report.job.batch().and_then(|batch| scenario.next_member(batch, tx));
        let end = report.job.chunk.end.position();
        match next.filter(|next| *next < end && !self.stopped) {
            Some(next) => self.start(worker, report, next, 1),
            None => self.report_private(report, scenario),
        }
    }

    /// Runs a transaction of a private batch; `None` if it has no result.
    fn run_private(
        &mut self,
        report: &Report,
        tx: usize,
        scenario: &Scenario,
    ) -> Option<PrivateRun> {
        let program = scenario.txs[tx];
        let (mut value, mut read) = (0, None);
        if let Some(location) = program.read {
            (value, read) = match scenario.listed(tx, location) {
                Some(listed) => (listed, None),
                None => self.read_private(report, location)?,
            };
        }
        // Above the frontier, the credits are not known.
        if program.kind == Kind::ReadsCredits {
            return None;
        }
        let written = program.run(tx, value).ok()?;
        // A transaction that differs from the list has no result.
        scenario.matches_list(tx, written).then_some(PrivateRun { tx, value, read, written })
    }

    /// Returns the value that the transaction reads, and the location if the value comes from the
    /// snapshot.
    fn read_private(&mut self, report: &Report, location: usize) -> Option<(u8, Option<usize>)> {
        let own = report.private.iter().rev().filter_map(|run| run.written);
        if let Some((_, own)) = own.into_iter().find(|(at, _)| *at == location) {
            return Some((own, None));
        }
        let Ok(seen) = self.store.resolve(location, self.batches.snapshot()) else {
            self.violation = Some("an estimate below a snapshot");
            return None;
        };
        Some((seen.value, Some(location)))
    }

    /// Reports the run, with contiguous transactions in one group or each in its own group.
    fn report_private(&mut self, mut report: Report, scenario: &Scenario) {
        for run in &report.private {
            let first = TxIndex(run.tx as u32);
            let end = first.next();
            match report.batch.groups.last_mut() {
                Some(last) if scenario.grouped && last.end == first => last.end = end,
                _ => report.batch.groups.push(Chunk { first, end }),
            }
        }
        self.reports.push(report);
    }

    /// Checks the request for a run of a private batch: the batch must not have results, and no
    /// other run of it may be requested, running or reported.
    pub(crate) fn check_private_run(&mut self, job: Job) {
        let Some(batch) = job.batch() else { return };
        if job.incarnation.0 > 0 {
            self.violation = Some("a batch runs again");
        }
        let has_results = |ran: &crate::BatchResults| !ran.groups.is_empty();
        if self.batches.ran[batch.0 as usize].as_ref().is_some_and(has_results) {
            self.violation = Some("a batch runs that has results");
        }
        let is_same = |other: &Job| {
            let is_late = self.protocol.is_superseded(*other);
            !is_late && other.batch() == Some(batch)
        };
        let busy = self.workers.iter().any(|worker| match worker {
            Worker::Busy { report, .. } => is_same(&report.job),
            Worker::Idle => false,
        });
        let reported = self.reports.iter().any(|report| is_same(&report.job) && !report.void);
        let is_unclaimed = |job: &&Job| self.batches.is_claimed(job) == Some(false);
        let queued = self.channel.iter().filter(is_unclaimed).any(is_same);
        if busy || reported || queued {
            self.violation = Some("two runs of a batch at a time");
        }
    }

    /// Performs a command that concerns only private batches.
    pub(crate) fn perform_private(
        &mut self,
        command: Command,
        scenario: &Scenario,
    ) -> Result<(), Invariant> {
        let event = match command {
            Command::Compare { batch, tx } => {
                let conflict = self.batches.first_conflict(batch);
                Event::Compared { tx, conflict }
            }
            Command::AdmitGroup { group, .. } => {
                let fits = group.indices().all(|tx| Self::fits(scenario, tx));
                Event::Admitted { tx: group.first, fits }
            }
            Command::CommitGroup { batch, group } => return self.commit_group(batch, group),
            other => unreachable!("{other:?} concerns no batch"),
        };
        self.protocol.apply(event)
    }

    fn commit_group(&mut self, batch: BatchId, txs: Chunk) -> Result<(), Invariant> {
        let missing = Invariant::MissingResult { tx: txs.first };
        let group = self.batches.commit_group(batch, txs).ok_or(missing)?;
        for run in group.runs {
            self.settle(TxIndex(run.tx as u32), Some(run.value));
            let entry = run.written.map(|(location, value)| (run.tx, location, value));
            self.batches.unpublished.extend(entry);
        }
        Ok(())
    }
}
